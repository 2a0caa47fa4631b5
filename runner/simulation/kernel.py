"""Fills on a tape: what recorded trades and book changes do to orders that were not there when it was recorded.

Prices are ticks, quantities lots, both int64; ids of orders are whole numbers above zero. The kernel knows no money,
no time and no member: it is told what happens, in order, and lists fills as (order, ticks, lots, role, other).

What it assumes, in the simple form (queue models come later, in `_Side.cut_queue`):

* A new order stands behind all the visible volume at its price. Trades at the price use up what is ahead first; when
  the level shrinks, those behind us are taken to have gone before those ahead, as far as that is possible.
* A trade at or through the price of resting orders fills them, best price first, then oldest, each at its own price,
  with at most the traded volume in all: two orders are never filled by the same lots.
* An order that crosses takes what is visible, best price first. What it took stays taken until the feed changes the
  level. Nobody reacts to it.
* Volume that newly appears at or through the price of a resting order would have met it, and fills it. As much of it
  as an order of ours still stands against is not shown: the book that others see is never crossed.
"""

from bisect import bisect_left, insort
from typing import NamedTuple

BUY, SELL = 0, 1
MAKER, TAKER = 0, 1
TAPE = 0
"""In the place of an order's id: whoever is recorded."""


class Fill(NamedTuple):
    """`other` is the order on the other side, `TAPE` for a recorded one. Between two orders of ours: two fills."""

    order: int
    ticks: int
    lots: int
    role: int
    other: int


class Own:
    """A resting order that is not on the tape. `ahead` are the recorded lots that are served before it."""

    __slots__ = ("ahead", "left", "order", "ticks")

    def __init__(self, order: int, ticks: int, left: int, ahead: int) -> None:
        self.order = order
        self.ticks = ticks
        self.left = left
        self.ahead = ahead


class _Side:
    """Keys are ascending with the best price last: ticks of bids, minus ticks of asks."""

    __slots__ = ("keys", "lots", "own", "sign", "taken")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []  # of recorded levels
        self.lots: dict[int, int] = {}  # recorded, by ticks
        self.taken: dict[int, int] = {}  # of those, not there any more
        self.own: list[Own] = []  # best price first, then oldest

    def visible(self, ticks: int) -> int:
        """Recorded lots at a price that are there to be met."""
        return self.lots.get(ticks, 0) - self.taken.get(ticks, 0)

    def total(self, ticks: int) -> int:
        """What the world sees at a price."""
        lots = self.lots.get(ticks, 0) - self.taken.get(ticks, 0)
        for own in self.own:
            if own.ticks == ticks:
                lots += own.left
        return lots

    def write(self, ticks: int, lots: int) -> None:
        """A recorded level's new total."""
        if lots:
            if ticks not in self.lots:
                insort(self.keys, self.sign * ticks)
            self.lots[ticks] = lots
        elif self.lots.pop(ticks, 0):
            del self.keys[bisect_left(self.keys, self.sign * ticks)]

    def cut_queue(self, ticks: int) -> None:
        """The level changed: no more can be ahead of an order than there is. Here is the place of queue models."""
        visible = self.visible(ticks)
        for own in self.own:
            if own.ticks == ticks and own.ahead > visible:
                own.ahead = visible

    def add(self, own: Own) -> None:
        place = 0
        while place < len(self.own) and self.sign * (self.own[place].ticks - own.ticks) >= 0:
            place += 1
        self.own.insert(place, own)


