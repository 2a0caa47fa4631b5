"""An exchange behind its wire, as one object to call."""

from collections.abc import Mapping

import msgspec

from runner.altmarkets.server import rest
from runner.altmarkets.server.answers import TEXT, Answer, Profile
from runner.altmarkets.server.barong import Denied
from runner.altmarkets.server.control import CONTROL, control
from runner.altmarkets.server.dialect import Dialect
from runner.altmarkets.server.formats import http_date
from runner.altmarkets.server.gateway import Call, Gateway, Pending, Reply, unwell
from runner.altmarkets.server.news import News
from runner.altmarkets.server.rango import Hub, Session, stream_names
from runner.simulation.exchange import Exchange
from runner.simulation.faults import FAULTS, Switch
from runner.simulation.moments import CannotHappen, happen

STREAM_BASE = "/api/v2/ranger"
NO_HTTP = b"\x15\x03\x01\x00\x02\x02\x28 this is not the port you are looking for\r\n\r\n"


class Server:
    """Every call says what time it is (UTC ns), and first lets everything happen that was due until then.

    Any call may put texts into the `outgoing` of any session. The same exchange and the same calls at the same times
    give the same answers and texts, byte for byte. With `controlled` there is an endpoint that switches faults.
    """

    def __init__(self, exchange: Exchange, profile: Profile | None = None, *, controlled: bool = False) -> None:
        self.exchange = exchange
        self.controlled = controlled
        self._profile = profile or Profile()
        self._dialect = Dialect(exchange)
        self._hub = Hub(exchange, self._dialect)
        self._news = News(exchange, self._profile, self._hub)
        self.gateway = Gateway(exchange, self._carry_out, self._authorise)
        exchange.show_books()  # so that the first subscriber has a snapshot to begin with
        self._news.spread()

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes, now: int) -> Reply | Pending:
        """Answer one HTTP request. `target` is the raw path and query; header names are lower case.

        Only a fault makes it `Pending`: then `advance` will answer it.
        """
        self.advance(now)
        call = Call(method, target, dict(headers), body)
        if self.controlled and target.partition("?")[0] == CONTROL:
            answer = self._reply(control(self.exchange, method, call.headers, body, self.act))
            self._news.spread()
            return answer
        return self.gateway.take(call)

    def act(self, chosen: Switch) -> None:
        """Let something go wrong now, or from now on. Raises CannotHappen."""
        if not FAULTS[chosen.name].moment:
            self.exchange.faults.switch_on(chosen, self.exchange.now)
            return
        if not happen(self.exchange, chosen):
            self._hub.suffer(chosen.name, chosen.value)
        self._news.spread()

    def upgrade(self, target: str, headers: Mapping[str, str], now: int) -> Session | Reply:
        """Begin a WebSocket, or refuse it with an HTTP answer. A signature is checked here and never again."""
        self.advance(now)
        wrong = self.exchange.faults.strikes("handshake", self.exchange.now)
        if wrong is None:
            return self._open(target, headers)
        if wrong.value == "garbage":
            return Reply(0, {}, NO_HTTP, fate="raw")
        if wrong.value != "cut":
            return unwell(wrong.value)
        opened = self._open(target, headers)
        if isinstance(opened, Session):
            opened.outgoing.clear()
            opened.line = "cut"
        return opened

    def _open(self, target: str, headers: Mapping[str, str]) -> Session | Reply:
        path, _, query = target.partition("?")
        endpoint = path.rstrip("/").removeprefix(f"{STREAM_BASE}/")
        member: int | None = None
        if endpoint == "private":
            try:
                member = rest.sign_in(self.exchange, "GET", headers)
            except Denied as denied:
                return self._reply(rest.refusal(denied.status, denied.code))
        elif endpoint != "public":
            return self._reply(rest.not_found())
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            return self._reply(Answer("Forbidden", 403, TEXT))
        return self._hub.open(member, stream_names(query))

    def receive(self, session: Session, text: str, now: int) -> None:
        """Take one text message of a client."""
        self.advance(now)
        self._hub.receive(session, text)

    def disconnect(self, session: Session) -> None:
        """The connection is gone."""
        self._hub.close(session)

    def advance(self, now: int) -> None:
        """Do everything that is due, each thing at its own time."""
        self._news.skip(now)
        while (due := self._next_due()) is not None and due <= now:
            self.exchange.advance(due)
            self._news.spread()
            self._do_due(due)
            self._news.tell_the_time()
        self.exchange.advance(now)
        self._news.spread()

    def next_due(self) -> int | None:
        """UTC ns of the next thing due; None if nothing is waiting."""
        return _earliest(self.exchange.next_due(), self._next_due())

    def _next_due(self) -> int | None:
        """Of all that the exchange itself knows nothing of."""
        return _earliest(
            self._news.next_due(), self._hub.next_due(), self.gateway.next_due(), self.exchange.faults.next_due()
        )

    def _do_due(self, now: int) -> None:
        for chosen in self.exchange.faults.due(now):
            try:
                self.act(chosen)
            except CannotHappen:
                continue  # planned for a moment at which there was nothing to happen to
        self.gateway.do_due(now)
        self._news.spread()
        self._hub.do_due(now)

    # Requests --------------------------------------------------------------------------------------------

    def _carry_out(self, call: Call, member: int | None) -> Reply:
        method, target, headers, body = call.method, call.target, call.headers, call.body
        reply = self._reply(rest.answer(self.exchange, self._profile, method, target, headers, body, member))
        self._news.spread()
        return Reply(reply.status, reply.headers, b"") if method == "HEAD" else reply

    def _authorise(self, call: Call) -> int | Reply:
        try:
            return rest.sign_in(self.exchange, call.method, call.headers)
        except Denied as denied:
            return self._reply(rest.refusal(denied.status, denied.code))

    def _reply(self, answer: Answer) -> Reply:
        headers = {"Date": http_date(self.exchange.time), "Content-Type": "application/json", **answer.headers}
        if headers["Content-Type"].startswith("text/"):
            return Reply(answer.status, headers, answer.data.encode())
        return Reply(answer.status, headers, self._dialect.rest(msgspec.json.encode(answer.data)))


def _earliest(*times: int | None) -> int | None:
    return min((time for time in times if time is not None), default=None)
