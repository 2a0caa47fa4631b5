import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner.model.market import Market, OffGrid
from runner.model.order import Side


def market(price_precision: int = 8, amount_precision: int = 2) -> Market:
    return Market(
        id="rogerbtc",
        base="ROGER",
        quote="BTC",
        price_precision=price_precision,
        amount_precision=amount_precision,
        price_min=Decimal("0.00000001"),
        quantity_min=Decimal(1),
    )


markets = st.builds(market, st.integers(0, 10), st.integers(0, 10))
steps = st.integers(0, 10**18)
sides = st.sampled_from(Side)


@given(market=markets, ticks=steps, lots=steps)
def test_prices_and_quantities_go_there_and_back(market: Market, ticks: int, lots: int) -> None:
    assert market.ticks(market.price(ticks)) == ticks
    assert market.lots(market.quantity(lots)) == lots
    assert market.price(ticks) == ticks * market.tick_size
    assert market.quantity(lots) == lots * market.lot_size


@given(market=markets, ticks=steps, lots=steps)
def test_a_notional_is_exact(market: Market, ticks: int, lots: int) -> None:
    decimals = market.price_precision + market.amount_precision
    assert Fraction(market.notional(ticks, lots)) == Fraction(ticks * lots, 10**decimals)


@given(market=markets, value=st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False))
def test_a_decimal_is_whole_ticks_or_off_the_grid(market: Market, value: Decimal) -> None:
    assume(len(value.as_tuple().digits) <= 40)
    try:
        ticks = market.ticks(value)
    except OffGrid:
        assert (value * 10**market.price_precision) % 1 != 0
    else:
        assert market.price(ticks) == value


@given(market=markets, ticks=st.integers(1, 10**14), side=sides)
def test_a_float_that_means_a_grid_point_is_that_point(market: Market, ticks: int, side: Side) -> None:
    price = market.price_float(ticks)
    assert price == float(market.price(ticks))
    assert market.ticks_for(side, price) == ticks
    assert market.lots_for(market.quantity_float(ticks)) == ticks
    for nearby in (math.nextafter(price, 0), math.nextafter(price, math.inf)):
        assert market.ticks_for(side, nearby) == ticks


@given(market=markets, price=st.floats(1e-9, 1e4))
def test_a_bid_goes_down_and_an_ask_up_by_less_than_a_tick(market: Market, price: float) -> None:
    scaled = Decimal(price).scaleb(market.price_precision)
    bid, ask = market.ticks_for(Side.BUY, price), market.ticks_for(Side.SELL, price)
    assert bid <= ask <= bid + 1
    slack = max(Decimal("1e-5"), scaled * Decimal("1e-14"))
    assert scaled - 1 - slack <= bid <= scaled + slack
    assert scaled - slack <= ask <= scaled + 1 + slack


@given(market=markets, quantity=st.floats(0, 1e6))
def test_a_quantity_goes_down(market: Market, quantity: float) -> None:
    scaled = Decimal(quantity).scaleb(market.amount_precision)
    slack = max(Decimal("1e-5"), scaled * Decimal("1e-14"))
    assert scaled - 1 - slack <= market.lots_for(quantity) <= scaled + slack


@pytest.mark.parametrize("price", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_refused(price: float) -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        market().ticks_for(Side.BUY, price)
    with pytest.raises(ValueError, match="not a finite number"):
        market().lots_for(price)


def test_a_market_of_the_reference() -> None:
    roger = market()
    assert roger.symbol == "ROGER-BTC"
    assert (roger.tick_size, roger.lot_size) == (Decimal("0.00000001"), Decimal("0.01"))
    assert (roger.ticks(Decimal("0.00000101")), roger.lots(Decimal("600.0"))) == (101, 60_000)
    assert roger.notional(101, 60_000) == Decimal("0.000606")
    with pytest.raises(OffGrid, match="more than 8 decimals"):
        roger.ticks(Decimal("0.000000015"))
    with pytest.raises(OffGrid, match="more than 2 decimals"):
        roger.lots(Decimal("0.001"))
