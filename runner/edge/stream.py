"""Keeps one stream of a venue connected: connect, subscribe, deliver, notice the end, wait, again; until cancelled.

Says nothing about the meaning of a message. Everything that happens goes into the run's inbox in order (see
`inbox.py` for the stories it can tell). Rules: wire reference 6.2 and 13.9, design section 4 row 2.
"""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, NoReturn

import anyio
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectSendStream
from websockets.uri import WebSocketURI

from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Connected, Disconnected, Frames, Item, Refused
from runner.edge.network import Connect, connect_tcp, secure, words
from runner.edge.websocket import HandshakeRefused, Link, LinkClosed, websocket_address
from runner.model.event import Stream
from runner.model.settings import SECOND

CONNECT_S = 10.0  # for TCP, TLS and handshake together
SILENCE_S = 60.0  # the venue pings every 54 s, so a connection without a byte for longer is dead
BACK_OFF_MIN_S = 1.0
BACK_OFF_MAX_S = 30.0
STEADY_S = 30.0  # a connection that lived so long was a good one: the next back-off is short again
MESSAGES = 50  # of ours in MESSAGES_NS at most (wire reference 8)
MESSAGES_NS = 12 * SECOND

WhenFull = Literal["drop", "wait"]
"""Inbox full: drop the socket (public: a book can be had anew) or leave it unread for a while (private)."""


class Outbox:
    """What the run wants of a stream while it is up. Nothing here waits; a new connection begins with it empty."""

    def __init__(self, size: int = 64) -> None:
        self._size = size
        self._texts: deque[str] = deque()
        self._reconnect: str | None = None
        self._changed = anyio.Event()

    def send(self, texts: Sequence[str]) -> bool:
        """Queue all of these messages; False, and none of them, if there is no room."""
        if len(self._texts) + len(texts) > self._size:
            return False
        self._texts.extend(texts)
        self._changed.set()
        return True

    def reconnect(self, reason: str) -> None:
        """Give up the present connection, if there is one, and make another."""
        self._reconnect = reason
        self._changed.set()

    async def next(self) -> list[str]:
        """Wait for messages and take them all. Raises LinkClosed when another connection is wanted."""
        while not self._texts and self._reconnect is None:
            await self._changed.wait()
            self._changed = anyio.Event()
        if self._reconnect is not None:
            raise LinkClosed(f"given up by us: {self._reconnect}")
        texts = list(self._texts)
        self._texts.clear()
        return texts

    def begin(self) -> None:
        """Forget what was meant for the connection before."""
        self._texts.clear()
        self._reconnect = None


async def run_stream(
    name: Stream,
    url: str,
    *,
    headers: Callable[[], Mapping[str, str]],
    greeting: Callable[[], Sequence[str]],
    inbox: MemoryObjectSendStream[Item],
    outbox: Outbox,
    clock: Clock,
    dice: random.Random,
    when_full: WhenFull,
    connect: Connect = connect_tcp,
) -> NoReturn:
    """Keep a stream connected until cancelled; then it says goodbye, within 2 s.

    `headers` are asked for when the connection is open and the handshake is about to leave (signatures age), the
    `greeting` after it: the messages that subscribe. `dice` jitters the back-off, so that not all clients come back
    at the same moment. Raises ValueError for a URL that is not ws(s).
    """
    address = websocket_address(url)
    stream = _Stream(name, address, headers, greeting, inbox, outbox, clock, when_full, connect)
    failures = 0
    while True:
        lived_s = await stream.live_once()
        failures = 1 if lived_s >= STEADY_S else failures + 1
        await anyio.sleep(back_off_s(failures, dice))


def back_off_s(failures: int, dice: random.Random) -> float:
    """How long to wait after so many failures in a row (from 1): 1-2 s, 2-4 s, ... 15-30 s."""
    longest = min(BACK_OFF_MAX_S, 2.0 * BACK_OFF_MIN_S * 2.0 ** min(failures - 1, 10))
    return dice.uniform(longest / 2, longest)


class _Stream:
    """One life of a connection after the other."""

    def __init__(
        self,
        name: Stream,
        address: WebSocketURI,
        headers: Callable[[], Mapping[str, str]],
        greeting: Callable[[], Sequence[str]],
        inbox: MemoryObjectSendStream[Item],
        outbox: Outbox,
        clock: Clock,
        when_full: WhenFull,
        connect: Connect,
    ) -> None:
        self._name: Stream = name
        self._address = address
        self._headers = headers
        self._greeting = greeting
        self._inbox = inbox
        self._outbox = outbox
        self._clock = clock
        self._when_full = when_full
        self._connect = connect
        self._messages = Bucket(MESSAGES, MESSAGES_NS)

    async def live_once(self) -> float:
        """One attempt, from connecting to the end of the connection. Returns how many seconds it was up."""
        link, ending = await self._open()
        if link is None:
            assert ending is not None
            await self._inbox.send(ending)
            return 0.0
        self._outbox.begin()
        born = anyio.current_time()
        try:
            await self._inbox.send(Connected(self._name, self._clock.now()))
            reason = await self._talk(link)
        except BaseException:  # cancelled: the one occasion to be polite, everything else is over already
            await link.aclose()
            raise
        await link.abort()
        await self._inbox.send(Disconnected(self._name, reason, self._clock.now()))
        return anyio.current_time() - born

    async def _open(self) -> tuple[Link | None, Item | None]:
        """A connection, or how the attempt ended."""
        try:
            with anyio.fail_after(CONNECT_S):
                return await self._shake_hands(), None
        except TimeoutError:
            reason = f"no connection within {CONNECT_S:g} s"
        except HandshakeRefused as refusal:
            return None, Refused(self._name, refusal.status, refusal.body, self._clock.now())
        except LinkClosed as closed:
            reason = str(closed)
        except OSError as error:
            reason = f"cannot connect: {words(error)}"
        return None, Disconnected(self._name, reason, self._clock.now())

    async def _shake_hands(self) -> Link:
        stream: ByteStream = await self._connect(self._address.host, self._address.port)
        try:
            if self._address.secure:
                stream = await secure(stream, self._address.host)
            return await Link.open_client(stream, self._address, self._headers())
        except BaseException:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)
            raise

    async def _talk(self, link: Link) -> str:
        """Receive and send at the same time until either finds the connection at its end. Returns why it ended."""
        reasons = []

        async def until_closed(work: Callable[[Link], Awaitable[NoReturn]]) -> None:
            try:
                await work(link)
            except LinkClosed as closed:
                reasons.append(str(closed))
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(until_closed, self._receive)
            tasks.start_soon(until_closed, self._send)
        return reasons[0]

    async def _receive(self, link: Link) -> NoReturn:
        while True:
            texts = await link.receive(SILENCE_S)
            frames = Frames(self._name, tuple(texts), self._clock.now())
            if self._when_full == "wait":
                await self._inbox.send(frames)
                continue
            try:
                self._inbox.send_nowait(frames)
            except anyio.WouldBlock:
                raise LinkClosed("inbox full: we read slower than the venue writes") from None

    async def _send(self, link: Link) -> NoReturn:
        # Beside receiving, not before it: the venue answers each subscription at once, and drops who does not read.
        texts = list(self._greeting())
        while True:
            for text in texts:
                await self._messages.wait(self._clock)
                await link.send([text])
            texts = await self._outbox.next()
