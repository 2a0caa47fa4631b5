"""The sandbox's sockets: a local exchange on a loopback port, HTTP and WebSocket, over anyio on either backend.

What it says is decided in `altmarkets/server.py`; here are connections, their deadlines and their end. As at the
real venue (wire reference 6.2) a WebSocket is pinged every 54 s, must answer within 60 s, and is dropped without a
close frame once more than 256 messages wait behind a write that it does not take.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NoReturn, TypeVar

import anyio
from anyio.abc import ByteStream, SocketAttribute
from websockets.datastructures import Headers
from websockets.http11 import Response

from runner.altmarkets.server import Pending, Reply, Server, Session
from runner.edge.clock import Clock
from runner.edge.conversation import Conversation, Hangup, HttpRequest, phrase
from runner.edge.network import LOST, hang_up
from runner.edge.websocket import Link, LinkClosed

MESSAGE_BYTES_MAX = 512
BACKLOG_MAX = 256
TURNS, TURN_S = 10, 0.01
"""A write that is unfinished after so many turns of the loop is one that the client does not take. Turns and not only
time: where the whole process had to wait (a busy machine), the write had no turn either.
"""
PING_S = 54.0
PONG_S = 60.0
PATIENCE_S = 2.0
NORMAL, NOT_UTF8 = 1000, 1007  # close codes

T = TypeVar("T")


class Venue:
    """A running sandbox. Paths of requests follow `rest_url`; `/public` and `/private` follow `stream_url`."""

    def __init__(self, rest_url: str, stream_url: str, doors: "Doors") -> None:
        self.rest_url = rest_url
        self.stream_url = stream_url
        self._doors = doors

    async def drop_connections(self) -> None:
        """Cut every connection, as a crash between here and there would. When it returns they are cut."""
        await self._doors.drop_connections()


@asynccontextmanager
async def sandbox(server: Server, *, port: int = 0, host: str = "127.0.0.1", clock: Clock) -> AsyncIterator[Venue]:
    """Serve an exchange on a port (0: a free one) until the block is left; then every connection is cut.

    Raises OSError if the port cannot be had. What the block raises comes out in an ExceptionGroup.
    """
    doors = Doors(server, clock)
    async with await anyio.create_tcp_listener(local_host=host, local_port=port) as listener:
        bound = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio's extra, not Django's
        origin = f"{f'[{host}]' if ':' in host else host}:{bound}/api/v2"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(doors.keep_time)
            tasks.start_soon(listener.serve, doors.welcome)
            try:
                yield Venue(f"http://{origin}/peatio", f"ws://{origin}/ranger", doors)
            finally:
                tasks.cancel_scope.cancel()


class Doors:
    """Everything about a server that waits. `welcome` takes any byte stream: a simulated network's as well."""

    def __init__(self, server: Server, clock: Clock) -> None:
        self._server = server
        self._clock = clock
        self._guests: dict[ByteStream, anyio.CancelScope] = {}
        self._listeners: dict[Session, _Listener] = {}
        self._asleep_until: float = -math.inf  # ns of the run's clock, as far as `keep_time` knows
        self._sooner = anyio.Event()

    async def keep_time(self) -> NoReturn:
        """Let the exchange do whatever is due, when it is due."""
        while True:
            due = self._server.next_due()
            self._asleep_until = math.inf if due is None else due
            self._sooner = anyio.Event()
            with anyio.CancelScope(deadline=math.inf if due is None else self._clock.deadline(due)):
                await self._sooner.wait()
            self._call(self._server.advance)

    def _call(self, work: Callable[[int], T]) -> T:
        """Ask the server something, now; then see to what it wants said, and to whom, and when it is next due."""
        result = work(self._clock.now())
        for listener in self._listeners.values():
            listener.look()
        due = self._server.next_due()
        if due is not None and due < self._asleep_until:
            self._sooner.set()
        return result

    # Connections -----------------------------------------------------------------------------------------

    async def welcome(self, stream: ByteStream) -> None:
        """Serve one connection to its end."""
        with anyio.CancelScope() as scope:
            self._guests[stream] = scope
            try:
                await self._serve_http(stream)
            finally:
                del self._guests[stream]
                with anyio.CancelScope(shield=True):
                    await anyio.aclose_forcefully(stream)

    async def drop_connections(self) -> None:
        for stream, scope in list(self._guests.items()):
            scope.cancel()
            await anyio.aclose_forcefully(stream)

    async def _serve_http(self, stream: ByteStream) -> None:
        conversation = Conversation(stream)
        try:
            while not (request := await conversation.request()).wants_websocket:
                reply = await self._answer(request)
                if reply.fate != "send":
                    return await _say_nothing(stream, until_they_leave=reply.fate == "hang")
                await conversation.reply(reply.status, reply.headers, reply.body)
        except Hangup:
            await hang_up(stream, PATIENCE_S)
        else:
            await self._serve_websocket(stream, request)

    async def _answer(self, request: HttpRequest) -> Reply:
        # HEAD is GET without the body; the conversation leaves that out.
        method = "GET" if request.method == "HEAD" else request.method
        answer = self._call(
            lambda now: self._server.request(method, request.target, request.headers, request.body, now)
        )
        if isinstance(answer, Pending):
            answer = await self._when_ready(answer)
        if answer.at > self._clock.now():
            await self._clock.sleep_until(answer.at)
        return answer

    async def _when_ready(self, pending: Pending) -> Reply:
        """The answer of a request that is held up; it is carried out by the time that is kept here, not by us."""
        while pending.reply is None:
            await self._clock.sleep_until(pending.due)
            self._call(self._server.advance)
        return pending.reply

    async def _serve_websocket(self, stream: ByteStream, request: HttpRequest) -> None:
        sessions: list[Session] = []

        def decide() -> Response | None:
            answer = self._call(lambda now: self._server.upgrade(request.target, request.headers, now))
            if isinstance(answer, Reply) and answer.fate != "send":
                raise _NoHandshake(answer)
            if isinstance(answer, Reply):
                return _refusal(answer)
            sessions.append(answer)
            return None

        try:
            link = await Link.open_server(stream, request.raw, decide, message_bytes_max=MESSAGE_BYTES_MAX)
            if link is None:
                await hang_up(stream, PATIENCE_S)
            else:
                await self._serve_session(link, sessions[0])
        except LinkClosed:
            pass  # gone in the middle of the handshake
        except _NoHandshake as instead:
            await self._say_instead(stream, instead.reply)
        finally:
            for session in sessions:
                self._server.disconnect(session)

    async def _say_instead(self, stream: ByteStream, reply: Reply) -> None:
        if reply.fate == "raw":
            with suppress(*LOST):
                await stream.send(reply.body)
            await hang_up(stream, PATIENCE_S)
        else:
            await _say_nothing(stream, until_they_leave=reply.fate == "hang")

    async def _serve_session(self, link: Link, session: Session) -> None:
        listener = self._listeners[session] = _Listener(link, session, self._hear)
        try:
            await listener.run()
        finally:
            del self._listeners[session]

    def _hear(self, session: Session, text: str) -> None:
        self._call(lambda now: self._server.receive(session, text, now))


