"""A market by script: what it is like, scene after scene, as values. For states that no crowd would ever bring about.

A tape is a list of scenes. Those of the market are played by a director, who owns every order in the book but those of
members from outside, and whose orders go through the same matching, locks and fees as everybody's. The others befall
the line or the process; whoever runs the world does these. Between scenes, and where there is none, a market is calm.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from runner.model.money import MONEY
from runner.model.order import Side
from runner.model.settings import SECOND
from runner.simulation.crowd import Temper
from runner.simulation.dice import Dice, seed_state
from runner.simulation.exchange import Exchange
from runner.simulation.markets import Listing
from runner.simulation.records import Member
from runner.simulation.sandbox import Sandbox, sandbox

OF_THE_MARKET: Mapping[str, str] = {
    "calm": "two sides, a few basis points apart, a taker now and then",
    "flat": "nothing moves and nobody trades",
    "spike_up": "the price jumps up by so many per cent, through whatever rests there",
    "spike_down": "the price falls until it would have to rise by so many per cent",
    "one_tick": "bid and ask are one tick apart",
    "wide": "the bid is a tenth of the price, the ask ten times it",
    "thin": "one level on each side, of the smallest order there may be",
    "no_bids": "nobody else buys",
    "no_asks": "nobody else sells",
    "nobody": "nobody else quotes at all",
    "sweep": "takers eat a whole side, ours included, again and again",
    "lowest": "the bid is the smallest price there is, the ask a tick above",
    "highest": "prices of 2^53 ticks, where a float ends to know every whole number",
}

OF_THE_LINE: Mapping[str, str] = {
    "gap": "a change of the book gets lost",
    "crossed": "a snapshot comes whose bids are above its asks",
    "stale": "the public stream stays open and is silent",
    "cut": "the public stream is cut",
    "private_cut": "the private stream is cut",
    "crash": "the process dies, and is back a second later",
}

SCENES: Mapping[str, str] = {**OF_THE_MARKET, **OF_THE_LINE}

ACTS_EVERY = SECOND
LEVELS = 3
STEP = 5e-4  # of the price: half the spread, and from level to level
WALK = 3e-4  # of the price, in one act
TAKERS = 0.3  # chance in one act
HIGHEST = 2**53


class Scene(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`seconds` is how long it lasts, `percent` how far a spike goes, `market` where (all of them if it is empty)."""

    kind: str
    seconds: int = 10
    percent: int = 0
    market: str = ""


CALM = Scene(kind="calm")


def length(tape: Sequence[Scene]) -> int:
    """ns."""
    return sum(scene.seconds for scene in tape) * SECOND


def scripted(seed: str, now: int, listings: Sequence[Listing], tape: Sequence[Scene], opening: int) -> Sandbox:
    """An exchange at `now` whose markets follow the tape from `opening` ns later on. The same arguments, the same."""
    grown = sandbox(seed, now, listings=listings, temper=Temper(rate=0.0))
    exchange = grown.exchange
    for listing in listings:
        member = exchange.admit(f"director of {listing.market.symbol}")
        director = Director(listing, member, tape, seed=seed, now=now, opening=opening)
        director.act(exchange)
        exchange.settle_in(director)
    exchange.feed.clear()  # nobody was listening
    exchange.show_books()
    return grown


