"""What httpx sends with: HTTP/1.1 over kept-alive connections that a `Connect` made, so that a simulated one will do.

httpx's own transport cannot be told how to connect. Nothing is retried here, and no deadline kept: one scope around
the whole request does that.
"""

import select
import ssl
from collections.abc import AsyncIterator, Iterable
from typing import Any, Self

import anyio
import httpcore
import httpx
from anyio.abc import ByteStream, SocketAttribute

from runner.edge.network import LOST, Connect, secure, tls_context, words

POOL_SIZE = 8
IDLE_S = 30.0  # a connection that rested longer may be gone at the other end: a request on it could end unknown


class HttpTransport(httpx.AsyncBaseTransport):
    """A pool of connections to one venue. Raises httpcore's errors as they are."""

    def __init__(self, connect: Connect, *, tls: bool, answer_bytes_max: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls_context() if tls else None,
            max_connections=POOL_SIZE,
            max_keepalive_connections=POOL_SIZE,
            keepalive_expiry=IDLE_S,
            network_backend=_Backend(connect, answer_bytes_max),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=_Once(request.content),
                extensions=request.extensions,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Once:
    """A body in one piece. Not a generator: one that is cut short in the middle needs somebody to close it."""

    def __init__(self, body: bytes) -> None:
        self._pieces = [body] if body else []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()


class _Body(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._response.aiter_stream():
            yield chunk

    async def aclose(self) -> None:
        await self._response.aclose()


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, connect: Connect, answer_bytes_max: int) -> None:
        self._connect = connect
        self._answer_bytes_max = answer_bytes_max

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(await self._connect(host, port), self._answer_bytes_max)
        except (OSError, anyio.BrokenResourceError) as error:
            raise httpcore.ConnectError(words(error)) from error


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, stream: ByteStream, answer_bytes_max: int) -> None:
        self._stream = stream
        self._answer_bytes_max = answer_bytes_max
        self._answer_bytes = 0  # since we last wrote: one request at a time is on a connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = await self._stream.receive(max_bytes)
        except anyio.EndOfStream:
            return b""
        except LOST as error:
            raise httpcore.ReadError(words(error)) from error
        self._answer_bytes += len(data)
        if self._answer_bytes > self._answer_bytes_max:
            raise httpcore.ReadError(f"answer larger than {self._answer_bytes_max} bytes")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        self._answer_bytes = 0
        try:
            await self._stream.send(buffer)
        except LOST as error:
            raise httpcore.WriteError(words(error)) from error

    async def aclose(self) -> None:
        await anyio.aclose_forcefully(self._stream)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return _Stream(await secure(self._stream, server_hostname or ""), self._answer_bytes_max)
        except OSError as error:
            await self.aclose()
            raise httpcore.ConnectError(words(error)) from error

    def get_extra_info(self, info: str) -> Any:
        if info != "is_readable":
            return None
        # The pool asks whether an idle connection has something to read: then it has ended. A stream without a
        # socket (a simulated network) cannot tell.
        socket = self._stream.extra(SocketAttribute.raw_socket, None)  # noqa: S610 - anyio's extra, not Django's
        return socket is not None and _readable(socket)


def _readable(socket: Any) -> bool:
    descriptor = socket.fileno()
    if descriptor < 0:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
