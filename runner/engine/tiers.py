"""How far the venue's names are to be trusted, and what a row may be where they are not.

Tier 1: the venue showed an order of ours with its client id as we sent it. Tier 2, from the start until then and after
every client id that came back missing, cut short or respelt: orders are told apart by what they are. There, at most
one create per market and side is on its way, and none that is equal to another order of ours that may exist, so that a
row can be at most one order. Source: orders.md rule 11.
"""

from collections.abc import Iterable
from typing import Literal

from runner.engine.effects import Effects
from runner.engine.reconcile import Target
from runner.model.ids import parse_client_id
from runner.model.order import Order, OrderRow, OrderState
from runner.model.settings import MILLISECOND, SECOND

NONCE_WINDOW = 5 * SECOND  # W of orders.md
LOOK_UP_MARGIN = 60 * SECOND

UNBORN = frozenset({OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN})
"""States of an order that no row is known of."""

Span = tuple[int, int]
"""Venue seconds since 1970: from, and up to but without."""

Obstacle = Literal["unresolved", "equal"]


class Tier:
    """Which tier it is, by the last word of the venue. `held`: slots whose proposals wait because it is the second."""

    def __init__(self) -> None:
        self.proven = False
        self.held: set[str] = set()

    def echoed(self, order: Order, row: OrderRow, out: Effects) -> bool:
        """A row that is known to be of an order showed a client id; True if proposals may go now that were held."""
        exact = row.client_id == order.client_id
        # The name of an adopted order is what the venue said it was: that it says so again proves nothing.
        adopted = order.event == 0
        if exact is self.proven or (exact and adopted):
            return False
        waited = bool(self.held)
        self.proven = exact
        self.held.clear()
        out.note(
            "tier.proven" if exact else "tier.lost",
            level="info" if exact else "warning",
            market=order.market,
            client_id=order.client_id,
            order_id=row.id,
            shown=row.client_id,
        )
        return exact and waited

    def holds(self, target: Target, may_exist: Iterable[Order], out: Effects) -> bool:
        """Whether a proposal has to wait in the second tier; said once a slot, until the tier is another.

        `may_exist`: every order that a limit counts.
        """
        found = obstacle(target, may_exist)
        if found is None:
            return False
        if target.slot not in self.held:
            self.held.add(target.slot)
            out.note("order.held", market=target.market, slot=target.slot, side=target.side.value, why=found)
        return True


def obstacle(target: Target, may_exist: Iterable[Order]) -> Obstacle | None:
    """What keeps a create back where names prove nothing."""
    beside = [order for order in may_exist if (order.market, order.side) == (target.market, target.side)]
    if any(order.state in UNBORN for order in beside):
        return "unresolved"
    equal = any((order.ticks, order.lots) == (target.ticks, target.lots) for order in beside)
    return "equal" if equal else None


def span(order: Order, settle: int) -> Span:
    """When the row of an order can have been created, with a minute's margin. `settle` is D of orders.md, ns."""
    signed = order.created if order.nonce is None else order.nonce * MILLISECOND
    latest = max(order.sign_before * MILLISECOND, signed)
    return (
        (signed - NONCE_WINDOW - LOOK_UP_MARGIN) // SECOND,
        (latest + NONCE_WINDOW + settle + LOOK_UP_MARGIN) // SECOND + 1,
    )


def fits(row: OrderRow, order: Order) -> bool:
    """The row and the order agree in all that never changes."""
    return (row.market, row.side, row.ticks, row.origin_lots) == (order.market, order.side, order.ticks, order.lots)


def could_be(row: OrderRow, order: Order, settle: int, *, proven: bool, late: bool = False) -> bool:
    """Whether a row that belongs to no order may be this one, should the venue have lost or bent the client id.

    Where names are not proven any text may be a bent one, but the whole name of another order of ours: that one it is.
    `late`: it may have come after the time that was allowed for it.
    """
    if not fits(row, order) or row.id <= order.id_floor:
        return False
    earliest, latest = span(order, settle)
    if row.created_at < earliest or (row.created_at >= latest and not late):
        return False
    told = row.client_id or ""
    return bent(told, order.client_id) or (not proven and parse_client_id(told) is None)


def bent(told: str, name: str) -> bool:
    """What is shown can be the name: nothing at all, its beginning, or either in another case.

    A name cut short can be the whole name of an earlier order of the slot.
    """
    return name.upper().startswith(told.upper())
