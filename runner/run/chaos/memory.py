"""The journal as a value: what `edge/journal.py` keeps in a file, with the same rules for what is restored.

A law holds the two together on the same changes.
"""

from collections.abc import Sequence
from copy import copy

from runner.edge.journal import TOMBSTONE_AGE_MAX
from runner.model.command import Change, FillBooked, OrderChanged, StateChanged
from runner.model.event import Restored
from runner.model.order import Fill, Order, OrderState


class NameUsedTwice(Exception):
    """An intent under a name that was used before: nothing of it was written, so nothing of it may be sent."""


class Memory:
    """One journal's life. `epoch` is the UTC minute in which it began."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.orders: dict[str, Order] = {}  # in the order of their intents
        self.fills: dict[tuple[int, int], Fill] = {}
        self.generations: dict[str, int] = {}
        self.state: str | None = None
        self.commits = 0

    def commit(self, changes: Sequence[Change]) -> None:
        """All of it, or nothing and NameUsedTwice."""
        for change in changes:
            if isinstance(change, OrderChanged) and change.order.state is OrderState.INTENDED:
                before = self.orders.get(change.order.client_id)
                if before is not None and before.created != change.order.created:
                    raise NameUsedTwice(change.order.client_id)
        for change in changes:
            match change:
                case OrderChanged(order):
                    self.orders[order.client_id] = order
                    known = self.generations.get(order.slot, order.generation)
                    self.generations[order.slot] = max(known, order.generation)
                case FillBooked(fill):
                    self.fills[fill.key] = fill
                case StateChanged(state):
                    self.state = state
        self.commits += bool(changes)

    def restore(self, now: int) -> Restored:
        """What a run that begins at `now` (engine ns) has to know."""
        since = now - TOMBSTONE_AGE_MAX
        return Restored(
            epoch=self.epoch,
            orders=tuple(order for order in self.orders.values() if _restored(order, since)),
            generations=dict(self.generations),
            fills=tuple(self.fills.values()),
            strategy_state=self.state,
            used_slots=self._used_slots(),
        )

    def _used_slots(self) -> tuple[str, ...]:
        traded = {fill.client_id for fill in self.fills.values()}
        once = [order for order in self.orders.values() if not order.repeat]
        used = (order for order in once if order.executed_lots or order.filled_lots or order.client_id in traded)
        return tuple(sorted({order.slot for order in used}))

    def copy(self) -> "Memory":
        """As a file that was copied: what happens to the one is not known to the other."""
        other = copy(self)
        other.orders, other.fills = dict(self.orders), dict(self.fills)
        other.generations = dict(self.generations)
        return other


def _restored(order: Order, since: int) -> bool:
    return not order.state.terminal or order.state is OrderState.ABSENT or order.changed >= since
