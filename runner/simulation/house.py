"""Whoever is recorded, as one member of an exchange: the other side of every trade on a market that comes from a tape.

The house has a row for each side of each market, at work for ever and funded for everything; their ids are lower than
anybody else's, so it is the maker where it is met. What comes to trade with an order of ours is a row of its own.
"""

from decimal import Decimal

from runner.model.market import Market
from runner.model.order import Side
from runner.simulation.exchange import Exchange
from runner.simulation.kernel import TAPE
from runner.simulation.matching import Match
from runner.simulation.records import Member, Order
from runner.simulation.tape_book import TapeBook

LOTS = TICKS = 2**62
"""More than all tapes together trade, and at any price."""


class House:
    """The house in one market. `member` may be that of several."""

    def __init__(self, exchange: Exchange, member: Member, market: Market, book: TapeBook) -> None:
        self.book = book
        self.market = market
        self._exchange = exchange
        self._member = member.id
        self._standing: dict[Side, Order] = {}
        for side in Side:
            currency, amount = self._means(side, TICKS, LOTS)
            # Twice: what rests on the tape is locked for good, what comes to trade locks when it comes.
            for _ in range(2):
                exchange.deposit(member.id, currency, amount)
            self._standing[side] = exchange.stand(member.id, market, side, LOTS, amount)
        book.standing = {side: order.id for side, order in self._standing.items()}
        exchange.database.stand_beside(market.id, book.recorded_levels)

    def report(self) -> None:
        """Tell of the levels that changed, and let members' orders trade with somebody who came for it."""
        matches = []
        for fill in self.book.take_fills():
            assert fill.other == TAPE
            resting = self._exchange.database.order(fill.order)
            assert resting is not None
            side = resting.side.opposite
            _, locked = self._means(side, fill.ticks, fill.lots)
            arriving = self._exchange.stand(self._member, self.market, side, fill.lots, locked)
            matches.append(Match(fill.order, arriving.id, fill.ticks, fill.lots))
        self._exchange.report(self.market.id, self.book.take_changes(), matches)

    def print_trade(self, taker: Side, ticks: int, lots: int) -> None:
        """A recorded trade in which nobody of ours had a part."""
        self._exchange.print_trade(self._standing[taker.opposite], self._standing[taker], ticks, lots)

    def _means(self, side: Side, ticks: int, lots: int) -> tuple[str, Decimal]:
        if side is Side.BUY:
            return self.market.quote, self.market.notional(ticks, lots)
        return self.market.base, self.market.quantity(lots)
