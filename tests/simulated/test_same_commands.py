"""The same strategy asks for the same orders on the exchange itself and behind that run's own tape, until it is filled:
from there on the real queue and a modelled one may differ."""

from typing import Any

import pytest

from runner.model.command import FillBooked, Place
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import Faults, World
from runner.run.parity import parity
from runner.simulation.heard import tapes
from strategies.pure_market_making import PureMarketMaking

SYMBOL = "ROGER-BTC"
QUOTES = {"bid_spread": "60bps", "ask_spread": "60bps", "order_amount": "300 ROGER", "order_refresh_time": "15s"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["a", "b", "c"])
@pytest.mark.parametrize("levels", [1, 3])
def test_until_the_first_fill_a_backtest_asks_for_the_same_orders(seed: str, levels: int) -> None:
    params: dict[str, Any] = {**QUOTES, "order_levels": levels, "order_level_spread": "10bps"}
    settings = Settings(
        name="same",
        tag="SAMEAA",
        markets=(SYMBOL,),
        strategy="any",
        params=params,
        tick=TickPolicy(every=SECOND),
        limits=Limits(max_open_orders=8),
    )
    one = World(seed, settings, PureMarketMaking, Faults(latency=(0.005, 0.005)))
    one.run_for(120)
    steps = list(zip(one.log, one.outputs, strict=True))
    before = 0
    for _, output in steps:
        if any(isinstance(change, FillBooked) for change in output.changes):
            break
        before += sum(isinstance(command, Place) for command in output.commands)
    found = parity("same", steps, PureMarketMaking, list(tapes(one.log).values()))
    assert before >= 2 * levels
    for rerun in found.reruns:
        assert rerun.divergence is None or rerun.divergence.number >= before, rerun.divergence  # counted from zero
