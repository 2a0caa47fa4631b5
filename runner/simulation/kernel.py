"""Fills on a tape: what recorded trades and book changes do to orders that were not there when it was recorded.

Prices are ticks, quantities lots, both int64; ids of orders are whole numbers above zero. The kernel knows no money
and no member: it is told what happens and when (ns), in order, and lists fills as (order, ticks, lots, role, other).

What it assumes:

* A new order stands behind all the visible volume at its price, and trades at the price use up what is ahead first.
  A decrease of the level waits for its trade; of what no trade explains the queue model says how much was ahead
  (queues.py has the rules).
* A trade at or through the price of resting orders fills them, best price first, then oldest, each at its own price,
  with at most the traded volume in all less what is ahead: two orders are never filled by the same lots.
* An order that crosses takes what is visible, best price first. What it took stays taken until the feed changes the
  level. Nobody reacts to it.
* Volume that newly appears at or through the price of a resting order would have met it, and fills it. As much of it
  as an order of ours still stands against is not shown: the book that others see is never crossed.

A tape can be told row by row, or loaded and played in strides; `run` is what numba compiles, and between its stops no
Python runs. Both ways work on the same memory and give the same fills.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from runner.model.settings import QueueModel
from runner.simulation import queues

# isort: off
from runner.simulation.queues import (
    AHEAD, BLOCK, BLOCKS, COUNT, DIRECTORY, END, ENTRIES, ENTRY, FILL, FILLED, FILLS, HELD, KEY, LEFT, LEVEL, LOTS,
    NUMBER, ORDER, ORDERS, OTHER, OWN, OWNS, POWER, ROW, TABLES, TAKEN, TICKS,
)  # fmt: skip

# isort: on
from runner.simulation.queues import BUY as BUY
from runner.simulation.queues import SELL as SELL
from runner.simulation.queues import TAPE as TAPE

MAKER, TAKER = 0, 1

WHOLE_MAX = 2**53
"""The most ticks or lots of a loaded tape: numba overflows without a word, and up to here a float is exact."""
RISK_AVERSE = QueueModel()


class CannotCompile(Exception):
    """The compiled kernel is not to be had here; the text says why, and what to do."""


class Fill(NamedTuple):
    """`other` is the order on the other side, `TAPE` for a recorded one. Between two orders of ours: two fills."""

    order: int
    ticks: int
    lots: int
    role: int
    other: int


class Own(NamedTuple):
    """A resting order that is not on the tape. `ahead` are the recorded lots that are served before it."""

    order: int
    ticks: int
    left: int
    ahead: int


class Kernel:
    """One market. Whoever calls takes `fills` and `touched` (side, ticks; each level that may have changed) and
    empties them. A run in strides lists no touched levels.

    Raises CannotCompile where `compiled` is asked for and not possible.
    """

    __slots__ = ("_cells", "_columns", "_run", "_views", "changes", "fills", "touched")

    def __init__(self, queue: QueueModel = RISK_AVERSE, *, compiled: bool = False) -> None:
        self._cells = _tables([16 * width for width in WIDTHS])
        self._cells[POWER] = {"risk_averse": 0, "proportional": 1, "power": queue.n}[queue.name]
        self._run = compiled_run() if compiled else None
        self._columns = (array("q"), array("q"), array("q"), array("q"))
        self._views: tuple[Any, ...] = ()  # the cells and the columns as numba takes them
        self.fills: list[Fill] = []
        self.changes = 0
        """How often own orders, or what they took, have changed in another way than by the tape."""
        self.touched: list[tuple[int, int]] = []

    # The tape, row by row --------------------------------------------------------------------------------

    def level(self, side: int, ticks: int, lots: int, now: int) -> None:
        """A recorded level has a new total, zero if it is gone."""
        self._make_room(1)
        if queues.level(self._cells, side, ticks, lots, now):
            self._take_fills(1 - side)
            self.touched.append((side, ticks))

    def trade(self, taker: int, ticks: int, lots: int, now: int, *, unseen: bool = False) -> int:
        """A recorded trade by its taker's side. Returns the lots that nobody of ours had a part in.

        `unseen`: it hit an order that is not on the tape, so no level shrinks by it.
        """
        self._make_room(1)
        left = queues.trade(self._cells, taker, ticks, lots, now, unseen)
        self._take_fills(1 - taker)
        return left

    # The tape, in strides --------------------------------------------------------------------------------

    def load(self, times: "array[int]", kinds: "array[int]", ticks: "array[int]", lots: "array[int]") -> None:
        """Take the columns of a recording (recording.py), to be played from the first row. Raises ValueError if they
        are not a tape, or hold numbers that 64 bits could be too few for.
        """
        columns = (_whole(times), _whole(kinds), _whole(ticks), _whole(lots))
        if len({len(column) for column in columns}) != 1:
            raise ValueError("the columns of a tape are of one length")
        if len(times):
            if any(before > after for before, after in pairwise(times)):
                raise ValueError("the times of a tape decrease")
            for name, column, least, most in zip(
                ("kinds", "ticks", "lots"), columns[1:], (0, 1, 0), (5, WHOLE_MAX, WHOLE_MAX), strict=True
            ):
                if min(column) < least or max(column) > most:
                    raise ValueError(f"the {name} of a tape are between {least} and {most}")
        self._columns = columns
        self._cells[ROW] = 0
        self._views = ()

    def run(self, until: int, *, stop_on_touch: bool) -> int:
        """Play the loaded rows with a time of at most `until`. Stops early after the moment that filled an order of
        ours, and if that is asked for after one that changed a best recorded price or its size. Returns the index of
        the next row.
        """
        while True:
            if self._run is None:
                rows = queues.run(self._cells, *self._columns, until, stop_on_touch)
            else:
                rows = self._run(*(self._views or self._look()), until, stop_on_touch)
            if not rows:
                break
            self._make_room(rows)
        if self._cells[FILLS]:
            self._take_fills()
        return self._cells[ROW]

    @property
    def row(self) -> int:
        """Loaded rows that have been played."""
        return self._cells[ROW]

    @property
    def time(self) -> int:
        """Of the latest loaded row that has been played."""
        return self._columns[0][self.row - 1]

    # Own orders ------------------------------------------------------------------------------------------

    def place(self, order: int, side: int, ticks: int, lots: int, funds: int) -> int:
        """An order arrives; it matches as far as it goes, and a limit order's remainder rests. Returns what is left.

        `ticks` 0 is a market order. `funds` bounds what it may spend, in ticks x lots: the match that goes beyond is
        not made (wire reference 5.4); -1 means that nothing does.
        """
        self.changes += 1
        cells, there = self._cells, 1 - side
        sign = 1 if there == BUY else -1
        left = lots
        while left:
            key, standing = queues.best(cells, there)
            price, own = sign * key, None
            if cells[ORDERS + there]:
                first = self._own(cells[OWNS + there])
                # At one price the tape comes first: own orders stand behind what is visible.
                if not price or sign * (first.ticks - price) > 0:
                    price, standing, own = first.ticks, first.left, first
            if not price or (ticks and sign * (price - ticks) < 0):
                break
            matched = min(left, standing)
            if funds >= 0:
                if price * matched > funds:
                    break
                funds -= price * matched
            self.fills.append(Fill(order, price, matched, TAKER, TAPE if own is None else own.order))
            if own is None:
                self._take(there, price, matched)
            else:
                queues.serve(cells, there, cells[OWNS + there], matched, order)
                self._take_fills(there)
            left -= matched
        if left and ticks:
            self._rest(order, side, ticks, left)
        return left

    def cancel(self, order: int, side: int) -> bool:
        """Whether it was there. What was hidden before it stays so until the feed changes it."""
        for cell in self._orders(side):
            if self._cells[cell + ORDER] == order:
                self.changes += 1
                self.touched.append((side, self._cells[cell + TICKS]))
                queues.remove(self._cells, side, cell)
                return True
        return False

    def forget(self) -> None:
        """Drop all own orders, as an engine that restarts does; nobody is told of it."""
        self.changes += 1
        for side in (BUY, SELL):
            self._cells[ORDERS + side] = 0

    def _take(self, side: int, ticks: int, lots: int) -> None:
        """An order of ours takes from the front of a recorded level."""
        cells = self._cells
        cells[queues.find(cells, side, ticks) + TAKEN] += lots
        for cell in self._orders(side):
            if cells[cell + TICKS] == ticks:
                cells[cell + AHEAD] = max(0, cells[cell + AHEAD] - lots)
        queues.cut(cells, side, ticks)
        self.touched.append((side, ticks))

    def _rest(self, order: int, side: int, ticks: int, left: int) -> None:
        self._make_room(1)
        cells, sign = self._cells, 1 if side == BUY else -1
        # What is held counts: lots that have gone while their trade is still to come are ahead until it comes.
        ahead = max(0, queues.queued(cells, side, ticks))
        at = end = cells[OWNS + side] + cells[ORDERS + side] * OWN
        while at > cells[OWNS + side] and sign * (ticks - cells[at - OWN + TICKS]) > 0:
            at -= OWN
        cells[at : end + OWN] = array("q", (order, ticks, left, ahead, 0)) + cells[at:end]
        cells[ORDERS + side] += 1
        self.touched.append((side, ticks))

    # What there is ---------------------------------------------------------------------------------------

    def total(self, side: int, ticks: int) -> int:
        """Lots that the world sees at a price: recorded ones that are still there, and ours."""
        return queues.visible(self._cells, side, ticks) + sum(own.left for own in self.own(side) if own.ticks == ticks)

    def best(self, side: int) -> tuple[int, int] | None:
        """The best level (ticks, lots) that the world sees: recorded lots that are still there, and ours."""
        cells, sign = self._cells, 1 if side == BUY else -1
        key, lots = queues.best(cells, side)
        for cell in self._orders(side):
            own = sign * cells[cell + TICKS]
            if lots and own < key:
                break
            key, lots = own, cells[cell + LEFT] + (lots if own == key else 0)
        return (abs(key), lots) if lots else None

    def levels(self, side: int, count: int) -> list[tuple[int, int]]:
        """Up to `count` levels (ticks, lots) that the world sees, best first: recorded lots still there, and ours."""
        found, own = self.visible(side, count), {one.ticks for one in self.own(side)}
        if not own:
            return found
        levels = dict(found) | {ticks: self.total(side, ticks) for ticks in own}
        return sorted(levels.items(), reverse=side == BUY)[:count]

    def visible(self, side: int, count: int) -> list[tuple[int, int]]:
        """Up to `count` recorded levels (ticks, lots) that can be met, best first."""
        cells = self._cells
        found: list[tuple[int, int]] = []
        for cell in self._levels(side):
            if len(found) == count:
                break
            if lots := cells[cell + LOTS] - cells[cell + TAKEN]:
                found.append((abs(cells[cell + KEY]), lots))
        return found

    def recorded(self, side: int) -> dict[int, int]:
        """All levels of the tape, ticks to lots, whatever was taken."""
        return {abs(self._cells[cell + KEY]): self._cells[cell + LOTS] for cell in self._levels(side)}

    def taken(self, side: int) -> dict[int, int]:
        """What is not there any more of recorded levels, ticks to lots."""
        cells = self._cells
        return {abs(cells[cell + KEY]): cells[cell + TAKEN] for cell in self._levels(side) if cells[cell + TAKEN]}

    def own(self, side: int) -> list[Own]:
        """Resting orders that are not on the tape, best price first, then oldest."""
        return [self._own(cell) for cell in self._orders(side)]

    def _levels(self, side: int) -> Iterator[int]:
        """Cells of all recorded levels, best first."""
        cells, start = self._cells, self._cells[DIRECTORY + side]
        for entry in range(start + (cells[ENTRIES + side] - 1) * ENTRY, start - 1, -ENTRY):
            block = cells[BLOCKS] + cells[entry + NUMBER] * BLOCK * LEVEL
            yield from range(block + (cells[entry + COUNT] - 1) * LEVEL, block - 1, -LEVEL)

    def _orders(self, side: int) -> range:
        start = self._cells[OWNS + side]
        return range(start, start + self._cells[ORDERS + side] * OWN, OWN)

    def _own(self, cell: int) -> Own:
        cells = self._cells
        return Own(cells[cell + ORDER], cells[cell + TICKS], cells[cell + LEFT], cells[cell + AHEAD])

    # Memory ----------------------------------------------------------------------------------------------

    def _take_fills(self, side: int | None = None) -> None:
        """Of resting orders; those of a side touched its levels."""
        cells, start = self._cells, self._cells[FILLED]
        for cell in range(start, start + cells[FILLS] * FILL, FILL):
            ticks = cells[cell + TICKS]
            self.fills.append(Fill(cells[cell + ORDER], ticks, cells[cell + LEFT], MAKER, cells[cell + OTHER]))
            if side is not None:
                self.touched.append((side, ticks))
        cells[FILLS] = 0

    def _make_room(self, rows: int) -> None:
        while not queues.fits(self._cells, rows):
            self._grow(rows)

    def _grow(self, rows: int) -> None:
        """Make every table larger. The cells are replaced, since a compiled run has a view of them."""
        old = self._cells
        starts = old[DIRECTORY : END + 1]
        sizes = [after - before for before, after in pairwise(starts)]
        new = _tables([max(2 * size, size + rows * width) for size, width in zip(sizes, WIDTHS, strict=True)])
        new[:DIRECTORY] = old[:DIRECTORY]
        for start, place, size in zip(starts, new[DIRECTORY:END], sizes, strict=False):
            new[place : place + size] = old[start : start + size]
        self._cells = new
        self._views = ()

    def _look(self) -> tuple[Any, ...]:
        self._views = tuple(_view(column) for column in (self._cells, *self._columns))
        return self._views


@cache
def compiled_run() -> Callable[..., int]:
    """`queues.run`, compiled by numba. That takes seconds, but for the first time only: it is kept in the folder that
    the environment variable NUMBA_CACHE_DIR names when numba is first imported. Raises CannotCompile.
    """
    try:
        import numba
    except ImportError:
        raise CannotCompile("numba is not installed: pip install 'altmarkets-runner[backtest]'") from None
    for part in COMPILED_PARTS:
        numba.extending.register_jitable(part)
    try:
        compiled: Callable[..., int] = numba.njit(cache=True)(queues.run)
    except RuntimeError as error:  # there is no folder to keep it in
        raise CannotCompile(f"numba can keep nothing here: {error}") from None
    kernel = Kernel()
    kernel.load(*(array("q") for _ in range(4)))
    compiled(*kernel._look(), 0, False)
    return compiled


COMPILED_PARTS = tuple(
    part
    for part in vars(queues).values()
    if getattr(part, "__module__", "") == queues.__name__ and part is not queues.run
)
WIDTHS = (ENTRY, ENTRY, OWN, OWN, HELD, FILL, BLOCK * LEVEL)
"""Of the tables, in their order."""


def _tables(sizes: Sequence[int]) -> "array[int]":
    """Empty tables of so many cells."""
    starts = list(accumulate(sizes, initial=TABLES))
    cells = array("q", bytes(8 * starts[-1]))
    cells[DIRECTORY : END + 1] = array("q", starts)
    return cells


def _whole(column: "array[int]") -> "array[int]":
    return column if column.typecode == "q" else array("q", column)


def _view(cells: "array[int]") -> Any:
    import numpy as np

    return np.frombuffer(cells, dtype=np.int64) if cells else np.empty(0, dtype=np.int64)
