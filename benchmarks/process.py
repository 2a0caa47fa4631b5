"""The process itself: how soon its first order is at the exchange, and how much memory it holds.

Times are from the start of the Python process to the moment at which the run learnt that the exchange has the order,
as its journal says. Memory is resident memory as the kernel counts it (Linux).
"""

import os
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.peer import RUNNER, sandbox
from benchmarks.soak import journal_in, state_environment, strategy_file

STARTS = 5
MEMORY_AFTER_S = 120

FIRST_ACCEPTED = "SELECT min(time) FROM order_history WHERE state IN ('accepted', 'open')"


def first_order_s() -> float:
    """One start of the demo's file, its embedded exchange included, in seconds."""
    with tempfile.TemporaryDirectory() as name:
        command = [*RUNNER, "run", "strategies/quickstart.yml", "--for", "1s", "--json"]
        began = time.time_ns()
        subprocess.run(command, env=state_environment(Path(name)), capture_output=True, check=True)
        with closing(sqlite3.connect(journal_in(Path(name)))) as journal:
            (accepted,) = journal.execute(FIRST_ACCEPTED).fetchone()
    return float(accepted - began) / 1e9


def memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def memory_over(seconds: int) -> tuple[float, float]:
    """Megabytes of a run on one market halfway through and at the end, the exchange in its own process."""
    with tempfile.TemporaryDirectory() as name, sandbox() as (opened, _):
        folder = Path(name)
        command = [*RUNNER, "run", str(strategy_file(folder, opened)), "--json"]
        with subprocess.Popen(
            command, env=state_environment(folder, opened), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as run:
            try:
                time.sleep(seconds / 2)
                halfway = memory_mb(run.pid)
                time.sleep(seconds / 2)
                return halfway, memory_mb(run.pid)
            finally:
                run.terminate()


def figures() -> Iterator[dict[str, Any]]:
    spent = sorted(first_order_s() for _ in range(STARTS))
    first = {"figure": "start_to_first_order", "unit": "s", "starts": STARTS, "quantile": "median"}
    yield first | {"value": round(spent[STARTS // 2], 3), "worst": round(spent[-1], 3), "budget": 2.5}
    halfway, end = memory_over(MEMORY_AFTER_S)
    memory = {"figure": "resident_memory", "unit": "MB", "after_s": MEMORY_AFTER_S, "value": round(end, 1)}
    yield memory | {"halfway": round(halfway, 1), "budget": 90}
