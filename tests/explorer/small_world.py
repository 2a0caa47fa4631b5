"""One runner and one exchange, small enough to look at everything that can happen to them.

The engine is the real one. Around it are values: a journal of dictionaries, a gateway that signs and sends, an
exchange that authorises, inserts, fills and cancels whenever it likes within W and D, and the messages on their way.
A world can be copied (pickled), so what it does next is not drawn but enumerated: `moves` names everything that can
happen now, `make` lets one of them happen and checks the laws of orders.md.

Time goes in whole steps of W: within a step everything happens in every order, and a step ends only when nothing is
left that the step's end would make impossible. The exchange is a hair more hostile than the real one: a nonce of
exactly W is still good, and a row appears up to and including D after it was authorised.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from msgspec.structs import replace

from runner.engine.core import Engine
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model import event as events
from runner.model.command import (
    Cancel,
    Change,
    Command,
    FillBooked,
    Finish,
    ListOrders,
    ListTrades,
    OrderChanged,
    Place,
    ReadBalances,
    ReadOrder,
    StateChanged,
)
from runner.model.ids import parse_client_id
from runner.model.market import Market
from runner.model.order import BalanceRow, Fill, Order, OrderRow, OrderState, Quote, Side, TradeRow
from runner.model.settings import MILLISECOND, SECOND, Limits, Settings, TickPolicy

START = 1_700_000_000 * SECOND
W = 5 * SECOND
STEP = W
CREATE_WITHIN = 15 * SECOND  # then the gateway gives the answer up
BUDGET = 30  # never short: what a bucket does has its own tests
RESTORED_FOR = 15 * 60 * SECOND
SYMBOL = "ROGER-BTC"
LOTS = 2  # of every order, so that it can be filled in part
BOOKS = ((100, 110), (101, 111))  # (bid, ask) in ticks: where the market stands, and where it may move

MARKET = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=0,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)
RICH = tuple(BalanceRow(currency, Decimal(10**9), Decimal(0)) for currency in ("ROGER", "BTC"))


class Bid(Strategy, frozen=True):
    """Wants one bid just below the best one, so its wish moves with the book."""

    def slots(self) -> Sequence[str]:
        return ("a",)

    def tick(self, view: View, state: State) -> Decision:
        best = view.book.best_bid
        assert best is not None
        return Decision([self.quote(slot, best) for slot in self.slots()], state, "below the best bid")

    def quote(self, slot: str, best: float) -> Quote:
        return Quote(slot, Side.BUY, best - 1e-8, LOTS)


class TwoBids(Bid, frozen=True):
    """Two orders of one side, which share one limit of the position."""

    def slots(self) -> Sequence[str]:
        return ("a", "b")


class BothSides(TwoBids, frozen=True):
    def quote(self, slot: str, best: float) -> Quote:
        return super().quote(slot, best) if slot == "a" else Quote(slot, Side.SELL, best + 12e-8, LOTS)


@dataclass(frozen=True)
class Bounds:
    """What may happen in a world, and how often. Everything else is free: only time and order are searched."""

    strategy: type[Strategy] = Bid
    creates: int = 2
    steps: int = 6  # of time
    faults: int = 1  # of all kinds together
    kinds: frozenset[str] = frozenset()  # of the faults, see FAULTS
    fills: int = 0
    moves: int = 0  # of the market, each of which changes what the strategy wants
    stops: int = 1
    slow: int = 0  # how many steps creates may hang in flight, all of them together
    settle: int = W  # D, as the exchange keeps it
    told_settle: int | None = None  # D, as the engine is told; None: the same
    max_position: int | None = None  # lots
    on_stop: str = "cancel"


FAULTS = frozenset(
    {
        "cut",  # the runner loses the line before an answer, whatever becomes of the create
        "lost",  # a create never arrives
        "twice",  # a proxy repeats a create
        "refused",  # the exchange says no to a create
        "rejected",  # the exchange's engine says no to a row
        "lag",  # private news may come later than anything else (free of charge while a fault is left)
        "unheard",  # a piece of private news is lost with the socket up
        "down",  # the private socket is cut
        "failed",  # a look-up brings no answer, or a cancel never arrives
        "late",  # the answer to a look-up is old when it comes
        "ignored",  # a cancel is answered and forgotten
        "crash",
    }
)


class Broken(AssertionError):
    """A law does not hold."""


def law(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(what)


# What a world is made of ----------------------------------------------------------------------------------


class Journal:
    """What edge/journal.py keeps and restores, as dictionaries."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.orders: dict[str, Order] = {}
        self.generations: dict[str, int] = {}
        self.fills: dict[tuple[int, int], Fill] = {}
        self.state: str | None = None

    def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            match change:
                case OrderChanged(order):
                    known = self.orders.get(order.client_id)
                    fresh = order.state is not OrderState.INTENDED or known is None or known.created == order.created
                    law(fresh, f"{order.client_id} is intended twice")
                    self.orders[order.client_id] = order
                    self.generations[order.slot] = max(order.generation, self.generations.get(order.slot, -1))
                case FillBooked(fill):
                    self.fills[fill.key] = fill
                case StateChanged(state):
                    self.state = state

    def restore(self, now: int) -> events.Restored:
        known = (
            order
            for order in self.orders.values()
            if not order.state.terminal or order.state is OrderState.ABSENT or order.changed >= now - RESTORED_FOR
        )
        return events.Restored(self.epoch, tuple(known), dict(self.generations), tuple(self.fills.values()), self.state)


