"""What is played in the tests of the simulator: strategies that use every way of wanting orders."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from runner.engine.strategy import Decision, Field, State, Strategy
from runner.engine.view import View
from runner.model.order import Quote, Side
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.play import Plan
from runner.simulation.markets import SANDBOX_LISTINGS
from strategies.pure_market_making import PureMarketMaking

MINUTE = 60 * SECOND
MAKER = {
    "bid_spread": "8bps",
    "ask_spread": "8bps",
    "order_amount": "500 ROGER",
    "order_levels": 2,
    "order_level_spread": "10bps",
    "order_refresh_time": "5s",
    "order_refresh_tolerance_pct": "2bps",
    "inventory_skew": "2bps",
}


class Count(State, frozen=True):
    ticks: int = 0


class Churn(Strategy, frozen=True):
    """Another price at every tick: as many creates and cancels as the budget allows."""

    away: Annotated[float, Field("part of mid", min="0", max="0.1", live=True)] = 0.0005

    def slots(self) -> Sequence[str]:
        return ("bid", "ask")

    def initial_state(self) -> State:
        return Count()

    def tick(self, view: View, state: State) -> Decision:
        assert isinstance(state, Count)
        mid = view.book.mid
        if mid is None:
            return Decision((), state, "no mid")
        away = self.away * (1 + state.ticks % 3)
        quotes = (Quote("bid", Side.BUY, mid * (1 - away), 400), Quote("ask", Side.SELL, mid * (1 + away), 400))
        return Decision(quotes, Count(state.ticks + 1), f"tick {state.ticks}")


class Slices(Strategy, frozen=True):
    """A parent order worked by two resting slices, and market orders that are used once each."""

    total: Annotated[float, Field("base", min="1", max="1000000")] = 6000

    def slots(self) -> Sequence[str]:
        return ("near", "far", *(f"once-{number}" for number in range(6)))

    def initial_state(self) -> State:
        return Count()

    def tick(self, view: View, state: State) -> Decision:
        assert isinstance(state, Count)
        mid = view.book.mid
        if mid is None:
            return Decision((), state, "no mid")
        parent = ("whole", self.total)
        quotes = [
            Quote("near", Side.BUY, mid * 0.9996, 700, parent=parent),
            Quote("far", Side.BUY, mid * 0.9985, 900, parent=parent),
        ]
        used = min(6, 1 + state.ticks // 60)
        quotes += [Quote(f"once-{number}", Side.SELL, "market", 250, repeat=False) for number in range(used)]
        return Decision(tuple(quotes), Count(state.ticks + 1), f"{used} at market")


def plan(number: int, minutes: float, without: Sequence[str] = ()) -> Plan:
    """One of the plans, in turn."""
    strategy: type[Strategy] = (PureMarketMaking, Churn, PureMarketMaking, Slices)[number % 4]
    settings = Settings(
        name="chaos",
        tag="CHAOSA",
        markets=("ROGER-BTC",),
        strategy=strategy.__name__.lower(),
        params=MAKER if strategy is PureMarketMaking else {},
        tick=TickPolicy(every=SECOND, when=("book", "fill"), at_most_every=SECOND // 4),
        limits=Limits(max_open_orders=8, max_position={"ROGER": Decimal(4000)}),
        on_stop={2: "leave", 6: "cancel_opening"}.get(number % 8, "cancel"),  # type: ignore[arg-type]
        exclusive=number % 3 == 1,
    )
    return Plan(settings, strategy, SANDBOX_LISTINGS[:1], int(minutes * MINUTE), tuple(without))
