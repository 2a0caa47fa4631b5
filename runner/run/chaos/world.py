"""The engine and the exchange as values, wired by a discrete-event loop: no socket, no clock, hours in seconds.

Requests and answers are the real bytes of the real codecs at both ends of the line; only what carries them is made of
a heap of due times. What goes wrong on the line and in the runner's process is done here, what goes wrong at the
exchange is a switch of the sandbox. Everything is drawn from seeded dice, so one seed is one run.
"""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Struct

from runner.altmarkets.messages import grids
from runner.altmarkets.rest import NoResponse, Response, interpret, request_for
from runner.altmarkets.server import Pending, Reply, Server, Session
from runner.altmarkets.signing import signed_headers
from runner.altmarkets.stream import PRIVATE_PATH, PUBLIC_PATH, PrivateStream, PublicStream
from runner.edge.budget import Bucket
from runner.engine.core import Engine
from runner.engine.strategy import Strategy
from runner.model.command import Cancel, Change, Command, Finish, ListOrders, Output, Place, Reconnect, Resubscribe
from runner.model.event import (
    Budget,
    ClockRead,
    Configured,
    Event,
    JournalFailed,
    MarketsRead,
    NonceWindowProbed,
    NotSent,
    Sent,
    StopRequested,
    StreamAlive,
    StreamDown,
    Wake,
    What,
)
from runner.model.market import Market
from runner.model.settings import MILLISECOND, SECOND, Settings
from runner.run.chaos.memory import Memory
from runner.run.gateway import ASK_WITHIN_S, CREATE_WITHIN_S, NONCE_EXPIRED
from runner.simulation.dice import Dice, seed_state
from runner.simulation.faults import switch_text
from runner.simulation.markets import SANDBOX_LISTINGS, Listing
from runner.simulation.sandbox import Sandbox, sandbox

START = 1_700_000_000 * SECOND
REST_BASE = "/api/v2/peatio"
STREAM_BASE = "/api/v2/ranger"
BACK_AFTER = 1.0  # s; a process that died is started again, a socket that was cut is opened again

CrashPoint = Literal["handled", "written", "sent"]
"""Where a process may die within one event: nothing of its output is written; it is written but nothing has left;
everything has left."""


class Faults(Struct):
    """Of the line. Chances between 0 and 1, drawn for each request (or second, for the sockets)."""

    answer_lost: float = 0.0
    request_lost: float = 0.0
    late: float = 0.0  # a create that takes seconds to arrive
    private_drop: float = 0.0  # per second
    public_drop: float = 0.0
    latency: tuple[float, float] = (0.005, 0.05)  # s, one way


