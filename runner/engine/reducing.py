"""Which of our resting orders only take a position back towards zero."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from runner.model.market import Market
from runner.model.money import MONEY
from runner.model.order import Order, Side


def reducing(orders: Iterable[Order], market: Market, position: Decimal) -> frozenset[str]:
    """Client ids of the orders of `market` that, all filled, would not turn `position` (base) over.

    Sells while long and buys while short, the best price first, as long as their sum fits into what is held.
    """
    side = Side.SELL if position > 0 else Side.BUY
    ours = [order for order in orders if order.market == market.symbol and order.side is side]
    ours.sort(key=lambda order: (0 if order.ticks is None else order.ticks * -side.sign, order.created))
    left, kept = abs(position), set()
    for order in ours:
        quantity = market.quantity(order.unbooked_lots)
        if quantity <= left:
            kept.add(order.client_id)
            left = MONEY.subtract(left, quantity)
    return frozenset(kept)


def opening(orders: Iterable[Order], markets: Mapping[str, Market], position: Mapping[str, Decimal]) -> list[Order]:
    """The other ones: they open a position or make it larger. `position`: base held, by market."""
    existing = list(orders)
    kept: set[str] = set()
    for symbol in {order.market for order in existing}:
        kept |= reducing(existing, markets[symbol], position[symbol])
    return [order for order in existing if order.client_id not in kept]
