"""A strategy that asks for whatever its parameters say, and declares nothing: what a limit lets pass is then seen."""

from collections.abc import Sequence
from typing import Annotated

from runner.engine.strategy import Decision, Field, State, Strategy
from runner.engine.view import View
from runner.model.order import Quote, Side
from runner.model.units import BaseAmount, Ratio


class Count(State, frozen=True):
    ticks: int = 0


class Probe(Strategy, frozen=True):
    """A bid and an ask, `away` from mid; from tick `after` on; another price at each tick if it `moves`."""

    quantity: Annotated[BaseAmount, Field("of each order")] = BaseAmount("500 ROGER")
    away: Annotated[Ratio, Field("of mid; below zero they cross each other", min="-5%", max="20%")] = Ratio("5%")
    moves: Annotated[bool, Field("another price at every tick")] = False
    after: Annotated[int, Field("ticks without an order at first", min="0", max="1000")] = 0

    def slots(self) -> Sequence[str]:
        return ("bid", "ask")

    def initial_state(self) -> State:
        return Count()

    def tick(self, view: View, state: State) -> Decision:
        assert isinstance(state, Count)
        mid, following = view.book.mid, Count(state.ticks + 1)
        if mid is None or state.ticks < self.after:
            return Decision((), following, "not yet")
        away = self.away + (0.002 * (state.ticks % 3) if self.moves else 0)
        quotes = (
            Quote("bid", Side.BUY, mid * (1 - away), self.quantity),
            Quote("ask", Side.SELL, mid * (1 + away), self.quantity),
        )
        return Decision(quotes if self.moves or not view.orders else tuple(_stay(view)), following, f"mid {mid}")


def _stay(view: View) -> list[Quote]:
    """What is there, as it is, so that nothing is repriced."""
    wanted = []
    for slot, order in view.orders.items():
        if order.price is not None:
            wanted.append(Quote(slot, order.side, order.price, order.quantity))
    return wanted
