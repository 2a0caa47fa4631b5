"""Recordings in the raw format of Binance collectors: depth snapshot and diffs, best prices, trades.

A line is the time of receipt (ns since 1970), a space, and a frame as JSON, as it came. Lines come in, a `Recording`
goes out; prices and quantities are taken exactly. Depth updates are numbered from `U` to `u`: the first after a
snapshot begins at its `lastUpdateId` + 1 or before, every other where the one before it ended. What is missing is
reported and not made up: the book then stands still until the next snapshot.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct, structs

from runner.simulation.columns import Columns, NotATape, whole
from runner.simulation.recording import ASK, BID, BOUGHT, SOLD, Gap, Recording


class _Depth(Struct):
    U: int
    u: int
    b: list[tuple[str, str]]
    a: list[tuple[str, str]]


class _Ticker(Struct):
    u: int
    b: str
    B: str
    a: str
    A: str


class _Trade(Struct):
    p: str
    q: str
    m: bool  # the buyer is the maker


class _Line(Struct):
    """Either a frame of a stream, or the answer of the REST interface, which has no `stream`."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    lastUpdateId: int = 0  # noqa: N815 - their word
    bids: list[tuple[str, str]] = []
    asks: list[tuple[str, str]] = []


_LINE = msgspec.json.Decoder(_Line)
_DEPTH = msgspec.json.Decoder(_Depth)
_TICKER = msgspec.json.Decoder(_Ticker)
_TRADE = msgspec.json.Decoder(_Trade)


def read_lines(
    lines: Iterable[bytes],
    *,
    symbol: str | None = None,
    price_precision: int | None = None,
    amount_precision: int | None = None,
) -> Recording:
    """Read a recording of one market; the lines may be a stream, only what is kept takes memory.

    `symbol` (`BTC-USDT`) and the precisions are taken from the data where they are not given. Raises NotATape.
    """
    reader = _Reader()
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                reader.take(number, line)
            except (msgspec.DecodeError, ValueError, OverflowError) as error:
                raise NotATape(f"line {number} is not of the collector's format: {error}") from None
    return reader.finish(symbol, price_precision, amount_precision)


class _Reader:
    def __init__(self) -> None:
        self._columns = Columns()
        self._name = ""
        self._time = 0
        self._last: int | None = None  # number of the latest depth update in the book; None without a book
        self._early: list[tuple[int, _Depth]] = []  # frames that wait for a snapshot, with their line
        self._ends: list[tuple[int, int, int]] = []  # of each frame: first and last update, rows when it was applied
        self._tickers: list[tuple[int, int, int, int, int]] = []
        self._gaps: list[Gap] = []
        self._left_out = 0

    def take(self, number: int, line: bytes) -> None:
        stamp, _, text = line.partition(b" ")
        # Two sockets can be a moment out of step in the file; time still only goes forward.
        self._time = max(self._time, int(stamp))
        frame = _LINE.decode(text)
        name, _, kind = frame.stream.partition("@")
        if not name:
            self._snapshot(number, frame)
            return
        if name != (self._name or name):
            raise NotATape(f"line {number} is about {name.upper()}, those before about {self._name.upper()}: split it")
        self._name = name
        if kind.startswith("depth"):
            self._depth(number, _DEPTH.decode(frame.data))
        elif kind == "trade":
            self._trade(_TRADE.decode(frame.data))
        elif kind == "bookTicker":
            best = _TICKER.decode(frame.data)
            self._tickers.append((best.u, whole(best.b), whole(best.B), whole(best.a), whole(best.A)))
        else:
            self._left_out += 1

    # The book --------------------------------------------------------------------------------------------

    def _snapshot(self, number: int, frame: _Line) -> None:
        if not (frame.bids or frame.asks):
            raise NotATape(f"line {number} is neither a frame of a stream nor a snapshot of a book")
        if self._last is None and self._gaps:
            self._gaps[-1] = structs.replace(self._gaps[-1], until=self._time)
        last = self._last = frame.lastUpdateId
        self._columns.show(self._time, _levels(frame.bids), _levels(frame.asks))
        early, self._early = self._early, []
        for line, depth in early:
            if depth.u > last:
                self._time += 1  # a moment of its own
            self._depth(line, depth)

    def _depth(self, number: int, depth: _Depth) -> None:
        if self._last is None:
            self._early.append((number, depth))
            return
        if depth.u <= self._last:  # older than the snapshot
            self._left_out += 1
            return
        missing = depth.U - self._last - 1  # below zero after a snapshot: totals are absolute, so that does no harm
        if missing > 0:
            self._gaps.append(
                Gap(
                    len(self._columns),
                    self._time,
                    f"line {number}: {missing} depth updates are missing before update {depth.U}",
                )
            )
            self._last = None
            self._early = [(number, depth)]
            return
        self._last = depth.u
        self._columns.change(
            self._time,
            [
                (side, whole(price), whole(quantity))
                for side, levels in ((BID, depth.b), (ASK, depth.a))
                for price, quantity in levels
            ],
        )
        self._ends.append((depth.U, depth.u, len(self._columns)))

    def _trade(self, trade: _Trade) -> None:
        if self._last is None:
            self._left_out += 1
        else:
            self._columns.trade(self._time, SOLD if trade.m else BOUGHT, whole(trade.p), whole(trade.q))

    # The end ---------------------------------------------------------------------------------------------

    def finish(self, symbol: str | None, price_precision: int | None, amount_precision: int | None) -> Recording:
        return self._columns.recording(
            symbol,
            self._name.upper(),
            price_precision,
            amount_precision,
            tickers=self._tickers,
            ends=self._ends,
            gaps=self._gaps,
            frames=len(self._ends),
            left_out=self._left_out + len(self._early),
        )


def _levels(rows: list[tuple[str, str]]) -> dict[int, int]:
    return {whole(price): whole(quantity) for price, quantity in rows}
