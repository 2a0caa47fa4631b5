"""A network in memory: lines between a caller and a host, with latency, loss, cuts and silence, all from seeded dice.

A line is two ends, each an anyio byte stream. What an end sends arrives at the other in order, each piece at its own
time by the event loop's clock; on trio's `MockClock` that is virtual time. Durations are seconds.
"""

import math
import re
from collections import deque
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import ByteStream, TaskGroup
from msgspec import Struct

from runner.simulation.dice import Dice

ROOM = 256 * 1024
"""Bytes that may be under way or unread at an end before its peer has to wait, as with TCP."""

_CREATE = re.compile(rb'"client_id":\s*"([^"]+)"')


class Weather(Struct, frozen=True, kw_only=True):
    """What may happen. Chances are for each piece that a caller sends, or for each connection."""

    latency: tuple[float, float] = (0.001, 0.03)  # one way, for each piece
    slow: float = 0.0  # this piece takes up to `slow_s` instead
    slow_s: float = 3.0
    refused: float = 0.0  # the connection is not made
    request_lost: float = 0.0  # the piece does not arrive, and the line is cut or goes silent
    answer_lost: float = 0.0  # the piece arrives, and what comes back does not: the line is cut or goes silent
    cut: float = 0.0  # the line is cut within a minute of having been made
    stall: float = 0.0  # the line goes silent, both ends still open, within a minute of having been made


FAIR = Weather()


class Tally(Struct):
    """What has gone wrong on the network so far, and how often each create was sent."""

    connections: int = 0
    refused: int = 0
    requests_lost: int = 0
    answers_lost: int = 0
    cuts: int = 0
    stalls: int = 0
    creates: dict[str, int] = {}

    @property
    def faults(self) -> int:
        return self.refused + self.requests_lost + self.answers_lost + self.cuts + self.stalls


class Network:
    """One caller's way to one host, which is whatever serves a byte stream. `tasks` outlives the caller.

    `before_send` and `after_send` are moments of the caller: a piece is about to leave, or has just left. They may
    raise, and then it is as if the caller had died there.
    """

    def __init__(self, host: Callable[[ByteStream], Awaitable[None]], tasks: TaskGroup, dice: Dice) -> None:
        self.weather = FAIR
        self.tally = Tally()
        self._host = host
        self._tasks = tasks
        self._dice = dice
        self._lines: list[Line] = []
        self._moment: Callable[[], None] = lambda: None
        self.down = False

    def at_each_send(self, moment: Callable[[], None]) -> None:
        """Call this before and after each piece that the caller sends."""
        self._moment = moment

    async def connect(self, host: str, port: int) -> ByteStream:
        """The seam: see `runner.edge.network.Connect`."""
        await anyio.sleep(self._dice.between(*self.weather.latency))
        if self.down or self._happens(self.weather.refused):
            self.tally.refused += not self.down
            raise ConnectionRefusedError("Connection refused")
        self.tally.connections += 1
        self._lines = [line for line in self._lines if not line.over]
        line = Line(self)
        self._lines.append(line)
        self._tasks.start_soon(self._host, line.far)
        for chance, fate in ((self.weather.cut, line.cut), (self.weather.stall, line.stall)):
            if self._happens(chance):
                self._tasks.start_soon(_later, self._dice.between(0, 60), fate)
        return line.near

    def die(self) -> None:
        """The caller is gone: nothing more leaves, what had left arrives, and then the host reads an end."""
        self.down = True
        for line in self._lines:
            line.die()

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._dice.uniform() < chance

    # What a line asks ------------------------------------------------------------------------------------

    def delay(self) -> float:
        if self._happens(self.weather.slow):
            return self._dice.between(0, self.weather.slow_s)
        return self._dice.between(*self.weather.latency)

    def departs(self, line: "Line", data: bytes) -> bool:
        """A piece of the caller leaves; False if it never arrives."""
        for client_id in _CREATE.findall(data):
            name = client_id.decode()
            self.tally.creates[name] = self.tally.creates.get(name, 0) + 1
        if self._happens(self.weather.request_lost):
            self.tally.requests_lost += 1
            self._end(line)
            return False
        if self._happens(self.weather.answer_lost):
            self.tally.answers_lost += 1
            line.near.deaf = True
            if self._dice.below(2):
                self._tasks.start_soon(_later, self._dice.between(0.1, 3), line.cut)
        return True

    def _end(self, line: "Line") -> None:
        if self._dice.below(2):
            line.cut()
        else:
            line.stall()

    def crossing(self) -> None:
        self._moment()


