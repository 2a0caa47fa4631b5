"""`runner fuzz`: what it prints and writes, the way back by --repeat, and that a search is the same every time."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from runner.cli.main import group

FILE = str(Path(__file__).parents[2] / "strategies" / "quickstart.yml")

HALF = '''
from typing import Annotated

from runner.engine.strategy import Decision, Field, State, Strategy
from runner.model.order import Quote, Side


class Half(Strategy, frozen=True):
    """Bid below the best bid."""

    away: Annotated[float, Field("part of the bid", min="0", max="0.1")] = 0.01

    def slots(self):
        return ["a"]

    def tick(self, view, state):
        bid = view.book.best_bid
        return Decision((Quote("a", Side.BUY, bid * (1 - self.away), 100),), state, "behind the bid")
'''
MENDED = HALF.replace("        return Decision((Q", "        return Decision(() if bid is None else (Q")
INTERRUPTS = HALF.replace("from typing", "import os, signal\nfrom typing", 1).replace(
    "        bid = ", "        if view.trades:\n            os.kill(os.getpid(), signal.SIGINT)\n        bid = "
)
YAML = """
version: 1
name: halved
connector: {type: altmarkets, venue: sandbox}
markets: [ROGER-BTC]
strategy: {use: "./half.py:Half", params: {away: 0.02}}
tick: {every: 2s}
risk: {max_open_orders: 4}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "half.py").write_text(HALF)
    (tmp_path / "half.yml").write_text(YAML)
    return tmp_path


def fuzz(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["fuzz", *arguments])


def process(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "runner.cli.main", "fuzz", *arguments],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def facts(result: Result) -> Any:
    return json.loads(result.stdout)


def test_a_table_says_what_was_tried_and_nothing_is_left_behind(folder: Path) -> None:
    before = sorted(folder.iterdir())
    result = fuzz(FILE, "--examples", "3")
    assert result.exit_code == 0, result.output
    rows = {line.split("  ")[0]: line.split() for line in result.stdout.splitlines()}
    assert rows["examples"][1] == "3"
    assert rows["failures"][1] == "0"
    assert int(rows["ticks"][1]) > 100
    assert {"simulated minutes", "parameters varied", "situations", "orders", "fills", "refused by the gate"} <= set(
        rows
    )
    assert sorted(folder.iterdir()) == before


@pytest.mark.slow
def test_a_failure_is_explained_written_down_and_can_be_repeated(folder: Path) -> None:
    result = fuzz("half.yml", "--seed", "7")
    assert result.exit_code == 1
    assert "raised after" in result.stdout
    assert "TypeError" in result.stdout
    assert "half.py:" in result.stdout
    assert "again: runner fuzz --repeat fuzz-halved-7" in result.stdout
    assert "fuzz-halved-7" in result.stderr
    found = folder / "fuzz-halved-7"
    assert sorted(path.name for path in found.iterdir()) == ["failure.txt", "strategy.yml", "tape.json"]
    (scene,) = json.loads((found / "tape.json").read_text())["scenes"]
    assert scene["kind"] in {"no_bids", "nobody"}
    assert len((found / "strategy.yml").read_text().splitlines()) <= 10
    assert (found / "failure.txt").read_text().startswith("raised after")

    again = fuzz("--repeat", "fuzz-halved-7")
    assert again.exit_code == 1
    assert again.stdout.splitlines()[0] == (found / "failure.txt").read_text().splitlines()[0]
    assert facts(fuzz("--repeat", "fuzz-halved-7", "--json"))["failure"]["code"] == "raised"

    (folder / "half.py").write_text(MENDED)
    mended = process("--repeat", str(found))
    assert mended.returncode == 0, mended.stderr
    assert "nothing is wrong any more" in mended.stdout


@pytest.mark.slow
def test_a_search_is_the_same_in_every_process_whatever_its_hash_seed(folder: Path) -> None:
    first, second = (process("half.yml", "--json", "--out", "out", hash_seed=seed) for seed in ("0", "4242"))
    assert first.returncode == second.returncode == 1, first.stderr
    assert first.stdout == second.stdout
    told = json.loads(first.stdout)
    assert told["failure"]["file"]["strategy"].keys() == {"use"}
    assert told["failure"]["folder"] == "out"
    other = json.loads(process("half.yml", "--json", "--out", "out", "--seed", "2").stdout)
    assert (other["ticks"], other["situations"]) != (told["ticks"], told["situations"])


@pytest.mark.slow
def test_control_c_ends_it_with_what_there_is(folder: Path) -> None:
    """The signal comes out of a tick of the strategy's own, at the first public trade: no clock has a say in it."""
    (folder / "half.py").write_text(INTERRUPTS)
    done = process("half.yml", "--examples", "1000")
    assert signal.Signals.SIGINT.name not in done.stderr
    assert done.returncode == 0, done.stderr
    assert "interrupted after 0 examples" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout.splitlines()[-1].split()[:2] == ["failures", "0"]


def test_overlays_and_single_values_are_part_of_the_file(folder: Path) -> None:
    (folder / "other.yml").write_text("name: another\n")
    (folder / "half.py").write_text(HALF)
    result = fuzz("half.yml", "other.yml", "--set", "strategy.params.away=0.5", "--examples", "1")
    assert result.exit_code == 3
    assert "0.5" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "name a strategy file"),
        (["half.yml", "--repeat", "x"], 2, "needs no FILE"),
        (["none.yml"], 2, "cannot read none.yml"),
        (["--repeat", "nowhere"], 2, "nowhere"),
        (["half.yml", "--set", "tick.evry=1s"], 3, "evry"),
        (["half.yml", "--set", "connector.venue=altmarkets", "--set", "markets=[ROGER-ETH]"], 3, "ROGER-ETH"),
    ],
)
def test_what_cannot_be_searched_is_said(folder: Path, arguments: list[str], code: int, says: str) -> None:
    result = fuzz(*arguments)
    assert result.exit_code == code
    assert says in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("tape", "says"),
    [
        ("{", "tape.json"),
        ('{"seed": "one"}', "tape.json"),
        ('{"scenes": [{"kind": "storm"}]}', "there is no scene 'storm'; there are calm, flat"),
    ],
)
def test_a_tape_that_nobody_can_play_is_said(folder: Path, tape: str, says: str) -> None:
    made = folder / "made"
    made.mkdir()
    (made / "strategy.yml").write_text(YAML.replace("./half.py", "../half.py"))
    (made / "tape.json").write_text(tape)
    result = fuzz("--repeat", "made")
    assert result.exit_code == 2
    assert says in result.stderr


def test_a_tape_of_ones_own_is_played(folder: Path) -> None:
    made = folder / "made"
    made.mkdir()
    (made / "strategy.yml").write_text(YAML.replace("./half.py", "../half.py"))
    (made / "tape.json").write_text('{"scenes": [{"kind": "spike_up", "seconds": 2, "percent": 50}]}')
    result = fuzz("--repeat", "made", "--json")
    assert result.exit_code == 0, result.stderr
    assert facts(result)["ticks"] > 5
    (made / "strategy.yml").write_text(YAML.replace("./half.py:Half", "../half.py:Haf"))
    result = fuzz("--repeat", "made")
    assert result.exit_code == 3
    assert "Haf" in result.stderr
