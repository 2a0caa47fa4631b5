"""A market's book without our own orders: what others would trade with us, and at what price.

Our orders are part of the venue's book. Their volume is taken out of the level it stands in, never below zero: the
book and what we know of our orders come over two sockets, and one may be ahead of the other.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from runner.engine.view import MarketData
from runner.model.market import Market
from runner.model.money import MONEY, quotient
from runner.model.order import Order, Side

LEVELS = 300
"""A side, as many as the venue's snapshot has."""

AVERAGE_PLACES = 6
"""Decimals of a tick to which an average price is told."""


class Depth:
    """The other traders' side of one book at one moment. `orders`: ours, of any market, as far as they may rest."""

    def __init__(self, market: Market, book: MarketData, orders: Iterable[Order]) -> None:
        self._market = market
        self._book = book
        self._own: dict[tuple[Side, int], int] = {}
        for order in orders:
            if order.market == market.symbol and order.ticks is not None and order.venue_ids:
                at = (order.side, order.ticks)
                self._own[at] = self._own.get(at, 0) + max(0, order.remaining_lots)

    def best(self, side: Side) -> int | None:
        """Ticks of the best bid (`BUY`) or ask (`SELL`) of others; None when there is none or the book is not live."""
        best = self._book.best_bid() if side is Side.BUY else self._book.best_ask()
        if best is None or best[1] > self._own.get((side, best[0]), 0):
            return None if best is None else best[0]
        return next((ticks for ticks, _ in self._levels(side)), None)

    def spread(self) -> Decimal | None:
        """Distance of best bid and best ask as a fraction of their mid; None unless there are both."""
        bid, ask = self.best(Side.BUY), self.best(Side.SELL)
        if bid is None or ask is None:
            return None
        return quotient(Decimal(2 * (ask - bid)), Decimal(ask + bid))

    def average(self, side: Side, lots: int) -> Decimal | None:
        """Average price, quote per base, at which `side` could trade `lots` at once; None if there is not so much.

        Rounded against us at a millionth of a tick.
        """
        left, cost = lots, 0
        for ticks, there in self._levels(side.opposite):
            taken = min(left, there)
            cost += ticks * taken
            left -= taken
            if not left:
                break
        if left or lots <= 0:
            return None
        fine = cost * 10**AVERAGE_PLACES
        rounded = fine // lots if side is Side.SELL else -(-fine // lots)
        return Decimal(rounded).scaleb(-AVERAGE_PLACES - self._market.price_precision, MONEY)

    def _levels(self, side: Side) -> Iterator[tuple[int, int]]:
        levels: Sequence[tuple[int, int]]
        levels = self._book.bids(LEVELS) if side is Side.BUY else self._book.asks(LEVELS)
        for ticks, lots in levels:
            left = lots - self._own.get((side, ticks), 0)
            if left > 0:
                yield ticks, left


def lots_of(market: Market, quantity: Decimal, *, up: bool) -> int:
    """Whole lots of a quantity (base, above zero) that need not be on the grid: a fee taken in base leaves crumbs."""
    exact = quotient(quantity, market.lot_size, ROUND_CEILING if up else ROUND_FLOOR)
    return int(exact.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))
