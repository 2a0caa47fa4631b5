"""Which resting orders can only bring the position nearer to zero.

By base currency, and by what the position is now: of a long one its sells, the best price first, as long as their sum
is within it; of a short one likewise its buys. One that could trade beyond that is not among them, nor one that has no
price, may be in the market twice, or is not known to rest. A fee on what a buy receives leaves it below its sum.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from runner.model.market import Market
from runner.model.money import MONEY, ZERO
from runner.model.order import Order, OrderState, Side

_RESTING = frozenset({OrderState.ACCEPTED, OrderState.OPEN})


def reducing(
    orders: Iterable[Order], position: Callable[[str], Decimal], markets: Mapping[str, Market]
) -> frozenset[str]:
    """Their client ids. `position` is that of a base currency."""
    kept: set[str] = set()
    room: dict[str, Decimal] = {}
    for order in sorted(orders, key=_best_first):
        market = markets[order.market]
        held = position(market.base)
        if held * -order.side.sign <= 0 or not _rests_once(order):
            continue
        left = room.setdefault(market.base, abs(held))
        quantity = market.quantity(order.unbooked_lots)
        if ZERO < quantity <= left:
            kept.add(order.client_id)
            room[market.base] = MONEY.subtract(left, quantity)
    return frozenset(kept)


def opening(orders: Iterable[Order], position: Callable[[str], Decimal], markets: Mapping[str, Market]) -> list[Order]:
    """The other ones: they open a position, make it larger, or may turn it round."""
    existing = list(orders)
    kept = reducing(existing, position, markets)
    return [order for order in existing if order.client_id not in kept]


def _rests_once(order: Order) -> bool:
    return order.state in _RESTING and order.ticks is not None and len(order.venue_ids) == 1


def _best_first(order: Order) -> tuple[str, int, str]:
    """The one that trades first; across markets of one base the names decide, for their prices are no measure."""
    ticks = order.ticks or 0
    return order.market, ticks if order.side is Side.SELL else -ticks, order.client_id
