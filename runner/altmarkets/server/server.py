"""An exchange behind its wire, as one object to call."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from runner.altmarkets.server import rest
from runner.altmarkets.server.answers import TEXT, Answer, Profile
from runner.altmarkets.server.barong import Denied
from runner.altmarkets.server.formats import http_date
from runner.altmarkets.server.news import News
from runner.altmarkets.server.rango import Hub, Session, stream_names
from runner.simulation.exchange import Exchange

STREAM_BASE = "/api/v2/ranger"


class Reply(Struct, frozen=True):
    """An HTTP answer, complete but for its length."""

    status: int
    headers: dict[str, str]
    body: bytes


class Server:
    """Every call says what time it is (UTC ns), and first lets everything happen that was due until then.

    Any call may put texts into the `outgoing` of any session. The same exchange and the same calls at the same times
    give the same answers and texts, byte for byte.
    """

    def __init__(self, exchange: Exchange, profile: Profile | None = None) -> None:
        self.exchange = exchange
        self._profile = profile or Profile()
        self._hub = Hub()
        self._news = News(exchange, self._profile, self._hub)
        exchange.show_books()  # so that the first subscriber has a snapshot to begin with
        self._news.spread()

    def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes, now: int) -> Reply:
        """Answer one HTTP request. `target` is the raw path and query; header names are lower case."""
        self.advance(now)
        answer = rest.answer(self.exchange, self._profile, method, target, headers, body)
        self._news.spread()
        reply = self._reply(answer)
        return Reply(reply.status, reply.headers, b"") if method == "HEAD" else reply

    def upgrade(self, target: str, headers: Mapping[str, str], now: int) -> Session | Reply:
        """Begin a WebSocket, or refuse it with an HTTP answer. A signature is checked here and never again."""
        self.advance(now)
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
        while (due := self._news.next_due()) is not None and due <= now:
            self.exchange.advance(due)
            self._news.spread()
            self._news.tell_the_time()
        self.exchange.advance(now)
        self._news.spread()

    def next_due(self) -> int | None:
        """UTC ns of the next thing due; None if nothing is waiting."""
        return min((due for due in (self.exchange.next_due(), self._news.next_due()) if due is not None), default=None)

    def _reply(self, answer: Answer) -> Reply:
        headers = {"Date": http_date(self.exchange.now), "Content-Type": "application/json", **answer.headers}
        body = answer.data.encode() if headers["Content-Type"].startswith("text/") else msgspec.json.encode(answer.data)
        return Reply(answer.status, headers, body)
