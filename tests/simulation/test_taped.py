"""An exchange whose market is a tape: members trade with it, and everything else is the exchange's own."""

from array import array
from decimal import Decimal

import pytest

from runner.model.market import Market
from runner.model.order import Side
from runner.simulation.exchange import CATCH_UP, MILLISECOND, SECOND
from runner.simulation.faults import switch_text
from runner.simulation.feed import BookChanged, FeedEvent, Traded
from runner.simulation.matching import Arrival, MatchingBook
from runner.simulation.moments import happen
from runner.simulation.player import AtEnd
from runner.simulation.recording import ASK, BID, BOUGHT, SOLD, Recording
from runner.simulation.records import Order, OrderState
from runner.simulation.taped import Taped, taped_sandbox

NOW = 1_700_000_000 * SECOND
RECORDED = 1_600_000_000 * SECOND
BUY, SELL = Side.BUY, Side.SELL
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
OPENING = ((0, BID, 100, 50), (0, BID, 99, 70), (0, ASK, 102, 50), (0, ASK, 103, 70))


def recording(*rows: tuple[float, int, int, int], market: Market = MARKET) -> Recording:
    """Rows are (seconds, kind, ticks, lots); the opening comes before them."""
    times, kinds, ticks, lots = zip(*(*OPENING, *rows), strict=True)
    stamps = [RECORDED + int(at * SECOND) for at in times]
    return Recording(
        market=market, times=array("q", stamps), kinds=array("q", kinds), ticks=array("q", ticks), lots=array("q", lots)
    )


class Scene:
    def __init__(self, *rows: tuple[float, int, int, int], speed: float = 1.0, at_end: AtEnd = "hold") -> None:
        self.taped: Taped = taped_sandbox("scene", NOW, [recording(*rows)], speed=speed, at_end=at_end)
        self.exchange = self.taped.sandbox.exchange
        self.trader = self.taped.sandbox.trader.id
        self.totals = {code: self.exchange.accounts.total(code) for code in ("A", "EUR")}
        self.exchange.feed.clear()

    def order(self, side: Side, volume: str, price: str | None) -> Order:
        wanted = None if price is None else Decimal(price)
        return self.exchange.create(self.trader, MARKET, side, Decimal(volume), wanted, at_once=True)

    def at(self, seconds: float) -> list[FeedEvent]:
        """Let time pass until then; returns the news, and sees that no money was made."""
        self.exchange.advance(NOW + int(seconds * SECOND))
        assert {code: self.exchange.accounts.total(code) for code in self.totals} == self.totals
        news = list(self.exchange.feed)
        self.exchange.feed.clear()
        return news

    def now(self, order: Order) -> Order:
        row = self.exchange.database.order(order.id)
        assert row is not None
        return row

    def held(self, currency: str) -> Decimal:
        account = self.exchange.accounts.account(self.trader, currency)
        return account.available + account.locked


def changes(news: list[FeedEvent]) -> list[tuple[Side, int, int]]:
    return [(one.side, one.ticks, one.lots) for one in news if isinstance(one, BookChanged)]


def trades(news: list[FeedEvent]) -> list[tuple[Side, int, int]]:
    return [(one.trade.taker.side, one.trade.ticks, one.trade.lots) for one in news if isinstance(one, Traded)]


def test_the_tape_is_what_the_public_sees_when_it_happened() -> None:
    scene = Scene((1, BID, 99, 0), (1, BID, 101, 5), (2.5, BOUGHT, 102, 7), (2.5, ASK, 102, 43))
    assert scene.exchange.book("aeur").levels(BUY, 9) == [(100, 50), (99, 70)]
    assert scene.at(0.9) == []
    assert changes(scene.at(1)) == [(BUY, 99, 0), (BUY, 101, 5)]
    news = scene.at(9)
    assert (trades(news), changes(news)) == ([(BUY, 102, 7)], [(SELL, 102, 43)])
    (trade,) = scene.exchange.tape("aeur").newest(5)
    assert trade.time == NOW + int(2.5 * SECOND)
    assert scene.exchange.database.depth("aeur", BUY) == [(101, 5), (100, 50)]


def test_a_resting_order_is_filled_by_what_trades_through_it_as_a_maker() -> None:
    scene = Scene((1, SOLD, 100, 60), (2, BID, 100, 0))
    order = scene.order(BUY, "2", "1.01")
    assert changes(scene.at(0.5)) == [(BUY, 101, 20)]
    assert scene.exchange.database.depth("aeur", BUY) == [(101, 20), (100, 50), (99, 70)]
    base, quote = scene.held("A"), scene.held("EUR")
    news = scene.at(1.5)
    # Its own price for the order, the recorded one for the rest of the same trade: the volume is what was traded.
    assert sorted(trades(news)) == [(SELL, 100, 40), (SELL, 101, 20)]
    assert changes(news) == [(BUY, 101, 0)]
    assert scene.now(order).state is OrderState.DONE
    assert scene.held("A") - base == Decimal("1.998")  # less 0.1 % for the maker
    assert quote - scene.held("EUR") == Decimal("2.02")


