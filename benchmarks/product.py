"""`python -m benchmarks.product --seeds 500`: runner and sandbox together over a simulated network, many times.

As a benchmark: how many simulated hours pass in a real one, crashes and faults included. As a program: one JSON line
of everything that was seen, and exit 1 if a law did not hold in any of the universes.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from tests.product.many import MINUTES, many

FIGURE_SEEDS = 6


def figures() -> Iterator[dict[str, Any]]:
    totals = many(range(FIGURE_SEEDS), minutes=MINUTES)
    assert not totals.violations, totals.violations
    yield {
        "figure": "product_simulated_hours",
        "value": round(totals.simulated_hours / totals.real_hours),
        "unit": "simulated h/h",
        "per_cpu_hour": round(totals.simulated_hours / totals.cpu_hours),
        "seeds": totals.seeds,
        "crashes": totals.crashes,
        "creates": totals.creates,
        "ambiguous": totals.ambiguous,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.product", description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=7.0)
    chosen = parser.parse_args()
    totals = many(range(chosen.first, chosen.first + chosen.seeds), minutes=chosen.minutes)
    print(totals.line(), flush=True)
    return int(bool(totals.violations))


if __name__ == "__main__":
    sys.exit(main())
