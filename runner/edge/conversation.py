"""The HTTP side of the sandbox: one client's requests over one byte stream, h11 for the grammar.

Reads a request whole before it is handed out, and keeps the bytes it came as: if it asks for a WebSocket, the
WebSocket side reads them once more.
"""

from http import HTTPStatus

import anyio
import h11
from anyio.abc import ByteStream
from msgspec import Struct

from runner.edge.network import LOST

READ_BYTES = 65536
HEAD_BYTES_MAX = 16 * 1024
BODY_BYTES_MAX = 64 * 1024
IDLE_S = 75.0  # a kept-alive connection without a request
WRITE_S = 10.0


class HttpRequest(Struct, frozen=True):
    """Header names are lower case. `raw` is the request as it came, and whatever came behind it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    raw: bytes

    @property
    def wants_websocket(self) -> bool:
        return self.method == "GET" and self.headers.get("upgrade", "").lower() == "websocket"


class Hangup(Exception):
    """The client is gone, silent, or was told what is wrong with its request: close the connection."""


class Conversation:
    """Requests in, answers out, one after the other."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)
        self._raw = bytearray()
        self._head_only = False

    async def request(self) -> HttpRequest:
        """The next request. Raises Hangup when there is none, 75 s at the latest.

        A request that is not HTTP or too large is answered here (400, 413, 431), then Hangup.
        """
        try:
            with anyio.fail_after(IDLE_S):
                return await self._read_request()
        except LOST:  # TimeoutError is an OSError
            raise Hangup from None
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint)
            raise Hangup from error

    async def _read_request(self) -> HttpRequest:
        head = await self._event()
        if not isinstance(head, h11.Request):
            raise Hangup
        self._head_only = head.method == b"HEAD"
        body = bytearray()
        while isinstance(part := await self._event(), h11.Data):
            body += part.data
            if len(body) > BODY_BYTES_MAX:
                raise h11.RemoteProtocolError("body too large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        headers: dict[str, str] = {}
        for name_bytes, value_bytes in head.headers:
            name, value = name_bytes.decode("latin-1"), value_bytes.decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return HttpRequest(head.method.decode(), head.target.decode(), headers, bytes(body), bytes(self._raw))

    async def _event(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            try:
                data = await self._stream.receive(READ_BYTES)
            except anyio.EndOfStream:
                data = b""
            self._raw += data
            self._http.receive_data(data)
        assert not isinstance(event, type)  # PAUSED only comes after the end of a message
        return event

    async def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Answer the request and be ready for the next. Raises Hangup if the connection ends with this answer."""
        await self._write(self._answer(status, headers, body))
        http = self._http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
            raise Hangup  # HTTP/1.0, or `Connection: close`
        self._raw = bytearray(http.trailing_data[0])
        http.start_next_cycle()

    async def _refuse(self, status: int) -> None:
        if self._http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            body = f"{phrase(status)}\n".encode()
            await self._write(self._answer(status, {"Content-Type": "text/plain", "Connection": "close"}, body))

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> bytes:
        fields = [(name, value) for name, value in headers.items() if name.lower() != "content-length"]
        fields.append(("Content-Length", str(len(body))))
        head = h11.Response(status_code=status, headers=fields, reason=phrase(status))
        # The answer to HEAD has the head of a GET's and nothing else.
        parts = [head, h11.EndOfMessage()] if self._head_only else [head, h11.Data(data=body), h11.EndOfMessage()]
        return b"".join(self._http.send(part) or b"" for part in parts)

    async def _write(self, data: bytes) -> None:
        try:
            with anyio.fail_after(WRITE_S):
                await self._stream.send(data)
        except LOST:  # TimeoutError is an OSError
            raise Hangup from None


def phrase(status: int) -> str:
    """The words behind a status in the first line of an answer."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # 471 and its like
        return "Unknown"
