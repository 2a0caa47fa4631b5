"""`runner strategies`: the list, and a page that comes from the fields."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner.cli.main import group

MINE = '''
from typing import Annotated
from runner.engine.strategy import Decision, Field, Strategy
from runner.model.units import BaseAmount, Duration, Ratio

class Mine(Strategy, frozen=True):
    """Do very little.

    And that slowly.
    """
    spread: Annotated[Ratio, Field("How far from mid", min="0", max="20%", live=True)]
    amount: Annotated[BaseAmount | None, Field("Of each order")] = None
    pause: Annotated[Duration, Field("Between orders", min="1s")] = Duration("90s")
    levels: tuple[int, ...] = (1, 2)

    def slots(self):
        return ["a"]

    def tick(self, view, state):
        return Decision((), state, "")
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(MINE)
    return f"{tmp_path / 'mine.py'}:Mine"


def strategies(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["strategies", *arguments])


def test_the_list_has_the_bundled_ones() -> None:
    done = strategies()
    assert done.exit_code == 0
    assert "pure_market_making  " in done.stdout
    rows = json.loads(strategies("--json").stdout)["strategies"]
    assert [row["problem"] for row in rows] == [None] * len(rows)
    assert "pure_market_making" in [row["name"] for row in rows]


def test_a_page_has_every_parameter_with_bounds_and_default(mine: str) -> None:
    done = strategies(mine)
    assert done.exit_code == 0
    words = " ".join(done.stdout.split())
    assert "Do very little. And that slowly." in words
    assert "Required parameters: spread: Ratio How far from mid; from 0 to 20%" in words
    assert "amount: BaseAmount | null Of each order; default null" in words
    assert "pause: Duration Between orders; at least 1s; default 90s" in words
    assert "levels: list of int default [1, 2]" in words


def test_json_has_the_same_facts(mine: str) -> None:
    found = json.loads(strategies(mine, "--json").stdout)
    assert found["about"].startswith("Do very little.")
    assert found["parameters"][0] == {
        "name": "spread",
        "type": "Ratio",
        "required": True,
        "default": None,
        "min": "0",
        "max": "20%",
        "bounds": "from 0 to 20%",
        "live": True,
        "about": "How far from mid",
    }
    assert [row["default"] for row in found["parameters"]] == [None, None, "90s", [1, 2]]


def test_an_unknown_one_is_a_sentence_and_exit_2() -> None:
    done = strategies("pure_market_makin")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "runner: strategy `pure_market_makin` is not installed: write pure_market_making\n"
