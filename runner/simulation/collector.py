"""Recordings in the raw format of Binance collectors: depth snapshot and diffs, best prices, trades.

A line is the time of receipt (ns since 1970), a space, and a frame as JSON, as it came. Lines come in, a `Recording`
goes out; prices and quantities are taken exactly. Depth updates are numbered from `U` to `u`: the first after a
snapshot begins at its `lastUpdateId` + 1 or before, every other where the one before it ended. What is missing is
reported and not made up: the book then stands still until the next snapshot.
"""

from array import array
from collections.abc import Iterable
from decimal import Decimal
from math import gcd

import msgspec
from msgspec import Struct

from runner.model.market import Market
from runner.simulation.recording import ASK, BID, BOUGHT, SOLD, Gap, Recording, Touch

DECIMALS = 8
"""Of every number on this wire; what the market really uses is found at the end, from all of them."""
DIGITS_MAX = 10
"""Price and amount precision together: keeps every total exact (wire reference 3.2)."""
NUMBER_MAX = 2**63 - 1
FEE = Decimal("0.001")
"""What the recorded venue charged most of its members, maker and taker alike."""

QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "DAI", "BTC", "ETH", "BNB", "EUR", "TRY", "BRL", "GBP", "JPY")
"""Where a name like BTCUSDT can be taken apart; longer ones first."""


