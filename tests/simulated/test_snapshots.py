"""A snapshot of an engine goes on as the engine does; a record may begin with one; nothing else comes out of one."""

import inspect
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import climates
import pytest
from climates import plan
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.config.plugins import load
from runner.edge.record_files import Record, parts
from runner.edge.recorder import Recorder
from runner.engine.core import Engine
from runner.model.command import Place
from runner.model.order import Side
from runner.run.chaos.world import Faults, World
from runner.run.replay import replay
from runner.run.snapshot import NoSnapshot, revive, snapshot
from runner.simulation.heard import tapes
from runner.simulation.record import Header, Part, Snapshot, beginning, encoded, end, opening

HEADER = Header(run="r", part=1, began=0, name="n", venue="v", version="1", python="3", platform="p")


def played(number: int, seconds: float) -> World:
    what = plan(number, 1)
    world = World(f"snapshots {number}", what.settings, what.strategy, Faults(answer_lost=0.05))
    world.run_for(seconds)
    return world


WORLDS = {number: played(number, 40) for number in range(3)}


@settings(max_examples=12)
@given(st.sampled_from(sorted(WORLDS)), st.floats(0, 1))
def test_an_engine_out_of_a_snapshot_goes_on_as_the_first_does(number: int, where: float) -> None:
    world = WORLDS[number]
    engine = Engine(world.strategy)
    at = max(3, int(where * (len(world.log) - 1)))
    for event in world.log[:at]:
        engine.handle(event)
    made = snapshot(engine, world.log[at - 1])
    part = Part(opening(HEADER) + beginning(made) + end())
    assert part.snapshot == made
    revived = revive(made, world.strategy)
    for event, output in zip(world.log[at:], world.outputs[at:], strict=True):
        assert encoded(revived.handle(event)) == encoded(output)


def test_a_record_that_lost_its_oldest_files_still_replays(tmp_path: Path) -> None:
    world, engine = WORLDS[0], Engine(WORLDS[0].strategy)
    with Recorder(
        tmp_path / "r", HEADER, bytes_max=90_000, part_max=12_000, snapshot=lambda event: snapshot(engine, event)
    ) as recorder:
        for event in world.log:
            recorder.take(event, engine.handle(event))
        assert recorder.recording
    files = parts(tmp_path / "r")
    assert int(files[0].name.partition(".")[0]) > 1
    assert sum(file.stat().st_size for file in files) < 90_000 + 30_000  # and a snapshot
    record = Record(files)
    assert record.snapshot is not None
    result = replay(record, world.strategy)
    assert (result.difference, result.damage, result.ended) == (None, None, "")
    assert result.events == len(world.log) - record.snapshot.number > 100
    whole, late = tapes(world.log), tapes(record.heard())
    assert late.keys() <= whole.keys()
    for symbol, tape in late.items():
        assert _books(tape.end, tape) == _books(tape.end, whole[symbol])


def test_a_file_in_the_middle_is_a_record_of_its_own_and_a_missing_one_is_told(tmp_path: Path) -> None:
    world, engine = WORLDS[1], Engine(WORLDS[1].strategy)
    with Recorder(tmp_path / "r", HEADER, part_max=12_000, snapshot=lambda event: snapshot(engine, event)) as recorder:
        for event in world.log:
            recorder.take(event, engine.handle(event))
    files = parts(tmp_path / "r")
    assert len(files) > 3
    middle = replay(Record(files[1:2]), world.strategy)
    assert (middle.difference, middle.damage) == (None, None)
    assert middle.events > 10
    holed = replay(Record([files[0], *files[2:]]), world.strategy)
    assert holed.difference is None
    assert holed.damage is not None
    assert "missing before 0003.record" in holed.damage


def test_without_a_snapshot_a_later_file_is_no_record(tmp_path: Path) -> None:
    world, engine = WORLDS[1], Engine(WORLDS[1].strategy)

    def fails(_event: object) -> Snapshot:
        raise TypeError("this state cannot be pickled")

    told: list[str] = []
    with Recorder(
        tmp_path / "r", HEADER, bytes_max=48_000, part_max=12_000, snapshot=fails, told=told.append
    ) as recorder:
        for event in world.log:
            recorder.take(event, engine.handle(event))
    files = parts(tmp_path / "r")
    assert files[0].name == "0001.record"  # the oldest is needed, so the record ended at its cap
    assert len(told) == 1
    assert replay(Record(files), world.strategy).difference is None
    late = replay(Record(files[1:]), world.strategy)
    assert late.events == 0
    assert late.damage is not None
    assert "has no snapshot" in late.damage


def test_a_strategy_in_a_file_may_lie_elsewhere_by_now(tmp_path: Path) -> None:
    kinds = []
    for name in ("then", "now"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "churn.py").write_text(inspect.getsource(climates))
        kinds.append(load("./churn.py:Churn", tmp_path / name))
    then, now = kinds
    assert then.__module__ != now.__module__
    world = World("elsewhere", replace(plan(1, 1).settings, params={}), then, Faults())
    world.run_for(20)
    engine = Engine(then)
    for event in world.log[:100]:
        engine.handle(event)
    revived = revive(snapshot(engine, world.log[99]), now)
    assert type(revived.strategy) is now
    for event, output in zip(world.log[100:], world.outputs[100:], strict=True):
        assert encoded(revived.handle(event)) == encoded(output)
    assert any(isinstance(command, Place) for output in world.outputs[100:] for command in output.commands)


# What is not let in ---------------------------------------------------------------------------------------


class Calls:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._call


@pytest.mark.parametrize(
    "wish",
    [
        Calls(os.system, "true"),
        Calls(subprocess.run, ["true"]),
        Calls(eval, "1"),
        Calls(getattr, Side.BUY, "__class__"),
        Calls(getattr, "text", "upper"),
        Calls(pickle.loads, b""),
        Calls(Record, []),
        os.path.join,
        Engine.handle,
    ],
    ids=lambda wish: getattr(wish, "__name__", None) or str(wish._call[0].__name__),
)
def test_a_snapshot_that_asks_for_anything_but_state_is_refused(wish: Any) -> None:
    made = Snapshot(1, 1, "any", pickle.dumps([wish]), ())
    with pytest.raises(NoSnapshot, match=r"it holds|not this runner's"):
        revive(made, WORLDS[0].strategy)


def test_only_the_strategys_own_structures_come_from_its_module() -> None:
    world = WORLDS[0]
    module = world.strategy.__module__
    engine = Engine(world.strategy)
    for event in world.log[:50]:
        engine.handle(event)
    made = snapshot(engine, world.log[49])
    assert made.strategy == module
    assert isinstance(revive(made, world.strategy), Engine)
    with pytest.raises(NoSnapshot, match="no part of a state"):
        revive(replace(made, strategy="another"), world.strategy)
    for state in (b"", made.state[:-9], pickle.dumps(Place("A", "B", Side.BUY, 1, 1, 1)), b"garbage"):
        with pytest.raises(NoSnapshot):
            revive(replace(made, state=state), world.strategy)


def _books(until: int, tape: Any) -> dict[tuple[int, int], int]:
    levels = {}
    for time, kind, ticks, lots in zip(tape.times, tape.kinds, tape.ticks, tape.lots, strict=True):
        if time <= until and kind <= 1:
            levels[kind, ticks] = lots
    return {level: lots for level, lots in levels.items() if lots}
