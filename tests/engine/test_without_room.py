"""What rests already, under limits that became stricter: only what has no room goes, and what stays fits."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from test_risk import NOW, ROGER, order

from runner.engine.book import Book
from runner.engine.funds import Funds
from runner.engine.risk import STANDING_LIMITS, Restraint, Situation, without_room
from runner.model.event import BookSnapshot
from runner.model.order import Order, OrderState, Side
from runner.model.settings import Limits

RESTS = (OrderState.ACCEPTED, OrderState.OPEN)
STATES = (*RESTS, OrderState.SENT, OrderState.UNKNOWN, OrderState.CANCELLING)

orders = st.lists(
    st.tuples(st.sampled_from(Side), st.integers(1, 9999), st.integers(1, 5000), st.sampled_from(STATES)), max_size=8
).map(
    lambda rows: [
        replace(order(side, ticks, lots, state), client_id=str(number), created=number)
        for number, (side, ticks, lots, state) in enumerate(rows)
    ]
)


def situation(existing: Sequence[Order], position: Decimal, *, priced: bool = True) -> Situation:
    book = Book()
    if priced:
        book.apply(BookSnapshot(ROGER.symbol, 1, ((1000, 10),), ((9000, 10),)), NOW)
    return Situation(
        now=NOW,
        markets={ROGER.symbol: ROGER},
        books={ROGER.symbol: book},
        heard_at={ROGER.symbol: NOW},
        orders=existing,
        foreign=(),
        position=lambda currency: position if currency == "ROGER" else Decimal(0),
        parents={},
        funds=Funds(),
        restraint=Restraint("drift", {}),  # what rests is not judged by what holds new orders back
    )


def broken(limits: Limits, left: Sequence[Order], position: Decimal) -> set[str]:
    """Slow and obvious: the limits that these orders break."""
    found = set()
    if limits.max_open_orders is not None and len(left) > limits.max_open_orders:
        found.add("max_open_orders")
    most, single = limits.max_position.get("ROGER"), limits.max_order_amount.get("ROGER")
    bought = sum(ROGER.quantity(each.lots) for each in left if each.side is Side.BUY)
    sold = sum(ROGER.quantity(each.lots) for each in left if each.side is Side.SELL)
    if most is not None and any(each.side is Side.BUY for each in left) and position + bought > most:
        found.add("max_position")
    if most is not None and any(each.side is Side.SELL for each in left) and position - sold < -most:
        found.add("max_position")
    if single is not None and any(ROGER.quantity(each.lots) > single for each in left if each.state in RESTS):
        found.add("max_order_amount")
    return found


@given(
    existing=orders,
    position=st.integers(-30, 30).map(Decimal),
    most=st.none() | st.integers(0, 60).map(Decimal),
    single=st.none() | st.integers(0, 60).map(Decimal),
    count=st.none() | st.integers(0, 8),
)
def test_what_stays_fits_and_nothing_goes_without_need(
    existing: list[Order], position: Decimal, most: Decimal | None, single: Decimal | None, count: int | None
) -> None:
    limits = Limits(
        max_open_orders=count,
        max_position={} if most is None else {"ROGER": most},
        max_order_amount={} if single is None else {"ROGER": single},
    )
    gone = without_room(STANDING_LIMITS, limits, situation(existing, position))
    assert all(each.state in RESTS for each in gone)
    left = [each for each in existing if each not in gone]
    fixed = [each for each in existing if each.state not in RESTS]
    for side in Side:
        resting = [each for each in left if each.state in RESTS and each.side is side]
        if resting:  # what is on its way may break them alone, but then nothing of that side rests beside it
            others = [each for each in fixed if each.side is side]
            assert not broken(replace(limits, max_open_orders=None), [*others, *resting], position)
    if any(each.state in RESTS for each in left):
        assert "max_open_orders" not in broken(limits, left, position)
    for each in gone:  # with those before it that stay, it has no room
        before = [other for other in left if other.state not in RESTS or other.created < each.created]
        assert broken(limits, [*before, each], position)


@given(existing=orders, position=st.integers(-30, 30).map(Decimal))
def test_a_limit_that_is_as_it_was_takes_nothing_away(existing: list[Order], position: Decimal) -> None:
    limits = Limits(max_open_orders=0, max_position={"ROGER": Decimal(0)}, max_open_notional={"BTC": Decimal(0)})
    assert without_room((), limits, situation(existing, position)) == []
    assert without_room(("max_order_notional",), limits, situation(existing, position)) == []


def test_what_cannot_be_valued_takes_nothing_away() -> None:
    limits = Limits(max_open_notional={"BTC": Decimal(1)})
    resting = [order(Side.BUY, 5000, 100)]
    assert without_room(STANDING_LIMITS, limits, situation(resting, Decimal(10), priced=False)) == []
