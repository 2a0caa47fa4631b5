"""The whole product over a simulated network, crashes included: one seed, one universe, and the laws hold in it."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.product.many import MINUTES, SEEDS, many
from tests.product.universe import folder, universe

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_to_the_last_row_of_the_journal() -> None:
    outcomes = []
    for _ in range(2):
        with folder() as fresh:
            outcomes.append(universe("twice", fresh, minutes=1.5))
    first, second = outcomes
    assert first.crashes > 0
    assert first.fills > 0
    assert first == second


def test_no_thread_is_at_work() -> None:
    """Virtual time runs on while a thread works: what waits for one would not be the same run again."""
    before = threading.enumerate()
    with folder() as fresh:
        universe("threads", fresh, minutes=0.5)
    assert threading.enumerate() == before  # a pool keeps idle threads for a while


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_in_another_process() -> None:
    """Under another hash seed too; otherwise a failing seed could not become a test."""
    program = (
        "from tests.product.universe import folder, universe\n"
        "with folder() as fresh: print(universe('elsewhere', fresh, minutes=1.5))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]


def test_another_seed_is_another_run() -> None:
    with folder() as one, folder() as other:
        assert universe("one", one, minutes=0.5).digest != universe("other", other, minutes=0.5).digest


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["b", "c"])
def test_seeds_that_have_failed(seed: str) -> None:
    """b, c: a listing that showed an order which ended before the crash stopped the next life, and every one after."""
    with folder() as fresh:
        outcome = universe(seed, fresh, minutes=1.5)
    assert outcome.crashes > 0
    assert outcome.violations == []


@pytest.mark.slow
def test_the_laws_hold_in_many_universes(say_at_the_end: Callable[[str], None]) -> None:
    totals = many(range(SEEDS), minutes=MINUTES)
    say_at_the_end(totals.line())
    assert totals.violations == {}
    # A universe in which nothing goes wrong shows nothing.
    assert totals.crashes > SEEDS
    assert totals.ambiguous > SEEDS
    assert totals.fills > SEEDS
