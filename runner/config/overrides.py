"""Values from outside the file, laid over its tree: `RUNNER__SECTION__KEY` of the environment, then `--set key=value`.

A value is read as YAML would read it behind `key: `. Problems are told at the override, as if it were a line of a
file called `--set` (the line is its number) or like the variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from runner.config.problems import Place, Problem, Source, problem, shown
from runner.config.shape import File
from runner.config.tree import Keys, Node, Scalar, decoded, tree
from runner.model import parameters

PREFIX = "RUNNER__"


class _Override(Struct):
    """`path` to a key, where each of its parts stands, and the value."""

    path: list[tuple[str, Place]]
    value: Node


def overridden(root: Keys, sets: Sequence[str], environment: Mapping[str, str]) -> tuple[Keys, list[Problem]]:
    """The tree with every override in it, and what is wrong with the overrides themselves."""
    problems: list[Problem] = []
    read = [_from_environment(name, environment[name]) for name in sorted(environment) if name.startswith(PREFIX)]
    read += [_from_argument(number, text) for number, text in enumerate(sets, start=1)]
    for override, found in read:
        problems += found
        if override is not None:
            root, found = _put(root, override.path, override.value, ())
            problems += found
    return root, problems


def _from_argument(number: int, text: str) -> tuple[_Override | None, list[Problem]]:
    source = Source("--set", tuple(text.split("\n")), number)
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        what = f"{shown(text)} is not key=value" if not equals else f"{shown(key)} is not a key"
        fix = "write the whole path of the key, as in --set risk.max_open_orders=4"
        return None, [problem(source.place(0, 0), (), "override.syntax", what, fix)]
    starts = [sum(len(part) + 1 for part in key.split(".")[:index]) for index in range(key.count(".") + 1)]
    path = [(part, source.place(0, start)) for part, start in zip(key.split("."), starts, strict=True)]
    return _with_value(path, value, Source("--set", source.lines, number, len(key) + 2))


def _from_environment(name: str, value: str) -> tuple[_Override | None, list[Problem]]:
    """`RUNNER__RISK__MAX_OPEN_ORDERS=4`. Keys are lower case, but for the currencies in a map of amounts."""
    line = f"{name}={value}"
    source = Source(name, tuple(line.split("\n")))
    parts = name.removeprefix(PREFIX).split("__")
    if not all(parts):
        fix = "write section and key, as in RUNNER__RISK__MAX_OPEN_ORDERS"
        return None, [problem(source.place(0, 0), (), "override.syntax", f"{shown(name)} names no key", fix)]
    place = source.place(0, 0)
    path = [(part, place) for part in _cased(parts)]
    return _with_value(path, value, Source(name, source.lines, 1, len(name) + 2))


def _with_value(path: list[tuple[str, Place]], value: str, source: Source) -> tuple[_Override | None, list[Problem]]:
    text, problems = decoded(value, source.file)
    if problems:
        return None, [problem(source.place(0, 0), (), item.code, item.message, item.fix) for item in problems]
    node, problems = tree(text, source)
    if node is None and not problems:
        problems = [
            problem(source.place(0, 0), (), "value.empty", "there is no value here", "write one behind the `=`")
        ]
    return (None if node is None else _Override(path, node)), problems


def _put(root: Keys, path: list[tuple[str, Place]], value: Node, above: tuple[str, ...]) -> tuple[Keys, list[Problem]]:
    """A copy of `root` with `value` at `path`: a node may be shared through an alias."""
    (name, at), rest = path[0], path[1:]
    if not rest:
        return Keys(root.at, {**root.entries, name: (at, value)}), []
    below = root.entries[name][1] if name in root.entries else None
    if below is None or (isinstance(below, Scalar) and below.value is None):
        below = Keys(at, {})
    if not isinstance(below, Keys):
        where = ".".join((*above, name))
        what = f"{where} is not a group of keys, so {shown(rest[0][0])} cannot be set in it"
        return root, [problem(at, (*above, name), "override.syntax", what, f"set {where} as a whole")]
    inner, problems = _put(below, rest, value, (*above, name))
    named_at = root.entries[name][0] if name in root.entries else at
    return Keys(root.at, {**root.entries, name: (named_at, inner)}), problems


def _cased(parts: Sequence[str]) -> list[str]:
    """The parts of a variable's name as the file would spell them."""
    kind: Any = File
    spelt = []
    for part in parts:
        spelt.append(part if parameters.amounts(kind) is not None else part.lower())
        rows = parameters.parameters(kind) if parameters.is_section(kind) else ()
        kind = next((row.kind for row in rows if row.name == spelt[-1]), None)
    return spelt
