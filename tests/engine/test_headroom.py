"""What is told to be left of a limit is exactly what the gate still approves."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from test_limits import existing_orders, roger
from test_risk import NOW, ROGER, code, gate, target

from runner.engine.guard import Guard
from runner.engine.headroom import Use, headroom
from runner.engine.ledger import Ledger
from runner.engine.risk import Approved, Gate
from runner.model.event import Restored
from runner.model.order import Order, Side
from runner.model.settings import SECOND, Limits, Rate


def uses(limits: Limits, judge: Gate, kept: Restored | None = None) -> dict[tuple[str, str], Use]:
    guard = Guard(limits, Ledger({ROGER.symbol: ROGER}, {}), kept or Restored(1), NOW)
    return {(use.limit, use.of): use for use in headroom(limits, judge._at, guard)}


def left(use: Use) -> Decimal:
    assert use.left is not None
    return Decimal(use.left.split(" ")[0])


@given(
    most=st.integers(0, 20_000),
    least=st.integers(-20_000, 0),
    position=st.integers(-10_000, 10_000),
    existing=existing_orders,
    count=st.integers(100, 20_000),
    side=st.sampled_from(Side),
)
def test_positions(most: int, least: int, position: int, existing: list[Order], count: int, side: Side) -> None:
    limits = Limits(max_position={"ROGER": roger(most)}, min_position={"ROGER": roger(least)}, self_trade="allow")
    judge = gate(limits, orders=existing, position=roger(position))
    room = left(uses(limits, judge)["max_position" if side is Side.BUY else "min_position", "ROGER"])
    assert isinstance(judge.judge(target(side, 5000, count)), Approved) == (roger(count) <= room)


@given(
    most=st.integers(0, 10**9),
    position=st.integers(-10_000, 10_000),
    existing=existing_orders,
    count=st.integers(100, 20_000),
    side=st.sampled_from(Side),
)
def test_open_notional(most: int, position: int, existing: list[Order], count: int, side: Side) -> None:
    limits = Limits(max_open_notional={"BTC": Decimal(most).scaleb(-10)}, self_trade="allow")
    judge = gate(limits, orders=existing, position=roger(position))
    room = left(uses(limits, judge)["max_open_notional", f"BTC {side.value}"])
    assert isinstance(judge.judge(target(side, 5000, count)), Approved) == (ROGER.notional(5000, count) <= room)


@given(most=st.integers(0, 6), existing=existing_orders, floor=st.integers(0, 5000), free=st.integers(0, 5000))
def test_numbers_and_balances(most: int, existing: list[Order], floor: int, free: int) -> None:
    limits = Limits(max_open_orders=most, balance_floor={"ROGER": roger(floor)}, self_trade="allow")
    judge = gate(limits, orders=existing, roger=roger(free))
    told = uses(limits, judge)
    fits = left(told["max_open_orders", ""]) > 0 and left(told["balance_floor", "ROGER"]) >= roger(100)
    assert isinstance(judge.judge(target(Side.SELL, 8000, 100)), Approved) == fits


def test_rates_ages_and_what_cannot_be_told() -> None:
    limits = Limits(
        max_order_rate=Rate(3, 10 * SECOND),
        max_account_age=5 * SECOND,
        max_spread=Decimal("0.4"),
        max_drawdown={"BTC": Decimal("0.5")},
        price_collar=Decimal("0.05"),
    )
    judge = gate(limits, heard_at=NOW - SECOND)
    kept = Restored(1, placed=(NOW - 20 * SECOND, NOW - SECOND))
    told = uses(limits, judge, kept)
    assert told["max_order_rate", ""] == Use("max_order_rate", "", "3 in 10 s", "1", "2")
    assert told["max_account_age", ""].used is None
    assert told["max_book_age", ROGER.symbol].used == "1.0 s"
    assert told["max_spread", ROGER.symbol].used == "160%"
    assert told["max_drawdown", "BTC"] == Use("max_drawdown", "BTC", "0.5 BTC", None, None)
    assert told["price_collar", ""].most == "5% of mid"
    assert code(judge.judge(target(Side.BUY, 5000, 100))) == "max_account_age"
