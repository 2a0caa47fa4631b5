"""What happened in simulated runs, counted: sums of many seeds, and what one of them found."""

from collections import Counter
from typing import Any

from msgspec import Struct, field

from runner.model.settings import SECOND
from runner.simulation.laws import Telling, Violation


class Found(Struct, frozen=True):
    """A broken law, the seed that repeats it, and the last that is known of the order."""

    seed: int
    violation: Violation
    story: tuple[Telling, ...] = ()


class Tally(Struct):
    """Sums. `doubts`: creates without a clear answer, by what became of them."""

    seeds: int = 0
    simulated: int = 0  # ns
    orders: int = 0
    fills: int = 0
    extras: int = 0  # rows at the venue that were not by our doing: copies of a proxy, requests later than D
    crashes: int = 0
    starts: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    doubts: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    found: list[Found] = []
    digests: dict[int, str] = {}

    @property
    def hours(self) -> float:
        return self.simulated / (3600 * SECOND)

    @property
    def recoveries(self) -> int:
        """How often a process began where another had left something."""
        return self.starts - self.seeds

    def add(self, other: "Tally") -> None:
        self.seeds += other.seeds
        self.simulated += other.simulated
        self.orders += other.orders
        self.fills += other.fills
        self.extras += other.extras
        self.crashes += other.crashes
        self.starts += other.starts
        self.faults.update(other.faults)
        self.doubts.update(other.doubts)
        self.exits.update(other.exits)
        self.found += other.found
        self.digests |= other.digests

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.seeds} seeds, {self.hours:.1f} simulated hours, {self.crashes} crashes, "
            f"{self.doubts.total()} ambiguous creates, {self.faults.total()} faults, {self.orders} orders, "
            f"{self.fills} fills, violations {len(self.found)}"
        )

    def facts(self) -> dict[str, Any]:
        """For programs; keys are stable."""
        return {
            "seeds": self.seeds,
            "simulated_hours": round(self.hours, 3),
            "orders": self.orders,
            "fills": self.fills,
            "extra_orders": self.extras,
            "crashes": self.crashes,
            "recoveries": self.recoveries,
            "faults": dict(sorted(self.faults.items())),
            "ambiguous_creates": dict(sorted(self.doubts.items())),
            "exits": {str(code): count for code, count in sorted(self.exits.items())},
            "violations": [
                {
                    "seed": found.seed,
                    "law": found.violation.law,
                    "time": found.violation.time,
                    "client_id": found.violation.order,
                    "expected": found.violation.expected,
                    "found": found.violation.found,
                    "story": [{"time": told.time, "what": told.text} for told in found.story],
                }
                for found in self.found
            ],
            "digests": {str(seed): digest for seed, digest in self.digests.items()},
        }