@dataclass(slots=True)
class Create:
    """A signed create between the runner and its row."""

    place: Place
    nonce: int  # ns


@dataclass(slots=True)
class Row:
    """An order of the exchange."""

    id: int
    place: Place
    created: int  # s
    state: str = "pending"
    executed: int = 0
    cancelling: bool = False
    trades: list[TradeRow] = field(default_factory=list)

    @property
    def live(self) -> bool:
        return self.state in {"pending", "wait"}

    @property
    def left(self) -> int:
        return self.place.lots - self.executed

    def seen(self, *, name: bool, trades: bool = False) -> OrderRow:
        return OrderRow(
            id=self.id,
            market=SYMBOL,
            side=self.place.side,
            state=self.state,
            ticks=self.place.ticks,
            origin_lots=self.place.lots,
            remaining_lots=self.left,
            executed_lots=self.executed,
            created_at=self.created,
            updated_at=self.created,
            client_id=self.place.client_id if name else None,
            trades=tuple(self.trades) if trades else None,
        )


@dataclass(slots=True)
class Process:
    """The runner while it lives, and what is on its way to and from it: a crash ends all of this."""

    engine: Engine
    number: int = 0
    wake_at: int | None = None
    free: int = BUDGET  # requests
    unsigned: list[Place] = field(default_factory=list)
    awaited: dict[str, int] = field(default_factory=dict)  # creates without an outcome so far -> when signed, ns
    answers: list[tuple[str, events.What]] = field(default_factory=list)  # to creates, on their way back
    queries: list[Command] = field(default_factory=list)  # look-ups and cancels on their way out
    late: list[events.What] = field(default_factory=list)  # answers of look-ups that take their time
    news: list[events.What] = field(default_factory=list)  # of the private stream
    up: bool = True  # the private stream
    finish: Finish | None = None


Move = tuple[str, int]
"""What happens, and to which one of those it can happen to."""


