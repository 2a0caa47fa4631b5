"""The stream server's side of a WebSocket, as values: sessions, subscriptions, and the replay of book snapshots.

Behaves as Rango does: the kind of a stream is told by its dots, every reply lists what the connection has, and a
snapshot is stored and replayed to a new subscriber, never pushed to an old one. Source: wire reference 6.1-6.3.
"""

import heapq
from collections import deque
from collections.abc import Iterable
from typing import Any, Literal

import msgspec
from msgspec import Struct

from runner.altmarkets.server.dialect import Dialect
from runner.simulation.exchange import MILLISECOND, Exchange
from runner.simulation.faults import Switch

MESSAGE_BYTES_MAX = 512
"""Largest message of a client; a larger one closes the connection."""
TOO_BIG = 1009
"""Close code of RFC 6455 for a message that is too big."""

BOOK_SUFFIX = ".ob-inc"


class Session:
    """One connection. Take texts from the left of `outgoing`; with `close_code` set, send them, then close.

    `member` is None on the public endpoint: nobody is logged in there, whatever headers came along.
    `line`: a `cut` one is to be dropped without a close frame, on a `dead` one nothing is to be said any more.
    """

    __slots__ = ("close_code", "line", "member", "outgoing", "streams")

    def __init__(self, member: int | None = None) -> None:
        self.outgoing: deque[str] = deque()
        self.close_code: int | None = None
        self.line: Literal["up", "cut", "dead"] = "up"
        self.member = member
        self.streams: dict[str, None] = {}  # in the order of subscription


class BookCache(Struct):
    """What a new subscriber of a book is sent. Without a snapshot increments are not kept."""

    snapshot: str | None = None
    increments: list[str] = []