def test_an_order_that_crosses_takes_the_recorded_depth_as_a_taker() -> None:
    scene = Scene((1, ASK, 103, 80))
    base, quote = scene.held("A"), scene.held("EUR")
    order = scene.order(BUY, "6", "1.03")
    news = scene.at(0.5)
    assert trades(news) == [(BUY, 102, 50), (BUY, 103, 10)]
    assert changes(news) == [(SELL, 102, 0), (SELL, 103, 60)]
    assert scene.now(order).state is OrderState.DONE
    assert scene.held("A") - base == Decimal("5.988")
    assert quote - scene.held("EUR") == Decimal("6.13")
    assert changes(scene.at(1)) == [(SELL, 103, 80)]


def test_a_market_order_takes_depth_and_is_refused_for_what_is_not_there() -> None:
    scene = Scene()
    order = scene.order(SELL, "11", None)
    assert trades(scene.at(0.1)) == [(SELL, 100, 50), (SELL, 99, 60)]
    assert scene.now(order).state is OrderState.DONE
    with pytest.raises(Exception, match="insufficient_market_liquidity"):
        scene.order(SELL, "11", None)


def test_a_cancel_takes_only_the_members_lots_out() -> None:
    scene = Scene()
    order = scene.order(BUY, "2", "1")
    scene.at(0.1)
    scene.exchange.cancel(order)
    assert changes(scene.at(0.2)) == [(BUY, 100, 50)]
    assert scene.now(order).state is OrderState.CANCEL


def test_twice_as_fast() -> None:
    scene = Scene((4, BID, 101, 5), speed=2)
    assert scene.taped.players[0].ends == NOW + 2 * SECOND
    assert changes(scene.at(1.9)) == []
    assert changes(scene.at(2)) == [(BUY, 101, 5)]


def test_at_the_end_the_book_stands_still_and_can_be_traded_with() -> None:
    scene = Scene((1, BID, 101, 5))
    scene.at(1)
    assert scene.taped.players[0].ended
    assert scene.exchange.next_due() > NOW + 10**6 * SECOND
    scene.at(50)
    order = scene.order(SELL, "0.5", "1.01")
    scene.at(51)
    assert scene.now(order).state is OrderState.DONE


def test_the_loop_begins_again_with_its_opening_and_never_crosses_on_the_way() -> None:
    rise = (
        (1, ASK, 102, 0),
        (1, BID, 100, 0),
        (1, BID, 102, 9),
        (1, ASK, 103, 0),
        (1, ASK, 104, 5),
        (2, BOUGHT, 104, 1),
    )
    scene = Scene(*rise, at_end="loop")
    resting = scene.order(SELL, "3", "1.04")
    book = {BUY: {100: 50, 99: 70}, SELL: {102: 50, 103: 70}}
    for step in range(1, 900):
        for side, ticks, lots in changes(scene.at(step / 100)):
            book[side][ticks] = lots
            best = [
                max(t for t, n in book[BUY].items() if n),
                min((t for t, n in book[SELL].items() if n), default=999),
            ]
            assert best[0] < best[1]
        for side in Side:
            assert dict(scene.exchange.book("aeur").levels(side, 9)) == {t: n for t, n in book[side].items() if n}
    player = scene.taped.players[0]
    assert (player.rounds, player.ended) == (3, False)
    assert scene.now(resting).left == 27  # it was there before the five that are recorded at its price


def test_time_that_was_slept_through_is_left_out() -> None:
    scene = Scene((1, BID, 101, 5), (2, BID, 101, 6))
    asleep = CATCH_UP / SECOND + 100
    assert changes(scene.at(asleep)) == [(BUY, 101, 5)]
    assert changes(scene.at(asleep + 0.9)) == []
    assert changes(scene.at(asleep + 1)) == [(BUY, 101, 6)]


def test_two_tapes_are_two_markets_and_the_trader_has_something_of_everything() -> None:
    other = Market(
        id="bbtc", base="B", quote="BTC", price_precision=2, amount_precision=1, price_min=Decimal("0.01"),
        quantity_min=Decimal("0.1"),
    )  # fmt: skip
    taped = taped_sandbox("two", NOW, [recording(), recording(market=other)], behaviour=None)
    held = taped.sandbox.exchange.accounts.of(taped.sandbox.trader.id)
    assert {code: account.available for code, account in held.items()} == {
        "EUR": 100_000, "BTC": 10, "A": 100_000, "B": 10,
    }  # fmt: skip
    assert taped.sandbox.key == taped_sandbox("two", NOW + MILLISECOND, [recording()]).sandbox.key
    with pytest.raises(ValueError, match="two tapes of one market"):
        taped_sandbox("two", NOW, [recording(), recording()])


