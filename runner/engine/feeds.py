"""The markets of a run as their public feed tells them: book, trades, and how fresh that is."""

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Protocol

from runner.engine.book import Book
from runner.engine.effects import Effects
from runner.engine.funds import Funds
from runner.engine.ledger import Ledger
from runner.engine.losses import LAST_TRADES
from runner.engine.orders import Orders
from runner.engine.view import Balance, MarketData, Position
from runner.model.command import Reconnect, Resubscribe
from runner.model.event import (
    Advanced,
    BookDelta,
    BookGap,
    BookSnapshot,
    PublicTrade,
    StreamAlive,
    StreamDown,
    StreamUp,
)
from runner.model.ids import parse_client_id
from runner.model.market import Market
from runner.model.order import Fill, Order
from runner.model.settings import SECOND

TRADES_KEPT = 10_000  # between two ticks
SNAPSHOT_WITHIN = 10 * SECOND  # after a subscription; then another connection is tried (wire reference 6.3)
RESUBSCRIBE_LAST = 60 * SECOND


class Tape(MarketData, Protocol):
    """A recorded market that somebody else plays: it is read where it is, and told of only when that matters."""

    @property
    def heard_at(self) -> int:
        """Until when the recording is known to be whole, ns: the moment it is at, unless it has a gap there."""

    @property
    def traded(self) -> int:
        """How many public trades have happened so far."""

    def trades(self, first: int, last: int) -> Sequence[PublicTrade]:
        """Those from number `first` (from 0) up to `last`, which is not among them."""


class _Feed:
    """One market: what a `View` reads. What its public feed says is up to who keeps its book."""

    def __init__(
        self, market: Market, book: MarketData, orders: Orders, ledger: Ledger, funds: Funds, initial: Decimal
    ) -> None:
        self.market = market
        self.symbol = market.symbol
        self.book = book
        self.own_fills: list[Fill] = []  # since the last tick
        self._orders = orders
        self._ledger = ledger
        self._funds = funds
        self._initial = initial

    def orders(self) -> Sequence[Order]:
        return [order for order in self._orders.live() if order.market == self.symbol]

    def fills(self) -> Sequence[tuple[str, Fill]]:
        return [(_slot(fill.client_id), fill) for fill in self.own_fills]

    def position(self) -> Position:
        holding = self._ledger.holding(self.symbol)
        average = None if holding.average_price is None else float(holding.average_price)
        bid, ask = self.book.best_bid(), self.book.best_ask()
        unrealised = None
        if bid is not None and ask is not None and average is not None:
            mid = self.market.price_float((bid[0] + ask[0]) / 2)
            unrealised = (float(holding.base) - float(self._initial)) * (mid - average)
        return Position(float(holding.base), average, float(holding.realised), unrealised)

    def balance(self, currency: str) -> Balance:
        row = self._funds.balance(currency)
        return Balance(float(row.available), float(row.locked))


class LiveFeed(_Feed):
    """A market that is told event by event.

    `heard_at` is the last moment at which the book was live and its feed proven alive; a quiet market's book is
    kept fresh by whatever else comes over the same socket.
    """

    book: Book

    def __init__(self, market: Market, orders: Orders, ledger: Ledger, funds: Funds, initial: Decimal) -> None:
        super().__init__(market, Book(), orders, ledger, funds, initial)
        self.trades: list[PublicTrade] = []
        self.heard_at = 0
        self.last_trades: deque[int] = deque(maxlen=LAST_TRADES)  # ticks of the newest public trades
        self.snapshot_by: int | None = None  # a snapshot was asked for and should be here by then
        self.snapshot_wait = SNAPSHOT_WITHIN

    @property
    def last_trade(self) -> int | None:
        return self.last_trades[-1] if self.last_trades else None

    def traded(self, what: PublicTrade) -> None:
        self.last_trades.append(what.ticks)
        if len(self.trades) < TRADES_KEPT:
            self.trades.append(what)

    def seen_by_tick(self) -> None:
        self.trades.clear()
        self.own_fills.clear()


class TapedFeed(_Feed):
    """A recorded market (backtest)."""

    book: Tape

    def __init__(
        self, market: Market, tape: Tape, orders: Orders, ledger: Ledger, funds: Funds, initial: Decimal
    ) -> None:
        super().__init__(market, tape, orders, ledger, funds, initial)
        self._touch = (tape.best_bid(), tape.best_ask())  # as it was last looked at
        self._seen = tape.traded  # trades before the last tick

    @property
    def heard_at(self) -> int:
        return self.book.heard_at

    @property
    def trades(self) -> Sequence[PublicTrade]:
        return self.book.trades(self._seen, min(self.book.traded, self._seen + TRADES_KEPT))

    @property
    def last_trades(self) -> Sequence[int]:
        count = self.book.traded
        return [trade.ticks for trade in self.book.trades(max(0, count - LAST_TRADES), count)]

    @property
    def last_trade(self) -> int | None:
        count = self.book.traded
        return self.book.trades(count - 1, count)[0].ticks if count else None

    def advanced(self) -> tuple[bool, bool]:
        """Whether a best price or its size has changed since the last look, and whether there are trades to see."""
        before, self._touch = self._touch, (self.book.best_bid(), self.book.best_ask())
        return before != self._touch, self.book.traded > self._seen

    def seen_by_tick(self) -> None:
        self._touch = (self.book.best_bid(), self.book.best_ask())
        self._seen = self.book.traded
        self.own_fills.clear()


