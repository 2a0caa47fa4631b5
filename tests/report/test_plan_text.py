"""A plan for the eye and for programs."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from runner.model.market import Market
from runner.model.order import Side
from runner.report.plan import Offer, Plan, Planned, Sight, facts, foot, head, table
from runner.report.tables import aligned
from runner.simulation.markets import SANDBOX_MARKETS

ROGER, LTC = (
    next(market for market in SANDBOX_MARKETS if market.symbol == symbol) for symbol in ("ROGER-BTC", "LTC-BTC")
)


def offer(
    market: Market = ROGER, side: Side = Side.BUY, ticks: int | None = 5000, mid: float | None = 5.05e-5
) -> Offer:
    return Offer(market, side, ticks, market.lots(Decimal(100)), mid)


def a_plan(*orders: Planned) -> Plan:
    sight = Sight(ROGER, Decimal("0.00005"), None, Decimal("-12.5"))
    return Plan(
        name="mine", venue="sandbox", time=1_700_000_000 * 10**9, reason="why not", sights=(sight,), orders=orders
    )


def test_an_offer_knows_how_far_from_mid_it_is() -> None:
    assert offer().from_mid == -0.9901
    assert offer(ticks=5100).from_mid == 0.9901
    assert offer(ticks=None).from_mid is None
    assert offer(mid=None).from_mid is None
    assert str(offer()) == "buy 100 at 0.00005"
    assert str(offer(ticks=None, side=Side.SELL)) == "sell 100 at the market"


def test_the_head_says_where_and_what_was_seen() -> None:
    assert head(a_plan()).splitlines() == [
        "mine       on sandbox, 2023-11-14T22:13:20Z",
        "ROGER-BTC  bid 0.00005, ask none, position -12.5 ROGER",
        "reason     why not",
    ]


def test_each_slot_has_a_row_and_what_is_not_plain_a_reason() -> None:
    plan = a_plan(
        Planned(do="keep", slot="bid-1", offer=offer(), client_id="R1"),
        Planned(
            do="cancel", slot="bid-2", offer=offer(ticks=4990), why="repriced: R2", client_id="R2", instead=offer()
        ),
        Planned(do="create", slot="now", offer=offer(ticks=None)),
        Planned(do="refuse", slot="ask-1", offer=offer(side=Side.SELL, ticks=5100), why="post_only: price=5"),
    )
    assert aligned(table(plan)).splitlines() == [
        "do      slot   side       price  quantity  notional  from mid",
        "keep    bid-1  buy   0.00005000       100     0.005   -0.99 %",
        "cancel  bid-2  buy   0.00004990       100   0.00499   -1.19 %",
        "create  now    buy       market       100",
        "refuse  ask-1  sell  0.00005100       100    0.0051   +0.99 %",
    ]
    assert foot(plan).splitlines() == [
        "bid-2  repriced: R2; then buy 100 at 0.00005",
        "ask-1  post_only: price=5",
        "",
        "keep 1, cancel 1, create 1, refuse 1, and nothing was sent",
    ]


def test_the_market_is_told_where_there_are_several() -> None:
    plan = a_plan(Planned(do="create", slot="a", offer=offer()), Planned(do="create", slot="b", offer=offer(LTC)))
    lines = aligned(table(plan)).splitlines()
    assert lines[0].split()[:4] == ["do", "slot", "market", "side"]
    assert [line.split()[2] for line in lines[1:]] == ["ROGER-BTC", "LTC-BTC"]


def test_nothing_to_do_is_said() -> None:
    assert aligned(table(a_plan())) == "no orders are wanted, and none are there"
    assert foot(a_plan()) == "nothing is to be done, and nothing was sent"


@given(st.integers(1, 10**7), st.integers(1, 10**9), st.sampled_from(Side))
def test_programs_get_exact_amounts(ticks: int, lots: int, side: Side) -> None:
    plan = a_plan(Planned(do="create", slot="a", offer=Offer(ROGER, side, ticks, lots, 5e-5)))
    (row,) = json.loads(json.dumps(facts(plan)))["orders"]
    assert ROGER.ticks(Decimal(row["price"])) == ticks
    assert ROGER.lots(Decimal(row["quantity"])) == lots
    assert Decimal(row["notional"]) == ROGER.notional(ticks, lots)
