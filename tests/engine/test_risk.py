"""The gate: worst case, per side, every order that may exist counted; a refusal names its code and its numbers."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.engine.book import Book
from runner.engine.funds import Funds
from runner.engine.reconcile import Target
from runner.engine.risk import Approved, Gate, InTheWay, Refused, Situation, Waiting
from runner.model.event import BookGap, BookSnapshot
from runner.model.market import Market
from runner.model.order import BalanceRow, Order, OrderRow, OrderState, Side
from runner.model.settings import SECOND, Limits

ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000010"),
    price_max=Decimal("0.00100000"),
    quantity_min=Decimal(1),
)
NOW = 1_700_000_000 * SECOND
FAR_ASK, FAR_BID = 9000, 1000


def target(side: Side, ticks: int | None, lots: int, slot: str = "s", parent: tuple[str, int] | None = None) -> Target:
    return Target(slot, ROGER.symbol, side, ticks, lots, repeat=True, parent=parent)


def order(side: Side, ticks: int, lots: int, state: OrderState = OrderState.OPEN, executed: int = 0) -> Order:
    return Order(
        client_id=f"{side}{ticks}{lots}{state}",
        slot="x",
        generation=0,
        market=ROGER.symbol,
        side=side,
        ticks=ticks,
        lots=lots,
        state=state,
        created=0,
        changed=0,
        event=1,
        sign_before=0,
        executed_lots=executed,
    )


def gate(
    limits: Limits,
    *,
    orders: Sequence[Order] = (),
    foreign: Sequence[OrderRow] = (),
    position: Decimal = Decimal(0),
    heard_at: int = NOW,
    live: bool = True,
    roger: Decimal = Decimal(10**9),
    btc: Decimal = Decimal(10**6),
    parents: dict[str, int] | None = None,
    now: int = NOW,
    **more: Any,
) -> Gate:
    book = Book()
    book.apply(BookSnapshot(ROGER.symbol, 1, ((FAR_BID, 10),), ((FAR_ASK, 10),)), NOW)
    if not live:
        book.apply(BookGap(ROGER.symbol, "test"), NOW)
    funds = Funds()
    funds.read([BalanceRow("ROGER", roger, Decimal(0)), BalanceRow("BTC", btc, Decimal(0))], NOW)
    return Gate(
        limits,
        Situation(
            now=now,
            markets={ROGER.symbol: ROGER},
            books={ROGER.symbol: book},
            heard_at={ROGER.symbol: heard_at},
            orders=orders,
            foreign=foreign,
            position=lambda currency: position if currency == "ROGER" else Decimal(0),
            parents=parents or {},
            funds=funds,
            **more,
        ),
    )


def code(verdict: Approved | Refused | Waiting | InTheWay) -> str:
    return verdict.code if isinstance(verdict, Refused) else type(verdict).__name__


def test_what_is_executed_counts_until_it_is_booked() -> None:
    """The row tells of a fill before the trade does: in between it is in no position, and still ours."""
    limits = Limits(max_position={"ROGER": ROGER.quantity(300)})
    executed = order(Side.BUY, 4000, 200, executed=200)
    assert executed.remaining_lots == 0
    assert code(gate(limits, orders=[executed]).judge(target(Side.BUY, 4000, 200))) == "max_position"
    assert code(gate(limits, orders=[executed]).judge(target(Side.BUY, 4000, 100))) == "Approved"
    booked = replace(executed, filled_lots=200)
    verdict = gate(limits, orders=[booked], position=ROGER.quantity(200)).judge(target(Side.BUY, 4000, 100))
    assert code(verdict) == "Approved"
    of_parent = replace(executed, parent="p")
    assert code(gate(Limits(), orders=[of_parent]).judge(target(Side.BUY, 4000, 101, parent=("p", 300)))) == (
        "parent_total"
    )


sides = st.sampled_from(Side)
lots = st.integers(100, 5000)
proposals = st.lists(st.tuples(sides, st.integers(2000, 8000), lots), max_size=8)
states = st.sampled_from([state for state in OrderState if not state.terminal])


@given(
    limit=st.integers(0, 20_000),
    position=st.integers(-10_000, 10_000),
    existing=st.lists(st.builds(order, sides, st.integers(2000, 8000), lots, states), max_size=5),
    drawn=proposals,
)
def test_no_outcome_of_what_may_exist_and_was_approved_passes_the_position_limit(
    limit: int, position: int, existing: list[Order], drawn: list[tuple[Side, int, int]]
) -> None:
    limits = Limits(max_position={"ROGER": ROGER.quantity(limit)})
    judge = gate(limits, orders=existing, position=ROGER.quantity(position))
    bought = sum(each.unbooked_lots for each in existing if each.side is Side.BUY)
    sold = sum(each.unbooked_lots for each in existing if each.side is Side.SELL)
    for side, ticks, count in drawn:
        verdict = judge.judge(target(side, ticks, count))
        if isinstance(verdict, Approved):
            bought += count if side is Side.BUY else 0
            sold += count if side is Side.SELL else 0
            # Worst case of its own side; what was beyond the limit before it cannot be helped by refusing.
            worst = position + bought if side is Side.BUY else -(position - sold)
            assert worst <= limit
        elif code(verdict) == "max_position":
            worst = position + bought + count if side is Side.BUY else -(position - sold - count)
            assert worst > limit


@given(limit=st.integers(0, 6), existing=st.lists(st.builds(order, st.just(Side.BUY), lots, lots, states), max_size=8))
def test_every_order_that_may_exist_counts_as_open(limit: int, existing: list[Order]) -> None:
    judge = gate(Limits(max_open_orders=limit), orders=existing)
    approved = [judge.judge(target(Side.SELL, 8000, 100)) for _ in range(8)]
    assert sum(isinstance(verdict, Approved) for verdict in approved) == min(8, max(0, limit - len(existing)))


@given(limit=st.integers(1, 10**9), ticks=st.integers(2000, 8000), count=lots, side=sides)
def test_notional_is_exact(limit: int, ticks: int, count: int, side: Side) -> None:
    judge = gate(Limits(max_order_notional={"BTC": Decimal(limit).scaleb(-10)}))
    assert (code(judge.judge(target(side, ticks, count))) == "max_order_notional") == (ticks * count > limit)


@given(free=st.integers(0, 10**6), drawn=st.lists(lots, max_size=8))
def test_what_was_approved_in_a_tick_is_spent_for_the_rest_of_it(free: int, drawn: list[int]) -> None:
    judge = gate(Limits(), roger=ROGER.quantity(free))
    spent = 0
    for count in drawn:
        verdict = judge.judge(target(Side.SELL, 8000, count))
        assert isinstance(verdict, Approved) == (spent + count <= free)
        spent += count if isinstance(verdict, Approved) else 0


def test_the_markets_own_rules() -> None:
    judge = gate(Limits())
    assert code(judge.judge(target(Side.BUY, 2000, 99))) == "quantity_min"
    assert code(judge.judge(target(Side.BUY, 9, 100))) == "price_min"
    assert code(judge.judge(target(Side.SELL, 100_001, 100))) == "price_max"


def test_a_book_that_is_not_live_or_too_old_refuses() -> None:
    limits = Limits(max_book_age=15 * SECOND)
    assert code(gate(limits, live=False).judge(target(Side.BUY, 2000, 100))) == "book_not_live"
    old = gate(limits, heard_at=NOW - 15 * SECOND - 1).judge(target(Side.BUY, 2000, 100))
    assert isinstance(old, Refused)
    assert old.code == "max_book_age"
    assert old.numbers["limit_s"] == 15
    assert code(gate(limits, heard_at=NOW - 15 * SECOND).judge(target(Side.BUY, 2000, 100))) == "Approved"


@given(bid=st.integers(2000, 8000), ask=st.integers(2000, 8000))
def test_no_order_crosses_one_of_our_own(bid: int, ask: int) -> None:
    resting = gate(Limits(), orders=[order(Side.SELL, ask, 100)])
    assert (code(resting.judge(target(Side.BUY, bid, 100))) == "self_trade") == (bid >= ask)
    approved_before = gate(Limits())
    approved_before.judge(target(Side.BUY, bid, 100))
    assert (code(approved_before.judge(target(Side.SELL, ask, 100))) == "self_trade") == (ask <= bid)


def test_orders_of_others_on_the_account_count_for_self_trade_only() -> None:
    row = OrderRow(
        id=1,
        market=ROGER.symbol,
        side=Side.SELL,
        state="wait",
        ticks=5000,
        origin_lots=100,
        remaining_lots=100,
        executed_lots=0,
        created_at=0,
        updated_at=0,
    )
    judge = gate(Limits(max_open_orders=1), foreign=[row])
    assert code(judge.judge(target(Side.BUY, 5000, 100))) == "self_trade"
    assert code(judge.judge(target(Side.BUY, 4999, 100))) == "Approved"


@given(filled=st.integers(0, 500), total=st.integers(100, 1000), drawn=st.lists(st.integers(100, 400), max_size=5))
def test_a_parent_is_never_exceeded(filled: int, total: int, drawn: list[int]) -> None:
    judge = gate(Limits(), parents={"twap": filled})
    used = filled
    for count in drawn:
        verdict = judge.judge(target(Side.BUY, 2000, count, parent=("twap", total)))
        assert isinstance(verdict, Approved) == (used + count <= total)
        used += count if isinstance(verdict, Approved) else 0


DEEP = {"bids": ((5000, 300), (4990, 700), (4000, 5000)), "asks": ((5010, 300), (5020, 700), (6000, 5000))}


def deep_gate(limits: Limits, **options: object) -> Gate:
    judge = gate(limits, **options)  # type: ignore[arg-type]
    judge._at.books[ROGER.symbol].apply(BookSnapshot(ROGER.symbol, 2, DEEP["bids"], DEEP["asks"]), NOW)  # type: ignore[attr-defined]
    return judge


def test_a_market_order_is_judged_by_the_depth_it_would_take() -> None:
    assert code(deep_gate(Limits()).judge(target(Side.BUY, None, 7000))) == "insufficient_market_liquidity"
    notional = Limits(max_order_notional={"BTC": ROGER.notional(5020, 1000)})
    assert code(deep_gate(notional).judge(target(Side.BUY, None, 1000))) == "Approved"
    assert code(deep_gate(notional).judge(target(Side.BUY, None, 1001))) == "max_order_notional"
    own_ask = deep_gate(Limits(), orders=[order(Side.SELL, 5020, 100)])
    assert code(own_ask.judge(target(Side.BUY, None, 301))) == "self_trade"
    assert code(own_ask.judge(target(Side.BUY, None, 300))) == "Approved"


def test_a_market_buy_locks_a_tenth_more_than_it_costs_if_there_is_so_much() -> None:
    rich = deep_gate(Limits()).judge(target(Side.BUY, None, 300))
    assert isinstance(rich, Approved)
    assert (rich.currency, rich.locks) == ("BTC", ROGER.notional(5010, 330))
    poor = deep_gate(Limits(), btc=ROGER.notional(5010, 310)).judge(target(Side.BUY, None, 300))
    assert isinstance(poor, Approved)
    assert poor.locks == ROGER.notional(5010, 310)
    poorer = deep_gate(Limits(), btc=ROGER.notional(5010, 299)).judge(target(Side.BUY, None, 300))
    assert isinstance(poorer, Waiting)


@given(ticks=st.integers(4900, 5100), side=sides)
def test_post_only_refuses_exactly_what_would_trade_at_once(ticks: int, side: Side) -> None:
    wanted = Target("s", ROGER.symbol, side, ticks, 100, repeat=True, parent=None, post_only=True)
    crosses = ticks >= 5010 if side is Side.BUY else ticks <= 5000
    assert (code(deep_gate(Limits()).judge(wanted)) == "post_only") == crosses
