"""What an approval says it rested on: every limit that is set, beside what the books may come to with this order."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from test_risk import ROGER, gate, order, target

from runner.engine.risk import Approved
from runner.model.order import Side
from runner.model.settings import Limits

ORDERS = st.lists(st.tuples(st.sampled_from(Side), st.integers(2000, 8000), st.integers(100, 500_000)), max_size=6)
LIMITS = st.builds(
    lambda position, count, notional: Limits(
        max_position={"ROGER": Decimal(position)},
        max_open_orders=count,
        max_order_notional={"BTC": Decimal(notional)},
    ),
    st.integers(1, 20_000),
    st.integers(1, 8),
    st.decimals("0.0001", "1", places=4),
)


def compared(numbers: dict[str, str], name: str) -> tuple[Decimal, Decimal, str]:
    used, of, rest = numbers[name].partition(" of ")
    limit, _, currency = rest.partition(" ")
    assert of
    return Decimal(used), Decimal(limit), currency


@given(LIMITS, ORDERS, ORDERS, st.integers(-5000, 5000))
def test_every_limit_that_is_set_is_told_and_held(
    limits: Limits, there: list[tuple[Side, int, int]], wanted: list[tuple[Side, int, int]], position: int
) -> None:
    # On separate sides of 5000 ticks, so that no two of them would trade with each other.
    def apart(side: Side, ticks: int) -> int:
        return min(ticks, 4999) if side is Side.BUY else max(ticks, 5001)

    before = [order(side, apart(side, ticks), lots) for side, ticks, lots in there]
    judge = gate(limits, orders=before, position=Decimal(position)).judge
    moved = {side: sum(each.lots for each in before if each.side is side) for side in Side}
    count = len(before)
    for number, (side, ticks, lots) in enumerate(wanted):
        verdict = judge(target(side, apart(side, ticks), lots, slot=f"s{number}"))
        if not isinstance(verdict, Approved):
            continue
        moved[side], count = moved[side] + lots, count + 1
        numbers = verdict.numbers
        worst = position + side.sign * ROGER.quantity(moved[side])
        assert compared(numbers, "max_position") == (worst, side.sign * limits.max_position["ROGER"], "ROGER")
        assert side.sign * worst <= limits.max_position["ROGER"]
        assert compared(numbers, "max_open_orders")[:2] == (count, limits.max_open_orders)
        notional, most, currency = compared(numbers, "max_order_notional")
        assert (notional, currency) == (ROGER.notional(apart(side, ticks), lots), "BTC")
        assert notional <= most
        locks, spendable, currency = compared(numbers, "funds")
        assert (locks, currency) == (verdict.locks, verdict.currency)
        assert locks <= spendable


def test_the_total_of_a_parent_is_told() -> None:
    verdict = gate(Limits(), parents={"p": 500}).judge(target(Side.BUY, 4000, 1000, parent=("p", 2000)))
    assert isinstance(verdict, Approved)
    assert verdict.numbers["parent_total"] == "15 of 20 ROGER"


def test_without_limits_only_the_funds_are_told() -> None:
    verdict = gate(Limits(), roger=Decimal(100)).judge(target(Side.SELL, 6000, 1000))
    assert isinstance(verdict, Approved)
    assert verdict.numbers == {"funds": "10 of 100 ROGER"}