class Kernel:
    """One market. Whoever calls takes `fills` and `touched` (side, ticks; each level that may have changed) and
    empties them.
    """

    __slots__ = ("_sides", "fills", "touched")

    def __init__(self) -> None:
        self._sides = (_Side(1), _Side(-1))
        self.fills: list[Fill] = []
        self.touched: list[tuple[int, int]] = []

    # The tape --------------------------------------------------------------------------------------------

    def level(self, side: int, ticks: int, lots: int) -> None:
        """A recorded level has a new total, zero if it is gone."""
        here, there = self._sides[side], self._sides[1 - side]
        before = here.lots.get(ticks, 0)
        if lots == before:
            return
        here.write(ticks, lots)
        taken = 0
        if there.own and here.sign * (ticks - there.own[0].ticks) >= 0:
            taken = self._meet(there, 1 - side, ticks, lots - before, lots)
        if taken:
            here.taken[ticks] = taken
        else:
            here.taken.pop(ticks, None)
        if here.own:
            here.cut_queue(ticks)
        self.touched.append((side, ticks))

    def _meet(self, resting: _Side, side: int, ticks: int, fresh: int, lots: int) -> int:
        """A level came up at or through our prices. Returns how much of it is not to be seen."""
        arrived = max(fresh, 0)
        left = arrived
        while left and resting.own and resting.sign * (resting.own[0].ticks - ticks) >= 0:
            left -= self._serve(resting, side, resting.own[0], left)
        if resting.own and resting.sign * (resting.own[0].ticks - ticks) >= 0:
            return lots
        return arrived - left

    def trade(self, taker: int, ticks: int, lots: int) -> int:
        """A recorded trade by its taker's side. Returns the lots that nobody of ours had a part in."""
        side = 1 - taker
        resting, left = self._sides[side], lots
        for own in list(resting.own):
            distance = resting.sign * (own.ticks - ticks)
            if distance < 0 or not left:
                break
            ahead = own.ahead if distance == 0 else 0  # through the price: whoever was ahead has been served
            own.ahead = max(0, ahead - left)
            if left > ahead:
                left -= self._serve(resting, side, own, left - ahead)
        return left

    # Own orders ------------------------------------------------------------------------------------------

    def place(self, order: int, side: int, ticks: int, lots: int, funds: int) -> int:
        """An order arrives; it matches as far as it goes, and a limit order's remainder rests. Returns what is left.

        `ticks` 0 is a market order. `funds` bounds what it may spend, in ticks x lots: the match that goes beyond is
        not made (wire reference 5.4); -1 means that nothing does.
        """
        here, there = self._sides[side], self._sides[1 - side]
        left, at = lots, len(there.keys) - 1
        while left:
            while at >= 0 and not there.visible(abs(there.keys[at])):
                at -= 1
            price = abs(there.keys[at]) if at >= 0 else 0
            own = there.own[0] if there.own else None
            if own is not None and price and there.sign * (own.ticks - price) <= 0:
                own = None  # at one price the tape comes first: own orders stand behind what is visible
            if own is not None:
                price = own.ticks
            if not price or (ticks and there.sign * (price - ticks) < 0):
                break
            matched = min(left, there.visible(price) if own is None else own.left)
            if funds >= 0:
                if price * matched > funds:
                    break
                funds -= price * matched
            self.fills.append(Fill(order, price, matched, TAKER, TAPE if own is None else own.order))
            if own is not None:
                self._serve(there, 1 - side, own, matched, order)
            else:
                there.taken[price] = there.taken.get(price, 0) + matched
                there.cut_queue(price)
                self.touched.append((1 - side, price))
            left -= matched
        if left and ticks:
            here.add(Own(order, ticks, left, here.visible(ticks)))
            self.touched.append((side, ticks))
        return left

    def cancel(self, order: int, side: int) -> bool:
        """Whether it was there. What was hidden before it stays so until the feed changes it."""
        resting = self._sides[side]
        for own in resting.own:
            if own.order == order:
                resting.own.remove(own)
                self.touched.append((side, own.ticks))
                return True
        return False

    def forget(self) -> None:
        """Drop all own orders, as an engine that restarts does; nobody is told of it."""
        for side in self._sides:
            side.own.clear()

    def _serve(self, resting: _Side, side: int, own: Own, lots: int, other: int = TAPE) -> int:
        matched = min(own.left, lots)
        own.left -= matched
        if not own.left:
            resting.own.remove(own)
        self.fills.append(Fill(own.order, own.ticks, matched, MAKER, other))
        self.touched.append((side, own.ticks))
        return matched

    # What there is ---------------------------------------------------------------------------------------

    def total(self, side: int, ticks: int) -> int:
        """Lots that the world sees at a price: recorded ones that are still there, and ours."""
        return self._sides[side].total(ticks)

    def visible(self, side: int, count: int) -> list[tuple[int, int]]:
        """Up to `count` recorded levels (ticks, lots) that can be met, best first."""
        here = self._sides[side]
        found: list[tuple[int, int]] = []
        for key in reversed(here.keys):
            if len(found) == count:
                break
            if lots := here.visible(abs(key)):
                found.append((abs(key), lots))
        return found

    def recorded(self, side: int) -> dict[int, int]:
        """All levels of the tape, ticks to lots, whatever was taken; not to be changed."""
        return self._sides[side].lots

    def taken(self, side: int) -> dict[int, int]:
        """What is not there any more of recorded levels, ticks to lots; not to be changed."""
        return self._sides[side].taken

    def own(self, side: int) -> list[Own]:
        """Resting orders that are not on the tape, best price first, then oldest; not to be changed."""
        return self._sides[side].own
