"""A run at one moment, in plain values: what the screen, the summary and every other reader are given.

Times are UTC nanoseconds, ages and spans nanoseconds. Prices are quote per base, quantities base, and both are exact.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct

from runner.model.command import Note
from runner.model.order import Side

Phase = Literal["starting", "trading", "stopping", "stopped"]


class MarketStatus(Struct, frozen=True, kw_only=True):
    """One market of the file, and what we hold of it.

    `age` is the time since the feed last proved to be alive, None before it first did. `position` is in base, the
    profits are in quote; `average_price` is None when flat, `unrealised` where there is no mark.
    """

    symbol: str
    book: str  # empty | live | gap
    age: int | None = None
    best_bid: Decimal | None = None
    best_ask: Decimal | None = None
    position: Decimal = Decimal(0)
    average_price: Decimal | None = None
    realised: Decimal = Decimal(0)
    unrealised: Decimal | None = None


class OrderStatus(Struct, frozen=True, kw_only=True):
    """An order that exists or may exist. `price` is None for a market order."""

    slot: str
    market: str
    side: Side
    price: Decimal | None
    quantity: Decimal
    remaining: Decimal
    state: str
    age: int


class OrderCounts(Struct, frozen=True, kw_only=True):
    """What became of the orders of this run.

    `placed`: sent to the venue. Of these `filled` completely, `cancelled` (perhaps with fills), `rejected` by the
    venue, proven `absent`, or `unknown` still. `refused`: stopped by our own gate, so never sent; a quote that is
    refused at ten ticks counts ten times.
    """

    placed: int = 0
    filled: int = 0
    cancelled: int = 0
    rejected: int = 0
    refused: int = 0
    absent: int = 0
    unknown: int = 0


class Status(Struct, frozen=True, kw_only=True):
    """A run at `time`. Maps go from a currency to an amount of it.

    `fills`, `volume` (gross, base and quote alike) and `fees` are those of this run; `position` and the profits those
    of the journal's life. `unrealised` has no entry for a quote currency in which a holding has no mark. `notes` are
    the last ones with their times, newest last. `model` says what a paper account assumes; empty where fills are real.
    """

    run: str
    name: str
    venue: str
    model: str = ""
    phase: Phase
    started_at: int
    time: int
    markets: tuple[MarketStatus, ...] = ()
    orders: tuple[OrderStatus, ...] = ()
    counts: OrderCounts = OrderCounts()
    ticks: int = 0
    fills: int = 0
    volume: dict[str, Decimal] = {}
    fees: dict[str, Decimal] = {}
    position: dict[str, Decimal] = {}
    realised: dict[str, Decimal] = {}
    unrealised: dict[str, Decimal] = {}
    reason: str = ""
    notes: tuple[tuple[int, Note], ...] = ()
