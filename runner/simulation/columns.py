"""A recording being made: rows, the book that they change, and, where a file of another program tells them, the grid.

Its prices and quantities come as decimals, whose grid is known only when all of them were seen: until then they are
whole numbers of 10^-`DECIMALS`.
"""

from array import array
from collections.abc import Iterable
from decimal import Decimal
from math import gcd

from runner.model.market import Market
from runner.simulation.recording import ASK, BID, Gap, Recording, Touch

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


class Columns:
    """The rows so far, in the whole numbers of whoever writes them, and the time of receipt (ns). `sides` is the book
    that they make.
    """

    def __init__(self) -> None:
        self.sides: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
        self.trades = 0
        self.times, self.kinds, self.ticks, self.lots = (array("q") for _ in range(4))

    def __len__(self) -> int:
        return len(self.times)

    def show(self, time: int, bids: dict[int, int], asks: dict[int, int]) -> None:
        """The whole book: what it does not hold is gone."""
        changes = []
        for side, told in ((BID, bids), (ASK, asks)):
            changes += [(side, ticks, 0) for ticks in self.sides[side] if ticks not in told]
            changes += [(side, ticks, lots) for ticks, lots in told.items()]
        self.change(time, changes)

    def change(self, time: int, changes: Iterable[tuple[int, int, int]]) -> None:
        """Write down what changes. Levels that go come first: so the book is not crossed on the way."""
        changes = list(changes)
        for going in (True, False):
            for side, ticks, lots in changes:
                if (lots == 0) is going:
                    self.level(time, side, ticks, lots)

    def level(self, time: int, side: int, ticks: int, lots: int) -> None:
        """A level's new total, zero if it is gone; no row where that is no change."""
        levels = self.sides[side]
        if levels.get(ticks, 0) != lots:
            if lots:
                levels[ticks] = lots
            else:
                del levels[ticks]
            self._row(time, side, ticks, lots)

    def trade(self, time: int, kind: int, ticks: int, lots: int) -> None:
        """`kind`: one of those of trades."""
        self.trades += 1
        self._row(time, kind, ticks, lots)

    def _row(self, time: int, kind: int, ticks: int, lots: int) -> None:
        self.times.append(time)
        self.kinds.append(kind)
        self.ticks.append(ticks)
        self.lots.append(lots)

    def recording(
        self,
        symbol: str | None,
        name: str,
        price_precision: int | None,
        amount_precision: int | None,
        *,
        tickers: Iterable[tuple[int, int, int, int, int]] = (),
        ends: Iterable[tuple[int, int, int]] = (),
        gaps: Iterable[Gap] = (),
        frames: int = 0,
        left_out: int = 0,
    ) -> Recording:
        """Everything on the grid that all of it fits on, where it was written with `DECIMALS` decimals. Raises NotATape
        where there is none.

        `symbol` is the market as BASE-QUOTE, where it cannot be told from `name`.
        `tickers` are best prices by the number of their update, `ends` of each depth frame its first and last number
        and the rows when it was applied.
        """
        if not self.times:
            raise NotATape("there is no snapshot of the book in it: nothing can be rebuilt from changes alone")
        base, quote = _pair(symbol, name)
        tickers = list(tickers)
        prices = Grid("price", price_precision, self.ticks, (t[i] for t in tickers for i in (1, 3)))
        amounts = Grid("amount", amount_precision, self.lots, (t[i] for t in tickers for i in (2, 4)))
        if prices.precision + amounts.precision > DIGITS_MAX:
            raise NotATape(
                f"its prices have {prices.precision} and its quantities {amounts.precision} decimals; the venue allows "
                f"{DIGITS_MAX} together"
            )
        ticks, lots = prices.column(self.ticks), amounts.column(self.lots)
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
            times=self.times,
            kinds=self.kinds,
            ticks=ticks,
            lots=lots,
            touches=_touches(tickers, ends, prices.unit, amounts.unit),
            gaps=tuple(gaps),
            frames=frames,
            trades=self.trades,
            left_out=left_out,
        )


def _touches(
    tickers: Iterable[tuple[int, int, int, int, int]],
    ends: Iterable[tuple[int, int, int]],
    price_unit: int,
    amount_unit: int,
) -> tuple[Touch, ...]:
    """Of each depth frame the last best prices whose number lies within it: they are as old as the book is."""
    touches, waiting = [], iter(sorted(tickers))
    ticker = next(waiting, None)
    for first, last, rows in ends:
        within = None
        while ticker is not None and ticker[0] <= last:
            within = ticker if ticker[0] >= first else None
            ticker = next(waiting, None)
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


class Grid:
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


def whole(text: str) -> int:
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
