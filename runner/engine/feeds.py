"""The markets of a run as their public feed tells them: book, trades, and how fresh that is."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from runner.engine.book import Book
from runner.engine.effects import Effects
from runner.engine.funds import Funds
from runner.engine.ledger import Ledger
from runner.engine.orders import Orders
from runner.engine.view import Balance, Position
from runner.model.command import Reconnect, Resubscribe
from runner.model.event import BookDelta, BookGap, BookSnapshot, PublicTrade, StreamAlive, StreamDown, StreamUp
from runner.model.ids import parse_client_id
from runner.model.market import Market
from runner.model.order import Fill, Order
from runner.model.settings import SECOND

TRADES_KEPT = 10_000  # between two ticks
SNAPSHOT_WITHIN = 10 * SECOND  # after a subscription; then another connection is tried (wire reference 6.3)
RESUBSCRIBE_LAST = 60 * SECOND


class Feed:
    """One market: what a `View` reads.

    `heard_at` is the last moment at which the book was live and its feed proven alive; a quiet market's book is
    kept fresh by whatever else comes over the same socket.
    """

    def __init__(self, market: Market, orders: Orders, ledger: Ledger, funds: Funds, initial: Decimal) -> None:
        self.market = market
        self.symbol = market.symbol
        self.book = Book()
        self.trades: list[PublicTrade] = []
        self.own_fills: list[Fill] = []  # since the last tick
        self.heard_at = 0
        self.last_trade: int | None = None  # ticks of the newest public trade
        self.snapshot_by: int | None = None  # a snapshot was asked for and should be here by then
        self.snapshot_wait = SNAPSHOT_WITHIN
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


class Feeds:
    """All markets of the file. `moved` and `traded` say what happened since they were last set to False."""

    def __init__(self, feeds: dict[str, Feed]) -> None:
        self.by_symbol = feeds
        self.up = False
        self.moved = False  # some best price or its size changed
        self.traded = False

    def handlers(self) -> dict[type, Callable[..., None]]:
        return {
            BookSnapshot: self._book,
            BookDelta: self._book,
            BookGap: self._gap,
        }

    def stream_up(self, _what: StreamUp, now: int) -> None:
        self.up = True
        for feed in self.by_symbol.values():
            if feed.book.state != "live" and feed.snapshot_by is None:
                feed.snapshot_by = now + feed.snapshot_wait

    def stream_down(self, _what: StreamDown, now: int) -> None:
        self.up = False
        for symbol, feed in self.by_symbol.items():
            feed.book.apply(BookGap(symbol, "stream down"), now)
            feed.snapshot_by = None

    def seen_by_tick(self) -> None:
        self.moved = self.traded = False
        for feed in self.by_symbol.values():
            feed.trades.clear()
            feed.own_fills.clear()

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
        for symbol, feed in self.by_symbol.items():
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
        feed = self.by_symbol.get(what.market)
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
        feed = self.by_symbol.get(what.market)
        if feed is not None:
            feed.book.apply(what, now)
            out.note("book.gap", level="warning", market=what.market, reason=what.reason)

    def trade(self, what: PublicTrade) -> None:
        feed = self.by_symbol.get(what.market)
        if feed is None:
            return
        self.traded = True
        feed.last_trade = what.ticks
        if len(feed.trades) < TRADES_KEPT:
            feed.trades.append(what)

    def alive(self, what: StreamAlive, now: int) -> None:
        if what.stream == "public":
            for feed in self.by_symbol.values():
                if feed.book.state == "live":
                    feed.heard_at = now


def _slot(client_id: str) -> str:
    parsed = parse_client_id(client_id)
    return "" if parsed is None else parsed.slot
