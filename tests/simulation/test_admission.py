"""What an order locks, and which orders are refused, in the venue's order of checks."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.market import Market
from runner.model.order import Side
from runner.simulation.admission import OrderRefused, market_buy_lock, on_grid, required

MARKET = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000010"),
    price_max=Decimal(1),
    quantity_min=Decimal(1),
)
LEVELS = [(100, 30_000), (101, 50_000)]  # 300 at 0.00000100, 500 at 0.00000101


def test_limit_orders_lock_what_they_may_pay() -> None:
    assert required(MARKET, Side.BUY, Decimal(600), Decimal("0.00000101"), ()) == Decimal("0.000606")
    assert required(MARKET, Side.SELL, Decimal(600), Decimal("0.00000101"), ()) == Decimal(600)


def test_market_orders_need_what_the_book_says() -> None:
    assert required(MARKET, Side.BUY, Decimal(600), None, LEVELS) == Decimal("0.000603")
    assert required(MARKET, Side.SELL, Decimal(600), None, LEVELS) == Decimal(600)
    assert required(MARKET, Side.BUY, Decimal(800), None, LEVELS) == Decimal("0.000805")


@pytest.mark.parametrize("side", Side)
def test_a_market_order_wants_a_book(side: Side) -> None:
    with pytest.raises(OrderRefused, match="insufficient_market_liquidity"):
        required(MARKET, side, Decimal("800.01"), None, LEVELS)


def test_a_market_buy_costs_rounded_up() -> None:
    # 0.001 base is off the grid and will be refused for that, but the balance comes first.
    assert required(MARKET, Side.BUY, Decimal("0.00001"), None, LEVELS) == Decimal("0.0000000001")


@given(st.integers(1, 10**12), st.integers(0, 10**12))
def test_the_lock_of_a_market_buy(cost: int, available: int) -> None:
    lock = market_buy_lock(Decimal(cost), Decimal(available))
    assert lock == min(Decimal(cost) * 11 / 10, Decimal(available))


@pytest.mark.parametrize(
    ("volume", "price"),
    [
        ("0.99", "0.00001"),  # below the minimum
        ("1.001", "0.00001"),  # more decimals than amounts have
        ("1", "0.000000105"),  # than prices have
        ("1", "0.00000009"),  # too cheap
        ("1", "1.00000001"),  # too dear
        ("1" + "0" * 45 + ".5" + "0" * 30 + "1", "0.00001"),  # more digits than money has
    ],
)
def test_what_the_rules_of_a_market_refuse(volume: str, price: str) -> None:
    with pytest.raises(OrderRefused, match="invalid_volume_or_price"):
        on_grid(MARKET, Decimal(volume), Decimal(price))


def test_zeros_at_the_end_are_no_precision() -> None:
    assert on_grid(MARKET, Decimal("1.500000"), Decimal("0.0000010000")) == (150, 100)
    assert on_grid(MARKET, Decimal("1e3"), None) == (100_000, None)
