"""Profit marked to the market, its peak and its day, and when a loss counts."""

from collections import deque
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from test_risk import NOW, ROGER

from runner.engine.book import Book
from runner.engine.ledger import Ledger
from runner.engine.losses import DAY, LAST_TRADES, PEAK_HELD, Breach, Equity, Kept, Losses, MarketNow, decoded, encoded
from runner.model.event import BookSnapshot
from runner.model.money import ZERO
from runner.model.order import Fill, Order, OrderState, Role, Side
from runner.model.settings import SECOND, Limits

BTC = "BTC"


def btc(ticks_lots: int) -> Decimal:
    """Quote of so many ticks times lots."""
    return Decimal(ticks_lots).scaleb(-10)


class Desk:
    """One market, a ledger, and time that passes a second a look."""

    def __init__(self, limits: Limits, kept: dict[str, Equity] | None = None, now: int = NOW) -> None:
        self.ledger = Ledger({ROGER.symbol: ROGER}, {})
        self.losses = Losses(limits, self.ledger, kept or {})
        self.book = Book()
        self.orders: list[Order] = []
        self.now = now
        self.fills = 0
        self.fresh = True
        self.trades: deque[int] = deque(maxlen=LAST_TRADES)
        self.quote(5000, 5010)

    def quote(self, bid: int, ask: int, lots: int = 10**6) -> None:
        self.book.apply(BookSnapshot(ROGER.symbol, 1, ((bid, lots),), ((ask, lots),)), self.now)

    def trade(self, side: Side, ticks: int, lots: int) -> None:
        self.fills += 1
        fill = Fill(
            trade_id=self.fills, order_id=self.fills, client_id="c", market=ROGER.symbol, side=side, ticks=ticks,
            lots=lots, role=Role.MAKER, fee=ZERO, fee_currency=BTC, time=self.now, traded_at=0,
        )  # fmt: skip
        self.ledger.book(fill)

    def look(self, seconds: int = 0) -> list[Breach]:
        """One look now, or one a second for so long; the last one's breaches."""
        for _ in range(seconds):
            self.now += SECOND
            found = self._look()
        return found if seconds else self._look()

    def _look(self) -> list[Breach]:
        return self.losses.look([MarketNow(ROGER, self.book, self.fresh, self.trades)], self.orders, self.now)

    @property
    def equity(self) -> Equity:
        return self.losses.kept[BTC]


def test_a_position_is_worth_what_others_would_pay_for_all_of_it() -> None:
    desk = Desk(Limits(max_drawdown={BTC: Decimal(1)}))
    desk.trade(Side.BUY, 5000, 300)
    desk.book.apply(BookSnapshot(ROGER.symbol, 1, ((5000, 100), (4900, 500)), ((5010, 100),)), desk.now)
    desk.look()
    assert _near(desk.losses.profit(BTC), btc(-200 * 100))
    # A hundred lots of the best level are our own.
    desk.orders = [_resting(Side.BUY, 5000, 100)]
    desk.look(1)
    assert _near(desk.losses.profit(BTC), btc(-300 * 100))


def _near(profit: Decimal | None, exact: Decimal) -> bool:
    """An average price is rounded against us, at a millionth of a tick: three hundred lots of it."""
    return profit is not None and exact - btc(300) / 10**6 <= profit <= exact


def _resting(side: Side, ticks: int, lots: int) -> Order:
    return Order(
        client_id="o", slot="s", generation=0, market=ROGER.symbol, side=side, ticks=ticks, lots=lots,
        state=OrderState.OPEN, created=0, changed=0, event=1, sign_before=0, venue_ids=(1,),
    )  # fmt: skip


