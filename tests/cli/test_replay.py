"""`runner replay` on records of real runs on the embedded exchange, each in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from runner.edge.record_files import Record
from runner.edge.recorder import SUFFIX
from runner.run.replay import open_record

pytestmark = pytest.mark.slow

STRATEGY = '''\
"""Two bids, told one after the other."""

from collections.abc import Iterable
from typing import Annotated

from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model.order import Quote, Side
from runner.model.parameters import Field
from runner.model.units import BaseAmount


class Two(Strategy, frozen=True):
    quantity: Annotated[BaseAmount, Field("of each order", min="1")]

    def slots(self) -> Iterable[str]:
        return ["a", "b"]

    def tick(self, view: View, state: State) -> Decision:
        bid = view.book.best_bid
        if bid is None:
            return Decision((), state, "nobody bids")
        names = ["a", "b"]
        quotes = tuple(Quote(name, Side.BUY, bid * 0.5, float(self.quantity)) for name in names)
        return Decision(quotes, state, "far below")
'''
FILE = """\
version: 1
name: two
connector: {type: altmarkets, venue: sandbox, seed: 7}
markets: [ROGER-BTC]
strategy: {use: "./two.py:Two", params: {quantity: 2000 ROGER}}
tick: {every: 200ms}
"""


def runner(*words: object, hash_seed: str = "0", **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "runner.cli.main", *map(str, words)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def recorded(folder: Path, strategy: str = STRATEGY, file: str = FILE) -> Path:
    """The strategy has run there for a moment; returns the folder of its record."""
    (folder / "two.py").write_text(strategy)
    (folder / "two.yml").write_text(file)
    done = runner("run", folder / "two.yml", "--for", "3s", "--headless", RUNNER_STATE_DIR=str(folder / "state"))
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "state").glob("sandbox/*/records/*")
    return found


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("two"))


@pytest.fixture
def copy(record: Path, tmp_path: Path) -> Path:
    """Of the record; the strategy that it names is the original's."""
    return Path(shutil.copytree(record, tmp_path / "copy"))


def test_a_run_replays_to_the_same_outputs_under_every_hash_seed(record: Path) -> None:
    state = str(record.parents[3])
    outcomes = [
        runner("replay", record.name, "--assert", "--json", hash_seed=seed, RUNNER_STATE_DIR=state)
        for seed in ("1", "4242")
    ]
    assert [done.returncode for done in outcomes] == [0, 0], outcomes
    assert outcomes[0].stdout == outcomes[1].stdout
    facts = json.loads(outcomes[0].stdout)
    assert facts["same"] is True
    assert facts["run"] == record.name
    assert facts["placed"] >= 2
    assert facts["ticks"] > 5
    assert facts["changed"] == []
    assert facts["damage"] is None
    assert facts["ended"] == ""


def test_a_change_of_the_strategy_is_found_where_it_first_matters(record: Path, tmp_path: Path) -> None:
    edited = tmp_path / "two.py"
    edited.write_text(STRATEGY.replace("bid * 0.5", "bid * 0.4"))
    (tmp_path / "two.yml").write_text(FILE)
    first_order = next(
        event.number for event, output in open_record(str(record), {}) if output is not None and b"Place" in output
    )
    done = runner("replay", record, tmp_path / "two.yml", "--assert")
    assert done.returncode == 1, done.stderr
    assert f"differs first at event {first_order}," in done.stdout
    assert f"{edited}:{STRATEGY[: STRATEGY.index('return Decision(quotes')].count(chr(10)) + 1}" in done.stdout
    assert "return Decision(quotes, state" in done.stdout
    facts = json.loads(runner("replay", record, tmp_path / "two.yml", "--assert", "--json").stdout)
    assert facts["difference"]["event"]["number"] == first_order
    then, now = (facts["difference"][side]["commands"][0] for side in ("recorded", "replayed"))
    assert now["ticks"] < then["ticks"]
    assert {**now, "ticks": then["ticks"]} == then
    assert runner("replay", record, tmp_path / "two.yml").returncode == 0


def test_an_edited_source_is_named(record: Path, tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(STRATEGY + "# a remark\n")
    (tmp_path / "two.yml").write_text(FILE)
    shutil.copytree(record, tmp_path / "record")
    done = runner("replay", record, tmp_path / "two.yml", "--assert", "--json")
    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert facts["same"] is True
    assert facts["edited"] == facts["changed"]
    assert facts["edited"] == ["strategy/two.py"]


def test_a_strategy_that_goes_by_the_order_of_a_set_is_caught(tmp_path: Path) -> None:
    """What a tick decides must not depend on the process that it runs in."""
    impure = STRATEGY.replace('names = ["a", "b"]', 'names = list({"a", "b"})').replace(
        "float(self.quantity)", "float(self.quantity) * (2 if name == names[0] else 1)"
    )
    record = recorded(tmp_path, impure)
    verdicts = set()
    for seed in range(12):  # half of them walk the set as the run did
        done = runner("replay", record, "--assert", hash_seed=str(seed))
        verdicts.add((done.returncode, "differs first at event" in done.stdout))
        if len(verdicts) > 1:
            break
    assert verdicts == {(0, False), (1, True)}


def test_a_record_of_a_killed_run_is_replayed_as_far_as_it_goes(copy: Path) -> None:
    (file,) = copy.glob(f"*{SUFFIX}")
    file.write_bytes(file.read_bytes()[:-200])
    whole = len(list(Record([file])))
    done = runner("replay", copy, "--assert", "--json")
    facts = json.loads(done.stdout)
    assert done.returncode == 0
    assert facts["same"] is True
    assert facts["events"] == whole
    assert "cut off" in facts["damage"]
    assert "cut off" in runner("replay", file).stdout


def test_what_is_no_record_is_a_mistake_of_the_command_line(tmp_path: Path, record: Path) -> None:
    (tmp_path / "a.record").write_text("hello")
    for name, said in ((tmp_path / "a.record", "no record of a run"), ("20200101-000000-1", "there is no record of")):
        done = runner("replay", name)
        assert (done.returncode, done.stdout) == (2, "")
        assert said in done.stderr
    known = runner("replay", "20200101-000000-1", RUNNER_STATE_DIR=str(record.parents[3]))
    assert record.name in known.stderr


def test_a_file_that_wants_no_record_leaves_none(tmp_path: Path) -> None:
    (tmp_path / "two.py").write_text(STRATEGY)
    (tmp_path / "two.yml").write_text(FILE + "recording: {enabled: false}\n")
    state = tmp_path / "state"
    done = runner("run", tmp_path / "two.yml", "--once", RUNNER_STATE_DIR=str(state))
    assert done.returncode == 0, done.stderr
    assert list(state.glob("sandbox/*/journal.sqlite3"))
    assert not list(state.rglob(f"*{SUFFIX}"))
