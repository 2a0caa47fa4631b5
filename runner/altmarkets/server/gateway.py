"""The way of a request through a gateway that fails: refused, lost, late, carried out twice, or answered wrongly.

Where no fault is on, a request is answered at once, as if this were not here. Source: wire reference 7.2, 8, 11;
orders.md, "What the simulator must be able to do to us".
"""

import heapq
from collections import deque
from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from runner.simulation.exchange import SECOND, Exchange

ROUTE_TIMEOUT = 15 * SECOND
"""After this long the gateway answers 504 in place of who has not answered yet (wire reference 7.2)."""

HTML = {"Content-Type": "text/html; charset=utf-8"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
JSON = {"Content-Type": "application/json"}

Fate = Literal["send", "cut", "hang", "raw"]


class Call(Struct, frozen=True):
    """One request as it came. `target` is the raw path and query; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        """Which sort of request it is, see `faults.REQUESTS`."""
        path = self.target.partition("?")[0].rstrip("/")
        if "/public/" in path or path.endswith("/public"):
            return "public"
        if self.method in {"GET", "HEAD"}:
            return "read"
        return "cancel" if path.endswith("/cancel") else "create"


class Reply(Struct, frozen=True):
    """An HTTP answer, complete but for its length. It is not sent before `at` (UTC ns).

    `fate`: it is sent; or the connection is cut instead; or nothing is ever said on it again; or the body goes out
    as it is, without an HTTP head, and that was it.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    at: int = 0
    fate: Fate = "send"


class Pending:
    """A request that is carried out at `due` (UTC ns) by `Server.advance`, whatever becomes of who sent it."""

    def __init__(self, call: Call, due: int, member: int | None) -> None:
        self.call = call
        self.due = due
        self.member = member  # who signed it, if that has been checked
        self.reply: Reply | None = None


CarryOut = Callable[[Call, int | None], Reply]
"""Answer a request; the second argument is its member where the signature was checked before."""

Authorise = Callable[[Call], int | Reply]
"""Who signed, or the answer that refuses it."""


class Gateway:
    """Stands between the clients and the exchange, and draws what befalls each request."""

    def __init__(self, exchange: Exchange, carry_out: CarryOut, authorise: Authorise) -> None:
        self.repeated: list[Call] | None = None  # for a witness: what a proxy sent twice
        self._exchange = exchange
        self._faults = exchange.faults
        self._carry_out = carry_out
        self._authorise = authorise
        self._waiting: list[tuple[int, int, Pending]] = []
        self._count = 0
        self._recent: dict[str, deque[int]] = {}  # times of the latest requests, by access key

    def take(self, call: Call) -> Reply | Pending:
        """Answer a request, or say when it will be."""
        if self._faults.quiet:
            return self._carry_out(call, None)
        kind, now = call.kind, self._exchange.now
        if refused := self._faults.strikes("refuse", now, kind):
            return unwell(refused.value)
        if limited := self._over_the_limit(call, kind, now):
            return limited
        if lost := self._faults.strikes("lost", now, kind):
            return Reply(0, {}, b"", fate=lost.value)
        if slow := self._faults.strikes("auth_delay", now, kind):
            return self._later(call, now + slow.value, None)
        if slow := self._faults.strikes("act_delay", now, kind):
            member = 0 if kind == "public" else self._authorise(call)
            return member if isinstance(member, Reply) else self._later(call, now + slow.value, member)
        return self._answered(call, None)

    def next_due(self) -> int | None:
        return self._waiting[0][0] if self._waiting else None

    def do_due(self, now: int) -> None:
        """Carry out what was held up until now."""
        while self._waiting and self._waiting[0][0] <= now:
            pending = heapq.heappop(self._waiting)[2]
            reply = self._answered(pending.call, pending.member)
            if pending.reply is None:
                pending.reply = reply

    def _later(self, call: Call, due: int, member: int | None) -> Pending:
        pending = Pending(call, due, member)
        if due > self._exchange.now + ROUTE_TIMEOUT:
            pending.reply = replace(unwell("504"), at=self._exchange.now + ROUTE_TIMEOUT)
        self._count += 1
        heapq.heappush(self._waiting, (due, self._count, pending))
        return pending

    def _answered(self, call: Call, member: int | None) -> Reply:
        kind, now = call.kind, self._exchange.now
        reply = self._carry_out(call, member)
        if twice := self._faults.strikes("twice", now, kind):
            if self.repeated is not None:
                self.repeated.append(call)
            second = self._carry_out(call, member)
            reply = second if twice.value == "second" else reply
        if wrong := self._faults.strikes("answer", now, kind):
            reply = unwell(wrong.value)
        if late := self._faults.strikes("answer_delay", now, kind):
            reply = replace(reply, at=now + late.value)
        return reply

    def _over_the_limit(self, call: Call, kind: str, now: int) -> Reply | None:
        limit = self._faults.strikes("rate_limit", now, kind)
        if limit is None:
            return None
        requests, per = limit.value
        recent = self._recent.setdefault(call.headers.get("x-auth-apikey", ""), deque())
        while recent and recent[0] + per < now:
            recent.popleft()
        if len(recent) < requests:
            recent.append(now)
            return None
        wait = -(-(recent[0] + per - now) // SECOND)  # in whole seconds, up
        return Reply(429, TEXT | {"Retry-After": str(max(1, wait))}, b"Retry later\n")


def unwell(what: str) -> Reply:
    """What a gateway says in place of the exchange: a status, or a kind of nonsense."""
    match what:
        case "cut" | "hang":
            return Reply(0, {}, b"", fate="cut" if what == "cut" else "hang")
        case "403":
            return Reply(403, {}, b"")
        case "422":
            return Reply(422, JSON, b'{"errors":["market.order.create_error"]}')
        case "429":
            return Reply(429, TEXT | {"Retry-After": "2"}, b"Retry later\n")
        case "471":
            return Reply(471, JSON, b'{"errors":["authz.restrict.maintenance"]}')
        case "500":
            return Reply(500, JSON, b'{"errors":["server.internal_error"]}')
        case "503":
            said = b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"
            return Reply(503, TEXT, said)
        case "504":
            return Reply(504, TEXT, b"upstream request timeout")
        case "html":
            return Reply(200, HTML, b"<html><body><h1>Please wait</h1></body></html>")
        case "garbage":
            return Reply(201, JSON, b'{"id":')
    return Reply(502, HTML, b"<html><head><title>502 Bad Gateway</title></head><body></body></html>")
