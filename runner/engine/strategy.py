"""The plugin API: what a strategy is. A tick is a pure method of parameters, view and state.

    class Spread(Strategy, frozen=True):
        '''Quote both sides of the mid price.'''
        half_spread: Annotated[Ratio, Field("of mid", min="0", max="20%")]
        quantity: Annotated[BaseAmount, Field("of each order")]

        def slots(self) -> Sequence[str]: return ("bid", "ask")
        def tick(self, view: View, state: State) -> Decision: ...

A tick has no clock, randomness, I/O or globals: time is `view.time`, memory is the state it returns. What follows
from the parameters alone a strategy may say in `traits`, and the check warns of what is dangerous in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from runner.model.order import Quote, Side
from runner.model.parameters import Field as Field  # a part of the plugin API; what reads it is in model

if TYPE_CHECKING:
    from runner.engine.view import View


class State(Struct, frozen=True):
    """A strategy's memory from tick to tick. Subclass it with fields that turn into JSON; this one is empty."""


class Demand(Struct, frozen=True, kw_only=True):
    """Orders that a strategy may want at once on one side of a market: at most so many, each of at most `quantity`.

    `price_max` is the highest price any of them has before the first fill, as a part of the mid price, and `every` the
    shortest time (ns) in which all of them are replaced; None where the parameters do not say. `market` None is the
    file's first one. `parameters` are those that it follows from.
    """

    side: Side
    orders: int
    quantity: float
    price_max: float | None = None
    every: int | None = None
    market: str | None = None
    parameters: tuple[str, ...] = ()


class Decision(Struct, frozen=True):
    """The orders that should exist now, the next state, and why, in a few words with numbers."""

    quotes: Sequence[Quote]
    state: State
    reason: str


class Trait(Struct, frozen=True):
    """A number that follows from parameters, and which: a warning about it points there."""

    value: float
    parameters: tuple[str, ...]


class Refresh(Struct, frozen=True):
    """At worst so many orders are replaced at once, every so many nanoseconds."""

    orders: int
    every: int
    parameters: tuple[str, ...]


class Traits(Struct, frozen=True, kw_only=True):
    """What a strategy's parameters say about how it trades, whatever the market does. None: they do not say.

    `round_trip` is the least that buying and selling again earns before fees, as a part of the price; `quantity` is
    that of the smallest order (base).
    """

    round_trip: Trait | None = None
    quantity: Trait | None = None
    refresh: Refresh | None = None


class Strategy(Struct, frozen=True, kw_only=True):
    """Parameters of a strategy as fields; `tick` is the strategy."""

    def slots(self) -> Sequence[str]:
        """Every slot that any tick may ever use: `[a-z0-9-]{1,12}`, fixed by the parameters."""
        raise NotImplementedError

    def demands(self) -> Sequence[Demand] | None:
        """All that may exist at once, whatever the market does: a file whose limits have no room for it is refused.
        None does not say, and then every order is judged only when it is wanted."""
        return None

    def initial_state(self) -> State:
        return State()

    def traits(self) -> Traits:
        return Traits()

    def tick(self, view: View, state: State) -> Decision:
        raise NotImplementedError
