"""How often, and how often in vain: what the limits on rates and on failures in a row count."""

from collections import deque
from collections.abc import Iterable

from runner.model.settings import Rate

KEPT = 100_000  # moments of either kind; above any rate that a venue serves


class Pace:
    """Orders and cancels of the last while, refusals and errors since the last success.

    `rejects` counts orders refused by the venue one after the other, `errors` requests that brought no usable answer.
    """

    def __init__(
        self, placed: Iterable[int] = (), cancelled: Iterable[int] = (), rejects: int = 0, errors: int = 0
    ) -> None:
        self._placed = deque(sorted(placed), KEPT)
        self._cancelled = deque(cancelled, KEPT)
        self.rejects = rejects
        self.errors = errors

    def place(self, now: int) -> None:
        self._placed.append(now)

    def cancel(self, now: int) -> None:
        self._cancelled.append(now)

    def placed(self, rate: Rate, now: int) -> int:
        """How many orders were intended in the stretch that ends now."""
        return _within(self._placed, rate.per, now)

    def cancelled(self, rate: Rate, now: int) -> int:
        return _within(self._cancelled, rate.per, now)

    def cancels(self, rate: Rate, now: int) -> tuple[int, ...]:
        """The moments of those cancels, oldest first."""
        count = self.cancelled(rate, now)
        return tuple(self._cancelled)[-count:] if count else ()


def _within(moments: deque[int], per: int, now: int) -> int:
    """Moments later than `per` before now. What is older for every rate goes."""
    counted = 0
    for moment in reversed(moments):
        if moment <= now - per:
            break
        counted += 1
    return counted