@given(trades=st.lists(st.integers(1000, 9000), max_size=20), side=st.sampled_from(Side))
def test_a_quote_without_trades_behind_it_lifts_no_profit(trades: list[int], side: Side) -> None:
    """A mark is never better than the median of the last fifteen trades."""
    desk = Desk(Limits(max_drawdown={BTC: Decimal(1)}))
    desk.trade(side, 5000, 100)
    for ticks in trades:
        desk.trades.append(ticks)
    desk.quote(8000, 8010) if side is Side.BUY else desk.quote(2000, 2010)
    desk.look()
    mark = 8000 if side is Side.BUY else 2010
    last = sorted(trades[-15:])
    if last:
        middle = last[(len(last) - 1) // 2] if side is Side.BUY else last[len(last) // 2]
        mark = min(mark, middle) if side is Side.BUY else max(mark, middle)
    assert desk.losses.profit(BTC) == btc((mark - 5000) * 100 * side.sign)


def test_a_loss_counts_when_it_lasts() -> None:
    desk = Desk(Limits(max_daily_loss={BTC: btc(100_000)}, loss_persists=5 * SECOND))
    desk.look()
    desk.trade(Side.BUY, 5000, 1000)
    desk.quote(4899, 4910)
    assert desk.look(5) == []
    desk.quote(4900, 4910)  # just the limit: it is not passed, and the time begins anew
    assert desk.look(1) == []
    desk.quote(4899, 4910)
    assert desk.look(5) == []
    assert desk.look(1) == [Breach("max_daily_loss", BTC, btc(101_000), btc(100_000))]


def test_a_realised_loss_counts_at_once() -> None:
    desk = Desk(Limits(max_daily_loss={BTC: btc(100_000)}))
    desk.look()
    desk.trade(Side.BUY, 5000, 1000)
    desk.trade(Side.SELL, 4899, 1000)
    assert [breach.limit for breach in desk.look()] == ["max_daily_loss"]


def test_an_old_mark_holds_but_proves_no_loss() -> None:
    desk = Desk(Limits(max_daily_loss={BTC: btc(100_000)}, max_mark_age=10 * SECOND))
    desk.look()
    desk.trade(Side.BUY, 5000, 1000)
    desk.quote(4000, 4910)
    desk.look()
    desk.fresh = False
    assert desk.look(10) == []
    assert desk.losses.unmarked is None
    assert desk.look(1) == []
    assert desk.losses.unmarked is not None
    assert desk.losses.unmarked.age == 11 * SECOND
    desk.fresh = True
    desk.look(1)
    assert desk.losses.unmarked is None


def test_a_position_that_never_had_a_mark_is_unmarked_at_once() -> None:
    desk = Desk(Limits(max_drawdown={BTC: Decimal(1)}))
    desk.trade(Side.BUY, 5000, 1000)
    desk.quote(5000, 5010, lots=999)  # nobody takes all of it
    desk.look()
    assert desk.losses.unmarked is not None
    assert desk.losses.unmarked.age is None
    assert desk.losses.kept == {}


@given(st.lists(st.tuples(st.integers(4800, 5200), st.integers(1, 40)), min_size=1, max_size=12))
def test_a_peak_is_what_profit_never_fell_below_for_half_a_minute(steps: list[tuple[int, int]]) -> None:
    desk = Desk(Limits(max_drawdown={BTC: Decimal(1)}))
    desk.look()
    desk.trade(Side.BUY, 5000, 100)
    seen: list[int] = []  # profit of each second
    for bid, seconds in steps:
        desk.quote(bid, bid + 10)
        for _ in range(seconds):
            desk.look(1)
            seen.append((bid - 5000) * 100)
    held = PEAK_HELD // SECOND + 1
    best = max((min(seen[at : at + held]) for at in range(len(seen) - held + 1)), default=0)
    assert desk.equity.peak <= btc(max(0, best))
    if len(set(seen)) == 1:
        assert desk.equity.peak == btc(max(0, best))


def test_no_peak_in_a_book_that_is_too_wide() -> None:
    desk = Desk(Limits(max_drawdown={BTC: Decimal(1)}, max_spread=Decimal("0.01")))
    desk.look()
    desk.trade(Side.BUY, 5000, 100)
    desk.quote(5500, 5600)
    desk.look(60)
    assert desk.equity.peak == 0
    desk.quote(5500, 5510)
    desk.look(29)
    assert desk.equity.peak == 0
    desk.look(2)
    assert desk.equity.peak == btc(500 * 100)


def test_a_day_begins_with_what_was_known_last() -> None:
    limits = Limits(max_daily_loss={BTC: btc(100_000)}, day_start=17 * 3600 * SECOND)
    evening = (NOW // DAY) * DAY + 17 * 3600 * SECOND
    desk = Desk(limits, now=evening - 2 * SECOND)
    desk.look()
    desk.trade(Side.BUY, 5000, 1000)
    desk.quote(4910, 4920)
    desk.look(1)
    assert desk.equity.day_start == 0
    desk.quote(4850, 4860)
    desk.look(1)  # the new day: its first value is no part of its beginning
    assert (desk.equity.day_start, desk.equity.last) == (btc(-90_000), btc(-150_000))
    # After two days without a run the new one begins with what the journal kept.
    kept = decoded(encoded(Kept(desk.losses.kept, 2, 3)))
    assert (kept.rejects, kept.errors) == (2, 3)
    later = Desk(limits, kept.equity, now=desk.now + 2 * DAY)
    later.trade(Side.BUY, 5000, 1000)
    later.quote(4700, 4710)
    later.look()
    assert later.equity.day_start == btc(-150_000)
    assert later.look(6) == [Breach("max_daily_loss", BTC, btc(150_000), btc(100_000))]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(Side), st.integers(4500, 5500), st.integers(100, 900), st.integers(0, 9)), max_size=15
    ),
    most=st.integers(0, 300_000),
)
def test_it_trips_exactly_when_the_loss_of_a_slow_and_obvious_count_says_so(
    steps: list[tuple[Side, int, int, int]], most: int
) -> None:
    """Beside a model that adds up cash and the value of what is held, second by second."""
    desk = Desk(Limits(max_drawdown={BTC: btc(most)}, loss_persists=3 * SECOND))
    desk.look()
    cash = held = 0
    since: int | None = None
    for side, ticks, lots, seconds in steps:
        desk.trade(side, ticks, lots)
        cash, held = cash - side.sign * ticks * lots, held + side.sign * lots
        desk.quote(ticks - 5, ticks + 5)
        for _ in range(seconds):
            breaches = desk.look(1)
            value = cash + held * (ticks - 5 if held > 0 else ticks + 5)
            peak = int(desk.equity.peak.scaleb(10))
            since = None if peak - value <= most else desk.now if since is None else since
            realised = peak - int(desk.ledger.realised.get(BTC, ZERO).scaleb(10)) > most
            if since is not None and (realised or desk.now - since >= 3 * SECOND):
                assert breaches == [Breach("max_drawdown", BTC, btc(peak - value), btc(most))]
            else:
                assert breaches == []
