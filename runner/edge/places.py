"""Where files live: state, cache, configuration. Everything in the state folders is private.

In this order: `RUNNER_STATE_DIR` (state only), what systemd hands to a unit (`STATE_DIRECTORY` and friends), the
XDG variables, the platform's own habit. The environment comes as an argument. Nothing here creates a folder unless
it says so.

    STATE/accounts/FINGERPRINT/NAME/{journal.sqlite3,lock}    one strategy on one account
    STATE/sandbox/RUN/{journal.sqlite3,lock}                  a run on an embedded sandbox, the last 20 are kept
    STATE/paper/RUN/{journal.sqlite3,lock}                    a run of a paper account, the last 20 are kept
    STATE/budget/FINGERPRINT                                  requests that every run with a key has used
    CONFIG/credentials/NAME.json                              a stored key (see store.py)
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import platformdirs

from runner.edge.lock import AnotherInstance, Lock

PROGRAM = "altmarkets-runner"
JOURNAL_FILE = "journal.sqlite3"
LOCK_FILE = "lock"
PASSING_RUNS_KEPT = 20

Environment = Mapping[str, str]
Passing = Literal["sandbox", "paper"]


def state_root(environment: Environment) -> Path:
    """Journals, locks, evidence: what must survive a restart."""
    own = environment.get("RUNNER_STATE_DIR", "")
    return Path(own).expanduser().absolute() if own else _root(environment, "STATE", platformdirs.user_state_path)


def cache_root(environment: Environment) -> Path:
    """What can be made again: market rules as last seen."""
    return _root(environment, "CACHE", platformdirs.user_cache_path)


def config_root(environment: Environment) -> Path:
    return _root(environment, "CONFIG", platformdirs.user_config_path)


def state_folder(environment: Environment, fingerprint: str, name: str) -> Path:
    """The folder of one strategy on one account. Characters a file name should not hold are percent-encoded."""
    return state_root(environment) / "accounts" / _component(fingerprint) / _component(name)


def passing_runs(environment: Environment, kind: Passing) -> Path:
    """Where the folders of runs are whose account ends with them; their names sort by time."""
    return state_root(environment) / kind


def passing_path(environment: Environment, kind: Passing, run_id: str) -> Path:
    """The folder of one of them."""
    return passing_runs(environment, kind) / _component(run_id)


def passing_folder(folder: Path) -> Path:
    """Create the folder of such a run; of the others beside it keep the newest 20 and all that still run."""
    private_folder(folder)
    others = sorted((other for other in folder.parent.iterdir() if other != folder), key=_modified, reverse=True)
    for other in others[PASSING_RUNS_KEPT - 1 :]:
        _remove_unless_running(other)
    return folder


def budget_file(environment: Environment, fingerprint: str) -> Path:
    """The request budget of a key at an exchange, shared by all processes of the user; its folder is created.

    Not in the runtime folder, though it is worthless after a minute: a job of cron has no login session, hence another
    runtime folder than a terminal, and both would spend the whole budget. The state folder is one for both.
    """
    return private_folder(state_root(environment) / "budget") / _component(fingerprint)


def private_folder(folder: Path) -> Path:
    """Create a folder and what is missing above it, all of it closed to others (0700)."""
    for missing in reversed([parent for parent in (folder, *folder.parents) if not parent.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)
    return folder


@contextlib.contextmanager
def private_files() -> Iterator[None]:
    """Whatever is created inside is closed to others (umask 077). The umask belongs to the whole process."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


_SYSTEMD = {
    "STATE": "STATE_DIRECTORY",
    "CACHE": "CACHE_DIRECTORY",
    "CONFIG": "CONFIGURATION_DIRECTORY",
}
_XDG = {"STATE": "XDG_STATE_HOME", "CACHE": "XDG_CACHE_HOME", "CONFIG": "XDG_CONFIG_HOME"}


def _root(environment: Environment, kind: str, platform_path: Callable[[str], Path]) -> Path:
    # systemd may hand over several, separated by colons; the unit's first one is ours.
    handed_over = environment.get(_SYSTEMD[kind], "").split(":")[0]
    if handed_over:
        return Path(handed_over)
    xdg = environment.get(_XDG[kind], "")
    if Path(xdg).is_absolute():  # the specification: relative ones are to be ignored
        return Path(xdg) / PROGRAM
    return platform_path(PROGRAM)


def _component(text: str) -> str:
    """One component of a path, whatever the text: different texts give different ones."""
    component = quote(text, safe=" @+=,").replace("~", "%7E")
    if not component.strip("."):  # "", "." and ".." mean other folders
        component = component.replace(".", "%2E") or "%"
    return component


def _modified(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # pruned by another run at this very moment
        return 0.0


def _remove_unless_running(folder: Path) -> None:
    try:
        with Lock.acquire(folder / LOCK_FILE, now=0):
            shutil.rmtree(folder, ignore_errors=True)
    except (AnotherInstance, OSError):
        return
