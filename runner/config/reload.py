"""A file that was read again while its run goes on: what differs, and whether all of that may change by then.

It is all or nothing. A key may change if its field is `live`; one other key that differs, and nothing of the file is
used. Values are compared as the runner takes them, so that another spelling (`40bps`, `0.4%`) is no change.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from runner.config.problems import Path, Problem, dotted, in_order, problem
from runner.config.sense import place
from runner.config.shape import File
from runner.config.spec import RunSpec
from runner.config.tree import as_text
from runner.model import parameters
from runner.model.units import Amount


class Change(Struct, frozen=True):
    """One key with another value. `old` and `new` are as a file would write them."""

    path: Path
    live: bool
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.old} -> {self.new}"


def changes(running: RunSpec, found: RunSpec) -> dict[str, str] | tuple[Problem, ...]:
    """What differs in `found`, by key, or every key that may not change while the run goes on."""
    differing = list(_differing(running, found))
    fixed = [change for change in differing if not change.live]
    if fixed:
        return in_order(_refused(change, found) for change in fixed)
    return {dotted(change.path): str(change) for change in differing}


def _refused(change: Change, found: RunSpec) -> Problem:
    what = f"{dotted(change.path)} cannot change while the run goes on ({change})"
    fix = f"write {change.old} again, or stop the run and start it anew"
    return problem(place(found.root, change.path), change.path, "reload.fixed", what, fix)


def _differing(running: RunSpec, found: RunSpec) -> Iterator[Change]:
    old, new = (parameters.build(File, as_text(spec.root)) for spec in (running, found))
    yield from _compared(old, new, ())
    if running.strategy_type is found.strategy_type:  # else `strategy.use` differs, and their parameters mean nothing
        yield from _compared(running.strategy, found.strategy, _PARAMS)


_PARAMS = ("strategy", "params")


def _compared(old: Struct, new: Struct, path: Path) -> Iterator[Change]:
    """Fields of two values of one type."""
    for row, attribute in zip(parameters.parameters(type(old)), type(old).__struct_fields__, strict=True):
        here = (*path, row.name)
        was, now = getattr(old, attribute), getattr(new, attribute)
        if here == _PARAMS:
            continue  # as the strategy takes them
        if isinstance(was, Struct) and type(was) is type(now):
            yield from _compared(was, now, here)
        elif isinstance(was, dict) and isinstance(now, dict):
            for name in sorted(was.keys() | now.keys()):
                yield from _change((*here, name), row.field.live, was.get(name), now.get(name))
        else:
            yield from _change(here, row.field.live, was, now)


def _change(path: Path, live: bool, was: Any, now: Any) -> Iterator[Change]:
    if isinstance(was, Amount) and isinstance(now, Amount) and not (was.currency and now.currency):
        same = was.exact == now.exact  # a map's key, or the kind of the parameter, says of what
    else:
        same = _written(was) == _written(now)
    if not same:
        yield Change(path, live, _written(was), _written(now))


def _written(value: Any) -> str:
    value = parameters.as_written(value)
    match value:
        case None:
            return "none"
        case list():
            return f"[{', '.join(map(_written, value))}]"
        case Struct():
            return ", ".join(f"{name} {_written(getattr(value, name))}" for name in value.__struct_fields__)
    return str(value)
