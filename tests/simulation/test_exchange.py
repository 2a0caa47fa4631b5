"""The life of orders and the truth of accounts: single cases by name, everything else by a rule machine."""

from collections import defaultdict
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runner.model.market import Market
from runner.model.order import Side
from runner.simulation.accounts import Accounts, InsufficientBalance
from runner.simulation.admission import OrderRefused
from runner.simulation.exchange import MILLISECOND, SECOND, Behaviour, Exchange
from runner.simulation.feed import BalanceChanged, BookChanged, BookShown, FeedEvent, OrderChanged, Traded
from runner.simulation.records import ApiKey, Order, OrderState

START = 1_700_000_000 * SECOND
BUY, SELL = Side
PENDING, WAIT, DONE, CANCEL, REJECT = OrderState


def market(market_id: str = "ab", base: str = "A", quote: str = "B", fee: str = "0.0025") -> Market:
    return Market(
        id=market_id,
        base=base,
        quote=quote,
        price_precision=3,
        amount_precision=2,
        price_min=Decimal("0.001"),
        quantity_min=Decimal("0.01"),
        maker_fee=Decimal(fee),
        taker_fee=Decimal("0.003"),
    )


class Scene:
    """An exchange with two members who have keys and means, and a notebook of everything it said."""

    def __init__(self, behaviour: Behaviour | None = None, funds: int = 1000) -> None:
        self.markets = [market(), market("cb", "C", "B")]
        self.exchange = Exchange(self.markets, seed="scene", now=START, behaviour=behaviour)
        self.ann, self.bob = (self.exchange.admit(name).id for name in ("ann", "bob"))
        self.funds = Decimal(funds)
        for member in (self.ann, self.bob):
            self.exchange.give_key(ApiKey(f"key {member}", "secret", member))
            for currency in "ABC":
                self.exchange.deposit(member, currency, self.funds)
        self.heard: list[FeedEvent] = []
        self.hear()

    def hear(self) -> list[FeedEvent]:
        events = list(self.exchange.feed)
        self.exchange.feed.clear()
        self.heard += events
        return events

    def create(self, member: int, side: Side, volume: str, price: str | None, number: int = 0) -> Order:
        wanted = None if price is None else Decimal(price)
        return self.exchange.create(member, self.markets[number], side, Decimal(volume), wanted)

    def after(self, milliseconds: int) -> list[FeedEvent]:
        self.exchange.advance(self.exchange.now + milliseconds * MILLISECOND)
        return self.hear()

    def now(self, order: Order) -> Order:
        found = self.exchange.database.order(order.id)
        assert found is not None
        return found

    def free(self, member: int, currency: str) -> Decimal:
        return self.exchange.accounts.account(member, currency).available


def states(events: list[FeedEvent]) -> list[tuple[int, OrderState]]:
    return [(event.order.id, event.order.state) for event in events if isinstance(event, OrderChanged)]


# The life of an order -------------------------------------------------------------------------------------


def test_an_order_is_pending_then_waits_then_is_done() -> None:
    scene = Scene()
    order = scene.create(scene.ann, BUY, "10", "2")
    assert order.state is PENDING
    assert scene.free(scene.ann, "B") == 1000  # nothing is locked yet
    assert states(scene.hear()) == [(1, PENDING)]
    assert states(scene.after(49)) == []
    assert states(scene.after(1)) == [(1, WAIT)]
    assert scene.free(scene.ann, "B") == 980
    scene.create(scene.bob, SELL, "10", "2")
    assert states(scene.after(50)) == [(2, PENDING), (2, WAIT), (1, DONE), (2, DONE)]


def test_the_loser_of_a_race_for_funds_is_rejected() -> None:
    scene = Scene()
    first, second = (scene.create(scene.ann, BUY, "300", "2") for _ in range(2))
    scene.after(50)
    assert (scene.now(first).state, scene.now(second).state) == (WAIT, REJECT)
    assert scene.free(scene.ann, "B") == 400


