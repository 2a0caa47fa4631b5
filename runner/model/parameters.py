"""What can be set: the typed fields of a Struct as a table, as a JSON Schema, and from a file's texts to values.

A strategy's parameters and the sections of the YAML file are declared alike:

    bid_spread: Annotated[Ratio, Field("Distance of the first bid from mid", min="0", max="20%")]

Types: the quantities of `units.py`, int, float, bool, str, Literal of texts, list and tuple of these, dict from a
currency to an amount, a Struct, and each of them `| None`.
"""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from runner.model.units import UNITS, Amount, BadQuantity, Rate, Unit, decode

T = TypeVar("T", bound=Struct)

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class Field(Struct, frozen=True):
    """What a parameter means: a sentence for the docs, bounds with units as the file would write them.

    `live`: may change while the strategy runs.
    """

    text: str
    min: str | None = None
    max: str | None = None
    live: bool = False

    @property
    def range(self) -> str:
        """The bounds in words, empty where there are none."""
        if self.min is not None and self.max is not None:
            return f"from {self.min} to {self.max}"
        if self.min is not None:
            return f"at least {self.min}"
        return "" if self.max is None else f"at most {self.max}"


class UnsupportedType(TypeError):
    """A field that no file could set."""


class Parameter(Struct, frozen=True):
    """One field. `kind` is its bare type, `name` what the file calls it; `default` is None where `required`."""

    name: str
    kind: Any
    field: Field
    meta: Meta | None
    required: bool
    default: Any

    @property
    def unit(self) -> str:
        """Its type in the reader's words: `Ratio`, `list of Duration`, `a | b`."""
        return _words(self.kind)

    @property
    def bounds(self) -> tuple[Any, Any]:
        """Lowest and highest value, of the parameter's own type; None where there is no bound."""
        kind = element(self.kind)
        low, high = self.field.min, self.field.max
        return None if low is None else bound(kind, low), None if high is None else bound(kind, high)


@functools.cache
def parameters(owner: type[Struct]) -> tuple[Parameter, ...]:
    """The fields of `owner` in their order. Raises UnsupportedType for one that no file could set."""
    return tuple(_parameter(owner, info) for info in msgspec.structs.fields(owner))


def schema(owner: type[Struct]) -> Schema:
    """JSON Schema (2020-12) of a mapping with the parameters of `owner`; quantities refer to `unit_schemas()`."""
    rows = parameters(owner)
    return {
        "type": "object",
        "properties": {row.name: _described(row) for row in rows},
        "required": [row.name for row in rows if row.required],
        "additionalProperties": False,
    }


def unit_schemas() -> dict[str, Schema]:
    """For `$defs`: how each quantity is written."""
    return {kind.__name__: _unit_schema(kind) for kind in UNITS}


def build(owner: type[T], values: Mapping[str, Any]) -> T:
    """Make a value of checked texts: quantities as written, decimals as text.

    Raises msgspec.ValidationError for what does not fit, which a file that passed the check does not contain,
    unless the Struct's own `__post_init__` refuses it.
    """
    return msgspec.convert(dict(values), owner, strict=False, dec_hook=decode)


# Types ----------------------------------------------------------------------------------------------------


def bare(kind: Any) -> Any:
    """A type without the notes of `Annotated`."""
    return typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind


def optional(kind: Any) -> tuple[Any, bool]:
    """`T | None` to (T, True), any other type to (itself, False); without notes."""
    kind = bare(kind)
    members = union(kind)
    inner = tuple(member for member in members if member is not type(None))
    if len(inner) == len(members):
        return kind, False
    return (bare(inner[0]) if len(inner) == 1 else typing.Union[inner]), True  # noqa: UP007  # made of a tuple


def union(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in {types.UnionType, typing.Union} else (kind,)


def items(kind: Any) -> Any | None:
    """The type of the items of a list or tuple, None for every other type."""
    if typing.get_origin(kind) not in {list, tuple}:
        return None
    arguments = typing.get_args(kind)
    return arguments[0] if len(arguments) == 1 or arguments[1:] == (Ellipsis,) else None


def amounts(kind: Any) -> type[Amount] | None:
    """The type of amount in a map from currency to amount, None for every other type."""
    if typing.get_origin(kind) is not dict:
        return None
    key, value = typing.get_args(kind)
    return value if key is str and is_unit(value) and issubclass(value, Amount) else None


def element(kind: Any) -> Any:
    """What bounds apply to: the items of a list, the amounts of a map, else the type itself."""
    kind = optional(kind)[0]
    inner = items(kind) or amounts(kind)
    return kind if inner is None else element(inner)


def is_unit(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, UNITS)


def is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct)


def bound(kind: Any, text: str) -> Any:
    """A bound as its parameter's type would read it. Raises UnsupportedType if that type has no order."""
    try:
        if is_unit(kind):
            return kind(text)
        if kind in (int, float):
            return int(text) if kind is int else Decimal(text)
    except (BadQuantity, ArithmeticError, ValueError) as error:
        raise UnsupportedType(f"bound {text!r}: {error}") from error
    raise UnsupportedType(f"bound {text!r} on {_words(kind)}, which has no order")


# Inside ---------------------------------------------------------------------------------------------------


