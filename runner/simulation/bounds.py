"""What the limits of a file mean for the exchange's own truth: one measure for each limit, by the limit's name.

A measure looks at what there is in the moment in which a row of ours has changed, and tells of what passes the limit:
what was expected, and what was found. Only what is by our doing is shown to it. A limit without a measure stands in
`UNSEEN`, with the reason why no venue could ever show that it was passed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal

from msgspec import Struct

from runner.model.market import Market
from runner.model.money import MONEY, ZERO, plain
from runner.model.order import Side
from runner.model.settings import Limits
from runner.simulation.records import Order as Row


class Truth(Struct, frozen=True):
    """`live`: our rows at work. `new`: the one that has just come to be, if it was by our doing.

    `position`: by currency, own fills net of fees and the initial position; None while an order that nobody asked for
    (a copy made by a proxy, one that took longer than D) may have moved it.
    """

    now: int
    live: Collection[Row]
    new: Row | None
    position: Callable[[str], Decimal] | None


Broken = Iterator[tuple[str, str]]
Bound = Callable[[Limits, Truth], Broken]


def passed(limits: Limits, truth: Truth) -> Broken:
    """Everything in which the truth passes a limit."""
    for bound in BOUNDS.values():
        yield from bound(limits, truth)


def _max_open_orders(limits: Limits, truth: Truth) -> Broken:
    most = limits.max_open_orders
    if most is not None and len(truth.live) > most:
        yield f"at most {most} open orders", f"{len(truth.live)}"


def _max_order_notional(limits: Limits, truth: Truth) -> Broken:
    row = truth.new
    if row is None or row.ticks is None:
        return  # what a market order comes to is known when it has traded
    limit = limits.max_order_notional.get(row.market.quote)
    notional = row.market.notional(row.ticks, row.lots)
    if limit is not None and notional > limit:
        yield f"orders of at most {plain(limit)} {row.market.quote}", f"order {row.id} of {plain(notional)}"


def _max_position(limits: Limits, truth: Truth) -> Broken:
    """On each side of zero, and for every currency: a market's quote is held as well as its base."""
    if truth.position is None:
        return
    for currency, limit in limits.max_position.items():
        for sign in (1, -1):
            adds = [flow for row in truth.live if (flow := sign * _flow(row, currency)) > 0]
            reach = MONEY.add(sign * truth.position(currency), sum(adds, ZERO))
            # A position that the run began with may be beyond it; nothing of ours may add to it.
            if adds and reach > limit:
                yield f"{currency} position within {plain(limit)}", f"may come to {plain(sign * reach)}"


BOUNDS: Mapping[str, Bound] = {
    "max_open_orders": _max_open_orders,
    "max_order_notional": _max_order_notional,
    "max_position": _max_position,
}

UNSEEN: Mapping[str, str] = {
    "max_book_age": "how old a book was when an order was decided, the venue does not know",
}


def _flow(row: Row, currency: str) -> Decimal:
    """By how much a row may still move a holding, fees left out."""
    market: Market = row.market
    if currency == market.base:
        return row.side.sign * market.quantity(row.left)
    if currency == market.quote and row.ticks is not None:
        return -row.side.sign * market.notional(row.ticks, row.left)
    if currency == market.quote and row.side is Side.BUY:
        return -row.locked
    return ZERO  # what a market order brings is known when it has traded
