"""How fast simulated time passes in the fault simulator: hours of the whole thing in an hour of one core.

The bundled market maker on the simulated exchange, in the weather of a few seeds; laws, replay and all.
"""

from collections.abc import Iterator
from decimal import Decimal
from time import process_time
from typing import Any

from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.play import Plan, play
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.tally import Tally
from strategies.pure_market_making import PureMarketMaking

SEEDS = range(1, 9)
MINUTES = 10
PACE = 300


def figures() -> Iterator[dict[str, Any]]:
    plan = Plan(
        Settings(
            name="benchmark",
            tag="BENCHA",
            markets=("ROGER-BTC",),
            strategy="pure_market_making",
            params={
                "bid_spread": "8bps",
                "ask_spread": "8bps",
                "order_amount": "500 ROGER",
                "order_levels": 2,
                "order_level_spread": "10bps",
                "order_refresh_time": "5s",
                "order_refresh_tolerance_pct": "2bps",
            },
            tick=TickPolicy(every=SECOND, when=("book", "fill"), at_most_every=SECOND // 4),
            limits=Limits(max_open_orders=8, max_position={"ROGER": Decimal(4000)}),
        ),
        PureMarketMaking,
        SANDBOX_LISTINGS[:1],
        MINUTES * 60 * SECOND,
    )
    tally, began = Tally(), process_time()
    for seed in SEEDS:
        tally.add(play(seed, plan).tally)
    yield {
        "figure": "chaos_pace",
        "unit": "simulated s/s",
        "value": round(tally.hours / (process_time() - began) * 3600),
        "budget": PACE,
        "orders": tally.orders,
        "violations": len(tally.found),
    }
