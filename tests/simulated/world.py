"""The engine and the exchange as values, wired by a discrete-event loop: no socket, no clock, hours in seconds.

Requests and answers are the real bytes of the real codecs at both ends of the line; only what carries them is made of
a heap of due times. Faults are drawn from a seeded generator, so one seed is one run.
"""

import heapq
import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from runner.altmarkets.messages import grids
from runner.altmarkets.rest import NoResponse, Response, interpret, request_for
from runner.altmarkets.server import Pending, Reply, Server, Session
from runner.altmarkets.signing import signed_headers
from runner.altmarkets.stream import PRIVATE_PATH, PUBLIC_PATH, PrivateStream, PublicStream
from runner.edge.budget import Bucket
from runner.engine.core import Engine
from runner.engine.strategy import Strategy
from runner.model.command import (
    Change,
    Command,
    FillBooked,
    Finish,
    ListOrders,
    OrderChanged,
    Output,
    Place,
    Reconnect,
    Resubscribe,
    StateChanged,
)
from runner.model.event import (
    Budget,
    ClockRead,
    Configured,
    Event,
    MarketsRead,
    NonceWindowProbed,
    NotSent,
    Restored,
    Sent,
    StopRequested,
    StreamAlive,
    StreamDown,
    Wake,
    What,
)
from runner.model.market import Market
from runner.model.order import Fill, Order
from runner.model.settings import MILLISECOND, SECOND, Settings
from runner.simulation.faults import switch_text
from runner.simulation.markets import SANDBOX_LISTINGS, Listing
from runner.simulation.sandbox import Sandbox, sandbox

START = 1_700_000_000 * SECOND
REST_BASE = "/api/v2/peatio"
STREAM_BASE = "/api/v2/ranger"


class Faults(msgspec.Struct):
    """Chances between 0 and 1, drawn for each request (or second, for the sockets)."""

    answer_lost: float = 0.0
    request_lost: float = 0.0
    late: float = 0.0  # a create that takes seconds to arrive
    private_drop: float = 0.0  # per second
    public_drop: float = 0.0
    latency: tuple[float, float] = (0.005, 0.05)  # s, one way


