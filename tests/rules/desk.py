"""The engine and nobody else: every event is made by hand, and time stands still until a test moves it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

from runner.engine.core import Engine
from runner.engine.orders import Orders
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model.command import Command, ListOrders, ListTrades, Note, Output, Place, ReadBalances, ReadOrder
from runner.model.event import (
    Accepted,
    BalancesRead,
    BookSnapshot,
    Budget,
    ClockRead,
    Configured,
    Event,
    MarketsRead,
    NonceWindowProbed,
    OrderRead,
    OrdersListed,
    Restored,
    Sent,
    StreamUp,
    TradesListed,
    Wake,
    What,
)
from runner.model.ids import client_id
from runner.model.market import Market
from runner.model.order import BalanceRow, Fill, Order, OrderRow, OrderState, Quote, Role, Side, TradeRow
from runner.model.settings import MILLISECOND, SECOND, Settings

ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000010"),
    quantity_min=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
)
START = 1_700_000_000 * SECOND
EPOCH, TAG = 28_333_333, "RULESA"
BID, ASK, LOTS = 4000, 6000, 10_000
W, D = 5 * SECOND, 30 * SECOND
_C = TypeVar("_C", bound=Command)


class Wants(State, frozen=True):
    pass


class Quotes(Strategy, frozen=True):
    """Whatever `Desk.quotes` says; a string there is an error to raise."""

    def slots(self) -> Sequence[str]:
        return ("bid", "ask", "low")

    def tick(self, view: View, state: State) -> Decision:
        if Desk.fails:
            raise RuntimeError("a mistake")
        return Decision(Desk.quotes, state, "as told")

    def initial_state(self) -> State:
        return Wants()


BID_QUOTE = Quote("bid", Side.BUY, 0.00004, 100)
ASK_QUOTE = Quote("ask", Side.SELL, 0.00006, 100)


class Desk:
    """One engine. It is ready to tick unless `ready=False`; its first tick has then been made."""

    quotes: tuple[Quote, ...] = ()
    fails = False

    def __init__(
        self,
        quotes: tuple[Quote, ...] = (BID_QUOTE,),
        *,
        restored: Restored | None = None,
        ready: bool = True,
        enforced: bool = True,
        at_work: tuple[OrderRow, ...] = (),
        funds: int = 10**6,
        free: int = 30,
        history: tuple[OrderRow, ...] = (),
        trades: tuple[TradeRow, ...] = (),
        page: int = 1000,
        mute: bool = False,
        **settings: Any,
    ) -> None:
        Desk.quotes, Desk.fails = quotes, False
        self.now, self.number, self.free = START, 0, free
        self.funds = funds
        self.outputs: list[Output] = []
        self.engine = Engine(Quotes)
        self.mute = mute  # the venue does not answer look-ups by itself
        self._unanswered: tuple[Command, ...] = ()
        self.at_work = at_work
        self.history, self.trades, self.page = history, trades, page  # of the account, as far as it goes back
        configured = Settings(name="rules", tag=TAG, markets=(ROGER.symbol,), strategy="quotes", **settings)
        for what in (Configured(configured), restored or Restored(EPOCH), MarketsRead((ROGER,)), ClockRead(0, 0)):
            self.give(what)
        self.give(NonceWindowProbed(enforced))
        self.give(StreamUp("public", ()))
        self.give(BookSnapshot(ROGER.symbol, 1, ((BID + 900, 10**7),), ((ASK - 900, 10**7),)))
        if ready:
            self.give(StreamUp("private", ("order", "trade", "balance")))

    # Events -----------------------------------------------------------------------------------------------

    def give(self, what: What) -> Output:
        """One event; what the engine asks the venue for is answered, unless it is about single orders."""
        before = self._handle(Budget(self.free, self.now + SECOND))
        output = self._handle(what)
        commands = before.commands + output.commands
        if self.mute:
            self._unanswered += commands
        else:
            self._serve(commands)
        return output

    def speak(self) -> None:
        """No longer mute: what was asked meanwhile is answered, too."""
        self.mute = False
        commands, self._unanswered = self._unanswered, ()
        self._serve(commands)

    def _serve(self, commands: tuple[Command, ...]) -> None:
        while commands:
            commands = tuple(
                c for each in commands for answer in self._answers(each) for c in self._handle(answer).commands
            )

    def _handle(self, what: What) -> Output:
        self.number += 1
        output = self.engine.handle(Event(self.number, self.now, what))
        self.outputs.append(output)
        return output

    def _answers(self, command: Command) -> list[What]:
        match command:
            case ReadBalances():
                rows = (
                    BalanceRow("ROGER", Decimal(self.funds), Decimal(0)),
                    BalanceRow("BTC", Decimal(self.funds), Decimal(0)),
                )
                return [BalancesRead(command.query, rows)]
            case ListOrders(states=states) if states:
                rows_ = tuple(row for row in self.at_work if row.state in states)
                return [OrdersListed(command.query, rows_, full=False, venue_time=self.now)]
            case ListOrders(time_from=int() as since, time_to=int() as until) if command.query < 0:
                there = [row for row in self.history if since <= row.created_at < until]
                newest = sorted(there, key=lambda row: row.updated_at, reverse=True)[: self.page]
                return [OrdersListed(command.query, tuple(newest), full=len(newest) == self.page)]
            case ReadOrder() if command.query < 0:
                shown = {row.id: row for row in self.history}
                return [OrderRead(command.query, command.order_id, shown.get(command.order_id))]
            case ListTrades(time_from=since) if command.query < 0:
                later = [row for row in self.trades if row.created_at >= since]
                part = later[(command.page - 1) * self.page : command.page * self.page]
                return [TradesListed(command.query, tuple(part), full=len(part) == self.page)]
            case ListTrades():
                return [TradesListed(command.query, (), full=False)]
        return []

    def wait(self, seconds: float) -> None:
        """Time passes; the engine is woken whenever it wanted to be, its book kept fresh."""
        end = self.now + int(seconds * SECOND)
        while self.engine.phase != "stopped":
            wanted = self.outputs[-1].wake_at
            if wanted is None or wanted > end:
                break
            self.now = max(self.now, wanted)
            self._fresh()
            self.give(Wake())
        self.now = end
        if self.engine.phase != "stopped":
            self._fresh()
            self.give(Wake())

    def _fresh(self) -> None:
        for feed in self.engine.feeds.by_symbol.values():
            feed.heard_at = self.now

    def accept(self, place: Place, order_id: int = 1, state: str = "wait", **fields: Any) -> OrderRow:
        found = row(place.client_id, order_id, state, at=self.now, side=place.side, ticks=place.ticks, **fields)
        self.give(Sent(place.client_id, self.now // MILLISECOND))
        self.give(Accepted(place.client_id, found))
        return found

    # What came of it --------------------------------------------------------------------------------------

    @property
    def orders(self) -> Orders:
        return self.engine.account.orders

    def order(self, name: str) -> Order:
        found = self.orders.get(name)
        assert found is not None
        return found

    def asked(self, kind: type[_C]) -> list[_C]:
        return [command for output in self.outputs for command in output.commands if isinstance(command, kind)]

    def said(self, what: str) -> list[Note]:
        return [note for output in self.outputs for note in output.notes if note.what == what]

    def place(self) -> Place:
        """The only order asked for."""
        (place,) = self.asked(Place)
        return place


def held(order_id: int | None = None, state: OrderState = OrderState.SENT, generation: int = 0) -> Order:
    """A bid as the journal remembers it."""
    return Order(
        client_id=name(generation=generation),
        slot="bid",
        generation=generation,
        market=ROGER.symbol,
        side=Side.BUY,
        ticks=BID,
        lots=LOTS,
        state=state,
        created=START - SECOND,
        changed=START - SECOND,
        event=1,
        sign_before=START // MILLISECOND + 4000,
        nonce=START // MILLISECOND - 1000,
        venue_ids=() if order_id is None else (order_id,),
    )


def row(
    name: str | None, order_id: int, state: str = "wait", *, at: int = START, executed: int = 0, **fields: Any
) -> OrderRow:
    values = {
        "market": ROGER.symbol,
        "side": Side.BUY,
        "ticks": BID,
        "origin_lots": LOTS,
        "remaining_lots": LOTS - executed,
        "created_at": at // SECOND,
        "updated_at": at // SECOND,
        **fields,
    }
    return OrderRow(id=order_id, client_id=name, state=state, executed_lots=executed, **values)


def match(trade_id: int, order_id: int, lots: int = LOTS, **fields: Any) -> TradeRow:
    values = {"side": Side.BUY, "ticks": BID, "taker_side": Side.SELL, "created_at": START // SECOND, **fields}
    return TradeRow(id=trade_id, order_id=order_id, market=ROGER.symbol, lots=lots, **values)


def name(slot: str = "bid", generation: int = 0, epoch: int = EPOCH) -> str:
    return client_id(TAG, epoch, slot, generation)


def booked(trade_id: int, order_id: int, **fields: Any) -> Fill:
    """A fill of a whole bid as the journal remembers it, its fee not told yet."""
    values = {
        "client_id": name(),
        "market": ROGER.symbol,
        "side": Side.BUY,
        "ticks": BID,
        "lots": LOTS,
        "role": Role.MAKER,
        "fee": Decimal("0.1"),
        "fee_currency": "ROGER",
        "time": START,
        "traded_at": START // SECOND,
        **fields,
    }
    return Fill(trade_id=trade_id, order_id=order_id, **values)
