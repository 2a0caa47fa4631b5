"""What can be run and what can be set, as facts for a reader or a program. Everything comes from the fields."""

from __future__ import annotations

import inspect

from msgspec import Struct

from runner.engine.strategy import Strategy
from runner.model.parameters import Parameter, as_written, parameters


class ParameterFacts(Struct, frozen=True):
    """One row of a strategy's table. Bounds and default are as a file would write them."""

    name: str
    type: str
    required: bool
    default: object
    min: str | None
    max: str | None
    bounds: str  # the two in words
    live: bool
    about: str


class StrategyFacts(Struct, frozen=True):
    """A strategy: its docstring and its parameters."""

    name: str
    about: str
    parameters: tuple[ParameterFacts, ...]


def describe(name: str, strategy_type: type[Strategy]) -> StrategyFacts:
    about = inspect.getdoc(strategy_type) or ""
    return StrategyFacts(name, about, tuple(map(_facts, parameters(strategy_type))))


def _facts(row: Parameter) -> ParameterFacts:
    field = row.field
    return ParameterFacts(
        name=row.name,
        type=row.unit,
        required=row.required,
        default=as_written(row.default),
        min=field.min,
        max=field.max,
        bounds=field.range,
        live=field.live,
        about=field.text,
    )
