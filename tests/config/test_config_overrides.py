"""`--set` and `RUNNER__…` over the file: what they change, and where their own mistakes are told."""

from decimal import Decimal
from pathlib import Path

import pytest
from config_files import GOOD, changed, problems, result, spec
from hypothesis import given
from hypothesis import strategies as st

from runner.config.spec import RunSpec, Sandbox


def test_set_replaces_and_adds(folder: Path) -> None:
    found = spec(
        GOOD,
        folder,
        "risk.max_open_orders=4",
        "risk.max_position.ROGER=7",
        "strategy.params.half_spread=1%",
        "connector.seed=3",
        "tick={every: 5s}",
        "markets=[ROGER-BTC, DOGE-USDT]",
    )
    assert found.settings.limits.max_open_orders == 4
    assert found.settings.limits.max_position == {"ROGER": Decimal(7)}
    assert found.settings.params["half_spread"] == "1%"
    assert (found.connector.venue, found.connector.seed) == (Sandbox(), 3)
    assert (found.settings.tick.every, found.settings.tick.when) == (5 * 10**9, ())
    assert found.settings.markets == ("ROGER-BTC", "DOGE-USDT")
    assert found.text == GOOD


def test_set_makes_the_sections_it_needs(folder: Path) -> None:
    text = changed(("run: {for: 55m, on_stop: cancel}\n", ""), ("  max_position: {ROGER: 50000}\n", ""))
    found = spec(text, folder, "run.for=5s", "risk.max_position.ROGER=5 ROGER")
    assert found.run_for == 5 * 10**9
    assert found.settings.limits.max_position == {"ROGER": Decimal(5)}


def test_the_environment_comes_before_set_and_after_the_file(folder: Path) -> None:
    env = {
        "RUNNER__RISK__MAX_OPEN_ORDERS": "5",
        "RUNNER__RISK__MAX_POSITION__ROGER": "6",
        "RUNNER__STRATEGY__PARAMS__LEVELS": "2",
        "RUNNER_STATE_DIR": "/nowhere",
        "PATH": "x",
    }
    found = spec(GOOD, folder, "risk.max_open_orders=7", env=env)
    assert found.settings.limits.max_open_orders == 7
    assert found.settings.limits.max_position == {"ROGER": Decimal(6)}
    assert found.settings.params["levels"] == 2


def test_an_override_does_not_reach_through_an_alias(folder: Path) -> None:
    text = changed(
        ("max_position: {ROGER: 50000}", "max_position: &p {ROGER: 50000}"),
        ("on_stop: cancel", "initial_position: *p"),
    )
    settings = spec(text, folder, "risk.max_position.ROGER=1").settings
    assert settings.limits.max_position == {"ROGER": Decimal(1)}
    assert settings.initial_position == {"ROGER": Decimal(50000)}


@pytest.mark.parametrize(
    ("text", "column", "code"),
    [
        ("risk.max_open_orders=x", 22, "value.type"),
        ("risk.max_open_orders", 1, "override.syntax"),
        ("=5", 1, "override.syntax"),
        ("risk..x=5", 1, "override.syntax"),
        ("risk.max_open_orders=", 22, "value.empty"),
        ("risk.max_orders=5", 6, "key.unknown"),
        ("rsk.max_open_orders=5", 1, "key.unknown"),
        ("name.x=5", 1, "override.syntax"),
        ("tick.when=[book, fil]", 18, "value.unknown"),
        ("tick.every=[book", 12, "yaml.syntax"),
        ("run.for=55", 9, "unit.wrong"),
        ("run.for=\x00", 9, "yaml.encoding"),
        ("strategy.params.quantity=5 BTC", 26, "unit.currency"),
    ],
)
def test_its_mistakes_are_told_in_its_own_place(text: str, column: int, code: str, folder: Path) -> None:
    (found,) = problems(GOOD, folder, "risk.max_book_age=9s", text)
    assert (found.file, found.line, found.column, found.code) == ("--set", 2, column, code)


def test_a_variable_s_mistake_names_the_variable(folder: Path) -> None:
    (found,) = problems(GOOD, folder, env={"RUNNER__RISK__MAX_OPEN_ORDERS": "many"})
    assert (found.file, found.line, found.column) == ("RUNNER__RISK__MAX_OPEN_ORDERS", 1, 31)
    assert "RUNNER__RISK__MAX_OPEN_ORDERS=many" in str(found)
    (found,) = problems(GOOD, folder, env={"RUNNER__RISK__": "1"})
    assert (found.file, found.code) == ("RUNNER__RISK__", "override.syntax")


def test_problems_of_the_file_come_first(folder: Path) -> None:
    found = problems(changed(("version: 1", "version: 3")), folder, "run.for=5", "name=X Y")
    assert [(item.file == "--set", item.line) for item in found] == [(False, 1), (True, 1), (True, 2)]


PARTS = ["risk", "max_position", "ROGER", "run", "for", "markets", "strategy", "params", "0", "", "é"]
PATHS = st.lists(
    st.sampled_from(PARTS),
    max_size=4,
).map(".".join)


@given(path=PATHS, value=st.one_of(st.text(max_size=10), st.sampled_from(["1", "5s", "[a]", "{a: 1}", "null"])))
def test_no_override_raises(path: str, value: str, folder: Path) -> None:
    found = result(GOOD, folder, f"{path}={value}", env={"RUNNER__" + path.replace(".", "__"): value})
    if not isinstance(found, RunSpec):
        assert found
        assert all(str(item) for item in found)
