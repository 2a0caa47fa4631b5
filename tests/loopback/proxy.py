"""A peer between the runner and a sandbox, on real sockets, that can tamper with whatever passes.

Requests are read whole and asked about in `request`; frames of the venue's streams in `frame`. What the two return is
what the other end gets. Without either everything passes as it is.
"""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import anyio
import httpx
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from msgspec import Struct

from benchmarks.peer import Opened
from runner.edge.conversation import Conversation, Hangup, HttpRequest
from runner.edge.network import LOST


class Answer(Struct, frozen=True):
    """An answer in place of the venue's. `after_venue`: the venue gets the request, and acts on it, all the same."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}
    after_venue: bool = False


class Withheld(Struct, frozen=True):
    """The venue gets the request and acts on it; its answer is lost with the connection."""


Fault = Answer | Withheld | None

OnRequest = Callable[[HttpRequest], Fault]
OnFrame = Callable[[str, bytes], Iterable[bytes] | None]
"""Stream (`public`, `private`) and the text of a frame to the texts to pass on; None cuts the connection."""


def pass_request(_request: HttpRequest) -> Fault:
    return None


def pass_frame(_stream: str, text: bytes) -> Iterable[bytes] | None:
    return (text,)


class Proxy:
    """Where the runner connects to. `request` and `frame` may be exchanged at any time."""

    def __init__(self, behind: Opened) -> None:
        url = httpx.URL(behind.rest_url)
        self._host, self._port = url.host, url.port or 80
        self._client = httpx.AsyncClient(base_url=f"http://{self._host}:{self._port}", trust_env=False, timeout=10)
        self.request: OnRequest = pass_request
        self.frame: OnFrame = pass_frame

    async def aclose(self) -> None:
        await self._client.aclose()

    async def serve(self, stream: ByteStream) -> None:
        async with stream:
            conversation = Conversation(stream)
            try:
                while not (request := await conversation.request()).wants_websocket:
                    await self._answer(conversation, request)
                fault = self.request(request)
                if isinstance(fault, Answer):
                    await conversation.reply(fault.status, fault.headers | {"Connection": "close"}, fault.body)
                    return
            except Hangup:
                return
            await self._pump(stream, request)

    async def _answer(self, conversation: Conversation, request: HttpRequest) -> None:
        fault = self.request(request)
        if isinstance(fault, Answer) and not fault.after_venue:
            await conversation.reply(fault.status, fault.headers, fault.body)
            return
        kept = {name: value for name, value in request.headers.items() if name not in {"host", "content-length"}}
        answer = await self._client.request(request.method, request.target, headers=kept, content=request.body)
        if isinstance(fault, Withheld):
            raise Hangup
        if isinstance(fault, Answer):
            await conversation.reply(fault.status, fault.headers, fault.body)
        else:
            await conversation.reply(answer.status_code, dict(answer.headers), answer.content)

    async def _pump(self, stream: ByteStream, request: HttpRequest) -> None:
        name = "private" if "/private" in request.target else "public"
        try:
            async with await anyio.connect_tcp(self._host, self._port) as venue, anyio.create_task_group() as tasks:
                await venue.send(request.raw)

                async def onward() -> None:
                    try:
                        while True:
                            await venue.send(await stream.receive())
                    except (anyio.EndOfStream, *LOST):
                        tasks.cancel_scope.cancel()

                tasks.start_soon(onward)
                await self._pass_frames(name, venue, stream)
                tasks.cancel_scope.cancel()
        except LOST:
            return

    async def _pass_frames(self, name: str, venue: SocketStream, stream: ByteStream) -> None:
        """The answer to the handshake as it is, then frame by frame, until either end or `frame` has enough."""
        unread = b""
        while b"\r\n\r\n" not in unread:
            unread += await venue.receive()
        head, _, unread = unread.partition(b"\r\n\r\n")
        await stream.send(head + b"\r\n\r\n")
        while True:
            while (cut := _frame_length(unread)) is None:
                try:
                    unread += await venue.receive()
                except (anyio.EndOfStream, *LOST):
                    return
            whole, unread = unread[: cut[1]], unread[cut[1] :]
            if whole[0] & 0x0F != TEXT:
                await stream.send(whole)
                continue
            texts = self.frame(name, whole[cut[0] :])
            if texts is None:
                return
            for text in texts:
                await stream.send(text_frame(text))


TEXT = 0x1


def _frame_length(data: bytes) -> tuple[int, int] | None:
    """Lengths of the head and of the whole of the frame that `data` begins with; None if it is not whole yet."""
    if len(data) < 2:
        return None
    size, head = data[1] & 0x7F, 2
    if size >= 126:
        head = 4 if size == 126 else 10
        if len(data) < head:
            return None
        size = int.from_bytes(data[2:head], "big")
    return (head, head + size) if len(data) >= head + size else None


def text_frame(text: bytes) -> bytes:
    """An unmasked text frame: a server's."""
    if len(text) < 126:
        return bytes([0x81, len(text)]) + text
    if len(text) < 65536:
        return bytes([0x81, 126]) + len(text).to_bytes(2, "big") + text
    return bytes([0x81, 127]) + len(text).to_bytes(8, "big") + text


@asynccontextmanager
async def proxy(behind: Opened) -> AsyncIterator[tuple[Opened, Proxy]]:
    """A proxy before a venue: its address with the venue's keys, and the proxy itself."""
    between = Proxy(behind)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, between.serve)
        here = f"127.0.0.1:{port}"
        there = f"{between._host}:{between._port}"
        try:
            yield (
                Opened(
                    behind.rest_url.replace(there, here),
                    behind.stream_url.replace(there, here),
                    behind.api_key,
                    behind.secret_key,
                ),
                between,
            )
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await between.aclose()