def test_a_cancel_takes_its_time_and_fills_come_in_between() -> None:
    scene = Scene()
    order = scene.create(scene.ann, SELL, "10", "2")
    scene.after(50)
    scene.exchange.cancel(scene.now(order))
    scene.exchange.create(scene.bob, scene.markets[0], BUY, Decimal(4), Decimal(2), at_once=True)
    assert scene.now(order).state is WAIT
    scene.after(50)
    cancelled = scene.now(order)
    assert (cancelled.state, cancelled.executed, cancelled.left) == (CANCEL, 400, 600)
    assert scene.exchange.accounts.account(scene.ann, "A").locked == 0


def test_a_cancel_of_a_pending_order_waits_for_it_unless_such_cancels_are_lost() -> None:
    for loses, state in ((False, CANCEL), (True, WAIT)):
        scene = Scene(Behaviour(pending_delay=50, execution_delay=60, cancel_delay=10, loses_pending_cancels=loses))
        order = scene.create(scene.ann, SELL, "10", "2")
        scene.exchange.cancel(order)
        scene.after(1)
        assert scene.now(order).state is state
        assert scene.exchange.book("ab").lots(SELL) == (1000 if loses else 0)


def test_a_cancel_that_finds_nothing_still_makes_an_increment() -> None:
    scene = Scene()
    gone = scene.create(scene.ann, SELL, "10", "2")
    scene.create(scene.ann, SELL, "7", "2")
    scene.after(50)
    scene.create(scene.bob, BUY, "10", "2")
    scene.after(50)
    assert scene.now(gone).state is DONE
    scene.exchange.cancel(scene.now(gone))
    events = scene.after(50)
    assert [(event.ticks, event.lots) for event in events if isinstance(event, BookChanged)] == [(2000, 700)]
    assert states(events) == []


def test_a_market_order_is_silent_unless_it_is_done() -> None:
    scene = Scene()
    scene.create(scene.ann, SELL, "10", "2")
    scene.after(50)
    whole = scene.create(scene.bob, BUY, "4", None)
    assert states(scene.after(50)) == [(1, WAIT), (2, DONE)]
    half = scene.create(scene.bob, BUY, "6", None)
    scene.exchange.cancel(scene.exchange.database.orders_of(scene.ann)[0], at_once=True)
    events = scene.after(50)
    assert states(events) == [(1, CANCEL)]
    assert (scene.now(whole).state, scene.now(half).state) == (DONE, CANCEL)
    assert scene.exchange.accounts.account(scene.bob, "B").locked == 0


def test_a_market_buy_stops_before_a_match_that_its_lock_does_not_cover() -> None:
    scene = Scene()
    scene.create(scene.ann, SELL, "10", "1")
    scene.after(50)
    order = scene.create(scene.bob, BUY, "10", None)
    assert order.locked == 11  # a tenth more than it costs
    scene.exchange.cancel(scene.exchange.database.orders_of(scene.ann)[0], at_once=True)
    for volume, price in (("5", "1"), ("5", "1.5")):
        scene.exchange.create(scene.ann, scene.markets[0], SELL, Decimal(volume), Decimal(price), at_once=True)
    scene.after(50)
    order = scene.now(order)
    assert (order.state, order.executed) == (CANCEL, 500)  # not 4 more at 1.5
    assert scene.free(scene.bob, "B") == 995


def test_a_market_buy_of_a_poor_member_locks_all_that_there_is() -> None:
    scene = Scene(funds=100)
    scene.create(scene.ann, SELL, "95", "1")
    scene.after(50)
    assert scene.create(scene.bob, BUY, "95", None).locked == 100
    with pytest.raises(OrderRefused, match="insufficient_market_liquidity"):
        scene.create(scene.bob, BUY, "96", None)


def test_refusals_come_in_the_order_of_the_checks() -> None:
    scene = Scene()
    for volume, price, code in (
        ("0.001", None, "insufficient_market_liquidity"),
        ("0.001", "2000000", "insufficient_balance"),
        ("0.001", "2", "invalid_volume_or_price"),
    ):
        with pytest.raises(OrderRefused, match=code):
            scene.create(scene.ann, BUY, volume, price)
    assert scene.exchange.database.orders_of(scene.ann) == []


