"""Reads every event and output once; log lines, terminal and summary are its readers."""

from collections import deque
from collections.abc import Callable, Sequence
from decimal import Decimal

from runner.engine.core import Engine
from runner.engine.feeds import Feed
from runner.model.command import FillBooked, Note, OrderChanged, Output, Place
from runner.model.event import Event
from runner.model.money import MONEY, ZERO
from runner.model.order import Fill, Order, OrderState
from runner.report.status import MarketStatus, OrderCounts, OrderStatus, Status

NOTES_KEPT = 12

_COUNTED = {
    OrderState.FILLED: "filled",
    OrderState.CANCELLED: "cancelled",
    OrderState.REJECTED: "rejected",
    OrderState.ABSENT: "absent",
}

Reader = Callable[[int, Note], None]
"""Called for each note with the time of its event (UTC ns)."""


class Audit:
    """What a run did so far, and what it looks like now. Counts are of this run, not of the journal's life."""

    def __init__(self, engine: Engine, *, run: str, name: str, venue: str, now: int, model: str = "") -> None:
        """`model`: what a paper account assumes, in words."""
        self._engine = engine
        self.run = run
        self._name = name
        self._venue = venue
        self._model = model
        self._started_at = self._time = now
        self._ended: dict[str, OrderState] = {}
        self._placed = 0
        self._refused = 0
        self._fills: dict[tuple[int, int], Fill] = {}
        self._notes: deque[tuple[int, Note]] = deque(maxlen=NOTES_KEPT)
        self._readers: list[Reader] = []

    def tell(self, reader: Reader) -> None:
        self._readers.append(reader)

    def remark(self, time: int, note: Note) -> None:
        """Tell a note. One that is no event's own is what is to be said before the first of them."""
        self._notes.append((time, note))
        for reader in self._readers:
            reader(time, note)

    def take(self, event: Event, output: Output) -> None:
        """Fold one step of the engine in."""
        self._time = event.time
        for command in output.commands:
            self._placed += isinstance(command, Place)
        for change in output.changes:
            match change:
                case OrderChanged(order):
                    self._order(order)
                case FillBooked(fill):
                    self._fills[fill.key] = fill
        for note in output.notes:
            self._refused += note.what == "order.refused"
            self.remark(event.time, note)

    @property
    def fills(self) -> Sequence[Fill]:
        """Those of this run, in the order in which they were learnt."""
        return tuple(self._fills.values())

    def _order(self, order: Order) -> None:
        if order.state in _COUNTED:
            self._ended[order.client_id] = order.state
        else:
            self._ended.pop(order.client_id, None)

    def status(self, now: int) -> Status:
        engine = self._engine
        if not engine.markets:
            return self._bare(now)
        ledger = engine.account.ledger
        markets = tuple(self._market(feed, now) for feed in engine.feeds.by_symbol.values())
        live = sorted(engine.account.orders.live(), key=lambda order: order.slot)
        volume, fees = self._flows()
        unrealised: dict[str, Decimal] = {}
        for market, feed in zip(markets, engine.feeds.by_symbol.values(), strict=True):
            if market.unrealised is not None:
                quote = feed.market.quote
                unrealised[quote] = MONEY.add(unrealised.get(quote, ZERO), market.unrealised)
        currencies = dict.fromkeys(
            currency for feed in engine.feeds.by_symbol.values() for currency in (feed.market.base, feed.market.quote)
        )
        return Status(
            run=self.run,
            name=self._name,
            venue=self._venue,
            model=self._model,
            phase=engine.phase,
            started_at=self._started_at,
            time=now,
            markets=markets,
            orders=tuple(_order_status(order, engine.feeds.by_symbol[order.market], now) for order in live),
            counts=self._counts(live),
            ticks=engine.ticks,
            fills=len(self._fills),
            volume=volume,
            fees=fees,
            position={currency: ledger.position(currency) for currency in currencies},
            realised=dict(ledger.realised),
            unrealised=unrealised,
            reason=engine.reason,
            notes=tuple(self._notes),
        )

    def _bare(self, now: int) -> Status:
        return Status(
            run=self.run,
            name=self._name,
            venue=self._venue,
            model=self._model,
            phase="starting",
            started_at=self._started_at,
            time=now,
        )

    def _counts(self, live: list[Order]) -> OrderCounts:
        ended = list(self._ended.values())
        return OrderCounts(
            placed=self._placed,
            refused=self._refused,
            unknown=sum(order.state is OrderState.UNKNOWN for order in live),
            **{word: ended.count(state) for state, word in _COUNTED.items()},
        )

    def _flows(self) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
        volume: dict[str, Decimal] = {}
        fees: dict[str, Decimal] = {}
        for fill in self._fills.values():
            market = self._engine.markets[fill.market]
            for currency, amount in (
                (market.base, market.quantity(fill.lots)),
                (market.quote, market.notional(fill.ticks, fill.lots)),
            ):
                volume[currency] = MONEY.add(volume.get(currency, ZERO), amount)
            fees[fill.fee_currency] = MONEY.add(fees.get(fill.fee_currency, ZERO), fill.fee)
        return volume, fees

    def _market(self, feed: Feed, now: int) -> MarketStatus:
        market, ledger = feed.market, self._engine.account.ledger
        holding = ledger.holding(market.symbol)
        bid, ask = feed.book.best_bid(), feed.book.best_ask()
        unrealised = None
        if bid is not None and ask is not None:
            mark = MONEY.divide(MONEY.add(market.price(bid[0]), market.price(ask[0])), Decimal(2))
            unrealised = ledger.unrealised(market.symbol, mark)
        return MarketStatus(
            symbol=market.symbol,
            book=feed.book.state,
            age=now - feed.heard_at if feed.heard_at else None,
            best_bid=None if bid is None else market.price(bid[0]),
            best_ask=None if ask is None else market.price(ask[0]),
            position=holding.base,
            average_price=holding.average_price,
            realised=holding.realised,
            unrealised=unrealised,
        )


def _order_status(order: Order, feed: Feed, now: int) -> OrderStatus:
    market = feed.market
    return OrderStatus(
        slot=order.slot,
        market=order.market,
        side=order.side,
        price=None if order.ticks is None else market.price(order.ticks),
        quantity=market.quantity(order.lots),
        remaining=market.quantity(order.remaining_lots),
        state=order.state.value,
        age=now - order.created,
    )
