"""What the engine is told about a run: the part of the YAML file that decisions depend on."""

from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

SECOND = 1_000_000_000
MILLISECOND = 1_000_000

TickCause = Literal["book", "trade", "fill"]


class TickPolicy(Struct, frozen=True):
    """When the strategy is asked: every so often, and when something happened, but not more often than that."""

    every: int = SECOND  # ns
    when: tuple[TickCause, ...] = ()
    at_most_every: int = 100 * MILLISECOND  # ns


class Limits(Struct, frozen=True):
    """Risk limits. A limit that is not set does not bind, except `max_book_age`, which always does.

    `max_position`: currency -> base; binds the position on both sides of zero. `max_order_notional`: currency ->
    quote. `max_open_orders` counts every order that may exist. `max_book_age` in ns.
    """

    max_position: dict[str, Decimal] = {}
    max_order_notional: dict[str, Decimal] = {}
    max_open_orders: int | None = None
    max_book_age: int = 15 * SECOND


class Settings(Struct, frozen=True, kw_only=True):
    """One run of one strategy. `params` are the strategy's own, as written in the file (text with units)."""

    name: str
    tag: str  # six characters, see ids.py
    markets: tuple[str, ...]  # symbols; the first one is the default of a quote
    strategy: str  # how the file names it
    params: dict[str, Any] = {}
    tick: TickPolicy = TickPolicy()
    limits: Limits = Limits()
    on_stop: Literal["cancel", "cancel_opening", "leave"] = "cancel"
    once: bool = False
    take_over: bool = False  # orders of another journal that moved just before the start are nobody else's
    initial_position: dict[str, Decimal] = {}
    position: dict[str, Decimal] | None = None  # what a person says is held, where the journal cannot know it
    settle: int = 30 * SECOND  # D of orders.md: the longest an authorised request may take to become a row
    cancel_reserve: int = 8  # requests of the budget that only cancels may use
