"""What a tick may see. Numbers are floats (quote per base, base, quote); anything not used costs nothing.

A view is valid during the tick it was made for: it reads the engine's state, which moves on afterwards. It cannot
be written to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from msgspec import Struct

from runner.model.event import PublicTrade
from runner.model.market import Market
from runner.model.order import Fill, Order, OrderState, Side

if TYPE_CHECKING:
    from functools import cached_property
else:

    class cached_property:  # noqa: N801 - it stands in for the one of functools, which takes a lock each time
        """Computed on first use, then an attribute like any other."""

        def __init__(self, compute: Any) -> None:
            self._compute = compute
            self.__doc__ = compute.__doc__

        def __set_name__(self, owner: type, name: str) -> None:
            self._name = name

        def __get__(self, view: Any, owner: type) -> Any:
            value = vars(view)[self._name] = self._compute(view)
            return value


BookState = Literal["empty", "live", "gap"]


class MarketData(Protocol):
    """How the engine reads a market, whoever keeps it: the live book or a tape's kernel. Ticks and lots."""

    @property
    def state(self) -> BookState: ...

    @property
    def reason(self) -> str:
        """Why it is not live; empty while it is."""

    @property
    def changed_at(self) -> int:
        """Engine time (ns) of the last message of the feed that was applied."""

    def best_bid(self) -> tuple[int, int] | None: ...

    def best_ask(self) -> tuple[int, int] | None: ...

    def bids(self, count: int) -> Sequence[tuple[int, int]]:
        """Up to `count` levels (ticks, lots), best first."""

    def asks(self, count: int) -> Sequence[tuple[int, int]]: ...


class BookView:
    """A market's book. Own orders are part of it unless a method says otherwise."""

    __slots__ = ("_data", "_market")

    def __init__(self, data: MarketData, market: Market) -> None:
        object.__setattr__(self, "_data", data)
        object.__setattr__(self, "_market", market)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a view cannot be written to: {name}")

    _data: MarketData
    _market: Market

    @property
    def best_bid(self) -> float | None:
        """Highest bid, quote per base; None when the side is empty or the book is not live."""
        best = self._data.best_bid()
        return None if best is None else self._market.price_float(best[0])

    @property
    def best_ask(self) -> float | None:
        best = self._data.best_ask()
        return None if best is None else self._market.price_float(best[0])

    @property
    def mid(self) -> float | None:
        bid, ask = self._data.best_bid(), self._data.best_ask()
        return None if bid is None or ask is None else self._market.price_float((bid[0] + ask[0]) / 2)

    @property
    def microprice(self) -> float | None:
        """Best prices weighted by the volume on the other side: (Pa·Qb + Pb·Qa) / (Qa + Qb)."""
        bid, ask = self._data.best_bid(), self._data.best_ask()
        if bid is None or ask is None:
            return None
        return self._market.price_float((ask[0] * bid[1] + bid[0] * ask[1]) / (bid[1] + ask[1]))

    def bids(self, count: int) -> list[tuple[float, float]]:
        """Up to `count` levels of (price, quantity), best first."""
        return [self._floats(level) for level in self._data.bids(count)]

    def asks(self, count: int) -> list[tuple[float, float]]:
        return [self._floats(level) for level in self._data.asks(count)]

    def vwap(self, side: Side, quantity: float) -> float | None:
        """Average price at which `side` could trade `quantity` base at once; None if the book is too thin."""
        wanted = self._market.lots_for(quantity)
        if wanted <= 0:
            return None
        levels = self._data.asks(1000) if side is Side.BUY else self._data.bids(1000)
        left, cost = wanted, 0
        for ticks, lots in levels:
            taken = min(left, lots)
            cost += ticks * taken
            left -= taken
            if not left:
                return self._market.price_float(cost / wanted)
        return None

    def _floats(self, level: tuple[int, int]) -> tuple[float, float]:
        return self._market.price_float(level[0]), self._market.quantity_float(level[1])


class Balance(Struct, frozen=True):
    """Of one currency: `available` can be spent, `locked` is held by open orders."""

    available: float
    locked: float


class Position(Struct, frozen=True):
    """What this strategy holds of a market's base. `average_price` is quote per base, None when flat.

    `base` counts own fills net of fees plus the initial position; profits are in quote.
    """

    base: float
    average_price: float | None
    realised: float
    unrealised: float | None