class Hub:
    """All open sessions and what they listen to. The exchange's faults may befall what is sent to them."""

    def __init__(self, exchange: Exchange, dialect: Dialect) -> None:
        self._exchange = exchange
        self._dialect = dialect
        self._held: list[tuple[int, int, Session, str]] = []  # texts that are held back, and until when
        self._count = 0
        self._gaps: set[str] = set()  # book streams whose next change is swallowed
        self._ping_due = 0
        self._sessions: dict[Session, None] = {}
        self._listeners: dict[str, dict[Session, None]] = {}  # of public streams
        self._members: dict[int, dict[Session, None]] = {}  # logged-in sessions of a member
        self._books: dict[str, BookCache] = {}

    # Connections -----------------------------------------------------------------------------------------

    def open(self, member: int | None, names: Iterable[str]) -> Session:
        """Begin a session with the streams of its URL; it is told what it has, even if that is nothing."""
        session = Session(member)
        self._sessions[session] = None
        if member is not None:
            self._members.setdefault(member, {})[session] = None
        self._subscribe(session, names)
        return session

    def close(self, session: Session) -> None:
        """Forget a session. Closing twice is harmless."""
        self._sessions.pop(session, None)
        for name in list(session.streams):
            self._leave(session, name)
        if session.member is not None:
            self._members.get(session.member, {}).pop(session, None)

    def receive(self, session: Session, text: str) -> None:
        """Take one text message of a client."""
        if session.close_code is not None or session.line != "up" or session not in self._sessions:
            return
        if len(text.encode()) > MESSAGE_BYTES_MAX:
            session.close_code = TOO_BIG
        elif text == "ping":  # the bare word, not JSON
            session.outgoing.append("pong")
        else:
            self._obey(session, text)

    def _obey(self, session: Session, text: str) -> None:
        try:
            message = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as problem:
            return _complain(session, f"Could not parse message: {problem}")
        if not isinstance(message, dict):
            return _complain(session, "Could not parse message: not an object")
        if message.get("op") == "pong":  # the answer to a JSON ping, which some clients send unasked
            return None
        event = message.get("event")
        if event not in ("subscribe", "unsubscribe"):  # it may be anything, a list too
            return _complain(session, "Could not parse Type: Invalid event")
        streams = message.get("streams")
        if not isinstance(streams, list | None) or not all(isinstance(name, str) for name in streams or ()):
            return _complain(session, "Could not parse message: streams is not a list of names")
        if not streams:
            return _complain(session, "No streams provided")
        return self._subscribe(session, streams) if event == "subscribe" else self._unsubscribe(session, streams)

    def _subscribe(self, session: Session, names: Iterable[str]) -> None:
        for name in names:
            if not _permitted(session, name):
                continue  # silently: the reply leaves it out, and that is all a client is told
            session.streams[name] = None
            if "." in name:
                self._listeners.setdefault(name, {})[session] = None
            if (book := self._books.get(name)) is not None and book.snapshot is not None:
                # Before the reply, and again on a repeated subscribe.
                session.outgoing.extend(map(self._dialect.stream, (book.snapshot, *book.increments)))
        _confirm(session, "subscribed")

    def _unsubscribe(self, session: Session, names: Iterable[str]) -> None:
        for name in names:
            self._leave(session, name)
        _confirm(session, "unsubscribed")

    def _leave(self, session: Session, name: str) -> None:
        session.streams.pop(name, None)
        listeners = self._listeners.get(name, {})
        listeners.pop(session, None)
        if not listeners:
            self._listeners.pop(name, None)  # names are the clients' own inventions: they must not pile up

    # What the exchange says ------------------------------------------------------------------------------

    def heard(self, stream: str) -> bool:
        """Whether anybody listens to a public stream."""
        return stream in self._listeners

    def heard_streams(self) -> list[str]:
        """Names of all public streams that anybody listens to."""
        return list(self._listeners)

    def present(self, member: int) -> bool:
        """Whether the member has a private connection."""
        return bool(self._members.get(member))

    def publish(self, stream: str, text: str) -> None:
        if stream in self._listeners:
            self._tell(self._listeners[stream], self._dialect.stream(text))

    def publish_to(self, member: int, stream: str, text: str) -> None:
        """Send to every connection of one member that has the private stream."""
        sessions = [session for session in self._members.get(member, ()) if stream in session.streams]
        faults, now = self._exchange.faults, self._exchange.now
        if not sessions or faults.quiet:
            return self._tell(sessions, text)
        if _named(faults.holds("lose_private", now), stream) and faults.strikes("lose_private", now):
            return None
        again = _named(faults.holds("duplicate_private", now), stream) and faults.strikes("duplicate_private", now)
        text = self._dialect.stream(text)
        for _ in range(2 if again else 1):
            if held := faults.strikes("reorder_private", now):
                self._hold(sessions, text, now + faults.dice.below(held.value + 1))
            else:
                self._tell(sessions, text)
        return None

    def _tell(self, sessions: Iterable[Session], text: str) -> None:
        for session in sessions:
            if session.line == "up":
                session.outgoing.append(text)

    def _hold(self, sessions: Iterable[Session], text: str, until: int) -> None:
        for session in sessions:
            self._count += 1
            heapq.heappush(self._held, (until, self._count, session, text))

    def keep_snapshot(self, book_stream: str, text: str) -> None:
        """Store a snapshot for those who subscribe from now on; nobody is sent it."""
        self._books[book_stream] = BookCache(text)

    def publish_increment(self, book_stream: str, text: str) -> None:
        if (book := self._books.get(book_stream)) is not None:
            book.increments.append(text)
        if book_stream in self._gaps:
            self._gaps.discard(book_stream)
        else:
            self.publish(book_stream, text)

    # What goes wrong -------------------------------------------------------------------------------------

    def suffer(self, what: str, value: str | None) -> None:
        """One of the moments that happen to the stream server."""
        match what:
            case "sequence_gap":
                self._gaps |= {stream for stream in self._books if value in {"all", stream.removesuffix(BOOK_SUFFIX)}}
            case "drop_private":
                self._lose_line("private", "cut")
            case "drop_public":
                self._lose_line("public", "cut")
            case "half_open":
                self._lose_line(value or "all", "dead")
            case "stream_restart":
                self._lose_line("all", "cut")
                self._books.clear()

    def _lose_line(self, which: str, how: Literal["cut", "dead"]) -> None:
        for session in self._sessions:
            if which in {"all", "public" if session.member is None else "private"} and session.line != "cut":
                session.line = how
                session.outgoing.clear()

    def next_due(self) -> int | None:
        """When something that is held back goes out, or a ping of the JSON kind; UTC ns."""
        held = [self._held[0][0]] if self._held else []
        pings = [max(self._ping_due, self._exchange.now)] if self._ping_every() and self._sessions else []
        return min(held + pings, default=None)

    def do_due(self, now: int) -> None:
        while self._held and self._held[0][0] <= now:
            _, _, session, text = heapq.heappop(self._held)
            if session in self._sessions:
                self._tell((session,), text)
        every = self._ping_every()
        if every and self._ping_due <= now:
            self._ping_due = now + every
            self._tell(self._sessions, f'{{"ping":{self._exchange.time // MILLISECOND}}}')

    def _ping_every(self) -> int:
        """Interval in ns, zero where the server does no such thing."""
        chosen = self._exchange.faults.holds("json_ping", self._exchange.now)
        return 0 if chosen is None else max(MILLISECOND, chosen.value)


def stream_names(query: str) -> list[str]:
    """Stream names in a raw query, `stream=a&stream=b,c`: split on commas, never percent-decoded."""
    values = (part.removeprefix("stream=") for part in query.split("&") if part.startswith("stream="))
    return [name for value in values for name in value.split(",") if name]


def _named(chosen: Switch | None, stream: str) -> bool:
    """Whether a fault is about this private stream."""
    return chosen is not None and chosen.value in {"any", stream}


def _permitted(session: Session, name: str) -> bool:
    dots = name.count(".")
    return bool(name) and (dots == 1 or (dots == 0 and session.member is not None))


def _confirm(session: Session, message: str) -> None:
    names = sorted(session.streams, key=lambda name: "." not in name)  # stable: public ones first
    _send(session, {"success": {"message": message, "streams": names}})


def _complain(session: Session, text: str) -> None:
    _send(session, {"error": text})


def _send(session: Session, message: dict[str, Any]) -> None:
    session.outgoing.append(msgspec.json.encode(message).decode())
