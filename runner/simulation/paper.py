"""An exchange of one trader behind somebody else's public data: paper trading, and backtests on tapes.

The order life, the locks, the fees and the minima are the exchange's own (`exchange.py`); who is filled, and when, is
the kernel's word (`kernel.py`): its books are the recorded or live ones, in which nobody answers to our orders.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal

from runner.model.event import BookDelta, BookGap, BookSnapshot, PublicTrade, What
from runner.model.market import Market
from runner.model.order import Side
from runner.model.paper import PaperModels
from runner.model.settings import SECOND
from runner.simulation.client import Client
from runner.simulation.exchange import Behaviour, Exchange
from runner.simulation.feed import BookChanged, BookShown, FeedEvent, Traded
from runner.simulation.house import House
from runner.simulation.kernel import BUY, SELL, Kernel
from runner.simulation.tape_book import SIDES, TapeBook

Change = tuple[int, int, int]
"""Side, ticks and the level's new total of lots."""


class PaperVenue(Client):
    """One account on an exchange of its own. `markets` are those of the file, with the fees that the account pays.

    Markets with `kernels` are played by somebody else in strides (a backtest), who says so with `moved`. Of the others
    `public` is told as the news come; what the world would see then, our orders in the book among it, is in what
    `advance` returns: the book under the exchange's own numbers, its gaps, and every trade.
    """

    def __init__(
        self,
        markets: Sequence[Market],
        balances: Mapping[str, Decimal],
        *,
        models: PaperModels,
        seed: str,
        now: int,
        kernels: Mapping[str, Kernel] | None = None,
    ) -> None:
        played = kernels or {}
        books = {market.id: TapeBook(played.get(market.symbol) or Kernel(models.queue)) for market in markets}
        delay = models.processing
        behaviour = Behaviour(pending_delay=delay, cancel_delay=delay)
        exchange = Exchange(markets, seed=seed, now=now, behaviour=behaviour, books=books)
        house = exchange.admit("the tape")
        self._houses = {market.symbol: House(exchange, house, market, books[market.id]) for market in markets}
        trader = exchange.admit("trader")
        for currency, amount in balances.items():
            exchange.deposit(trader.id, currency, amount)
        self._unknown = {market.symbol for market in markets if market.symbol not in played}
        super().__init__(exchange, trader, models, seed=seed, now=now, heard=self._publish if self._unknown else None)

    def public(self, what: What, now: int) -> None:
        """The venue said this to the world."""
        self.move(now)
        match what:
            case BookSnapshot(market) if market in self._houses:
                self._unknown.add(market)
                self._change(market, self._anew(what))
                self.listen()  # it is told as a whole, not level by level
                self._unknown.discard(market)
                self.exchange.show_book(self._houses[market].market.id)
            case BookDelta(market) if market in self._houses and market not in self._unknown:
                self._change(market, _levels(what))
            case BookGap(market) if market in self._houses:
                self._unknown.add(market)  # who would be filled meanwhile, nobody can tell
                self.tell(now, what)
            case PublicTrade(market) if market in self._houses and market not in self._unknown:
                self._trade(what)
        self.listen()

    def moved(self, symbol: str, now: int) -> None:
        """The kernel of this market was played up to now: the orders that it filled are executed."""
        self.move(now)
        self._houses[symbol].report()
        self.listen()

    def _change(self, symbol: str, changes: Iterable[Change]) -> None:
        house, now = self._houses[symbol], self.exchange.now
        for side, ticks, lots in changes:
            house.book.kernel.level(side, ticks, lots, now)
        house.report()

    def _anew(self, what: BookSnapshot) -> Iterator[Change]:
        """From the book that was to the one that is; levels that go come first, so it is not crossed on the way."""
        kernel = self._houses[what.market].book.kernel
        for side, levels in ((BUY, what.bids), (SELL, what.asks)):
            there = {ticks for ticks, _ in levels}
            yield from [(side, ticks, 0) for ticks in kernel.recorded(side) if ticks not in there]
        yield from _levels(what)

    def _trade(self, what: PublicTrade) -> None:
        house = self._houses[what.market]
        left = house.book.kernel.trade(SIDES[what.taker_side], what.ticks, what.lots, self.exchange.now)
        house.report()
        if left:
            house.print_trade(what.taker_side, what.ticks, left)

    # What the world sees ----------------------------------------------------------------------------------

    def _publish(self, now: int, events: Sequence[FeedEvent]) -> None:
        """Changes that came together are one message, so that nobody sees a book that is half changed."""
        changed: list[BookChanged] = []
        for event in events:
            if changed and not (isinstance(event, BookChanged) and event.market is changed[0].market):
                self.tell(now, _delta(changed))
                changed = []
            match event:
                case BookChanged(market) if market.symbol not in self._unknown:
                    changed.append(event)
                case BookShown(market) if market.symbol not in self._unknown:
                    self.tell(now, BookSnapshot(market.symbol, event.sequence, event.bids, event.asks))
                case Traded(trade):
                    self.tell(
                        now,
                        PublicTrade(
                            trade.market.symbol,
                            trade.id,
                            trade.ticks,
                            trade.lots,
                            trade.taker.side,
                            trade.time // SECOND,
                        ),
                    )
        if changed:
            self.tell(now, _delta(changed))


def _delta(changed: Sequence[BookChanged]) -> BookDelta:
    levels: dict[Side, dict[int, int]] = {Side.BUY: {}, Side.SELL: {}}
    for event in changed:
        levels[event.side][event.ticks] = event.lots
    bids, asks = (tuple(levels[side].items()) for side in (Side.BUY, Side.SELL))
    return BookDelta(changed[0].market.symbol, changed[-1].sequence, bids, asks)


def _levels(what: BookSnapshot | BookDelta) -> Iterator[Change]:
    """Levels that go first."""
    changes = [(BUY, *level) for level in what.bids] + [(SELL, *level) for level in what.asks]
    yield from sorted(changes, key=lambda change: change[2] > 0)
