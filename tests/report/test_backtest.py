"""What a backtest tells of its fills: each measure against arithmetic on the same numbers."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.market import Market
from runner.model.order import Fill, Role, Side
from runner.model.settings import SECOND
from runner.report.backtest import (
    AFTER,
    Pace,
    Played,
    adverse_selection,
    drawdowns,
    facts,
    fill_ratio,
    maker_share,
    marks,
    profits,
    text,
)

START = 1_700_000_000 * SECOND
MARKET = Market(
    id="aeur",
    base="A",
    quote="EUR",
    price_precision=2,
    amount_precision=1,
    price_min=Decimal("0.01"),
    quantity_min=Decimal("0.1"),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
)


def fill(
    number: int, second: float, side: Side, ticks: int, lots: int, *, role: Role = Role.MAKER, fee: str = "0"
) -> Fill:
    return Fill(
        trade_id=number,
        order_id=number,
        client_id=f"c{number}",
        market=MARKET.symbol,
        side=side,
        ticks=ticks,
        lots=lots,
        role=role,
        fee=Decimal(fee),
        fee_currency="A" if side is Side.BUY else "EUR",
        time=START + int(second * SECOND),
        traded_at=0,
    )


def played(fills: Sequence[Fill], mids: dict[float, float], ordered: int = 1000) -> Played:
    return Played(
        market=MARKET,
        start=START,
        end=START + 100 * SECOND,
        events=500,
        gaps=1,
        tainted=0,
        ordered_lots=ordered,
        fills=fills,
        mids={START + int(second * SECOND): int(2 * mid) for second, mid in mids.items()},
    )


def test_a_fill_that_the_market_ran_over_is_adverse_on_both_sides() -> None:
    """Bought 10.0 at 1.00 before it fell to 0.98, and sold 5.0 at 1.02 before it rose to 1.03."""
    one = played([fill(1, 0, Side.BUY, 100, 100), fill(2, 5, Side.SELL, 102, 50)], {1: 98, 6: 103, 10: 101})
    count, gained, paid = adverse_selection(one, SECOND)
    assert (count, gained, paid) == (2, Decimal("-0.25"), Decimal("15.10"))
    assert adverse_selection(one, 10 * SECOND) == (1, Decimal("0.10"), Decimal("10.00"))  # of the first alone


def test_the_ratios_go_by_quantity() -> None:
    one = played(
        [fill(1, 0, Side.BUY, 100, 30), fill(2, 1, Side.SELL, 100, 10, role=Role.TAKER)], {0: 100}, ordered=400
    )
    assert fill_ratio(one) == pytest.approx(0.1)
    assert maker_share(one.fills) == pytest.approx(0.75)
    nothing = played([], {0: 100}, ordered=0)
    assert (fill_ratio(nothing), maker_share(nothing.fills)) == (None, None)


fills = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(Side), st.integers(90, 110), st.integers(1, 100), st.integers(0, 9)),
    max_size=12,
)


@given(fills, st.dictionaries(st.integers(0, 80), st.integers(90, 110), min_size=1))
def test_profit_is_cash_and_what_is_held_at_mid_and_the_drawdown_its_deepest_fall(
    trades: list[tuple[int, Side, int, int, int]], mids: dict[int, int]
) -> None:
    ours = [fill(n, s, side, t, q, fee=f"0.{fee}") for n, (s, side, t, q, fee) in enumerate(trades)]
    one = played(ours, {float(second): mid for second, mid in mids.items()})
    times = sorted(one.mids)
    curve = profits(one, times)
    for time, profit in zip(times, curve, strict=True):
        before = [each for each in ours if each.time <= time]
        cash = sum((-each.side.sign * each.ticks * each.lots for each in before), 0) / Decimal(1000)
        held = sum((each.side.sign * each.lots for each in before), 0) / Decimal(10)
        cash -= sum((each.fee for each in before if each.side is Side.SELL), Decimal(0))
        held -= sum((each.fee for each in before if each.side is Side.BUY), Decimal(0))
        assert profit == cash + held * Decimal(one.mids[time]) / 200
    deepest = max((max([Decimal(0), *curve[: at + 1]]) - now for at, now in enumerate(curve)), default=Decimal(0))
    assert drawdowns([one]) == {"EUR": max(deepest, Decimal(0))}


@given(fills, st.integers(1, 30))
def test_the_marks_hold_every_moment_that_is_asked_for(
    trades: list[tuple[int, Side, int, int, int]], apart: int
) -> None:
    ours = [fill(n, s, side, t, q) for n, (s, side, t, q, _) in enumerate(trades)]
    found = marks(ours, START, START + 100 * SECOND, apart * SECOND)
    assert found == sorted(set(found))
    assert {each.time + after for each in ours for after in (0, *AFTER)} <= set(found)
    assert {START, START + 100 * SECOND} <= set(found)
    assert max(later - sooner for sooner, later in pairwise(found)) <= apart * SECOND


def test_the_text_says_what_it_was_measured_against() -> None:
    summary: dict[str, Any] = {
        "run": "backtest", "stopped_by": "tape", "ticks": 500, "fills": 1, "open_orders_left": 0,
        "orders": {"placed": 2, "filled": 1, "cancelled": 1, "rejected": 0, "refused": 0, "absent": 0, "unknown": 0},
        "volume": {"A": "10", "EUR": "10"}, "fees": {}, "position": {"A": "10"},
        "profit": {"realised": {}, "unrealised": {}},
    }  # fmt: skip
    one = played([fill(1, 0, Side.BUY, 100, 100)], {0: 101, 1: 98, 10: 99})
    summary["backtest"] = facts([one], {"EUR": Decimal(1000)}, Pace(2.0, 500, 500))
    assert text(summary).splitlines()[-7:] == [
        "tape       A-EUR, 1 m 40 s, 500 events, 1 gap",
        "filled     10.00% of what was ordered, 100.0% of it as maker",
        "after 1s   -0.2 EUR (-200.00 bps) by mid, 1 fill",
        "after 10s  -0.1 EUR (-100.00 bps) by mid, 1 fill",
        "drawdown   0.3 EUR",
        "turnover   10 EUR, 0.01 times the account",
        "speed      250 events/s, 250 ticks/s",
    ]
