"""The public tape of one market as it would be without one member, told by somebody who saw that member trade.

The member's resting orders are taken out of the levels. Volume that hit them goes back as demand: a trade that stays
on the tape although no recorded level shrinks by it. Volume that they took is gone right after, in a moment of its
own: whoever takes it again on this tape finds it, and finds it gone afterwards. What nobody can take out is how others
answered to the member. The exchange must write a match down at once (no delay of execution).
"""

from collections.abc import Iterable

from runner.model.market import Market
from runner.model.order import Side
from runner.simulation.columns import Columns
from runner.simulation.feed import BookChanged, BookShown, FeedEvent, OrderChanged, Traded
from runner.simulation.kernel import BUY, SELL
from runner.simulation.recording import ASK, BID, BOUGHT, BOUGHT_FROM_OWN, SOLD, SOLD_TO_OWN, Recording
from runner.simulation.records import Order, OrderState, Trade

_LEVEL = {Side.BUY: BID, Side.SELL: ASK}
_TRADE = {Side.BUY: BOUGHT, Side.SELL: SOLD}
_TRADE_WITH_MEMBER = {Side.BUY: BOUGHT_FROM_OWN, Side.SELL: SOLD_TO_OWN}
assert (BID, ASK) == (BUY, SELL)


class Witness:
    """Hears an exchange's feed, one moment after the other, and leaves out what `member` did."""

    def __init__(self, market: Market, member: int) -> None:
        self.market = market
        self._member = member
        self._own: dict[int, Order] = {}  # at work, by id
        self._arrived: set[int] = set()  # those of the member's orders that came to the book in this moment
        self._shown: dict[tuple[Side, int], int] = {}  # the levels, the member's orders included
        self._late: dict[tuple[Side, int], None] = {}  # levels that the member took from in the last moment
        self._last = 0
        self._columns = Columns()

    def hear(self, now: int, events: Iterable[FeedEvent]) -> None:
        """What the exchange said at `now` (UTC ns), in one piece or in several; never earlier than the last time."""
        if now > self._last:
            self._write_levels(self._last + 1, self._late)
            self._late.clear()
            self._arrived.clear()
        touched: dict[tuple[Side, int], None] = {}
        for event in events:
            match event:
                case BookShown() if event.market.id == self.market.id and not self._columns:
                    levels = ((Side.BUY, event.bids), (Side.SELL, event.asks))
                    self._shown = {(side, ticks): lots for side, rows in levels for ticks, lots in rows}
                    touched |= dict.fromkeys(self._shown)
                case BookChanged() if event.market.id == self.market.id:
                    self._shown[event.side, event.ticks] = event.lots
                    touched[event.side, event.ticks] = None
                case OrderChanged(order) if order.member == self._member and order.market.id == self.market.id:
                    self._know(order)
                    if order.ticks is not None:
                        touched[order.side, order.ticks] = None
                case Traded(trade) if trade.market.id == self.market.id:
                    self._traded(now, trade)
        for level in self._late:
            touched.pop(level, None)
        self._write_levels(now, touched)
        self._last = now

    def recording(self) -> Recording:
        """What was heard so far."""
        told = self._columns
        return Recording(
            market=self.market,
            times=told.times,
            kinds=told.kinds,
            ticks=told.ticks,
            lots=told.lots,
            trades=told.trades,
        )

    def _know(self, order: Order) -> None:
        if order.state is OrderState.WAIT and order.ticks is not None:
            if order.id not in self._own:
                self._arrived.add(order.id)
            self._own[order.id] = order
        else:
            self._own.pop(order.id, None)

    def _traded(self, now: int, trade: Trade) -> None:
        """A match is written where the side that came for it is somebody else's.

        That side is the venue's taker, but for an order of the member that was numbered first and came later.
        """
        kind = _TRADE[trade.taker.side]
        if self._member in trade.members:
            if trade.maker.member == trade.taker.member:
                return
            own = trade.order_of(self._member)
            if own.ticks is None or own.id in self._arrived:
                self._late[own.side.opposite, trade.ticks] = None
                return
            kind = _TRADE_WITH_MEMBER[own.side.opposite]
        self._columns.trade(now, kind, trade.ticks, trade.lots)

    def _write_levels(self, now: int, levels: Iterable[tuple[Side, int]]) -> None:
        for side, ticks in levels:
            own = sum(order.left for order in self._own.values() if (order.side, order.ticks) == (side, ticks))
            self._columns.level(now, _LEVEL[side], ticks, self._shown.get((side, ticks), 0) - own)