class _NoHandshake(Exception):
    """The client gets something that is no answer to its handshake, or nothing."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.fate)
        self.reply = reply


class _Listener:
    """One WebSocket client: tasks that read, write, ping and watch the backlog; the first to end ends all."""

    def __init__(self, link: Link, session: Session, hear: Callable[[Session, str], None]) -> None:
        self._link = link
        self._session = session
        self._hear = hear
        self._work = anyio.Event()
        self._writing = False
        self._writes = 0
        self._behind = anyio.Event()
        self._scope = anyio.CancelScope()

    def look(self) -> None:
        """The server was busy: there may be something to say to this client."""
        if self._session.outgoing or self._session.close_code is not None:
            self._work.set()
        if self._is_behind():
            self._behind.set()
        if self._session.line != "up":
            self._scope.cancel()

    def _is_behind(self) -> bool:
        return self._writing and len(self._session.outgoing) > BACKLOG_MAX

    async def run(self) -> None:
        """Until the client leaves, the server wants it gone, or it does not keep up: then without a close frame."""
        close_code: int | None = None

        async def until_over(work: Callable[[], Awaitable[int | None]]) -> None:
            nonlocal close_code
            close_code = await work()
            self._scope.cancel()

        self.look()
        with self._scope:
            async with anyio.create_task_group() as tasks:
                for work in (self._read, self._write, self._keep_alive, self._keep_up):
                    tasks.start_soon(until_over, work)
        if self._session.line == "dead":
            await self._link.ignore()
        elif close_code is not None:
            await self._link.aclose(close_code)

    async def _read(self) -> int:
        try:
            while True:
                for message in await self._link.receive():
                    self._hear(self._session, message.decode())
        except LinkClosed:
            return NORMAL
        except UnicodeDecodeError:
            return NOT_UTF8

    async def _write(self) -> int | None:
        session = self._session
        while True:
            while session.outgoing:
                texts = list(session.outgoing)
                session.outgoing.clear()
                self._writing = True
                self._writes += 1
                try:
                    await self._link.send(texts)
                except LinkClosed:
                    return None
                self._writing = False
            if session.close_code is not None:
                return session.close_code
            await self._work.wait()
            self._work = anyio.Event()

    async def _keep_alive(self) -> None:
        """Ping; return when the pong is overdue. Only a pong counts, not what else the client may say."""
        ping_at = self._link.pong_at + PING_S
        while (now := anyio.current_time()) < self._link.pong_at + PONG_S:
            if now >= ping_at:
                ping_at += PING_S
                with suppress(LinkClosed):
                    await self._link.ping()
            await anyio.sleep_until(min(ping_at, self._link.pong_at + PONG_S))

    async def _keep_up(self) -> None:
        """Return when too much waits behind one write that goes on and on."""
        while True:
            await self._behind.wait()
            write = self._writes
            for _ in range(TURNS):
                await anyio.sleep(TURN_S)
            if self._writes == write and self._is_behind():
                return
            self._behind = anyio.Event()
            self.look()


async def _say_nothing(stream: ByteStream, *, until_they_leave: bool) -> None:
    """The end of a connection without an answer: at once, or when the client has had enough."""
    with suppress(anyio.EndOfStream, *LOST):
        while until_they_leave:
            await stream.receive()


def _refusal(reply: Reply) -> Response:
    headers = Headers(reply.headers)
    headers["Content-Length"] = str(len(reply.body))
    headers["Connection"] = "close"
    return Response(reply.status, phrase(reply.status), headers, reply.body)
