"""A record fed to a fresh engine: it must say again, byte for byte, what the record says that it said.

The engine has no clock and no chance, so where the code is the same a difference is a mistake of ours or of the
strategy's (a global, a set walked in the order of its hashes). Where the strategy was edited since, the first
difference is what the edit changes.
"""

import linecache
import platform
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
from msgspec import Struct, structs

from runner import __version__
from runner.config.plugins import BadPlugin, load, place
from runner.edge.places import Environment
from runner.edge.record_files import Record, parts
from runner.engine.core import Engine
from runner.engine.strategy import Strategy
from runner.model.command import Place
from runner.model.event import Event
from runner.model.exits import Exit
from runner.model.settings import SECOND
from runner.report.account import utc
from runner.run.ends import CannotRun
from runner.run.recording import code_of, located, platform_name, records
from runner.run.snapshot import NoSnapshot, revive
from runner.simulation.record import Entry, Header, NotARecord, decoded, encoded, facts


class Failed(Struct, frozen=True):
    """The engine, or a strategy under it, raised this."""

    error: str
    where: str


class Difference(Struct, frozen=True):
    """The first event that led to something else. Outputs are as plain values, by what differs in them.

    `line` is the place in the strategy that the replayed decision came from, `decided` the event it was made in.
    """

    event: Event
    recorded: dict[str, Any]
    replayed: dict[str, Any]
    line: str
    source: str
    decided: int


class Replayed(Struct, frozen=True):
    """`difference` is None where everything was said again. `damage` is what is wrong with the record's end."""

    header: Header
    events: int
    ticks: int
    placed: int
    span: int  # ns between the first event and the last
    damage: str | None
    ended: str | None
    changed: tuple[str, ...]  # what is not as it was then: sources, Python, platform
    edited: tuple[str, ...]  # of it, the strategy's own sources
    difference: Difference | None

    @property
    def comparable(self) -> bool:
        """The runner, Python and the platform are those of the record: then a difference is a failure."""
        return set(self.changed) <= set(self.edited)


def open_record(name: str, environment: Environment) -> Record:
    """The record of this name (`recording.located`). Raises CannotRun (2)."""
    path = located(name, environment)
    found = [] if path is None else parts(path)
    if not found:
        newest = [folder.name for folder in records(environment)[-3:]]
        hint = f"; the newest runs with one are {', '.join(newest)}" if newest else ""
        raise CannotRun(Exit.USAGE, f"there is no record of {name}{hint}")
    try:
        return Record(found)
    except OSError as error:
        raise CannotRun(Exit.USAGE, f"cannot read {error.filename}: {error.strerror}") from error
    except NotARecord as problem:
        raise CannotRun(Exit.USAGE, str(problem)) from problem


def strategy_of(header: Header) -> type[Strategy]:
    """The strategy that the record names, as it is on this machine now. Raises CannotRun."""
    if not header.strategy:
        raise CannotRun(Exit.USAGE, "this is a record of public data alone: nobody decided anything in it")
    try:
        return load(header.strategy, Path(header.file).parent)
    except BadPlugin as bad:
        raise CannotRun(Exit.CONFIG, f"{bad.what}; {bad.fix}, or name a strategy file behind the record") from bad


def replay(record: Record, strategy_type: type[Strategy]) -> Replayed:
    """Play it to its end, or to the first difference."""
    engine, header = _engine(record, strategy_type), record.header
    events = placed = 0
    first = last = decided = 0
    difference = None
    for event, output in record:
        events, last, first = events + 1, event.time, first or event.time
        ticks = engine.ticks
        said = _said(engine, event)
        if isinstance(said, Failed) or said != output:
            difference = _difference(record, strategy_type, event, output, said, decided)
            break
        if engine.ticks != ticks:
            decided = event.number
        placed += _places(output)
    changed, edited = _changed(header, strategy_type)
    return Replayed(
        header,
        events,
        engine.ticks,
        placed,
        last - first,
        record.damage,
        record.ended,
        changed,
        edited,
        difference,
    )


def first_difference(strategy_type: type[Strategy], entries: Iterable[Entry]) -> int | None:
    """The number of the first event on which a fresh engine says something else."""
    engine = Engine(strategy_type)
    return next((event.number for event, output in entries if _said(engine, event) != output), None)


def _engine(record: Record, strategy_type: type[Strategy]) -> Engine:
    """As it was when the record begins. Raises CannotRun where that is a state that this code cannot go on from."""
    if record.snapshot is None:
        return Engine(strategy_type)
    try:
        return revive(record.snapshot, strategy_type)
    except NoSnapshot as problem:
        raise CannotRun(Exit.USAGE, f"the record of {record.header.run}: {problem}") from problem


def _said(engine: Engine, event: Event) -> bytes | Failed:
    try:
        return encoded(engine.handle(event))
    except Exception as error:  # noqa: BLE001 - a record may well end with what broke the engine
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return Failed(f"{type(error).__name__}: {error}", f"{frame.filename}:{frame.lineno}")


def _places(output: bytes | None) -> int:
    # Nearly no output holds a command: only those that may are decoded.
    if output is None or b"Place" not in output:
        return 0
    return sum(isinstance(command, Place) for command in decoded(output).commands)


