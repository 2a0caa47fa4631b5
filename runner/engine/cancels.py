"""Cancels that are wanted until the venue shows a terminal state.

Wait until the order is `wait`, because the venue drops cancels of orders that its engine has not seen; post; look; and
post again, ever more rarely, as long as a look shows it in `wait`. Source: orders.md rule 12.
"""

from collections.abc import Iterator

from msgspec import Struct

from runner.engine.copies import Copies
from runner.engine.reads import Reads
from runner.model.settings import SECOND

RETRY_FIRST = 5 * SECOND
RETRY_LAST = 60 * SECOND


class _Cancel(Struct):
    reason: str
    ask_at: int  # when to post, or to look whether the last post had an effect
    retry: int = RETRY_FIRST
    posted: bool = False  # since the order was last seen in `wait`


class Cancels:
    """By client id: every copy of an order goes."""

    def __init__(self, copies: Copies, reads: Reads) -> None:
        self._copies = copies
        self._reads = reads
        self._cancels: dict[str, _Cancel] = {}

    def __bool__(self) -> bool:
        return bool(self._cancels)

    def want(self, name: str, reason: str, now: int) -> None:
        if name not in self._cancels:
            self._cancels[name] = _Cancel(reason, now)

    def reason(self, name: str) -> str | None:
        cancel = self._cancels.get(name)
        return None if cancel is None else cancel.reason

    def ended(self, name: str) -> None:
        self._cancels.pop(name, None)

    def due(self, now: int) -> Iterator[tuple[int, str]]:
        """(venue id, client id) of each cancel to post now; what must be looked at first becomes a due read."""
        for name, cancel in self._cancels.items():
            if cancel.ask_at > now:
                continue
            alive = self._copies.alive(name)
            waiting = [(order_id, name) for order_id, copy in alive if copy.state == "wait"]
            if waiting and not cancel.posted:
                yield from waiting
                continue
            for order_id, _ in alive:
                self._reads.want(order_id, now)
            cancel.ask_at = now + cancel.retry

    def posted(self, name: str, now: int) -> None:
        cancel = self._cancels[name]
        cancel.posted = True
        cancel.ask_at = now + cancel.retry
        cancel.retry = min(2 * cancel.retry, RETRY_LAST)

    def moved_to_wait(self, name: str, now: int) -> None:
        """It came into the book, or traded there: a cancel that waited for that can go."""
        cancel = self._cancels.get(name)
        if cancel is not None and not cancel.posted:
            cancel.ask_at = min(cancel.ask_at, now)

    def still_waits(self, name: str, now: int) -> None:
        """A look showed it in `wait`: what was posted had no effect."""
        cancel = self._cancels.get(name)
        if cancel is not None and cancel.posted:
            cancel.posted = False
            cancel.ask_at = now

    def next_at(self) -> int | None:
        if not self._cancels:
            return None
        return min([cancel.ask_at for cancel in self._cancels.values()])
