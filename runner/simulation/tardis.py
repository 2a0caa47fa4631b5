"""Tapes from CSV files with Tardis' column names: one of order book changes, one of trades.

    exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount    incremental_book_L2: side bid or ask
    exchange,symbol,timestamp,local_timestamp,id,side,price,amount             trades: the taker's side, buy or sell

Times are µs since 1970; a row's is that of receipt. Rows of one message share it. A snapshot after the first one means
that messages were lost: a gap. What comes before the first is left out.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from heapq import merge
from itertools import groupby
from operator import itemgetter

from runner.simulation.columns import Columns, NotATape, whole
from runner.simulation.recording import ASK, BID, BOUGHT, SOLD, Gap, Recording

MICROSECOND = 1_000
BOOK = ("symbol", "local_timestamp", "is_snapshot", "side", "price", "amount")
TRADES = ("symbol", "local_timestamp", "side", "price", "amount")
_SIDES = {"bid": BID, "ask": ASK}
_TRADES = {"sell": SOLD, "buy": BOUGHT}
"""By the side of the taker."""

Row = tuple[int, int, list[str]]
"""Time in ns, number of the line, and: symbol, whether it is of a snapshot, side, price, amount."""


def read_csv(
    book: Iterable[str],
    trades: Iterable[str] = (),
    *,
    symbol: str | None = None,
    price_precision: int | None = None,
    amount_precision: int | None = None,
) -> Recording:
    """Read one market's tape from the lines of both files, headings included. Raises NotATape."""
    reader = _Reader()
    changes = ((*row, True) for row in _rows(book, BOOK, "book"))
    prints = ((*row, False) for row in _rows(trades, TRADES, "trades"))
    in_time = merge(changes, prints, key=itemgetter(0))  # trades of a moment behind its changes, as both are stable
    for (time, of_book), rows in groupby(in_time, key=itemgetter(0, 3)):
        try:
            reader.take(time, of_book, [(number, values) for _, number, values, _ in rows])
        except (KeyError, ValueError, OverflowError) as error:
            raise NotATape(f"{'book' if of_book else 'trades'}: {error}") from None
    return reader.finish(symbol, price_precision, amount_precision)


class _Reader:
    def __init__(self) -> None:
        self._columns = Columns()
        self._name = ""
        self._showing = False  # within a snapshot, which may be several messages
        self._begun = False
        self._time = self._heard = 0  # of this message and of the one before it
        self._gaps: list[Gap] = []
        self._frames = self._left_out = 0

    def take(self, time: int, of_book: bool, rows: list[tuple[int, list[str]]]) -> None:
        """One message of a stream. Two streams can be a moment out of step; time still only goes forward."""
        self._heard, self._time = self._time, max(self._time, time)
        for number, (name, *_) in rows:
            if name != (self._name or name):
                raise NotATape(f"line {number} is about {name}, those before about {self._name}: split the file")
            self._name = name
        if of_book:
            self._book(rows)
        elif self._begun:
            for _, (_, _, side, price, amount) in rows:
                self._columns.trade(self._time, _side(_TRADES, side), _number(price), _number(amount))
        else:
            self._left_out += len(rows)

    def _book(self, rows: list[tuple[int, list[str]]]) -> None:
        snapshot = rows[0][1][1].lower() == "true"
        if not (snapshot or self._begun):
            self._left_out += 1
            return
        levels = [(_side(_SIDES, side), _number(price), _number(amount)) for _, (_, _, side, price, amount) in rows]
        self._frames += 1
        if snapshot and not self._showing:
            if self._begun:
                what = f"line {rows[0][0]}: a new snapshot, so messages before it were lost"
                self._gaps.append(Gap(len(self._columns), self._heard, what, until=self._time))
            sides: dict[int, dict[int, int]] = {BID: {}, ASK: {}}
            for side, ticks, lots in levels:
                sides[side][ticks] = lots
            self._columns.show(self._time, sides[BID], sides[ASK])
        else:
            self._columns.change(self._time, levels)
        self._begun, self._showing = True, snapshot

    def finish(self, symbol: str | None, price_precision: int | None, amount_precision: int | None) -> Recording:
        return self._columns.recording(
            symbol,
            self._name.upper().replace("_", "").replace("/", "").replace("-", ""),
            price_precision,
            amount_precision,
            gaps=self._gaps,
            frames=self._frames,
            left_out=self._left_out,
        )


def _rows(lines: Iterable[str], names: tuple[str, ...], what: str) -> Iterator[Row]:
    """Rows by the names of their columns. Raises NotATape where one is missing, or where time runs backwards."""
    table = csv.reader(lines)
    heading = next(table, None)
    if heading is None:
        return
    missing = [name for name in names if name not in heading]
    if missing:
        raise NotATape(f"{what}: there is no column {missing[0]}; its first line must name them: {','.join(names)}")
    at = [heading.index(name) for name in names]
    last = 0
    for values in table:
        try:
            chosen = [values[column] for column in at]
            time = int(chosen.pop(1)) * MICROSECOND
        except (IndexError, ValueError):
            raise NotATape(f"{what}: line {table.line_num} is not of {','.join(heading)}") from None
        if time < last:
            raise NotATape(f"{what}: line {table.line_num} is older than the one before it: sort by local_timestamp")
        last = time
        yield time, table.line_num, chosen if len(names) == len(BOOK) else [chosen[0], "", *chosen[1:]]


def _number(text: str) -> int:
    """Very small numbers are written as 5e-7."""
    if "e" not in text.lower():
        return whole(text)
    try:
        return whole(f"{Decimal(text):f}")
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None


def _side(names: Mapping[str, int], name: str) -> int:
    try:
        return names[name]
    except KeyError:
        raise ValueError(f"side {name!r} is not one of {', '.join(names)}") from None