def test_the_older_order_is_the_maker_even_if_it_came_second() -> None:
    scene = Scene()
    older = scene.create(scene.ann, BUY, "10", "3")
    scene.exchange.create(scene.bob, scene.markets[0], SELL, Decimal(10), Decimal(2), at_once=True)
    events = scene.after(50)
    trade = next(event.trade for event in events if isinstance(event, Traded))
    assert trade.maker.id == older.id
    assert trade.ticks == 2000  # but the price is that of the order that rested
    assert trade.fee(trade.maker) == (Decimal("0.0025"), Decimal("0.025"), "A")
    assert trade.fee(trade.taker) == (Decimal("0.003"), Decimal("0.06"), "B")
    assert scene.free(scene.ann, "B") == 980  # what the better price saved is free again


def test_a_self_trade_is_told_from_the_makers_side() -> None:
    scene = Scene()
    maker = scene.create(scene.ann, SELL, "10", "2")
    taker = scene.create(scene.ann, BUY, "10", "2")
    scene.after(50)
    (trade,) = scene.exchange.database.trades_of(scene.ann)
    assert trade.order_of(scene.ann).id == maker.id
    assert scene.exchange.database.trades_in(taker.id) == [trade]
    assert scene.free(scene.ann, "A") == Decimal("999.97")  # the taker bought: a fee in base
    assert scene.free(scene.ann, "B") == Decimal("999.95")


def test_a_late_executor_shows_a_crossed_depth() -> None:
    scene = Scene(Behaviour(pending_delay=0, execution_delay=10 * MILLISECOND))
    scene.create(scene.ann, SELL, "10", "2")
    scene.create(scene.bob, BUY, "4", "3")
    scene.after(0)
    book, database = scene.exchange.book("ab"), scene.exchange.database
    assert (book.levels(SELL, 9), book.levels(BUY, 9)) == ([(2000, 600)], [])
    assert (database.depth("ab", SELL), database.depth("ab", BUY)) == ([(2000, 1000)], [(3000, 400)])
    scene.after(10)
    assert (database.depth("ab", SELL), database.depth("ab", BUY)) == ([(2000, 600)], [])


def test_events_of_a_fill_come_in_order() -> None:
    scene = Scene()
    scene.create(scene.ann, SELL, "10", "2")
    scene.after(50)
    scene.create(scene.bob, BUY, "10", "2")
    scene.hear()
    kinds = [type(event) for event in scene.after(50)]
    assert kinds == [BalanceChanged, OrderChanged, BookChanged, Traded, *4 * [BalanceChanged], *2 * [OrderChanged]]


def test_what_is_due_happens_at_its_own_time() -> None:
    scene = Scene()
    order = scene.create(scene.ann, SELL, "10", "2")
    assert scene.exchange.next_due() == START + 50 * MILLISECOND
    scene.after(5000)
    assert scene.now(order).updated == START + 50 * MILLISECOND
    assert scene.exchange.next_due() is None
    scene.exchange.advance(START)  # time does not go back
    assert scene.exchange.now == START + 5 * SECOND


# Snapshots ------------------------------------------------------------------------------------------------


def shown(events: list[FeedEvent]) -> list[tuple[str, int]]:
    return [(event.market.id, event.sequence) for event in events if isinstance(event, BookShown)]


def test_a_fresh_exchange_shows_its_books() -> None:
    assert shown(Scene().heard) == [("ab", 1), ("cb", 1)]


@pytest.mark.parametrize(("waited", "is_shown"), [(59_999, False), (60_000, True)])
def test_a_quiet_book_is_shown_with_the_first_change_after_a_minute(waited: int, is_shown: bool) -> None:
    scene = Scene(Behaviour(pending_delay=0))
    assert shown(scene.after(waited)) == []
    scene.create(scene.ann, SELL, "1", "2")
    assert shown(scene.after(0)) == ([("ab", 2)] if is_shown else [])
    scene.create(scene.ann, SELL, "1", "2")
    assert shown(scene.after(0)) == []  # it counts from the last one