def test_a_large_frame_is_told_in_pieces_and_what_follows_waits_for_it() -> None:
    frame = [(1.0, ASK, 200 + number, 5) for number in range(250)]
    scene = Scene(*frame, (1.001, SOLD, 100, 3))
    first, second, third = (scene.at(at) for at in (1, 1.0015, 1.0025))
    assert [len(changes(news)) for news in (first, second, third)] == [100, 100, 50]
    assert trades([*first, *second]) == []
    assert trades(third) == [(SELL, 100, 3)]
    assert isinstance(third[-1], Traded)
    assert scene.taped.players[0].ended


def test_an_engine_that_restarts_forgets_the_members_orders_only() -> None:
    scene = Scene()
    scene.order(SELL, "2", "1")
    scene.order(BUY, "1", "0.98")
    scene.at(0.1)
    book = scene.exchange.book("aeur").restarted()
    assert (book.levels(BUY, 9), book.levels(SELL, 9)) == ([(100, 30), (99, 70)], [(102, 50), (103, 70)])
    empty = MatchingBook()
    empty.submit(Arrival(1, BUY, 5, 5))
    assert empty.restarted().best(BUY) is None


def test_after_a_restart_of_the_engine_the_tape_goes_on_and_orders_are_where_they_were() -> None:
    scene = Scene((1, SOLD, 98, 200))
    scene.order(SELL, "2", "1")
    order = scene.order(BUY, "1", "0.99")
    scene.at(0.1)
    happen(scene.exchange, switch_text("engine_restart=aeur"))
    book = scene.exchange.book("aeur")
    assert (book.levels(BUY, 9), book.levels(SELL, 9)) == ([(100, 30), (99, 80)], [(102, 50), (103, 70)])
    assert scene.exchange.sequence("aeur") == 1
    assert (SELL, 99, 10) in trades(scene.at(1))
    assert scene.now(order).state is OrderState.DONE


def test_what_is_ahead_of_an_order_on_a_tape_is_what_is_met_before_it() -> None:
    scene = Scene()
    first, second, better = (scene.order(BUY, *what) for what in (("1", "0.99"), ("2", "0.99"), ("3", "1.01")))
    book = scene.exchange.book("aeur")
    assert [book.ahead(one.id, BUY, one.ticks or 0) for one in (better, first, second)] == [0, 150, 160]
    assert (book.ahead(99, BUY, 99), book.ahead(first.id, SELL, 99)) == (None, None)
    scene.order(SELL, "15.5", "0.99")
    scene.at(0.1)
    assert [scene.now(one).left for one in (better, first, second)] == [0, 5, 20]
    assert scene.exchange.book("aeur").ahead(second.id, BUY, 99) == 5


def test_two_trades_of_one_order_and_a_self_trade_happen_on_a_tape_too() -> None:
    scene = Scene()
    order = scene.order(BUY, "2", "0.99")
    happen(scene.exchange, switch_text("two_trades"))
    scene.exchange.advance(NOW + SECOND)
    assert scene.now(order).state is OrderState.DONE
    of_order = scene.exchange.database.trades_in(order.id)
    assert [(trade.ticks, trade.lots, trade.time) for trade in of_order] == [(99, 10, NOW), (99, 10, NOW)]

    scene = Scene()
    happen(scene.exchange, switch_text("self_trade=aeur"))
    scene.at(1)
    (trade,) = scene.exchange.database.trades_of(scene.trader)
    assert (set(trade.members), trade.ticks, trade.lots) == ({scene.trader}, 101, 1)


def test_beside_a_tape_a_market_can_be_listed_whose_book_is_empty() -> None:
    scene = Scene((1, SOLD, 100, 3))
    happen(scene.exchange, switch_text("more_markets=1"))
    tape, listed = scene.exchange.markets
    assert (tape.id, scene.exchange.book(listed.id).best(BUY)) == ("aeur", None)
    assert scene.exchange.create(scene.trader, listed, BUY, Decimal(1), Decimal(1), at_once=True).market == listed
    assert scene.exchange.book(listed.id).levels(BUY, 9) == [(100, 10)]
    assert trades(scene.at(1)) == [(SELL, 100, 3)]


def test_a_printed_trade_has_the_time_that_the_venues_clock_shows() -> None:
    scene = Scene((1, SOLD, 100, 3))
    happen(scene.exchange, switch_text("clock_jump=7s"))
    (told,) = (one.trade for one in scene.at(2) if isinstance(one, Traded))
    assert told.time == NOW + 8 * SECOND


def test_a_further_account_has_its_own_key_and_the_same_means() -> None:
    taped = taped_sandbox("two", NOW, [recording()], accounts=("alice",))
    alone = taped_sandbox("two", NOW, [recording()])
    exchange, alice = taped.sandbox.exchange, taped.sandbox.others["alice"]
    assert taped.sandbox.key == alone.sandbox.key != alice
    assert exchange.keys[alice.access].member == alice.member
    of_trader, of_alice = (
        {code: account.available for code, account in exchange.accounts.of(member).items()}
        for member in (taped.sandbox.trader.id, alice.member)
    )
    assert of_trader == of_alice == {"EUR": 100_000, "A": 100_000}
