"""`runner run` as a process of its own, for tests of the command line."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.peer import RUNNER, Account, Opened

PATIENCE_S = 30.0

T = TypeVar("T")


def environment(state: Path, opened: Opened | None = None) -> dict[str, str]:
    """A fresh request budget for each process: runs in a row would wait for the budget of the one before (12 s)."""
    shutil.rmtree(state / "budget", ignore_errors=True)
    return {**os.environ, "RUNNER_STATE_DIR": str(state)} | (opened.environment if opened else {})


def runner_run(
    *arguments: str | Path, state: Path, opened: Opened | None = None, stdin: bytes = b"", timeout: float = 60
) -> "subprocess.CompletedProcess[str]":
    """Run to the end."""
    done = subprocess.run(
        [*RUNNER, "run", *map(str, arguments)],
        env=environment(state, opened),
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def running(*arguments: str | Path, state: Path, opened: Opened | None = None) -> Iterator["subprocess.Popen[str]"]:
    """A run that goes on; killed in the end if it still does."""
    with subprocess.Popen(
        [*RUNNER, "run", *map(str, arguments)],
        env=environment(state, opened),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: "subprocess.Popen[str]", timeout: float = PATIENCE_S) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    out, err = process.communicate(timeout=timeout)
    return process.returncode, out, err


def until(what: Callable[[], T], *, while_alive: "subprocess.Popen[str] | None" = None) -> T:
    """Ask again and again until the answer is true, and return it."""
    give_up_at = time.monotonic() + PATIENCE_S
    while not (answer := what()):
        assert time.monotonic() < give_up_at, "it did not come to pass"
        assert while_alive is None or while_alive.poll() is None, while_alive.communicate()
        time.sleep(0.03)  # between two looks at another process
    return answer


def open_orders(opened: Opened) -> dict[int, dict[str, Any]]:
    with Account(opened) as account:
        return account.open_orders()


def log_lines(err: str) -> list[dict[str, Any]]:
    """Log lines of a run without a terminal; the last line may be the sentence why it ended."""
    return [json.loads(line) for line in err.splitlines() if line.startswith("{")]