@pytest.mark.parametrize(
    ("changes", "waited", "is_shown"), [(20, 10_000, False), (20, 10_001, True), (19, 10_001, False)]
)
def test_a_busy_book_is_shown_after_ten_seconds(changes: int, waited: int, is_shown: bool) -> None:
    scene = Scene(Behaviour(pending_delay=0))
    for _ in range(changes - 1):
        scene.create(scene.ann, SELL, "1", "2")
    assert shown(scene.after(waited)) == []
    scene.create(scene.ann, SELL, "1", "2")
    assert shown(scene.after(0)) == ([("ab", changes + 1)] if is_shown else [])


# Accounts -------------------------------------------------------------------------------------------------


def test_nothing_is_locked_that_is_not_there() -> None:
    accounts = Accounts()
    accounts.deposit(1, "B", Decimal(5))
    with pytest.raises(InsufficientBalance):
        accounts.lock(1, "B", Decimal("5.0000000000000001"))
    assert accounts.account(1, "B").available == 5
    assert accounts.of(2) == {}


# Everything at once ---------------------------------------------------------------------------------------

DELAYS = st.sampled_from([0, 1, 3, 10])
MEMBERS = st.integers(0, 1)
VOLUMES = st.integers(1, 5000).map(lambda lots: Decimal(lots) / 100)
PRICES = st.integers(980, 1020).map(lambda ticks: Decimal(ticks) / 1000)
LATER = {PENDING: {WAIT, REJECT}, WAIT: {WAIT, DONE, CANCEL}, DONE: set(), CANCEL: set(), REJECT: set()}


