"""What the orders that a strategy may want at once are worth, looked at when the market's price is first known.

A file cannot tell that: it has no price. So the first book does, before the first order; from then on the gate judges
every order by itself. Source: issue "One gate and one strict file", Risk: the bound before start.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from msgspec import Struct

from runner.engine.strategy import Demand
from runner.model.market import Market
from runner.model.money import MONEY, ZERO, plain
from runner.model.order import Side
from runner.model.settings import Limits


class NoRoom(Struct, frozen=True):
    """A limit that is too low for what the strategy wants. `key` is the file's, amounts are in `currency`."""

    key: str
    currency: str
    worst: Decimal
    limit: Decimal

    @property
    def why(self) -> str:
        what = "one order" if self.key.startswith("risk.max_order") else "the orders of one side"
        return (
            f"{what} of the strategy may be worth {plain(self.worst)} {self.currency} at the present price, "
            f"{self.key} is {plain(self.limit)}"
        )


def without_room(
    demands: Iterable[Demand], limits: Limits, markets: Mapping[str, Market], mids: Mapping[str, Decimal], default: str
) -> NoRoom | None:
    """The first limit on worth that has no room. `mids` are mid prices by market; a market without one is left out,
    and so is a demand that does not say how high its prices may be."""
    sides: dict[tuple[str, Side], Decimal] = {}
    for demand in demands:
        market = markets[demand.market or default]
        mid = mids.get(market.symbol)
        if mid is None or demand.price_max is None or not demand.orders:
            continue
        worth = MONEY.multiply(MONEY.multiply(mid, _exact(demand.price_max)), _exact(demand.quantity))
        most = limits.max_order_notional.get(market.quote)
        if most is not None and worth > most:
            return NoRoom(f"risk.max_order_notional.{market.quote}", market.quote, worth, most)
        side = (market.quote, demand.side)
        sides[side] = MONEY.add(sides.get(side, ZERO), MONEY.multiply(worth, Decimal(demand.orders)))
    for (quote, _), worth in sides.items():
        most = limits.max_open_notional.get(quote)
        if most is not None and worth > most:
            return NoRoom(f"risk.max_open_notional.{quote}", quote, worth, most)
    return None


def _exact(value: float) -> Decimal:
    return Decimal(str(float(value)))
