"""Orders with reconcile, gate and journal: an engine, the line between, and an exchange where anything may happen.

The engine is the whole one, the journal the value of the simulator. Requests, answers and news are held in hand, so
each arrives when a rule says so, twice, or not at all. The laws are those at the end of orders.md, read after every
rule; at the end of each example the line is good again, and then everything has to come to an end, too.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from plain_venue import ROGER, Held, PlainVenue

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
    Output,
    Place,
    ReadBalances,
    ReadOrder,
)
from runner.model.ids import parse_client_id
from runner.model.order import OrderState, Quote, Side
from runner.model.settings import MILLISECOND, SECOND, Limits, Settings
from runner.simulation.journal import Memory

START = 1_700_000_000 * SECOND
_T = TypeVar("_T")
W, D = 5 * SECOND, 20 * SECOND
MICROSECOND = 1_000
CREATE_WITHIN, ASK_WITHIN = 15 * SECOND, 5 * SECOND  # then the gateway gives an answer up
TAG = "MACHIN"
LOTS = 10
MOST = 25  # of the position, either way
PARENT, TOTAL = "all", 15
SLOTS = {"bid": Side.BUY, "ask": Side.SELL, "part": Side.BUY, "once": Side.SELL}
PRICES = {Side.BUY: (95, 98), Side.SELL: (112, 115)}
_UNBORN = {OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN}
PROMPT = ("signing", "creates", "cancels", "news", "answers")
REQUESTS = Place | Cancel | ListOrders | ListTrades | ReadBalances | ReadOrder


class Told(Strategy, frozen=True):
    """Wants what the machine's rules say; a mutable table is no part of a strategy but of whoever drives it."""

    def slots(self) -> Sequence[str]:
        return tuple(SLOTS)

    def tick(self, view: View, state: State) -> Decision:
        return Decision(tuple(WANTED.values()), state, "as told")


WANTED: dict[str, Quote] = {}


@dataclass
class Create:
    """A create that the engine asked for. `signed`: its nonce, in ns; `dead`: refused, no row of its own can come."""

    place: Place
    asked: int
    signed: int | None = None
    answered: bool = False
    lost: bool = False  # its answer was
    dead: bool = False
    rows: list[Held] = field(default_factory=list)  # the first is its own unless it is dead, the others a proxy's

    @property
    def last(self) -> int:
        """When a row can come to be at the latest."""
        assert self.signed is not None
        return self.signed + W + D

    def may_come(self, now: int) -> bool:
        """Its own row is still to come, or may be."""
        return not self.rows and not self.dead and (self.signed is None or now <= self.last)


@dataclass
class Question:
    """What was asked, what was true then, and when."""

    command: ListOrders | ListTrades | ReadBalances | ReadOrder
    then: events.What
    asked: int


class OrderMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        WANTED.clear()
        self.now = START
        self.venue = PlainVenue()
        self.journal = Memory.begun(START)
        self.told: dict[str, set[int]] = {}  # venue ids that the journal ever recorded, by client id
        self.creates: dict[str, Create] = {}
        self.cancels: list[tuple[Cancel, int]] = []
        self.questions: list[Question] = []
        self.prompt = dict.fromkeys(PROMPT, True)
        self.free = 30
        self.doom: str | None = None
        self.twin = False
        self.clean = False  # the last run ended with 0, and no other has begun
        self.life = 0
        self.begin()

    @initialize(slow=st.sets(st.sampled_from(PROMPT), max_size=2))
    def set_out(self, slow: set[str]) -> None:
        self.prompt = {what: what not in slow for what in PROMPT}
        self.want(set(SLOTS), 1, 1.0)

    # One process ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A process on what the journal holds; whatever was on its way to the one before is lost."""
        self.life += 1
        self.up, self.clean, self.doom = True, False, None
        self.engine, self.number, self.wake_at = Engine(Told), 0, None
        self.log: list[tuple[events.Event, Output, dict[str, Quote]]] = []
        self.questions, self.cancels, self.venue.news = [], [], []
        self.forget_line()
        for name, order in self.journal.orders.items():
            if name in self.creates and order.state not in _UNBORN:
                self.creates[name].lost = False  # the journal does not keep how a create was answered
        limits = Limits(max_position={"ROGER": Decimal(MOST)})
        configured = Settings(
            name="machine", tag=TAG, markets=(ROGER.symbol,), strategy="told", settle=D, limits=limits
        )
        for what in (
            events.Configured(configured),
            self.journal.restore(self.now),
            events.MarketsRead((ROGER,)),
            events.ClockRead(0, 0),
            events.NonceWindowProbed(enforced=True),
            events.StreamUp("public", ()),
            events.BookSnapshot(ROGER.symbol, 1, ((100, 1000),), ((110, 1000),)),
            events.StreamUp("private", ("order", "trade", "balance")),
        ):
            self.give(what)

    def forget_line(self) -> None:
        """Whoever waited for an answer is gone, and what was not signed never will be."""
        for create in self.creates.values():
            create.lost = create.lost or (create.signed is not None and not create.answered)
            create.dead = create.dead or create.signed is None
            create.answered = True

    def give(self, what: events.What) -> None:
        self.now += MICROSECOND  # nothing happens in no time: what was asked is older than what is heard
        life = self.life
        for each in (events.Budget(self.free, self.now + SECOND), what):
            if self.up and life == self.life:
                self.handle(each)

    def handle(self, what: events.What) -> None:
        """In the order of the live run: handled, written down, sent."""
        self.number += 1
        event = events.Event(self.number, self.now, what)
        stopping = self.engine.stop is not None
        output = self.engine.handle(event)
        self.log.append((event, output, dict(WANTED)))
        self.wake_at = output.wake_at
        if isinstance(what, events.Budget):
            self.left = what.free
        self.left -= sum(isinstance(command, REQUESTS) for command in output.commands)
        assert self.left >= 0, "the engine spent a request that it was not told of"
        if output.changes:
            if self.dies("before the commit"):
                return
            self.journal.commit(output.changes)  # which refuses a name that was used before
            self.written(output.changes)
            if self.dies("after the commit"):
                return
        for command in output.commands:
            self.take(command, stopping=stopping)
            if isinstance(command, Place | Cancel) and self.dies("between two commands"):
                return

    def dies(self, where: str) -> bool:
        if self.doom == where:
            self.begin()
            return True
        return False

    def written(self, changes: Sequence[Change]) -> None:
        for change in changes:
            match change:
                case OrderChanged(order):
                    self.told.setdefault(order.client_id, set()).update(order.venue_ids)
                    if order.state.terminal:
                        rows = [self.venue.orders[id_] for id_ in self.told[order.client_id]]
                        assert not any(row.live for row in rows), f"{order.client_id} is {order.state} and at work"
                        filled = sum(row.executed for row in rows)
                        assert order.filled_lots == filled, f"{order.client_id} ends without a fill"
                    if order.state is OrderState.ABSENT:
                        create = self.creates.get(order.client_id)  # none: the process died before it was sent
                        assert create is None or not create.rows, "absent, and it is at the venue"
                        assert create is None or not create.may_come(self.now), "absent, and it may still come"
                case FillBooked(fill):
                    trades = {trade.id: trade for trade in self.venue.orders[fill.order_id].trades}
                    assert fill.lots == trades[fill.trade_id].lots
                    assert fill.client_id == self.venue.orders[fill.order_id].client_id

    def take(self, command: Command, *, stopping: bool) -> None:
        match command:
            case Place():
                assert not stopping, "a create was decided behind the gate"
                assert command.client_id not in self.creates, "a name was used twice"
                assert self.journal.orders[command.client_id].state is OrderState.INTENDED
                self.creates[command.client_id] = Create(command, self.now)
                self.within_limits(command)
            case Cancel():
                assert self.is_ours(self.venue.orders[command.order_id]), "somebody else's order is cancelled"
                self.cancels.append((command, self.now))
            case Finish():
                self.ended(command)
            case ListOrders() | ListTrades() | ReadBalances() | ReadOrder():
                self.questions.append(Question(command, self.venue.answer(command, self.now), self.now))

    def ended(self, finish: Finish) -> None:
        assert finish.exit_code in {0, 7}, finish
        self.up, self.clean = False, finish.exit_code == 0
        self.forget_line()
        if self.clean:
            doubts = [name for name, create in self.creates.items() if create.lost and self.now <= create.last]
            assert not doubts, "a copy of it could still come"
        self.replayed()

    def replayed(self) -> None:
        """The same events, and the same wishes at each, lead to the same outputs."""
        now_wanted, again = dict(WANTED), Engine(Told)
        for event, output, wanted in self.log:
            _want(wanted)
            assert again.handle(event) == output, event
        _want(now_wanted)

    # The line ---------------------------------------------------------------------------------------------

    def serve(self) -> None:
        """What is prompt is done at once, and what this leads to as well."""
        life = self.life
        while self.up and life == self.life and self.serve_one():
            pass

    def serve_one(self) -> bool:
        prompt = self.prompt
        if prompt["signing"] and self.unsigned():
            self.sign(self.unsigned()[0])
        elif prompt["creates"] and self.unanswered():
            create = self.unanswered()[0]
            if create.may_come(self.now):
                create.rows.append(self.venue.create(create.place, self.now))
            if create.rows and create.rows[0].state == "pending":
                self.venue.book(create.rows[0])
            self.answer_create(create)
        elif prompt["cancels"] and self.cancels:
            self.answer_cancel(self.cancels[0], done=True, answered=True)
        elif prompt["news"] and self.venue.news:
            self.give(self.venue.news.pop(0))
        elif prompt["answers"] and self.questions:
            question = self.questions.pop(0)
            self.give(self.venue.answer(question.command, self.now))
        else:
            return False
        return True

    def unsigned(self) -> list[Create]:
        return [each for each in self.creates.values() if each.signed is None and not each.dead]

    def unanswered(self) -> list[Create]:
        return [each for each in self.creates.values() if each.signed is not None and not each.answered]

    def sign(self, create: Create) -> None:
        if self.engine.stop is not None or self.now > create.place.sign_before * MILLISECOND:
            create.answered = create.dead = True
            self.give(events.NotSent(create.place.client_id, "too late"))
        else:
            create.signed = self.now

    def overdue(self) -> None:
        """The gateway waits for no answer for ever."""
        for create in list(self.creates.values()):
            if create.signed is None and not create.dead and self.engine.stop is not None:
                self.sign(create)
            elif create.signed is not None and not create.answered and self.now >= create.signed + CREATE_WITHIN:
                self.answer_create(create, lost=True)
        for question in [each for each in self.questions if self.now >= each.asked + ASK_WITHIN]:
            if question in self.questions:
                self.questions.remove(question)
                self.give(events.QueryFailed(question.command.query, permanent=False, reason="timeout"))
        for posted in [each for each in self.cancels if self.now >= each[1] + ASK_WITHIN]:
            if posted in self.cancels:
                self.answer_cancel(posted, done=False, answered=False)

    def answer_create(self, create: Create, *, lost: bool = False, copy: int = 0) -> None:
        """As things stand: accepted if there is a row, refused if there is none; or the answer is lost."""
        assert create.signed is not None
        create.answered, create.lost = True, lost
        name = create.place.client_id
        self.give(events.Sent(name, create.signed // MILLISECOND))
        if lost:
            self.give(events.Unknown(name, "timeout"))
        elif create.rows:
            self.give(events.Accepted(name, _pick(create.rows, copy).row()))
        else:
            create.dead = True
            self.give(events.Rejected(name, 422, ("market.account.insufficient_balance",)))

    def answer_cancel(self, posted: tuple[Cancel, int], *, done: bool, answered: bool) -> None:
        """The 201 shows the order as it was when the cancel came; whether the cancel is done is another matter."""
        self.cancels.remove(posted)
        order = self.venue.orders[posted[0].order_id]
        row = order.row()
        self.give(events.CancelAnswered(order.id, row if answered else None))
        if order.state == "wait" and done:
            self.venue.cancel(order)

    def go_on(self, seconds: float) -> None:
        """Time passes; a run is woken when it wanted to be."""
        end = self.now + int(seconds * SECOND)
        self.serve()
        while self.now < end:
            wake = end if self.wake_at is None or not self.up else max(self.wake_at, self.now + MILLISECOND)
            self.now = min(end, wake, self.now + SECOND)
            if self.up:
                self.overdue()
                self.give(events.StreamAlive("public"))
                self.give(events.Wake())
                self.serve()

    # Rules: what is wanted, and time ----------------------------------------------------------------------

    @rule(
        slots=st.sets(st.sampled_from(sorted(SLOTS)), min_size=1),
        level=st.sampled_from((0, 1, 0, 1, None)),
        seconds=st.sampled_from((0.0, 1.2, 3.0)),
    )
    def want(self, slots: set[str], level: int | None, seconds: float) -> None:
        for slot in sorted(slots):
            if level is None:
                WANTED.pop(slot, None)
                continue
            side = SLOTS[slot]
            parent = (PARENT, float(TOTAL)) if slot == "part" else None
            WANTED[slot] = Quote(slot, side, PRICES[side][level] * 1e-8, LOTS, repeat=slot != "once", parent=parent)
        self.go_on(seconds)

    @rule(seconds=st.sampled_from((0.3, 1.0, 3.0, 7.0, 20.0, 61.0)))
    def wait(self, seconds: float) -> None:
        self.go_on(seconds)

    @rule(
        what=st.sampled_from((*PROMPT, "budget")),
        prompt=st.sampled_from((True, True, False)),
        free=st.sampled_from((0, 3, 9)),
    )
    def line(self, what: str, prompt: bool, free: int) -> None:
        if what == "budget":
            self.free = 30 if prompt else free
        else:
            self.prompt[what] = prompt
        self.serve()

    # Rules: creates ---------------------------------------------------------------------------------------

    def coming(self) -> list[Create]:
        return [each for each in self.creates.values() if each.signed is not None and each.may_come(self.now)]

    @precondition(lambda self: self.coming())
    @rule(pick=st.integers(0, 3), booked=st.booleans(), silent=st.booleans())
    def arrive(self, pick: int, booked: bool, silent: bool) -> None:
        self.insert(_pick(self.coming(), pick), booked=booked, silent=silent)

    def repeatable(self) -> list[Create]:
        """A proxy may send once more what was answered clearly, too; a stop need not wait for that (rule 26)."""
        stopping = not self.up or self.engine.stop is not None
        return [
            create
            for create in self.creates.values()
            if (len(create.rows) == 1 or (create.dead and not create.rows))
            and create.signed is not None
            and self.now <= create.last
            and (create.lost or not stopping)
        ]

    @precondition(lambda self: self.repeatable())
    @rule(pick=st.integers(0, 3), booked=st.booleans(), silent=st.booleans())
    def repeat(self, pick: int, booked: bool, silent: bool) -> None:
        self.insert(_pick(self.repeatable(), pick), booked=booked, silent=silent)

    def insert(self, create: Create, *, booked: bool, silent: bool) -> None:
        """`silent`: the private stream tells nothing of it."""
        told = len(self.venue.news)
        create.rows.append(self.venue.create(create.place, self.now))
        if booked:
            self.venue.book(create.rows[-1])
        if silent:
            del self.venue.news[told:]
        self.serve()

    @precondition(lambda self: self.up and self.unanswered())
    @rule(pick=st.integers(0, 3), lost=st.booleans(), copy=st.integers(0, 1))
    def answer(self, pick: int, lost: bool, copy: int) -> None:
        self.answer_create(_pick(self.unanswered(), pick), lost=lost, copy=copy)
        self.serve()

    # Rules: the life of an order --------------------------------------------------------------------------

    def ours(self, state: str) -> list[Held]:
        return [order for order in self.venue.orders.values() if self.is_ours(order) and order.state == state]

    @precondition(lambda self: self.ours("pending"))
    @rule(pick=st.integers(0, 3), rejected=st.booleans())
    def leave_pending(self, pick: int, rejected: bool) -> None:
        order = _pick(self.ours("pending"), pick)
        (self.venue.reject if rejected else self.venue.book)(order)
        self.serve()

    @precondition(lambda self: self.ours("wait"))
    @rule(pick=st.integers(0, 3), lots=st.sampled_from((3, LOTS)), sweep=st.booleans())
    def trade(self, pick: int, lots: int, sweep: bool) -> None:
        """Somebody takes one order, or all that there are on its side."""
        taken = _pick(self.ours("wait"), pick)
        for order in self.ours("wait") if sweep else [taken]:
            if order.side is taken.side:
                self.venue.trade(order, min(lots, order.lots - order.executed), self.now)
        self.serve()

    @precondition(lambda self: self.cancels)
    @rule(pick=st.integers(0, 3), done=st.booleans(), answered=st.booleans())
    def land_cancel(self, pick: int, done: bool, answered: bool) -> None:
        self.answer_cancel(_pick(self.cancels, pick), done=done, answered=answered)
        self.serve()

    @precondition(lambda self: not self.twin and self.ours("wait"))
    @rule(pick=st.integers(0, 3))
    def human_twin(self, pick: int) -> None:
        self.venue.human(_pick(self.ours("wait"), pick), self.now)
        self.twin = True
        self.serve()

    # Rules: news and answers out of turn ------------------------------------------------------------------

    @precondition(lambda self: self.up and self.venue.news)
    @rule(pick=st.integers(0, 5), fate=st.sampled_from(("heard", "twice", "lost")))
    def news(self, pick: int, fate: str) -> None:
        piece = _pick(self.venue.news, pick)
        if fate != "twice":
            self.venue.news.remove(piece)
        if fate != "lost":
            self.give(piece)

    @precondition(lambda self: self.up and self.questions)
    @rule(pick=st.integers(0, 5), fate=st.sampled_from(("fresh", "old", "failed", "missing")))
    def reply(self, pick: int, fate: str) -> None:
        question = _pick(self.questions, pick)
        self.questions.remove(question)
        command = question.command
        if fate == "failed":
            self.give(events.QueryFailed(command.query, permanent=False, reason="502"))
        elif fate == "missing" and isinstance(command, ReadOrder):
            self.give(events.OrderRead(command.query, command.order_id, None))
        else:
            self.give(question.then if fate == "old" else self.venue.answer(command, self.now))
        self.serve()

    # Rules: the process -----------------------------------------------------------------------------------

    @rule(
        what=st.sampled_from(
            ("cut", "crash", "before the commit", "after the commit", "between two commands", "stop", "stop")
        )
    )
    def process(self, what: str) -> None:
        if not self.up:
            self.begin()
        elif what == "cut":  # the private socket, and with it what was on its way
            self.venue.news.clear()
            self.give(events.StreamDown("private", "cut"))
            self.give(events.StreamUp("private", ("order", "trade", "balance")))
        elif what == "crash":
            self.begin()
        elif what != "stop":
            self.doom = what
        elif self.engine.stop is None:
            self.give(events.StopRequested("signal"))
            self.overdue()
        self.serve()

    # Laws -------------------------------------------------------------------------------------------------

    def is_ours(self, order: Held) -> bool:
        parsed = parse_client_id(order.client_id) if order.client_id is not None else None
        return parsed is not None and parsed.tag == TAG

    def counted(self, create: Create) -> list[Held]:
        """The rows that the engine must count: those it knows of, and one before it knows of any.

        Which of several is the proxy's is nobody's knowledge, and a refused create promises nothing of its copies.
        """
        told = self.told.get(create.place.client_id, set())
        known = [row for row in create.rows if row.id in told]
        return known or ([] if create.dead else create.rows[:1])

    def reach(self, create: Create) -> int:
        return sum(row.reach for row in self.counted(create)) + create.place.lots * create.may_come(self.now)

    def within_limits(self, place: Place) -> None:
        """Judged when an order is asked for: a proxy's copy may break a limit, an order of ours may not."""
        for side in Side:
            position = sum(r.side.sign * r.executed for c in self.creates.values() for r in self.counted(c))
            executed = sum(
                row.executed for c in self.creates.values() if c.place.side is side for row in self.counted(c)
            )
            open_ = sum(self.reach(c) for c in self.creates.values() if c.place.side is side) - executed
            if place.side is side:
                assert side.sign * position + open_ <= MOST, "a limit is broken by our doing"
        slot = _slot(place.client_id)
        if slot == "part":
            whole = sum(self.reach(create) for name, create in self.creates.items() if _slot(name) == slot)
            assert whole <= TOTAL, "a parent's total is exceeded"
        if slot == "once":
            filled = [name for name, create in self.creates.items() if any(row.executed for row in create.rows)]
            known = {fill.client_id for fill in self.journal.fills.values()}
            assert not [name for name in filled if name in known and _slot(name) == slot], "once was twice"

    @invariant()
    def one_order_in_each_slot(self) -> None:
        busy = [
            _slot(name)
            for name, create in self.creates.items()
            if create.may_come(self.now) or (not create.dead and any(row.live for row in create.rows[:1]))
        ]
        assert len(busy) == len(set(busy)), busy

    @invariant()
    def every_order_is_in_the_journal(self) -> None:
        for order in self.venue.orders.values():
            assert not self.is_ours(order) or order.client_id in self.journal.orders

    @invariant()
    def what_may_happen_is_counted(self) -> None:
        account = self.engine.account
        if not self.up:
            return
        stated = Counter({name: account.ledger.filled_lots(name) for name in self.creates})
        for order in account.orders.may_exist(self.now):
            stated[order.client_id] += order.unbooked_lots
        for name, create in self.creates.items():
            assert self.reach(create) <= stated[name], f"{name} may come to {self.reach(create)} lots"

    @invariant()
    def a_clean_end_leaves_nothing(self) -> None:
        if self.clean:
            assert not [order for order in self.venue.orders.values() if self.is_ours(order) and order.live]
            assert not [create for create in self.creates.values() if create.may_come(self.now)]

    def teardown(self) -> None:
        """The line is good, and the exchange does what it is asked: it all comes to an end."""
        self.doom, self.free = None, 30
        self.prompt = dict.fromkeys(self.prompt, True)
        if self.up and self.engine.stop is not None:
            self.calm(120)  # this one may end with 7, for want of answers
        if not self.up:
            self.begin()
        self.calm(200)
        copied = [order.client_id for order in self.venue.orders.values() if self.is_ours(order) and order.live]
        assert len(copied) == len(set(copied)), "copies are cancelled on sight"
        if self.up:
            self.give(events.StopRequested("signal"))
        self.calm(120)
        assert not self.up, "a stop has an end"
        unknown = [order for order in self.journal.orders.values() if order.state is OrderState.UNKNOWN]
        assert self.clean or (self.twin and unknown), self.log[-1]
        live = [order for order in self.venue.orders.values() if self.is_ours(order) and order.live]
        assert not live
        # A proxy's copy that came and went while nobody was there to hear of it leaves no trace to follow.
        known = [row for create in self.creates.values() for row in self.counted(create)]
        traded = {(trade.id, order.id) for order in known for trade in order.trades}
        assert traded == set(self.journal.fills), "every fill, once"

    def calm(self, seconds: int) -> None:
        for _ in range(seconds // 5):
            for order in self.ours("pending"):
                self.venue.book(order)
            self.go_on(5)


def _want(wanted: dict[str, Quote]) -> None:
    WANTED.clear()
    WANTED.update(wanted)


def _pick(among: Sequence[_T], pick: int) -> _T:
    return among[pick % len(among)]


def _slot(name: str) -> str:
    parsed = parse_client_id(name)
    assert parsed is not None
    return parsed.slot


TestOrderMachine = pytest.mark.slow(OrderMachine.TestCase)
TestOrderMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
