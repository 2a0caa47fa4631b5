"""Overlays over a file, and the merged file as `runner config` shows it."""

from pathlib import Path

import msgspec
import pytest
from config_files import GOOD, STRATEGY, changed
from hypothesis import given
from hypothesis import strategies as st

from runner.config.origin import rows, text
from runner.config.overlay import laid_over
from runner.config.problems import Problem, Source
from runner.config.read import read
from runner.config.spec import RunSpec
from runner.config.tree import Keys, as_text, tree


def layered(
    folder: Path, *overlays: str, base: str = GOOD, sets: tuple[str, ...] = ()
) -> RunSpec | tuple[Problem, ...]:
    named = [(str(folder / f"overlay-{number}.yml"), overlay) for number, overlay in enumerate(overlays, start=1)]
    return read(base, file=str(folder / "mine.yml"), overlays=named, overrides=sets)


def spec_of(folder: Path, *overlays: str, base: str = GOOD, sets: tuple[str, ...] = ()) -> RunSpec:
    found = layered(folder, *overlays, base=base, sets=sets)
    assert isinstance(found, RunSpec), "\n".join(map(str, found))
    return found


def test_groups_are_merged_and_everything_else_replaced(folder: Path) -> None:
    found = spec_of(
        folder,
        "markets: [DOGE-BTC]\nrisk: {max_position: {DOGE: 7, ROGER: null}}\n",
        "strategy: {params: {quantity: 3 DOGE}}\ntick: {when: [trade]}\n",
    )
    assert found.settings.markets == ("DOGE-BTC",)
    assert {name: str(most) for name, most in found.settings.limits.max_position.items()} == {"DOGE": "7"}
    assert found.settings.limits.max_open_orders == 20
    assert found.settings.params == {"half_spread": "40bps", "quantity": "3 DOGE", "levels": 3}
    assert (found.settings.tick.when, found.settings.tick.every) == (("trade",), 10**9)


def test_set_comes_after_every_overlay(folder: Path) -> None:
    found = spec_of(folder, "risk: {max_open_orders: 4}", sets=("risk.max_open_orders=5",))
    assert found.settings.limits.max_open_orders == 5


def test_a_mistake_is_told_in_the_file_that_makes_it(folder: Path) -> None:
    found = layered(folder, "risk: {max_open_orders: 4}\n", "tick:\n  evry: 1s\n")
    assert not isinstance(found, RunSpec)
    (problem,) = found
    assert (Path(problem.file).name, problem.line, problem.column) == ("overlay-2.yml", 2, 3)
    assert problem.fix == "write every"


def test_what_an_overlay_takes_away_is_missing_where_it_has_to_be(folder: Path) -> None:
    found = layered(folder, "name: null\n")
    assert not isinstance(found, RunSpec)
    assert [problem.code for problem in found] == ["key.missing"]


@pytest.mark.parametrize("overlay", ["", "- a\n", "a: [\n", "text"])
def test_an_overlay_that_is_no_group_of_keys_is_told(folder: Path, overlay: str) -> None:
    found = layered(folder, overlay)
    assert not isinstance(found, RunSpec)
    assert {Path(problem.file).name for problem in found} == {"overlay-1.yml"}


def test_a_strategy_is_looked_for_beside_the_file_that_names_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(STRATEGY)
    overlay = (str(tmp_path / "over.yml"), "strategy: {use: './elsewhere.py:Spread'}")
    found = read(GOOD, file=str(folder / "mine.yml"), overlays=[overlay])
    assert isinstance(found, RunSpec)
    assert found.strategy_type.__module__ != spec_of(folder).strategy_type.__module__


_KEYS = st.dictionaries(
    st.sampled_from("abc"),
    st.recursive(
        st.integers(0, 9), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
    ),
    max_size=3,
)


def keys(value: object) -> Keys:
    root, problems = tree(str(value).replace("'", ""), Source.of("x", str(value)))
    assert problems == []
    assert isinstance(root, Keys)
    return root


@given(below=_KEYS, above=_KEYS)
def test_laying_over_is_the_merge_of_dictionaries(below: dict[str, object], above: dict[str, object]) -> None:
    def merged(one: object, two: object) -> object:
        if not (isinstance(one, dict) and isinstance(two, dict)):
            return two
        return one | {name: merged(one[name], item) if name in one else item for name, item in two.items()}

    once = laid_over(keys(below), keys(above))
    assert as_text(once) == merged(below, above)
    assert as_text(laid_over(once, keys(above))) == as_text(once)
    assert as_text(laid_over(once, keys({}))) == as_text(once)


def test_every_value_has_an_origin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    found = read(
        GOOD,
        file="mine.yml",
        overlays=[("more.yml", "\nrisk: {max_open_orders: 4}")],
        overrides=("tick.every=5s", "strategy.params.eager=true"),
        environment={"RUNNER__RISK__MAX_BOOK_AGE": "9s"},
    )
    assert isinstance(found, RunSpec)
    by_key = {".".join(row.path): (row.value, row.origin) for row in rows(found)}
    assert by_key["name"] == ("roger-maker", "mine.yml:2")
    assert by_key["risk.max_open_orders"] == (4, "more.yml:2")
    assert by_key["risk.max_book_age"] == ("9s", "RUNNER__RISK__MAX_BOOK_AGE")
    assert by_key["tick.every"] == ("5s", "--set:1")
    assert by_key["strategy.params.eager"] == (True, "--set:2")
    assert by_key["strategy.params.side"] == ("both", "default")
    assert by_key["connector.rate_limit.requests"] == (30, "default")
    assert by_key["run.initial_position"] == ({}, "default")


@pytest.mark.parametrize("with_origin", [False, True])
@pytest.mark.parametrize(
    "base",
    [
        GOOD,
        changed(("venue: sandbox", "venue: {rest_url: 'https://a.b/api/v2', stream_url: 'wss://a.b/x'}")),
        changed(("levels: 3", "steps: [1%, 25bps]\n    shape: 1.50\n    pause: 0")),
    ],
)
def test_the_merged_file_is_a_file_of_the_same_run(folder: Path, base: str, with_origin: bool) -> None:
    found = spec_of(folder, base=base)
    again = spec_of(folder, base=text(rows(found), with_origin=with_origin))
    assert again.connector == found.connector
    assert again.strategy == found.strategy
    assert again.run_for == found.run_for
    written_out = msgspec.structs.replace(again.settings, params=found.settings.params)  # with defaults
    assert written_out == found.settings
