"""The venue's orders under a client id of ours.

A client id names a *set* of venue orders, because the venue does not de-duplicate and a proxy may repeat a create.
Identity is the venue id. Source: orders.md rule 4.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from runner.model.order import Order, OrderRow, OrderState

ENDED_AS: Mapping[str, OrderState] = {
    "done": OrderState.FILLED,
    "cancel": OrderState.CANCELLED,
    "reject": OrderState.REJECTED,
}

MISSING = "missing"  # in the place of the venue's word: it says that there is no such order


class Copy(Struct):
    """One order of the venue. `state` is the venue's word, empty until it was heard; `created_at` its second, or 0."""

    state: str = ""
    executed_lots: int = 0
    created_at: int = 0

    @property
    def ended(self) -> bool:
        return self.state in ENDED_AS

    def take(self, row: OrderRow) -> bool | None:
        """Take news in: whether it changed anything, None if it is older than what is known."""
        if row.executed_lots < self.executed_lots or (self.ended and not row.terminal):
            return None
        self.created_at = row.created_at
        moved = self.state != row.state or self.executed_lots != row.executed_lots
        self.state, self.executed_lots = row.state, row.executed_lots
        return moved


class Copies:
    """Which venue order belongs to which client id, and what the venue said of each."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._copies: dict[str, dict[int, Copy]] = {}

    def name_of(self, order_id: int) -> str | None:
        return self._names.get(order_id)

    def of(self, name: str) -> Mapping[int, Copy]:
        return self._copies.get(name, {})

    def add(self, name: str, order_id: int, copy: Copy | None = None) -> None:
        self._names[order_id] = name
        self._copies.setdefault(name, {})[order_id] = copy or Copy()

    def add_ended(self, order: Order) -> None:
        """An order that had ended when the journal last knew of it. What each of several copies did is not kept."""
        word = next((word for word, state in ENDED_AS.items() if state is order.state), "")
        for order_id in order.venue_ids:
            executed = order.executed_lots if len(order.venue_ids) == 1 else 0
            self.add(order.client_id, order_id, Copy(word, executed))

    def forget(self, name: str, order_ids: Iterable[int]) -> None:
        self._copies.pop(name, None)
        for order_id in order_ids:
            self._names.pop(order_id, None)

    def alive(self, name: str) -> list[tuple[int, Copy]]:
        return [(order_id, copy) for order_id, copy in self.of(name).items() if not copy.ended]

    def created(self, since: int, until: int | None) -> frozenset[int]:
        """Venue ids of those that the venue told of, and that it created in this time (its seconds)."""
        return frozenset(
            order_id
            for copies in self._copies.values()
            for order_id, copy in copies.items()
            if copy.state not in {"", MISSING}
            and copy.created_at >= since
            and (until is None or copy.created_at < until)
        )

    def executed_lots(self, name: str) -> int:
        return sum(copy.executed_lots for copy in self.of(name).values())

    def end(self, name: str) -> OrderState | None:
        """How all of them together ended, None while one lives."""
        states = {ENDED_AS.get(copy.state) for copy in self.of(name).values()}
        if None in states:
            return None
        order = (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED)
        return next((state for state in order if state in states), None)
