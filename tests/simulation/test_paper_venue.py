"""The paper venue: an order's life in answers and news, who fills it, and that no money is made or lost."""

from collections.abc import Iterable
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from runner.model.command import Cancel, ListOrders, ListTrades, ListTransfers, Place, ReadBalances, ReadOrder
from runner.model.event import (
    Accepted,
    BalanceNews,
    BalancesRead,
    BookDelta,
    BookGap,
    BookSnapshot,
    CancelAnswered,
    NotSent,
    OrderNews,
    OrderRead,
    OrdersListed,
    PublicTrade,
    Rejected,
    Sent,
    TradeNews,
    TradesListed,
    TransfersListed,
    What,
)
from runner.model.market import Market
from runner.model.money import MONEY, ZERO
from runner.model.order import Side
from runner.model.paper import Latency, PaperModels
from runner.model.settings import MILLISECOND, SECOND
from runner.simulation.paper import PaperVenue

START = 1_700_000_000 * SECOND
FOREVER = 2**60
MARKET = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=4,
    amount_precision=2,
    price_min=Decimal("0.0001"),
    quantity_min=Decimal("0.10"),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
)
SYMBOL = MARKET.symbol
BALANCES = {"ROGER": Decimal(1000), "BTC": Decimal(100)}
AT_ONCE = PaperModels(order=Latency(), cancel=Latency(), data=Latency(), processing=0)
SLOW = PaperModels(order=Latency(30 * MILLISECOND), cancel=Latency(10 * MILLISECOND), data=Latency(20 * MILLISECOND))


class Desk:
    """A venue, the time, and everything that came from it."""

    def __init__(self, models: PaperModels = AT_ONCE) -> None:
        self.now = START
        self.venue = PaperVenue([MARKET], BALANCES, models=models, seed="1", now=START)
        self.heard: list[tuple[int, What]] = []
        self.placed = 0

    def snapshot(self, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]) -> None:
        self.public(BookSnapshot(SYMBOL, 1, tuple(bids), tuple(asks)))

    def public(self, what: What) -> None:
        self.venue.public(what, self.now)
        self.wait(0)

    def place(self, side: Side, ticks: int | None, lots: int, *, sign_before: int = FOREVER) -> str:
        self.placed += 1
        name = f"RTAG-{self.placed}"
        self.venue.submit(Place(name, SYMBOL, side, ticks, lots, sign_before), self.now)
        self.wait(0)
        return name

    def ask(self, command: ReadOrder | ReadBalances | ListOrders | ListTrades | ListTransfers | Cancel) -> What:
        before = len(self.heard)
        self.venue.submit(command, self.now)
        self.wait(0)
        news = (OrderNews, TradeNews, BalanceNews, BookDelta, BookSnapshot, PublicTrade)
        (answer,) = [what for _, what in self.heard[before:] if not isinstance(what, news)]
        return answer

    def wait(self, time: int) -> None:
        self.now += time
        self.heard += self.venue.advance(self.now)

    def id_of(self, name: str) -> int:
        return next(what.row.id for _, what in self.heard if isinstance(what, Accepted) and what.client_id == name)

    def states(self, order_id: int) -> list[tuple[str, int]]:
        return [
            (what.row.state, what.row.remaining_lots)
            for _, what in self.heard
            if isinstance(what, OrderNews) and what.row.id == order_id
        ]

    def all(self, kind: type[What]) -> list[What]:
        return [what for _, what in self.heard if isinstance(what, kind)]


