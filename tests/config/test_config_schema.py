"""The schema that is checked in is the one that the code makes, and it is a good one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_files import GOOD, STRATEGY
from jsonschema import Draft202012Validator

from runner.config.plugins import load, load_all
from runner.config.schema import file_schema

CHECKED_IN = Path(__file__).parents[2] / "schemas" / "strategy.schema.json"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(CHECKED_IN.read_text())
    return found


def test_it_is_what_the_code_makes(schema: dict[str, Any]) -> None:
    bundled, _ = load_all(bundled=True)
    assert schema == file_schema(bundled), "run: runner schema --bundled > schemas/strategy.schema.json"


def test_it_is_json_schema_2020_12(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)


def _words(schema: Any) -> Iterator[str]:
    """Every key and every word that a file may hold."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        yield from (word for word in schema.get("enum", ()) if isinstance(word, str))
        for inner in schema.values():
            yield from _words(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _words(inner)


def test_no_word_of_ours_is_a_boolean_of_yaml_1_1(schema: dict[str, Any]) -> None:
    words = set(_words(schema))
    assert {"on_stop", "cancel", "for", "sandbox", "bid_spread"} <= words
    assert not words & {"y", "n", "yes", "no", "on", "off", "true", "false"}
    for word in words:
        assert yaml.safe_load(word) == word, f"{word} is not text for a YAML 1.1 reader"


def test_every_key_says_what_it_is_for(schema: dict[str, Any]) -> None:
    def undescribed(node: dict[str, Any], path: str) -> Iterator[str]:
        for name, child in node.get("properties", {}).items():
            if not child.get("description"):
                yield f"{path}{name}"
            yield from undescribed(child, f"{path}{name}.")

    root = {key: value for key, value in schema.items() if key != "allOf"}
    assert list(undescribed(root, "")) == []


@pytest.mark.parametrize("name", ["quickstart.yml", "pure_market_making.yml"])
def test_an_editor_accepts_the_bundled_files(name: str, schema: dict[str, Any]) -> None:
    value = yaml.safe_load((CHECKED_IN.parents[1] / "strategies" / name).read_text())
    assert list(Draft202012Validator(schema).iter_errors(value)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("40bps", "0.4"),
        ("40bps", "40 ROGER"),
        ("1000 ROGER", "1000"),
        ("levels: 3", "levels: 9"),
        ("half_spread", "half_spred"),
        ("15s", "15"),
        ("50000", "50000 roger"),
        ("max_open_orders: 20", "max_open_orders: many"),
        ("[ROGER-BTC]", "[]"),
        ("sandbox", "sandbx"),
    ],
)
def test_an_editor_sees_the_mistake_that_check_sees(old: str, new: str, tmp_path: Path) -> None:
    (tmp_path / "spread.py").write_text(STRATEGY)
    use = "./spread.py:Spread"
    validator = Draft202012Validator(file_schema({use: load(use, tmp_path)}))
    assert validator.is_valid(yaml.safe_load(GOOD))
    assert not validator.is_valid(yaml.safe_load(GOOD.replace(old, new)))
