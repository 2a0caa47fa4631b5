"""Wanted against existing: which orders to take away, and what is missing.

An order that is what the strategy wants stays, with its place in the queue. Repricing takes two steps: the old order
is cancelled, and only when that is proven does its slot propose the new one, from the intent of that moment.
Source: orders.md rules 20 and 22.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from runner.model.market import Market
from runner.model.order import Order, OrderState, Quote, Side

_UNRESOLVED = frozenset({OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN, OrderState.CANCELLING})


class BadQuote(ValueError):
    """A strategy asked for something that is not an order: it has a mistake, nothing of it is done."""


class Target(Struct, frozen=True):
    """A quote on the grid: what should exist in a slot. `ticks` None is a market order."""

    slot: str
    market: str
    side: Side
    ticks: int | None
    lots: int
    repeat: bool
    parent: tuple[str, int] | None  # name, total lots
    post_only: bool = False


class Difference(Struct, frozen=True):
    """Orders to take away, and targets whose slot is empty. Slots in between wait for evidence."""

    cancels: tuple[Order, ...]
    proposals: tuple[Target, ...]


def targets(
    quotes: Iterable[Quote], slots: frozenset[str], default: str, markets: Mapping[str, Market]
) -> dict[str, Target]:
    """Put a decision's quotes on the grid, by slot. Raises BadQuote with the slot and what is wrong."""
    wanted: dict[str, Target] = {}
    for quote in quotes:
        slot = quote.slot
        if slot not in slots:
            raise BadQuote(f"slot {slot!r} was not declared; slots() gives {', '.join(sorted(slots))}")
        if slot in wanted:
            raise BadQuote(f"slot {slot!r} is quoted twice in one tick")
        symbol = quote.market or default
        market = markets.get(symbol)
        if market is None:
            raise BadQuote(f"slot {slot!r} is quoted in {symbol!r}, which is not among the file's markets")
        wanted[slot] = _target(quote, symbol, market)
    return wanted


def difference(wanted: Mapping[str, Target], existing: Iterable[Order], used_slots: frozenset[str]) -> Difference:
    """Compare what should exist with every order that exists or may exist.

    `used_slots`: slots of `repeat=False` that had a fill in the journal's life; they are not proposed again.
    """
    cancels = []
    occupied = set()
    for order in existing:
        occupied.add(order.slot)
        if not _is(order, wanted.get(order.slot)) and order.state not in _UNRESOLVED:
            cancels.append(order)
    proposals = tuple(
        target for slot, target in wanted.items() if slot not in occupied and (target.repeat or slot not in used_slots)
    )
    return Difference(tuple(cancels), proposals)


def _is(order: Order, target: Target | None) -> bool:
    return (
        target is not None
        and order.side is target.side
        and order.ticks == target.ticks
        and order.lots == target.lots
        and order.market == target.market
        and len(order.venue_ids) <= 1
    )


def _target(quote: Quote, symbol: str, market: Market) -> Target:
    try:
        ticks = None if quote.price == "market" else market.ticks_for(quote.side, quote.price)
        lots = market.lots_for(quote.quantity)
        parent = None if quote.parent is None else (quote.parent[0], market.lots_for(quote.parent[1]))
    except (ValueError, TypeError) as problem:
        raise BadQuote(f"slot {quote.slot!r}: {problem}") from problem
    # Market orders never repeat: a lost answer must not become a second purchase.
    if ticks is None and quote.post_only:
        raise BadQuote(f"slot {quote.slot!r}: a market order never rests, so it cannot be post_only")
    repeat = quote.repeat and ticks is not None
    return Target(quote.slot, symbol, quote.side, ticks, lots, repeat, parent, quote.post_only)
