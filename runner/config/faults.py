"""A file of timed faults for a sandbox: what is to go wrong, and when.

    - {at: 10s, name: answer, value: 502, for: 30s}
    - {at: 1m, name: engine_restart}

What a fault is called and what it may be is known elsewhere: here an entry is its keys and texts, and their places.
"""

from __future__ import annotations

from msgspec import Struct

from runner.config.problems import Place, Problem, Source, in_order, problem, shown
from runner.config.tree import Items, Keys, Scalar, decoded, tree
from runner.model.units import BadQuantity, Duration


class Entry(Struct, frozen=True):
    """One line of the file. `after` is ns since the sandbox opened; `facts` are all other keys."""

    after: int
    facts: dict[str, str]
    places: dict[str, Place]
    number: int

    def problem(self, field: str, message: str) -> Problem:
        """Something that is wrong with one of the facts, or with what is not there."""
        at = self.places.get(field) or next(iter(self.places.values()))
        fix = "GET /sandbox/control of a sandbox lists every fault with its values"
        return problem(at, (self.number, field), "value.unknown", message, fix)


def read_faults(text: bytes, file: str) -> tuple[Entry, ...] | tuple[Problem, ...]:
    """The entries of a file in its order, or every problem of it. Never raises."""
    content, problems = decoded(text, file)
    if problems:
        return in_order(problems)
    source = Source.of(file, content)
    root, problems = tree(content, source)
    if problems:
        return in_order(problems)
    if not isinstance(root, Items):
        at = source.place(0, 0) if root is None else root.at
        fix = "write `- {at: 10s, name: answer, value: 502, for: 30s}`"
        return (problem(at, (), "value.type", "a file of faults is a list", fix),)
    found = [_entry(item, number) for number, item in enumerate(root.items)]
    wrong = [one for one in found if isinstance(one, Problem)]
    return in_order(wrong) if wrong else tuple(one for one in found if isinstance(one, Entry))


def _entry(item: object, number: int) -> Entry | Problem:
    assert isinstance(item, Keys | Items | Scalar)
    if not isinstance(item, Keys) or not item.entries:
        return problem(item.at, (number,), "value.type", "this is not a fault", "write `{at: 10s, name: answer}`")
    facts: dict[str, str] = {}
    places: dict[str, Place] = {}
    after = 0
    for key, (_, node) in item.entries.items():
        if not isinstance(node, Scalar):
            return problem(node.at, (number, key), "value.type", f"{shown(key)} is a single value", "write it as text")
        places[key] = node.at
        if key != "at":
            facts[key] = node.text
            continue
        try:
            after = int(Duration(node.text))
        except BadQuantity as error:
            return problem(node.at, (number, key), "unit.wrong", error.what, error.fix)
    return Entry(after, facts, places, number)