class World:
    """One exchange, and one runner on it that may crash and come back."""

    def __init__(
        self,
        seed: str,
        settings: Settings,
        strategy: type[Strategy],
        faults: Faults | None = None,
        *,
        listings: Sequence[Listing] = SANDBOX_LISTINGS,
        grown: Sandbox | None = None,
    ) -> None:
        self.now = START
        self.dice = Dice(seed_state(seed, "world"))
        self.faults = faults or Faults()
        self.grown: Sandbox = grown or sandbox(seed, self.now, listings=listings)
        self.server = Server(self.grown.exchange)
        self.settings = settings
        self.strategy = strategy
        self.markets: dict[str, Market] = {market.symbol: market for market in self.grown.exchange.markets}
        self.grids = grids(self.markets.values())
        self.journal = Memory(self.now // (60 * SECOND))
        self.bucket = Bucket()
        self.log: list[Event] = []
        self.outputs: list[Output] = []
        self.finish: Finish | None = None
        self.ambiguous = 0
        self.crashes = 0
        self.starts = 0
        self.tally: Counter[str] = Counter()
        self.signed: dict[str, int] = {}  # client id -> how often a create of that name was signed and left
        self.cancelled: list[int] = []  # venue ids that a cancel was asked for
        self.after_gate: list[str] = []  # creates signed when the gate was closed
        self.skew = 0  # the runner's clock less the true time, ns; found out at each start
        self.disk_full = False
        self.crash_at: CrashPoint | None = None  # at the next output with an order in it
        self.engine_probe = True  # whether the venue proved that it enforces the nonce window
        self.deaf: set[str] = set()  # creates whose answer and news do not come back
        self.lost: set[str] = set()  # creates that never arrive
        self.forgets_listings = False  # the venue lists no order of ours any more
        self.still = False  # nobody trades or quotes in any market: only the venue's own clockwork speaks
        self._paused: set[str] = set()
        self._lines_lost: set[Session] = set()
        self._heap: list[tuple[int, int, int, Callable[[], None]]] = []
        self._count = 0
        self._life = 0  # a crash ends all that was on its way to the runner
        self._number = 0
        self._wake = 0
        self._gate_open = True
        self.start()

    # The runner's life ------------------------------------------------------------------------------------

    def start(self) -> None:
        self._life += 1
        self._running = True
        self.starts += 1
        self.finish = None
        self._gate_open = True
        self._number = 0
        self._engine_now = 0
        self._measuring = False
        self.offset = self.server.exchange.time - (self.now + self.skew)
        self.log = []
        self.outputs = []
        self.engine = self._new_engine()
        self._unwritten: tuple[Change, ...] = ()
        self._told = -1
        self._sessions: dict[str, Session] = {}
        self._codecs: dict[str, Any] = {}
        for what in (
            Configured(self.settings),
            self.journal.restore(self.clock()),
            MarketsRead(tuple(self.markets.values())),
            ClockRead(self.offset, SECOND // 2),
            NonceWindowProbed(enforced=self.engine_probe),
        ):
            self.deliver(what)
        for stream in ("private", "public"):
            self._later(0.05, partial(self._connect, stream))

    def crash(self, back_after: float = BACK_AFTER) -> None:
        """Drop everything but the journal, and come back a little later."""
        self.crashes += 1
        self.crash_at = None
        self.leave()
        life = self._life
        self._at(self.now + int(back_after * SECOND), lambda: self.start() if life == self._life else None, life=None)

    def leave(self) -> None:
        """The process is gone, and its sockets with it. What has left it is on its way all the same."""
        for session in self._sessions.values():
            self.server.disconnect(session)
        self._life += 1
        self._running = False
        self._sessions, self._codecs = {}, {}

    def alive(self) -> bool:
        """Whether the process is there."""
        return self._running

    def _new_engine(self) -> Engine:
        return Engine(self.strategy)

    def stop(self) -> None:
        self.deliver(StopRequested("signal"))

    # Time -------------------------------------------------------------------------------------------------

    def clock(self) -> int:
        """The engine's time: the runner's own clock, which never goes back within a run."""
        self._engine_now = max(self._engine_now, self.now + self.skew)
        return self._engine_now

    def _true(self, engine_time: int) -> int:
        return engine_time - self.skew

    def run_for(self, seconds: float) -> None:
        """Let everything happen that is due in the next `seconds`, or until the engine has finished."""
        end = self.now + int(seconds * SECOND)
        while self.finish is None:
            due = self.server.next_due()
            at = self._heap[0][0] if self._heap else end
            if due is not None and due < at:
                if due > end:
                    break
                self._move(due)
                continue
            if at > end:
                break
            _, _, life, action = heapq.heappop(self._heap)
            self._move(at)
            if life in (0, self._life):
                action()
        if self.finish is None:
            self._move(end)

    def _move(self, at: int) -> None:
        self.now = max(self.now, at)
        self.server.advance(self.now)
        self._collect()

    def _at(self, at: int, action: Callable[[], None], life: int | None) -> None:
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, life or 0, action))

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        self._at(self.now + int(seconds * SECOND), action, self._life)

    def _latency(self) -> float:
        return self.dice.between(*self.faults.latency)

    # Streams ----------------------------------------------------------------------------------------------

    def _connect(self, stream: str) -> None:
        path = PRIVATE_PATH if stream == "private" else PUBLIC_PATH
        session = self.server.upgrade(STREAM_BASE + path, self._headers(self._nonce()), self.now)
        if not isinstance(session, Session):
            if NONCE_EXPIRED in session.body:
                self._measure_clock()
            self._later(BACK_AFTER, lambda: self._connect(stream))
            return
        self._sessions[stream] = session
        if stream == "private":
            self._codecs[stream] = PrivateStream(self.markets.values())
        else:
            self._codecs[stream] = PublicStream(self.markets.values(), self.settings.markets)
            for text in self._codecs[stream].subscriptions():
                self.server.receive(session, text, self.now)
        self._drop_sometime(stream)
        self._collect()

    def _drop_sometime(self, stream: str) -> None:
        chance = self.faults.private_drop if stream == "private" else self.faults.public_drop
        if chance:
            self._later(self.dice.exponential() / chance, lambda: self.drop(stream))

    def drop(self, stream: str) -> None:
        """Cut a socket; what was on its way is lost, and it comes back after a second."""
        session = self._sessions.pop(stream, None)
        if session is None:
            return
        self.server.disconnect(session)
        self._codecs.pop(stream)
        self.deliver(StreamDown("private" if stream == "private" else "public", "cut"))
        self._later(BACK_AFTER, lambda: self._connect(stream))

    def _notice(self, stream: str, session: Session) -> None:
        if self._sessions.get(stream) is session:
            self.drop(stream)

    def pause(self, stream: str) -> None:
        """A half-open line: nothing comes, and nobody says so."""
        self._paused.add(stream)

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
                self._later(wait, partial(self._notice, stream, session))
            if session.outgoing and stream in self._paused:
                session.outgoing.clear()
            elif session.outgoing:
                texts = [text for text in session.outgoing if not (self.still and ".ob-inc" in text)]
                session.outgoing.clear()
                codec = self._codecs[stream]
                self._later(0.005, partial(self._receive, stream, codec, texts))

    def _receive(self, stream: str, codec: Any, texts: list[str]) -> None:
        if stream not in self._codecs or self._codecs[stream] is not codec:
            return  # it was in the cut line
        if stream == "public":
            self.deliver(StreamAlive("public"))
        for text in texts:
            for what in codec.receive(text):
                self.deliver(what)

    # The engine -------------------------------------------------------------------------------------------

    def deliver(self, what: What) -> None:
        """One event: handled, made durable, sent; or less than that, where a crash is due."""
        if self.finish is not None or not self.alive():
            return
        now = self.clock()
        if not isinstance(what, Budget) and self.bucket.free(now) != self._told:
            self._told = self.bucket.free(now)
            self.deliver(Budget(self._told, self.bucket.refill_at(now)))
            if not self.alive():
                return  # it died of that
        self._number += 1
        event = Event(self._number, now, what)
        output = self.engine.handle(event)
        self.log.append(event)
        self.outputs.append(output)
        self._gate_open = self._gate_open and self.engine.stop is None
        crash_at = self.crash_at if any(isinstance(command, Place) for command in output.commands) else None
        if crash_at == "handled":
            self.crash()
            return
        failure = self._write(output)
        if crash_at == "written":
            self.crash()
            return
        self._submit(output, failure)
        if output.wake_at is not None:
            self._wake += 1
            wake_at = self._true(output.wake_at)
            self._at(max(wake_at, self.now), partial(self._woken, self._wake), self._life)
        if failure is not None:
            self.deliver(JournalFailed(failure))
        if crash_at == "sent":
            self._later(self._latency(), self.crash)

    def _write(self, output: Output) -> str | None:
        """Make it durable; why not, if it cannot be. Then it goes with the next that can."""
        changes = (*self._unwritten, *output.changes)
        if self.disk_full and output.changes:
            self._unwritten = changes
            return "disk full"
        if output.changes:
            self.journal.commit(changes)
            self._unwritten = ()
        return None

    def _submit(self, output: Output, failure: str | None) -> None:
        for command in output.commands:
            if isinstance(command, Place) and failure is not None:
                self.deliver(NotSent(command.client_id, failure))
            else:
                self._take(command)
        if output.commands:
            self._told = self.bucket.free(self.clock())

    def _woken(self, wake: int) -> None:
        if wake == self._wake:
            self.deliver(Wake())

    def _take(self, command: Command) -> None:
        match command:
            case Finish():
                self.finish = command
            case Resubscribe():
                if "public" in self._sessions:
                    for text in self._codecs["public"].resubscribe(command.market):
                        self.server.receive(self._sessions["public"], text, self.now)
                    self._collect()
            case Reconnect():
                self.drop(command.stream)
            case Place() if not self.bucket.take(self.clock()):
                raise AssertionError("the engine spent a request that it was not told of")
            case _:
                if not isinstance(command, Place):
                    self.bucket.take(self.clock())
                self._later(self._latency(), lambda: self._leave(command))

    def _leave(self, command: Command) -> None:
        """Sign it, at the last moment, and let it go."""
        nonce = self._nonce()
        if isinstance(command, Place):
            if not self._may_sign(command, nonce):
                self.deliver(NotSent(command.client_id, "too late"))
                return
            self.signed[command.client_id] = self.signed.get(command.client_id, 0) + 1
            if self.engine.stop is not None:
                self.after_gate.append(command.client_id)
        elif isinstance(command, Cancel):
            self.cancelled.append(command.order_id)
        self.tally[f"request.{type(command).__name__}"] += 1
        unlucky = isinstance(command, Place) and command.client_id in self.lost
        if unlucky or self.dice.uniform() < self.faults.request_lost:
            self.tally["line.request_lost"] += 1
            self._lose(command, nonce)
            return
        delay = self._latency()
        if self.dice.uniform() < self.faults.late:
            delay = self.dice.between(1.0, 4.0)
        # What has left arrives, whatever becomes of its sender.
        life = self._life
        self._at(self.now + int(delay * SECOND), lambda: self._arrive(command, nonce, life), None)

    def _may_sign(self, command: Place, nonce: int) -> bool:
        return self._gate_open and nonce <= command.sign_before

    def _nonce(self) -> int:
        """Venue milliseconds, as the runner believes them to be."""
        return (self.clock() + self.offset) // MILLISECOND

    def _measure_clock(self) -> None:
        """What the runner does when the venue calls its nonce expired."""
        if not self._measuring:
            self._measuring = True
            self._later(2 * self._latency(), self._clock_measured)

    def _clock_measured(self) -> None:
        self._measuring = False
        self.offset = self.server.exchange.time - self.clock()
        self.deliver(ClockRead(self.offset, SECOND // 2))

    def _arrive(self, command: Command, nonce: int, life: int) -> None:
        request = request_for(command, self.markets)
        query = "&".join(f"{key}={value}" for key, value in request.query)
        target = REST_BASE + request.path + (f"?{query}" if query else "")
        headers = {**self._headers(nonce), "content-type": "application/json", "user-agent": "test"}
        reply = self.server.request(request.method, target, headers, request.body or b"", self.now)
        self._collect()
        if isinstance(reply, Pending):
            pending = reply
            self._at(max(self.now, pending.due), lambda: self._ready(command, pending, nonce, life), None)
        else:
            self._say(command, reply, nonce, life)

    def _ready(self, command: Command, pending: Pending, nonce: int, life: int) -> None:
        """The server was held up with a request, and has done it by now."""
        self.server.advance(self.now)
        self._collect()
        assert pending.reply is not None
        self._say(command, pending.reply, nonce, life)

    def _say(self, command: Command, reply: Reply, nonce: int, life: int) -> None:
        """The answer goes on its way, if there is one."""
        if reply.at > self.now:
            later = msgspec.structs.replace(reply, at=0)
            self._at(reply.at, lambda: self._say(command, later, nonce, life), None)
            return
        if life != self._life or (isinstance(command, Place) and command.client_id in self.deaf):
            return
        if reply.fate == "cut":
            self._give_up(command, nonce, "connection lost")
            return
        if reply.fate == "hang" or self.dice.uniform() < self.faults.answer_lost:
            self.tally["line.answer_lost"] += 1
            self._lose(command, nonce)
        else:
            self._later(self._latency(), lambda: self._answered(command, reply, nonce))

    def switch(self, text: str) -> None:
        """Throw a switch of the exchange now, written as for `runner sandbox --fault`."""
        self.server.act(switch_text(text))
        self._collect()

    def _answered(self, command: Command, reply: Reply, nonce: int) -> None:
        if isinstance(command, Place):
            self.deliver(Sent(command.client_id, nonce))
        if NONCE_EXPIRED in reply.body:
            self._measure_clock()
        self._answer(command, reply)

    def _answer(self, command: Command, reply: Reply) -> None:
        headers = {name.lower(): value for name, value in reply.headers.items()}
        body = b"[]" if self.forgets_listings and isinstance(command, ListOrders) else reply.body
        for what in interpret(command, Response(reply.status, headers, body), self.grids):
            self.deliver(what)

    def _lose(self, command: Command, nonce: int) -> None:
        wait = CREATE_WITHIN_S if isinstance(command, Place) else ASK_WITHIN_S
        self._later(wait, lambda: self._give_up(command, nonce, f"no answer within {wait:g} s"))

    def _give_up(self, command: Command, nonce: int, reason: str) -> None:
        if isinstance(command, Place):
            self.ambiguous += 1
            self.deliver(Sent(command.client_id, nonce))
        for what in interpret(command, NoResponse(True, reason), self.grids):
            self.deliver(what)

    def _headers(self, nonce: int) -> dict[str, str]:
        signed = signed_headers(self.grown.key.access, self.grown.key.secret, nonce)
        return {name.lower(): value for name, value in signed.items()}

    def let_pass(self, seconds: float) -> None:
        """Time at the venue, after the runner has gone. The crowd goes on."""
        self._move(self.now + int(seconds * SECOND))

    # The exchange's own truth -----------------------------------------------------------------------------

    def venue_orders(self) -> dict[int, dict[str, Any]]:
        """Every order of the account, whatever its state, as the venue's REST tells it."""
        return {row["id"]: row for row in self._everything("/market/orders?limit=1000")}

    def venue_fills(self) -> set[tuple[int, int]]:
        return {(row["id"], row["order_id"]) for row in self._everything("/market/trades?limit=1000")}

    def balances(self) -> dict[str, Decimal]:
        """Available plus locked, by upper-case currency."""
        rows = self._everything("/account/balances?limit=1000")
        return {row["currency"].upper(): Decimal(row["balance"]) + Decimal(row["locked"]) for row in rows}

    def _everything(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for page in range(1, 100):
            target = f"{REST_BASE}{path}&page={page}"
            headers = self._headers(self.server.exchange.time // MILLISECOND)
            reply = self.server.request("GET", target, headers, b"", self.now)
            assert isinstance(reply, Reply), "the exchange is asked for its truth while it is being slow"
            found = msgspec.json.decode(reply.body)
            rows += found
            if len(found) < 1000:
                break
        return rows