class SmallWorld:
    """One state of everything. `make` a move to come to the next one."""

    def __init__(
        self, bounds: Bounds, engine: Callable[[type[Strategy]], Engine] = Engine, journal: type[Journal] = Journal
    ) -> None:
        self.bounds = bounds
        self.engine_type = engine
        self.now = START
        self.journal = journal(START // (60 * SECOND))
        self.creates: list[Create] = []
        self.rows: dict[int, Row] = {}
        self.trades: list[TradeRow] = []
        self.placed: list[str] = []  # every name that was ever asked for
        self.answered: set[str] = set()  # those whose fate the runner was told in an answer to the create itself
        self.repeated: set[str] = set()  # those that a proxy sent twice
        self.book = 0
        self.steps = bounds.steps
        self.faults = bounds.faults
        self.fills = bounds.fills
        self.turns = bounds.moves
        self.stops = bounds.stops
        self.slow = bounds.slow
        self.beyond = False  # more creates than this world is meant for
        self.process: Process | None = None
        self.begin()

    @property
    def step_began(self) -> int:
        """The exchange's clock: the same for a whole step."""
        return self.now - self.now % STEP

    # The runner -------------------------------------------------------------------------------------------

    def begin(self) -> None:
        bounds = self.bounds
        limits = Limits(max_position={} if bounds.max_position is None else {"ROGER": Decimal(bounds.max_position)})
        settings = Settings(
            name="small",
            tag="SMALLW",
            markets=(SYMBOL,),
            strategy="small",
            tick=TickPolicy(every=STEP),
            limits=limits,
            on_stop="leave" if bounds.on_stop == "leave" else "cancel",
            settle=bounds.settle if bounds.told_settle is None else bounds.told_settle,
        )
        self.process = Process(self.engine_type(bounds.strategy))
        for what in (
            events.Configured(settings),
            self.journal.restore(self.now),
            events.MarketsRead((MARKET,)),
            events.Budget(BUDGET, self.now),
            events.ClockRead(0, 0),
            events.NonceWindowProbed(enforced=True),
            events.StreamUp("private", ("order", "trade", "balance")),
            events.StreamUp("public", ()),
            self._snapshot(),
        ):
            self.tell(what)

    def tell(self, what: events.What) -> None:
        """One event: handled, made durable, and its commands on their way."""
        process = self.process
        if process is None or process.finish is not None:
            return
        if process.free < BUDGET - 10:
            process.free = BUDGET
            self._handle(process, events.Budget(BUDGET, self.now))
        self._handle(process, what)

    def _handle(self, process: Process, what: events.What) -> None:
        process.number += 1
        self.now += 1  # no two events at once: what was first stays first
        output = process.engine.handle(events.Event(process.number, self.now, what))
        process.wake_at = output.wake_at
        self.journal.commit(output.changes)
        process.free -= len(output.commands)
        for command in output.commands:
            self._take(process, command)

    def _balances(self) -> tuple[BalanceRow, ...]:
        """More than can be spent, and what the trades have moved: nothing here drifts (orders.md 17)."""
        moved = {row.currency: row.available for row in RICH}
        for trade in self.trades:
            sign = trade.side.sign
            moved["ROGER"] += sign * MARKET.quantity(trade.lots)
            moved["BTC"] -= sign * MARKET.notional(trade.ticks, trade.lots)
        return tuple(BalanceRow(currency, amount, Decimal(0)) for currency, amount in moved.items())

    def _take(self, process: Process, command: Command) -> None:
        match command:
            case Place():
                law(process.engine.stop is None, f"{command.client_id} is asked for behind the gate")
                self._new_name(command)
                process.unsigned.append(command)
                self.beyond = len(self.placed) > self.bounds.creates
            case ReadBalances(query=query):
                self.tell(events.BalancesRead(query, self._balances()))
            case ListTrades(query=query):
                told = tuple(replace(trade, fee=Decimal(0), fee_currency="ROGER") for trade in self.trades)
                self.tell(events.TradesListed(query, told, full=False))
            case Finish():
                process.finish = command
                self._check_end(command)
            case Cancel() | ListOrders() | ReadOrder():
                process.queries.append(command)

    def _new_name(self, command: Place) -> None:
        name = command.client_id
        law(name not in self.placed, f"{name} is asked for twice")
        self.placed.append(name)
        slot = slot_of(name)
        alive = {row.place.client_id for row in self._by_our_doing() if row.live}
        for other in alive | self._unborn().keys():
            law(slot_of(other) != slot, f"{name} is asked for while {other} lives or may come to live in its slot")

    def _unborn(self) -> dict[str, Place]:
        """Creates in flight that can bring to life what is not there yet, by name: a proxy's copies apart."""
        there = {row.place.client_id for row in self.rows.values()} | self.answered
        return {each.place.client_id: each.place for each in self.creates if each.place.client_id not in there}

    def _by_our_doing(self) -> Iterator[Row]:
        """Of each name the rows that the runner knows, or the first one: the others are a proxy's doing."""
        known = {id_ for order in self.journal.orders.values() for id_ in order.venue_ids}
        told = {self.rows[id_].place.client_id for id_ in known} | self.answered
        for row in self.rows.values():
            if row.id in known or row.place.client_id not in told:
                told.add(row.place.client_id)
                yield row

    # What can happen --------------------------------------------------------------------------------------

    def moves(self) -> Iterator[Move]:
        if self.beyond:
            return
        process = self.process
        if process is not None and process.finish is not None:
            if process.finish.exit_code != 0 and self.steps:
                yield "restart", 0
            return  # the exchange may go on, but the law of the end was about all of its future
        if process is not None:
            yield from self._moves_of(process)
        elif self.steps:
            yield "restart", 0
        yield from self._moves_of_the_exchange()
        if self._may_pass(process):
            yield "step", 0

    def _moves_of(self, process: Process) -> Iterator[Move]:
        for index in range(len(process.unsigned)):
            yield "sign", index
        for index in range(len(process.answers)):
            yield "answer", index
        for index, query in enumerate(process.queries):
            yield from self._moves_of_a_query(index, query)
        for index in range(len(process.late)):
            yield "tell", index
        for index, (name, signed) in enumerate(process.awaited.items()):
            hopeless = name not in {place.client_id for place in self._on_its_way()}
            if hopeless or self.step_began >= signed + CREATE_WITHIN or self._can("cut"):
                yield "cut", index
        yield from self._moves_of_the_stream(process)
        if self._can("crash"):
            yield "crash", 0
        if self.stops and process.engine.phase in {"starting", "trading"}:
            yield "stop", 0
        if self.turns:
            yield "move-market", 0

    def _moves_of_a_query(self, index: int, query: Command) -> Iterator[Move]:
        yield "serve", index
        if self._can("failed"):
            yield "fail", index
        if self._can("late") and not isinstance(query, Cancel):
            yield "read-now-tell-later", index
        if self._can("ignored") and isinstance(query, Cancel):
            yield "ignore-cancel", index

    def _moves_of_the_stream(self, process: Process) -> Iterator[Move]:
        if process.news:
            yield "news", 0
            if self._can("unheard"):
                yield "lose-news", 0
        if not process.up:
            yield "reconnect", 0
        elif self._can("down"):
            yield "disconnect", 0

    def _moves_of_the_exchange(self) -> Iterator[Move]:
        for index, create in enumerate(self.creates):
            yield "insert", index
            if self._can("twice") and create.place.client_id not in self.repeated:
                yield "copy", index
            if self._can("lost"):
                yield "lose", index
            if self._can("refused"):
                yield "refuse", index
        for row in self.rows.values():
            if row.state == "pending":
                yield "open", row.id
                if self._can("rejected"):
                    yield "reject", row.id
            if row.state == "wait":
                if row.cancelling:
                    yield "cancel", row.id
                if self.fills:
                    yield "fill", row.id
                    yield "fill-part", row.id

    def _can(self, kind: str) -> bool:
        return self.faults > 0 and kind in self.bounds.kinds

    def _on_its_way(self) -> Iterator[Place]:
        """Creates that an answer can still come to."""
        assert self.process is not None
        yield from (create.place for create in self.creates)
        answered = {name for name, _ in self.process.answers}
        yield from (row.place for row in self.rows.values() if row.place.client_id in answered)

    def _may_pass(self, process: Process | None) -> bool:
        """Whether time can go on without passing over what must have happened by then."""
        if not self.steps or len(self.creates) > self.slow:
            return False
        after = self.step_began + STEP
        if any(after > create.nonce + W + self.bounds.settle for create in self.creates):
            return False  # it was authorised by W, and is a row by W + D
        if process is None:
            return True
        if process.news or process.answers or process.queries or not process.up:
            return False
        if any(after > place.sign_before * MILLISECOND for place in process.unsigned):
            return False
        return all(after <= signed + CREATE_WITHIN for signed in process.awaited.values())

    # Letting it happen ------------------------------------------------------------------------------------

    def make(self, move: Move) -> None:
        what, which = move
        getattr(self, "_" + what.replace("-", "_"))(which)
        self.check()

    def _fault(self) -> None:
        self.faults -= 1

    def _alive(self) -> Process:
        assert self.process is not None
        return self.process

    def _snapshot(self) -> events.BookSnapshot:
        bid, ask = BOOKS[self.book]
        return events.BookSnapshot(SYMBOL, self.now // SECOND, ((bid, 50),), ((ask, 50),))

    def _step(self, _: int) -> None:
        self.now += STEP  # not to the step's first moment: what waited for a whole step has waited long enough
        self.steps -= 1
        self.slow -= len(self.creates)
        process = self.process
        if process is None:
            return
        self.tell(events.StreamAlive("public"))
        if process.wake_at is not None and process.wake_at <= self.now:
            self.tell(events.Wake())

    def _sign(self, index: int) -> None:
        """Behind the gate it never leaves; else it is signed now and flies."""
        process = self._alive()
        place = process.unsigned.pop(index)
        if process.engine.stop is not None:
            self.tell(events.NotSent(place.client_id, "the gate is closed"))
            return
        process.awaited[place.client_id] = self.step_began
        self.creates.append(Create(place, self.step_began))

    def _answer(self, index: int) -> None:
        process = self._alive()
        name, what = process.answers.pop(index)
        signed = process.awaited.pop(name, None)
        if signed is None:
            return  # the line was given up before
        self.answered.add(name)
        self.tell(events.Sent(name, signed // MILLISECOND))
        self.tell(what)

    def _cut(self, index: int) -> None:
        process = self._alive()
        name, signed = list(process.awaited.items())[index]
        if name in {place.client_id for place in self._on_its_way()} and self.step_began < signed + CREATE_WITHIN:
            self._fault()
        del process.awaited[name]
        process.answers = [answer for answer in process.answers if answer[0] != name]
        self.tell(events.Sent(name, signed // MILLISECOND))
        self.tell(events.Unknown(name, "connection lost"))

    def _serve(self, index: int) -> None:
        self.tell(self._served(self._alive().queries.pop(index)))

    def _read_now_tell_later(self, index: int) -> None:
        self._fault()
        process = self._alive()
        process.late.append(self._served(process.queries.pop(index)))

    def _tell(self, index: int) -> None:
        self.tell(self._alive().late.pop(index))

    def _fail(self, index: int) -> None:
        self._fault()
        match self._alive().queries.pop(index):
            case Cancel(order_id=order_id):
                self.tell(events.CancelAnswered(order_id, None, "connection lost"))
            case ListOrders(query=query) | ReadOrder(query=query):
                self.tell(events.QueryFailed(query, permanent=False, reason="connection lost"))

    def _ignore_cancel(self, index: int) -> None:
        self._fault()
        command = self._alive().queries.pop(index)
        assert isinstance(command, Cancel)
        self.tell(events.CancelAnswered(command.order_id, self.rows[command.order_id].seen(name=True)))

    def _served(self, query: Command) -> events.What:
        """What the exchange answers, as of now."""
        match query:
            case Cancel(order_id=order_id):
                row = self.rows[order_id]
                seen = row.seen(name=True)  # as it was when the cancel arrived
                row.cancelling = row.cancelling or row.state == "wait"  # one of a pending order is dropped
                return events.CancelAnswered(order_id, seen)
            case ReadOrder(number, order_id):
                return events.OrderRead(number, order_id, self.rows[order_id].seen(name=True, trades=True))
            case ListOrders(number, states, time_from, time_to):
                rows = tuple(
                    row.seen(name=True)
                    for row in self.rows.values()
                    if (not states or row.state in states)
                    and (time_from is None or row.created >= time_from)
                    and (time_to is None or row.created < time_to)
                )
                return events.OrdersListed(number, rows, full=False, venue_time=self.step_began)
        raise AssertionError(query)

    def _news(self, _: int) -> None:
        self.tell(self._alive().news.pop(0))

    def _lose_news(self, _: int) -> None:
        self._fault()
        self._alive().news.pop(0)

    def _disconnect(self, _: int) -> None:
        self._fault()
        process = self._alive()
        process.up = False
        process.news.clear()
        self.tell(events.StreamDown("private", "cut"))

    def _reconnect(self, _: int) -> None:
        self._alive().up = True
        self.tell(events.StreamUp("private", ("order", "trade", "balance")))

    def _crash(self, _: int) -> None:
        self._fault()
        self.process = None

    def _restart(self, _: int) -> None:
        self.begin()

    def _stop(self, _: int) -> None:
        self.stops -= 1
        self.tell(events.StopRequested("signal"))

    def _move_market(self, _: int) -> None:
        self.turns -= 1
        self.book = 1 - self.book
        self.tell(self._snapshot())

    # The exchange

    def _copy(self, index: int) -> None:
        self._fault()
        original = self.creates[index]
        self.repeated.add(original.place.client_id)
        self.creates.append(Create(original.place, original.nonce))

    def _lose(self, index: int) -> None:
        self._fault()
        del self.creates[index]

    def _insert(self, index: int) -> None:
        create = self.creates.pop(index)
        row = Row(len(self.rows) + 1, create.place, self.now // SECOND)
        self.rows[row.id] = row
        self._reply(create, events.Accepted(create.place.client_id, row.seen(name=True)))
        self._tell_of(events.OrderNews(row.seen(name=False)))

    def _refuse(self, index: int) -> None:
        self._fault()
        create = self.creates.pop(index)
        codes = ("market.account.insufficient_balance",)
        self._reply(create, events.Rejected(create.place.client_id, 422, codes))

    def _reply(self, create: Create, what: events.What) -> None:
        if self.process is not None and create.place.client_id in self.process.awaited:
            self.process.answers.append((create.place.client_id, what))

    def _open(self, order_id: int) -> None:
        self._becomes(self.rows[order_id], "wait")

    def _reject(self, order_id: int) -> None:
        self._fault()
        self._becomes(self.rows[order_id], "reject")

    def _cancel(self, order_id: int) -> None:
        self._becomes(self.rows[order_id], "cancel")

    def _fill(self, order_id: int) -> None:
        self._trade(self.rows[order_id], self.rows[order_id].left)

    def _fill_part(self, order_id: int) -> None:
        self._trade(self.rows[order_id], 1)

    def _trade(self, row: Row, lots: int) -> None:
        self.fills -= 1
        assert row.place.ticks is not None
        trade = TradeRow(
            id=len(self.trades) + 1,
            order_id=row.id,
            market=SYMBOL,
            side=row.place.side,
            ticks=row.place.ticks,
            lots=lots,
            taker_side=row.place.side.opposite,
            created_at=self.now // SECOND,
        )
        self.trades.append(trade)
        row.trades.append(trade)
        row.executed += lots
        row.state = "wait" if row.left else "done"
        self._tell_of(events.TradeNews(trade), events.OrderNews(row.seen(name=False)))

    def _becomes(self, row: Row, state: str) -> None:
        row.state = state
        self._tell_of(events.OrderNews(row.seen(name=False)))

    def _tell_of(self, *news: events.What) -> None:
        """News comes at once and in order, unless a fault may hold it up."""
        process = self.process
        if process is None or not process.up:
            return
        if process.news or (self.faults and self.bounds.kinds & {"lag", "unheard", "down"}):
            process.news += news
            return
        for each in news:
            self.tell(each)

    # The laws ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Laws of every state, against what the exchange really holds."""
        coming = {create.place.client_id for create in self.creates}
        there = {row.place.client_id for row in self.rows.values()}
        law(there <= set(self.journal.orders), "an order of ours at the exchange is not in the journal")
        once = [row.place.client_id for row in self.rows.values() if row.place.client_id not in self.repeated]
        law(len(once) == len(set(once)), "a name is at the exchange twice by our doing")
        traded = {(trade.id, trade.order_id): trade for trade in self.trades}
        for key, fill in self.journal.fills.items():
            law(key in traded, f"fill {key} never happened")
            same = (fill.lots, fill.ticks, fill.side) == (traded[key].lots, traded[key].ticks, traded[key].side)
            law(same, f"fill {key} is not what was traded")
        for order in self.journal.orders.values():
            if order.state is OrderState.ABSENT:
                law(order.client_id not in coming | there, f"{order.client_id} is called absent")
            if order.state.terminal:
                executed = sum(self.rows[id_].executed for id_ in order.venue_ids)
                booked = sum(f.lots for f in self.journal.fills.values() if f.client_id == order.client_id)
                law(executed == booked, f"{order.client_id} ended with {booked} lots booked of {executed}")
        if self.process is not None and not self.beyond:
            self._check_worst_case(self.process.engine)

    def _check_worst_case(self, engine: Engine) -> None:
        """True position and everything that can become one lie inside what the engine counts with."""
        ledger, orders = engine.account.ledger, engine.account.orders
        position = int(ledger.position("ROGER"))
        booked = sum(fill.lots * fill.side.sign for fill in self.journal.fills.values())
        law(position == booked, f"the engine's position is {position}, its journal's {booked}")
        rows = list(self._by_our_doing())
        true = sum(row.executed * row.place.side.sign for row in rows)
        for side in Side:
            may = sum(order.unbooked_lots for order in orders.may_exist(self.now) if order.side is side)
            stated = position + side.sign * may
            left = sum(row.left for row in rows if row.live and row.place.side is side)
            left += sum(place.lots for place in self._unborn().values() if place.side is side)
            worst = true + side.sign * left
            within = worst * side.sign <= stated * side.sign
            law(within, f"{side.value}s can bring the position to {worst}, the engine counts with {stated} at most")
            most = self.bounds.max_position
            law(most is None or worst * side.sign <= most, f"a position of {worst} is possible, the limit is {most}")

    def _check_end(self, finish: Finish) -> None:
        """Exit 0: nothing of ours is or can become live, but for a proxy's copies of what was answered."""
        if finish.exit_code != 0:
            return
        known = {id_ for order in self.journal.orders.values() for id_ in order.venue_ids}
        coming = {create.place.client_id for create in self.creates} - self.answered
        law(not coming, f"exit 0, and {sorted(coming)} can still come to live")
        live = [row for row in self.rows.values() if row.live]
        if self.bounds.on_stop == "leave":
            live = [row for row in live if row.id not in known]
        left = [row.id for row in live if row.id in known or row.place.client_id not in self.answered]
        law(not left, f"exit 0, and {left} live on at the exchange")


def slot_of(name: str) -> str:
    parsed = parse_client_id(name)
    assert parsed is not None
    return parsed.slot
