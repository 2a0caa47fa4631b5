"""A crowd of traders that keeps one market two-sided and moving, from a seed.

A fair price wanders around the price of opening. Makers quote around it at random distances and cancel at random;
takers sweep the book to a random depth; and whoever quotes on the wrong side of the fair price is traded against.
The crowd's orders go through the same matching, locks and fees as everybody's. Distances are fractions of price.

Crowds differ in what decides a maker's profit: which orders of a level are cancelled, whether takers know where the
price goes, and whether anybody answers to a stranger's quotes. `CROWDS` are the kinds that backtests are judged by.
"""

from collections.abc import Mapping
from math import sqrt

from msgspec import Struct

from runner.model.order import Side
from runner.simulation.admission import OrderRefused
from runner.simulation.dice import Dice, seed_state
from runner.simulation.exchange import SECOND, Exchange
from runner.simulation.markets import Listing
from runner.simulation.matching import OrderBook
from runner.simulation.records import Member, Order

BPS = 1e-4
REACH_MAX = 4.0
"""No taker goes further than this many times the mean."""


class Temper(Struct, frozen=True):
    """How a crowd behaves.

    The fair price moves by `volatility` in a second (one deviation) and is drawn back to the opening price by the
    fraction `pull` of the distance. Makers quote from `nearest` on, most of them near, a few some `breadth` away; a
    taker sweeps to an exponential distance of mean `reach` from it, `REACH_MAX` times that at most.
    """

    rate: float = 12.0  # actions a second
    volatility: float = 7 * BPS
    pull: float = 1e-4
    nearest: float = 2 * BPS
    breadth: float = 80 * BPS
    reach: float = 25 * BPS
    orders: int = 80  # resting ones on each side that the crowd aims at
    takers: float = 0.07  # share of the actions
    sides_min: int = 12  # with fewer levels on a side makers come at once, and no taker does
    fronts: int = 1  # of so many draws among the orders of a level, the one furthest in front is cancelled
    insight: float = 0.0  # s by which the makers' fair price is behind what informed takers know
    informed: float = 0.5  # share of the takers who are, where there is something to know
    reaction: float = 0.0  # chance of an answer when somebody else improves the touch


CROWDS: Mapping[str, Temper] = {
    "uniform": Temper(),
    "front_heavy": Temper(fronts=3),
    "informed": Temper(insight=3.0),
}


