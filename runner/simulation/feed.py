"""What an exchange tells the world, in order, and how the changes of a book are numbered.

Whoever owns the exchange takes the events from its `feed`. Source: wire reference 5.2, 6.3.
"""

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from runner.model.market import Market
from runner.model.order import Side
from runner.simulation.matching import LevelChange, OrderBook
from runner.simulation.records import Order, Trade

SECOND = 1_000_000_000

SNAPSHOT_LEVELS = 301
QUIET_INTERVAL = 60 * SECOND
BUSY_INTERVAL = 10 * SECOND
BUSY_INCREMENTS = 20
"""A snapshot is due after the busy interval with this many increments, else after the quiet one."""


class BookChanged(Struct, frozen=True):
    """One resting order was touched: the new total of its level, zero where the level is gone."""

    market: Market
    sequence: int
    side: Side
    ticks: int
    lots: int


class BookShown(Struct, frozen=True):
    """A snapshot, best prices first. It holds exactly what the increments up to `sequence` made."""

    market: Market
    sequence: int
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class OrderChanged(Struct, frozen=True):
    order: Order


class Traded(Struct, frozen=True):
    trade: Trade


class BalanceChanged(Struct, frozen=True):
    member: int
    currency: str
    available: Decimal
    locked: Decimal


FeedEvent = BookChanged | BookShown | OrderChanged | Traded | BalanceChanged


class BookPublisher:
    """Numbers the changes of one market's book and says when a snapshot is due."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.sequence = 1  # the first increment is number 2
        self._shown_at = 0
        self._increments = 0  # since the last snapshot

    def publish(self, book: OrderBook, changes: Iterable[LevelChange], now: int) -> list[FeedEvent]:
        """Increments for changes that are already in the book, and a snapshot if one is due with them."""
        events: list[FeedEvent] = []
        for side, ticks, lots in changes:
            self.sequence += 1
            self._increments += 1
            events.append(BookChanged(self.market, self.sequence, side, ticks, lots))
        if events and self._snapshot_due(now):
            events.append(self.show(book, now))
        return events

    def show(self, book: OrderBook, now: int) -> BookShown:
        """A snapshot now, due or not."""
        self._shown_at, self._increments = now, 0
        bids, asks = (tuple(book.levels(side, SNAPSHOT_LEVELS)) for side in (Side.BUY, Side.SELL))
        return BookShown(self.market, self.sequence, bids, asks)

    def _snapshot_due(self, now: int) -> bool:
        since = now - self._shown_at
        return since > BUSY_INTERVAL if self._increments >= BUSY_INCREMENTS else since >= QUIET_INTERVAL
