"""The matching engine of one market: price, then arrival, in whole ticks and lots.

It knows order ids, prices, volumes and what a market buy may spend; not whose orders they are, not money, not
time. Source: wire reference 5.4, 6.3.
"""

from bisect import bisect_left, insort
from typing import NamedTuple, Protocol

from msgspec import Struct

from runner.model.order import Side


class Arrival(Struct, frozen=True):
    """An order as the engine takes it. `ticks` None is a market order.

    `funds` bounds what a market buy may spend, in ticks x lots; None means that nothing does.
    """

    id: int
    side: Side
    ticks: int | None
    lots: int
    funds: int | None = None


class Match(NamedTuple):
    """The resting order's price, and the smaller of two remainders."""

    resting: int
    arriving: int
    ticks: int
    lots: int


class LevelChange(NamedTuple):
    """What a level holds after one resting order was touched; zero lots: the level is gone."""

    side: Side
    ticks: int
    lots: int


class Outcome(NamedTuple):
    """`left` of the arriving order is resting (limit), or has no counterpart and is to be cancelled (market)."""

    matches: tuple[Match, ...]
    changes: tuple[LevelChange, ...]
    left: int


class OrderBook(Protocol):
    """What an exchange asks of the book of one market, whoever fills it: members here, or a tape."""

    def submit(self, order: Arrival) -> Outcome: ...

    def cancel(self, order_id: int, side: Side, ticks: int) -> tuple[bool, LevelChange]: ...

    def ahead(self, order_id: int, side: Side, ticks: int) -> int | None:
        """Lots that are matched before an order; None if it is not here."""

    def best(self, side: Side) -> int | None: ...

    def levels(self, side: Side, count: int) -> list[tuple[int, int]]: ...

    def lots(self, side: Side) -> int: ...

    def level_count(self, side: Side) -> int: ...

    def restarted(self) -> "OrderBook":
        """The book as it is when the engine begins anew: without members' orders."""


class _Level:
    """Orders at one price, in order of arrival: id -> remaining lots."""

    __slots__ = ("lots", "orders")

    def __init__(self) -> None:
        self.lots = 0
        self.orders: dict[int, int] = {}


class _BookSide:
    """Levels of one side. `keys` are ascending with the best price last: ticks of bids, minus ticks of asks."""

    __slots__ = ("keys", "levels", "lots", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, _Level] = {}
        self.lots = 0

    def best(self) -> int | None:
        return self.sign * self.keys[-1] if self.keys else None

    def add(self, order_id: int, ticks: int, lots: int) -> int:
        """Returns the level's new total."""
        level = self.levels.get(ticks)
        if level is None:
            level = self.levels[ticks] = _Level()
            insort(self.keys, self.sign * ticks)
        level.orders[order_id] = lots
        level.lots += lots
        self.lots += lots
        return level.lots

    def take(self, order_id: int, ticks: int, lots: int) -> int:
        """Remove that much of an order, all of it with its remainder. Returns the level's new total."""
        level = self.levels[ticks]
        left = level.orders[order_id] - lots
        if left:
            level.orders[order_id] = left
        else:
            del level.orders[order_id]
        level.lots -= lots
        self.lots -= lots
        if not level.orders:
            del self.levels[ticks]
            del self.keys[bisect_left(self.keys, self.sign * ticks)]
        return level.lots

    def total(self, ticks: int) -> int:
        level = self.levels.get(ticks)
        return 0 if level is None else level.lots


class MatchingBook:
    """Resting orders of one market. An id is used once; the caller sees to that."""

    def __init__(self) -> None:
        self._sides = {Side.BUY: _BookSide(1), Side.SELL: _BookSide(-1)}

    def submit(self, order: Arrival) -> Outcome:
        """Match an arriving order as far as it goes; what is left of a limit order rests."""
        matches: list[Match] = []
        changes: list[LevelChange] = []
        opposite = self._sides[order.side.opposite]
        left, funds = order.lots, order.funds
        while left and (ticks := opposite.best()) is not None and _reaches(order, ticks):
            resting, resting_lots = next(iter(opposite.levels[ticks].orders.items()))
            lots = min(left, resting_lots)
            if funds is not None:
                if ticks * lots > funds:
                    break  # the match is not made in part (reference 5.4)
                funds -= ticks * lots
            changes.append(LevelChange(order.side.opposite, ticks, opposite.take(resting, ticks, lots)))
            matches.append(Match(resting, order.id, ticks, lots))
            left -= lots
        if left and order.ticks is not None:
            total = self._sides[order.side].add(order.id, order.ticks, left)
            changes.append(LevelChange(order.side, order.ticks, total))
        return Outcome(tuple(matches), tuple(changes), left)

    def cancel(self, order_id: int, side: Side, ticks: int) -> tuple[bool, LevelChange]:
        """Take an order out. Whether it was there, and the level's total, which is announced either way."""
        book = self._sides[side]
        level = book.levels.get(ticks)
        if level is None or order_id not in level.orders:
            return False, LevelChange(side, ticks, book.total(ticks))
        return True, LevelChange(side, ticks, book.take(order_id, ticks, level.orders[order_id]))

    def ahead(self, order_id: int, side: Side, ticks: int) -> int | None:
        """Lots that are matched before an order; None if it is not here."""
        book = self._sides[side]
        level = book.levels.get(ticks)
        if level is None or order_id not in level.orders:
            return None
        ahead = sum(book.total(other) for other in book.levels if side.sign * (other - ticks) > 0)
        for other_id, lots in level.orders.items():
            if other_id == order_id:
                break
            ahead += lots
        return ahead

    def best(self, side: Side) -> int | None:
        """Best price of a side in ticks."""
        return self._sides[side].best()

    def levels(self, side: Side, count: int) -> list[tuple[int, int]]:
        """Up to `count` levels of (ticks, lots), best first."""
        book = self._sides[side]
        return [(book.sign * key, book.levels[book.sign * key].lots) for key in book.keys[: -count - 1 : -1]]

    def lots(self, side: Side) -> int:
        """Volume of a whole side."""
        return self._sides[side].lots

    def level_count(self, side: Side) -> int:
        return len(self._sides[side].keys)

    def restarted(self) -> "MatchingBook":
        return MatchingBook()


def _reaches(order: Arrival, ticks: int) -> bool:
    if order.ticks is None:
        return True
    return order.ticks >= ticks if order.side is Side.BUY else order.ticks <= ticks
