"""The venue's two sockets, sans-IO: text in, events out, and the texts to send. One object per connection.

Nothing the venue says raises. What cannot be understood becomes a VenueFault, told once per kind and connection, and
names the wire knows and we do not use are passed over. Source: wire reference 6.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec

from runner.altmarkets.messages import (
    MALFORMED,
    StockFrame,
    balance_row,
    book_levels,
    decode,
    grids,
    not_negative,
    order_row,
    positive,
    public_trade,
    sequence_number,
    stock_decoder,
    stock_trades,
    trade_row,
)
from runner.altmarkets.numbers import SHORT_TEXT, SHORT_WHOLE, Grid, Unreadable, shown
from runner.model.event import (
    BalanceNews,
    BookDelta,
    BookGap,
    BookSnapshot,
    OrderNews,
    Stream,
    StreamUp,
    TradeNews,
    VenueFault,
    What,
)
from runner.model.market import Market

MESSAGE_BYTES_MAX = 512
"""The venue closes the connection on a longer message (reference 6.2)."""

PUBLIC_PATH = "/public/"
PRIVATE_PATH = "/private/?stream=order&stream=trade&stream=balance"
"""Path and query below the stream URL. Not percent-encoded: the venue reads the query raw."""

HEARTBEAT = "global.tickers"
"""Comes about every 5 s: it proves that the line lives where a market is quiet (reference 6.3)."""

PRIVATE_REQUIRED = ("order", "trade")  # balances can be polled
_PRIVATE_UNUSED = frozenset({"deposit_address"})

_PONGS_WAITING_MAX = 8
_STAMP_MAX = 64  # characters of a ping's value: the answer must stay a short message


class PublicStream:
    """Books and trades of some markets. `markets`: at least those of `symbols`.

    Raises KeyError for a symbol that is not among the markets.
    """

    def __init__(self, markets: Iterable[Market], symbols: Iterable[str]) -> None:
        known = {market.symbol: market for market in markets}
        self._faults = Faults("public")
        self._feeds = {symbol: _Feed(known[symbol], self._faults) for symbol in dict.fromkeys(symbols)}
        self._by_name = {name: feed for feed in self._feeds.values() for name in feed.names}
        self._texts = messages("subscribe", [*self._by_name, HEARTBEAT])
        # One confirmation greets the connection, one answers each message.
        self._control = Control("public", tuple(self._by_name), 1 + len(self._texts), self._faults)
        # How a frame begins says which feed it is for; an only feed finds out by itself whether it is.
        self._by_head: dict[str | bytes, _Feed] = {}
        for name, feed in self._by_name.items():
            self._by_head[f'{{"{name}'] = self._by_head[f'{{"{name}'.encode()] = feed
        self._only = next(iter(self._feeds.values())) if len(self._feeds) == 1 else None

    def subscriptions(self) -> list[str]:
        """What to send after the handshake: every stream of every market, in messages the venue can take."""
        return list(self._texts)

    def resubscribe(self, symbol: str) -> list[str]:
        """What to send for a fresh snapshot of a book: it only comes with a new subscription (reference 6.3)."""
        names = [self._feeds[symbol].book_name]
        return messages("unsubscribe", names) + messages("subscribe", names)

    def replies(self) -> list[str]:
        """What the venue's own pings want to hear; each is given out once."""
        return self._control.replies()

    def receive(self, text: bytes | str) -> list[What]:
        """What one frame says."""
        return self.receive_all((text,))

    def receive_all(self, texts: Iterable[bytes | str]) -> list[What]:
        """What some frames say, in their order: the way in for all that one read brought."""
        found: list[What] = []
        if self._only is not None:
            self._only.read_stock(texts, found, self._read)
            return found
        for text in texts:
            feed = self._by_head.get(_head(text))
            if feed is None:
                self._read(text, found)
            else:
                feed.read_stock((text,), found, self._read)
        return found

    def _read(self, text: bytes | str, found: list[What]) -> None:
        for name, body in self._control.read(text, found):
            if name == HEARTBEAT:
                continue
            feed = self._by_name.get(name.removesuffix(".ob-snap") + ".ob-inc" if name.endswith(".ob-snap") else name)
            if feed is None:
                self._faults.tell("unknown stream", f"a message of stream {shown(name)}, not asked for", found)
            elif body is not None:  # null says nothing; what it may stand for, the next number tells
                feed.read(name, body, found)