def _parameter(owner: type[Struct], info: msgspec.structs.FieldInfo) -> Parameter:
    kind, field, meta = info.type, Field(""), None
    if typing.get_origin(kind) is Annotated:
        kind, *notes = typing.get_args(kind)
        field = next((note for note in notes if isinstance(note, Field)), field)
        meta = next((note for note in notes if isinstance(note, Meta)), None)
    default = None
    if not info.required:
        default = info.default if info.default is not NODEFAULT else info.default_factory()
    row = Parameter(info.encode_name, kind, field, meta, info.required, default)
    try:
        _type_schema(kind)
        low, high = row.bounds
    except UnsupportedType as error:
        raise UnsupportedType(f"{owner.__name__}.{info.name}: {error}") from error
    if low is not None and high is not None and low > high:
        raise UnsupportedType(f"{owner.__name__}.{info.name}: no value is between {low} and {high}")
    return row


def _described(row: Parameter) -> Schema:
    """The schema of one parameter: sentence, bounds, default, and whether it may change while the run goes on."""
    found = dict(_type_schema(row.kind))
    place = found.get("items", found)  # bounds of a list are those of its items
    low, high = row.bounds
    if element(row.kind) in (int, float):
        place |= {} if low is None else {"minimum": _number(low)}
        place |= {} if high is None else {"maximum": _number(high)}
    found |= _of_meta(row.meta, found)
    rule = getattr(row.meta, "description", None) or row.field.range
    sentence = ": ".join(part for part in (row.field.text, rule) if part)
    if sentence:
        found["description"] = sentence
    if row.field.live:
        found["x-live"] = True
    if not row.required and row.default is not None and not isinstance(row.default, Struct):
        found["default"] = as_written(row.default)
    return found


def as_written(value: Any) -> Any:
    """A default as the file would write it."""
    if isinstance(value, UNITS):
        return str(value)
    if isinstance(value, list | tuple):
        return [as_written(item) for item in value]
    if isinstance(value, dict):
        return {key: as_written(item) for key, item in value.items()}
    return value


def _type_schema(kind: Any) -> Schema:
    """The schema of a type. Raises UnsupportedType."""
    if typing.get_origin(kind) is Annotated:
        inner, *notes = typing.get_args(kind)
        if any(isinstance(note, Field) for note in notes):
            raise UnsupportedType("a Field stands on the parameter, not inside its type")
        found = _type_schema(inner)
        return found | _of_meta(next((note for note in notes if isinstance(note, Meta)), None), found)
    if is_unit(kind):
        return {"$ref": f"#/$defs/{kind.__name__}"}
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if is_section(kind):
        return schema(kind)
    if typing.get_origin(kind) is Literal and all(type(word) in (str, int) for word in typing.get_args(kind)):
        return {"enum": list(typing.get_args(kind))}
    if kind == dict[str, Any]:
        return {"type": "object"}
    inner = items(kind)
    if inner is not None:
        return {"type": "array", "items": _type_schema(inner)}
    amount = amounts(kind)
    if amount is not None:
        number_or_amount = {"anyOf": [{"type": "number"}, {"$ref": f"#/$defs/{amount.__name__}"}]}
        return {"type": "object", "additionalProperties": number_or_amount}
    members = union(kind)
    if len(members) > 1:
        return {"anyOf": [{"type": "null"} if member is type(None) else _type_schema(member) for member in members]}
    raise UnsupportedType(f"{_words(kind)} cannot be written in a file")


_PLAIN: dict[Any, str] = {int: "integer", float: "number", bool: "boolean", str: "string"}


def _unit_schema(kind: type[Unit]) -> Schema:
    text: Schema = {"type": "string", "pattern": kind.pattern}
    return {
        "description": f"{kind.noun.capitalize()}: {', '.join(kind.examples)}",
        **(text if issubclass(kind, Rate) else {"anyOf": [{"const": 0}, text]}),  # zero needs no unit
        "examples": list(kind.examples),
    }


def _of_meta(meta: Meta | None, found: Schema) -> Schema:
    """What msgspec's own notes on a field say, in the schema's words."""
    length = "Items" if found.get("type") == "array" else "Length"
    values: Schema = {name: getattr(meta, name, None) for name in ("pattern", "examples", "description")}
    # What editors show instead of "does not match the pattern"; `runner check` says it too.
    values["patternErrorMessage"] = None if values["pattern"] is None else values["description"]
    values |= {f"min{length}": getattr(meta, "min_length", None), f"max{length}": getattr(meta, "max_length", None)}
    return {name: value for name, value in values.items() if value is not None}


def _number(value: int | Decimal) -> int | float:
    return int(value) if value == int(value) else float(value)


def _words(kind: Any) -> str:
    kind = bare(kind)
    inner = items(kind)
    if inner is not None:
        return f"list of {_words(inner)}"
    amount = amounts(kind)
    if amount is not None:
        return f"map of currency to {amount.__name__}"
    if typing.get_origin(kind) is Literal:
        return " | ".join(map(str, typing.get_args(kind)))
    members = union(kind)
    if len(members) > 1:
        return " | ".join("null" if member is type(None) else _words(member) for member in members)
    return getattr(kind, "__name__", str(kind))