class Crowd:
    """The crowd of one market. It acts about `rate` times a second, at times that are random themselves."""

    def __init__(self, listing: Listing, members: list[Member], *, seed: str, now: int, temper: Temper) -> None:
        self.due = now
        self._market = listing.market
        self._members = members
        self._temper = temper
        self._dice = Dice(seed_state(seed, "crowd", listing.market.id))
        self._home = float(listing.market.ticks(listing.price))  # ticks
        self._news = self._fair = self._home  # what the price will be, and what makers take it to be
        self._lots = listing.market.lots(listing.quantity)  # of a usual order
        self._lots_min = listing.market.lots(listing.market.quantity_min)
        self._moved = now
        self._resting: dict[Side, list[int]] = {Side.BUY: [], Side.SELL: []}  # ids; some are gone by now
        self._touch: dict[Side, int | None] = {}  # best prices when the crowd last acted

    def act(self, exchange: Exchange) -> None:
        self._wander(exchange.now)
        book = exchange.book(self._market.id)
        if not (self._refill(exchange, book) or self._correct(exchange, book) or self._answer(exchange, book)):
            self._trade_or_quote(exchange, book)
        self._touch = {side: book.best(side) for side in Side}
        self.due = exchange.now + max(1, int(self._dice.exponential() / self._temper.rate * SECOND))

    def quote_all(self, exchange: Exchange) -> None:
        """Fill the book from nothing, as at an opening."""
        for _ in range(self._temper.orders):
            for side in Side:
                self._quote(exchange, side)

    # What the members do ---------------------------------------------------------------------------------

    def _refill(self, exchange: Exchange, book: OrderBook) -> bool:
        """Quote where a side is thin. There is always somebody on both sides."""
        thin = [side for side in Side if book.level_count(side) < self._temper.sides_min]
        for side in thin:
            for _ in range(self._temper.sides_min):
                self._quote(exchange, side)
        return bool(thin)

    def _correct(self, exchange: Exchange, book: OrderBook) -> bool:
        """Trade against whoever quotes on the wrong side of the fair price."""
        for side in Side:
            wrong = [lots for ticks, lots in book.levels(side.opposite, 20) if side.sign * (self._fair - ticks) > 0]
            if wrong:
                self._place(exchange, side, sum(wrong), round(self._fair))
                return True
        return False

    def _answer(self, exchange: Exchange, book: OrderBook) -> bool:
        """Join, undercut or make room for a stranger: nobody else can have improved the touch since the last act."""
        for side in Side:
            best, before = book.best(side), self._touch.get(side)
            if best is None or before is None or side.sign * (best - before) <= 0:
                continue
            if self._dice.uniform() < self._temper.reaction:
                manner = self._dice.below(3)
                if manner == 2:
                    self._leave(exchange, side, before)
                else:
                    other = book.best(side.opposite)
                    undercuts = manner == 1 and other != best + side.sign
                    self._place(exchange, side, self._usual_lots(), best + side.sign * undercuts)
                return True
        return False

    def _trade_or_quote(self, exchange: Exchange, book: OrderBook) -> None:
        side = Side.BUY if self._dice.below(2) else Side.SELL
        if self._dice.uniform() < self._temper.takers:
            if self._temper.insight and self._dice.uniform() < self._temper.informed:
                self._exploit(exchange, book)
            else:
                self._sweep(exchange, book, side)
        # Placing and cancelling balance at the number of orders aimed at, swept ones included.
        elif self._dice.uniform() * 2 * self._temper.orders > book.level_count(side):
            self._quote(exchange, side)
        else:
            self._withdraw(exchange, side)

    def _sweep(self, exchange: Exchange, book: OrderBook, side: Side) -> None:
        """Buy or sell at the market, a part of what rests within reach."""
        reach = self._temper.reach * min(self._dice.exponential(), REACH_MAX)
        within = self._within(book, side, self._fair * (1 + side.sign * reach))
        if within:
            self._place(exchange, side, int(within * self._dice.between(0.3, 1.1)), None)

    def _exploit(self, exchange: Exchange, book: OrderBook) -> None:
        """Take what is cheaper, or dearer, than the price will be."""
        side = Side.BUY if self._news > self._fair else Side.SELL
        if within := self._within(book, side, self._news):
            self._place(exchange, side, within, None)

    def _within(self, book: OrderBook, side: Side, limit: float) -> int:
        """Lots that a taker meets up to a price."""
        levels = book.levels(side.opposite, self._temper.orders)
        return sum(lots for ticks, lots in levels if side.sign * (limit - ticks) >= 0)

    def _quote(self, exchange: Exchange, side: Side) -> None:
        distance = self._temper.nearest + self._temper.breadth * self._dice.exponential() * self._dice.uniform()
        ticks = round(self._fair * (1 - side.sign * distance))
        best = exchange.book(self._market.id).best(side.opposite)
        if best is not None and side.sign * (best - ticks) <= 0:
            ticks = best - side.sign  # makers do not cross
        self._place(exchange, side, self._usual_lots(), max(1, ticks))

    def _usual_lots(self) -> int:
        return int(self._lots * self._dice.between(0.2, 1.8))

    def _withdraw(self, exchange: Exchange, side: Side) -> None:
        """Cancel a random order that still rests, or one further in front at its price."""
        ids = self._resting[side]
        while ids:
            chosen = self._dice.below(len(ids))
            ids[chosen], ids[-1] = ids[-1], ids[chosen]
            order = exchange.database.order(ids.pop())
            if order is not None:
                ids.append(order.id)
                self._cancel(exchange, self._further_in_front(exchange, order))
                return

    def _further_in_front(self, exchange: Exchange, order: Order) -> Order:
        """That order, or of some others drawn at its price the one that came first."""
        if self._temper.fronts == 1 or order.ticks is None:
            return order
        level = self._at(exchange, order.side, order.ticks)
        draws = [self._dice.choice(level) for _ in range(self._temper.fronts - 1)]
        return min([order, *draws], key=_arrival)

    def _leave(self, exchange: Exchange, side: Side, ticks: int) -> None:
        """Cancel the crowd's first order at a price, if it has one there."""
        if level := self._at(exchange, side, ticks):
            self._cancel(exchange, min(level, key=_arrival))

    def _at(self, exchange: Exchange, side: Side, ticks: int) -> list[Order]:
        """The crowd's resting orders at a price. Those that are gone are forgotten on the way."""
        rows = [row for number in self._resting[side] if (row := exchange.database.order(number)) is not None]
        self._resting[side] = [row.id for row in rows]
        return [row for row in rows if row.ticks == ticks]

    def _cancel(self, exchange: Exchange, order: Order) -> None:
        self._resting[order.side].remove(order.id)
        exchange.cancel(order, at_once=True)

    def _place(self, exchange: Exchange, side: Side, lots: int, ticks: int | None) -> None:
        member = self._dice.choice(self._members).id
        volume = self._market.quantity(max(lots, self._lots_min))
        price = None if ticks is None else self._market.price(ticks)
        try:
            order = exchange.create(member, self._market, side, volume, price, at_once=True)
        except OrderRefused:  # too poor, or the other side is gone: somebody else will be luckier
            return
        if ticks is not None:
            self._resting[side].append(order.id)

    def _wander(self, now: int) -> None:
        elapsed = (now - self._moved) / SECOND
        self._moved = now
        step = self._temper.volatility * sqrt(elapsed) * self._dice.bell()
        self._news += self._news * step + self._temper.pull * elapsed * (self._home - self._news)
        self._news = min(max(self._news, self._home / 4), self._home * 4)
        learnt = 1.0 if elapsed >= self._temper.insight else elapsed / self._temper.insight
        self._fair = self._news if learnt == 1.0 else self._fair + learnt * (self._news - self._fair)


def _arrival(order: Order) -> int:
    """The crowd's orders reach the book as soon as they are numbered."""
    return order.id
