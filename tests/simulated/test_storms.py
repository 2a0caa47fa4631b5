"""Many seeds of the decision-level simulator, held against every law.

RUNNER_TEST_SEEDS asks for more than the 300 of the suite, RUNNER_TEST_SEED_SECONDS for longer ones.
"""

import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from test_world import SETTINGS as UNLIMITED

from runner.edge.journal import Journal
from runner.model.command import Output
from runner.model.settings import Limits
from runner.run.chaos.chaos import Chaos
from runner.run.chaos.memory import Memory
from runner.run.chaos.storm import storm, weathered
from runner.run.chaos.weather import Severity, plan
from runner.simulation.faults import FAULTS, switch_text
from strategies.pure_market_making import PureMarketMaking

SETTINGS = msgspec.structs.replace(UNLIMITED, limits=Limits(max_open_orders=8, max_position={"ROGER": Decimal(1500)}))
SEEDS = int(os.environ.get("RUNNER_TEST_SEEDS", "300"))
SECONDS = float(os.environ.get("RUNNER_TEST_SEED_SECONDS", "240"))

FOUND: tuple[tuple[str, Severity, float], ...] = (
    ("lawful 1", "lawful", 900),  # executed by the venue's word, and in no limit: neither position nor open order
    ("lawful 14", "lawful", 900),  # a full disk, then an order that was asked for every second and never closed
    ("lawful 33", "lawful", 900),
)
"""Seeds that once broke a law, and what it was."""


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "severity", "seconds"), FOUND)
def test_what_was_found_stays_mended(seed: str, severity: Severity, seconds: float) -> None:
    verdict = storm(seed, SETTINGS, PureMarketMaking, seconds, severity)
    assert verdict.violations == (), verdict.story


@pytest.mark.slow
def test_no_seed_breaks_a_law() -> None:
    verdicts = []
    for number in range(SEEDS):
        severity: Severity = "harsh" if number % 3 == 2 else "lawful"
        verdicts.append(storm(f"{severity} {number}", SETTINGS, PureMarketMaking, SECONDS, severity))
    bad = [verdict for verdict in verdicts if verdict.violations]
    assert bad == [], "\n".join([f"{bad[0].severity} seed {bad[0].seed}: {bad[0].violations[0]}", *bad[0].story])
    totals = Chaos(tuple(verdicts)).totals()
    assert totals["ambiguous"] > SEEDS
    assert totals["crashes"] > SEEDS / 3
    # The totals are what one wants to see of such a run.
    print(f"\n{totals}")  # noqa: T201


def test_one_seed_is_one_run() -> None:
    first, second = (weathered("again", SETTINGS, PureMarketMaking, 200, "harsh") for _ in range(2))
    assert first.outputs == second.outputs
    assert first.journal.orders == second.journal.orders


@pytest.mark.slow
def test_the_hash_seed_changes_nothing() -> None:
    script = (
        "import hashlib, msgspec, sys; sys.path.insert(0, 'tests/simulated')\n"
        "from test_storms import SETTINGS, PureMarketMaking, weathered\n"
        "world = weathered('hashed', SETTINGS, PureMarketMaking, 240, 'harsh')\n"
        "print(hashlib.sha256(b''.join(map(msgspec.json.encode, world.outputs))).hexdigest())\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_every_fault_of_the_exchange_is_in_some_weather() -> None:
    planned: Counter[str] = Counter()
    for number in range(200):
        for act in plan(str(number), 3600, "harsh"):
            if act.what.partition(":")[0] not in {"crash", "skew", "disk", "stop"}:
                planned[switch_text(act.what).name] += 1
    assert set(planned) == set(FAULTS) - {"more_markets"}  # a longer list of markets befalls no order


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_the_journal_as_a_value_remembers_what_the_file_does(number: int, tmp_path: Path) -> None:
    """The same outputs into both; what a run that begins at the end has to know is the same."""
    world = weathered(f"journal {number}", SETTINGS, PureMarketMaking, 240, "lawful")
    start = world.log[0].time
    memory = Memory(start // (60 * 10**9))
    path = tmp_path / "journal.sqlite3"

    def same(now: int, written: int) -> None:
        with Journal.open(path, now=now, name="n", tag="ABCDEF") as journal:
            assert journal.restore() == memory.restore(now), written

    with Journal.open(path, now=start, name="n", tag="ABCDEF") as journal:
        for event, output in zip(world.log, world.outputs, strict=True):
            assert isinstance(output, Output)
            if output.changes:
                journal.commit(event.number, event.time, output.changes)
                memory.commit(output.changes)
    last = world.log[-1].time
    for later in (0, 600, 1200, 86_400):
        same(last + later * 10**9, later)
