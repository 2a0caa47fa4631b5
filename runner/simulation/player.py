"""Plays a recording into an exchange: levels change and trades are printed when they did, or faster.

The resident of a market that comes from a tape. It takes one moment of the tape at a time; what trades do to members'
orders is the kernel's word, and money, rows and news are the exchange's.
"""

from collections import deque
from collections.abc import Iterator
from typing import Literal

from runner.model.order import Side
from runner.simulation.exchange import Exchange
from runner.simulation.house import House
from runner.simulation.kernel import BUY, SELL
from runner.simulation.recording import BOUGHT, NEVER, Recording

AtEnd = Literal["hold", "loop", "stop"]
"""After the last row: the book stands still and can still be traded with; from the snapshot again; or no more venue
(which is for whoever owns the exchange to see to).
"""

BURST, BURST_PAUSE = 100, 1_000_000
"""Rows that are told at once, and the ns until the next ones. A frame holds up to 800 changes, which really happened
over 100 ms; a client that lets 256 messages wait is dropped (wire reference 6.2).
"""
LOOP_PAUSE = 1_000_000_000
"""Time of the tape between its last row and its first."""


class Player:
    """`speed` 2 is twice as fast as it was recorded. The snapshot is in the book before anybody looks."""

    def __init__(self, recording: Recording, house: House, *, now: int, speed: float, at_end: AtEnd) -> None:
        if not 0 < speed < float("inf"):
            raise ValueError(f"speed {speed} is not above zero")
        self.recording = recording
        self.book = house.book
        self.rows = 0
        """Rows of the tape that have happened, since its start or since it began again."""
        self.rounds = 0
        """How often it has been played to its end."""
        self._house = house
        self._speed = speed
        self._at_end = at_end
        self._start = self._opened = now  # when the first row happened, this time and at first
        self._waiting: deque[tuple[int, int, int]] = deque()  # kind, ticks and lots, of the moment that is going on
        self._rows_then = 0  # rows that will have happened when it is over
        self._load(now)
        self._schedule(now)

    @property
    def ended(self) -> bool:
        """Nothing more will come."""
        return self.rounds > 0 and self._at_end != "loop"

    @property
    def ends(self) -> int:
        """When the last row happens, ns; later by what bursts cost."""
        return self._start + int((self.recording.end - self.recording.start) / self._speed)

    def act(self, exchange: Exchange) -> None:
        if self.due != self._due:  # time was left out: a suspended machine
            self._start += self.due - self._due
        if not self._waiting:
            self._begin(exchange.now)
        for _ in range(min(BURST, len(self._waiting))):
            self._play(exchange, *self._waiting.popleft())
        if not self._waiting:
            self.rows = self._rows_then
        self._schedule(exchange.now)

    # Rows ------------------------------------------------------------------------------------------------

    def _schedule(self, now: int) -> None:
        tape = self.recording
        if self._waiting:
            self.due = now + BURST_PAUSE
        elif self.rows < len(tape):
            self.due = max(now + 1, self._start + int((tape.times[self.rows] - tape.start) / self._speed))
        else:
            self.rounds += 1
            self.due = now + int(LOOP_PAUSE / self._speed) if self._at_end == "loop" else NEVER
        self._due = self.due

    def _begin(self, now: int) -> None:
        """Take up the rows of the next moment, or those that lead back to the first."""
        tape = self.recording
        if self.rows < len(tape):
            self._rows_then = self._moment_end(self.rows)
            columns = (column[self.rows : self._rows_then] for column in (tape.kinds, tape.ticks, tape.lots))
            self._waiting.extend(zip(*columns, strict=True))
        else:
            self._start = now
            self._rows_then = self._moment_end(0)
            self._waiting.extend(self._way_back())

    def _way_back(self) -> Iterator[tuple[int, int, int]]:
        """Changes from the last book to the first; levels that go come first, so it is not crossed on the way."""
        opening = self._opening()
        for side in (BUY, SELL):
            for ticks in self.book.kernel.recorded(side):
                if (side, ticks) not in opening:
                    yield side, ticks, 0
        for (side, ticks), lots in opening.items():
            yield side, ticks, lots

    def _opening(self) -> dict[tuple[int, int], int]:
        """What the book holds after the first moment: lots by side and ticks."""
        tape = self.recording
        rows = range(self._moment_end(0))
        levels = {(tape.kinds[row], tape.ticks[row]): tape.lots[row] for row in rows if tape.kinds[row] <= SELL}
        return {level: lots for level, lots in levels.items() if lots}

    def _load(self, now: int) -> None:
        """The snapshot, to a world that does not look yet."""
        for (side, ticks), lots in self._opening().items():
            self.book.kernel.level(side, ticks, lots, self._tape_time(now))
        self.book.kernel.touched.clear()
        self.rows = self._moment_end(0)

    def _moment_end(self, row: int) -> int:
        """Rows that will have happened when those of a row's moment have."""
        times, end = self.recording.times, row + 1
        while end < len(times) and times[end] == times[row]:
            end += 1
        return end

    def _play(self, exchange: Exchange, kind: int, ticks: int, lots: int) -> None:
        kernel, now = self.book.kernel, self._tape_time(exchange.now)
        if kind <= SELL:
            kernel.level(kind, ticks, lots, now)
            self._house.report()
            return
        left = kernel.trade(BUY if kind % 2 else SELL, ticks, lots, now, unseen=kind > BOUGHT)
        self._house.report()
        if left:
            self._house.print_trade(Side.BUY if kind % 2 else Side.SELL, ticks, left)

    def _tape_time(self, now: int) -> int:
        """A clock that runs as the tape does, and goes on when it begins again."""
        return min(NEVER, int((now - self._opened) * self._speed))
