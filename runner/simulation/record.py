"""A run's record as bytes: every event that the engine was told, in the order of `handle`, and what it said to it.

A record is one file or several that follow each other. A file is `MAGIC`, then blocks, each of which can be read
without the others: a letter for its kind, the length of its body, the CRC-32 of kind and body, and the body. The first
is a header, the last an end that says why; between them are entries, compressed, and before them a snapshot where the
file can be read without those before it. What was cut off or garbled ends the
record there: the entries before it are whole, and the damage is told, never guessed over.
"""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from runner.model.command import Output
from runner.model.event import Event, What

FORMAT = 1
MAGIC = b"runner record %d\n" % FORMAT
BODY_MAX = 1 << 26
"""Of a block, packed or unpacked: no file can ask for more memory than this."""

_LENGTHS = 4  # bytes of a length or a checksum, little endian
_HEAD = 1 + 2 * _LENGTHS
_HEADER, _SNAPSHOT, _ENTRIES, _END = b"H", b"S", b"E", b"Z"
_QUICK = 1  # of zlib's levels: 9 saves a tenth, and costs the live path five times as much

_encoder = msgspec.msgpack.Encoder()


class NotARecord(Exception):
    """These bytes cannot be used at all; the text says why."""


class Header(Struct, frozen=True, kw_only=True):
    """What a record is of. `code` are digests of the sources that decide, by name: the engine's and the strategy's.

    `strategy` is how the file names it and `source` where it was loaded from; both are empty where nobody decided and
    public data alone was recorded. `spec` is the file as the run took it, every default written out.
    """

    run: str
    part: int  # from 1
    began: int  # UTC ns
    name: str
    venue: str
    version: str
    python: str
    platform: str
    file: str = ""
    strategy: str = ""
    source: str = ""
    spec: str = ""
    code: dict[str, str] = {}


class Snapshot(Struct, frozen=True):
    """Where a file can be read without those before it: the engine's `state` after event `number` (see
    `run/snapshot.py`; its strategy's module is `strategy`), and `known`, what somebody who listens to the market must
    have heard by then: rules, books, own orders.
    """

    number: int
    time: int
    strategy: str
    state: bytes
    known: tuple[What, ...]


class Entry(NamedTuple):
    """`output` is an encoded Output, for a comparison byte by byte; None where the engine failed on the event."""

    event: Event
    output: bytes | None


_Stored = tuple[Event, msgspec.Raw]
_decoder = msgspec.msgpack.Decoder(_Stored)
_header = msgspec.msgpack.Decoder(Header)
_snapshot = msgspec.msgpack.Decoder(Snapshot)
_output = msgspec.msgpack.Decoder(Output)
_NOTHING = msgspec.msgpack.encode(None)


def encoded(output: Output) -> bytes:
    return _encoder.encode(output)


def steps(entries: Iterable[Entry]) -> Iterator[tuple[Event, Output]]:
    """What an engine was told, and what it said to that: nothing where it failed. Raises msgspec.DecodeError."""
    return ((event, Output() if output is None else decoded(output)) for event, output in entries)


def decoded(output: bytes) -> Output:
    """Raises msgspec.DecodeError for the output of a runner that had others."""
    return _output.decode(output)


# Writing --------------------------------------------------------------------------------------------------


def opening(header: Header) -> bytes:
    """What a file begins with."""
    return MAGIC + _block(_HEADER, _encoder.encode(header))


def packed(event: Event, output: Output | None) -> bytes:
    """One entry; any number of them, one behind the other, make the body of a block."""
    body = _encoder.encode((event, output))
    return len(body).to_bytes(_LENGTHS, "little") + body


def block(entries: bytes | bytearray) -> bytes:
    return _block(_ENTRIES, zlib.compress(entries, _QUICK))


def beginning(snapshot: Snapshot) -> bytes:
    """What follows the header of a file that can be read without those before it."""
    return _block(_SNAPSHOT, zlib.compress(_encoder.encode(snapshot), _QUICK))


def end(reason: str = "") -> bytes:
    """What a file ends with: empty where the run was over or another file follows."""
    return _block(_END, reason.encode())


