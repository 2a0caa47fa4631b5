"""What an order must satisfy before it is recorded, and what it will lock. Source: wire reference 4.5, 5.3.

Volumes and prices are decimals here, because they may yet be off the grid: an order that is both unaffordable and
too precise is refused for the balance.
"""

from collections.abc import Iterable
from decimal import ROUND_UP, Context, Decimal

from runner.model.market import Market, OffGrid
from runner.model.money import MONEY, ZERO
from runner.model.order import Side

LOCK_BUFFER = Decimal("1.1")
"""A market buy locks a tenth more than the book says it costs: its only protection."""

# Rounds up, so that nothing looks affordable that is not; what is recorded in the end is exact.
_GENEROUS = Context(prec=60, rounding=ROUND_UP)
_COST_STEP = Decimal("1e-10")


class OrderRefused(Exception):
    """No row is written. `code` is the venue's word (wire reference 7.2)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def required(
    market: Market, side: Side, volume: Decimal, price: Decimal | None, opposite: Iterable[tuple[int, int]]
) -> Decimal:
    """What must be available, of the currency that the order pays with. `opposite` are levels, best first.

    Raises OrderRefused where the opposite side has less than a market order wants.
    """
    if price is not None:
        return _GENEROUS.multiply(price, volume) if side is Side.BUY else volume
    cost, left = ZERO, volume
    for ticks, lots in opposite:
        taken = min(left, market.quantity(lots))
        cost = _GENEROUS.add(cost, _GENEROUS.multiply(market.price(ticks), taken))
        left = _GENEROUS.subtract(left, taken)
        if not left:
            return cost.quantize(_COST_STEP, ROUND_UP, _GENEROUS) if side is Side.BUY else volume
    raise OrderRefused("market.order.insufficient_market_liquidity")


def on_grid(market: Market, volume: Decimal, price: Decimal | None) -> tuple[int, int | None]:
    """Lots and ticks. Raises OrderRefused for what the market's rules do not allow."""
    try:
        lots = market.lots(volume)
        ticks = None if price is None else market.ticks(price)
    except (OffGrid, ArithmeticError):  # the latter: more digits than money can have
        raise OrderRefused("market.order.invalid_volume_or_price") from None
    too_cheap = price is not None and price < market.price_min
    too_dear = price is not None and market.price_max is not None and price > market.price_max
    if volume < market.quantity_min or too_cheap or too_dear:
        raise OrderRefused("market.order.invalid_volume_or_price")
    return lots, ticks


def market_buy_lock(cost: Decimal, available: Decimal) -> Decimal:
    """What a market buy locks, in quote."""
    return min(MONEY.multiply(LOCK_BUFFER, cost), available)
