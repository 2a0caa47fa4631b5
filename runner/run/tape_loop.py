"""Engine, venue and tapes as values in one loop of due times: hours of a tape in seconds, and nothing that waits.

Between two moments that matter no Python runs for what is on the tape: the kernel plays to the next of them in one
stride. What matters is a fill of ours, a request that arrives, news that come back, a tick that is due, and a touch or
a trade where the file wants a tick for it. At one moment the order is that of the live run: the tape happens, the
engine is told of it if that is of use to it, then comes the news of our own account, then a wake that is due.

Requests that wait for the budget, the same that live ones wait for, leave as soon as there is room for them. News of
our own account always come, so a trade through a price of ours has nobody look the order up (orders.md rule 14).
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from runner.edge.budget import Bucket
from runner.engine.core import Engine
from runner.engine.feeds import Tape
from runner.engine.strategy import Strategy
from runner.model.command import Command, Finish, Output, Place, Reconnect, Resubscribe
from runner.model.event import (
    Advanced,
    Budget,
    ClockRead,
    Configured,
    Event,
    MarketsRead,
    NonceWindowProbed,
    NotSent,
    Restored,
    StopRequested,
    StreamAlive,
    What,
)
from runner.model.market import Market
from runner.model.settings import SECOND, Settings
from runner.simulation.client import LISTENS
from runner.simulation.recording import NEVER

MINUTE = 60 * SECOND

Touch = tuple[tuple[int, int] | None, tuple[int, int] | None]
"""Best bid and ask, each (ticks, lots)."""


class Track(Tape, Protocol):
    """A market that is played: what the engine reads of it, and how it gets from moment to moment (`TapedMarket`)."""

    @property
    def market(self) -> Market: ...

    @property
    def time(self) -> int:
        """The moment that it has been played to, ns."""

    @property
    def next_time(self) -> int:
        """When it holds something new; `NEVER` at its end."""

    @property
    def next_trade(self) -> int:
        """When it holds the next public trade."""

    @property
    def touch(self) -> Touch:
        """Best bid and best ask."""

    @property
    def filled(self) -> bool:
        """Whether it filled orders of ours that the venue has not been told of."""

    def play(self, until: int, *, stop_on_touch: bool) -> None: ...


class Venue(Protocol):
    """Where requests go and where the news of our account come from, each at its time."""

    def submit(self, command: Command, now: int) -> None: ...

    def moved(self, symbol: str, now: int) -> None:
        """A market has filled orders of ours."""

    def next_due(self) -> int | None: ...

    def advance(self, now: int) -> list[tuple[int, What]]: ...


Told = Callable[[Event, Output], None]
"""Called for each step of the engine that led to anything but a time to wake."""


class TapeLoop:
    """One strategy on one paper account whose markets are tapes, all of them at the moment `venue` was opened at."""

    def __init__(
        self,
        settings: Settings,
        strategy: type[Strategy],
        tapes: Sequence[Track],
        venue: Venue,
        bucket: Bucket,
        told: Told,
    ) -> None:
        self.now = tapes[0].time
        self.finish: Finish | None = None
        self.handled = 0
        """Events that the engine was given."""
        self.tapes = {tape.market.symbol: tape for tape in tapes}
        self.engine = Engine(strategy, self.tapes)
        self._settings = settings
        self._venue = venue
        self._bucket = bucket
        self._told = told
        self._news: deque[What] = deque()  # of our own account, that have come
        self._waiting: deque[Command] = deque()  # for a request of the budget
        self._told_free: int | None = None
        self._wake_at: int | None = None
        self._wants_touch, self._wants_trades = (cause in settings.tick.when for cause in ("book", "trade"))
        self._touches: dict[str, Touch] = {}  # as the engine was last told of them
        self._traded: dict[str, int] = {}
        self._ask_venue()
        self._alive_every = (settings.limits.max_account_age or NEVER) // 2
        self._alive_at = self.now + self._alive_every

    def begin(self) -> None:
        """Everything up to the first tick's preconditions: a fresh journal, known rules, an exact clock."""
        for what in (
            Configured(self._settings),
            Restored(self.now // MINUTE),
            MarketsRead(tuple(tape.market for tape in self.tapes.values())),
            ClockRead(0, 0),
            NonceWindowProbed(enforced=True),
            LISTENS,
        ):
            self.deliver(what)

    def run(self, until: int) -> None:
        """Let everything happen up to `until`, ns, or until the engine has finished."""
        while self.finish is None:
            symbol = self._moved()
            if symbol is not None:
                tape = self.tapes[symbol]
                self._touches[symbol], self._traded[symbol] = tape.touch, tape.traded
                self.deliver(Advanced(symbol))
            elif self._news:
                self.deliver(self._news.popleft())
            elif self._venue_at <= self.now:
                self._news.extend(what for _, what in self._venue.advance(self.now))
                self._ask_venue()
            elif self._waiting and self._bucket.take(self.now):
                self._venue.submit(self._waiting.popleft(), self.now)
                self._ask_venue()
            elif self._alive_at <= self.now:
                self._alive_at = self.now + self._alive_every
                self.deliver(StreamAlive("private"))
            elif self.now >= until:
                return
            else:
                self._play(min(until, self._next()))

    def stop(self, by: str, reason: str = "") -> None:
        self.deliver(StopRequested(by, reason=reason))

    def deliver(self, what: What) -> None:
        """One event to the engine, after what it has to know of the budget."""
        free = self._bucket.free(self.now)
        if free != self._told_free:
            self._told_free = free
            self._handle(Budget(free, self._bucket.refill_at(self.now)))
        if self.finish is None:
            self._handle(what)

    # What is next ----------------------------------------------------------------------------------------

    def _moved(self) -> str | None:
        """A market of which the engine should be told now: to wake it, or because the file wants a tick for that."""
        if self._wake_at is not None and self._wake_at <= self.now:
            return next(iter(self.tapes))
        if self._watches_touch:
            for symbol, tape in self.tapes.items():
                if tape.touch != self._touches.get(symbol):
                    return symbol
        if self._watches_trades:
            for symbol, tape in self.tapes.items():
                if tape.traded != self._traded.get(symbol):
                    return symbol
        return None

    @property
    def _watches_touch(self) -> bool:
        """Only the first change since the last tick is news: the others change nothing about the next one."""
        return self._wants_touch and not self.engine.feeds.moved

    @property
    def _watches_trades(self) -> bool:
        return self._wants_trades and not self.engine.feeds.traded

    def _ask_venue(self) -> None:
        """When it is due next: only what it was asked or told changes that."""
        due = self._venue.next_due()
        self._venue_at = NEVER if due is None else due

    def _next(self) -> int:
        """The next moment at which something happens whatever the tapes hold."""
        at = min(self._venue_at, self._alive_at)
        if self._wake_at is not None:
            at = min(at, self._wake_at)
        if self._waiting:
            at = min(at, self._bucket.refill_at(self.now))
        if at == NEVER:
            raise AssertionError("the engine waits for nothing")
        return at

    def _play(self, until: int) -> None:
        """Play the tapes to a moment at or before `until`: of several, only as far as nothing happens on the others."""
        tapes = self.tapes.values()
        if self._watches_trades:
            until = min(until, *(tape.next_trade for tape in tapes))
        watches_touch = self._watches_touch
        if len(tapes) == 1:
            (first,) = tapes
        else:
            first, second, *_ = sorted(tapes, key=lambda tape: tape.next_time)
            until = min(until, second.next_time)
        first.play(until, stop_on_touch=watches_touch)
        self.now = first.time
        for symbol, tape in self.tapes.items():
            if tape is not first:
                tape.play(self.now, stop_on_touch=watches_touch)
            if tape.filled:
                self._venue.moved(symbol, self.now)
                self._ask_venue()

    # The engine ------------------------------------------------------------------------------------------

    def _handle(self, what: What) -> None:
        self.handled += 1
        event = Event(self.handled, self.now, what)
        output = self.engine.handle(event)
        self._wake_at = output.wake_at
        if output.commands or output.changes or output.notes:
            self._told(event, output)
            if output.commands:
                self._submit(output.commands)

    def _submit(self, commands: Iterable[Command]) -> None:
        for command in commands:
            match command:
                case Finish():
                    self.finish = command
                case Resubscribe() | Reconnect():
                    pass  # there is no line that could be down
                case _ if self._bucket.take(self.now):
                    self._venue.submit(command, self.now)
                case Place():
                    self.deliver(NotSent(command.client_id, "no request left"))
                case _:
                    self._waiting.append(command)
        self._told_free = self._bucket.free(self.now)
        self._ask_venue()
