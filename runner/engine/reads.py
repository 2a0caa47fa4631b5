"""Orders to be read one by one, and when."""


class Reads:
    """Venue ids that are due for a GET. Each stays due until `taken` says that it is being read."""

    def __init__(self) -> None:
        self._wanted: dict[int, int] = {}  # venue id -> when
        self._incomplete: dict[int, int] = {}  # the same, unless the missing fill or event comes by itself

    def want(self, order_id: int, at: int) -> None:
        """Read it at `at`, unless a read is wanted already."""
        self._wanted.setdefault(order_id, at)

    def put_off(self, order_id: int, at: int) -> None:
        """Read it at `at` and not before."""
        self._wanted[order_id] = at

    def drop(self, order_id: int) -> None:
        """The read was wanted to find its owner, and that is known."""
        self._wanted.pop(order_id, None)

    def want_unless_told(self, order_id: int, at: int) -> None:
        self._incomplete.setdefault(order_id, at)

    def told(self, order_id: int) -> None:
        self._incomplete.pop(order_id, None)

    def taken(self, order_id: int) -> None:
        self._wanted.pop(order_id, None)
        self._incomplete.pop(order_id, None)

    def due(self, now: int) -> list[int]:
        return [id_ for reads in (self._wanted, self._incomplete) for id_, at in reads.items() if at <= now]

    def next_at(self) -> int | None:
        if not (self._wanted or self._incomplete):
            return None
        return min((*self._wanted.values(), *self._incomplete.values()))
