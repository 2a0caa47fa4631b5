"""Other ends of the line for the tests of this folder: a pipe without a socket, a raw TCP server, a small exchange."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
from anyio.abc import ByteStream, SocketAttribute

from runner.altmarkets.server import Reply, Server, Session

Handler = Callable[[ByteStream], Awaitable[None]]


class PipeEnd(ByteStream):
    """One end of a byte pipe in memory. `capacity`: how many unread bytes the other end may send before it waits."""

    def __init__(self, capacity: int = 65536) -> None:
        self.capacity = capacity
        self.unread = bytearray()
        self.sent_by_other = 0  # bytes, ever
        self.ended = False  # no more will come
        self.closed = False
        self._changed = anyio.Event()
        self.other: PipeEnd

    def _tell(self) -> None:
        for end in (self, self.other):
            end._changed.set()
            end._changed = anyio.Event()

    async def receive(self, max_bytes: int = 65536) -> bytes:
        while not self.unread:
            if self.closed:
                raise anyio.ClosedResourceError
            if self.ended:
                raise anyio.EndOfStream
            await self._changed.wait()
        await anyio.sleep(0)
        data = bytes(self.unread[:max_bytes])
        del self.unread[:max_bytes]
        self._tell()
        return data

    async def send(self, item: bytes) -> None:
        await anyio.sleep(0)
        while item:
            if self.closed:
                raise anyio.ClosedResourceError
            if self.other.closed:
                raise anyio.BrokenResourceError
            room = self.other.capacity - len(self.other.unread)
            if room > 0:
                self.other.unread += item[:room]
                self.other.sent_by_other += len(item[:room])
                item = item[room:]
                self._tell()
            else:
                await self._changed.wait()

    async def send_eof(self) -> None:
        self.other.ended = True
        self._tell()

    async def aclose(self) -> None:
        self.closed = True
        self.other.ended = True
        self._tell()


def pipe(capacity: int = 65536) -> tuple[PipeEnd, PipeEnd]:
    here, there = PipeEnd(capacity), PipeEnd(capacity)
    here.other, there.other = there, here
    return here, there


@asynccontextmanager
async def pipe_server(handler: Handler) -> AsyncIterator[Callable[[str, int], Awaitable[ByteStream]]]:
    """A connect function whose every connection is served by `handler`, in memory."""
    async with anyio.create_task_group() as tasks:

        async def serve(end: PipeEnd) -> None:
            try:
                await handler(end)
            finally:
                await end.aclose()

        async def connect(host: str, port: int) -> ByteStream:
            here, there = pipe()
            tasks.start_soon(serve, there)
            return here

        yield connect
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def tcp_server(handler: Handler) -> AsyncIterator[int]:
    """A loopback port whose every connection is served by `handler`, then closed."""

    async def serve(stream: ByteStream) -> None:
        async with stream:
            await handler(stream)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(listener.serve, serve)
        yield listener.extra(SocketAttribute.local_port)
        tasks.cancel_scope.cancel()


async def read_head(stream: ByteStream) -> bytes:
    """Everything up to the end of an HTTP head, and whatever came in the same read."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += await stream.receive()
    return data


async def read_request(stream: ByteStream) -> bytes:
    """A whole request whose body has a length."""
    data = await read_head(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length is not None and len(body) < int(length[1]):
        body += await stream.receive()
    return head + b"\r\n\r\n" + body


class SmallExchange(Server):
    """The server's interface with nothing behind it: says back what it was told, and remembers it.

    A WebSocket echoes; `burst N` says N messages, `close N` closes with that code. `/later/N` makes a thing
    due in N ns that every session is told of.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str, bytes]] = []
        self.times: list[int] = []
        self.sessions: list[Session] = []
        self.left = 0
        self.due: list[int] = []

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes, now: int) -> Reply:
        self._note(now)
        self.told.append((method, target, body))
        if "/later/" in target:
            self.due.append(now + int(target.partition("/later/")[2]))
        said = {"method": method, "target": target, "body": body.decode("latin-1"), "headers": dict(headers)}
        return Reply(201 if method == "POST" else 200, {"Content-Type": "application/json"}, json.dumps(said).encode())

    def upgrade(self, target: str, headers: Mapping[str, str], now: int) -> Session | Reply:
        self._note(now)
        if target.startswith("/api/v2/ranger/private") and "x-auth-apikey" not in headers:
            return Reply(401, {"Content-Type": "application/json"}, b'{"errors":["authz.invalid_session"]}')
        session = Session()
        session.outgoing.append("welcome")
        self.sessions.append(session)
        return session

    def receive(self, session: Session, text: str, now: int) -> None:
        self._note(now)
        if text.startswith("burst "):
            session.outgoing.extend(f"message {number}".ljust(1000) for number in range(int(text[6:])))
        elif text.startswith("close "):
            session.close_code = int(text[6:])
        else:
            session.outgoing.append(f"you said {text}")

    def disconnect(self, session: Session) -> None:
        self.sessions.remove(session)
        self.left += 1

    def advance(self, now: int) -> None:
        self._note(now)
        for due in [due for due in self.due if due <= now]:
            self.due.remove(due)
            for session in self.sessions:
                session.outgoing.append(f"due {due} at {now}")

    def next_due(self) -> int | None:
        return min(self.due, default=None)

    def _note(self, now: int) -> None:
        assert not self.times or now >= self.times[-1], "time went back"
        self.times.append(now)
