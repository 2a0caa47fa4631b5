"""A journal as a value: what the file of `edge/journal.py` holds and gives back, without a file.

The same rules in fewer words, and a law ties the two together. A copy is an older journal; a new one is a lost one.
"""

from collections.abc import Iterable, Sequence

from runner.model.beginning import Beginning
from runner.model.command import (
    Began,
    Change,
    Decided,
    FillBooked,
    LatchLifted,
    LatchSet,
    OrderChanged,
    RiskKept,
    StateChanged,
)
from runner.model.event import Restored
from runner.model.latch import Latch
from runner.model.order import Fill, Order, OrderState
from runner.model.settings import SECOND

MINUTE = 60 * SECOND
TOMBSTONE_AGE_MAX = 15 * MINUTE  # as in the file


class NameUsedTwice(Exception):
    """An intent under a client order id that was used before. Nothing of the transaction was kept."""


class Memory:
    """One journal. `epoch` is the UTC minute in which it began."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.orders: dict[str, Order] = {}  # by client id, in the order of their intents
        self.fills: dict[tuple[int, int], Fill] = {}  # in the order learnt
        self.generations: dict[str, int] = {}
        self.state: str | None = None
        self.latches: dict[str, Latch] = {}
        self.risk: str | None = None
        self.began: Beginning | None = None
        self.commits = 0

    @classmethod
    def begun(cls, now: int) -> "Memory":
        return cls(now // MINUTE)

    def copy(self) -> "Memory":
        """The same at this moment; what happens to one from now on does not show in the other."""
        other = Memory(self.epoch)
        other.orders, other.fills = dict(self.orders), dict(self.fills)
        other.generations, other.state, other.commits = dict(self.generations), self.state, self.commits
        other.latches, other.risk = dict(self.latches), self.risk
        other.began = self.began
        return other

    def commit(self, changes: Sequence[Change]) -> None:
        """Take one output in, whole or not at all. Raises NameUsedTwice."""
        self._refuse_used_names(changes)
        self.commits += 1
        for change in changes:
            match change:
                case OrderChanged(order):
                    self.orders[order.client_id] = order
                    self.generations[order.slot] = max(order.generation, self.generations.get(order.slot, 0))
                case FillBooked(fill):
                    self.fills[fill.key] = fill
                case StateChanged(state):
                    self.state = state
                case LatchSet(latch):
                    self.latches.setdefault(latch.name, latch)
                case LatchLifted(name):
                    self.latches.pop(name, None)
                case RiskKept(kept):
                    self.risk = kept
                case Began(beginning):
                    self.began = beginning
                case Decided():
                    pass  # for the reader of a file

    def _refuse_used_names(self, changes: Iterable[Change]) -> None:
        for change in changes:
            if isinstance(change, OrderChanged) and change.order.state is OrderState.INTENDED:
                before = self.orders.get(change.order.client_id)
                if before is not None and before.created != change.order.created:
                    raise NameUsedTwice(change.order.client_id)

    def restore(self, now: int, *, placed_since: int | None = None) -> Restored:
        """What a run that opens the journal at `now` (UTC ns) has to know."""
        since = now - TOMBSTONE_AGE_MAX
        return Restored(
            self.epoch,
            tuple(
                order
                for order in self.orders.values()
                if not order.state.terminal or order.state is OrderState.ABSENT or order.changed >= since
            ),
            dict(self.generations),
            tuple(self.fills.values()),
            self.state,
            self._used_slots(),
            tuple(self.latches[name] for name in sorted(self.latches)),
            self.risk,
            () if placed_since is None else self._placed(placed_since),
            self.began,
        )

    def _placed(self, since: int) -> tuple[int, ...]:
        return tuple(sorted(order.created for order in self.orders.values() if order.created > since))

    def _used_slots(self) -> tuple[str, ...]:
        once = {order.client_id: order.slot for order in self.orders.values() if not order.repeat}
        filled = {name for name in once if self.orders[name].executed_lots or self.orders[name].filled_lots}
        filled |= {fill.client_id for fill in self.fills.values() if fill.client_id in once}
        return tuple(sorted({once[name] for name in filled}))
