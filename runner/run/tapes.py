"""Tapes for people: what is on one, a part of it, one out of another format, and into others."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from runner.edge.places import Environment
from runner.edge.tape_file import NeedsPyarrow, read_tape, write_csv, write_parquet, write_tape
from runner.model.exits import Exit
from runner.model.money import plain
from runner.model.settings import SECOND
from runner.model.units import BadQuantity, Duration
from runner.run.ends import CannotRun
from runner.run.recording import located
from runner.simulation.columns import NotATape
from runner.simulation.recording import ASK, BID, SOLD, Recording, cut

SUFFIX = ".tape"


def read(
    name: str,
    environment: Environment,
    *,
    symbol: str | None = None,
    price_precision: int | None = None,
    amount_precision: int | None = None,
    trades: Path | None = None,
) -> Recording:
    """A file, or a record (`recording.located`). Raises CannotRun (2)."""
    path = located(name, environment) or Path(name)
    try:
        return read_tape(
            path, symbol=symbol, price_precision=price_precision, amount_precision=amount_precision, trades=trades
        )
    except NotATape as problem:
        raise CannotRun(Exit.USAGE, f"{path}: {problem}") from problem
    except OSError as error:
        raise CannotRun(Exit.USAGE, f"cannot read {error.filename or path}: {error.strerror or error}") from error


def write(path: Path, tape: Recording) -> None:
    """In the format that the name ends with: .tape, .csv or .parquet. Raises CannotRun (2)."""
    writers = {SUFFIX: write_tape, ".csv": write_csv, ".parquet": write_parquet}
    writer = writers.get(path.suffix)
    if writer is None:
        raise CannotRun(Exit.USAGE, f"{path}: end its name with one of {', '.join(writers)}")
    try:
        writer(path, tape)
    except NeedsPyarrow as problem:
        raise CannotRun(Exit.USAGE, str(problem)) from problem
    except OSError as error:
        raise CannotRun(Exit.USAGE, f"cannot write {path}: {error.strerror or error}") from error


def part(tape: Recording, since: str | None, until: str | None) -> Recording:
    """Between two times: `2026-04-18T09:30:00Z`, or how long after the start of the tape. Raises CannotRun (2)."""
    start = tape.start if since is None else _time(since, tape)
    end = tape.end + 1 if until is None else _time(until, tape)
    try:
        return cut(tape, start, end)
    except ValueError:
        what = f"nothing happens on the tape between {stamp(start)} and {stamp(end)}"
        raise CannotRun(Exit.USAGE, f"{what}: it goes from {stamp(tape.start)} to {stamp(tape.end)}") from None


def _time(text: str, tape: Recording) -> int:
    try:
        return tape.start + int(Duration(text))
    except BadQuantity:
        pass
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        what = f"{text!r} is not a time: write 2026-04-18T09:30:00Z, or 90s after the start of the tape"
        raise CannotRun(Exit.USAGE, what) from None
    moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    since = moment - datetime.fromtimestamp(0, UTC)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1_000


def length(text: str) -> int:
    """A duration in ns. Raises CannotRun (2)."""
    try:
        return int(Duration(text))
    except BadQuantity as problem:
        raise CannotRun(Exit.USAGE, str(problem)) from None


def stamp(time: int) -> str:
    whole, nanoseconds = divmod(time, SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds // 1_000_000:03d}Z"


# What is on it --------------------------------------------------------------------------------------------


def facts(tape: Recording) -> Mapping[str, Any]:
    market = tape.market
    traded = sum(lots for kind, lots in zip(tape.kinds, tape.lots, strict=True) if kind >= SOLD)
    return {
        "market": market.symbol,
        "tick_size": plain(market.price(1)),
        "lot_size": plain(market.quantity(1)),
        "maker_fee": plain(market.maker_fee),
        "taker_fee": plain(market.taker_fee),
        "start": stamp(tape.start),
        "end": stamp(tape.end),
        "seconds": round((tape.end - tape.start) / SECOND, 3),
        "rows": len(tape),
        "trades": tape.trades,
        "volume": plain(market.quantity(traded)),
        "left_out": tape.left_out,
        "gaps": [{"time": stamp(gap.time), "row": gap.row, "reason": gap.reason} for gap in tape.gaps],
        "tainted": [
            {
                "time": stamp(one.time),
                "side": "bid" if one.kind == BID else "ask",
                "price": plain(market.price(one.ticks)),
                "reason": one.reason,
            }
            for one in tape.tainted
        ],
    }


def text(tape: Recording) -> str:
    found = facts(tape)
    levels = len({(kind, ticks) for kind, ticks in zip(tape.kinds, tape.ticks, strict=True) if kind <= ASK})
    market = tape.market
    rows = [
        ("market", f"{market.symbol}, tick {found['tick_size']} {market.quote}, lot {found['lot_size']} {market.base}"),
        ("fees", f"maker {found['maker_fee']}, taker {found['taker_fee']}"),
        ("time", f"{found['start']} to {found['end']}, {found['seconds']} s"),
        ("rows", f"{found['rows']}, of {levels} levels"),
        ("trades", f"{found['trades']}, {found['volume']} {market.base}"),
        ("left out", f"{found['left_out']} that came before a snapshot"),
        *_listed("gap", [f"{gap['time']} {gap['reason']}" for gap in found["gaps"]]),
        *_listed(
            "tainted",
            [f"{one['side']} {one['price']} from {one['time']}: {one['reason']}" for one in found["tainted"]],
        ),
    ]
    return "\n".join(f"{label:<8}  {value}" for label, value in rows)


SHOWN = 10


def _listed(label: str, items: list[str]) -> Iterator[tuple[str, str]]:
    if not items:
        yield label, "none"
    for item in items[:SHOWN]:
        yield label, item
    if len(items) > SHOWN:
        yield label, f"and {len(items) - SHOWN} more (--json lists all)"
