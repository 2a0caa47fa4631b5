"""One WebSocket connection over a byte stream, either end of it: websockets' sans-IO protocol, and the waiting.

Messages come in batches, all that one read of the stream completed: what costs time is the waking, not the frame.
Text stays UTF-8 bytes, because the JSON decoder wants it so. One task receives; any number of tasks may send.
"""

import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Self, cast

import anyio
from anyio.abc import ByteStream
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol
from websockets.uri import WebSocketURI, parse_uri

from runner.edge.network import LOST, USER_AGENT, hang_up, words

READ_BYTES = 65536
MESSAGE_BYTES_MAX = 1024 * 1024  # a snapshot of 301 levels a side is 20 kB, the tickers of 1000 markets 300 kB
WRITE_S = 10.0  # a peer that does not take our bytes for so long is gone
CLOSE_S = 2.0  # for the last courtesies

# The protocol objects log every header at level DEBUG, signature included; nobody may switch that on.
_SILENT = logging.getLogger("runner.websocket")
_SILENT.setLevel(logging.WARNING)


class LinkClosed(Exception):
    """The connection is of no use any more; the text says why, in a few words."""


class HandshakeRefused(Exception):
    """The server answered the handshake with an ordinary HTTP answer."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"handshake refused with HTTP {status}")
        self.status = status
        self.body = body


class Link:
    """An open connection. `open_client` and `open_server` make one.

    `received_at` and `pong_at` are the event loop's time of the last bytes and the last pong (at first: of the
    handshake).
    """

    def __init__(self, stream: ByteStream, protocol: Protocol) -> None:
        self._stream = stream
        self._protocol = protocol
        self._sending = anyio.Lock()
        self._fragments: list[bytes] = []
        self._ready: list[bytes] = []  # completed together with the handshake
        self._broken: LinkClosed | None = None  # an answer of ours could not be written
        self.received_at = self.pong_at = anyio.current_time()

    # Handshakes ------------------------------------------------------------------------------------------

    @classmethod
    async def open_client(
        cls,
        stream: ByteStream,
        url: WebSocketURI,
        headers: Mapping[str, str],
        *,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> Self:
        """Shake hands as a client. The caller keeps the deadline.

        Raises HandshakeRefused for an HTTP answer other than 101, LinkClosed for anything that is not a handshake.
        """
        protocol = ClientProtocol(url, max_size=message_bytes_max, logger=_SILENT)
        link = cls(stream, protocol)
        request = protocol.connect()
        request.headers["User-Agent"] = USER_AGENT
        for name, value in headers.items():
            request.headers[name] = value
        protocol.send_request(request)
        await link._flush()
        while not (events := await link._read(math.inf)) and protocol.handshake_exc is None:
            pass
        if protocol.handshake_exc is not None:
            if isinstance(protocol.handshake_exc, InvalidStatus):
                response = protocol.handshake_exc.response
                raise HandshakeRefused(response.status_code, bytes(response.body))
            raise LinkClosed(f"no WebSocket at {url.host}:{url.port}: {protocol.handshake_exc}")
        link._ready = link._messages(cast("list[Frame]", events[1:]))
        return link

    @classmethod
    async def open_server(
        cls,
        stream: ByteStream,
        head: bytes,
        decide: Callable[[], Response | None],
        *,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> Self | None:
        """Shake hands as a server; `head` is the client's request as it came, with whatever came behind it.

        `decide` is asked once the handshake itself is found good; an HTTP response from it refuses the client.
        Returns None for a handshake that was refused: the answer is written and the stream can be closed.
        """
        protocol = ServerProtocol(max_size=message_bytes_max, logger=_SILENT)
        link = cls(stream, protocol)
        head, end, rest = head.partition(b"\r\n\r\n")
        protocol.receive_data(head + end)
        if events := protocol.events_received():
            response = protocol.accept(cast("Request", events[0]))
            if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                response = decide() or response
        else:
            response = protocol.reject(HTTPStatus.BAD_REQUEST, "not a WebSocket handshake\n")
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            await link._write(response.serialize())
            return None
        protocol.send_response(response)
        protocol.receive_data(rest)  # only now: frames that came early are answered after the handshake
        link._ready = link._messages(cast("list[Frame]", protocol.events_received()))
        await link._flush()
        return link

    # In ---------------------------------------------------------------------------------------------------

    async def receive(self, silence_s: float = math.inf) -> list[bytes]:
        """The complete messages of one read that had any, oldest first. Pings are answered on the way.

        Raises LinkClosed once no more can come: closed or broken by the peer, a message above the limit, or
        `silence_s` without a single byte.
        """
        messages, self._ready = self._ready, []
        while not messages:
            if self._protocol.state is not OPEN:
                raise LinkClosed(self._why())
            if self._broken is not None:
                raise self._broken
            events = await self._read(silence_s)
            messages = self._messages(cast("list[Frame]", events))
        return messages

    async def _read(self, silence_s: float) -> list[Frame | Request | Response]:
        protocol = self._protocol
        try:
            with anyio.fail_after(silence_s):
                data = await self._stream.receive(READ_BYTES)
        except TimeoutError:
            raise LinkClosed(f"silent for {silence_s:g} s") from None
        except anyio.EndOfStream:
            protocol.receive_eof()
            if protocol.handshake_exc is None:
                raise LinkClosed(self._why()) from None
        except LOST as error:
            raise LinkClosed(f"connection lost: {words(error)}") from error
        else:
            self.received_at = anyio.current_time()
            protocol.receive_data(data)
        if protocol.writes:
            try:
                await self._flush()
            except LinkClosed as closed:  # what was read counts all the same: it may be the fill we wait for
                self._broken = closed
        return protocol.events_received()

    def _messages(self, frames: Iterable[Frame]) -> list[bytes]:
        """Put fragments together and note pongs; the protocol object has checked their order and total size."""
        messages = []
        for frame in frames:
            if frame.opcode is Opcode.TEXT and frame.fin:
                messages.append(bytes(frame.data))
            elif frame.opcode in _DATA:
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    messages.append(b"".join(self._fragments))
                    self._fragments.clear()
            elif frame.opcode is Opcode.PONG:
                self.pong_at = anyio.current_time()
        return messages

    def _why(self) -> str:
        protocol = self._protocol
        if (close := protocol.close_rcvd) is not None:
            return f"closed by the other end: {close}"
        if (close := protocol.close_sent) is not None:
            return f"closed by us: {close}"
        return "connection ended without a close frame"

    # Out --------------------------------------------------------------------------------------------------

    async def send(self, texts: Sequence[str]) -> None:
        """Send text messages, in one write. A send that is cancelled half-way leaves the connection unusable.

        Raises LinkClosed when that is known already, or when the peer takes nothing for 10 s.
        """
        if self._protocol.state is not OPEN:
            raise LinkClosed(self._why())
        for text in texts:
            self._protocol.send_text(text.encode())
        await self._flush()

    async def ping(self) -> None:
        """Ask for a pong; `pong_at` tells when it came."""
        if self._protocol.state is not OPEN:
            raise LinkClosed(self._why())
        self._protocol.send_ping(b"")
        await self._flush()

    async def _flush(self) -> None:
        async with self._sending:  # what another task queued meanwhile goes out with ours
            if data := b"".join(self._protocol.data_to_send()):
                await self._write(data)

    async def _write(self, data: bytes) -> None:
        try:
            with anyio.fail_after(WRITE_S):
                await self._stream.send(data)
        except TimeoutError:
            raise LinkClosed(f"the other end took nothing for {WRITE_S:g} s") from None
        except LOST as error:
            raise LinkClosed(f"connection lost: {words(error)}") from error

    # The end ----------------------------------------------------------------------------------------------

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye, wait for the other end to hang up, close: within seconds, even when cancelled.

        Only for the task that receives.
        """
        with anyio.CancelScope(shield=True):
            if self._protocol.state is OPEN:
                self._protocol.send_close(code, reason)
            with anyio.move_on_after(CLOSE_S), suppress(LinkClosed):
                await self._flush()
            await hang_up(self._stream, CLOSE_S)

    async def ignore(self) -> None:
        """Half-open: take whatever comes and answer nothing, not even a ping, until the other end hangs up."""
        with suppress(anyio.EndOfStream, *LOST):
            while True:
                await self._stream.receive(READ_BYTES)

    async def abort(self) -> None:
        """Hang up at once, without a close frame."""
        with anyio.CancelScope(shield=True):
            await anyio.aclose_forcefully(self._stream)


_DATA = frozenset({Opcode.TEXT, Opcode.BINARY, Opcode.CONT})


def websocket_address(url: str) -> WebSocketURI:
    """Take a ws:// or wss:// URL apart; path and query stay as they are. Raises ValueError."""
    try:
        return parse_uri(url)
    except InvalidURI as error:
        raise ValueError(f"stream address {url!r} is not ws://... or wss://...: {error}") from error
