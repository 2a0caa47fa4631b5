"""Recordings in files: our own tapes, records of runs, and what other programs recorded.

What a file is, its first bytes say: a tape of ours, a run's record, gzip around something else, CSV with Tardis'
column names, or else the raw format of Binance collectors.
"""

import csv
import gzip
import importlib
import io
import zlib
from array import array
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path
from typing import IO, Any

from runner.edge.record_files import Record, parts
from runner.model.market import Market
from runner.simulation import record, tape_format
from runner.simulation.collector import read_lines
from runner.simulation.columns import NotATape
from runner.simulation.heard import tapes
from runner.simulation.recording import Recording
from runner.simulation.tardis import read_csv

GZIP_MAGIC = b"\x1f\x8b"
CSV_HEAD = b"exchange,symbol,"
KINDS = ("bid", "ask", "sold", "bought", "sold_to_own", "bought_from_own")
"""Words for the kinds of rows in what is exported: a level of a side, or a trade by what its taker did; the last two
hit an order of whoever recorded.
"""


class NeedsPyarrow(Exception):
    """Parquet was asked for, and the package that writes it is not installed."""

    def __init__(self) -> None:
        super().__init__("Parquet needs the package pyarrow: pip install 'altmarkets-runner[parquet]', or export CSV")


def read_tape(
    path: Path,
    *,
    symbol: str | None = None,
    price_precision: int | None = None,
    amount_precision: int | None = None,
    trades: Path | None = None,
) -> Recording:
    """One market's tape out of a file, or out of the folder of a run's record.

    `symbol` says which of several markets of a record, and for imports names the market where the data do not;
    the precisions and `trades` (the second file of a CSV tape) are for imports. Raises NotATape for contents that
    cannot be used, a cut-off file among them, and OSError.
    """
    if path.is_dir():
        return _of_record(parts(path), path, symbol)
    with path.open("rb") as file:
        head = file.read(max(len(tape_format.MAGIC), len(record.MAGIC)))
    if head.startswith(tape_format.MAGIC):
        return _right(tape_format.read(path.read_bytes()), symbol)
    if head.startswith(record.MAGIC):
        return _of_record([path], path, symbol)
    try:
        with ExitStack() as stack:
            lines = _opened(path, stack)
            if lines.peek(len(CSV_HEAD))[: len(CSV_HEAD)] == CSV_HEAD:
                prints: Iterable[str] = () if trades is None else _text(_opened(trades, stack))
                return read_csv(
                    _text(lines),
                    prints,
                    symbol=symbol,
                    price_precision=price_precision,
                    amount_precision=amount_precision,
                )
            return read_lines(lines, symbol=symbol, price_precision=price_precision, amount_precision=amount_precision)
    except (EOFError, zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        raise NotATape(f"the file is damaged: {error}") from None


def _opened(path: Path, stack: ExitStack) -> io.BufferedReader | gzip.GzipFile:
    plain = stack.enter_context(path.open("rb"))
    packed = plain.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] == GZIP_MAGIC
    return gzip.GzipFile(fileobj=plain) if packed else plain


def _text(file: io.BufferedReader | gzip.GzipFile) -> IO[str]:
    return io.TextIOWrapper(file, newline="")


def _of_record(files: list[Path], path: Path, symbol: str | None) -> Recording:
    if not files:
        raise NotATape(f"{path} is a folder without a record")
    try:
        found = tapes(Record(files).heard())
    except record.NotARecord as problem:
        raise NotATape(str(problem)) from None
    if symbol is None and len(found) == 1:
        return next(iter(found.values()))
    if symbol in found:
        return found[symbol]
    if not found:
        raise NotATape("no order book was heard of in it")
    raise NotATape(f"it has {', '.join(sorted(found))}: say which market")


def _right(tape: Recording, symbol: str | None) -> Recording:
    if symbol is not None and symbol != tape.market.symbol:
        raise NotATape(f"it is of {tape.market.symbol}, not of {symbol}")
    return tape


# Writing --------------------------------------------------------------------------------------------------


def write_tape(path: Path, tape: Recording) -> None:
    """Raises OSError, FileExistsError among them: a recording is not written over."""
    _write(path, tape_format.written(tape))


def write_csv(path: Path, tape: Recording) -> None:
    """Time of receipt (ns), kind, price and quantity, in the market's own units."""
    _write(path, (line.encode() for line in _lines(tape)))


def write_parquet(path: Path, tape: Recording) -> None:
    """The columns as a Parquet table; the market is in its metadata. Raises NeedsPyarrow."""
    try:
        arrow: Any = importlib.import_module("pyarrow")  # heavy, and for this alone
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise NeedsPyarrow from None

    def numbers(column: "array[int]") -> Any:
        return arrow.Array.from_buffers(arrow.int64(), len(column), [None, arrow.py_buffer(column)])

    market = tape.market
    columns = {
        "time": numbers(tape.times).cast(arrow.timestamp("ns", "UTC")),
        "kind": arrow.DictionaryArray.from_arrays(numbers(tape.kinds).cast(arrow.int8()), arrow.array(KINDS)),
        "price_ticks": numbers(tape.ticks),
        "quantity_lots": numbers(tape.lots),
    }
    facts = {
        "market": market.symbol,
        "tick_size": str(Decimal(1).scaleb(-market.price_precision)),
        "lot_size": str(Decimal(1).scaleb(-market.amount_precision)),
    }
    table = arrow.table(columns).replace_schema_metadata(facts)
    with path.open("xb") as file:
        parquet.write_table(table, file)


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        try:
            file.writelines(pieces)
        except BaseException:
            path.unlink()  # half a tape would look like a whole one
            raise


def _lines(tape: Recording) -> Iterator[str]:
    market: Market = tape.market
    yield "time,kind,price,quantity\n"
    for time, kind, ticks, lots in zip(tape.times, tape.kinds, tape.ticks, tape.lots, strict=True):
        yield f"{time},{KINDS[kind]},{market.price(ticks):f},{market.quantity(lots):f}\n"
