"""Explore a small world of your own: `python -m tests.explorer --steps 4 --fault crash --fills 1`.

Prints how many states there are, or the shortest way into one where a law does not hold (exit code 1).
"""

import argparse
import sys
import time

from .explorer import explore
from .small_world import FAULTS, BothSides, Bounds, SmallWorld, TwoBids, W
from .small_world import Bid as OneBid

STRATEGIES = {"one-bid": OneBid, "two-bids": TwoBids, "both-sides": BothSides}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.explorer", description=__doc__)
    parser.add_argument("--strategy", choices=STRATEGIES, default="one-bid")
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS), default=[], help="may be given repeatedly")
    parser.add_argument("--faults", type=int, default=1, help="how many faults may happen, all kinds together")
    for name, default, what in (
        ("steps", 4, "of 5 s each"),
        ("creates", 1, "at most"),
        ("fills", 0, "whole or partial"),
        ("moves", 0, "of the market, and with it of what is wanted"),
        ("stops", 1, "requested"),
        ("slow", 0, "steps that creates may hang in flight"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} (default {default})")
    parser.add_argument("--settle", type=int, default=1, help="D in steps (default 1)")
    parser.add_argument("--max-position", type=int, help="in lots; an order has two")
    parser.add_argument("--leave", action="store_true", help="on_stop: leave")
    parser.add_argument("--most", type=int, help="stop after so many states")
    asked = parser.parse_args()
    bounds = Bounds(
        strategy=STRATEGIES[asked.strategy],
        creates=asked.creates,
        steps=asked.steps,
        faults=asked.faults,
        kinds=frozenset(asked.fault),
        fills=asked.fills,
        moves=asked.moves,
        stops=asked.stops,
        slow=asked.slow,
        settle=asked.settle * W,
        max_position=asked.max_position,
        on_stop="leave" if asked.leave else "cancel",
    )
    began = time.monotonic()
    report = explore(lambda: SmallWorld(bounds), asked.most)
    sys.stdout.write(f"{report}\n{time.monotonic() - began:.1f} s\n")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
