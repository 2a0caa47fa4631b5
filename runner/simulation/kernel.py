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
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

from runner.model.settings import QueueModel
from runner.simulation import queues
from runner.simulation.queues import (
    AHEAD,
    COUNTERS,
    FILL,
    FILLS,
    HELD,
    KEY,
    LEFT,
    LEVEL,
    LEVELS,
    LOTS,
    ORDER,
    ORDERS,
    OTHER,
    OWN,
    POWER,
    ROW,
    TAKEN,
    TICKS,
    State,
)
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

    __slots__ = ("_columns", "_run", "_state", "_views", "changes", "fills", "touched")

    def __init__(self, queue: QueueModel = RISK_AVERSE, *, compiled: bool = False) -> None:
        self._state = State(
            _cells(COUNTERS),
            (_cells(LEVEL * 64), _cells(LEVEL * 64)),
            (_cells(OWN * 8), _cells(OWN * 8)),
            _cells(HELD * 256),
            _cells(FILL * 16),
        )
        self._state.at[POWER] = {"risk_averse": 0, "proportional": 1, "power": queue.n}[queue.name]
        self._run = compiled_run() if compiled else None
        self._columns = (_cells(0), _cells(0), _cells(0), _cells(0))
        self._views: tuple[Any, ...] = ()  # the state and the columns as numba takes them
        self.fills: list[Fill] = []
        self.changes = 0
        """How often own orders, or what they took, have changed in another way than by the tape."""
        self.touched: list[tuple[int, int]] = []

    # The tape, row by row --------------------------------------------------------------------------------

    def level(self, side: int, ticks: int, lots: int, now: int) -> None:
        """A recorded level has a new total, zero if it is gone."""
        self._make_room(1)
        if queues.level(self._state, side, ticks, lots, now):
            self._take_fills(1 - side)
            self.touched.append((side, ticks))

    def trade(self, taker: int, ticks: int, lots: int, now: int, *, unseen: bool = False) -> int:
        """A recorded trade by its taker's side. Returns the lots that nobody of ours had a part in.

        `unseen`: it hit an order that is not on the tape, so no level shrinks by it.
        """
        self._make_room(1)
        left = queues.trade(self._state, taker, ticks, lots, now, unseen)
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
        self._state.at[ROW] = 0
        self._views = ()

    def run(self, until: int, *, stop_on_touch: bool) -> int:
        """Play the loaded rows with a time of at most `until`. Stops early after the moment that filled an order of
        ours, and if that is asked for after one that changed a best recorded price or its size. Returns the index of
        the next row.
        """
        while True:
            if self._run is None:
                rows = queues.run(self._state, *self._columns, until, stop_on_touch)
            else:
                rows = self._run(*(self._views or self._look()), until, stop_on_touch)
            if not rows:
                break
            self._make_room(rows)
        if self._state.at[FILLS]:
            self._take_fills()
        return self._state.at[ROW]

    @property
    def row(self) -> int:
        """Loaded rows that have been played."""
        return self._state.at[ROW]

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
        state, there = self._state, 1 - side
        sign = 1 if there == BUY else -1
        left = lots
        while left:
            key, there_lots = queues.best(state, there)
            price, own = sign * key, None
            if state.at[ORDERS + there]:
                first = self._own(there, 0)
                # At one price the tape comes first: own orders stand behind what is visible.
                if not price or sign * (first.ticks - price) > 0:
                    price, there_lots, own = first.ticks, first.left, first
            if not price or (ticks and sign * (price - ticks) < 0):
                break
            matched = min(left, there_lots)
            if funds >= 0:
                if price * matched > funds:
                    break
                funds -= price * matched
            self.fills.append(Fill(order, price, matched, TAKER, TAPE if own is None else own.order))
            if own is None:
                self._take(there, price, matched)
            else:
                self._make_room(1)
                queues.serve(state, there, 0, matched, order)
                self._take_fills(there)
            left -= matched
        if left and ticks:
            self._rest(order, side, ticks, left)
        return left

    def cancel(self, order: int, side: int) -> bool:
        """Whether it was there. What was hidden before it stays so until the feed changes it."""
        for index in range(self._state.at[ORDERS + side]):
            own = self._own(side, index)
            if own.order == order:
                self.changes += 1
                queues.remove(self._state, side, index)
                self.touched.append((side, own.ticks))
                return True
        return False

    def forget(self) -> None:
        """Drop all own orders, as an engine that restarts does; nobody is told of it."""
        self.changes += 1
        for side in (BUY, SELL):
            self._state.at[ORDERS + side] = 0

    def _take(self, side: int, ticks: int, lots: int) -> None:
        """An order of ours takes from the front of a recorded level."""
        at, book, orders = self._state.at, self._state.books[side], self._state.orders[side]
        index = queues.find(book, at[LEVELS + side], ticks if side == BUY else -ticks)
        book[index * LEVEL + TAKEN] += lots
        for own in range(at[ORDERS + side]):
            if orders[own * OWN + TICKS] == ticks:
                orders[own * OWN + AHEAD] = max(0, orders[own * OWN + AHEAD] - lots)
        queues.cut(self._state, side, ticks)
        self.touched.append((side, ticks))

    def _rest(self, order: int, side: int, ticks: int, left: int) -> None:
        at = self._state.at
        count, sign = at[ORDERS + side], 1 if side == BUY else -1
        if (count + 1) * OWN > len(self._state.orders[side]):
            self._grow(OWN)
        orders, place = self._state.orders[side], count
        while place and sign * (ticks - orders[(place - 1) * OWN + TICKS]) > 0:
            place -= 1
        # What is held counts: lots that have gone while their trade is still to come are ahead until it comes.
        ahead = max(0, queues.queued(self._state, side, ticks))
        orders[place * OWN : (count + 1) * OWN] = (
            array("q", (order, ticks, left, ahead, 0)) + orders[place * OWN : count * OWN]
        )
        at[ORDERS + side] = count + 1
        self.touched.append((side, ticks))

    # What there is ---------------------------------------------------------------------------------------

    def total(self, side: int, ticks: int) -> int:
        """Lots that the world sees at a price: recorded ones that are still there, and ours."""
        return queues.visible(self._state, side, ticks) + sum(own.left for own in self.own(side) if own.ticks == ticks)

    def best(self, side: int) -> tuple[int, int] | None:
        """The best level (ticks, lots) that the world sees: recorded lots that are still there, and ours."""
        state, sign = self._state, 1 if side == BUY else -1
        key, lots = queues.best(state, side)
        orders = state.orders[side]
        for cell in range(0, state.at[ORDERS + side] * OWN, OWN):
            own = sign * orders[cell + TICKS]
            if lots and own < key:
                break
            key, lots = own, orders[cell + LEFT] + (lots if own == key else 0)
        return (abs(key), lots) if lots else None

    def visible(self, side: int, count: int) -> list[tuple[int, int]]:
        """Up to `count` recorded levels (ticks, lots) that can be met, best first."""
        book, index = self._state.books[side], self._state.at[LEVELS + side] * LEVEL
        found: list[tuple[int, int]] = []
        while index and len(found) < count:
            index -= LEVEL
            if lots := book[index + LOTS] - book[index + TAKEN]:
                found.append((abs(book[index + KEY]), lots))
        return found

    def recorded(self, side: int) -> dict[int, int]:
        """All levels of the tape, ticks to lots, whatever was taken."""
        return {ticks: lots for ticks, lots, _ in self._levels(side)}

    def taken(self, side: int) -> dict[int, int]:
        """What is not there any more of recorded levels, ticks to lots."""
        return {ticks: taken for ticks, _, taken in self._levels(side) if taken}

    def own(self, side: int) -> list[Own]:
        """Resting orders that are not on the tape, best price first, then oldest."""
        return [self._own(side, index) for index in range(self._state.at[ORDERS + side])]

    def _levels(self, side: int) -> list[tuple[int, int, int]]:
        book = self._state.books[side]
        return [
            (abs(book[cell + KEY]), book[cell + LOTS], book[cell + TAKEN])
            for cell in range(0, self._state.at[LEVELS + side] * LEVEL, LEVEL)
        ]

    def _own(self, side: int, index: int) -> Own:
        cells = self._state.orders[side]
        cell = index * OWN
        return Own(cells[cell + ORDER], cells[cell + TICKS], cells[cell + LEFT], cells[cell + AHEAD])

    # Memory ----------------------------------------------------------------------------------------------

    def _take_fills(self, side: int | None = None) -> None:
        """Of resting orders; those of a side touched its levels."""
        cells = self._state.fills
        for cell in range(0, self._state.at[FILLS] * FILL, FILL):
            ticks = cells[cell + TICKS]
            self.fills.append(Fill(cells[cell + ORDER], ticks, cells[cell + LEFT], MAKER, cells[cell + OTHER]))
            if side is not None:
                self.touched.append((side, ticks))
        self._state.at[FILLS] = 0

    def _make_room(self, rows: int) -> None:
        while not queues.fits(self._state, rows):
            self._grow(rows)

    def _grow(self, rows: int) -> None:
        """Make every table larger. They are replaced, since a compiled run has a view of each."""
        at, books, orders, held, fills = self._state
        self._state = State(
            at,
            (_larger(books[BUY], rows * LEVEL), _larger(books[SELL], rows * LEVEL)),
            (_larger(orders[BUY], OWN), _larger(orders[SELL], OWN)),
            _larger(held, rows * HELD),
            _larger(fills, rows * FILL),
        )
        self._views = ()

    def _look(self) -> tuple[Any, ...]:
        at, books, orders, held, fills = self._state
        state = State(
            _view(at),
            (_view(books[0]), _view(books[1])),
            (_view(orders[0]), _view(orders[1])),
            _view(held),
            _view(fills),
        )
        self._views = (state, *(_view(column) for column in self._columns))
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
    value
    for name, value in vars(queues).items()
    if callable(value) and value.__module__ == queues.__name__ and name not in ("run", "State")
)


def _cells(count: int) -> "array[int]":
    return array("q", bytes(8 * count))


def _whole(column: "array[int]") -> "array[int]":
    return column if column.typecode == "q" else array("q", column)


def _larger(cells: "array[int]", more: int) -> "array[int]":
    return cells + _cells(max(len(cells), more))


def _view(cells: "array[int]") -> Any:
    import numpy as np

    return np.frombuffer(cells, dtype=np.int64) if cells else np.empty(0, dtype=np.int64)
