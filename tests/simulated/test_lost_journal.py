"""A lost journal in the middle of trading: the position that the next run works with is the venue's truth."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from climates import MAKER
from msgspec.structs import replace

from runner.model.beginning import Beginning
from runner.model.command import Began
from runner.model.money import MONEY, ZERO
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import World
from runner.simulation.journal import Memory
from runner.simulation.laws import _trade_flow
from runner.simulation.markets import SANDBOX_LISTINGS
from strategies.pure_market_making import PureMarketMaking

SETTINGS = Settings(
    name="position",
    tag="POSITN",
    markets=("ROGER-BTC",),
    strategy="pure_market_making",
    params=MAKER,
    tick=TickPolicy(every=2 * 10**9, when=("fill",)),
    limits=Limits(max_position={"ROGER": Decimal(40_000)}),
)


def traded(world: World) -> dict[str, Decimal]:
    """What all our fills came to, by the exchange's own books."""
    held: dict[str, Decimal] = {}
    for trade in world.venue.exchange.database.trades_of(world.grown.trader.id):
        for order in (trade.maker, trade.taker):
            if (order.client_id or "").startswith(f"R{SETTINGS.tag}"):
                for currency in ("ROGER", "BTC"):
                    held[currency] = MONEY.add(held.get(currency, ZERO), _trade_flow(trade, order.id, currency))
    return held


def lose(world: World, away: float = 130) -> None:
    """The process dies and its journal with it."""

    def gone() -> None:
        world.journal = Memory.begun(world.clock)
        # What the lost run left at work was filled meanwhile, as if somebody still saw to it.
        world.settings = replace(world.settings, take_over=True)
        world.laws.lost_memory({})

    world.replaced = gone
    world.crash(away)


def after_a_loss(seed: str, meanwhile: Callable[[World], None] = lambda _world: None, **settings: object) -> World:
    world = World(seed, replace(SETTINGS, **settings), PureMarketMaking, listings=SANDBOX_LISTINGS[:1])  # type: ignore[arg-type]
    world.run_for(900)
    assert len(world.journal.fills) > 5
    meanwhile(world)
    lose(world)
    world.run_for(130 + 60)
    assert world.up
    return world


def told(world: World) -> list[Beginning]:
    changes = (change for output in world.outputs for change in output.changes)
    return [change.beginning for change in changes if isinstance(change, Began)]


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["one", "two"])
@pytest.mark.parametrize("on_stop", ["cancel", "leave"])
def test_the_position_after_a_lost_journal_is_what_was_traded(seed: str, on_stop: str) -> None:
    def foreign_trades(world: World) -> None:
        world.switch("human_order=buy 700 ROGER-BTC")
        world.switch("deposit=5000 ROGER")

    world = after_a_loss(seed, foreign_trades, on_stop=on_stop)
    assert told(world) == [Beginning("rebuilt")]
    world.run_for(600)
    ledger = world.engine.account.ledger
    assert {currency: ledger.position(currency) for currency in ("ROGER", "BTC")} == traded(world)
    assert set(world.journal.fills) == {
        (trade.id, order.id)
        for trade in world.venue.exchange.database.trades_of(world.grown.trader.id)
        for order in (trade.maker, trade.taker)
        if (order.client_id or "").startswith(f"R{SETTINGS.tag}")
    }
    world.stop()
    world.run_for(60)
    assert world.finish is not None
    assert world.finish.exit_code == 0
    assert not world.laws.violations


@pytest.mark.slow
def test_a_second_start_after_the_loss_knows_it_from_its_journal() -> None:
    world = after_a_loss("again")
    world.crash(5)
    world.run_for(60)
    assert not told(world)
    assert world.engine.account.ledger.position("ROGER") == traded(world)["ROGER"]
    assert world.engine.ticks


@pytest.mark.slow
def test_a_stated_position_goes_on_from_the_word() -> None:
    world = World("word", SETTINGS, PureMarketMaking, listings=SANDBOX_LISTINGS[:1])
    world.run_for(900)
    lose(world)
    world.run_for(100)
    held = {"ROGER": Decimal(9000), "BTC": Decimal("-0.5")}
    world.settings = replace(world.settings, position=held)
    world.venue.run_until(world.now + 31 * SECOND, lambda: world.up)
    before = traded(world)
    world.run_for(400)
    (beginning,) = told(world)
    assert (beginning.how, beginning.position) == ("stated", held)
    for currency, amount in traded(world).items():
        moved = MONEY.subtract(amount, before[currency])
        assert MONEY.subtract(world.engine.account.ledger.position(currency), held[currency]) == moved
