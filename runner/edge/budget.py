"""Requests we may send: so many in any stretch of time, as the venue counts them (wire reference 8).

A bucket remembers when its last requests went out, so the bound is exact: no stretch of `per_ns`, wherever it
begins, ever holds more than `requests` of them. All times are UTC nanoseconds of the run's clock.
"""

from collections import deque
from collections.abc import Iterable

from runner.edge.clock import Clock
from runner.model.settings import SECOND


class Bucket:
    """At most `requests` in any closed interval of `per_ns`."""

    def __init__(
        self, requests: int = 30, per_ns: int = 12 * SECOND, *, taken: Iterable[int] = (), held_until: int = 0
    ) -> None:
        """`taken`: times of earlier requests that may still count, oldest first."""
        if requests < 1 or per_ns < 1:
            raise ValueError(f"a budget of {requests} requests in {per_ns} ns never lets one out")
        self._requests = requests
        self._per_ns = per_ns
        self._taken = deque(taken)  # times of the requests that still count, oldest first
        self._held_until = held_until

    def free(self, now: int) -> int:
        """How many requests may be sent now."""
        self._forget(now)
        return 0 if now < self._held_until else self._requests - len(self._taken)

    def take(self, now: int, reserve: int = 0) -> bool:
        """Use one request if more than `reserve` are free; say whether that was so."""
        if self.free(now) <= reserve:
            return False
        self._taken.append(now)
        return True

    def refill_at(self, now: int) -> int:
        """When `free` will next be more than it is now; `now` if nothing is out and nothing holds us."""
        free = self.free(now)
        if now < self._held_until:
            still_taken = sum(taken + self._per_ns >= self._held_until for taken in self._taken)
            if still_taken < self._requests:
                return self._held_until
            return self._taken[0] + self._per_ns + 1
        return now if free == self._requests else self._taken[0] + self._per_ns + 1

    def hold_until(self, ns: int) -> None:
        """Send nothing before `ns`: the venue said so (`Retry-After`). A shorter hold never ends a longer one."""
        self._held_until = max(self._held_until, ns)

    async def wait(self, clock: Clock, reserve: int = 0) -> None:
        """Take one as soon as more than `reserve` are free. For what may wait: cancels and look-ups, never a place."""
        while not self.take(now := clock.now(), reserve):
            await clock.sleep_until(self.refill_at(now))

    def close(self) -> None:
        """Give back what it holds of the machine; a bucket of our own holds nothing."""

    def _forget(self, now: int) -> None:
        while self._taken and self._taken[0] + self._per_ns < now:
            self._taken.popleft()
