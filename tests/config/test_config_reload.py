"""What a file may say that is read again while its run goes on: all of it, or nothing."""

from pathlib import Path

import pytest
from config_files import GOOD, STRATEGY, changed, spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.config.problems import Problem
from runner.config.reload import changes

PARAMETERS = """
class Tuned(Spread, frozen=True):
    wide: Annotated[Ratio, Field("may change", max="10%", live=True)] = Ratio("1%")
    share: Annotated[int, Field("may not change")] = 3
"""

EDITS = {  # key -> (what the good file says, another value, whether that may change while the run goes on)
    "tick.every": ("every: 1s", "every: 250ms", True),
    "tick.when": ("when: [book, fill]", "when: [trade]", True),
    "risk.max_position.ROGER": ("ROGER: 50000", "ROGER: 100", True),
    "risk.balance_floor.BTC": ("risk:\n", "risk:\n  balance_floor: {BTC: 0.5}\n", True),
    "risk.max_open_orders": ("  max_open_orders: 20\n", "", True),
    "risk.max_book_age": ("max_book_age: 15s", "max_book_age: 5s", True),
    "run.on_stop": ("on_stop: cancel", "on_stop: leave", True),
    "strategy.params.wide": ("wide: 2%", "wide: 3%", True),
    "strategy.params.share": ("wide: 2%", "wide: 2%\n    share: 4", False),
    "strategy.params.half_spread": ("half_spread: 40bps", "half_spread: 41bps", False),
    "name": ("name: roger-maker", "name: other", False),
    "markets": ("markets: [ROGER-BTC]", "markets: [ROGER-BTC, BTC-USDT]", False),
    "run.for": ("for: 55m", "for: 56m", False),
    "connector.credentials": ("  credentials: main\n", "", False),
    "connector.settle": ("  credentials: main\n", "  credentials: main\n  settle: 40s\n", False),
    "connector.rate_limit.requests": ("venue: sandbox", "venue: sandbox\n  rate_limit: {requests: 12}", False),
    "risk.on_breach": ("max_book_age", "on_breach: halt\n  max_book_age", False),
}


@pytest.fixture
def tuned(folder: Path) -> str:
    """The good file with a strategy of which one parameter is live."""
    (folder / "tuned.py").write_text(STRATEGY + PARAMETERS)
    return changed(("spread.py:Spread", "tuned.py:Tuned"), ("levels: 3", "levels: 3\n    wide: 2%"))


def edited(text: str, *keys: str) -> str:
    for key in keys:
        old, new, _ = EDITS[key]
        assert old in text, key
        text = text.replace(old, new)
    return text


def refused(found: object) -> tuple[Problem, ...]:
    assert isinstance(found, tuple)
    return found


@pytest.mark.parametrize("key", [key for key, (_, _, live) in EDITS.items() if live])
def test_what_may_change_is_told_with_old_and_new(tuned: str, folder: Path, key: str) -> None:
    found = changes(spec(tuned, folder), spec(edited(tuned, key), folder))
    assert not isinstance(found, tuple)
    assert list(found) == [key]
    old, _, new = found[key].partition(" -> ")
    assert old != new


def test_values_are_told_as_a_file_writes_them(tuned: str, folder: Path) -> None:
    found = changes(spec(tuned, folder), spec(edited(tuned, "risk.max_open_orders", "strategy.params.wide"), folder))
    assert found == {"risk.max_open_orders": "20 -> none", "strategy.params.wide": "2% -> 3%"}


@pytest.mark.parametrize("key", [key for key, (_, _, live) in EDITS.items() if not live])
def test_what_may_not_change_is_told_with_its_place(tuned: str, folder: Path, key: str) -> None:
    text = edited(tuned, key)
    (problem,) = refused(changes(spec(tuned, folder), spec(text, folder)))
    assert (problem.code, problem.path) == ("reload.fixed", key)
    lines = text.splitlines()
    assert Path(problem.file).name == "roger.yml"
    line = lines[problem.line - 1]
    group = key.split(".")[0]
    # At the value where there is one, else at the group that held it.
    assert line.startswith(f"{group}:") or key.rsplit(".", 1)[-1] in line


def test_a_key_from_an_override_is_told_there(tuned: str, folder: Path) -> None:
    running, found = spec(tuned, folder), spec(tuned, folder, "strategy.params.share=9")
    (problem,) = refused(changes(running, found))
    assert (problem.file, problem.line, problem.column) == ("--set", 1, len("strategy.params.share=") + 1)


def test_another_strategy_needs_another_run(tuned: str, folder: Path) -> None:
    found = changes(spec(tuned, folder), spec(GOOD, folder))
    assert [problem.path for problem in refused(found)] == ["strategy.use"]


@pytest.mark.parametrize(
    "other",
    [
        "40bps -> 0.4%",
        "when: [book, fill] -> when: [ book,  fill ]",
        "max_book_age: 15s -> max_book_age: 15000ms",
        "for: 55m -> for: 3300s",
        "{BTC: 0.01} -> {BTC: 0.010 BTC}",
    ],
)
def test_another_spelling_is_no_change(tuned: str, folder: Path, other: str) -> None:
    old, _, new = other.partition(" -> ")
    assert old in tuned
    assert changes(spec(tuned, folder), spec(tuned.replace(old, new), folder)) == {}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.sets(st.sampled_from([key for key in EDITS if key != "connector.credentials"]), min_size=1))
def test_it_is_all_or_nothing(tuned: str, folder: Path, keys: set[str]) -> None:
    # These two are edits of the same line.
    keys -= {"strategy.params.share"} if "strategy.params.wide" in keys else set()
    running, found = spec(tuned, folder), spec(edited(tuned, *sorted(keys)), folder)
    differing = changes(running, found)
    fixed = {key for key in keys if not EDITS[key][2]}
    if fixed:
        assert {problem.path for problem in refused(differing)} == fixed
    else:
        assert not isinstance(differing, tuple)
        assert set(differing) == keys
        assert changes(found, found) == {}
