"""Chance with a seed: a generator (splitmix64) whose whole state is one integer.

Only integer arithmetic, comparison, sums and products are used, so a seed throws the same on every platform; the
logarithms and cosines of the usual recipes differ in the last digit from one C library to the next.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from msgspec import Struct

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def seed_bytes(count: int, *parts: str | int) -> bytes:
    """Bytes that depend on every part, in order."""
    text = "\0".join(str(part) for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=count).digest()


def seed_state(*parts: str | int) -> int:
    """A state for dice, of 64 bits, that depends on every part, in order."""
    return int.from_bytes(seed_bytes(8, *parts), "big")


class Dice(Struct):
    """Throws change `state`; a copy throws the same sequence again."""

    state: int

    def bits(self) -> int:
        """64 random bits."""
        self.state = z = (self.state + _GOLDEN) & _MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def uniform(self) -> float:
        """Evenly from [0, 1), 53 bits."""
        return (self.bits() >> 11) * 2.0**-53

    def below(self, count: int) -> int:
        """Evenly from 0 to `count` - 1; a bias of at most `count` / 2^64 is accepted."""
        return (self.bits() * count) >> 64

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.uniform()

    def choice(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def exponential(self) -> float:
        """Waiting time of mean 1, by von Neumann's method: comparisons of uniform throws only."""
        whole = 0
        while True:
            first = last = self.uniform()
            run = 1
            while (throw := self.uniform()) < last:
                last = throw
                run += 1
            if run % 2:
                return whole + first
            whole += 1

    def bell(self) -> float:
        """About normal, mean 0 and deviation 1, never beyond 6: a sum of twelve uniform throws."""
        # Summed as integers: how floats are summed differs between Python versions.
        return sum([self.bits() >> 11 for _ in range(12)]) * 2.0**-53 - 6.0
