"""A recorded market while it is played: what the exchange would show of it at this moment, and what has traded so far.

A kernel goes over the tape's columns in one stride from moment to moment; nothing here happens row by row. What the
book shows is what the exchange's own would: recorded volume that is still there, and the orders that rest in it now.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from runner.model.event import PublicTrade
from runner.model.order import Side
from runner.simulation.kernel import BUY, SELL, Kernel
from runner.simulation.recording import NEVER, SOLD, Gap, Recording

SECOND = 1_000_000_000
Level = tuple[int, int]
"""(ticks, lots)"""

_NONE: Sequence[Level] = ()


class TapedMarket:
    """One tape, its kernel, and how far they are. The opening snapshot has happened.

    Its book stands still in a gap of the recording, and says so.
    """

    def __init__(self, recording: Recording, kernel: Kernel) -> None:
        self.recording = recording
        self.market = recording.market
        self.kernel = kernel
        self.time = recording.start
        """The moment that it has been played to, UTC ns; all rows up to it have happened."""
        kinds = recording.kinds
        self._changes = -1
        """Of the kernel's own orders, when the touch was looked up; -1 when the tape has moved since then."""
        self._touch: tuple[Level | None, Level | None] = (None, None)
        self._trades = [row for row in range(len(kinds)) if kinds[row] >= SOLD]
        self._traded = 0
        kernel.load(recording.times, kinds, recording.ticks, recording.lots)
        self.rows = kernel.run(self.time, stop_on_touch=False)
        """How many have happened."""

    # Playing ---------------------------------------------------------------------------------------------

    @property
    def next_time(self) -> int:
        """When the next row happens; `NEVER` after the last."""
        times = self.recording.times
        return times[self.rows] if self.rows < len(times) else NEVER

    @property
    def next_trade(self) -> int:
        """When the next public trade happens; `NEVER` after the last."""
        traded = self.traded
        return self.recording.times[self._trades[traded]] if traded < len(self._trades) else NEVER

    @property
    def filled(self) -> bool:
        """Whether orders were filled that nobody has heard of."""
        return bool(self.kernel.fills)

    def play(self, until: int, *, stop_on_touch: bool) -> None:
        """Go on to `until`, or to the first moment before it that fills an order of ours. With `stop_on_touch` also to
        the first that changes a best recorded price or its size, and not beyond the last that holds a row.
        """
        if self.recording.gaps:
            self._changes = -1  # one may begin or end without a row
        if self.next_time > until:
            self.time = until
            return
        self._changes = -1
        kernel = self.kernel
        rows = self.rows = kernel.run(until, stop_on_touch=stop_on_touch)
        stopped = stop_on_touch or kernel.fills or self.next_time <= until
        self.time = self.recording.times[rows - 1] if stopped else until

    # What there is ---------------------------------------------------------------------------------------

    @property
    def state(self) -> Literal["live", "gap"]:
        return "gap" if self.recording.gaps and self._gap() else "live"

    @property
    def reason(self) -> str:
        gap = self._gap()
        return f"the recording has a gap, {gap}" if gap else ""

    @property
    def changed_at(self) -> int:
        return self.recording.times[self.rows - 1]

    @property
    def heard_at(self) -> int:
        gap = self._gap() if self.recording.gaps else None
        return gap.time if gap else self.time

    @property
    def touch(self) -> tuple[Level | None, Level | None]:
        """Best bid and best ask; looked up once for each state of the book, since everybody asks for them."""
        if self._changes != self.kernel.changes:
            self._changes = self.kernel.changes
            gap = self.recording.gaps and self._gap()
            self._touch = (None, None) if gap else (self.kernel.best(BUY), self.kernel.best(SELL))
        return self._touch

    def best_bid(self) -> Level | None:
        return self.touch[BUY]

    def best_ask(self) -> Level | None:
        return self.touch[SELL]

    def bids(self, count: int) -> Sequence[Level]:
        return self._levels(BUY, count)

    def asks(self, count: int) -> Sequence[Level]:
        return self._levels(SELL, count)

    def _gap(self) -> Gap | None:
        for gap in self.recording.gaps:
            if gap.time <= self.time < gap.until:
                return gap
        return None

    def _levels(self, side: int, count: int) -> Sequence[Level]:
        return _NONE if self.recording.gaps and self._gap() else self.kernel.levels(side, count)

    # What traded -----------------------------------------------------------------------------------------

    @property
    def traded(self) -> int:
        """How many public trades have happened so far."""
        rows, traded = self.rows, self._traded
        while traded < len(self._trades) and self._trades[traded] < rows:
            traded += 1
        self._traded = traded
        return traded

    def trades(self, first: int, last: int) -> Sequence[PublicTrade]:
        """Those from number `first` (from 0) up to `last`, which is not among them."""
        tape, symbol = self.recording, self.market.symbol
        return [
            PublicTrade(
                symbol,
                number,
                tape.ticks[row],
                tape.lots[row],
                Side.BUY if tape.kinds[row] % 2 else Side.SELL,
                tape.times[row] // SECOND,
            )
            for number, row in enumerate(self._trades[first:last], first + 1)
        ]


def twice_mids(tape: TapedMarket, times: Iterable[int]) -> dict[int, int]:
    """Twice the mid price (ticks) at each of these times (ns, ascending), where the tape has one.

    `tape` is played for it; one without orders of ours tells what the market did whatever we had done.
    """
    found = {}
    for time in times:
        if time > tape.recording.end:
            break
        tape.play(max(time, tape.time), stop_on_touch=False)
        bid, ask = tape.best_bid(), tape.best_ask()
        if bid is not None and ask is not None and time >= tape.recording.start:
            found[time] = bid[0] + ask[0]
    return found
