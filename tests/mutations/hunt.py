# ruff: noqa: T201 - a program of its own, whose output is read by the test beside it
"""Seeds of the simulator, one after the other, until one breaks a law: `python hunt.py SEEDS SECONDS`.

Prints the seed and what was broken, and exits 1; exits 0 when nothing was. Whichever `runner` is first on the path is
hunted in.
"""

import sys
from decimal import Decimal

from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.play import Plan, play
from runner.simulation.markets import SANDBOX_LISTINGS
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


def plan(seconds: float) -> Plan:
    listings = tuple(each for each in SANDBOX_LISTINGS if each.market.symbol in SETTINGS.markets)
    return Plan(SETTINGS, PureMarketMaking, listings, int(seconds * SECOND))


def main(seeds: int, seconds: float) -> int:
    for seed in range(seeds):
        found = play(seed, plan(seconds)).tally.found
        if found:
            print(f"seed {seed}: {found[0].violation}")
            return 1
    print(f"nothing in {seeds} seeds")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