class PrivateStream:
    """News of the account: orders, trades, balances. `markets`: all of the venue's."""

    def __init__(self, markets: Iterable[Market]) -> None:
        self._grids = grids(markets)
        self._faults = Faults("private")
        self._control = Control("private", PRIVATE_REQUIRED, 1, self._faults)
        self._readers: dict[str, Callable[[object], What]] = {
            "order": lambda body: OrderNews(order_row(body, self._grids)),
            "trade": lambda body: TradeNews(trade_row(body, self._grids)),
            "balance": lambda body: BalanceNews(balance_row(body)),
        }

    def subscriptions(self) -> list[str]:
        """Nothing: PRIVATE_PATH names the streams already."""
        return []

    def replies(self) -> list[str]:
        """What the venue's own pings want to hear; each is given out once."""
        return self._control.replies()

    def receive(self, text: bytes | str) -> list[What]:
        """What one frame says."""
        found: list[What] = []
        for name, body in self._control.read(text, found):
            read = self._readers.get(name)
            if read is None:
                if name not in _PRIVATE_UNUSED:
                    self._faults.tell("unknown stream", f"a message of stream {shown(name)}, not asked for", found)
                continue
            for one in body if isinstance(body, list) else [body]:
                try:
                    found.append(read(one))
                except Unreadable as error:
                    self._faults.tell(name, f"{name}: {error}", found)
        return found

    def receive_all(self, texts: Iterable[bytes | str]) -> list[What]:
        """What some frames say, in their order."""
        return [what for text in texts for what in self.receive(text)]


class SequenceRule:
    """The numbers of one book's messages (reference 6.3): a snapshot sets, an increment follows or breaks.

    Broken, it stays broken until the next snapshot. Numbers restart at 1 with the venue's engine, so a lower one is
    as much of a gap as a higher one.
    """

    __slots__ = ("_told", "awaited")

    def __init__(self) -> None:
        self.awaited: int | None = None
        """The number that the next increment must have; None while only a snapshot will do."""
        self._told = False

    def snapshot(self, number: int) -> None:
        self.awaited = number + 1
        self._told = False

    def increment(self, number: int) -> bool:
        """Whether the increment follows what came before; if so, the next number is awaited."""
        if number != self.awaited:
            return False
        self.awaited = number + 1
        return True

    def break_off(self) -> bool:
        """Take nothing but a snapshot from now on. True if that is new: a gap is told once."""
        self.awaited = None
        told, self._told = self._told, True
        return not told


_UNUSUAL = (*MALFORMED, OverflowError)  # what can go wrong on the fast way; Unreadable is among them


class _Feed:
    """Book and trades of one market on one connection."""

    __slots__ = ("_decode", "_faults", "_grid", "_rule", "book_name", "names")

    def __init__(self, market: Market, faults: "Faults") -> None:
        self.book_name = f"{market.id}.ob-inc"
        self.names = (self.book_name, f"{market.id}.trades")
        self._grid = Grid(market)
        self._rule = SequenceRule()
        self._decode: Callable[[bytes | str], StockFrame] = stock_decoder(market.id)
        self._faults = faults

    def read_stock(
        self,
        texts: Iterable[bytes | str],
        found: list[What],
        unusual: Callable[[bytes | str, list[What]], None],
    ) -> None:
        """Read frames as the stock server writes them: nearly all there are, so this is the fast way.

        One that is in any way different goes to `unusual`, untouched. Law: of a frame that both ways can read, both
        say the same. A million frames a second leave no room for calls, so here reading a level is written out.
        """
        decode, rule, grid, symbol = self._decode, self._rule, self._grid, self._grid.symbol
        known_ticks, unit = grid.known_ticks.get, grid.lots_in_unit
        for text in texts:
            try:
                frame = decode(text)
                body = frame.increment
                if body is None:
                    if frame.trades is None:
                        raise Unreadable
                    found += stock_trades(frame.trades, grid)
                    continue
                number, bid, ask = body.sequence, body.bids, body.asks
                if number != rule.awaited or frame.trades is not None:
                    raise Unreadable
                if bid is not None and ask is None:
                    price, quantity = bid
                elif ask is not None and bid is None:
                    price, quantity = ask
                else:
                    raise Unreadable
                ticks = known_ticks(price) or positive(grid.ticks(price), "price")
                if quantity:
                    value = float(quantity)
                    lots = int(value * unit + 0.5)
                    if lots / unit != value or not 0 < lots < SHORT_WHOLE or len(quantity) > SHORT_TEXT:
                        lots = not_negative(grid.lots(quantity), "amount")
                else:
                    lots = 0
            except _UNUSUAL:
                unusual(text, found)
                continue
            rule.awaited = number + 1
            if ask is None:
                found.append(BookDelta(symbol, number, ((ticks, lots),), ()))
            else:
                found.append(BookDelta(symbol, number, (), ((ticks, lots),)))

    def read(self, name: str, body: object, found: list[What]) -> None:
        """Read any body of one of this market's streams."""
        try:
            if name.endswith(".trades"):
                self._read_trades(body, found)
            elif name.endswith(".ob-snap"):
                self._read_snapshot(body, found)
            else:
                self._read_increment(body, found)
        except Unreadable as error:
            self._faults.tell(name, f"{name}: {error}", found)
            if not name.endswith(".trades"):
                # One message less is a hole like any other.
                self._break_off("a message could not be read", found)

    def _read_snapshot(self, body: object, found: list[What]) -> None:
        number = sequence_number(body)
        snapshot = BookSnapshot(
            self._grid.symbol, number, book_levels(body, "bids", self._grid), book_levels(body, "asks", self._grid)
        )
        self._rule.snapshot(number)
        found.append(snapshot)

    def _read_increment(self, body: object, found: list[What]) -> None:
        number, awaited = sequence_number(body), self._rule.awaited
        bids, asks = book_levels(body, "bids", self._grid), book_levels(body, "asks", self._grid)
        if self._rule.increment(number):
            found.append(BookDelta(self._grid.symbol, number, bids, asks))
        elif awaited is None:
            self._break_off(f"increment {number} without a snapshot", found)
        else:
            self._break_off(f"increment {number} where {awaited} was due", found)

    def _read_trades(self, body: object, found: list[What]) -> None:
        trades = body.get("trades") if isinstance(body, dict) else None
        if not isinstance(trades, list):
            raise Unreadable(f"{shown(body)} is not a list of trades")
        for trade in trades:
            try:
                found.append(public_trade(trade, self._grid))
            except Unreadable as error:
                self._faults.tell(self.names[1], f"{self.names[1]}: {error}", found)

    def _break_off(self, reason: str, found: list[What]) -> None:
        if self._rule.break_off():
            found.append(BookGap(self._grid.symbol, reason))


