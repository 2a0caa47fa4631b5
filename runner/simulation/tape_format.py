"""A recording as bytes and back: a header with the market and its rules, then a packed column each.

A million rows are read in a tenth of a second. Times are stored as differences; numbers are eight bytes, little endian.
"""

import sys
import zlib
from array import array
from collections.abc import Iterator
from itertools import accumulate, chain
from operator import sub

import msgspec
from msgspec import Struct

from runner.model.market import Market
from runner.simulation.columns import NUMBER_MAX, NotATape
from runner.simulation.recording import BOUGHT_FROM_OWN, Gap, Recording, Taint, Touch

FORMAT = 1
MAGIC = b"runner tape %d\n" % FORMAT
ROWS_MAX = 1 << 30
_NUMBER = 8  # bytes
_QUICK = 3  # of zlib's levels


class _Header(Struct, frozen=True, kw_only=True):
    market: Market
    rows: int
    packed: tuple[int, int, int, int]  # bytes of each column
    touches: tuple[Touch, ...] = ()
    gaps: tuple[Gap, ...] = ()
    tainted: tuple[Taint, ...] = ()
    frames: int = 0
    trades: int = 0
    left_out: int = 0


_header = msgspec.msgpack.Decoder(_Header)


def written(tape: Recording) -> Iterator[bytes]:
    """The bytes of a file, piece by piece."""
    steps = array("q", chain(tape.times[:1], map(sub, tape.times[1:], tape.times)))
    columns = [zlib.compress(_little(column), _QUICK) for column in (steps, tape.kinds, tape.ticks, tape.lots)]
    first, second, third, fourth = map(len, columns)
    header = msgspec.msgpack.encode(
        _Header(
            market=tape.market,
            rows=len(tape),
            packed=(first, second, third, fourth),
            touches=tape.touches,
            gaps=tape.gaps,
            tainted=tape.tainted,
            frames=tape.frames,
            trades=tape.trades,
            left_out=tape.left_out,
        )
    )
    yield MAGIC
    for piece in (header, *columns):
        yield len(piece).to_bytes(_NUMBER, "little") + zlib.crc32(piece).to_bytes(4, "little")
        yield piece


def read(data: bytes) -> Recording:
    """What `written` made. Raises NotATape for anything else."""
    if not data.startswith(MAGIC):
        raise NotATape("it is no tape of this version of the runner")
    view = memoryview(data)[len(MAGIC) :]
    packed, view = _piece(view)
    try:
        header = _header.decode(packed)
    except msgspec.DecodeError as error:
        raise NotATape(f"its header cannot be understood: {error}") from None
    if not 0 < header.rows <= ROWS_MAX:
        raise NotATape(f"it says that it has {header.rows} rows")
    columns = []
    for _ in range(4):
        packed, view = _piece(view)
        columns.append(_column(packed, header.rows))
    if view:
        raise NotATape("the file is damaged: there is more behind its end")
    steps, kinds, ticks, lots = columns
    times = array("q", accumulate(steps))
    if min(steps) < 0 or not (0 <= min(kinds) <= max(kinds) <= BOUGHT_FROM_OWN) or min(ticks) < 1 or min(lots) < 0:
        raise NotATape("its rows are not those of a market")
    if max(ticks) * max(lots) > NUMBER_MAX:
        raise NotATape("its prices times its quantities do not fit into 64 bits")
    return Recording(
        market=header.market,
        times=times,
        kinds=kinds,
        ticks=ticks,
        lots=lots,
        touches=header.touches,
        gaps=header.gaps,
        tainted=header.tainted,
        frames=header.frames,
        trades=header.trades,
        left_out=header.left_out,
    )


def _piece(view: memoryview) -> tuple[memoryview, memoryview]:
    """The next piece, and what is behind it."""
    head = _NUMBER + 4
    length = int.from_bytes(view[:_NUMBER], "little")
    piece = view[head : head + length]
    if len(view) < head or len(piece) < length:
        raise NotATape("the file is damaged: it is cut off")
    if zlib.crc32(piece) != int.from_bytes(view[_NUMBER:head], "little"):
        raise NotATape("the file is damaged: a checksum is wrong")
    return piece, view[head + length :]


def _column(packed: memoryview, rows: int) -> "array[int]":
    unpacker = zlib.decompressobj()
    try:
        numbers = unpacker.decompress(packed, rows * _NUMBER)
    except zlib.error as error:
        raise NotATape(f"the file is damaged: {error}") from None
    if len(numbers) != rows * _NUMBER or unpacker.unconsumed_tail:
        raise NotATape("the file is damaged: its columns are not of one length")
    column = array("q", numbers)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def _little(column: "array[int]") -> bytes:
    if sys.byteorder == "big":
        column = array("q", column)
        column.byteswap()
    return column.tobytes()
