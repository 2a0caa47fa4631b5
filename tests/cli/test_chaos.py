"""`runner chaos`: the table, the story of a seed, JSON, and what it says of a strategy that cannot be played."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli.main import group

FILE = str(Path(__file__).parents[2] / "strategies" / "quickstart.yml")

BREAKS = """
from typing import Annotated
from runner.engine.strategy import Decision, Field, State, Strategy

class Breaks(Strategy, frozen=True):
    \"\"\"Raise at the first tick.\"\"\"
    since: Annotated[float, Field("nothing", min="0", max="1")] = 0.5

    def slots(self):
        return ["a"]

    def tick(self, view, state):
        raise ZeroDivisionError("half of nothing")
"""


def chaos(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["chaos", *arguments])


def facts(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_table_says_what_was_thrown_and_that_no_law_was_broken() -> None:
    result = chaos(FILE, "--seeds", "2", "--hours", "0.05")
    assert result.exit_code == 0, result.output
    rows = {line.split("  ")[0]: line for line in result.stdout.splitlines()}
    assert rows["violations"].split()[1] == "0"
    assert int(rows["orders"].split()[1]) > 10
    assert "0.1 simulated hours" in rows["seeds"]


@pytest.mark.slow
def test_one_seed_tells_its_story_and_is_the_same_run_again() -> None:
    first, again = (chaos(FILE, "--seed", "3", "--hours", "0.1") for _ in range(2))
    assert first.exit_code == 0
    assert first.stdout == again.stdout
    assert first.stdout.splitlines()[0].startswith("0:0")
    assert "run ended with" in first.stdout


@pytest.mark.slow
def test_a_seed_is_the_same_run_in_every_process_whatever_its_hash_seed() -> None:
    """Engine logs and exchange, byte for byte: the digest is over all events and outputs."""
    found = []
    for hash_seed in ("0", "1", "4242"):
        done = subprocess.run(
            [sys.executable, "-m", "runner.cli.main", "chaos", FILE, "--seeds", "3", "--hours", "0.1", "--json"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        )
        found.append(json.loads(done.stdout))
    assert found[0]["digests"].keys() == {"1", "2", "3"}
    assert found[0] == found[1] == found[2]


def test_a_broken_law_is_explained_and_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "breaks.py").write_text(BREAKS)
    text = Path(FILE).read_text().partition("strategy:")[0]
    (tmp_path / "breaks.yml").write_text(text + "strategy:\n  use: ./breaks.py:Breaks\n")
    file = str(tmp_path / "breaks.yml")
    result = chaos(file, "--seeds", "1", "--hours", "0.02")
    assert result.exit_code == 1
    assert "law 'ends' broken in seed 1" in result.stdout
    assert "half of nothing" in result.stdout
    assert f"again: runner chaos {file} --hours 0.02 --seed 1" in result.stdout
    assert "1 times a law was broken" in result.stderr
    (violation,) = facts(chaos(file, "--seed", "1", "--hours", "0.02", "--json"))["violations"]
    assert (violation["seed"], violation["law"]) == (1, "ends")


def test_json_counts_the_same_and_tells_the_story() -> None:
    result = chaos(FILE, "--seed", "3", "--hours", "0.1", "--json")
    found = facts(result)
    assert result.exit_code == 0
    assert found["seeds"] == 1
    assert sum(found["exits"].values()) >= 1
    assert found["violations"] == []
    assert found["story"][-1]["what"].startswith("run ended with")


def test_what_is_left_out_does_not_happen() -> None:
    everything = ("a", "b", "c", "d", "e", "f", "g", "h", "j", "l", "n", "p", "r", "s", "t")
    without = [word for letter in everything for word in ("--without", letter)]
    found = facts(chaos(FILE, "--seeds", "1", "--hours", "0.2", "--json", *without))
    assert set(found["faults"]) <= {"more_markets"}


def test_a_market_that_the_simulated_exchange_lacks_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text(
        Path(FILE)
        .read_text()
        .replace("venue: sandbox", "venue: altmarkets")
        .replace("[ROGER-BTC]", "[ROGER-ETH]")
        .replace("BTC: 0.1", "ETH: 0.1")
    )
    result = chaos(str(tmp_path / "mine.yml"), "--seeds", "1")
    assert result.exit_code == 3
    assert "ROGER-ETH" in result.stderr
    assert "ROGER-BTC" in result.stderr


def test_a_wrong_file_is_told_as_check_does() -> None:
    result = chaos(FILE, "--set", "tick.evry=1s")
    assert result.exit_code == 3
    assert "evry" in result.stderr
