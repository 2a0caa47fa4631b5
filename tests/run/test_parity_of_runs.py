"""Runs on the sandbox's own matching engine, in virtual time, against backtests on what the public saw of them."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from runner.edge.recorder import Recorder
from runner.model.event import Configured, Event
from runner.model.settings import SECOND, Settings, TickPolicy
from runner.report.parity import Parity, facts, text
from runner.run.chaos.world import Faults, World
from runner.run.ends import CannotRun
from runner.run.parity import QUEUES, Step, parity, parity_of
from runner.simulation.heard import tapes
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.record import Header
from strategies.pure_market_making import PureMarketMaking

pytestmark = pytest.mark.slow

SYMBOL = SANDBOX_LISTINGS[0].market.symbol
ONE_WAY = 0.02  # s
MAKER = Settings(
    name="parity",
    tag="PARITY",
    markets=(SYMBOL,),
    strategy="pure_market_making",
    params={
        "bid_spread": "10bps",
        "ask_spread": "10bps",
        "order_amount": "300 ROGER",
        "order_levels": 1,
        "order_refresh_time": "10s",
        "order_refresh_tolerance_pct": "4bps",
    },
    tick=TickPolicy(every=SECOND, when=("fill",)),
)
HEADER = Header(
    run="20260418-093012-514",
    part=1,
    began=0,
    name="parity",
    venue="sandbox",
    version="",
    python="",
    platform="",
    file=str(Path("parity.yml").absolute()),
    strategy="pure_market_making",
)


def lived(seed: str, seconds: float, settings: Settings = MAKER) -> list[Step]:
    """A run on the real server and engine, on a quiet line."""
    world = World(seed, settings, PureMarketMaking, Faults(latency=(ONE_WAY, ONE_WAY)), listings=SANDBOX_LISTINGS[:1])
    world.run_for(seconds)
    world.stop()
    world.run_for(60)
    assert world.finish is not None
    return list(zip(world.log, world.outputs, strict=True))


def judged(steps: Sequence[Step]) -> Parity:
    return parity("here", steps, PureMarketMaking, list(tapes(event for event, _ in steps).values()))


@pytest.fixture(scope="module")
def steps() -> list[Step]:
    return lived("parity", 120)


@pytest.fixture(scope="module")
def found(steps: list[Step]) -> Parity:
    return judged(steps)


def test_a_backtest_on_the_runs_own_public_tape_comes_close_to_it(found: Parity) -> None:
    for each in found.reruns:
        pair = each.pairs[SYMBOL]
        assert pair.real.fills > 30
        assert float(pair.tested.volume) == pytest.approx(float(pair.real.volume), rel=0.2)
        turnover = float(pair.real.turnover)
        assert abs(float(pair.tested.profit) - float(pair.real.profit)) < 0.002 * turnover


def test_every_model_is_told(found: Parity) -> None:
    models = [str(queue) for queue in QUEUES]
    assert [each.model for each in found.reruns] == models
    assert found.closest in models
    told = facts(found)
    assert json.loads(json.dumps(told)) == told
    lines = text(found)
    assert all(model in lines for model in models)
    assert f"closest  {found.closest}" in lines


def test_latency_is_measured_on_the_run(found: Parity) -> None:
    """In this world a request waits once to be signed, is on its way, and so is its answer: three ways, two of ours."""
    assert found.order_latency == pytest.approx(1.5 * ONE_WAY * SECOND, rel=0.01)
    assert found.cancel_latency == pytest.approx(1.5 * ONE_WAY * SECOND, rel=0.01)


def test_the_first_order_is_wanted_again_at_its_time(steps: list[Step], found: Parity) -> None:
    for each in found.reruns:
        assert each.divergence is None or each.divergence.number > 1
    assert found.placings > 30
    assert steps[0][0].time <= found.start < found.end <= steps[-1][0].time


def test_other_parameters_are_told_by_the_first_other_order(steps: list[Step]) -> None:
    other = judged([(_with(event, {"bid_spread": "30bps"}), output) for event, output in steps])
    assert "is the first that differs" in text(other)
    for each in other.reruns:
        assert each.divergence is not None
        assert each.divergence.number <= 1


def _with(event: Event, params: dict[str, str]) -> Event:
    match event.what:
        case Configured(settings):
            return replace(event, what=Configured(replace(settings, params={**settings.params, **params})))
    return event


def test_a_run_that_asked_for_nothing_cannot_be_judged() -> None:
    idle = replace(MAKER, params={**MAKER.params, "order_amount": "100000000 ROGER"})  # nobody has as much
    with pytest.raises(CannotRun, match="placed no order"):
        judged(lived("idle", 5, idle))


def test_a_run_without_a_book_cannot_be_judged(steps: list[Step]) -> None:
    with pytest.raises(CannotRun, match="heard nothing of the book of ROGER-BTC"):
        parity("here", steps, PureMarketMaking, [])
    with pytest.raises(CannotRun, match="no record of a run from its beginning"):
        judged([step for step in steps if not isinstance(step[0].what, Configured)])


def test_the_command_reads_a_record(steps: list[Step], found: Parity, tmp_path: Path) -> None:
    folder = tmp_path / "record"
    with Recorder(folder, HEADER) as recorder:
        for event, output in steps:
            recorder.take(event, output)
    assert facts(parity_of(str(folder), {})) == {**facts(found), "run": HEADER.run}

    def told(*words: object) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "runner.cli.main", "parity", *map(str, words)]
        environment = {**os.environ, "RUNNER_STATE_DIR": str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    done = told(folder, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {**facts(found), "run": HEADER.run}
    nobody = told("20200101-000000-1")
    assert nobody.returncode == 2
    assert "there is no record of 20200101-000000-1" in nobody.stderr
