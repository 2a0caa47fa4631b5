"""An account at an exchange, simple enough to trust: a dictionary of orders, and the news of what happened to them.

Nothing here happens by itself. Whoever uses it decides what arrives, trades, is cancelled and is heard of.
"""

from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from runner.model import event as events
from runner.model.command import Command, ListOrders, ListTrades, Place, ReadBalances, ReadOrder
from runner.model.market import Market
from runner.model.order import BalanceRow, OrderRow, Side, TradeRow
from runner.model.settings import SECOND

ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=0,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)
RICH = tuple(BalanceRow(currency, Decimal(10**9), Decimal(0)) for currency in ("ROGER", "BTC"))


@dataclass
class Held:
    """One order of the account."""

    id: int
    client_id: str | None
    side: Side
    ticks: int
    lots: int
    created: int  # ns
    state: str = "pending"
    executed: int = 0
    trades: list[TradeRow] = field(default_factory=list)

    @property
    def live(self) -> bool:
        return self.state in {"pending", "wait"}

    @property
    def reach(self) -> int:
        """Lots it has traded or may still trade."""
        return self.lots if self.live else self.executed

    def row(self, *, alone: bool = False) -> OrderRow:
        """As a list shows it; `alone`: as the GET of it does, with its trades."""
        return OrderRow(
            id=self.id,
            market=ROGER.symbol,
            side=self.side,
            state=self.state,
            ticks=self.ticks,
            origin_lots=self.lots,
            remaining_lots=self.lots - self.executed,
            executed_lots=self.executed,
            created_at=self.created // SECOND,
            updated_at=self.created // SECOND,
            client_id=self.client_id,
            trades=tuple(self.trades) if alone else None,
        )


class PlainVenue:
    """`news` is what the private stream has to say, oldest first, until somebody takes it out."""

    def __init__(self) -> None:
        self.orders: dict[int, Held] = {}
        self.news: list[events.What] = []
        self._last_trade = 0

    # What happens -----------------------------------------------------------------------------------------

    def create(self, place: Place, now: int) -> Held:
        assert place.ticks is not None
        return self._insert(place.client_id, place.side, place.ticks, place.lots, now)

    def human(self, like: Held, now: int) -> Held:
        """Somebody places the same order by hand."""
        order = self._insert(None, like.side, like.ticks, like.lots, now)
        self.book(order)
        return order

    def _insert(self, name: str | None, side: Side, ticks: int, lots: int, now: int) -> Held:
        order = Held(len(self.orders) + 1, name, side, ticks, lots, now)
        self.orders[order.id] = order
        self._tell(order)
        return order

    def book(self, order: Held) -> None:
        order.state = "wait"
        self._tell(order)

    def reject(self, order: Held) -> None:
        order.state = "reject"
        self._tell(order)

    def cancel(self, order: Held) -> None:
        order.state = "cancel"
        self._tell(order)

    def trade(self, order: Held, lots: int, now: int) -> None:
        self._last_trade += 1
        order.executed += lots
        if order.executed == order.lots:
            order.state = "done"
        trade = TradeRow(
            id=self._last_trade,
            order_id=order.id,
            market=ROGER.symbol,
            side=order.side,
            ticks=order.ticks,
            lots=lots,
            taker_side=order.side.opposite,
            created_at=now // SECOND,
            fee=Decimal(0),
            fee_currency=ROGER.base if order.side is Side.BUY else ROGER.quote,
        )
        order.trades.append(trade)
        self.news.append(events.TradeNews(trade))
        self._tell(order)

    def _tell(self, order: Held) -> None:
        """The stream names orders by their numbers alone."""
        self.news.append(events.OrderNews(replace(order.row(), client_id=None)))

    # What it says when it is asked ------------------------------------------------------------------------

    def answer(self, question: Command, now: int) -> events.What:
        match question:
            case ReadBalances(query=query):
                return events.BalancesRead(query, RICH)
            case ReadOrder(query, order_id):
                order = self.orders.get(order_id)
                return events.OrderRead(query, order_id, order and order.row(alone=True))
            case ListTrades(query=query, time_from=since):
                trades = [trade for order in self.orders.values() for trade in order.trades]
                shown = sorted((each for each in trades if each.created_at >= since), key=lambda each: each.id)
                return events.TradesListed(query, tuple(shown), full=False)
            case ListOrders(query=query, states=states, time_from=since, time_to=until):
                rows = [
                    order.row()
                    for order in self.orders.values()
                    if (not states or order.state in states)
                    and (since or 0) <= order.created // SECOND < (until or 10**12)
                ]
                return events.OrdersListed(query, tuple(rows), full=False, venue_time=now)
        raise AssertionError(question)