class OwnOrder(Struct, frozen=True):
    """The order in a slot, as far as the runner knows."""

    slot: str
    side: Side
    price: float | None
    quantity: float
    remaining: float
    state: OrderState
    age: int  # ns since the intent


class Trade(Struct, frozen=True):
    """A public trade."""

    price: float
    quantity: float
    taker_side: Side


class OwnFill(Struct, frozen=True):
    slot: str
    side: Side
    price: float
    quantity: float


class MarketFacts(Protocol):
    """The engine's state of one market, as far as a view needs it."""

    @property
    def market(self) -> Market: ...

    @property
    def book(self) -> MarketData: ...

    @property
    def trades(self) -> Sequence[PublicTrade]: ...

    @property
    def heard_at(self) -> int:
        """When the book was last live and its feed proven alive, ns."""

    def orders(self) -> Sequence[Order]: ...

    def fills(self) -> Sequence[tuple[str, Fill]]: ...

    def position(self) -> Position: ...

    def balance(self, currency: str) -> Balance: ...


class View:
    """One market at one moment, and through `of` the others of the file."""

    def __init__(self, time: int, symbol: str, facts: Mapping[str, MarketFacts]) -> None:
        vars(self).update(time=time, symbol=symbol, _facts=facts, _here=facts[symbol])

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a view cannot be written to: {name}")

    time: int
    """Engine time, UTC ns: the only clock there is."""
    symbol: str
    _facts: Mapping[str, MarketFacts]
    _here: MarketFacts

    @property
    def market(self) -> Market:
        """The market's rules: grid, minima, fees."""
        return self._here.market

    @cached_property
    def book(self) -> BookView:
        return BookView(self._here.book, self._here.market)

    @property
    def book_age(self) -> int:
        """Nanoseconds since the feed last proved to be alive; a quiet market's book stays young."""
        return self.time - self._here.heard_at

    @cached_property
    def trades(self) -> tuple[Trade, ...]:
        """Public trades since the last tick, oldest first."""
        market = self._here.market
        return tuple(
            Trade(market.price_float(trade.ticks), market.quantity_float(trade.lots), trade.taker_side)
            for trade in self._here.trades
        )

    @cached_property
    def position(self) -> Position:
        return self._here.position()

    @cached_property
    def base_balance(self) -> Balance:
        return self._here.balance(self._here.market.base)

    @cached_property
    def quote_balance(self) -> Balance:
        return self._here.balance(self._here.market.quote)

    @cached_property
    def orders(self) -> dict[str, OwnOrder]:
        """Own orders that exist or may exist, by slot."""
        market = self._here.market
        return {
            order.slot: OwnOrder(
                order.slot,
                order.side,
                None if order.ticks is None else market.price_float(order.ticks),
                market.quantity_float(order.lots),
                market.quantity_float(order.remaining_lots),
                order.state,
                self.time - order.created,
            )
            for order in self._here.orders()
        }

    def best_of_others(self, side: Side) -> float | None:
        """The best price of a side at which somebody else quotes; None where nobody does.

        Around it a maker that is alone at the touch would not follow its own quotes.
        """
        data = self._here.book
        best = data.best_bid() if side is Side.BUY else data.best_ask()
        if best is None:
            return None
        ours: dict[int | None, int] = {}
        for order in self._here.orders():
            if order.side is side:
                ours[order.ticks] = ours.get(order.ticks, 0) + order.remaining_lots
        if best[0] not in ours:
            return self.market.price_float(best[0])
        count = len(ours) + 1  # an own order can hide one level at most
        for ticks, lots in data.bids(count) if side is Side.BUY else data.asks(count):
            if lots > ours.get(ticks, 0):
                return self.market.price_float(ticks)
        return None

    @cached_property
    def fills(self) -> tuple[OwnFill, ...]:
        """Own fills since the last tick, oldest first."""
        market = self._here.market
        return tuple(
            OwnFill(slot, fill.side, market.price_float(fill.ticks), market.quantity_float(fill.lots))
            for slot, fill in self._here.fills()
        )

    def of(self, symbol: str) -> View:
        """The same moment in another market of the file. Raises KeyError for one that the file does not name."""
        return View(self.time, symbol, self._facts)
