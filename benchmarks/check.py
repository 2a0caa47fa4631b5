"""`runner check`: of a bundled file with the process's start in it, and of files of 5,000 lines."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peer import RUNNER

LINES = 5_000
TIMES = 7

LADDER = '''
from typing import Annotated
from runner.engine.strategy import Decision, Field, Strategy
from runner.model.units import Ratio


class Ladder(Strategy, frozen=True):
    """So many steps."""

    steps: Annotated[tuple[Ratio, ...], Field("of the ladder", min="0", max="20%")]

    def slots(self):
        return ["bid"]

    def tick(self, view, state):
        return Decision((), state, "nothing")
'''
"""A strategy with a parameter of any length, `ladder.py` beside the file."""


def long_file(lines: int = LINES, step: str = "bps") -> str:
    """A file that is right: 50 markets, and thousands of steps with remarks between them."""
    head = ["version: 1", "name: ladder", "connector: {type: altmarkets}", "markets:"]
    head += [f"  - M{number}-BTC  # number {number}" for number in range(50)]
    head += ["strategy:", "  use: ./ladder.py:Ladder", "  params:", "    steps:"]
    foot = ["risk:", "  max_open_orders: 20", "  max_book_age: 15s"]
    rows = [
        f"      - {number % 20 + 1}{step}  # of mid" if number % 4 else f"      # so far {number}"
        for number in range(lines - len(head) - len(foot))
    ]
    return "".join(f"{line}\n" for line in (*head, *rows, *foot))


def mistaken_file(lines: int = LINES) -> str:
    """A file whose every line from the second on is a misspelt key."""
    return "version: 1\n" + "".join(f"max_open_order_{number}: 1\n" for number in range(lines - 1))


def figures() -> Iterator[dict[str, Any]]:
    yield _figure("check_bundled_file", 0.35, "strategies/quickstart.yml")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ladder.py").write_text(LADDER)
        for figure, text in (("check_long_file", long_file()), ("check_long_mistaken_file", mistaken_file())):
            file = folder / f"{figure}.yml"
            file.write_text(text)
            yield _figure(figure, 2, str(file)) | {"lines": LINES}


def _figure(name: str, budget: float, file: str) -> dict[str, Any]:
    spent = []
    for _ in range(TIMES):
        began = time.perf_counter()
        subprocess.run([*RUNNER, "check", file], capture_output=True, check=False)
        spent.append(time.perf_counter() - began)
    spent.sort()
    figure = {"figure": name, "unit": "s", "times": TIMES, "quantile": "median", "value": round(spent[TIMES // 2], 3)}
    return figure | {"worst": round(spent[-1], 3), "budget": budget}
