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


def _max_order_amount(limits: Limits, truth: Truth) -> Broken:
    row = truth.new
    limit = None if row is None else limits.max_order_amount.get(row.market.base)
    if row is not None and limit is not None and row.market.quantity(row.lots) > limit:
        quantity = plain(row.market.quantity(row.lots))
        yield f"orders of at most {plain(limit)} {row.market.base}", f"order {row.id} of {quantity}"


def _min_order_notional(limits: Limits, truth: Truth) -> Broken:
    row = truth.new
    if row is None or row.ticks is None:
        return
    limit = limits.min_order_notional.get(row.market.quote)
    notional = row.market.notional(row.ticks, row.lots)
    if limit is not None and notional < limit:
        yield f"orders of at least {plain(limit)} {row.market.quote}", f"order {row.id} of {plain(notional)}"


def _max_position(limits: Limits, truth: Truth) -> Broken:
    """For every currency: a market's quote is held as well as its base."""
    for currency, limit in limits.max_position.items():
        yield from _within(truth, currency, limit, 1)


def _min_position(limits: Limits, truth: Truth) -> Broken:
    """Where only the upper limit is set, it binds on both sides of zero."""
    for currency in dict.fromkeys((*limits.min_position, *limits.max_position)):
        least = limits.least_position(currency)
        if least is not None:
            yield from _within(truth, currency, MONEY.minus(least), -1)


def _within(truth: Truth, currency: str, limit: Decimal, sign: int) -> Broken:
    """`limit` bounds the position times `sign`."""
    if truth.position is None:
        return
    adds = [flow for row in truth.live if (flow := sign * _flow(row, currency)) > 0]
    reach = MONEY.add(sign * truth.position(currency), sum(adds, ZERO))
    # A position that the run began with may be beyond it; nothing of ours may add to it.
    if adds and reach > limit:
        yield f"{currency} position within {plain(sign * limit)}", f"may come to {plain(sign * reach)}"


BOUNDS: Mapping[str, Bound] = {
    "max_order_amount": _max_order_amount,
    "max_order_notional": _max_order_notional,
    "min_order_notional": _min_order_notional,
    "max_position": _max_position,
    "min_position": _min_position,
    "max_open_orders": _max_open_orders,
}

_MOMENT = "what it was compared with when the order was decided, the venue does not know"
_WATCHED = "it ends the run or holds it back; tests/simulated/test_latches.py looks at that"

UNSEEN: Mapping[str, str] = {
    "price_collar": _MOMENT,
    "collar_reference": _MOMENT,
    "collar_price": _MOMENT,
    "max_open_notional": "a position has a price only at a moment, and the book moves on while orders rest",
    "balance_floor": "balances move by deposits and other bots after the order was decided",
    "allocation": "balances move by deposits and other bots after the order was decided",
    "max_order_rate": "requests arrive later than they were decided, each by another time",
    "max_cancel_rate": "cancels always pass",
    "min_spread": _MOMENT,
    "max_spread": _MOMENT,
    "max_book_age": "how old a book was when an order was decided, the venue does not know",
    "max_account_age": _MOMENT,
    "max_clock_skew": _MOMENT,
    "max_daily_loss": _WATCHED,
    "max_drawdown": _WATCHED,
    "day_start": _WATCHED,
    "loss_persists": _WATCHED,
    "max_mark_age": _WATCHED,
    "max_consecutive_rejects": _WATCHED,
    "max_consecutive_errors": _WATCHED,
    "on_breach": _WATCHED,
    "resume": _WATCHED,
    "resume_after": _WATCHED,
    "flatten_slippage": _MOMENT,
    "flatten_with": _WATCHED,
    "flatten_within": _WATCHED,
    "self_trade": "the law `others` and the ledger tell of it",
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