class ExchangeMachine(RuleBasedStateMachine):
    """Two members, two markets, all delays. What must hold at every moment, and what when it is quiet."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = Scene()

    @initialize(pending=DELAYS, execution=DELAYS, cancel=DELAYS, loses=st.booleans(), funds=st.sampled_from([30, 300]))
    def open(self, pending: int, execution: int, cancel: int, loses: bool, funds: int) -> None:
        self.scene = Scene(Behaviour(pending, execution, cancel, loses), funds)

    @property
    def exchange(self) -> Exchange:
        return self.scene.exchange

    def orders(self) -> list[Order]:
        database = self.exchange.database
        return [order for member in (self.scene.ann, self.scene.bob) for order in database.orders_of(member)]

    @rule(
        who=MEMBERS,
        number=MEMBERS,
        side=st.sampled_from(Side),
        volume=VOLUMES,
        price=PRICES | st.none(),
        at_once=st.booleans(),
    )
    def create(self, who: int, number: int, side: Side, volume: Decimal, price: Decimal | None, at_once: bool) -> None:
        member = (self.scene.ann, self.scene.bob)[who]
        before = self.exchange.database.orders_of(member)
        try:
            order = self.exchange.create(member, self.scene.markets[number], side, volume, price, at_once=at_once)
        except OrderRefused:
            assert self.exchange.database.orders_of(member) == before
        else:
            assert [one.id for one in self.exchange.database.orders_of(member)] == [
                *(one.id for one in before),
                order.id,
            ]

    @rule(which=st.integers(0, 20), at_once=st.booleans())
    def cancel(self, which: int, at_once: bool) -> None:
        for order in self.orders()[which : which + 1]:
            self.exchange.cancel(order, at_once=at_once)

    @rule(later=st.integers(0, 12))
    def advance(self, later: int) -> None:
        self.exchange.advance(self.exchange.now + later)

    @rule()
    def let_it_become_quiet(self) -> None:
        self.exchange.advance(self.exchange.now + 100)
        assert self.exchange.next_due() is None
        self.quiet_books_agree()
        assert all(order.state.terminal or order.ticks is not None for order in self.orders())
        assert all(order.state is not PENDING for order in self.orders())

    def quiet_books_agree(self) -> None:
        for one in self.scene.markets:
            for side in Side:
                assert self.exchange.database.depth(one.id, side) == self.exchange.book(one.id).levels(side, 1000)

    @invariant()
    def no_money_is_made_or_lost(self) -> None:
        for currency in "ABC":
            assert self.exchange.accounts.total(currency) == 2 * self.scene.funds

    @invariant()
    def what_is_locked_is_what_open_orders_hold(self) -> None:
        held: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
        for order in self.orders():
            if order.state is WAIT:
                held[order.member, order.pays] += order.locked
        for member in (self.scene.ann, self.scene.bob):
            for currency, account in self.exchange.accounts.of(member).items():
                assert account.locked == held[member, currency]

    @invariant()
    def orders_are_the_sum_of_their_trades(self) -> None:
        for order in self.orders():
            trades = self.exchange.database.trades_in(order.id)
            assert order.trades_count == len(trades)
            assert order.executed == sum(trade.lots for trade in trades)
            assert order.total == sum(trade.lots * trade.ticks for trade in trades)
            assert (order.left == 0) == (order.state is DONE)
            if order.ticks is not None:
                assert all(order.side.sign * (order.ticks - trade.ticks) >= 0 for trade in trades)

    @invariant()
    def balances_are_what_trades_made_of_them(self) -> None:
        owned = {(who, code): self.scene.funds for who in (self.scene.ann, self.scene.bob) for code in "ABC"}
        for order in self.orders():
            for trade in self.exchange.database.trades_in(order.id):
                quantity = order.market.quantity(trade.lots)
                total = order.market.notional(trade.ticks, trade.lots)
                owned[order.member, order.market.base] += order.side.sign * quantity
                owned[order.member, order.market.quote] -= order.side.sign * total
                _, fee, currency = trade.fee(order)
                owned[order.member, currency] -= fee
        for (member, currency), amount in owned.items():
            account = self.exchange.accounts.account(member, currency)
            assert account.available + account.locked == amount

    @invariant()
    def what_was_said_is_what_there_is(self) -> None:
        self.scene.hear()
        rows: dict[int, Order] = {}
        books: dict[str, dict[tuple[Side, int], int]] = defaultdict(dict)
        numbers: dict[str, int] = {}
        for event in self.scene.heard:
            match event:
                case OrderChanged(order):
                    before = rows.get(order.id)
                    assert before is None or order.state in LATER[before.state]
                    assert before is None or order.executed >= before.executed
                    rows[order.id] = order
                case BookShown(one, sequence, bids, asks):
                    assert sequence == numbers.setdefault(one.id, 1)
                    levels = {(BUY, ticks): lots for ticks, lots in bids} | {
                        (SELL, ticks): lots for ticks, lots in asks
                    }
                    assert levels == {key: lots for key, lots in books[one.id].items() if lots}
                case BookChanged(one, sequence, side, ticks, lots):
                    assert sequence == numbers[one.id] + 1
                    numbers[one.id] = sequence
                    books[one.id][side, ticks] = lots
        for order in self.orders():
            if order.ticks is not None:
                assert rows[order.id] == order
        for one in self.scene.markets:
            for side in Side:
                told = {ticks: lots for (of, ticks), lots in books[one.id].items() if of is side and lots}
                assert told == dict(self.exchange.book(one.id).levels(side, 1000))


TestExchange = ExchangeMachine.TestCase


@given(st.lists(st.integers(0, 100), max_size=8))
def test_how_often_time_is_told_changes_nothing(moments: list[int]) -> None:
    heard = []
    for stops in ([], sorted(moments)):
        scene = Scene(Behaviour(pending_delay=7, execution_delay=11, cancel_delay=5))
        orders = [scene.create(scene.ann, SELL, "3", "1"), scene.create(scene.bob, BUY, "5", "1.1")]
        scene.exchange.cancel(orders[1])
        for stop in stops:
            scene.exchange.advance(START + stop)
        scene.exchange.advance(START + 100)
        scene.hear()
        heard.append(scene.heard)
    assert heard[0] == heard[1]
