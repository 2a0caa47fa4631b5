"""The books of an account against its balances: laws over everything that may move them, and come to be known late."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.engine.drift import ASSUMED_LOSS, REFUSED_FOR, STANDS_FOR, Drift
from runner.engine.effects import Effects
from runner.model.command import ListOrders, ListTransfers, ReadOrder
from runner.model.event import OrderRead, OrdersListed, TransfersListed
from runner.model.market import Market
from runner.model.money import ZERO
from runner.model.order import BalanceRow, OrderRow, Side, TradeRow, TransferKind, TransferRow
from runner.model.settings import SECOND

ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000010"),
    quantity_min=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
)
DOGE = replace(ROGER, id="dogeusd", base="DOGE", quote="USD")
DOGE_BTC = replace(ROGER, id="dogebtc", base="DOGE")
"""Markets that the strategy does not trade in; of the second, the quote is that of its own."""
START = 1_700_000_000


class Venue:
    """An account that trades with itself and others, and a `Drift` that is told of it as a runner would be.

    `told`: transfers are listed. Every method is a moment; between them `wait` lets time pass.
    """

    def __init__(self, *, told: bool = True) -> None:
        self.now = START
        self.ahead = 0  # seconds that the venue's clock shows more than ours
        self.held = {"ROGER": Decimal(1000), "BTC": Decimal(10)}
        self.asked: list[Any] = []  # beyond what is asked for anyway
        self.trades: list[TradeRow] = []  # as the list shows them
        self.orders: dict[int, OrderRow] = {}
        self.transfers: list[TransferRow] = []
        self.told = told
        markets = {market.symbol: market for market in (ROGER, DOGE, DOGE_BTC)}
        query = iter(range(-1, -(10**9), -1)).__next__
        self.checks = Drift(markets, (ROGER.symbol,), query, lambda _id: False)
        self.out = Effects()
        self.next_read = self.next_sweep = START
        self.late: list[tuple[int, TradeRow]] = []  # news that is on its way
        self._ids: Iterator[int] = iter(range(1, 10**9))
        self._swept = 0

    # What moves the balances ------------------------------------------------------------------------------

    def trade(self, side: Side, ticks: int, lots: int, rate: Decimal, news_after: int | None) -> None:
        """`news_after`: when the stream tells it, in seconds; None where only the list does."""
        row = self._fill(next(self._ids), side, ticks, lots, rate)
        self.trades.append(row)
        if news_after is not None:
            stripped = _without_fee(row)
            self.late.append((self.now + news_after, stripped))

    def self_trade(self, ticks: int, lots: int, maker: Decimal, taker: Decimal) -> None:
        """The list shows the maker's side alone."""
        trade_id = next(self._ids)
        self.trades.append(self._fill(trade_id, Side.SELL, ticks, lots, maker))
        self._fill(trade_id, Side.BUY, ticks, lots, taker)

    def _fill(self, trade_id: int, side: Side, ticks: int, lots: int, rate: Decimal) -> TradeRow:
        quantity, notional = ROGER.quantity(lots), ROGER.notional(ticks, lots)
        received, currency = (quantity, "ROGER") if side is Side.BUY else (notional, "BTC")
        self.held["ROGER"] += quantity * side.sign
        self.held["BTC"] -= notional * side.sign
        self.held[currency] -= received * rate
        order_id, at = next(self._ids), self.now + self.ahead
        row = TradeRow(
            id=trade_id,
            order_id=order_id,
            market=ROGER.symbol,
            side=side,
            ticks=ticks,
            lots=lots,
            taker_side=Side.BUY,
            created_at=at,
            fee=received * rate,
            fee_currency=currency,
        )
        self.orders[order_id] = OrderRow(
            id=order_id,
            market=ROGER.symbol,
            side=side,
            state="done",
            ticks=ticks,
            origin_lots=lots,
            remaining_lots=0,
            executed_lots=lots,
            created_at=at,
            updated_at=at,
            trades=(_without_fee(row),),
        )
        return row

    def transfer(self, currency: str, amount: Decimal, fee: Decimal = ZERO) -> None:
        kind: TransferKind = "deposits" if amount > 0 else "withdraws"
        self.transfers.append(TransferRow(kind, next(self._ids), currency, abs(amount), fee, self.now + self.ahead))
        self.held[currency] += amount - fee

    def invent(self, currency: str, amount: Decimal) -> None:
        self.held[currency] = self.held.get(currency, ZERO) + amount

    # Time -------------------------------------------------------------------------------------------------

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self._tell()
            if self.now >= self.next_read:
                rows = [BalanceRow(currency, held, ZERO) for currency, held in sorted(self.held.items())]
                self.checks.read(rows, self.now * SECOND, self.now * SECOND + 1, self.ahead * SECOND)
                self.next_read = self.now + 60
            if self.now >= self.next_sweep:
                self.checks.told([row for row in self.trades if row.created_at >= self.now - 700], self.now * SECOND)
                self._swept, self.next_sweep = self.now * SECOND, self.now + 60
            self._compare()
            wanted = self.checks.take_wanted()
            if wanted is not None:
                self.next_read = min(self.next_read, wanted // SECOND)
                self.next_sweep = min(self.next_sweep, wanted // SECOND + 2)

    def _tell(self) -> None:
        due = [row for at, row in self.late if at <= self.now]
        self.late = [(at, row) for at, row in self.late if at > self.now]
        self.checks.told(due, self.now * SECOND)

    def _compare(self) -> None:
        now = self.now * SECOND + 2
        self.checks.compare(self._swept, now, self.out)
        while (question := self.checks.request(now)) is not None:
            self.asked.append(question)
            match question:
                case ListOrders():
                    rows = tuple(sorted(self.orders.values(), key=lambda row: -row.updated_at))
                    self.checks.orders_listed(OrdersListed(question.query, rows, full=False), now)
                case ReadOrder(query, order_id):
                    row = self.orders[order_id]
                    self.checks.told([_of(row, trade) for trade in row.trades or ()], now)
                    self.checks.order_read(OrderRead(query, order_id, row), now)
                case ListTransfers(query, kind):
                    found = tuple(row for row in self.transfers if row.kind == kind)
                    self.checks.transfers_listed(TransfersListed(query, kind, found if self.told else None), now)
            self.checks.compare(self._swept, now, self.out)

    def said(self, what: str) -> list[dict[str, Any]]:
        return [note.facts for note in self.out.notes if note.what == what]


def _without_fee(row: TradeRow) -> TradeRow:
    return TradeRow(
        id=row.id,
        order_id=row.order_id,
        market=row.market,
        side=row.side,
        ticks=row.ticks,
        lots=row.lots,
        taker_side=row.taker_side,
        created_at=row.created_at,
    )


def _of(row: OrderRow, trade: TradeRow) -> TradeRow:
    assert trade.order_id == row.id
    return trade


rates = st.sampled_from([ZERO, Decimal("0.001"), Decimal("0.0025"), Decimal("0.01")])
moments = st.one_of(
    st.tuples(
        st.just("trade"), st.sampled_from(Side), st.integers(4000, 4100), st.integers(1, 900), rates,
        st.sampled_from([None, 0, 1, 3, 45]),
    ),
    st.tuples(st.just("self_trade"), st.integers(4000, 4100), st.integers(1, 900), rates, rates),
    st.tuples(st.just("transfer"), st.just("ROGER"), st.sampled_from([Decimal(50), Decimal("-7.5")])),
    st.tuples(st.just("transfer"), st.just("BTC"), st.just(Decimal("0.25")), st.just(Decimal("0.001"))),
)  # fmt: skip
stories = st.lists(st.tuples(st.integers(0, 70), moments), max_size=25)


def live(venue: Venue, story: list[tuple[int, Any]]) -> None:
    for seconds, (act, *values) in story:
        venue.wait(seconds)
        getattr(venue, act)(*values)


@settings(max_examples=60, deadline=None)
@given(stories)
def test_what_is_accounted_for_is_no_drift(story: list[tuple[int, Any]]) -> None:
    venue = Venue()
    venue.wait(100)
    live(venue, story)
    venue.wait(900)
    assert venue.checks.drift == {}
    assert not venue.said("account.drift")


# Without shrinking: a story is short enough to read, and one that fails takes long to play.
@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(
    stories,
    stories,
    st.sampled_from(["ROGER", "BTC"]),
    st.decimals(min_value="0.0001", max_value=9, places=4),
    st.booleans(),
)
@example(
    before=[
        (14, ("trade", Side.SELL, 4015, 476, Decimal("0.01"), 1)),
        (20, ("trade", Side.SELL, 4030, 150, Decimal("0.0025"), None)),
    ],
    after=[
        (23, ("transfer", "ROGER", Decimal(50))),
        (55, ("transfer", "ROGER", Decimal("-7.5"))),
        (44, ("trade", Side.SELL, 4050, 226, Decimal(0), 1)),
        (10, ("trade", Side.BUY, 4034, 331, Decimal("0.01"), 1)),
        (34, ("trade", Side.BUY, 4072, 819, Decimal("0.01"), 45)),
        (60, ("trade", Side.BUY, 4091, 450, Decimal("0.001"), 0)),
        (11, ("transfer", "ROGER", Decimal("-7.5"))),
    ],
    currency="ROGER",
    amount=Decimal("3.988"),
    lost=True,
)
def test_what_is_lost_or_invented_is_drift_to_the_last_digit(
    before: list[tuple[int, Any]], after: list[tuple[int, Any]], currency: str, amount: Decimal, lost: bool
) -> None:
    """But for what nobody tells: the taker's fee of a self-trade, and whether a transfer's fee is in its amount."""

    def plain(story: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
        return [each for each in story if each[1][0] != "self_trade" and each[1][1] != "BTC"]

    venue = Venue()
    venue.wait(100)
    live(venue, plain(before))
    venue.invent(currency, -amount if lost else amount)
    live(venue, plain(after))
    venue.wait(1500)
    assert venue.checks.drift == {currency: -amount if lost else amount}
    # A withdrawal in the moment of a reading is on one side of it or on the other: the sum may come in two parts.
    told = venue.said("account.drift")
    assert sum(Decimal(facts["amount"]) for facts in told) == venue.checks.drift[currency]
    for facts in told:
        change = Decimal(facts["after"]) - Decimal(facts["before"])
        assert change - Decimal(facts["explained"]) == Decimal(facts["amount"])


def test_it_takes_two_minutes_and_three_readings_to_be_believed() -> None:
    venue = Venue()
    venue.wait(200)
    venue.invent("ROGER", Decimal(-1))
    venue.wait(STANDS_FOR // SECOND)
    assert venue.checks.drift == {}
    venue.wait(200)
    assert venue.checks.drift == {"ROGER": Decimal(-1)}


def test_it_adds_up_and_is_not_forgotten() -> None:
    venue = Venue()
    venue.wait(100)
    for _ in range(2):
        venue.invent("BTC", Decimal("0.5"))
        venue.wait(900)
    assert venue.checks.drift == {"BTC": Decimal(1)}
    assert len(venue.said("account.drift")) == 2


def test_the_hidden_fee_of_a_self_trade_is_all_that_is_given_away() -> None:
    venue = Venue()
    venue.wait(100)
    venue.self_trade(4000, 100, ZERO, Decimal("0.4"))
    venue.wait(900)
    assert venue.checks.drift == {}
    venue.self_trade(4000, 100, ZERO, ZERO)
    venue.invent("ROGER", Decimal("-0.51"))  # of one ROGER that was received
    venue.wait(900)
    assert venue.checks.drift.keys() == {"ROGER"}


def test_what_the_strategy_does_not_trade_is_not_watched() -> None:
    """The exchange may list a currency and hand some out: nobody is alarmed, and nothing more is asked."""
    venue = Venue()
    venue.wait(100)
    venue.invent("DOGE", Decimal(1))
    venue.wait(900)
    assert venue.checks.drift == {}
    assert venue.asked == []


@pytest.mark.parametrize(("market", "paid"), [(DOGE_BTC, "BTC"), (DOGE, "USD")])
def test_a_trade_in_another_market_is_followed_by_what_it_moves_of_ours(market: Market, paid: str) -> None:
    venue = Venue()
    venue.wait(100)
    venue.trade(Side.SELL, 4000, 100, ZERO, None)
    venue.trades[-1] = replace(venue.trades[-1], market=market.symbol, fee_currency=paid)
    venue.held["ROGER"] += ROGER.quantity(100)  # it was DOGE that went, and what was paid came in `paid`
    if paid != "BTC":
        venue.held["BTC"] -= ROGER.notional(4000, 100)
    venue.wait(900)
    assert venue.checks.drift == {}
    assert venue.asked == []


def test_a_transfer_explains_once() -> None:
    venue = Venue()
    venue.wait(100)
    venue.transfer("ROGER", Decimal(50))
    venue.wait(600)
    venue.invent("ROGER", Decimal(50))
    venue.wait(900)
    assert venue.checks.drift == {"ROGER": Decimal(50)}


def test_where_transfers_are_not_told_small_losses_and_all_gains_are_held_to_be_transfers() -> None:
    venue = Venue(told=False)
    venue.wait(100)
    venue.transfer("ROGER", Decimal(5000))
    venue.wait(900)
    limit = venue.held["ROGER"] * ASSUMED_LOSS
    for _ in range(2):
        venue.transfer("ROGER", -limit * Decimal("0.6"))
        assert venue.checks.drift == {}
        venue.wait(900)
    assert venue.checks.drift == {"ROGER": -limit * Decimal("0.6")}
    assert len(venue.said("account.transfer_assumed")) == 2


def test_a_clock_of_the_venue_that_jumps_is_no_drift() -> None:
    for jump in (30, -30, 3, -3):
        venue = Venue()
        for _ in range(6):
            for _ in range(8):
                venue.wait(9)
                venue.trade(Side.BUY, 4000, 100, Decimal("0.001"), 0)
            venue.ahead += jump
        venue.wait(900)
        assert venue.checks.drift == {}


def test_an_account_that_is_never_quiet_is_not_compared() -> None:
    venue = Venue()
    for _ in range(600):
        venue.wait(1)
        for _ in range(4):
            venue.trade(Side.BUY, 4000, 1, ZERO, 4)
    assert venue.checks.drift == {}


def test_transfers_that_cannot_be_asked_for_are_at_last_untold() -> None:
    venue = Venue()
    venue.wait(100)
    venue.transfer("ROGER", Decimal(50))
    venue.checks.request = lambda _now: None  # type: ignore[method-assign]
    venue.wait(190)
    evidence = venue.checks._evidence
    assert evidence is not None
    now = venue.now * SECOND
    evidence.orders_listed(OrdersListed(evidence.request(now, lambda: -5).query, (), full=False), now)  # type: ignore[union-attr]
    while not evidence.complete:
        now += 10 * SECOND
        assert evidence.request(now, lambda: -5) is not None
        assert evidence.failed(-5, now)
    assert evidence.untold == {"deposits", "withdraws"}
    assert now - venue.now * SECOND >= REFUSED_FOR
