"""What `check` accepts can be run: ten simulated minutes of files that nobody wrote, in mild and in harsh weather, and
some minutes of markets that nobody wishes for.

RUNNER_TEST_FILE_RUNS asks for more of them than the suite plays.
"""

import os
from collections import Counter
from collections.abc import Callable

import pytest
from generated import files
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.config.read import read
from runner.config.spec import RunSpec
from runner.model.settings import SECOND
from runner.run.chaos.plan import explained, plan_for
from runner.run.chaos.play import play
from runner.run.fuzz.case import Case, file_params
from runner.run.fuzz.case import play as fuzzed
from runner.run.fuzz.search import tapes
from runner.run.markets import known_markets
from runner.simulation.dice import seed_state
from runner.simulation.tally import Tally

RUNS = int(os.environ.get("RUNNER_TEST_FILE_RUNS", "60"))
LENGTH = 600 * SECOND
EVERYTHING = ("",)  # every name begins like this


@pytest.mark.slow
def test_an_accepted_file_keeps_every_limit_for_ten_minutes_and_stops_clean(
    say_at_the_end: Callable[[str], None],
) -> None:
    total = Tally()
    told: Counter[str] = Counter()

    @settings(
        max_examples=RUNS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),  # a smaller file has other weather: the seed that is told repeats it
    )
    @given(text=files, seed=st.integers(0, 1000), mild=st.booleans())
    def run(text: str, seed: int, mild: bool) -> None:
        spec = read(text, file="drawn.yml", markets=known_markets)
        assert isinstance(spec, RunSpec), "\n".join(map(str, spec))
        length = LENGTH if spec.run_for is None else min(LENGTH, spec.run_for)
        # Each file has weather of its own, however often Hypothesis likes to draw the same number.
        weather = seed_state(text, seed) >> 32
        played = play(weather, plan_for(spec, length, EVERYTHING if mild else ()))
        tally = played.tally
        assert tally.found == [], "\n".join([text, *(explained(found, "play it") for found in tally.found)])
        if mild:
            # What begins in good weather ends clean, by a latch, or before its first order, where limits have no room.
            assert set(tally.exits) <= {0, 3, 6}, "\n".join([text, *(str(t) for t in played.story)])
            assert tally.faults.total() == 0
        told.update([spec.settings.strategy, "mild" if mild else "harsh", f"{len(spec.settings.markets)} markets"])
        told.update(name for name in ("max_position", "max_open_orders") if getattr(spec.settings.limits, name))
        total.add(tally)

    run()
    say_at_the_end(f"{total.summary()}; {dict(sorted(told.items()))}; exits {dict(sorted(total.exits.items()))}")
    assert total.seeds >= RUNS
    assert min(told["mild"], told["harsh"]) > RUNS // 10
    assert total.orders > RUNS
    assert total.fills > 0


@pytest.mark.slow
def test_an_accepted_file_lives_through_any_market(say_at_the_end: Callable[[str], None]) -> None:
    told: Counter[str] = Counter()

    @settings(
        max_examples=RUNS, deadline=None, suppress_health_check=list(HealthCheck), phases=(Phase.generate, Phase.shrink)
    )
    @given(text=files, trades=st.booleans(), data=st.data())
    def run(text: str, trades: bool, data: st.DataObject) -> None:
        spec = read(text, file="drawn.yml", markets=known_markets)
        assert isinstance(spec, RunSpec), "\n".join(map(str, spec))
        if trades:
            # Limits on the state of a market that nobody chose for it refuse everything: no order lives through it.
            limits = replace(spec.settings.limits, min_spread=None, max_spread=None, max_account_age=None)
            spec = replace(spec, settings=replace(spec.settings, limits=limits))
        outcome = fuzzed(spec, Case(file_params(spec), data.draw(tapes(spec.settings.markets))))
        assert outcome.failure is None, text
        told.update(runs=1, ticks=outcome.ticks, orders=outcome.orders, fills=outcome.fills)
        told.update(minutes=outcome.simulated // (60 * SECOND), refused=outcome.refusals.total())

    run()
    say_at_the_end(f"{dict(told)}, violations 0")
    assert told["runs"] >= RUNS
    assert told["orders"] > RUNS
    assert told["fills"] > 0