# The first difference -------------------------------------------------------------------------------------


def _difference(
    record: Record,
    strategy_type: type[Strategy],
    event: Event,
    output: bytes | None,
    said: bytes | Failed,
    decided: int,
) -> Difference:
    before, now = _plain(output), _plain(said)
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    found = _deciding_line(record, strategy_type, event.number) or _deciding_line(record, strategy_type, decided)
    number, line = (event.number, found[1]) if found and found[0] == event.number else (decided, found and found[1])
    file, _, row = (line or "").rpartition(":")
    return Difference(
        event,
        {key: before.get(key) for key in keys},
        {key: now.get(key) for key in keys},
        line or "",
        linecache.getline(file, int(row)).strip() if row.isdigit() else "",
        number,
    )


def _plain(output: bytes | Failed | None) -> dict[str, Any]:
    if output is None:
        return {"failed": "the engine failed on this event"}
    if isinstance(output, Failed):
        return {"failed": f"{output.error} ({output.where})"}
    try:
        plain: dict[str, Any] = facts(decoded(output))
    except msgspec.DecodeError as error:
        return {"unreadable": str(error)}
    return plain


def _deciding_line(record: Record, strategy_type: type[Strategy], number: int) -> tuple[int, str] | None:
    """Number of the event and last line of the strategy's tick in it, found by playing it all once more."""
    source = place(strategy_type)
    if not number or source is None:
        return None
    engine, line = _engine(record, strategy_type), 0

    def trace(frame: FrameType, what: str, _argument: Any) -> Any:
        nonlocal line
        if frame.f_code.co_filename != source:
            return None
        if frame.f_code.co_name == "tick" and what in {"line", "return"}:
            line = frame.f_lineno
        return trace

    for event, _output in record:
        if event.number < number:
            _said(engine, event)
            continue
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            _said(engine, event)
        finally:
            sys.settrace(before)
        break
    return (number, f"{source}:{line}") if line else None


# Is it the same code? -------------------------------------------------------------------------------------


def _changed(header: Header, strategy_type: type[Strategy]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is not as it was, and what of it is the strategy's own."""
    now = code_of(strategy_type)
    sources = [name for name, digest in header.code.items() if now.get(name) != digest]
    edited = tuple(name for name in sources if not name.startswith("runner/"))
    changed = [
        *sources,
        *_other("runner", header.version, __version__),
        *_other("Python", header.python, platform.python_version()),
        *_other("platform", header.platform, platform_name()),
    ]
    return tuple(changed), edited


def _other(what: str, then: str, now: str) -> list[str]:
    return [f"{what} {now} instead of {then}"] if then != now else []


# For people -----------------------------------------------------------------------------------------------


def text(result: Replayed, asserted: bool) -> str:
    header = result.header
    rows = [
        ("run", f"{header.run} of {header.name} at {header.venue}, {utc(header.began // SECOND)}"),
        (
            "events",
            f"{result.events} in {result.span / 1e9:.1f} s; {result.ticks} ticks, {result.placed} orders",
        ),
    ]
    if result.damage:
        rows.append(("damage", result.damage))
    if result.ended:
        rows.append(("ends early", result.ended))
    if result.changed:
        rows.append(("changed", ", ".join(result.changed)))
    if result.difference is None:
        rows.append(("replay", "the same outputs, byte for byte"))
    else:
        rows += _told(result.difference)
        if asserted and not result.comparable:
            rows.append(("verdict", "not asserted: the runner, Python or the platform are others than then"))
    return "\n".join(f"{label:<10}  {value}" for label, value in rows)


def _told(difference: Difference) -> Iterator[tuple[str, str]]:
    event = difference.event
    yield "replay", f"differs first at event {event.number}, {utc(event.time // SECOND)}"
    yield "event", msgspec.json.encode(facts(event.what)).decode()
    for key, then in difference.recorded.items():
        now = difference.replayed.get(key)
        if isinstance(then, list) and isinstance(now, list):
            yield from _items(key, then, now)
        else:
            yield f"{key} then", _json(then)
            yield f"{key} now", _json(now)
    if difference.line:
        yield "decided", f"{difference.line}: {difference.source}"
        if difference.decided != event.number:
            yield "", f"the strategy was last asked at event {difference.decided}"


def _items(key: str, then: list[Any], now: list[Any]) -> Iterator[tuple[str, str]]:
    """The first of a list that differs."""
    at = next((at for at, (one, other) in enumerate(zip(then, now, strict=False)) if one != other), None)
    at = min(len(then), len(now)) if at is None else at
    for side, items in (("then", then), ("now", now)):
        yield f"{key} {side}", _json(items[at]) if at < len(items) else "nothing more"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def as_facts(result: Replayed) -> Mapping[str, Any]:
    found = {name: value for name, value in structs.asdict(result).items() if name not in {"header", "difference"}}
    difference = result.difference
    return {
        "run": result.header.run,
        "name": result.header.name,
        **found,
        "same": difference is None,
        "difference": None if difference is None else facts(difference),
    }
