"""A market: what is traded against what, on which grid, at which fees. The only place that rounds.

Inside the runner a price is a whole number of *ticks* (10^-price_precision quote per base) and a quantity a
whole number of *lots* (10^-amount_precision base). Wire decimals enter exactly or not at all; the floats of a
strategy are put on the grid in a named direction.
"""

import math
from decimal import Decimal

from msgspec import Struct

from runner.model.money import MONEY, ZERO
from runner.model.order import Side

POWERS_OF_TEN: tuple[int, ...] = tuple(10**n for n in range(19))

ON_GRID_TICKS = 1e-6
"""A float this close to a grid point (in ticks or lots) means that point."""


class OffGrid(ValueError):
    """A decimal that is not a whole number of ticks or lots: the venue broke its own rules."""


class Market(Struct, frozen=True, kw_only=True):
    """Rules of one market, as `GET /public/markets` and `/public/trading_fees` state them.

    `price_min` is in quote per base, `quantity_min` in base, fees are fractions of what is received.
    `price_max` is None where the venue says zero: no upper bound. Source: wire reference 3.2, 5.5.
    """

    id: str  # the venue's own name, `rogerbtc`; never taken apart, ids are ambiguous
    base: str
    quote: str
    price_precision: int
    amount_precision: int
    price_min: Decimal
    quantity_min: Decimal
    price_max: Decimal | None = None
    maker_fee: Decimal = ZERO
    taker_fee: Decimal = ZERO
    enabled: bool = True

    @property
    def symbol(self) -> str:
        """The name users write: `ROGER-BTC`."""
        return f"{self.base}-{self.quote}"

    @property
    def tick_size(self) -> Decimal:
        return Decimal(1).scaleb(-self.price_precision, MONEY)

    @property
    def lot_size(self) -> Decimal:
        return Decimal(1).scaleb(-self.amount_precision, MONEY)

    # Exact, both ways ------------------------------------------------------------------------------------

    def ticks(self, price: Decimal) -> int:
        """Whole ticks of an exact price (quote per base). Raises OffGrid if it is not on the grid."""
        return _whole(price, self.price_precision, "price")

    def lots(self, quantity: Decimal) -> int:
        """Whole lots of an exact quantity (base). Raises OffGrid if it is not on the grid."""
        return _whole(quantity, self.amount_precision, "quantity")

    def price(self, ticks: int) -> Decimal:
        return Decimal(ticks).scaleb(-self.price_precision, MONEY)

    def quantity(self, lots: int) -> Decimal:
        return Decimal(lots).scaleb(-self.amount_precision, MONEY)

    def notional(self, ticks: int, lots: int) -> Decimal:
        """Price times quantity, in quote, exact."""
        return Decimal(ticks * lots).scaleb(-self.price_precision - self.amount_precision, MONEY)

    # Floats for strategies -------------------------------------------------------------------------------

    def price_float(self, ticks: float) -> float:
        """Price in quote per base; for whole ticks the float nearest to the exact decimal."""
        return ticks / POWERS_OF_TEN[self.price_precision]

    def quantity_float(self, lots: float) -> float:
        """Quantity in base; for whole lots the float nearest to the exact decimal."""
        return lots / POWERS_OF_TEN[self.amount_precision]

    # A strategy's floats onto the grid -------------------------------------------------------------------

    def ticks_for(self, side: Side, price: float) -> int:
        """Put a wanted price on the grid: a bid goes down, an ask up, never towards the market.

        Raises ValueError for NaN and infinity.
        """
        scaled = price * POWERS_OF_TEN[self.price_precision]
        nearest = _nearest(scaled)
        if nearest is not None:
            return nearest
        return math.floor(scaled) if side is Side.BUY else math.ceil(scaled)

    def lots_for(self, quantity: float) -> int:
        """Put a wanted quantity on the grid, down. Raises ValueError for NaN and infinity."""
        scaled = quantity * POWERS_OF_TEN[self.amount_precision]
        nearest = _nearest(scaled)
        return math.floor(scaled) if nearest is None else nearest


def _whole(value: Decimal, precision: int, noun: str) -> int:
    scaled = value.scaleb(precision, MONEY)
    whole = int(scaled)
    if whole != scaled:
        raise OffGrid(f"{noun} {value} has more than {precision} decimals")
    return whole


def _nearest(scaled: float) -> int | None:
    """The grid point that is meant; None between two of them."""
    try:
        nearest = round(scaled)
    except (OverflowError, ValueError):
        raise ValueError(f"{scaled} is not a finite number") from None
    if -ON_GRID_TICKS <= scaled - nearest <= ON_GRID_TICKS:
        return nearest
    # 60,000.00000000 is 6e12 ticks, where neighbouring floats are 1e-3 ticks apart: there the float's own
    # resolution decides what can be told from a grid point.
    return nearest if abs(scaled - nearest) <= 4 * math.ulp(scaled) else None
