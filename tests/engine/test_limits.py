"""Laws of the gate's limits: what was approved never leads past one, and what was refused would have."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_risk import NOW, ROGER, code, deep_gate, gate, lots, order, proposals, sides, states, target

from runner.engine.effects import Effects
from runner.engine.funds import cost
from runner.engine.guard import Guard
from runner.engine.ledger import Ledger
from runner.engine.pace import Pace
from runner.engine.risk import Approved, InTheWay, Refused, Restraint, Waiting
from runner.model.command import RiskKept
from runner.model.event import Restored
from runner.model.order import Order, Side
from runner.model.settings import SECOND, Limits, Rate

existing_orders = st.lists(st.builds(order, sides, st.integers(2000, 8000), lots, states), max_size=5)


def roger(count: int) -> Decimal:
    return ROGER.quantity(count)


@given(most=st.integers(0, 6000), count=lots, side=sides)
def test_max_order_amount(most: int, count: int, side: Side) -> None:
    judge = gate(Limits(max_order_amount={"ROGER": roger(most)}))
    assert (code(judge.judge(target(side, 5000, count))) == "max_order_amount") == (count > most)


@given(least=st.integers(1, 10**8), ticks=st.integers(2000, 8000), count=lots, side=sides)
def test_min_order_notional(least: int, ticks: int, count: int, side: Side) -> None:
    judge = gate(Limits(min_order_notional={"BTC": Decimal(least).scaleb(-10)}))
    assert (code(judge.judge(target(side, ticks, count))) == "min_order_notional") == (ticks * count < least)


@given(
    least=st.integers(-10_000, 10_000),
    position=st.integers(-10_000, 20_000),
    existing=existing_orders,
    drawn=proposals,
)
def test_min_position(least: int, position: int, existing: list[Order], drawn: list[tuple[Side, int, int]]) -> None:
    """It binds the sells; a buy is never refused for it, and the upper limit is another."""
    judge = gate(Limits(min_position={"ROGER": roger(least)}), orders=existing, position=roger(position))
    sold = sum(each.unbooked_lots for each in existing if each.side is Side.SELL)
    for side, ticks, count in drawn:
        verdict = judge.judge(target(side, ticks, count))
        if side is Side.BUY:
            assert code(verdict) != "min_position"
        elif isinstance(verdict, Approved):
            sold += count
            assert position - sold >= least
        elif code(verdict) == "min_position":
            assert position - sold - count < least


@given(most=st.integers(0, 10**9), position=st.integers(-10_000, 10_000), existing=existing_orders, drawn=proposals)
def test_max_open_notional_counts_each_side_with_what_is_held_there(
    most: int, position: int, existing: list[Order], drawn: list[tuple[Side, int, int]]
) -> None:
    judge = gate(
        Limits(max_open_notional={"BTC": Decimal(most).scaleb(-10)}), orders=existing, position=roger(position)
    )
    worth = {Side.BUY: max(0, position) * 9000, Side.SELL: max(0, -position) * 9000}  # at the best ask
    for each in existing:
        assert each.ticks is not None
        worth[each.side] += each.unbooked_lots * each.ticks
    for side, ticks, count in drawn:
        verdict = judge.judge(target(side, ticks, count))
        if isinstance(verdict, Approved):
            worth[side] += ticks * count
            assert worth[side] <= most
        elif code(verdict) == "max_open_notional":
            assert worth[side] + ticks * count > most


@given(collar=st.integers(1, 9000), ticks=st.integers(2000, 8000), side=sides)
def test_price_collar_around_the_mid(collar: int, ticks: int, side: Side) -> None:
    judge = gate(Limits(price_collar=Decimal(collar).scaleb(-4)))
    outside = abs(ticks - 5000) * 10_000 > collar * 5000
    assert (code(judge.judge(target(side, ticks, 100))) == "price_collar") == outside


def test_price_collar_around_another_reference() -> None:
    last = Limits(price_collar=Decimal("0.1"), collar_reference="last")
    assert code(gate(last).judge(target(Side.BUY, 5000, 100))) == "price_collar"  # no trade was seen: it fails closed
    assert code(gate(last, last_trades={ROGER.symbol: 4600}).judge(target(Side.BUY, 5000, 100))) == "Approved"
    assert code(gate(last, last_trades={ROGER.symbol: 4500}).judge(target(Side.BUY, 5000, 100))) == "price_collar"
    own = Limits(price_collar=Decimal("0.1"), collar_price=ROGER.price(7000))
    assert code(gate(own).judge(target(Side.BUY, 6300, 100))) == "Approved"
    assert code(gate(own).judge(target(Side.BUY, 6299, 100))) == "price_collar"


@given(times=st.integers(1, 5), gaps=st.lists(st.integers(0, 4), min_size=1, max_size=40))
def test_max_order_rate_holds_in_every_stretch_of_time(times: int, gaps: list[int]) -> None:
    rate, pace, now = Rate(times, 10 * SECOND), Pace(), NOW
    placed: list[int] = []
    for gap in gaps:
        now += gap * SECOND
        judge = gate(Limits(max_order_rate=rate, max_book_age=10**6 * SECOND), pace=pace, now=now)
        if isinstance(judge.judge(target(Side.BUY, 4000, 100)), Approved):
            pace.place(now)
            placed.append(now)
        else:
            assert sum(now - 10 * SECOND < at for at in placed) >= times
    for at in placed:
        assert sum(at - 10 * SECOND < other <= at for other in placed) <= times


def test_orders_of_one_tick_count_for_its_rate() -> None:
    pace = Pace()
    judge = gate(Limits(max_order_rate=Rate(2, SECOND)), pace=pace)
    for _ in range(2):
        assert code(judge.judge(target(Side.BUY, 4000, 100))) == "Approved"
        pace.place(NOW)
    assert code(judge.judge(target(Side.BUY, 4000, 100))) == "max_order_rate"


def test_max_cancel_rate_lets_no_new_orders_follow() -> None:
    pace, limits = Pace(), Limits(max_cancel_rate=Rate(2, 10 * SECOND))
    for at in (NOW - 10 * SECOND, NOW - 9 * SECOND, NOW):
        assert code(gate(limits, pace=pace).judge(target(Side.BUY, 4000, 100))) == "Approved"
        pace.cancel(at)
    assert code(gate(limits, pace=pace).judge(target(Side.BUY, 4000, 100))) == "max_cancel_rate"


@given(ago=st.lists(st.integers(0, 20).map(lambda seconds: seconds * SECOND), max_size=8), pause=st.integers(0, 20))
def test_a_restart_forgets_no_cancel_that_counts(ago: list[int], pause: int) -> None:
    limits, later = Limits(max_cancel_rate=Rate(3, 10 * SECOND)), NOW + pause * SECOND
    before = Guard(limits, Ledger({ROGER.symbol: ROGER}, {}), Restored(1), NOW)
    for at in sorted(NOW - each for each in ago):
        before.pace.cancel(at)
    out = Effects()
    before.keep(NOW, out)
    kept = next((change.kept for change in out.changes if isinstance(change, RiskKept)), None)
    after = Guard(limits, Ledger({ROGER.symbol: ROGER}, {}), Restored(1, risk=kept), later)
    assert after.pace.cancelled(limits.max_cancel_rate, later) == before.pace.cancelled(limits.max_cancel_rate, later)


def test_spread_is_that_of_the_others() -> None:
    ours = order(Side.BUY, 5000, 300), order(Side.SELL, 5010, 200)
    ours = tuple(_resting(each) for each in ours)
    wide, narrow = Limits(max_spread=Decimal("0.003")), Limits(min_spread=Decimal("0.003"))
    alone = Decimal(2 * 10) / Decimal(5000 + 5010)
    without = Decimal(2 * 20) / Decimal(4990 + 5010)  # the ask at 5010 has a hundred lots of others
    assert alone < Decimal("0.003") < without
    assert code(deep_gate(wide).judge(target(Side.BUY, 4900, 100))) == "Approved"
    assert code(deep_gate(wide, orders=ours).judge(target(Side.BUY, 4900, 100))) == "max_spread"
    assert code(deep_gate(narrow).judge(target(Side.BUY, 4900, 100))) == "min_spread"
    assert code(deep_gate(narrow, orders=ours).judge(target(Side.BUY, 4900, 100))) == "Approved"


def _resting(each: Order) -> Order:
    return replace(each, venue_ids=(7,))


def test_age_of_the_account_and_skew_of_the_clock() -> None:
    old = Limits(max_account_age=5 * SECOND)
    assert code(gate(old).judge(target(Side.BUY, 4000, 100))) == "max_account_age"  # never heard of
    assert code(gate(old, account_heard_at=NOW - 5 * SECOND).judge(target(Side.BUY, 4000, 100))) == "Approved"
    assert code(gate(old, account_heard_at=NOW - 5 * SECOND - 1).judge(target(Side.BUY, 4000, 100))) == (
        "max_account_age"
    )
    skewed = Limits(max_clock_skew=SECOND)
    assert code(gate(skewed, clock_offset=-SECOND).judge(target(Side.BUY, 4000, 100))) == "Approved"
    assert code(gate(skewed, clock_offset=-SECOND - 1).judge(target(Side.BUY, 4000, 100))) == "max_clock_skew"


@given(floor=st.integers(0, 10_000), free=st.integers(0, 10_000), drawn=st.lists(lots, max_size=8))
def test_balance_floor_is_what_stays_available(floor: int, free: int, drawn: list[int]) -> None:
    judge = gate(Limits(balance_floor={"ROGER": roger(floor)}), roger=roger(free))
    for count in drawn:
        verdict = judge.judge(target(Side.SELL, 8000, count))
        if isinstance(verdict, Approved):
            free -= count
            assert free >= floor
        elif isinstance(verdict, Refused):
            assert verdict.code == "balance_floor"
            assert count <= free < count + floor
        else:
            assert isinstance(verdict, Waiting)
            assert count > free


@given(share=st.integers(0, 100), free=st.integers(0, 20_000), existing=existing_orders, drawn=proposals)
def test_allocation_is_what_our_orders_may_lock(
    share: int, free: int, existing: list[Order], drawn: list[tuple[Side, int, int]]
) -> None:
    judge = gate(Limits(allocation=Decimal(share).scaleb(-2)), orders=existing, roger=roger(free))
    locked = sum(
        (cost(ROGER, each.side, each.ticks or 0, each.unbooked_lots)[1] for each in existing if each.side is Side.SELL),
        Decimal(0),
    )
    for side, ticks, count in drawn:
        verdict = judge.judge(target(side, ticks, count))
        if side is Side.SELL and isinstance(verdict, Approved):
            locked += roger(count)
            assert locked <= roger(free) * share / 100
        elif code(verdict) == "allocation" and side is Side.SELL:
            assert roger(count) > roger(free) * share / 100


HELD_BACK = Restraint("max_daily_loss", {"loss": "1"})


@given(position=st.integers(-10_000, 10_000), existing=existing_orders, drawn=proposals)
def test_under_a_restraint_no_outcome_enlarges_or_turns_the_position(
    position: int, existing: list[Order], drawn: list[tuple[Side, int, int]]
) -> None:
    judge = gate(Limits(), orders=existing, position=roger(position), restraint=HELD_BACK)
    there = {side: sum(each.unbooked_lots for each in existing if each.side is side) for side in Side}
    for side, ticks, count in drawn:
        verdict = judge.judge(target(side, ticks, count))
        after = position + side.sign * (there[side] + count)
        if isinstance(verdict, Approved):
            there[side] += count
            assert 0 <= after * (1 if position > 0 else -1) <= abs(position)
        elif code(verdict) == "max_daily_loss":
            assert after * (1 if position > 0 else -1) < 0 or after * side.sign > 0


def test_modes_of_self_trade() -> None:
    ours = order(Side.SELL, 5000, 100)
    wanted = target(Side.BUY, 5000, 100)
    assert code(gate(Limits(self_trade="reject"), orders=[ours]).judge(wanted)) == "self_trade"
    newest = gate(Limits(self_trade="cancel_newest"), orders=[ours]).judge(wanted)
    assert newest == InTheWay(wanted)
    oldest = gate(Limits(self_trade="cancel_oldest"), orders=[ours]).judge(wanted)
    assert oldest == InTheWay(wanted, (ours,))
    assert code(gate(Limits(self_trade="allow"), orders=[ours]).judge(wanted)) == "Approved"


def test_a_fee_that_nobody_has_told_leaves_no_room() -> None:
    """It may turn out to be less, and then the position is more."""
    limits = Limits(max_position={"ROGER": roger(1000)})
    net = {"position": roger(890), "provisional_fees": lambda _currency: roger(10)}
    assert code(gate(limits, **net).judge(target(Side.BUY, 5000, 100))) == "Approved"
    assert code(gate(limits, **net).judge(target(Side.BUY, 5000, 101))) == "max_position"
