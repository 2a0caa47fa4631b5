"""One member of an exchange as a client meets it: commands in, events out, and the time that both take.

What comes out is what the wire would have said and the codecs have understood, without text in between: answers
(wire reference 4), and the private stream's news in their order (5.2, 6.4). Answers overtake news and news answers, as
on two sockets; each kind keeps its own order.
"""

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from runner.model.command import (
    Cancel,
    Command,
    ListOrders,
    ListTrades,
    ListTransfers,
    Place,
    ReadBalances,
    ReadOrder,
)
from runner.model.event import (
    Accepted,
    BalanceNews,
    BalancesRead,
    CancelAnswered,
    NotSent,
    OrderNews,
    OrderRead,
    OrdersListed,
    Rejected,
    Sent,
    StreamUp,
    TradeNews,
    TradesListed,
    TransfersListed,
    What,
)
from runner.model.order import BalanceRow, OrderRow, TradeRow, TransferRow
from runner.model.paper import Latency, PaperModels
from runner.model.settings import MILLISECOND, SECOND
from runner.simulation.admission import OrderRefused
from runner.simulation.dice import Dice, seed_state
from runner.simulation.exchange import Exchange
from runner.simulation.feed import BalanceChanged, FeedEvent, OrderChanged, Traded
from runner.simulation.records import Member, Order, Trade

PAGE = 1000
"""Rows of a page (wire reference 4)."""
TRANSFERS = 100
REFUSED = 422

LISTENS = StreamUp("private", ("order", "trade", "balance"))
"""What an engine is told first: news of such a member come from the first moment on."""

Row = TypeVar("Row")

Heard = Callable[[int, Sequence[FeedEvent]], None]
"""Told everything that the exchange said at one moment, in order."""


