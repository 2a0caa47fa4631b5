"""What a bundled strategy says it may want at once, beside what it then wants on the simulated exchange."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.engine.strategy import Demand
from runner.model.event import Accepted
from runner.model.order import Side
from runner.model.parameters import build
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import Faults, World
from strategies.avellaneda_stoikov import AvellanedaStoikov
from strategies.pure_market_making import PureMarketMaking


def run_of(params: dict[str, object], limits: Limits = Limits(), seconds: float = 20) -> World:  # noqa: B008
    first = Settings(
        name="demands",
        tag="DEMAND",
        markets=("ROGER-BTC",),
        strategy="pure_market_making",
        params=params,
        tick=TickPolicy(every=SECOND),
        limits=limits,
    )
    world = World("demands", first, PureMarketMaking, Faults(latency=(0.01, 0.01)))
    world.run_for(seconds)
    return world


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    levels=st.integers(1, 4),
    amount=st.integers(100, 2000),
    spread=st.sampled_from(["20bps", "1%", "10%"]),
    step=st.sampled_from(["0", "10bps", "5%"]),
)
def test_no_moment_has_more_than_it_said(levels: int, amount: int, spread: str, step: str) -> None:
    params = {
        "bid_spread": spread,
        "ask_spread": spread,
        "order_amount": f"{amount} ROGER",
        "order_levels": levels,
        "order_level_spread": step,
        "order_refresh_time": "2s",
    }
    world = run_of(params)
    strategy = world.engine.strategy
    assert isinstance(strategy, PureMarketMaking)
    said: dict[Side, Demand] = {demand.side: demand for demand in strategy.demands()}
    market = world.markets["ROGER-BTC"]
    feed = world.engine.feeds.by_symbol["ROGER-BTC"]
    bid, ask = feed.book.best_bid(), feed.book.best_ask()
    assert bid is not None
    assert ask is not None
    for target in world.engine.wanted.values():
        demand = said[target.side]
        assert market.quantity(target.lots) <= demand.quantity
        if not world.engine.account.ledger.position("ROGER"):
            assert demand.price_max is not None
            assert target.ticks is not None
            # The mid has moved since it was quoted, by less than a spread of that market.
            assert target.ticks <= demand.price_max * (bid[0] + ask[0]) / 2 * 1.01 + 1
    for side in Side:
        wanted = [target for target in world.engine.wanted.values() if target.side is side]
        assert len(wanted) <= said[side].orders == levels
    assert any(isinstance(event.what, Accepted) for event in world.log)


@given(levels=st.integers(1, 20))
def test_avellaneda_says_as_many_orders_as_it_has_slots(levels: int) -> None:
    params = {"variant": "stationary", "risk_factor": "0.5", "order_amount": "700 ROGER", "order_levels": levels}
    strategy = build(AvellanedaStoikov, params)
    said = {demand.side: demand.orders for demand in strategy.demands()}
    assert said == {side: sum(slot.startswith(name) for slot in strategy.slots()) for side, name in NAMES.items()}
    assert {demand.quantity for demand in strategy.demands()} == {700}


NAMES = {Side.BUY: "bid", Side.SELL: "ask"}
