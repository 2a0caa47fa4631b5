import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.edge.lock import Lock
from runner.edge.places import (
    JOURNAL_FILE,
    LOCK_FILE,
    PASSING_RUNS_KEPT,
    budget_file,
    cache_root,
    config_root,
    passing_folder,
    passing_path,
    private_files,
    private_folder,
    state_folder,
    state_root,
)
from runner.edge.shared_budget import SharedBucket

ROOTS = {
    "STATE_DIRECTORY": state_root,
    "CACHE_DIRECTORY": cache_root,
    "CONFIGURATION_DIRECTORY": config_root,
}
XDG = {
    "XDG_STATE_HOME": state_root,
    "XDG_CACHE_HOME": cache_root,
    "XDG_CONFIG_HOME": config_root,
}


@pytest.mark.parametrize("variable", ROOTS)
def test_a_units_own_folders_come_first(variable: str) -> None:
    environment = dict.fromkeys(XDG, "/xdg")
    assert ROOTS[variable]({**environment, variable: "/var/lib/maker:/var/lib/other"}) == Path("/var/lib/maker")


@pytest.mark.parametrize("variable", XDG)
def test_then_the_xdg_folders_unless_relative(variable: str) -> None:
    assert XDG[variable]({variable: "/xdg"}) == Path("/xdg/altmarkets-runner")
    for useless in ({}, {variable: ""}, {variable: "here"}):
        root = XDG[variable](useless)
        assert root.is_absolute()
        assert "altmarkets-runner" in root.parts


def test_our_own_variable_moves_the_state_only(tmp_path: Path) -> None:
    environment = {
        "RUNNER_STATE_DIR": str(tmp_path),
        "STATE_DIRECTORY": "/var/lib/m",
        "CACHE_DIRECTORY": "/var/cache/m",
    }
    assert state_root(environment) == tmp_path
    assert cache_root(environment) == Path("/var/cache/m")
    assert state_root({"RUNNER_STATE_DIR": "~/state"}) == Path.home() / "state"
    assert state_root({"RUNNER_STATE_DIR": "state"}) == Path.cwd() / "state"


def test_asking_for_a_place_makes_nothing(tmp_path: Path) -> None:
    folder = state_folder({"RUNNER_STATE_DIR": str(tmp_path / "state")}, "00ff", "maker")
    assert folder == tmp_path / "state" / "accounts" / "00ff" / "maker"
    assert list(tmp_path.iterdir()) == []


@given(
    one=st.tuples(st.text(max_size=12), st.text(max_size=12)),
    other=st.tuples(st.text(max_size=12), st.text(max_size=12)),
)
def test_every_strategy_on_every_account_has_its_own_folder_inside(
    one: tuple[str, str], other: tuple[str, str]
) -> None:
    folders = [state_folder({"RUNNER_STATE_DIR": "/state"}, *names) for names in (one, other)]
    assert (folders[0] == folders[1]) == (one == other)
    for folder in folders:
        normal = Path(os.path.normpath(folder))
        assert normal == folder
        assert normal.parents[1] == Path("/state/accounts")
        assert "\0" not in str(folder)


def test_the_budget_lies_with_the_state_wherever_that_is(tmp_path: Path) -> None:
    unit, own = {"STATE_DIRECTORY": str(tmp_path / "unit")}, {"RUNNER_STATE_DIR": str(tmp_path / "own")}
    assert budget_file(unit, "00ff") == tmp_path / "unit" / "budget" / "00ff"
    assert budget_file(unit | own, "00ff") == tmp_path / "own" / "budget" / "00ff"
    assert mode(tmp_path / "own" / "budget") == 0o700
    SharedBucket(budget_file(own, "00ff")).close()
    assert mode(tmp_path / "own" / "budget" / "00ff") == 0o600


# Private ------------------------------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_private_folders_are_closed_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert private_folder(tmp_path / "a" / "b") == tmp_path / "a" / "b"
        (tmp_path / "open").mkdir(mode=0o755)
        private_folder(tmp_path / "open")
    finally:
        os.umask(before)
    assert [mode(tmp_path / name) for name in ("a", "a/b", "open")] == [0o700] * 3


def test_files_made_inside_are_private_and_the_umask_comes_back(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with private_files():
            (tmp_path / "file").touch()
        (tmp_path / "later").touch()
    finally:
        os.umask(before)
    assert mode(tmp_path / "file") == 0o600
    assert mode(tmp_path / "later") == 0o644


# Sandbox runs -------------------------------------------------------------------------------------------------


def old_runs(environment: dict[str, str], count: int) -> list[Path]:
    folders = []
    for number in range(count):
        folder = passing_folder(passing_path(environment, "sandbox", f"run-{number}"))
        (folder / JOURNAL_FILE).touch()
        os.utime(folder, (number, number))
        folders.append(folder)
    return folders


def test_the_last_twenty_sandbox_runs_are_kept(tmp_path: Path) -> None:
    environment = {"RUNNER_STATE_DIR": str(tmp_path)}
    folders = old_runs(environment, PASSING_RUNS_KEPT + 3)
    newest = passing_folder(passing_path(environment, "sandbox", "newest"))
    kept = sorted((tmp_path / "sandbox").iterdir())
    assert kept == sorted([*folders[-(PASSING_RUNS_KEPT - 1) :], newest])
    assert mode(newest) == 0o700


def test_a_sandbox_run_that_is_still_at_work_is_kept(tmp_path: Path) -> None:
    environment = {"RUNNER_STATE_DIR": str(tmp_path)}
    with Lock.acquire(passing_folder(passing_path(environment, "sandbox", "at-work")) / LOCK_FILE, now=0) as lock:
        os.utime(lock.path.parent, (0, 0))
        old_runs(environment, PASSING_RUNS_KEPT + 3)
        assert lock.path.exists()
    os.utime(lock.path.parent, (0, 0))
    passing_folder(passing_path(environment, "sandbox", "newest"))
    assert not lock.path.exists()


def test_what_is_no_run_is_not_pruned(tmp_path: Path) -> None:
    environment = {"RUNNER_STATE_DIR": str(tmp_path)}
    old_runs(environment, 1)
    note = tmp_path / "sandbox" / "note.txt"
    note.write_text("mine")
    os.utime(note, (0, 0))
    old_runs(environment, PASSING_RUNS_KEPT + 3)
    assert note.read_text() == "mine"
