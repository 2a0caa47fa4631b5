"""Pure market making: bids below and asks above the mid price, moved when the market has moved.

The mid price is that of the others: own orders in the book are left out, or a maker who is alone at the touch would
follow its own quotes. Prices are quote per base, quantities base.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from msgspec import Struct

from runner.engine.strategy import Decision, Demand, Field, Refresh, State, Strategy, Trait, Traits
from runner.engine.view import View
from runner.model.market import Market
from runner.model.order import Quote, Side
from runner.model.units import BaseAmount, Duration, Ratio

SHIFT_MAX = 0.5
"""However large the position, skew moves prices by no more than half of mid."""


class Memory(State, frozen=True):
    """The quotes last wanted, and the engine time (ns) at which all of them were last weighed against the market."""

    quotes: tuple[Quote, ...] = ()
    weighed_at: int = 0


class PureMarketMaking(Strategy, frozen=True, kw_only=True):
    """Quote both sides of the mid price and earn the spread.

    All orders are weighed against the market every `order_refresh_time`: if none of their prices is off by more than
    `order_refresh_tolerance_pct`, they stay and keep their place in the queue; otherwise all are quoted anew. A slot
    whose order is gone (filled, or refused) does not wait for that: it is quoted at the next tick, at the prices of
    that moment, and the other orders stay.

    No quote crosses the market: one that would is put a tick behind the best price of the other side, and the levels
    beyond it move with it. Without a mid price (a side on which nobody else quotes, a book with a gap) nothing is
    quoted.
    """

    bid_spread: Annotated[Ratio, Field("How far the first bid is below the mid price", min="0", max="50%", live=True)]
    ask_spread: Annotated[Ratio, Field("How far the first ask is above the mid price", min="0", max="50%", live=True)]
    order_amount: Annotated[BaseAmount, Field("Quantity of each order", min="0.00000001", live=True)]
    order_levels: Annotated[int, Field("Orders on each side", min="1", max="20", live=True)] = 1
    order_level_spread: Annotated[
        Ratio, Field("How much further from mid each level is than the one before", min="0", max="50%", live=True)
    ] = Ratio("1%")
    order_refresh_time: Annotated[
        Duration, Field("How often all orders are weighed against the market", min="1s", max="1d", live=True)
    ] = Duration("30s")
    order_refresh_tolerance_pct: Annotated[
        Ratio, Field("Orders stay while no price is off by more than this part of it", min="0", max="50%", live=True)
    ] = Ratio("0")
    inventory_skew: Annotated[
        Ratio,
        Field(
            "How far all prices move against the position, per order_amount of it: with 0.1% and three order_amounts "
            "bought, bids and asks are 0.3% lower, to sell them off; 0 quotes regardless of the position",
            min="0",
            max="10%",
            live=True,
        ),
    ] = Ratio("0")

    def slots(self) -> Sequence[str]:
        return [f"{side}-{level}" for side in ("bid", "ask") for level in range(1, self.order_levels + 1)]

    def demands(self) -> Sequence[Demand]:
        beyond = (self.order_levels - 1) * self.order_level_spread
        ladder = ("order_amount", "order_levels")
        highest = {Side.BUY: 1 - self.bid_spread, Side.SELL: 1 + self.ask_spread + beyond}
        return [
            Demand(
                side=side,
                orders=self.order_levels,
                quantity=self.order_amount,
                price_max=highest[side],
                every=self.order_refresh_time,
                parameters=ladder,
            )
            for side in Side
        ]

    def initial_state(self) -> Memory:
        return Memory()

    def traits(self) -> Traits:
        return Traits(
            round_trip=Trait(self.bid_spread + self.ask_spread, ("bid_spread", "ask_spread")),
            quantity=Trait(self.order_amount, ("order_amount",)),
            refresh=Refresh(2 * self.order_levels, self.order_refresh_time, ("order_refresh_time", "order_levels")),
        )

    def tick(self, view: View, state: State) -> Decision:
        """Keep what still stands well, quote the rest at the prices of now."""
        assert isinstance(state, Memory)
        bid, ask = view.best_of_others(Side.BUY), view.best_of_others(Side.SELL)
        if bid is None or ask is None:
            return Decision((), Memory(), f"no quotes: no mid price, {_missing(view, bid, ask)}")
        mid = (bid + ask) / 2
        shift = self._shift(view)
        touch = _Touch(bid, ask, mid * (1 - shift))

        slots = self.slots()
        kept = self._kept(view, state, slots)
        weigh = not 0 <= view.time - state.weighed_at < self.order_refresh_time
        fresh: Mapping[str, Quote] = {}
        if weigh or not kept:
            fresh = self._ladder(view.market, touch, {})
            if self._moved(kept, fresh):
                kept = {}
        if 0 < len(kept) < len(slots):
            fresh = self._ladder(view.market, touch, kept)
        quotes = tuple(quote for slot in slots if (quote := kept.get(slot) or fresh.get(slot)))
        memory = Memory(quotes, view.time if weigh or not kept else state.weighed_at)
        return Decision(quotes, memory, self._reason(view.market, mid, shift, kept, quotes))

    def _shift(self, view: View) -> float:
        """The part of mid by which prices are lowered, above zero for a long position."""
        if not self.inventory_skew:
            return 0.0
        shift = self.inventory_skew * view.position.base / self.order_amount
        return max(-SHIFT_MAX, min(SHIFT_MAX, shift))

    def _kept(self, view: View, state: Memory, slots: Sequence[str]) -> dict[str, Quote]:
        """Last tick's quotes that have an order to lose: one without has no place in the queue worth an old price."""
        orders = view.orders
        return {
            quote.slot: quote
            for quote in state.quotes
            # After a change of parameters (or a restart with others) old quotes may have no slot or another quantity.
            if quote.slot in orders and quote.slot in slots and quote.quantity == self.order_amount
        }

    def _moved(self, kept: Mapping[str, Quote], fresh: Mapping[str, Quote]) -> bool:
        """Whether any price is further off than tolerated."""
        for slot, old in kept.items():
            new = fresh.get(slot)
            if new is None or abs(_price(new) - _price(old)) > self.order_refresh_tolerance_pct * _price(old):
                return True
        return False

    def _ladder(self, market: Market, touch: "_Touch", kept: Mapping[str, Quote]) -> dict[str, Quote]:
        """Quotes for all slots at the prices of now, by slot, behind the touch and behind the quotes that are kept."""
        lowest_ask, highest_bid = touch.ask, touch.bid
        for quote in kept.values():
            if quote.side is Side.SELL:
                lowest_ask = min(lowest_ask, _price(quote))
            else:
                highest_bid = max(highest_bid, _price(quote))
        bid = min(
            market.ticks_for(Side.BUY, touch.centre * (1 - self.bid_spread)),
            market.ticks_for(Side.BUY, lowest_ask) - 1,
        )
        ask = max(
            market.ticks_for(Side.SELL, touch.centre * (1 + self.ask_spread)),
            market.ticks_for(Side.SELL, highest_bid) + 1,
            bid + 1,
        )
        step, amount = touch.centre * self.order_level_spread, float(self.order_amount)
        quotes: dict[str, Quote] = {}
        for level in range(self.order_levels):
            for name, side, first in (("bid", Side.BUY, bid), ("ask", Side.SELL, ask)):
                ticks = first
                if level:
                    ticks = market.ticks_for(side, market.price_float(first) - side.sign * level * step)
                if ticks > 0:  # far below mid there may be no price left to bid
                    slot = f"{name}-{level + 1}"
                    quotes[slot] = Quote(slot, side, market.price_float(ticks), amount)
        return quotes

    def _reason(
        self, market: Market, mid: float, shift: float, kept: Mapping[str, Quote], quotes: Sequence[Quote]
    ) -> str:
        new = [quote.slot for quote in quotes if quote.slot not in kept]
        if not new:
            what = f"{len(quotes)} orders kept"
        elif len(new) == len(quotes):
            what = f"{len(quotes)} new quotes"
        else:
            what = f"{', '.join(new)} quoted anew"
        skewed = f", prices moved {-shift:+.3%} by skew" if shift else ""
        left_out = 2 * self.order_levels - len(quotes)
        too_low = f", {left_out} left out below zero" if left_out else ""
        return f"{what}: mid {mid:.{market.price_precision + 1}f}{skewed}{too_low}"


class _Touch(Struct, frozen=True):
    """Best prices of the others, and the price that our quotes are centred on."""

    bid: float
    ask: float
    centre: float


def _missing(view: View, bid: float | None, ask: float | None) -> str:
    if view.book.best_bid is None and view.book.best_ask is None:
        return "the book is empty or has a gap"
    if bid is None and ask is None:
        return "nobody else quotes"
    return "nobody else bids" if bid is None else "nobody else asks"


def _price(quote: Quote) -> float:
    assert quote.price != "market"
    return quote.price
