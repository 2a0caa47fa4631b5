"""Errors of backtests against real runs: what the figures mean, by laws and small sums."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.model.market import Market
from runner.model.order import Fill, Role, Side
from runner.model.settings import SECOND
from runner.report.backtest import AFTER, Played
from runner.report.parity import (
    MEASURES,
    Divergence,
    Errors,
    Pair,
    Placing,
    Traded,
    closest,
    divergence,
    errors,
    table,
    traded,
)
from runner.report.tables import aligned

MARKET = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=2,
    amount_precision=1,
    price_min=Decimal("0.01"),
    quantity_min=Decimal("0.1"),
    maker_fee=Decimal("0.01"),
    taker_fee=Decimal("0.01"),
)


def run(volume: int, profit: int = 0, turnover: int | None = None) -> Traded:
    money = Decimal(volume if turnover is None else turnover)
    return Traded(volume, Decimal(volume), money, Decimal(profit), tuple(Decimal(profit) for _ in AFTER))


runs = st.builds(run, st.integers(0, 1000), st.integers(-100, 100))
pairs = st.lists(st.builds(Pair, runs, runs), min_size=1, max_size=30)


@given(pairs=pairs, measure=st.sampled_from(MEASURES))
def test_a_backtest_that_is_right_has_no_errors(pairs: list[Pair], measure: str) -> None:
    assume(any(pair.real.volume for pair in pairs))
    found = errors([Pair(pair.real, pair.real) for pair in pairs], measure)
    assert found is not None
    assert (found.bias, found.total, found.median, found.low, found.high) == (0, 0, 0, 0, 0)
    assert found.met


@given(pairs=pairs, measure=st.sampled_from(MEASURES))
def test_bias_is_never_more_than_the_total_error(pairs: list[Pair], measure: str) -> None:
    found = errors(pairs, measure)
    if found is None:
        assert not any(pair.real.volume for pair in pairs)
        return
    assert abs(found.bias) <= found.total + 1e-9
    assert found.low <= found.high
    assert found.median >= 0
    assert found.runs == sum(pair.real.volume > 0 for pair in pairs)


@given(pairs=pairs, measure=st.sampled_from(MEASURES), times=st.integers(2, 9))
def test_errors_have_no_unit(pairs: list[Pair], measure: str, times: int) -> None:
    def more(one: Traded) -> Traded:
        return replace(
            one,
            volume=one.volume * times,
            turnover=one.turnover * times,
            profit=one.profit * times,
            after=tuple(each * times for each in one.after),
        )

    before, scaled = errors(pairs, measure), errors([Pair(more(p.real), more(p.tested)) for p in pairs], measure)
    assert (before is None) == (scaled is None)
    if before is not None and scaled is not None:
        for name in ("bias", "total", "median", "low", "high"):
            assert getattr(scaled, name) == pytest.approx(getattr(before, name))


def test_errors_of_known_runs() -> None:
    sample = [Pair(run(100), run(110)), Pair(run(300), run(270)), Pair(run(200), run(204))]
    assert errors(sample, "volume") == Errors(
        runs=3,
        bias=pytest.approx((10 - 30 + 4) / 600),
        total=pytest.approx(44 / 600),
        median=pytest.approx(0.1),
        low=pytest.approx(-0.1),
        high=pytest.approx(0.1),
    )
    assert errors([Pair(run(100, 5), run(100, -1))], "profit") == errors([Pair(run(100, 5), run(100, -1))], "after_1s")
    assert errors([Pair(run(0), run(10))], "volume") is None


@pytest.mark.parametrize(
    ("tested", "met"), [((95, 105), True), ((105, 105), True), ((106, 106), False), ((85, 115), False)]
)
def test_what_is_aimed_at(tested: tuple[int, int], met: bool) -> None:
    found = errors([Pair(run(100), run(each)) for each in tested], "volume")
    assert found is not None
    assert found.met is met


def test_the_closest_model_is_least_wrong_in_all() -> None:
    by_model = {
        "high": [Pair(run(100), run(120)), Pair(run(100), run(100))],
        "low": [Pair(run(100), run(95)), Pair(run(100), run(95))],
        "wild": [Pair(run(100), run(130)), Pair(run(100), run(70))],
    }
    assert closest(by_model) == "low"
    assert closest({"none": [Pair(run(0), run(0))]}) is None
    lines = aligned(table(by_model)).split("\n")
    assert len(lines) == 1 + len(by_model) * len(MEASURES)
    assert [line.split()[-1] for line in lines if " volume, % " in line] == ["no", "yes", "no"]
    assert aligned(table({"none": [Pair(run(0), run(0))]})) == "nothing was traded"


def fill(number: int, side: Side, ticks: int, lots: int, time: int) -> Fill:
    quantity, notional = MARKET.quantity(lots), MARKET.notional(ticks, lots)
    fee, currency = (quantity, MARKET.base) if side is Side.BUY else (notional, MARKET.quote)
    return Fill(
        trade_id=number,
        order_id=number,
        client_id="",
        market=MARKET.symbol,
        side=side,
        ticks=ticks,
        lots=lots,
        role=Role.MAKER,
        fee=fee * MARKET.maker_fee,
        fee_currency=currency,
        time=time,
        traded_at=time // SECOND,
    )


def played(fills: Sequence[Fill], mids: dict[int, int]) -> Played:
    return Played(market=MARKET, start=0, end=60 * SECOND, events=0, gaps=0, ordered_lots=0, fills=fills, mids=mids)


def test_what_a_run_traded() -> None:
    """Bought 10 at 1.00 and sold 10 at 1.10, a hundredth of what is received as fee; 0.1 base short in the end."""
    fills = [fill(1, Side.BUY, 100, 100, 0), fill(2, Side.SELL, 110, 100, 20 * SECOND)]
    mids = {0: 200, SECOND: 204, 10 * SECOND: 210, 21 * SECOND: 218, 30 * SECOND: 200, 60 * SECOND: 200}
    assert traded(played(fills, mids)) == Traded(
        fills=2,
        volume=Decimal(20),
        turnover=Decimal(21),
        profit=Decimal("0.79"),  # 11 x 0.99 - 10 - 0.1 x 1.00
        after=(Decimal("0.30"), Decimal("1.50")),  # 10 x (0.02 + 0.01), and 10 x (0.05 + 0.10)
    )
    assert traded(played([], {})) == Traded(0, Decimal(0), Decimal(0), Decimal(0), (Decimal(0), Decimal(0)))
    with pytest.raises(ValueError, match="never had two sides"):
        traded(played(fills, {}))


placings = st.lists(
    st.builds(
        Placing,
        time=st.integers(0, 3),
        slot=st.sampled_from(["bid-1", "ask-1"]),
        market=st.just("ROGER-BTC"),
        side=st.sampled_from(Side),
        ticks=st.integers(1, 3),
        lots=st.integers(1, 2),
    ),
    max_size=6,
)


@given(real=placings, tested=placings)
def test_runs_diverge_where_they_first_differ(real: list[Placing], tested: list[Placing]) -> None:
    assert divergence(real, real) is None
    found = divergence(real, tested)
    if found is None:
        assert real == tested
        return
    assert real[: found.number] == tested[: found.number]
    assert found.real != found.tested
    assert found == Divergence(
        found.number,
        real[found.number] if found.number < len(real) else None,
        tested[found.number] if found.number < len(tested) else None,
    )


@given(real=placings, late=st.integers(0, 5), apart=st.integers(0, 5))
def test_a_little_later_is_the_same_order(real: list[Placing], late: int, apart: int) -> None:
    tested = [replace(each, time=each.time + late) for each in real]
    found = divergence(real, tested, apart)
    assert (found is None) == (late <= apart or not real)
