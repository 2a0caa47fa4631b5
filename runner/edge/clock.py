"""The one clock of a run: UTC nanoseconds that never decrease, and the venue's clock beside it.

The wall clock is read once, at the start; from then on monotonic time is added to it. So a corrected or jumping
system clock moves nothing here: the difference to the venue is kept as an offset, which is measured again and again.
Monotonic time comes from the event loop, hence trio's `MockClock` drives this one too.
"""

import math
import time

import anyio

from runner.model.settings import MILLISECOND, SECOND


class Clock:
    """Made inside an event loop. `wall_start` is UTC ns at this moment, by default the system's.

    `offset_ns` is the venue's clock minus ours; whoever measures it sets it.
    """

    def __init__(self, wall_start: int | None = None) -> None:
        self._wall_start = time.time_ns() if wall_start is None else wall_start
        self._loop_start = anyio.current_time()
        self._latest = self._wall_start
        self.offset_ns = 0

    def now(self) -> int:
        """UTC ns. Two readings may be equal; a later one is never smaller."""
        elapsed = round((anyio.current_time() - self._loop_start) * SECOND)
        self._latest = max(self._latest, self._wall_start + elapsed)
        return self._latest

    def venue_ms(self) -> int:
        """The venue's clock as far as we know it, in whole milliseconds: what a nonce is made of."""
        return (self.now() + self.offset_ns) // MILLISECOND

    def deadline(self, ns: int) -> float:
        """The event loop's time at which this clock reads `ns`: for anyio's deadlines."""
        if ns <= self.now():
            return -math.inf  # a float of loop time cannot hold every nanosecond: due is due
        return self._loop_start + (ns - self._wall_start) / SECOND

    async def sleep_until(self, ns: int) -> None:
        """Wait until this clock reads at least `ns`. Always gives other tasks a turn, even if that was long ago."""
        await anyio.sleep(0)
        while (left := ns - self.now()) > 0:
            await anyio.sleep(left / SECOND)