Feed = LiveFeed | TapedFeed


class Feeds:
    """All markets of the file. `moved` and `traded` say what happened since they were last set to False."""

    def __init__(self, feeds: dict[str, Feed]) -> None:
        self.by_symbol = feeds
        self._live = {symbol: feed for symbol, feed in feeds.items() if isinstance(feed, LiveFeed)}
        self._taped = {symbol: feed for symbol, feed in feeds.items() if isinstance(feed, TapedFeed)}
        self.up = False
        self.moved = False  # some best price or its size changed
        self.traded = False

    def handlers(self) -> dict[type, Callable[..., None]]:
        return {
            BookSnapshot: self._book,
            BookDelta: self._book,
            BookGap: self._gap,
            Advanced: self._advanced,
        }

    def stream_up(self, _what: StreamUp, now: int) -> None:
        self.up = True
        for feed in self._live.values():
            if feed.book.state != "live" and feed.snapshot_by is None:
                feed.snapshot_by = now + feed.snapshot_wait

    def stream_down(self, _what: StreamDown, now: int) -> None:
        self.up = False
        for symbol, feed in self._live.items():
            feed.book.apply(BookGap(symbol, "stream down"), now)
            feed.snapshot_by = None

    def seen_by_tick(self) -> None:
        self.moved = self.traded = False
        for feed in self.by_symbol.values():
            feed.seen_by_tick()

    def lacks(self, symbol: str, now: int, age_max: int) -> str | None:
        """Why a market's book cannot be traded on now; None where it can."""
        feed = self.by_symbol[symbol]
        if feed.book.state != "live":
            return f"no live book of {symbol}: {feed.book.reason}"
        age = now - feed.heard_at
        return None if age <= age_max else f"the book of {symbol} is {age / SECOND:.1f} s old"

    def mend(self, now: int, out: Effects) -> int | None:
        """Ask again for books that cannot be trusted; returns when to look at them next."""
        if not self.up:
            return None
        next_at: int | None = None
        for symbol, feed in self._live.items():
            if feed.book.state == "live":
                continue
            if feed.snapshot_by is None:
                out.commands.append(Resubscribe(symbol))
                feed.snapshot_by = now + feed.snapshot_wait
            elif now >= feed.snapshot_by:
                out.note("book.missing", level="warning", market=symbol, waited_s=feed.snapshot_wait / SECOND)
                out.commands.append(Reconnect("public"))
                feed.snapshot_wait = min(2 * feed.snapshot_wait, RESUBSCRIBE_LAST)
                feed.snapshot_by = now + feed.snapshot_wait
            next_at = feed.snapshot_by if next_at is None else min(next_at, feed.snapshot_by)
        return next_at

    def _book(self, what: BookSnapshot | BookDelta, now: int, out: Effects) -> None:
        feed = self._live.get(what.market)
        if feed is None:
            return
        book = feed.book
        before, was = (book.best_bid(), book.best_ask()), book.state
        book.apply(what, now)
        if book.state == "live":
            feed.heard_at = now
            feed.snapshot_by, feed.snapshot_wait = None, SNAPSHOT_WITHIN
            self.moved = self.moved or before != (book.best_bid(), book.best_ask())
        elif was == "live":  # crossed: the book itself is the evidence that something is missing
            out.note("book.gap", level="warning", market=what.market, reason="best bid is not below best ask")

    def _gap(self, what: BookGap, now: int, out: Effects) -> None:
        feed = self._live.get(what.market)
        if feed is not None:
            feed.book.apply(what, now)
            out.note("book.gap", level="warning", market=what.market, reason=what.reason)

    def trade(self, what: PublicTrade) -> None:
        feed = self._live.get(what.market)
        if feed is None:
            return
        self.traded = True
        feed.traded(what)

    def _advanced(self, what: Advanced, _now: int, _out: Effects) -> None:
        feed = self._taped.get(what.market)
        if feed is not None:
            moved, traded = feed.advanced()
            self.moved, self.traded = self.moved or moved, self.traded or traded

    def alive(self, what: StreamAlive, now: int) -> None:
        if what.stream == "public":
            for feed in self._live.values():
                if feed.book.state == "live":
                    feed.heard_at = now


def _slot(client_id: str) -> str:
    parsed = parse_client_id(client_id)
    return "" if parsed is None else parsed.slot
