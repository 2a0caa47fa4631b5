"""The page about the file has every key that the schema has, and every bound, default and sentence."""

import re
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest

from runner.config.document import page
from runner.config.plugins import load_all
from runner.config.schema import file_schema
from runner.engine.strategy import Field, Strategy
from runner.model.parameters import Schema, parameters
from runner.model.units import Ratio

STRATEGIES, _ = load_all(bundled=True)


class Odd(Strategy, frozen=True):
    """For a page with what may break a table."""

    shape: Annotated[Literal["a|b", "c"], Field("Either | or")] = "c"
    steps: Annotated[tuple[Ratio, ...], Field("One after the other", min="0", max="5%", live=True)] = (Ratio("1%"),)
    eager: Annotated[bool | None, Field("Or not")] = None


def rows(text: str, title: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    section = re.split(r"^## ", text, flags=re.MULTILINE)
    (found,) = [part for part in section if part.startswith(f"{title}\n")]
    lines = [line for line in found.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def keys(schema: Schema, above: str = "") -> Iterator[str]:
    """Every key of a JSON Schema, dotted."""
    for name, below in schema.get("properties", {}).items():
        yield f"{above}{name}"
        for branch in (below, *below.get("anyOf", ())):
            yield from keys(branch, f"{above}{name}.")


def test_every_key_of_the_schema_has_one_row_in_its_order() -> None:
    found = [cells[0].strip("`") for cells in rows(page(STRATEGIES), "The file")]
    assert found == list(keys(file_schema({})))


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_parameter_of_a_strategy_has_a_row_with_what_is_declared(name: str) -> None:
    found = rows(page(STRATEGIES), f"strategy.params of {name}")
    for row, cells in zip(parameters(STRATEGIES[name]), found, strict=True):
        key, _, default, bounds, live, meaning = cells
        assert (key, bounds, live) == (f"`{row.name}`", row.field.range, "yes" if row.field.live else "")
        assert meaning.startswith(row.field.text)
        assert (default == "required") == row.required


def test_every_row_of_every_table_has_as_many_cells_as_its_head() -> None:
    text = page({**STRATEGIES, "odd": Odd})
    for title in ("The file", "strategy.params of odd"):
        assert {len(cells) for cells in rows(text, title)} == {6}
    assert rows(text, "strategy.params of odd") == [
        ["`shape`", "`a\\|b` or `c`", "`c`", "", "", "Either \\| or"],
        ["`steps`", "list of ratio", '`["1%"]`', "from 0 to 5%", "yes", "One after the other"],
        ["`eager`", "`true` or `false`", "none", "", "", "Or not"],
    ]


def test_what_a_text_has_to_look_like_is_told() -> None:
    told: dict[str, Any] = {cells[0]: cells[-1] for cells in rows(page({}), "The file")}
    assert told["`name`"].endswith("up to 40 characters of a-z, 0-9 and dash")
    assert told["`markets`"].endswith("as in ROGER-BTC")