class Director:
    """Everybody else in one market."""

    def __init__(
        self, listing: Listing, member: Member, tape: Sequence[Scene], *, seed: str, now: int, opening: int
    ) -> None:
        self.due = now
        self._market = listing.market
        self._member = member.id
        self._dice = Dice(seed_state(seed, "director", listing.market.id))
        self._mid = listing.market.ticks(listing.price)
        self._lots = listing.market.lots(listing.quantity)
        self._lots_min = max(1, listing.market.lots(listing.market.quantity_min))
        self._resting: list[int] = []
        self._begins: list[tuple[int, Scene]] = []
        at = now + opening
        for scene in tape:
            if scene.market in ("", listing.market.symbol) and scene.kind in OF_THE_MARKET:
                self._begins.append((at, scene))
            else:
                self._begins.append((at, CALM))
            at += scene.seconds * SECOND
        self._begins.append((at, CALM))
        self._scene = CALM

    def act(self, exchange: Exchange) -> None:
        begins = False
        while self._begins and self._begins[0][0] <= exchange.now:
            _, self._scene = self._begins.pop(0)
            begins = True
            self._jump()
        if self._scene.kind != "flat" or begins:
            self._play(exchange)
        following = self._begins[0][0] if self._begins else exchange.now + ACTS_EVERY
        self.due = min(exchange.now + ACTS_EVERY, max(exchange.now + 1, following))

    # What a scene is ------------------------------------------------------------------------------------------

    def _jump(self) -> None:
        whole = 100 + self._scene.percent
        match self._scene.kind:
            case "spike_up":
                self._mid = min(self._mid * whole // 100, HIGHEST)
            case "spike_down":
                self._mid = max(self._mid * 100 // whole, 2)

    def _play(self, exchange: Exchange) -> None:
        kind = self._scene.kind
        if kind in {"calm", "thin", "no_bids", "no_asks"}:
            self._mid = max(2, self._mid + round(self._mid * WALK * self._dice.bell()))
        if kind == "sweep":
            self._sweep(exchange, Side.BUY if self._dice.below(2) else Side.SELL)
        elif kind == "calm" and self._dice.uniform() < TAKERS:
            self._take(exchange)
        self._withdraw(exchange)
        for side, ticks, lots in self._levels(kind):
            self._place(exchange, side, ticks, lots)

    def _levels(self, kind: str) -> list[tuple[Side, int, int]]:
        """The book of a scene, without what members from outside have in it."""
        step = max(1, round(self._mid * STEP))
        bid, ask, count = self._mid - step, self._mid + step, LEVELS
        match kind:
            case "nobody":
                return []
            case "one_tick":
                bid, ask = self._mid, self._mid + 1
            case "wide":
                bid, ask = self._mid // 10, self._mid * 10
            case "thin":
                count = 1
            case "lowest":
                bid, ask, step = 1, 2, 1
            case "highest":
                bid, ask, step = HIGHEST - 1, HIGHEST + 1, 2
        levels = [(Side.BUY, bid - n * step, self._some(kind)) for n in range(count) if kind != "no_bids"]
        levels += [(Side.SELL, ask + n * step, self._some(kind)) for n in range(count) if kind != "no_asks"]
        return [level for level in levels if level[1] > 0]

    def _some(self, kind: str) -> int:
        if kind == "thin":
            return self._lots_min
        return max(self._lots_min, int(self._lots * self._dice.between(0.2, 1.8)))

    # What the director does ---------------------------------------------------------------------------------

    def _withdraw(self, exchange: Exchange) -> None:
        for order_id in self._resting:
            order = exchange.database.order(order_id)
            if order is not None and not order.state.terminal:
                exchange.cancel(order, at_once=True)
        self._resting.clear()

    def _take(self, exchange: Exchange) -> None:
        """A part of the best level, or the smallest order there may be."""
        side = Side.BUY if self._dice.below(2) else Side.SELL
        best = exchange.book(self._market.id).levels(side.opposite, 1)
        if best:
            lots = self._lots_min if self._dice.below(3) == 0 else int(best[0][1] * self._dice.between(0.1, 1.0))
            self._place(exchange, side, best[0][0], max(self._lots_min, lots))

    def _sweep(self, exchange: Exchange, side: Side) -> None:
        levels = exchange.book(self._market.id).levels(side.opposite, 1000)
        if levels:
            lots = max(self._lots_min, sum(lots for _, lots in levels))
            self._place(exchange, side, levels[-1][0], lots)

    def _place(self, exchange: Exchange, side: Side, ticks: int, lots: int) -> None:
        market = self._market
        currency, needs = (
            (market.quote, market.notional(ticks, lots)) if side is Side.BUY else (market.base, market.quantity(lots))
        )
        missing = MONEY.subtract(needs, exchange.accounts.account(self._member, currency).available)
        if missing > 0:
            exchange.deposit(self._member, currency, missing)
        price, volume = market.price(ticks), market.quantity(lots)
        order = exchange.create(self._member, market, side, volume, price, at_once=True)
        self._resting.append(order.id)


def crossed_snapshot(listing: Listing) -> Mapping[str, object]:
    """The body of a snapshot, as the venue tells it, whose best bid is above its best ask."""
    market = listing.market
    ticks, lots = market.ticks(listing.price), market.quantity(market.lots(listing.quantity))
    above, below = market.price(ticks + 1), market.price(max(1, ticks - 1))
    return {"bids": [[_text(above), _text(lots)]], "asks": [[_text(below), _text(lots)]], "sequence": 1_000_000}


def _text(number: Decimal) -> str:
    return format(number, "f")
