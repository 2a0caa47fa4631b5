"""The strategy file as Markdown tables: every key with its type, default, bounds, and what it is for.

Everything comes from the types in `shape.py` and from the strategies' own fields. `docs/strategy-file.md` is this page
of the bundled strategies; a test holds the two together.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from runner.config.describe import describe
from runner.config.shape import VERSION, File
from runner.engine.strategy import Strategy
from runner.model import parameters
from runner.model.parameters import Parameter
from runner.model.units import UNITS

_HEAD = ("key", "type", "default", "bounds", "live", "meaning")

_OPENING = f"""\
# The strategy file, version {VERSION}

Every key there is, as `runner schema --table` prints it; with strategies of other packages installed it prints their
parameters too. `risk.max_book_age` is the key `max_book_age` in the group `risk`. A key is `live` if a strategy bears a
change of it while it runs.
"""


def page(strategies: Mapping[str, type[Strategy]]) -> str:
    """The whole page, with the parameters of the named strategies."""
    parts = [
        _OPENING,
        _section("The file", _rows(File, "")),
        *(_strategy(name, found) for name, found in sorted(strategies.items())),
        _units(),
    ]
    return "\n".join(parts)


def _section(title: str, rows: Iterator[tuple[str, ...]], text: str = "") -> str:
    lines = [_line(_HEAD), _line("---" for _ in _HEAD), *map(_line, rows)]
    return "\n".join([f"## {title}", "", *([text, ""] if text else []), *lines, ""])


def _strategy(name: str, kind: type[Strategy]) -> str:
    return _section(f"strategy.params of {name}", _rows(kind, ""), describe(name, kind).about)


def _rows(owner: type[Struct], above: str) -> Iterator[tuple[str, ...]]:
    """A row for each key; those of a group follow it."""
    for row in parameters.parameters(owner):
        path = f"{above}{row.name}"
        yield f"`{path}`", _type(row.kind), _default(row), _bounds(row), "yes" if row.field.live else "", _meaning(row)
        for member in parameters.union(parameters.optional(row.kind)[0]):
            if parameters.is_section(member):
                yield from _rows(member, f"{path}.")


def _type(kind: Any) -> str:
    """A type in the reader's words: `list of duration`, `sandbox or a group`."""
    kind = parameters.optional(kind)[0]
    inner, amount = parameters.items(kind), parameters.amounts(kind)
    if inner is not None:
        return f"list of {_type(inner)}"
    if amount is not None:
        return f"map from currency to {_type(amount)}"
    if parameters.is_unit(kind):
        return str(kind.noun).partition(" ")[2]
    if typing.get_origin(kind) is Literal:
        return " or ".join(f"`{word}`" for word in typing.get_args(kind))
    if parameters.is_section(kind):
        return "group"
    members = parameters.union(kind)
    if len(members) > 1:
        return " or ".join(map(_type, members))
    return _PLAIN.get(kind, "group")


_PLAIN: dict[Any, str] = {int: "whole number", float: "number", bool: "`true` or `false`", str: "text"}


def _default(row: Parameter) -> str:
    if row.required:
        return "required"
    if row.default is None:
        return "none"
    if isinstance(row.default, Struct) and not isinstance(row.default, UNITS):
        return ""  # that of each of its keys
    written = parameters.as_written(row.default)
    return f"`{written if isinstance(written, str) else json.dumps(written)}`"


def _bounds(row: Parameter) -> str:
    meta = row.meta
    least, most = getattr(meta, "min_length", None), getattr(meta, "max_length", None)
    items = f"{least or 0} to {most} items" if most is not None else ""
    return ", ".join(part for part in (row.field.range, items) if part)


def _meaning(row: Parameter) -> str:
    """Its sentence, and the rule that its text has to follow."""
    rule = getattr(row.meta, "description", None)
    return ": ".join(part for part in (row.field.text, rule, *_rules(row.kind)) if part)


def _rules(kind: Any) -> Iterator[str]:
    if typing.get_origin(kind) is Annotated:
        kind, *notes = typing.get_args(kind)
        yield from (note.description for note in notes if isinstance(note, Meta) and note.description)
    inner = parameters.items(kind)
    for member in parameters.union(kind) if inner is None else (inner,):
        if member is not kind:
            yield from _rules(member)


def _units() -> str:
    rows = ((kind.noun, ", ".join(f"`{example}`" for example in kind.examples)) for kind in UNITS)
    lines = [_line(("what", "written as")), _line(("---", "---")), *map(_line, rows)]
    return "\n".join(["## Units", "", *lines, ""])


def _line(cells: typing.Iterable[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