class Control:
    """What both sockets have in common: confirmations, errors, pings. `confirmations`: after so many of them every
    stream in `required` must have been named."""

    def __init__(self, stream: Stream, required: Sequence[str], confirmations: int, faults: "Faults") -> None:
        self._stream = stream
        self._required = required
        self._confirmations_due = confirmations
        self._faults = faults
        self._up = False
        self._ponged = False
        self._pongs: deque[str] = deque(maxlen=_PONGS_WAITING_MAX)

    def read(self, text: bytes | str, found: list[What]) -> list[tuple[str, object]]:
        """Decode a frame, deal with what is not data, and return the data: names of streams and bodies."""
        if text in (b"pong", "pong"):  # a bare word, the answer to a text ping
            return []
        try:
            frame = decode(text)
        except Unreadable as error:
            self._faults.tell("not json", f"a frame that is {error}: {shown(text)}", found)
            return []
        if not isinstance(frame, dict):
            self._faults.tell("not an object", f"a frame that is not an object: {shown(text)}", found)
            return []
        data = []
        for name, body in frame.items():
            match name:
                case "success":
                    self._success(body, found)
                case "error":
                    self._error(body, found)
                case "ping":
                    self._ping(body, found)
                case _:
                    data.append((name, body))
        return data

    def replies(self) -> list[str]:
        texts = list(self._pongs)
        self._pongs.clear()
        return texts

    def _success(self, body: object, found: list[What]) -> None:
        if not isinstance(body, dict) or body.get("message") != "subscribed" or self._up:
            return
        names = body.get("streams")
        if not isinstance(names, list):
            self._faults.tell("subscribed", f"a confirmation without a list of streams: {shown(body)}", found)
            return
        missing = [name for name in self._required if name not in names]
        if not missing:
            self._up = True
            found.append(StreamUp(self._stream, tuple(str(name) for name in names)))
            return
        self._confirmations_due -= 1
        if self._confirmations_due <= 0:
            listed = ", ".join(missing)
            self._faults.tell("missing", f"the venue does not confirm: {listed}", found)

    def _error(self, body: object, found: list[What]) -> None:
        text = body.get("message") if isinstance(body, dict) else body
        if self._ponged and "Invalid event" in str(text):
            return  # a stock server sends no JSON ping and does not understand the answer (reference 6.2)
        self._faults.tell("error", f"the venue says: {shown(text)}", found)

    def _ping(self, body: object, found: list[What]) -> None:
        stamp = str(body) if isinstance(body, str) or (isinstance(body, int) and abs(body) < 2**63) else ""
        if not 0 < len(stamp) <= _STAMP_MAX:
            self._faults.tell("ping", f"a ping that cannot be answered: {shown(body)}", found)
            return
        self._ponged = True
        self._pongs.append(msgspec.json.encode({"op": "pong", "timestamp": stamp}).decode())


class Faults:
    """Tells each kind of fault once. Kinds are few and ours, never the venue's text: they are remembered."""

    def __init__(self, stream: Stream) -> None:
        self._source = f"{stream} stream"
        self._told: set[str] = set()

    def tell(self, kind: str, what: str, found: list[What]) -> None:
        if kind not in self._told:
            self._told.add(kind)
            found.append(VenueFault(self._source, what[:300]))


def _head(text: bytes | str) -> bytes | str:
    """The beginning of a frame up to the end of its first name."""
    return text.partition('":')[0] if isinstance(text, str) else text.partition(b'":')[0]


def messages(event: str, names: Sequence[str]) -> list[str]:
    """As few messages as can be, none of them too long for the venue."""
    texts: list[str] = []
    streams: list[str] = []
    for name in names:
        text = _message(event, [*streams, name])
        if streams and len(text.encode()) > MESSAGE_BYTES_MAX:
            texts.append(_message(event, streams))
            streams = []
        streams.append(name)
    return [*texts, _message(event, streams)] if streams else texts


def _message(event: str, streams: Sequence[str]) -> str:
    return msgspec.json.encode({"event": event, "streams": streams}).decode()
