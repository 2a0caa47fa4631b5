"""The merged file as the runner takes it, defaults included, and where each value came from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from runner.config.overrides import PREFIX
from runner.config.problems import Place
from runner.config.shape import File
from runner.config.spec import RunSpec
from runner.config.tree import Items, Keys, Node, Scalar, typed
from runner.model import parameters
from runner.model.units import UNITS

_PLAIN = re.compile(r"[A-Za-z0-9./_-](?:[A-Za-z0-9./_%:+ -]*[A-Za-z0-9./_%-])?")
DEFAULT = "default"


class Row(Struct, frozen=True):
    """One value. `path` leads to it, `value` is as the file's reader types it, `origin` is a place or `default`."""

    path: tuple[str, ...]
    value: Any
    origin: str


def rows(spec: RunSpec) -> tuple[Row, ...]:
    """Every value of a run in the order of the file's sections. Read again as a file they make the same run."""
    return tuple(_section(File, spec.root, (), spec))


def text(found: tuple[Row, ...], *, with_origin: bool) -> str:
    """The rows as YAML, each value with its origin behind it if that is wanted."""
    lines: list[tuple[str, str]] = []
    open_: tuple[str, ...] = ()
    for row in found:
        group = row.path[:-1]
        shared = _shared(open_, group)
        lines += [(f"{'  ' * depth}{group[depth]}:", "") for depth in range(shared, len(group))]
        lines.append((f"{'  ' * len(group)}{row.path[-1]}: {_written(row.value)}", row.origin))
        open_ = group
    if not with_origin:
        return "\n".join(line for line, _ in lines)
    width = min(60, max(len(line) for line, _ in lines))
    return "\n".join(f"{line:<{width}}  # {origin}" if origin else line for line, origin in lines)


def _section(owner: Any, node: Keys, path: tuple[str, ...], spec: RunSpec) -> Iterator[Row]:
    for row in parameters.parameters(owner):
        here = (*path, row.name)
        below = node.entries[row.name][1] if row.name in node.entries else None
        if here == ("strategy", "params"):
            params = below if isinstance(below, Keys) else Keys(node.at, {})
            yield from _section(spec.strategy_type, params, here, spec)
        elif below is None:
            yield from _default(row.default, here)
        elif isinstance(below, Keys):
            section = next((kind for kind in parameters.union(row.kind) if parameters.is_section(kind)), None)
            yield from _section(section, below, here, spec) if section is not None else _entries(below, here)
        else:
            yield Row(here, _value(below), _origin(below.at))


def _entries(node: Keys, path: tuple[str, ...]) -> Iterator[Row]:
    if not node.entries:
        yield Row(path, {}, _origin(node.at))
    for name, (_, item) in node.entries.items():
        yield from (
            _entries(item, (*path, name))
            if isinstance(item, Keys)
            else (Row((*path, name), _value(item), _origin(item.at)),)
        )


def _default(value: Any, path: tuple[str, ...]) -> Iterator[Row]:
    if isinstance(value, Struct) and not isinstance(value, UNITS):
        for row in parameters.parameters(type(value)):
            yield from _default(getattr(value, _attribute(type(value), row.name)), (*path, row.name))
        return
    written = parameters.as_written(value)
    if isinstance(written, Mapping) and written:
        for name, item in written.items():
            yield Row((*path, name), item, DEFAULT)
        return
    yield Row(path, written, DEFAULT)


def _attribute(owner: type[Struct], name: str) -> str:
    """The attribute behind a file's word: `for` is a keyword of Python."""
    return dict(zip(owner.__struct_encode_fields__, owner.__struct_fields__, strict=True))[name]


def _value(node: Node) -> Any:
    match node:
        case Scalar():
            return node.value
        case Items():
            return [_value(item) for item in node.items]
        case Keys():
            return {name: _value(item) for name, (_, item) in node.entries.items()}


def _shared(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """How many keys the two paths have in common from the root on."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _origin(at: Place) -> str:
    return at.source.file if at.source.file.startswith(PREFIX) else f"{at.source.file}:{at.line}"


def _written(value: Any) -> str:
    """A value in YAML's flow style."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{name}: {_written(item)}' for name, item in value.items())}}}"
    if not isinstance(value, str):
        return str(value)
    plain = _PLAIN.fullmatch(value) and ": " not in value and isinstance(typed(value), str)
    return value if plain else json.dumps(value)
