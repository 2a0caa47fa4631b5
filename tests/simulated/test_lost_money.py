"""Money that the exchange loses or invents, in the middle of everything that moves an account for good reasons."""

from decimal import Decimal
from typing import Any

import pytest
from test_lost_journal import SETTINGS

from runner.model.command import ListTransfers
from runner.run.chaos.world import World
from runner.simulation.markets import SANDBOX_LISTINGS
from strategies.pure_market_making import PureMarketMaking

MOVES = (
    "deposit=5000 ROGER",
    "human_order=buy 700 ROGER-BTC",
    "self_trade",
    "deposit=-0.001 BTC",
    "fees=0.001/0.003",
    "human_order=sell 900 ROGER-BTC",
)


def busy(seed: str) -> World:
    world = World(seed, SETTINGS, PureMarketMaking, listings=SANDBOX_LISTINGS[:1])
    world.run_for(150)
    for move in MOVES:
        world.switch(move)
        world.run_for(75)
    return world


def alarms(world: World) -> list[dict[str, Any]]:
    return [note.facts for output in world.outputs for note in output.notes if note.what == "account.drift"]


@pytest.mark.slow
def test_deposits_others_trades_and_new_fees_are_no_drift_and_what_is_lost_is() -> None:
    world = busy("drift")
    world.run_for(400)
    assert len(world.journal.fills) > 50
    assert any(isinstance(command, ListTransfers) for output in world.outputs for command in output.commands)
    assert not world.engine.account.drift
    world.venue.exchange.deposit(world.grown.trader.id, "ROGER", Decimal(-3))  # and no list shows it
    world.run_for(600)
    assert world.engine.account.drift == {"ROGER": Decimal(-3)}
    (facts,) = alarms(world)
    assert (facts["currency"], facts["amount"]) == ("ROGER", "-3")
    world.venue.exchange.deposit(world.grown.trader.id, "BTC", Decimal("0.0001"))
    world.run_for(600)
    assert world.engine.account.drift == {"ROGER": Decimal(-3), "BTC": Decimal("0.0001")}


@pytest.mark.slow
def test_in_a_calm_hour_nothing_more_is_asked_for() -> None:
    world = World("calm drift", SETTINGS, PureMarketMaking, listings=SANDBOX_LISTINGS[:1])
    world.run_for(900)
    assert not any(isinstance(command, ListTransfers) for output in world.outputs for command in output.commands)
