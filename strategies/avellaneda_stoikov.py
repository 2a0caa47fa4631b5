"""Avellaneda and Stoikov's market maker: its quotes from the market's own volatility and the reach of its takers.

Prices and distances are in ticks, times in ns, quantities in base, unless a name says otherwise. The mid price is that
of the others: a maker that is alone at the touch would otherwise learn from its own quotes.

Source: M. Avellaneda, S. Stoikov, High-frequency trading in a limit order book, Quantitative Finance 8 (2008), sections
2.3 and 3.2; the variant is that of Hummingbot's avellaneda_market_making, on which many files were tuned.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from msgspec import Struct, structs

from runner.engine.strategy import Decision, Demand, Field, Refresh, State, Strategy, Trait, Traits
from runner.engine.view import View
from runner.model.market import Market
from runner.model.order import Quote, Side
from runner.model.units import BaseAmount, Duration, Ratio

SECOND = 10**9
SAMPLE_EVERY = SECOND
GAP = 60 * SECOND
"""What happened in a longer pause is not the volatility of one sample: the strategy learns anew."""

NEAR = 0.1
"""Depths that fewer than this part of the orders reach say little, and are left out of the fit."""


RESIZE = 0.1
"""The inventory changes quantities a little with every fill; only a larger part is worth a place in the queue."""

FAR = 10
"""Nobody takes an ask at so many times the mid price, and beyond some price the venue takes none."""


class Memory(State, frozen=True):
    """What was learnt, oldest first, and the quotes last wanted. Times are engine time, 0 before the first.

    `mid` is the last mid price in half ticks, `moves` are its changes from sample to sample, (half ticks, ns), and
    `depths` are distances from mid that takers' orders reached.
    """

    began: int = 0
    mid: int = 0
    sample: int = 0
    sampled_at: int = 0
    moves: tuple[tuple[int, int], ...] = ()
    depths: tuple[float, ...] = ()
    quotes: tuple[Quote, ...] = ()
    weighed_at: int = 0


class Learnt(Struct, frozen=True):
    """`variance` in ticks² a second, `volatility` in ticks from sample to sample, `decay` (κ) in 1/ticks."""

    variance: float
    volatility: float
    decay: float


class AvellanedaStoikov(Strategy, frozen=True, kw_only=True):
    """Quote around a reservation price that leans against the inventory, as wide as volatility and takers ask for.

    `hummingbot` is that bot's form of it: inventory is the part by which the base currency's share of the account is
    above its target, volatility enters once, and prices are in the quote currency, so that its files keep their sense.

    `finite_horizon` and `stationary` are the forms of the paper with the position of this strategy as inventory,
    counted in order_amounts, and prices counted in ticks: `risk_factor` is per tick and order_amount. A finite horizon
    begins anew when it is over. The stationary form stops buying at `max_inventory`.

    Nothing is quoted before both buffers are full: prices are sampled once a second, and each taker's order that is
    seen in the public trades counts by how far from mid it reached.
    """

    variant: Annotated[
        Literal["hummingbot", "finite_horizon", "stationary"], Field("Which form of the quotes: see above")
    ]
    risk_factor: Annotated[
        float,
        Field(
            "Aversion to inventory, γ: with more of it the quotes lean further",
            min="0.000001",
            max="1000000",
            live=True,
        ),
    ]
    order_amount: Annotated[BaseAmount, Field("Quantity of each order", min="0.00000001", live=True)]
    min_spread: Annotated[
        Ratio, Field("Least distance of bid and ask, as a part of mid", min="0", max="50%", live=True)
    ] = Ratio("0")
    order_amount_shape_factor: Annotated[
        float,
        Field("How orders that add to the inventory shrink with it: by exp(-η q)", min="0", max="1", live=True),
    ] = 0.0
    inventory_target_base_pct: Annotated[
        Ratio, Field("For `hummingbot`: the share of the account that base shall be", min="0", max="100%", live=True)
    ] = Ratio("50%")
    horizon: Annotated[
        Duration | None, Field("T: with it the lean fades to nothing towards the end of each", min="1s", max="30d")
    ] = None
    max_inventory: Annotated[
        int, Field("For `stationary`: order_amounts at which buying stops", min="1", max="1000", live=True)
    ] = 10
    order_levels: Annotated[int, Field("Orders on each side", min="1", max="20")] = 1
    level_distances: Annotated[
        Ratio, Field("Distance of the levels, as a part of half the optimal spread", min="0", max="1000%", live=True)
    ] = Ratio("0")
    order_optimization_enabled: Annotated[
        bool, Field("No order is better than a tick before the best of the others", live=True)
    ] = True
    order_refresh_time: Annotated[
        Duration, Field("How often all orders are weighed against the market", min="1s", max="1d", live=True)
    ] = Duration("30s")
    order_refresh_tolerance_pct: Annotated[
        Ratio, Field("Orders stay while no price is off by more than this part of it", min="0", max="50%", live=True)
    ] = Ratio("0")
    volatility_buffer_size: Annotated[int, Field("Prices that volatility is taken from", min="2", max="2000")] = 200
    trading_intensity_buffer_size: Annotated[
        int, Field("Takers' orders that the decay of their number with distance, κ, is taken from", min="2", max="2000")
    ] = 200

    def __post_init__(self) -> None:
        if self.variant == "finite_horizon" and self.horizon is None:
            raise ValueError("variant: finite_horizon needs a horizon")
        if self.variant == "stationary" and self.horizon is not None:
            raise ValueError("variant: stationary has no horizon")

    def slots(self) -> Sequence[str]:
        return [f"{side}-{level}" for side in ("bid", "ask") for level in range(1, self.order_levels + 1)]

    def demands(self) -> Sequence[Demand]:
        """Prices follow from the market alone, so nothing bounds them here."""
        return [
            Demand(
                side=side,
                orders=self.order_levels,
                quantity=self.order_amount,
                every=self.order_refresh_time,
                parameters=("order_amount", "order_levels"),
            )
            for side in Side
        ]

    def initial_state(self) -> Memory:
        return Memory()

    def traits(self) -> Traits:
        return Traits(
            round_trip=Trait(self.min_spread, ("min_spread",)),
            quantity=Trait(self.order_amount, ("order_amount",)),
            refresh=Refresh(2 * self.order_levels, self.order_refresh_time, ("order_refresh_time", "order_levels")),
        )

    def tick(self, view: View, state: State) -> Decision:
        """Learn from what happened; then keep what still stands well, and quote the rest at the prices of now."""
        assert isinstance(state, Memory)
        bid, ask = view.best_of_others(Side.BUY), view.best_of_others(Side.SELL)
        if bid is None or ask is None:
            return _nothing(state, "a side on which nobody else quotes")
        touch = Touch(view.market.ticks_for(Side.BUY, bid), view.market.ticks_for(Side.SELL, ask))
        memory = self._learn(view, touch, state)
        missing = self._missing(memory)
        return _nothing(memory, missing) if missing else self._quote(view, touch, memory)

    # Learning --------------------------------------------------------------------------------------------

    def _learn(self, view: View, touch: "Touch", memory: Memory) -> Memory:
        """Take in the trades since the last tick, and the mid price once a second."""
        began = memory.began or view.time
        elapsed = view.time - memory.sampled_at
        if elapsed > GAP:
            return Memory(began, touch.twice_mid, touch.twice_mid, view.time)
        depths = (*memory.depths, *_depths(view, memory.mid))[-self.trading_intensity_buffer_size :]
        if elapsed < SAMPLE_EVERY:
            return structs.replace(memory, mid=touch.twice_mid, depths=depths)
        moves = (*memory.moves, (touch.twice_mid - memory.sample, elapsed))[1 - self.volatility_buffer_size :]
        return structs.replace(
            memory,
            mid=touch.twice_mid,
            sample=touch.twice_mid,
            sampled_at=view.time,
            moves=moves,
            depths=depths,
        )

    def _missing(self, memory: Memory) -> str:
        """What has still to be learnt, in words."""
        prices, trades = len(memory.moves) + 1, len(memory.depths)
        if prices >= self.volatility_buffer_size and trades >= self.trading_intensity_buffer_size:
            return ""
        return (
            f"learning, {prices} of {self.volatility_buffer_size} prices and "
            f"{trades} of {self.trading_intensity_buffer_size} takers' orders seen"
        )

    # Quoting ---------------------------------------------------------------------------------------------

    def _quote(self, view: View, touch: "Touch", memory: Memory) -> Decision:
        slots = self.slots()
        kept = {quote.slot: quote for quote in memory.quotes if quote.slot in view.orders and quote.slot in slots}
        weigh = not 0 <= view.time - memory.weighed_at < self.order_refresh_time
        if not weigh and len(kept) == len(slots):
            return Decision(tuple(kept.values()), memory, f"{len(kept)} orders kept")
        learnt = _learnt(memory)
        inventory = self._inventory(view, touch)
        optimal = self._optimal(touch.twice_mid / 2, inventory, learnt, self._time_left(view.time, memory), view.market)
        fresh = self._ladder(view.market, touch, optimal, inventory, {})
        if weigh and self._moved(kept, fresh):
            kept = {}
        if 0 < len(kept) < len(slots):
            fresh = self._ladder(view.market, touch, optimal, inventory, kept)
        quotes = tuple(quote for slot in slots if (quote := kept.get(slot) or fresh.get(slot)))
        weighed_at = view.time if weigh or not kept else memory.weighed_at
        tick = view.market.price_float(1)
        reason = (
            f"{len(kept)} orders kept, {len(quotes) - len(kept)} new: q {inventory:+.3f}, volatility "
            f"{learnt.volatility * tick:.3g}, kappa {learnt.decay / tick:.3g}, bid {optimal.bid * tick:.8g}, "
            f"ask {optimal.ask * tick:.8g}"
        )
        return Decision(quotes, structs.replace(memory, quotes=quotes, weighed_at=weighed_at), reason)

    def _inventory(self, view: View, touch: "Touch") -> float:
        """q: what is held above the target, in the measure of the variant."""
        if self.variant != "hummingbot":
            return view.position.base / self.order_amount
        base = view.base_balance.available + view.base_balance.locked
        quote = view.quote_balance.available + view.quote_balance.locked
        account = base + quote / view.market.price_float(touch.twice_mid / 2)
        return (base - account * self.inventory_target_base_pct) / account if account > 0 else 0.0

    def _time_left(self, now: int, memory: Memory) -> float:
        """The part of the horizon that is left, from 1 down; 1 where there is none."""
        return 1.0 if self.horizon is None else 1 - (now - memory.began) % self.horizon / self.horizon

    def _optimal(self, mid: float, inventory: float, learnt: Learnt, time_left: float, market: Market) -> "Optimal":
        """The two prices, at least min_spread apart around mid."""
        match self.variant:
            case "hummingbot":
                found = hummingbot(mid, inventory, self.risk_factor, learnt, time_left, market.price_float(1))
            case "finite_horizon":
                assert self.horizon is not None
                seconds = time_left * self.horizon / SECOND
                found = finite_horizon(mid, inventory, self.risk_factor, learnt, seconds)
            case "stationary":
                found = stationary(mid, inventory, self.risk_factor, learnt, self.max_inventory)
        half = self.min_spread * mid / 2
        return Optimal(min(found.bid, mid - half), max(found.ask, mid + half))

    def _moved(self, kept: Mapping[str, Quote], fresh: Mapping[str, Quote]) -> bool:
        """Whether any price is further off than tolerated, or a quantity by much."""
        for slot, old in kept.items():
            new = fresh.get(slot)
            if new is None or abs(_price(new) - _price(old)) > self.order_refresh_tolerance_pct * _price(old):
                return True
            if abs(new.quantity - old.quantity) > RESIZE * new.quantity:
                return True
        return False

    def _ladder(
        self, market: Market, touch: "Touch", optimal: "Optimal", inventory: float, kept: Mapping[str, Quote]
    ) -> dict[str, Quote]:
        """Quotes for all slots at the prices of now, by slot, behind the touch and behind the quotes that are kept."""
        lowest_ask = min([touch.ask, *_ticks(market, kept, Side.SELL)])
        highest_bid = max([touch.bid, *_ticks(market, kept, Side.BUY)])
        bid, ask = optimal.bid, optimal.ask
        mid = touch.twice_mid / 2
        half_spread = (ask - bid) / 2 if math.isfinite(bid) else ask - mid
        if self.order_optimization_enabled:
            bid, ask = min(bid, touch.bid + 1), max(ask, touch.ask - 1)
        step = half_spread * self.level_distances
        bid, ask = min(bid, lowest_ask - 1), max(ask, highest_bid + 1)
        quotes: dict[str, Quote] = {}
        for level in range(self.order_levels):
            for name, side, first in (("bid", Side.BUY, bid), ("ask", Side.SELL, ask)):
                price = first - side.sign * level * step
                quantity = self._quantity(side, inventory)
                # Below one tick there is no price to bid, and a bid at minus infinity is not wanted.
                if 1 <= price <= FAR * mid and market.lots_for(quantity) >= market.lots(market.quantity_min):
                    ticks = market.ticks_for(side, market.price_float(price))
                    slot = f"{name}-{level + 1}"
                    quotes[slot] = Quote(slot, side, market.price_float(ticks), quantity)
        return quotes

    def _quantity(self, side: Side, inventory: float) -> float:
        """Less of what adds to the inventory."""
        heavy = max(0.0, side.sign * inventory)
        return float(self.order_amount) * math.exp(-self.order_amount_shape_factor * heavy)


class Touch(Struct, frozen=True):
    """Best prices of the others."""

    bid: int
    ask: int

    @property
    def twice_mid(self) -> int:
        return self.bid + self.ask


class Optimal(Struct, frozen=True):
    """What the model would quote, off the grid; a bid of minus infinity is not wanted."""

    bid: float
    ask: float


# The formulas ---------------------------------------------------------------------------------------------


def finite_horizon(mid: float, inventory: float, gamma: float, learnt: Learnt, seconds: float) -> Optimal:
    """r = s - q γ σ² (T-t); the spread is γ σ² (T-t) + 2/γ ln(1 + γ/κ)."""
    risk = gamma * learnt.variance * seconds
    centre = mid - inventory * risk
    half = risk / 2 + math.log1p(gamma / learnt.decay) / gamma
    return Optimal(centre - half, centre + half)


def stationary(mid: float, inventory: float, gamma: float, learnt: Learnt, most: int) -> Optimal:
    """Indifference prices with ω = γ²σ²(q_max+1)²/2, in which γ and σ cancel, and 1/γ ln(1 + γ/κ) beyond each."""
    held = max(-float(most), min(float(most), inventory))
    room = (most + 1) ** 2 - held**2
    premium = math.log1p(gamma / learnt.decay) / gamma
    falls = (-1 - 2 * held) / room
    bid = -math.inf if falls <= -1 else mid + math.log1p(falls) / gamma - premium
    return Optimal(bid, mid + math.log1p((1 - 2 * held) / room) / gamma + premium)


def hummingbot(mid: float, inventory: float, gamma: float, learnt: Learnt, time_left: float, tick: float) -> Optimal:
    """As above, with volatility once instead of squared, and everything in the quote currency: `tick` is one there."""
    risk = gamma * learnt.volatility * tick * time_left
    kappa = learnt.decay / tick
    centre = mid * tick - inventory * risk
    half = risk / 2 + math.log1p(gamma / kappa) / gamma
    return Optimal((centre - half) / tick, (centre + half) / tick)


def decay(depths: Sequence[float]) -> float:
    """κ of λ(δ) = A exp(-κδ), fitted to the logarithm of how many orders reach each depth, of which there are some.

    Where all reach about as far (a market of large ticks) no line can be drawn: then 1 / the mean depth, the most
    likely κ.
    """
    ordered = sorted(depths)
    points: dict[float, float] = {}
    for number, depth in enumerate(ordered):
        reached = len(ordered) - number  # by this one and all that went further
        if reached >= max(2.0, NEAR * len(ordered)):
            points.setdefault(depth, math.log(reached))
    if len(points) < 2:
        return len(ordered) / sum(ordered)
    mean_depth, mean_log = sum(points) / len(points), sum(points.values()) / len(points)
    covariance = sum((depth - mean_depth) * (log - mean_log) for depth, log in points.items())
    return -covariance / sum((depth - mean_depth) ** 2 for depth in points)


def _nothing(memory: Memory, why: str) -> Decision:
    return Decision((), structs.replace(memory, quotes=()), f"no quotes: {why}")


def _learnt(memory: Memory) -> Learnt:
    squares = sum(change * change for change, _ in memory.moves) / 4  # the changes are in half ticks
    seconds = sum(elapsed for _, elapsed in memory.moves) / SECOND
    return Learnt(squares / seconds, math.sqrt(squares / (len(memory.moves) + 1)), decay(memory.depths))


def _depths(view: View, twice_mid: int) -> list[float]:
    """How far from mid each taker's order reached. Trades of one side in a row are taken for those of one order."""
    found: list[float] = []
    last: Side | None = None
    for trade in view.trades:
        ticks = view.market.ticks_for(trade.taker_side, trade.price)
        depth = trade.taker_side.sign * (ticks - twice_mid / 2)
        if trade.taker_side is last and found:
            found[-1] = max(found[-1], depth)
        else:
            found.append(depth)
        last = trade.taker_side
    return [depth for depth in found if depth > 0]


def _price(quote: Quote) -> float:
    assert quote.price != "market"
    return quote.price


def _ticks(market: Market, quotes: Mapping[str, Quote], side: Side) -> list[int]:
    return [market.ticks_for(side, _price(quote)) for quote in quotes.values() if quote.side is side]
