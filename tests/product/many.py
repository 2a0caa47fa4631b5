"""Many universes, and one line of what was seen in them."""

import json
import time
from collections.abc import Iterable

from msgspec import Struct, field, to_builtins

from tests.product.universe import folder, universe

SEEDS = 40
MINUTES = 4.0
"""What the suite runs: about three simulated hours in a minute or two."""


class Totals(Struct):
    """Sums over universes. `violations` by seed: such a seed becomes a test of its own."""

    seeds: int = 0
    simulated_hours: float = 0.0
    real_hours: float = 0.0
    cpu_hours: float = 0.0
    lives: int = 0
    crashes: int = 0
    creates: int = 0
    ambiguous: int = 0
    fills: int = 0
    exchange_faults: int = 0
    network_faults: int = 0
    exits: dict[int, int] = field(default_factory=dict)
    violations: dict[str, list[str]] = field(default_factory=dict)

    def line(self) -> str:
        hours = {"simulated_hours": round(self.simulated_hours, 2), "real_hours": round(self.real_hours, 4)}
        hours["cpu_hours"] = round(self.cpu_hours, 4)
        return json.dumps(to_builtins(self, str_keys=True) | hours)


def many(seeds: Iterable[int], *, minutes: float) -> Totals:
    totals = Totals()
    began, worked = time.monotonic(), time.process_time()
    for seed in seeds:
        with folder() as fresh:
            outcome = universe(str(seed), fresh, minutes=minutes)
        totals.seeds += 1
        totals.simulated_hours += outcome.simulated_s / 3600
        for name in ("lives", "crashes", "creates", "ambiguous", "fills", "exchange_faults", "network_faults"):
            setattr(totals, name, getattr(totals, name) + getattr(outcome, name))
        for code in outcome.exits:
            totals.exits[code] = totals.exits.get(code, 0) + 1
        if outcome.violations:
            totals.violations[outcome.seed] = outcome.violations
    totals.real_hours = (time.monotonic() - began) / 3600
    totals.cpu_hours = (time.process_time() - worked) / 3600
    return totals