class Line:
    """Two ends. `cut` loses what is under way and tells both; `stall` loses everything from now on and tells nobody."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.near = End(self, network.delay)
        self.far = End(self, network.delay)
        self.near.peer, self.far.peer = self.far, self.near
        self._fated = False

    @property
    def over(self) -> bool:
        return self.near.closed

    def cut(self) -> None:
        if self._begins_to_end():
            self.network.tally.cuts += 1
            for end in (self.near, self.far):
                end.break_now()

    def stall(self) -> None:
        if self._begins_to_end():
            self.network.tally.stalls += 1
            for end in (self.near, self.far):
                end.deaf = True

    def die(self) -> None:
        self.near.break_now()
        self.far.arrive(b"", end=True)

    def _begins_to_end(self) -> bool:
        first = not (self._fated or self.over)
        self._fated = True
        return first


class End(ByteStream):
    """One end of a line."""

    peer: "End"

    def __init__(self, line: Line, delay: Callable[[], float]) -> None:
        self.deaf = False  # nothing that is sent to here arrives any more
        self.closed = False
        self._line = line
        self._delay = delay
        self._broken = False
        self._pieces: deque[tuple[float, bytes, bool]] = deque()  # when it arrives, what, whether it is the last
        self._bytes = 0
        self._last_arrival = -math.inf
        self._changed = anyio.Event()

    # The stream ------------------------------------------------------------------------------------------

    async def receive(self, max_bytes: int = 65536) -> bytes:
        await anyio.lowlevel.checkpoint()
        while True:
            self._check()
            if self._pieces and self._pieces[0][0] <= anyio.current_time():
                return self._take(max_bytes)
            with anyio.CancelScope(deadline=self._pieces[0][0] if self._pieces else math.inf):
                await self._changed.wait()

    async def send(self, item: bytes) -> None:
        await anyio.lowlevel.checkpoint()
        ours = self is self._line.near
        self._check()
        if ours:
            self._line.network.crossing()
            self._check()
        if not ours or self._line.network.departs(self._line, bytes(item)):
            self.peer.arrive(bytes(item))
        if ours:
            self._line.network.crossing()
        while self.peer.full and not self.closed:
            self._check()
            await self._changed.wait()

    async def send_eof(self) -> None:
        self._check()
        self.peer.arrive(b"", end=True)

    async def aclose(self) -> None:
        if not self.closed:
            self.closed = True
            self.peer.arrive(b"", end=True)
            self._wake()
        await anyio.lowlevel.checkpoint()

    # What happens to it ----------------------------------------------------------------------------------

    @property
    def full(self) -> bool:
        return self._bytes > ROOM and not self.closed

    def arrive(self, data: bytes, *, end: bool = False) -> None:
        """Something was sent to here; it is here a little later, never before what was sent earlier."""
        if self.deaf or self._broken or self.closed:
            return
        self._last_arrival = max(self._last_arrival, anyio.current_time() + self._delay())
        self._pieces.append((self._last_arrival, data, end))
        self._bytes += len(data)
        self._wake()

    def break_now(self) -> None:
        self._broken = True
        self._pieces.clear()
        self._wake()

    def _take(self, max_bytes: int) -> bytes:
        at, data, end = self._pieces.popleft()
        if end:
            self._pieces.appendleft((at, data, end))  # for whoever asks again
            raise anyio.EndOfStream
        if len(data) > max_bytes:
            self._pieces.appendleft((at, data[max_bytes:], False))
            data = data[:max_bytes]
        self._bytes -= len(data)
        self.peer._wake()
        return data

    def _check(self) -> None:
        if self.closed:
            raise anyio.ClosedResourceError
        if self._broken:
            raise anyio.BrokenResourceError

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


async def _later(seconds: float, what: Callable[[], None]) -> None:
    await anyio.sleep(seconds)
    what()