class NotATape(Exception):
    """These lines cannot be used; the text says which, why, and what to do."""


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
        self._name = ""
        self._time = 0
        self._last: int | None = None  # number of the latest depth update in the book; None without a book
        self._early: list[tuple[int, _Depth]] = []  # frames that wait for a snapshot, with their line
        self._sides: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self._times, self._kinds, self._ticks, self._lots = (array("q") for _ in range(4))
        self._ends: list[tuple[int, int, int]] = []  # of each frame: first and last update, rows when it was applied
        self._tickers: list[tuple[int, int, int, int, int]] = []
        self._gaps: list[Gap] = []
        self._trades = self._left_out = 0

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
            self._tickers.append((best.u, _whole(best.b), _whole(best.B), _whole(best.a), _whole(best.A)))
        else:
            self._left_out += 1

    # The book --------------------------------------------------------------------------------------------

    def _snapshot(self, number: int, frame: _Line) -> None:
        if not (frame.bids or frame.asks):
            raise NotATape(f"line {number} is neither a frame of a stream nor a snapshot of a book")
        last = self._last = frame.lastUpdateId
        changes = []
        for side, levels in ((BID, frame.bids), (ASK, frame.asks)):
            told = {_whole(price): _whole(quantity) for price, quantity in levels}
            changes += [(side, ticks, 0) for ticks in self._sides[side] if ticks not in told]
            changes += [(side, ticks, lots) for ticks, lots in told.items()]
        self._change(changes)
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
                    len(self._times),
                    self._time,
                    f"line {number}: {missing} depth updates are missing before update {depth.U}",
                )
            )
            self._last = None
            self._early = [(number, depth)]
            return
        self._last = depth.u
        self._change(
            [
                (side, _whole(price), _whole(quantity))
                for side, levels in ((BID, depth.b), (ASK, depth.a))
                for price, quantity in levels
            ]
        )
        self._ends.append((depth.U, depth.u, len(self._times)))

    def _change(self, changes: list[tuple[int, int, int]]) -> None:
        """Write down what changes. Levels that go come first: so the book is not crossed on the way."""
        for going in (True, False):
            for side, ticks, lots in changes:
                levels = self._sides[side]
                if (lots == 0) is going and levels.get(ticks, 0) != lots:
                    if lots:
                        levels[ticks] = lots
                    else:
                        del levels[ticks]
                    self._row(side, ticks, lots)

    def _trade(self, trade: _Trade) -> None:
        if self._last is None:
            self._left_out += 1
            return
        self._trades += 1
        self._row(SOLD if trade.m else BOUGHT, _whole(trade.p), _whole(trade.q))

    def _row(self, kind: int, ticks: int, lots: int) -> None:
        self._times.append(self._time)
        self._kinds.append(kind)
        self._ticks.append(ticks)
        self._lots.append(lots)

    # The end ---------------------------------------------------------------------------------------------

    def finish(self, symbol: str | None, price_precision: int | None, amount_precision: int | None) -> Recording:
        if not self._times:
            raise NotATape("there is no snapshot of the book in it: nothing can be rebuilt from changes alone")
        base, quote = _pair(symbol, self._name.upper())
        prices = _Grid("price", price_precision, self._ticks, (t[i] for t in self._tickers for i in (1, 3)))
        amounts = _Grid("amount", amount_precision, self._lots, (t[i] for t in self._tickers for i in (2, 4)))
        if prices.precision + amounts.precision > DIGITS_MAX:
            raise NotATape(
                f"its prices have {prices.precision} and its quantities {amounts.precision} decimals; the venue allows "
                f"{DIGITS_MAX} together"
            )
        ticks, lots = prices.column(self._ticks), amounts.column(self._lots)
        if max(ticks) * max(lots) > NUMBER_MAX:
            raise NotATape("its prices times its quantities do not fit into 64 bits")
        return Recording(
            market=Market(
                id=(base + quote).lower(),
                base=base,
                quote=quote,
                price_precision=prices.precision,
                amount_precision=amounts.precision,
                price_min=Decimal(1).scaleb(-prices.precision),
                quantity_min=Decimal(1).scaleb(-amounts.precision),
                maker_fee=FEE,
                taker_fee=FEE,
            ),
            times=self._times,
            kinds=self._kinds,
            ticks=ticks,
            lots=lots,
            touches=self._touches(prices.unit, amounts.unit),
            gaps=tuple(self._gaps),
            frames=len(self._ends),
            trades=self._trades,
            left_out=self._left_out + len(self._early),
        )

    def _touches(self, price_unit: int, amount_unit: int) -> tuple[Touch, ...]:
        """Of each depth frame the last best prices whose number lies within it: they are as old as the book is."""
        touches, tickers = [], iter(sorted(self._tickers))
        ticker = next(tickers, None)
        for first, last, rows in self._ends:
            within = None
            while ticker is not None and ticker[0] <= last:
                within = ticker if ticker[0] >= first else None
                ticker = next(tickers, None)
            if within is not None:
                _, bid, bid_lots, ask, ask_lots = within
                touches.append(
                    Touch(
                        rows,
                        (bid // price_unit, bid_lots // amount_unit),
                        (ask // price_unit, ask_lots // amount_unit),
                    )
                )
        return tuple(touches)


class _Grid:
    """How many decimals a kind of number really has, and numbers of `DECIMALS` decimals put on that grid."""

    def __init__(self, noun: str, precision: int | None, column: "array[int]", others: Iterable[int]) -> None:
        common = gcd(gcd(*column), *others)
        spare = 0
        while spare < DECIMALS and common % 10 ** (spare + 1) == 0:
            spare += 1
        needed = DECIMALS - spare
        if precision is not None and not needed <= precision <= DECIMALS:
            raise NotATape(f"{noun} precision {precision} is not possible: give one of {needed} to {DECIMALS}")
        self.precision = needed if precision is None else precision
        self.unit = 10 ** (DECIMALS - self.precision)

    def column(self, column: "array[int]") -> "array[int]":
        unit = self.unit
        return column if unit == 1 else array("q", [value // unit for value in column])


def _whole(text: str) -> int:
    """A decimal as a whole number of 10^-DECIMALS, exactly. Raises ValueError."""
    whole, _, fraction = text.partition(".")
    if len(fraction) > DECIMALS:
        kept, rest = fraction[:DECIMALS], fraction[DECIMALS:]
        if rest.strip("0"):
            raise ValueError(f"{text} has more than {DECIMALS} decimals")
        fraction = kept
    digits = whole + fraction
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{text!r} is not a plain decimal")
    number = int(digits.ljust(len(whole) + DECIMALS, "0"))
    if number > NUMBER_MAX:
        raise ValueError(f"{text} is too large")
    return number


def _pair(symbol: str | None, name: str) -> tuple[str, str]:
    """Base and quote."""
    if symbol is not None:
        base, _, quote = symbol.upper().partition("-")
        if base and quote and (not name or base + quote == name):
            return base, quote
        raise NotATape(f"{symbol} is not the market of this tape, {name}; write it as BASE-QUOTE")
    for quote in QUOTES:
        if name.endswith(quote) and name != quote:
            return name.removesuffix(quote), quote
    raise NotATape(f"what is traded against what in {name!r} cannot be told from its name: say it, as BASE-QUOTE")
