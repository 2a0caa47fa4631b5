"""A runner as values on an exchange in virtual time: no socket, no clock, hours in seconds, crashes included.

What carries requests, answers and frames is a heap of due times, and what goes wrong on the way is drawn from a seed:
one seed is one run. The order of things is that of the live run: an event is handled, its output made durable, and
only then do its commands leave.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct

from runner.altmarkets.messages import grids
from runner.altmarkets.rest import NoResponse, Response, interpret, request_for
from runner.altmarkets.server import Pending, Reply, Server, Session
from runner.altmarkets.server.server import STREAM_BASE
from runner.altmarkets.stream import PRIVATE_PATH, PUBLIC_PATH, PrivateStream, PublicStream
from runner.edge.budget import Bucket
from runner.engine.core import Engine
from runner.engine.strategy import Strategy
from runner.model.command import (
    Began,
    Cancel,
    Change,
    Command,
    Decided,
    Finish,
    ListOrders,
    Output,
    Place,
    Reconnect,
    Resubscribe,
)
from runner.model.event import (
    Budget,
    ClockRead,
    Configured,
    Event,
    JournalFailed,
    MarketsRead,
    NonceWindowProbed,
    NotSent,
    Reconfigured,
    Sent,
    StopRequested,
    StreamAlive,
    StreamDown,
    Wake,
    What,
)
from runner.model.market import Market
from runner.model.settings import MILLISECOND, SECOND, Settings
from runner.run.chaos.venue import REST_BASE, Venue
from runner.simulation.dice import Dice, seed_state
from runner.simulation.faults import switch_text
from runner.simulation.journal import Memory
from runner.simulation.laws import Account, Laws
from runner.simulation.markets import SANDBOX_LISTINGS, Listing
from runner.simulation.sandbox import Sandbox, sandbox

START = 1_700_000_000 * SECOND

CREATE_WITHIN_S, ASK_WITHIN_S = 15.0, 5.0  # as the live gateway waits
UNAUTHORISED, TOO_MANY = 401, 429
NONCE_EXPIRED = b"authz.nonce_expired"
MEASURE_EVERY_S = 3600.0

_HIDES_HISTORY = ("client_id", "lists_lag", "lists_shift")
"""Faults under which what the venue lists is not all that there was, or bears no names."""

Doom = Literal["before_commit", "after_commit", "between_commands", "signed", "answer"]
"""Where the process dies, the next time it comes there."""


class Faults(Struct):
    """Chances between 0 and 1, drawn for each request (or second, for the sockets)."""

    answer_lost: float = 0.0
    request_lost: float = 0.0
    late: float = 0.0  # a request that takes seconds to arrive
    private_drop: float = 0.0  # per second
    public_drop: float = 0.0
    latency: tuple[float, float] = (0.005, 0.05)  # s, one way


class Life(Struct):
    """One process: what its engine was told, and what it said."""

    number: int
    log: list[Event] = []
    outputs: list[Output] = []


class World:
    """One runner on an exchange of its own, or on that of `venue`, that may crash and come back."""

    def __init__(
        self,
        seed: str,
        settings: Settings,
        strategy: type[Strategy],
        faults: Faults | None = None,
        *,
        listings: Sequence[Listing] = SANDBOX_LISTINGS,
        grown: Sandbox | None = None,
        venue: Venue | None = None,
        journal: Memory | None = None,
        bucket: Bucket | None = None,
    ) -> None:
        self.dice = Dice(seed_state(seed, "line"))
        self.faults = faults or Faults()
        self.settings = settings
        self.strategy = strategy
        self.venue = venue or self._open(grown or sandbox(seed, START, listings=listings))
        self.markets: dict[str, Market] = {market.symbol: market for market in self.venue.exchange.markets}
        self.grids = grids(self.markets.values())
        self.journal = journal or Memory.begun(self.now)
        self.bucket = bucket or Bucket()
        self.engine: Engine
        self.finish: Finish | None = None
        self.finishes: list[Finish] = []
        self.lives: list[Life] = []
        self.up = False
        self.crashes = 0
        self.doom: Doom | None = None
        self.disk_full_until = 0
        self.skew = 0  # our clock minus the true one, ns
        self.engine_probe = True  # whether the venue proved that it enforces the nonce window
        self.deaf: set[str] = set()  # creates whose answer and news do not come back
        self.lost: set[str] = set()  # creates that never arrive
        self.forgets_listings = False  # the venue lists no order of ours any more
        self.still = False  # nobody trades or quotes in any market: only the venue's own clockwork speaks
        self.ambiguous = 0
        self.replaced: Callable[[], None] | None = None  # what is done to journal or clock before the next start
        self._paused: set[str] = set()
        self._lines_lost: set[Session] = set()
        self._sessions: dict[str, Session] = {}
        self._codecs: dict[str, Any] = {}
        self._life = 0  # a crash ends all that was on its way to the runner
        self._number = 0
        self._wake = 0
        self._unwritten: tuple[Change, ...] = ()
        self._told = -1
        self._offset = 0
        self._clock = 0
        self._gate_open = True
        self.venue.listeners.append(self._collect)
        self.start()

    def _open(self, grown: Sandbox) -> Venue:
        settings = self.settings
        account = Account(
            settings.tag,
            grown.trader.id,
            settings.settle,
            settings.limits,
            settings.initial_position,
            settings.exclusive,
            only_reducing=settings.on_stop == "cancel_opening",
        )
        venue = Venue(grown, START, Laws(account))
        venue.known = lambda: self.journal.orders.keys()
        return venue

    # The runner's life ------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        return self.venue.now

    @property
    def server(self) -> Server:
        return self.venue.server

    @property
    def grown(self) -> Sandbox:
        return self.venue.grown

    @property
    def laws(self) -> Laws:
        return self.venue.laws

    @property
    def log(self) -> list[Event]:
        return self.lives[-1].log

    @property
    def outputs(self) -> list[Output]:
        return self.lives[-1].outputs

    @property
    def clock(self) -> int:
        """What our own clock shows: never less than before while a process lives."""
        self._clock = max(self._clock, self.now + self.skew)
        return self._clock

    @property
    def main(self) -> bool:
        """Whether the laws are about this runner; a second one on the same venue is weather."""
        return self.venue.listeners[0] == self._collect

    @property
    def who(self) -> str:
        return "first" if self.main else "second"

    def start(self) -> None:
        self._life += 1
        self.up = True
        self.finish = None
        self._gate_open = True
        self._number = 0
        self._clock = 0
        self.lives.append(Life(self._life))
        self.engine = Engine(self.strategy)
        self._unwritten = ()
        self._told = -1
        self._sessions, self._codecs = {}, {}
        self._offset = self.venue.exchange.clock_offset - self.skew
        if self.main:
            self.laws.stated = None
        for what in (
            Configured(self.settings),
            self.journal.restore(self.clock, placed_since=self.settings.limits.placed_since(self.clock)),
            MarketsRead(tuple(self.markets.values())),
            ClockRead(self._offset, 0),
            NonceWindowProbed(enforced=self.engine_probe),
        ):
            self.deliver(what)
        if self.main:
            self.laws.stated = self._stated
            self.laws.all_inside(self.now)
        for stream in ("private", "public"):
            self._later(0.05, lambda stream=stream: self._connect(stream))  # type: ignore[misc]
        self._later(MEASURE_EVERY_S, self._measure)

    def crash(self, away: float = 1.0) -> None:
        """Drop everything but the journal, and come back a little later (s)."""
        self.crashes += 1
        self._vanish()
        self._again(away)

    def _vanish(self) -> None:
        for session in self._sessions.values():
            self.server.disconnect(session)
        self._life += 1
        self.up = False
        self._sessions, self._codecs = {}, {}
        if self.main:
            self.laws.stated = None

    def _again(self, away: float) -> None:
        life = self._life
        self.venue.at(self.now + int(away * SECOND), lambda: self._reborn() if life == self._life else None)

    def _reborn(self) -> None:
        if self.replaced is not None:
            self.replaced()
            self.replaced = None
        self.start()

    def start_again(self, away: float) -> None:
        """After a run has ended: somebody starts the same file again."""
        self._vanish()
        self._again(away)

    def stop(self) -> None:
        self.deliver(StopRequested("signal"))

    def reload(self, settings: Settings, changes: dict[str, str]) -> None:
        """The file is another one from here on, for every start as well."""
        self.settings = settings
        if self.main:
            self.laws.reconfigured(settings.limits, self.now)
        self.deliver(Reconfigured(settings, changes))

    def _ended(self, finish: Finish) -> None:
        self.finish = finish
        self.finishes.append(finish)
        if self.main:
            self.laws.finished(self.now, finish.exit_code, self.left)
        else:
            self.laws.rivals_end()

    @property
    def left(self) -> set[int] | None:
        """The venue ids that the run says it leaves at work."""
        stop = self.engine.stop
        if stop is None or stop.leaves == "nothing":
            return None
        return {id_ for order in self.engine.account.orders.live() for id_ in order.venue_ids}

    def _stated(self, name: str) -> int:
        account = self.engine.account
        counted = [order for order in account.orders.may_exist(self.clock) if order.client_id == name]
        return account.ledger.filled_lots(name) + sum(order.unbooked_lots for order in counted)

    # Time -------------------------------------------------------------------------------------------------

    def run_for(self, seconds: float) -> None:
        """Let everything happen that is due in the next `seconds`, or until the engine has finished."""
        self.venue.run_until(self.now + int(seconds * SECOND), lambda: self.finish is not None)

    def let_pass(self, seconds: float) -> None:
        """Time at the venue, after the runner has gone."""
        self.venue.let_pass(seconds)

    def _move(self, at: int) -> None:
        self.venue.move(at)

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        """In this life of the runner."""
        life = self._life
        self.venue.at(self.now + int(seconds * SECOND), lambda: action() if life == self._life else None)

    def _latency(self) -> float:
        return self.dice.between(*self.faults.latency)

    # Streams ----------------------------------------------------------------------------------------------

    def _connect(self, stream: str) -> None:
        path = PRIVATE_PATH if stream == "private" else PUBLIC_PATH
        session = self.server.upgrade(STREAM_BASE + path, self._headers(self._nonce()), self.now)
        if not isinstance(session, Session):  # by a fault, or because the venue's clock has jumped
            self.deliver(StreamDown("private" if stream == "private" else "public", "refused"))
            self._doubted(session)
            # A handshake that hangs is given up after 10 s.
            self._later(10.0 if session.fate == "hang" else 1.0, lambda: self._connect(stream))
            return
        self._sessions[stream] = session
        if stream == "private":
            self._codecs[stream] = PrivateStream(self.markets.values())
        else:
            self._codecs[stream] = PublicStream(self.markets.values(), self.settings.markets)
            for text in self._codecs[stream].subscriptions():
                self.server.receive(session, text, self.now)
        self._drop_sometime(stream)
        self.venue.collect()

    def _drop_sometime(self, stream: str) -> None:
        chance = self.faults.private_drop if stream == "private" else self.faults.public_drop
        if chance:
            session = self._sessions[stream]
            wait = self.dice.exponential() / chance
            self._later(wait, lambda: self.drop(stream) if self._sessions.get(stream) is session else None)

    def drop(self, stream: str) -> None:
        """Cut a socket; what was on its way is lost, and it comes back after a second."""
        session = self._sessions.pop(stream, None)
        if session is None:
            return
        self.server.disconnect(session)
        self._codecs.pop(stream)
        self.deliver(StreamDown("private" if stream == "private" else "public", "cut"))
        self._later(1.0, lambda: self._connect(stream))

    def pause(self, stream: str) -> None:
        """A half-open line: nothing comes, and nobody says so."""
        self._paused.add(stream)

    def overhear(self, stream: str, text: str) -> None:
        """A frame that the venue never said, or said wrong, comes over a socket that is open."""
        if stream in self._sessions:
            codec = self._codecs[stream]
            self._later(0.005, lambda: self._receive(stream, codec, [text]))

    def resume(self, stream: str) -> None:
        self._paused.discard(stream)
        self.drop(stream)

    def _collect(self) -> None:
        """What the server has to say goes on its way; order within a socket is kept."""
        for stream, session in list(self._sessions.items()):
            if session.line != "up" and session not in self._lines_lost:
                # A cut shows at once, a half-open line after a minute of silence (wire reference 13.9).
                self._lines_lost.add(session)
                wait = 0.0 if session.line == "cut" else 60.0
                self._later(wait, lambda s=stream, x=session: self._notice(s, x))  # type: ignore[misc]
            if session.outgoing and stream in self._paused:
                session.outgoing.clear()
            elif session.outgoing:
                texts = [text for text in session.outgoing if not (self.still and ".ob-inc" in text)]
                session.outgoing.clear()
                codec: Any = self._codecs[stream]
                self._later(0.005, lambda s=stream, c=codec, t=texts: self._receive(s, c, t))  # type: ignore[misc]

    def _notice(self, stream: str, session: Session) -> None:
        self._lines_lost.discard(session)
        if self._sessions.get(stream) is session:
            self.drop(stream)

    def _receive(self, stream: str, codec: Any, texts: list[str]) -> None:
        if not any(codec is current for current in self._codecs.values()):
            return  # it was in the cut line
        if stream == "public":
            self.deliver(StreamAlive("public"))
        for text in texts:
            for what in codec.receive(text):
                self.deliver(what)

    # The engine -------------------------------------------------------------------------------------------

    def deliver(self, what: What) -> None:
        """One event: handled, made durable, sent."""
        if self.finish is not None or not self.up:
            return
        if not isinstance(what, Budget) and self.bucket.free(self.now) != self._told:
            self._told = self.bucket.free(self.now)
            self.deliver(Budget(self._told, self.bucket.refill_at(self.now) + self.skew))
        self._number += 1
        event = Event(self._number, self.clock, what)
        stopping = self.engine.stop is not None
        output = self.engine.handle(event)
        self.log.append(event)
        self.outputs.append(output)
        self._gate_open = self._gate_open and self.engine.stop is None
        life = self._life
        failure = self._keep(output) if output.changes else None
        if life != self._life:
            return
        if output.commands:
            self._submit(output.commands, failure, stopping=stopping)
        if life != self._life:
            return
        if output.wake_at is not None:
            self._wake += 1
            at = max(output.wake_at - self.skew, self.now)
            wake = self._wake
            self.venue.at(at, lambda: self._woken(wake, life))
        if failure is not None:
            self.deliver(JournalFailed(failure))

    def _keep(self, output: Output) -> str | None:
        """Make an output durable before anything of it leaves. Returns why that could not be done."""
        urgent = any(not isinstance(change, Decided) for change in output.changes)
        if urgent and self._dies("before_commit"):
            return None
        changes = (*self._unwritten, *output.changes)
        if urgent and self.now < self.disk_full_until:
            self._unwritten = changes  # it goes with the next that can be written
            return "no space left on device"
        self.journal.commit(changes)
        self._unwritten = ()
        if self.main:
            self.laws.committed(changes, self.now, nameless=self.venue.nameless)
            shown = not any(self.venue.exchange.faults.holds(fault, self.now) for fault in _HIDES_HISTORY)
            if shown and any(isinstance(each, Began) and each.beginning.how != "stated" for each in changes):
                self.laws.rebuilt()
        if urgent:
            self._dies("after_commit")
        return None

    def _submit(self, commands: Iterable[Command], failure: str | None, *, stopping: bool) -> None:
        life = self._life
        unwritten: list[Place] = []
        for command in commands:
            if isinstance(command, Place):
                self._judge(command, stopping=stopping)
            if isinstance(command, Place) and failure is not None:
                unwritten.append(command)
            else:
                self._take(command)
            if isinstance(command, Place | Cancel) and self._dies("between_commands"):
                return
        self._told = self.bucket.free(self.now)
        for place in unwritten:
            if life == self._life:
                self.deliver(NotSent(place.client_id, f"the intent could not be written down: {failure}"))

    def _judge(self, place: Place, *, stopping: bool) -> None:
        if self.main:
            order = self.engine.account.orders.get(place.client_id)
            target = self.engine.wanted.get(order.slot) if order is not None else None
            parent = target.parent if target is not None else None
            self.laws.decided(place.client_id, parent, self.now, stopping=stopping and not place.flattens)

    def _dies(self, where: Doom) -> bool:
        if self.doom != where:
            return False
        self.doom = None
        self.crash(1 + 9 * self.dice.uniform())
        return True

    def _woken(self, wake: int, life: int) -> None:
        if wake == self._wake and life == self._life:
            self.deliver(Wake())

    def _take(self, command: Command) -> None:
        match command:
            case Finish():
                self._ended(command)
            case Resubscribe():
                if "public" in self._sessions:
                    for text in self._codecs["public"].resubscribe(command.market):
                        self.server.receive(self._sessions["public"], text, self.now)
                    self.venue.collect()
            case Reconnect():
                self.drop(command.stream)
            case Place() if not self.bucket.take(self.now):
                raise AssertionError("the engine spent a request that it was not told of")
            case _:
                if not isinstance(command, Place):
                    self.bucket.take(self.now)
                self._later(self._latency(), lambda: self._leave(command))

    # Requests ---------------------------------------------------------------------------------------------

    def _nonce(self) -> int:
        return (self.clock + self._offset) // MILLISECOND

    def _leave(self, command: Command) -> None:
        nonce = self._nonce()
        if isinstance(command, Place):
            if not (self._gate_open or command.flattens) or nonce > command.sign_before:
                self.deliver(NotSent(command.client_id, "too late"))
                return
            known = command.client_id in self.journal.orders
            may = self._gate_open or command.flattens
            self.laws.signed(command.client_id, nonce, self.now, in_journal=known, gate_open=may, sender=self.who)
        unlucky = isinstance(command, Place) and command.client_id in self.lost
        if unlucky or self.dice.uniform() < self.faults.request_lost:
            self._tell(command, "request lost")
            self._lose(command, nonce)
        else:
            delay = self._latency()
            if self.dice.uniform() < self.faults.late:
                delay = self.dice.between(1.0, 4.0)
            # What has left arrives, whatever becomes of its sender.
            life = self._life
            self.venue.at(self.now + int(delay * SECOND), lambda: self._arrive(command, nonce, life))
        if isinstance(command, Place):
            self._dies("signed")

    def _arrive(self, command: Command, nonce: int, life: int) -> None:
        self._tell(command, "request arrived")
        if isinstance(command, Cancel):
            bears = self.venue.client_id_of(command.order_id)
            self.laws.cancelling(command.order_id, bears, self.now, self.who, self.journal.epoch)
        request = request_for(command, self.markets)
        query = "&".join(f"{key}={value}" for key, value in request.query)
        target = REST_BASE + request.path + (f"?{query}" if query else "")
        headers = {**self._headers(nonce), "content-type": "application/json", "user-agent": "runner"}
        reply = self.venue.request(request.method, target, headers, request.body or b"")
        if isinstance(reply, Pending):
            pending = reply
            self._tell(command, "the venue is slow with it")
            due = max(self.now, pending.due)
            if pending.reply is not None:  # the gateway gives up before it is done
                due = min(due, max(self.now, pending.reply.at))
            self.venue.at(due, lambda: self._ready(command, pending, nonce, life))
        else:
            self._say(command, reply, nonce, life)

    def _ready(self, command: Command, pending: Pending, nonce: int, life: int) -> None:
        """The server was held up with a request, and has done it by now or given up."""
        self.venue.move(self.now)
        assert pending.reply is not None
        self._say(command, pending.reply, nonce, life)

    def _say(self, command: Command, reply: Reply, nonce: int, life: int) -> None:
        """The answer goes on its way, if there is one."""
        if reply.at > self.now:
            later = msgspec.structs.replace(reply, at=0)
            self.venue.at(reply.at, lambda: self._say(command, later, nonce, life))
            return
        if life != self._life or (isinstance(command, Place) and command.client_id in self.deaf):
            return
        if reply.fate == "cut":
            self._give_up(command, nonce, "connection lost")
        elif reply.fate == "hang" or self.dice.uniform() < self.faults.answer_lost:
            self._tell(command, "answer lost")
            self._lose(command, nonce)
        else:
            self._later(self._latency(), lambda: self._come_back(command, reply, nonce))

    def _come_back(self, command: Command, reply: Reply, nonce: int) -> None:
        if isinstance(command, Place):
            if self._dies("answer"):
                return
            self._tell(command, f"answer {reply.status}")
            self.deliver(Sent(command.client_id, nonce))
        if reply.status == TOO_MANY:
            self.bucket.hold_until(self.now + int(reply.headers.get("Retry-After", "5")) * SECOND)
        self._doubted(reply)
        self._answer(command, reply)

    def _answer(self, command: Command, reply: Reply) -> None:
        headers = {name.lower(): value for name, value in reply.headers.items()}
        body = b"[]" if self.forgets_listings and isinstance(command, ListOrders) else reply.body
        for what in interpret(command, Response(reply.status, headers, body), self.grids):
            self.deliver(what)

    def _lose(self, command: Command, nonce: int) -> None:
        wait = CREATE_WITHIN_S if isinstance(command, Place) else ASK_WITHIN_S
        self._later(wait, lambda: self._give_up(command, nonce, f"no answer within {wait:g} s"))
        self.ambiguous += isinstance(command, Place)

    def _give_up(self, command: Command, nonce: int, reason: str) -> None:
        self._tell(command, reason)
        if isinstance(command, Place):
            self.deliver(Sent(command.client_id, nonce))
        for what in interpret(command, NoResponse(True, reason), self.grids):
            self.deliver(what)

    def _doubted(self, reply: Reply) -> None:
        """The venue calls a nonce expired: our idea of its clock is wrong."""
        if reply.status == UNAUTHORISED and NONCE_EXPIRED in reply.body:
            self._later(self._latency(), self._measure)

    def _measure(self) -> None:
        self._offset = self.venue.exchange.clock_offset - (self.clock - self.now)
        self.deliver(ClockRead(self._offset, 0))
        self._later(MEASURE_EVERY_S, self._measure)

    def _headers(self, nonce: int) -> dict[str, str]:
        return self.venue.headers(nonce)

    def _tell(self, command: Command, text: str) -> None:
        if isinstance(command, Place | Cancel):
            kind = "create" if isinstance(command, Place) else "cancel"
            self.laws.tell(command.client_id, self.now, f"{kind}: {text}")

    def switch(self, text: str) -> None:
        """Throw a switch of the exchange now, written as for `runner sandbox --fault`."""
        self.server.act(switch_text(text))
        self.venue.collect()

    # The exchange's own truth -----------------------------------------------------------------------------

    def venue_orders(self) -> dict[int, dict[str, Any]]:
        return self.venue.orders()

    def venue_fills(self) -> set[tuple[int, int]]:
        return self.venue.fills()

    def balances(self) -> dict[str, Decimal]:
        return self.venue.balances()
