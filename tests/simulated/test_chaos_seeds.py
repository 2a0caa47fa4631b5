"""Many seeds of the simulator, each with its own weather. `RUNNER_CHAOS_SEEDS` and `RUNNER_CHAOS_MINUTES` (simulated,
of each) make it a night's work; every broken law is printed with its story.
"""

import os
from collections.abc import Callable

import pytest
from climates import plan

from runner.run.chaos.plan import explained
from runner.run.chaos.play import play
from runner.simulation.tally import Tally

SEEDS = int(os.environ.get("RUNNER_CHAOS_SEEDS", "300"))
MINUTES = float(os.environ.get("RUNNER_CHAOS_MINUTES", "4"))
FIRST = int(os.environ.get("RUNNER_CHAOS_FIRST", "0"))


@pytest.mark.slow
def test_no_law_is_broken_in_any_weather(say_at_the_end: Callable[[str], None]) -> None:
    tally = Tally()
    for seed in range(FIRST, FIRST + SEEDS):
        tally.add(play(seed, plan(seed, MINUTES)).tally)
    say_at_the_end(f"{tally.summary()}; exits {dict(sorted(tally.exits.items()))}")
    assert tally.found == [], "\n\n".join(explained(each, "play it") for each in tally.found[:10])
    assert tally.faults.total() > SEEDS
    assert tally.doubts.total() > SEEDS // 10
    assert tally.crashes > SEEDS // 10
    assert tally.exits[0] > SEEDS // 2