def trade(taker: Side, ticks: int, lots: int) -> PublicTrade:
    return PublicTrade(SYMBOL, 1, ticks, lots, taker, START // SECOND)


def book() -> Desk:
    desk = Desk()
    desk.snapshot([(100, 500)], [(110, 500)])
    return desk


# An order's life ------------------------------------------------------------------------------------------


def test_everything_takes_its_time_and_comes_in_the_order_of_a_real_venue() -> None:
    desk = Desk(SLOW)
    desk.snapshot([(100, 500)], [(110, 500)])
    desk.wait(SECOND)
    desk.heard.clear()
    began = desk.now
    name = desk.place(Side.BUY, 105, 200)
    desk.wait(SECOND)
    own = [(at - began, what) for at, what in desk.heard if not isinstance(what, BookDelta | BookSnapshot)]
    assert [(at // MILLISECOND, type(what)) for at, what in own] == [
        (50, Sent),
        (50, Accepted),
        (50, OrderNews),
        (100, BalanceNews),
        (100, OrderNews),
    ]
    sent, accepted, pending, locked, waits = (what for _, what in own)
    assert isinstance(sent, Sent)
    assert sent.nonce == began // MILLISECOND
    assert isinstance(accepted, Accepted)
    assert (accepted.client_id, accepted.row.client_id, accepted.row.state) == (name, name, "pending")
    assert isinstance(pending, OrderNews)
    assert (pending.row.client_id, pending.row.state) == (None, "pending")
    assert isinstance(locked, BalanceNews)
    assert locked.row.locked == MARKET.notional(105, 200)
    assert isinstance(waits, OrderNews)
    assert waits.row.state == "wait"


def test_the_world_sees_our_order_and_its_end() -> None:
    desk = book()
    order_id = desk.id_of(desk.place(Side.BUY, 105, 200))
    desk.ask(Cancel(order_id, ""))
    told = [what.bids for what in desk.all(BookDelta) if isinstance(what, BookDelta)]
    assert told == [((105, 200),), ((105, 0),)]
    assert desk.states(order_id) == [("pending", 200), ("wait", 200), ("cancel", 200)]


def test_what_cannot_be_is_refused_in_the_words_of_the_venue() -> None:
    desk = book()
    assert desk.place(Side.BUY, 10_000_000, 200) == "RTAG-1"
    desk.place(Side.BUY, 100, 5)
    desk.place(Side.SELL, None, 60_000)
    codes = [what.codes for what in desk.all(Rejected) if isinstance(what, Rejected)]
    assert codes == [
        ("market.account.insufficient_balance",),
        ("market.order.invalid_volume_or_price",),
        ("market.order.insufficient_market_liquidity",),
    ]
    desk.place(Side.BUY, 100, 200, sign_before=desk.now // MILLISECOND - 1)
    assert len(desk.all(NotSent)) == 1


def test_a_market_order_takes_what_is_there_and_pays_the_takers_fee() -> None:
    desk = book()
    order_id = desk.id_of(desk.place(Side.SELL, None, 300))
    (sold,) = desk.all(TradeNews)
    assert isinstance(sold, TradeNews)
    assert (sold.row.ticks, sold.row.lots, sold.row.taker_side, sold.row.fee) == (100, 300, Side.SELL, None)
    listed = desk.ask(ListTrades(1, START // SECOND))
    assert isinstance(listed, TradesListed)
    assert listed.rows[0].fee == MARKET.notional(100, 300) * MARKET.taker_fee
    assert listed.rows[0].order_id == order_id
    # What was taken stays taken until the feed says otherwise.
    desk.place(Side.SELL, 100, 300)
    assert [what.row.lots for what in desk.all(TradeNews) if isinstance(what, TradeNews)] == [300, 200]
    desk.public(BookDelta(SYMBOL, 2, ((100, 650),), ()))
    desk.wait(2 * SECOND)
    assert sum(what.row.lots for what in desk.all(TradeNews) if isinstance(what, TradeNews)) == 600


def test_lists_show_what_there_is() -> None:
    desk = book()
    first = desk.id_of(desk.place(Side.BUY, 99, 200))
    second = desk.id_of(desk.place(Side.BUY, 98, 200))
    desk.ask(Cancel(first, ""))
    shown = desk.ask(ListOrders(1, ("wait",)))
    assert isinstance(shown, OrdersListed)
    assert [row.id for row in shown.rows] == [second]
    everything = desk.ask(ListOrders(2))
    assert isinstance(everything, OrdersListed)
    assert {row.id: row.state for row in everything.rows} == {first: "cancel", second: "wait"}
    assert everything.venue_time == START
    later = desk.ask(ListOrders(3, (), START // SECOND + 1))
    assert isinstance(later, OrdersListed)
    assert later.rows == ()
    assert desk.ask(ReadOrder(4, 999)) == OrderRead(4, 999, None)
    assert desk.ask(ListTransfers(5, "deposits")) == TransfersListed(5, "deposits", ())
    gone = desk.ask(Cancel(999, ""))
    assert isinstance(gone, CancelAnswered)
    assert gone.row is None
    read = desk.ask(ReadBalances(6))
    assert isinstance(read, BalancesRead)
    assert {row.currency: row.available + row.locked for row in read.rows} == BALANCES


def test_a_gap_fills_nobody_and_the_next_snapshot_mends_it() -> None:
    desk = book()
    desk.place(Side.BUY, 105, 200)
    desk.public(BookGap(SYMBOL, "stream down"))
    desk.public(trade(Side.SELL, 105, 200))
    desk.public(BookDelta(SYMBOL, 7, ((105, 100),), ((106, 50),)))
    assert not desk.all(TradeNews)
    assert desk.heard[-1][1] == BookGap(SYMBOL, "stream down")
    desk.snapshot([(101, 10)], [(112, 20)])
    shown = desk.heard[-1][1]
    assert isinstance(shown, BookSnapshot)
    assert (shown.bids, shown.asks) == (((105, 200), (101, 10)), ((112, 20),))
    desk.public(trade(Side.SELL, 105, 150))
    assert [what.row.lots for what in desk.all(TradeNews) if isinstance(what, TradeNews)] == [150]


def test_a_trade_is_public_once_whoever_was_in_it() -> None:
    desk = book()
    desk.place(Side.BUY, 105, 200)
    desk.public(trade(Side.SELL, 100, 300))
    told = [(what.ticks, what.lots, what.taker_side) for what in desk.all(PublicTrade) if isinstance(what, PublicTrade)]
    assert sorted(told) == [(100, 100, Side.SELL), (105, 200, Side.SELL)]


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from(["uniform", "exponential"]), st.integers(0, 2**32))
def test_latency_is_what_the_seed_says_and_never_less_than_the_least(
    least: int, spread: int, shape: str, seed: int
) -> None:
    latency = Latency(least * MILLISECOND, spread * MILLISECOND, "uniform" if shape == "uniform" else "exponential")
    came = []
    for _ in range(2):
        venue = PaperVenue(
            [MARKET], BALANCES, models=PaperModels(order=latency, data=Latency()), seed=str(seed), now=START
        )
        for query in range(20):
            venue.submit(ReadBalances(query), START)
        came.append(venue.advance(START + 3600 * SECOND))
    assert came[0] == came[1]
    assert all(at >= START + latency.least for at, _ in came[0])
    assert shape == "exponential" or all(at <= START + latency.least + latency.spread for at, _ in came[0])


# The queue ------------------------------------------------------------------------------------------------


@given(
    ahead=st.integers(1, 500),
    lots=st.integers(10, 300),
    sold=st.lists(st.integers(1, 400), max_size=6),
)
def test_an_order_waits_behind_what_was_there_when_it_came(ahead: int, lots: int, sold: list[int]) -> None:
    """The level tells of each trade, as a real one does, and shrinks by nothing else."""
    desk = Desk()
    desk.snapshot([(100, ahead)], [(110, 500)])
    desk.place(Side.BUY, 100, lots)
    left, traded = ahead, 0
    for number, each in enumerate(sold, start=2):
        desk.public(trade(Side.SELL, 100, each))
        left, traded = max(0, left - each), traded + each
        desk.public(BookDelta(SYMBOL, number, ((100, left),), ()))
        assert filled(desk) == min(lots, max(0, traded - ahead))


@given(
    orders=st.lists(st.tuples(st.integers(95, 104), st.integers(10, 300)), min_size=2, max_size=5),
    ticks=st.integers(95, 104),
    lots=st.integers(1, 900),
)
def test_no_two_orders_are_filled_by_the_same_trade(orders: list[tuple[int, int]], ticks: int, lots: int) -> None:
    """Alone at their prices, best first: a trade fills those at or above its price, and what it has just once."""
    desk = Desk()
    desk.snapshot([(90, 500)], [(110, 500)])
    for price, quantity in orders:
        desk.place(Side.BUY, price, quantity)
    desk.public(trade(Side.SELL, ticks, lots))
    met = sorted((own for own in orders if own[0] >= ticks), key=lambda own: -own[0])
    expected, left = [], lots
    for price, quantity in met:
        taken = min(quantity, left)
        left -= taken
        expected += [(price, taken)] if taken else []
    fills = [(what.row.ticks, what.row.lots) for what in desk.all(TradeNews) if isinstance(what, TradeNews)]
    assert fills == expected


def filled(desk: Desk) -> int:
    return sum(what.row.lots for what in desk.all(TradeNews) if isinstance(what, TradeNews))


# Money ----------------------------------------------------------------------------------------------------


class Trading(RuleBasedStateMachine):
    """Whatever the market and the trader do, the account holds what its trades say, to the last digit."""

    @initialize(pending=st.sampled_from([0, 50 * MILLISECOND]))
    def begin(self, pending: int) -> None:
        self.desk = Desk(PaperModels(order=Latency(), cancel=Latency(), data=Latency(), processing=pending))
        self.bids, self.asks = {100: 500, 99: 300}, {102: 400, 103: 100}
        self.desk.snapshot(self.bids.items(), self.asks.items())
        self.traded = 0
        self.shown = 900 + 400

    @rule(side=st.sampled_from(Side), ticks=st.integers(96, 106), lots=st.integers(10, 600))
    def order(self, side: Side, ticks: int, lots: int) -> None:
        self.desk.place(side, ticks, lots)

    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        ids = [what.row.id for what in self.desk.all(Accepted) if isinstance(what, Accepted)]
        if ids:
            self.desk.ask(Cancel(ids[which % len(ids)], ""))

    @rule(side=st.sampled_from(Side), offset=st.integers(0, 3), lots=st.integers(0, 700))
    def level(self, side: Side, offset: int, lots: int) -> None:
        ours, others = (self.bids, self.asks) if side is Side.BUY else (self.asks, self.bids)
        best = max(others, default=95) if side is Side.SELL else min(others, default=107)
        ticks = best - side.sign * (1 + offset)
        change = ((ticks, lots),)
        self.shown += lots
        ours.pop(ticks, None)
        if lots:
            ours[ticks] = lots
        self.desk.public(BookDelta(SYMBOL, 2, *((change, ()) if side is Side.BUY else ((), change))))

    @rule(taker=st.sampled_from(Side), ticks=st.integers(96, 106), lots=st.integers(1, 500))
    def trade(self, taker: Side, ticks: int, lots: int) -> None:
        self.traded += lots
        self.desk.public(trade(taker, ticks, lots))

    @rule(time=st.integers(1, 1500))
    def wait(self, time: int) -> None:
        self.desk.wait(time * MILLISECOND)

    @invariant()
    def account_orders_and_trades_say_the_same(self) -> None:
        held = dict(BALANCES)
        sides: dict[int, int] = {}  # lots of each trade; of one with oneself they are here twice
        everything = self.desk.ask(ListOrders(1))
        assert isinstance(everything, OrdersListed)
        for order in everything.rows:
            read = self.desk.ask(ReadOrder(2, order.id))
            assert isinstance(read, OrderRead)
            assert read.row is not None
            trades = read.row.trades or ()
            assert sum(row.lots for row in trades) == order.executed_lots
            assert order.origin_lots == order.executed_lots + order.remaining_lots
            for row in trades:
                sides[row.id] = row.lots if row.id not in sides else 0
                quantity, total = MARKET.quantity(row.lots), MARKET.notional(row.ticks, row.lots)
                rate = 1 - (MARKET.taker_fee if row.taker_side is row.side else MARKET.maker_fee)
                held["ROGER"] += quantity * rate if row.side is Side.BUY else -quantity
                held["BTC"] += -total if row.side is Side.BUY else total * rate
        balances = self.desk.ask(ReadBalances(3))
        assert isinstance(balances, BalancesRead)
        assert {row.currency: MONEY.add(row.available, row.locked) for row in balances.rows} == held
        assert all(row.available >= ZERO and row.locked >= ZERO for row in balances.rows)
        # But with ourselves, trades need somebody who was shown, or who traded.
        assert sum(sides.values()) <= self.traded + self.shown


TestTrading = Trading.TestCase
