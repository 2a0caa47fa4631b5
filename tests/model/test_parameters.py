"""Parameters of a Struct: the table, the schema, and values from texts."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
import pytest
from jsonschema import Draft202012Validator
from msgspec import Struct

from runner.model.parameters import DIALECT, Field, UnsupportedType, build, parameters, schema, unit_schemas
from runner.model.units import BaseAmount, Duration, Price, Ratio


class Everything(Struct, frozen=True, kw_only=True):
    spread: Annotated[Ratio, Field("of mid", min="0", max="20%")]
    amount: BaseAmount
    limit: Annotated[Price | None, Field("not above this")] = None
    wait: Annotated[Duration, Field("between orders", min="1s")] = Duration("30s")
    levels: Annotated[int, Field("a side", min="1", max="9")] = 1
    shape: Annotated[float, Field("of the ladder", max="2.5")] = 1.0
    eager: bool = False
    side: Literal["buy", "sell", "both"] = "both"
    steps: tuple[Annotated[Ratio, "a note"], ...] | None = None
    weights: Annotated[list[int], Field("of levels", min="0")] = msgspec.field(default_factory=lambda: [1, 2])


def test_the_table_says_what_the_fields_say() -> None:
    rows = {row.name: row for row in parameters(Everything)}
    assert [name for name, row in rows.items() if row.required] == ["spread", "amount"]
    assert rows["spread"].bounds == (Ratio("0"), Ratio("20%"))
    assert rows["spread"].field.range == "from 0 to 20%"
    assert rows["wait"].bounds == (Duration("1s"), None)
    assert rows["shape"].bounds == (None, Decimal("2.5"))
    assert rows["weights"].bounds == (0, None)
    assert rows["weights"].default == [1, 2]
    units = [row.unit for row in rows.values()]
    assert units[:6] == ["Ratio", "BaseAmount", "Price | null", "Duration", "int", "float"]
    assert units[7:] == ["buy | sell | both", "list of Ratio | null", "list of int"]


def checks(value: dict[str, Any]) -> bool:
    root = {"$schema": DIALECT, **schema(Everything), "$defs": unit_schemas()}
    Draft202012Validator.check_schema(root)
    return Draft202012Validator(root).is_valid(value)


GOOD: dict[str, Any] = {"spread": "40bps", "amount": "1000 ROGER"}


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"spread": 0},
        {"limit": "0.5 BTC"},
        {"limit": None},
        {"levels": 9},
        {"shape": 2.5},
        {"side": "buy"},
        {"steps": ["1%", "2%"]},
        {"weights": []},
    ],
)
def test_the_schema_takes_what_can_be_built(change: dict[str, Any]) -> None:
    assert checks(GOOD | change)
    assert isinstance(build(Everything, GOOD | change), Everything)


@pytest.mark.parametrize(
    "change",
    [
        {"spread": 0.4},
        {"spread": "40"},
        {"amount": 1000},
        {"limit": "x"},
        {"levels": 0},
        {"levels": 1.5},
        {"levels": True},
        {"shape": 2.6},
        {"eager": "yes"},
        {"side": "hold"},
        {"steps": ["1s"]},
        {"weights": [-1]},
        {"unknown": 1},
    ],
)
def test_the_schema_refuses_the_rest(change: dict[str, Any]) -> None:
    assert not checks(GOOD | change)


def test_the_schema_carries_sentences_and_defaults() -> None:
    found = schema(Everything)["properties"]
    assert found["spread"]["description"] == "of mid: from 0 to 20%"
    assert found["wait"]["default"] == "30s"
    assert found["weights"]["items"] == {"type": "integer", "minimum": 0}


def test_decimals_come_as_text_and_become_what_the_field_is() -> None:
    built = build(Everything, GOOD | {"shape": "1.25", "steps": ["1%"], "wait": "1m"})
    assert (built.shape, built.steps, built.wait, built.spread.exact) == (1.25, (0.01,), 60 * 10**9, Decimal("0.004"))


@pytest.mark.parametrize(
    "kind",
    [
        object,
        dict[str, int],
        tuple[int, str],
        Decimal,
        Annotated[bool, Field("x", min="0")],
        Annotated[Ratio, Field("x", min="0.4")],
        Annotated[Ratio, Field("x", min="2%", max="1%")],
        Annotated[int, Field("x", max="ten")],
        list[Annotated[int, Field("bounds that nobody would look at", max="9")]],
    ],
)
def test_a_field_that_no_file_could_set_is_named(kind: Any) -> None:
    owner = msgspec.defstruct("Odd", [("odd", kind)])
    with pytest.raises(UnsupportedType, match=r"Odd\.odd: "):
        parameters(owner)