def _block(kind: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(kind + body)
    return kind + len(body).to_bytes(_LENGTHS, "little") + checksum.to_bytes(_LENGTHS, "little") + body


# Reading --------------------------------------------------------------------------------------------------


def unpacked(entries: bytes) -> Iterator[Entry]:
    """The entries of a block's body. Raises msgspec.DecodeError for those of a runner that knew other events."""
    view, here = memoryview(entries), 0
    while here < len(entries):
        length = int.from_bytes(view[here : here + _LENGTHS], "little")
        here += _LENGTHS
        event, output = _decoder.decode(view[here : here + length])
        here += length
        said = bytes(output)
        yield Entry(event, None if said == _NOTHING else said)


class Part:
    """One file of a record. Its header, and its snapshot if it has one, are read at once, its entries as they are
    asked for.

    When they are through, `damage` says what is wrong with the rest of the file, if anything is, and `ended` why it
    ends. Raises NotARecord for what does not even begin as one.
    """

    def __init__(self, data: bytes) -> None:
        if not data.startswith(MAGIC):
            raise NotARecord(_other_format(data))
        self._data = data
        self._at = len(MAGIC)
        self.damage: str | None = None
        self.ended: str | None = None
        found = self._next()
        if found is None or found[0] != _HEADER:
            raise NotARecord(f"its header is damaged: {self.damage or 'it has none'}")
        try:
            self.header = _header.decode(found[1])
        except msgspec.DecodeError as error:
            raise NotARecord(f"its header is another runner's: {error}") from None
        self.snapshot: Snapshot | None = None
        if data[self._at : self._at + 1] == _SNAPSHOT:
            self.snapshot = self._read_snapshot()

    def _read_snapshot(self) -> Snapshot | None:
        at, found = self._at, self._next()
        packed = None if found is None else self._unpacked(at, found[1])
        try:
            return None if packed is None else _snapshot.decode(packed)
        except msgspec.DecodeError as error:
            self.damage = f"the block at byte {at} holds what this runner does not know: {error}"
            return None

    def __iter__(self) -> Iterator[Entry]:
        while self.ended is None and self.damage is None:
            at = self._at
            found = self._next()
            if found is None:
                return
            kind, body = found
            if kind == _END and self._at == len(self._data):
                self.ended = body.decode(errors="replace")
            elif kind == _ENTRIES:
                yield from self._entries(at, body)
            else:
                self.damage = f"there is no such block at byte {at}"

    def _next(self) -> tuple[bytes, bytes] | None:
        """Kind and body of the next block. None at the end of the file, and where there is no whole block."""
        data, at = self._data, self._at
        head = data[at : at + _HEAD]
        if not head:
            self.damage = f"it stops without an end at byte {at}: the run was killed, or is not over"
            return None
        length, checksum = (int.from_bytes(head[n : n + _LENGTHS], "little") for n in (1, 1 + _LENGTHS))
        body = data[at + _HEAD : at + _HEAD + length]
        if len(head) < _HEAD or len(body) < length:
            self.damage = f"it is cut off within the block at byte {at}"
            return None
        if zlib.crc32(head[:1] + body) != checksum:
            self.damage = f"the block at byte {at} is garbled"
            return None
        self._at = at + _HEAD + length
        return head[:1], body

    def _entries(self, at: int, body: bytes) -> Iterator[Entry]:
        entries = self._unpacked(at, body)
        try:
            yield from unpacked(entries or b"")
        except msgspec.DecodeError as error:
            self.damage = f"the block at byte {at} holds what this runner does not know: {error}"

    def _unpacked(self, at: int, body: bytes) -> bytes | None:
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(body, BODY_MAX)
        except zlib.error as error:
            self.damage = f"the block at byte {at} cannot be unpacked: {error}"
            return None
        if not unpacker.eof:
            self.damage = f"the block at byte {at} is too large"
            return None
        return data


def _other_format(data: bytes) -> str:
    family = MAGIC.partition(b" %d" % FORMAT)[0]
    if data.startswith(family):
        return "its format is another runner's"
    if MAGIC.startswith(data):
        return "it is cut off before its first block"
    return "it is no record of a run"


def facts(value: Any) -> Any:
    """A command, a change or an event as plain values, to be shown."""
    return msgspec.to_builtins(value, enc_hook=str)
