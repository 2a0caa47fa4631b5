# ruff: noqa: T201, BLE001 - a program of its own, whose output is read by the test beside it
"""Seeds of the simulator, one after the other, until one breaks a law: `python hunt.py SEEDS SECONDS`.

Prints the seed and what was broken, and exits 1; exits 0 when nothing was. Whichever `runner` is first on the path is
hunted in.
"""

import sys
from decimal import Decimal

from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.storm import storm
from strategies.pure_market_making import PureMarketMaking

SETTINGS = Settings(
    name="hunted",
    tag="HUNTED",
    markets=("ROGER-BTC",),
    strategy="pure_market_making",
    params={
        "bid_spread": "25bps",
        "ask_spread": "25bps",
        "order_amount": "500 ROGER",
        "order_levels": 2,
        "order_level_spread": "10bps",
        "order_refresh_time": "5s",
        "order_refresh_tolerance_pct": "2bps",
        "inventory_skew": "2bps",
    },
    tick=TickPolicy(every=SECOND, when=("book", "fill"), at_most_every=SECOND // 4),
    limits=Limits(max_open_orders=8, max_position={"ROGER": Decimal(1500)}),
)


def main(seeds: int, seconds: float) -> int:
    for number in range(seeds):
        severity = "harsh" if number % 3 == 2 else "lawful"
        try:
            verdict = storm(f"hunt {number}", SETTINGS, PureMarketMaking, seconds, severity)
        except Exception as error:  # a mutant may also simply break down
            print(f"seed {number}: {type(error).__name__}: {error}")
            return 1
        if verdict.violations:
            first = verdict.violations[0]
            print(f"seed {number}: {first.law}: {first.name} {first.what}")
            return 1
    print(f"nothing in {seeds} seeds")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