class Remembered:
    """What a journal would hold: a dictionary instead of a file, with the same meaning."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.orders: dict[str, Order] = {}
        self.fills: dict[tuple[int, int], Fill] = {}
        self.state: str | None = None

    def commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            match change:
                case OrderChanged(order):
                    self.orders[order.client_id] = order
                case FillBooked(fill):
                    self.fills[fill.key] = fill
                case StateChanged(state):
                    self.state = state

    def restore(self) -> Restored:
        generations: dict[str, int] = {}
        for order in self.orders.values():
            generations[order.slot] = max(order.generation, generations.get(order.slot, -1))
        alive = tuple(order for order in self.orders.values() if not order.state.terminal)
        return Restored(self.epoch, alive, generations, tuple(self.fills.values()), self.state)


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
        self.dice = random.Random(seed)
        self.faults = faults or Faults()
        self.grown: Sandbox = grown or sandbox(seed, self.now, listings=listings)
        self.server = Server(self.grown.exchange)
        self.settings = settings
        self.strategy = strategy
        self.markets: dict[str, Market] = {market.symbol: market for market in self.grown.exchange.markets}
        self.grids = grids(self.markets.values())
        self.journal = Remembered(self.now // (60 * SECOND))
        self.bucket = Bucket()
        self.log: list[Event] = []
        self.outputs: list[Output] = []
        self.finish: Finish | None = None
        self.ambiguous = 0
        self.crashes = 0
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
        self.finish = None
        self._gate_open = True
        self._number = 0
        self.log = []
        self.outputs = []
        self.engine = Engine(self.strategy)
        self._told = -1
        self._sessions: dict[str, Session] = {}
        self._codecs: dict[str, Any] = {}
        for what in (
            Configured(self.settings),
            self.journal.restore(),
            MarketsRead(tuple(self.markets.values())),
            ClockRead(0, 0),
            NonceWindowProbed(enforced=self.engine_probe),
        ):
            self.deliver(what)
        for stream in ("private", "public"):
            self._later(0.05, lambda stream=stream: self._connect(stream))

    def crash(self) -> None:
        """Drop everything but the journal, and come back a little later."""
        self.crashes += 1
        for session in self._sessions.values():
            self.server.disconnect(session)
        self._life += 1
        self._sessions, self._codecs = {}, {}
        life = self._life
        self._at(self.now + SECOND, lambda: self.start() if life == self._life else None, life=None)

    def stop(self) -> None:
        self.deliver(StopRequested("signal"))

    # Time -------------------------------------------------------------------------------------------------

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
        return self.dice.uniform(*self.faults.latency)

    # Streams ----------------------------------------------------------------------------------------------

    def _connect(self, stream: str) -> None:
        path = PRIVATE_PATH if stream == "private" else PUBLIC_PATH
        session = self.server.upgrade(STREAM_BASE + path, self._headers(self.now // MILLISECOND), self.now)
        if isinstance(session, Reply):  # no handshake, by a fault: the client gives up after 10 s, and comes again
            self.deliver(StreamDown("private" if stream == "private" else "public", "no handshake"))
            self._later(10.0 if session.fate == "hang" else 2.0, lambda: self._connect(stream))
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
            self._later(self.dice.expovariate(chance), lambda: self.drop(stream))

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
                self._later(wait, lambda s=stream, x=session: self.drop(s) if self._sessions.get(s) is x else None)
            if session.outgoing and stream in self._paused:
                session.outgoing.clear()
            elif session.outgoing:
                texts = [text for text in session.outgoing if not (self.still and ".ob-inc" in text)]
                session.outgoing.clear()
                codec = self._codecs[stream]
                self._later(0.005, lambda s=stream, c=codec, t=texts: self._receive(s, c, t))

    def _receive(self, stream: str, codec: Any, texts: list[str]) -> None:
        if self._codecs.get(stream) is not codec:
            return  # it was in the cut line
        if stream == "public":
            self.deliver(StreamAlive("public"))
        for text in texts:
            for what in codec.receive(text):
                self.deliver(what)

    # The engine -------------------------------------------------------------------------------------------

    def deliver(self, what: What) -> None:
        if self.finish is not None:
            return
        if not isinstance(what, Budget) and self.bucket.free(self.now) != self._told:
            self._told = self.bucket.free(self.now)
            self.deliver(Budget(self._told, self.bucket.refill_at(self.now)))
        self._number += 1
        event = Event(self._number, self.now, what)
        output = self.engine.handle(event)
        self.log.append(event)
        self.outputs.append(output)
        self.journal.commit(output.changes)
        self._gate_open = self._gate_open and self.engine.stop is None
        for command in output.commands:
            self._take(command)
        if output.commands:
            self._told = self.bucket.free(self.now)
        if output.wake_at is not None:
            self._wake += 1
            self._at(max(output.wake_at, self.now), lambda wake=self._wake: self._woken(wake), self._life)

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
            case Place() if not self.bucket.take(self.now):
                raise AssertionError("the engine spent a request that it was not told of")
            case _:
                if not isinstance(command, Place):
                    self.bucket.take(self.now)
                self._later(self._latency(), lambda: self._leave(command))

    def _leave(self, command: Command) -> None:
        nonce = self.now // MILLISECOND
        if isinstance(command, Place):
            if not self._gate_open or nonce > command.sign_before:
                self.deliver(NotSent(command.client_id, "too late"))
                return
            self.deliver(Sent(command.client_id, nonce))
        unlucky = isinstance(command, Place) and command.client_id in self.lost
        if unlucky or self.dice.random() < self.faults.request_lost:
            self._lose(command)
            return
        delay = self._latency()
        if self.dice.random() < self.faults.late:
            delay = self.dice.uniform(1.0, 4.0)
        # What has left arrives, whatever becomes of its sender.
        life = self._life
        self._at(self.now + int(delay * SECOND), lambda: self._arrive(command, nonce, life), None)

    def _arrive(self, command: Command, nonce: int, life: int) -> None:
        request = request_for(command, self.markets)
        query = "&".join(f"{key}={value}" for key, value in request.query)
        target = REST_BASE + request.path + (f"?{query}" if query else "")
        headers = {**self._headers(nonce), "content-type": "application/json", "user-agent": "test"}
        reply = self.server.request(request.method, target, headers, request.body or b"", self.now)
        self._collect()
        if isinstance(reply, Pending):
            pending = reply
            self._at(max(self.now, pending.due), lambda: self._ready(command, pending, life), None)
        else:
            self._say(command, reply, life)

    def _ready(self, command: Command, pending: Pending, life: int) -> None:
        """The server was held up with a request, and has done it by now."""
        self.server.advance(self.now)
        self._collect()
        assert pending.reply is not None
        self._say(command, pending.reply, life)

    def _say(self, command: Command, reply: Reply, life: int) -> None:
        """The answer goes on its way, if there is one."""
        if reply.at > self.now:
            later = msgspec.structs.replace(reply, at=0)
            self._at(reply.at, lambda: self._say(command, later, life), None)
            return
        if life != self._life or (isinstance(command, Place) and command.client_id in self.deaf):
            return
        if reply.fate == "cut":
            self._give_up(command, "connection lost")
            return
        if reply.fate == "hang" or self.dice.random() < self.faults.answer_lost:
            self._lose(command)
        else:
            self._later(self._latency(), lambda: self._answer(command, reply))

    def switch(self, text: str) -> None:
        """Throw a switch of the exchange now, written as for `runner sandbox --fault`."""
        self.server.act(switch_text(text))
        self._collect()

    def _answer(self, command: Command, reply: Reply) -> None:
        headers = {name.lower(): value for name, value in reply.headers.items()}
        body = b"[]" if self.forgets_listings and isinstance(command, ListOrders) else reply.body
        for what in interpret(command, Response(reply.status, headers, body), self.grids):
            self.deliver(what)

    def _lose(self, command: Command) -> None:
        wait = 15.0 if isinstance(command, Place) else 5.0
        self._later(wait, lambda: self._give_up(command, f"no answer within {wait:g} s"))
        self.ambiguous += isinstance(command, Place)

    def _give_up(self, command: Command, reason: str) -> None:
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
            reply = self.server.request("GET", target, self._headers(self.now // MILLISECOND), b"", self.now)
            found = msgspec.json.decode(reply.body)
            rows += found
            if len(found) < 1000:
                break
        return rows
