"""Quantities, bounds and currencies: one walk over the nodes, along the declared types.

What is not a quantity has been checked by `structure.py`. A bare number is taken only where its unit cannot be
doubted: zero, and an amount whose key names the currency.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from runner.config.problems import Path, Place, Problem, nearest, one_of, problem, shown
from runner.config.tree import Items, Keys, Node, Scalar
from runner.model import parameters
from runner.model.parameters import Parameter
from runner.model.units import Amount, BadQuantity, Delay, Duration, Rate, Ratio, Role, Unit


class Currencies(Struct, frozen=True):
    """What the file's markets trade. All empty where the markets themselves are wrong: nothing is known then."""

    bases: tuple[str, ...] = ()
    quotes: tuple[str, ...] = ()

    @classmethod
    def of(cls, symbols: typing.Iterable[str]) -> Currencies:
        pairs = [symbol.split("-", 1) for symbol in symbols]
        return cls(tuple(dict.fromkeys(base for base, _ in pairs)), tuple(dict.fromkeys(quote for _, quote in pairs)))

    def in_role(self, role: Role) -> tuple[str, ...]:
        match role:
            case "base":
                return self.bases
            case "quote":
                return self.quotes
        return tuple(dict.fromkeys((*self.bases, *self.quotes)))


def check_values(owner: type[Struct], node: Node, currencies: Currencies, path: Path = ()) -> list[Problem]:
    """Problems of the quantities in a mapping that is to become an `owner`."""
    return list(_Walk(currencies).section(owner, node, path))


class _Walk:
    def __init__(self, currencies: Currencies) -> None:
        self._currencies = currencies

    def section(self, owner: type[Struct], node: Node, path: Path) -> Iterator[Problem]:
        if not isinstance(node, Keys):
            return
        for row in parameters.parameters(owner):
            if row.name in node.entries:
                yield from self._value(row.kind, row, node.entries[row.name][1], (*path, row.name))

    def _value(self, kind: Any, row: Parameter, node: Node, path: Path) -> Iterator[Problem]:
        kind, may_be_null = parameters.optional(kind)
        if may_be_null and isinstance(node, Scalar) and node.value is None:
            return
        if parameters.is_unit(kind):
            yield from self._quantity(kind, row, node, path)
        elif parameters.items(kind) is not None:
            for number, item in enumerate(node.items if isinstance(node, Items) else ()):
                yield from self._value(parameters.items(kind), row, item, (*path, number))
        elif (amount := parameters.amounts(kind)) is not None:
            for currency, (at, item) in node.entries.items() if isinstance(node, Keys) else ():
                yield from self._amount_of(currency, at, amount, row, item, (*path, currency))
        elif typing.get_origin(kind) is Literal:
            yield from _spelling(kind, node, path)
        else:
            for member in parameters.union(kind):
                if parameters.is_section(member):
                    yield from self.section(member, node, path)

    def _quantity(self, kind: type[Unit], row: Parameter, node: Node, path: Path) -> Iterator[Problem]:
        found = _read(kind, node, path)
        if isinstance(found, Problem):
            yield found
            return
        yield from _within(found, row, node, path)
        if not isinstance(found, Amount):
            return
        known = self._currencies.in_role(kind.role) if issubclass(kind, Amount) else ()
        if found.currency:
            if known and found.currency not in known:
                yield self._wrong_currency(found.currency, found.role, row, node.at, path, f"{_number(found)} ")
        elif found.exact != 0:
            what = f"{shown(node.text if isinstance(node, Scalar) else found)} has no currency"
            fix = f"write {_number(found)} {known[0]}" if known else f"write it as in {found.examples[0]}"
            yield problem(node.at, path, "unit.currency", what, fix)

    def _amount_of(
        self, currency: str, at: Place, kind: type[Amount], row: Parameter, node: Node, path: Path
    ) -> Iterator[Problem]:
        """An amount in a map: the key names the currency, the value may repeat it."""
        known = self._currencies.in_role(kind.role)
        if known and currency not in known:
            yield self._wrong_currency(currency, kind.role, row, at, path, "")
        found = _read(kind, node, path)
        if isinstance(found, Problem):
            yield found
            return
        yield from _within(found, row, node, path)
        assert isinstance(found, Amount)
        if found.currency not in ("", currency):
            what = f"{shown(found)} stands under {currency}"
            fix = f"write {_number(found)} {currency}, or move it under {found.currency}"
            yield problem(node.at, path, "unit.currency", what, fix)

    def _wrong_currency(self, currency: str, role: Role, row: Parameter, at: Place, path: Path, number: str) -> Problem:
        known = self._currencies.in_role(role)
        if currency in self._currencies.in_role("any"):
            other = "quote" if role == "base" else "base"
            what = f"{row.name} counts {role} currency, and {currency} is the {other} currency of this file's markets"
            return problem(at, path, "unit.currency", what, f"write it in {' or '.join(known)}")
        what = f"{shown(currency)} is traded in none of this file's markets"
        near = nearest(currency, known)
        fix = f"write {number}{near}" if near else one_of(currency, known)
        return problem(at, path, "unit.currency", what, fix)


def _read(kind: type[Unit], node: Node, path: Path) -> Unit | Problem:
    if not isinstance(node, Scalar) or node.value is None or isinstance(node.value, bool):
        what = f"{shown(node.text) if isinstance(node, Scalar) else 'this'} is not {kind.noun}"
        return problem(node.at, path, "value.type", what, f"write it as in {' or '.join(kind.examples[:2])}")
    try:
        return kind(node.text)
    except BadQuantity as error:
        return problem(node.at, path, "unit.wrong", error.what, error.fix)


def _within(value: Unit, row: Parameter, node: Node, path: Path) -> Iterator[Problem]:
    low, high = row.bounds
    if low is not None and _exact(value) < _exact(low):
        yield problem(node.at, path, "value.range", f"{shown(value)} is below {low}", f"write {low} or more")
    if high is not None and _exact(value) > _exact(high):
        yield problem(node.at, path, "value.range", f"{shown(value)} is above {high}", f"write {high} or less")


def _spelling(kind: Any, node: Node, path: Path) -> Iterator[Problem]:
    """`1.0` equals 1 for a JSON Schema, and is no word of ours."""
    words = typing.get_args(kind)
    if isinstance(node, Scalar) and isinstance(node.value, Decimal) and node.value in words:
        yield problem(node.at, path, "value.type", f"{shown(node.text)} is misspelt", f"write {int(node.value)}")


def _exact(value: Unit) -> Decimal:
    assert not isinstance(value, Rate | Delay), "these have no order, so no field gives them bounds"
    return Decimal(int(value)) if isinstance(value, Duration) else value.exact


def _number(value: Ratio | Amount) -> str:
    return str(value).split(" ")[0]