class Client:
    """`now` is when it begins to listen. The exchange moves only by `advance`; it is the client's to move.

    The member's rows are kept by the exchange for ever, as those of keyholders are.
    """

    def __init__(
        self,
        exchange: Exchange,
        member: Member,
        models: PaperModels,
        *,
        seed: str,
        now: int,
        heard: Heard | None = None,
    ) -> None:
        self.exchange = exchange
        self._member = member.id
        self._models = models
        self._dice = Dice(seed_state(seed, "latency"))
        self._heard = heard
        self._markets = {market.symbol: market for market in exchange.markets}
        self._requests: list[tuple[int, int, Command, int]] = []  # on their way, by when they arrive; when they left
        self._coming: list[tuple[int, int, What]] = []  # answers and news on their way
        self._count = 0  # of two that are due at once the earlier one is first
        self._open: dict[int, None] = {}  # orders of ours that may be at work
        self._answered_at = self._told_at = now
        exchange.database.keep(member.id)
        exchange.feed.clear()  # it was said before we listened

    # Requests ---------------------------------------------------------------------------------------------

    def submit(self, command: Command, now: int) -> None:
        """A request leaves us. A create that was to be signed earlier than this does not."""
        if isinstance(command, Place) and self._nonce(now) > command.sign_before:
            self._answer(now, NotSent(command.client_id, "too late to be signed"))
            return
        latency = self._models.cancel if isinstance(command, Cancel) else self._models.order
        self._count += 1
        heapq.heappush(self._requests, (now + self._draw(latency), self._count, command, now))

    def next_due(self) -> int | None:
        """When something happens next."""
        due = [at for at in (self.exchange.next_due(),) if at is not None]
        due += [heap[0][0] for heap in (self._requests, self._coming) if heap]
        return min(due, default=None)

    def advance(self, now: int) -> list[tuple[int, What]]:
        """Everything that is here by now and was not before, with the times at which it came."""
        while True:
            due = self._due()
            if due is None or due > now:
                break
            self.move(due)
            while self._requests and self._requests[0][0] <= due:
                _, _, command, left_at = heapq.heappop(self._requests)
                self._arrive(command, left_at, due)
                self.listen()
        self.move(now)
        come = []
        while self._coming and self._coming[0][0] <= now:
            at, _, what = heapq.heappop(self._coming)
            come.append((at, what))
        return come

    def move(self, now: int) -> None:
        """Let the exchange do what is due, and hear what it says of it."""
        self.exchange.advance(now)
        self.listen()

    def _nonce(self, now: int) -> int:
        """What a create that leaves now is signed with: the venue's time, ms."""
        return (now + self.exchange.clock_offset) // MILLISECOND

    def _due(self) -> int | None:
        at = self.exchange.next_due()
        if self._requests and (at is None or self._requests[0][0] < at):
            return self._requests[0][0]
        return at

    def _draw(self, latency: Latency) -> int:
        if latency.samples:
            return self._dice.choice(latency.samples)
        if not latency.spread:
            return latency.least
        chance = self._dice.uniform() if latency.shape == "uniform" else self._dice.exponential()
        return latency.least + int(latency.spread * chance)

    # Answers ----------------------------------------------------------------------------------------------

    def _arrive(self, command: Command, left_at: int, now: int) -> None:
        match command:
            case Place():
                said = self._create(command)
                self._answer(now, Sent(command.client_id, self._nonce(left_at)))
                self._answer(now, said)
            case Cancel(order_id):
                order = self._own(order_id)
                if order is not None:
                    self.exchange.cancel(order)
                row = None if order is None else order_row(order)
                reason = "404 record.not_found" if order is None else ""
                self._answer(now, CancelAnswered(order_id, row, reason))
            case ListOrders():
                self._answer(now, self._orders(command))
            case ReadOrder(query, order_id):
                order = self._own(order_id)
                self._answer(now, OrderRead(query, order_id, None if order is None else self._read(order)))
            case ListTrades():
                self._answer(now, self._trades(command))
            case ReadBalances(query, page):
                accounts = sorted(self.exchange.accounts.of(self._member).items())
                rows = [BalanceRow(currency, each.available, each.locked) for currency, each in accounts]
                page_rows = _page(rows, page)
                self._answer(now, BalancesRead(query, tuple(page_rows), full=len(page_rows) >= PAGE))
            case ListTransfers():
                self._answer(now, self._transfers(command))
            case _:
                raise TypeError(f"{type(command).__name__} is not a request to the venue")

    def _create(self, command: Place) -> What:
        market = self._markets.get(command.market)
        if market is None or not market.enabled:
            return Rejected(command.client_id, REFUSED, ("market.market.doesnt_exist_or_not_enabled",))
        volume = market.quantity(command.lots)
        price = None if command.ticks is None else market.price(command.ticks)
        try:
            order = self.exchange.create(self._member, market, command.side, volume, price, client_id=command.client_id)
        except OrderRefused as refused:
            return Rejected(command.client_id, REFUSED, (refused.code,))
        self._open[order.id] = None
        return Accepted(command.client_id, order_row(order))

    def _own(self, order_id: int) -> Order | None:
        order = self.exchange.database.order(order_id)
        return order if order is not None and order.member == self._member else None

    def _orders(self, command: ListOrders) -> OrdersListed:
        database = self.exchange.database
        if command.states and not set(command.states) - {"pending", "wait"}:
            found = [order for order_id in self._open if (order := self._own(order_id)) is not None]
            found = [order for order in found if not order.state.terminal]
            self._open = {order.id: None for order in found}
        else:
            found = database.orders_of(self._member)
        since, until = command.time_from, command.time_to
        chosen = [
            order
            for order in found
            if (not command.states or order.state in command.states)
            and (since is None or order.created // SECOND >= since)
            and (until is None or order.created // SECOND < until)
        ]
        chosen.sort(key=lambda order: (order.updated // SECOND, order.id), reverse=True)
        rows = _page(chosen, command.page)
        told = self.exchange.time // SECOND * SECOND
        return OrdersListed(command.query, tuple(map(order_row, rows)), full=len(rows) >= PAGE, venue_time=told)

    def _read(self, order: Order) -> OrderRow:
        """One order with its trades, which are told without their fee there (wire reference 4.3)."""
        trades = self.exchange.database.trades_in(order.id)
        return order_row(order, tuple(trade_row(trade, order, inside=True) for trade in trades))

    def _trades(self, command: ListTrades) -> TradesListed:
        trades = self.exchange.database.trades_of(self._member)
        first = bisect_left(trades, command.time_from, key=lambda trade: trade.time // SECOND)
        rows = _page(trades[first:], command.page)
        told = tuple(trade_row(trade, trade.order_of(self._member), with_fee=True) for trade in rows)
        return TradesListed(command.query, told, full=len(rows) >= PAGE)

    def _transfers(self, command: ListTransfers) -> TransfersListed:
        carried_in = command.kind == "deposits"
        moved = [each for each in self.exchange.transfers if each.member == self._member]
        rows = [each for each in reversed(moved) if (each.amount > 0) is carried_in][:TRANSFERS]
        told = tuple(
            TransferRow(command.kind, each.id, each.currency, abs(each.amount), each.amount * 0, each.time // SECOND)
            for each in rows
        )
        return TransfersListed(command.query, command.kind, told)

    # What comes back --------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Take what the exchange has said: our own news go on their way, and `heard` gets everything."""
        feed = self.exchange.feed
        if not feed:
            return
        events = list(feed)
        feed.clear()
        now = self.exchange.now
        for event in events:
            for what in self._private(event):
                self.tell(now, what)
        if self._heard is not None:
            self._heard(now, events)

    def _private(self, event: FeedEvent) -> Iterable[What]:
        match event:
            case OrderChanged(order) if order.member == self._member:
                yield OrderNews(order_row(order, named=False))
            case BalanceChanged(member, currency, available, locked) if member == self._member:
                yield BalanceNews(BalanceRow(currency, available, locked))
            case Traded(trade):
                for member in trade.members:  # once for each role: a self-trade shows its maker twice
                    if member == self._member:
                        yield TradeNews(trade_row(trade, trade.order_of(member)))

    def tell(self, now: int, what: What) -> None:
        """A piece of news leaves the exchange; none overtakes another."""
        self._told_at = max(self._told_at, now + self._draw(self._models.data))
        self._put(self._told_at, what)

    def _answer(self, now: int, what: What) -> None:
        self._answered_at = max(self._answered_at, now + self._draw(self._models.data))
        self._put(self._answered_at, what)

    def _put(self, at: int, what: What) -> None:
        self._count += 1
        heapq.heappush(self._coming, (at, self._count, what))


def order_row(order: Order, trades: tuple[TradeRow, ...] | None = None, *, named: bool = True) -> OrderRow:
    """A row in the engine's words; the stream tells no names."""
    return OrderRow(
        id=order.id,
        market=order.market.symbol,
        side=order.side,
        state=order.state.value,
        ticks=order.ticks,
        origin_lots=order.lots,
        remaining_lots=order.left,
        executed_lots=order.executed,
        created_at=order.created // SECOND,
        updated_at=order.updated // SECOND,
        client_id=order.client_id if named else None,
        trades=trades,
    )


def trade_row(trade: Trade, order: Order, *, with_fee: bool = False, inside: bool = False) -> TradeRow:
    """One order's side of a trade. Only the list of trades tells the fee; inside an order its id is left out."""
    fee, currency = None, None
    if with_fee:
        _, fee, currency = trade.fee(order)
    return TradeRow(
        id=trade.id,
        order_id=None if inside else order.id,
        market=trade.market.symbol,
        side=order.side,
        ticks=trade.ticks,
        lots=trade.lots,
        taker_side=trade.taker.side,
        created_at=trade.time // SECOND,
        fee=fee,
        fee_currency=currency,
    )


def _page(rows: Sequence[Row], page: int) -> Sequence[Row]:
    return rows[PAGE * (page - 1) : PAGE * page]
