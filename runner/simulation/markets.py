"""The markets of the sandbox, and where the crowd starts them. Static, so that a file can be checked offline."""

from decimal import Decimal

from msgspec import Struct

from runner.model.market import Market

_FEE = Decimal("0.0025")


class Listing(Struct, frozen=True):
    """A market and how busy it is: `price` is where it opens (quote per base), `quantity` a usual order (base)."""

    market: Market
    price: Decimal
    quantity: Decimal


def _listing(
    base: str, quote: str, precisions: tuple[int, int], quantity_min: str, price: str, quantity: str
) -> Listing:
    price_precision, amount_precision = precisions
    market = Market(
        id=(base + quote).lower(),
        base=base,
        quote=quote,
        price_precision=price_precision,
        amount_precision=amount_precision,
        price_min=Decimal(1).scaleb(-price_precision),
        quantity_min=Decimal(quantity_min),
        maker_fee=_FEE,
        taker_fee=_FEE,
    )
    return Listing(market, Decimal(price), Decimal(quantity))


# A tick is two basis points of the price or less: quotes some basis points apart are different quotes. Price and
# amount digits together are at most ten, which keeps every total exact (wire reference 3.2, 5.4).
SANDBOX_LISTINGS: tuple[Listing, ...] = (
    _listing("ROGER", "BTC", (8, 2), "1", "0.00005", "300"),
    _listing("LTC", "BTC", (7, 3), "0.01", "0.0015", "4"),
    _listing("DOGE", "USDT", (6, 2), "10", "0.08", "1500"),
    _listing("BTC", "USDT", (2, 6), "0.0001", "40000", "0.01"),
)

SANDBOX_MARKETS: tuple[Market, ...] = tuple(listing.market for listing in SANDBOX_LISTINGS)

SANDBOX_BALANCES: dict[str, Decimal] = {
    "ROGER": Decimal(100_000),
    "LTC": Decimal(1_000),
    "DOGE": Decimal(100_000),
    "BTC": Decimal(5),
    "USDT": Decimal(20_000),
}
"""What the sandbox's trader begins with."""
