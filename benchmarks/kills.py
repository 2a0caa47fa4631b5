"""`python -m benchmarks.kills --kills 100`: kill -9 at random moments under load, and does everything still add up?

A `runner sandbox` in its own process, and a `runner run` that quotes several levels anew many times a second, killed
again and again, in its beginning, in the middle of a request, between a commit and a send; then a clean stop, and our
books beside the exchange's, to the last digit. Prints one JSON line; exits 1 if anything differs.
"""

import argparse
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.peer import RUNNER, Account, Opened, compare, sandbox
from benchmarks.soak import journal_in, state_environment
from runner.simulation.dice import Dice, seed_state

YOUNG = 0.2
"""So many of the lives end while they begin, the others under load, counted from the first order of that life."""
YOUNG_S, TRADING_S = 2.0, 1.5
"""A life ends at a random moment within these."""
BEGUN_WITHIN_S = 30.0

SLOW = ("answer_delay=60ms,chance=0.5,on=create", "act_delay=60ms,chance=0.5,on=create")
"""On loopback an answer takes a millisecond, which few deaths would meet; over a continent it takes this long."""

STRATEGY = '''\
"""Quotes every level anew at every tick, a little further in or out, so that orders never rest for long."""

from collections.abc import Sequence
from typing import Annotated

from runner.engine.strategy import Decision, Field, State, Strategy
from runner.engine.view import View
from runner.model.order import Quote, Side


class Turn(State, frozen=True):
    number: int = 0


class Restless(Strategy, frozen=True):
    """Never content with its quotes."""

    levels: Annotated[int, Field("On each side", min="1", max="9")] = 3

    def slots(self) -> Sequence[str]:
        return [f"{side}-{level}" for side in ("bid", "ask") for level in range(1, self.levels + 1)]

    def initial_state(self) -> Turn:
        return Turn()

    def tick(self, view: View, state: State) -> Decision:
        assert isinstance(state, Turn)
        mid = view.book.mid
        quotes = []
        for level in range(1, self.levels + 1) if mid is not None else ():
            away = 1e-4 * (2 + 4 * level + state.number % 3)
            quotes.append(Quote(f"bid-{level}", Side.BUY, mid * (1 - away), 300))
            quotes.append(Quote(f"ask-{level}", Side.SELL, mid * (1 + away), 300))
        return Decision(quotes, Turn(state.number + 1), "never content")
'''

FILE = """\
version: 1
name: kills
connector:
  type: altmarkets
  venue: {{rest_url: '{opened.rest_url}', stream_url: '{opened.stream_url}'}}
  settle: 2s
  rate_limit: {{requests: 2000, per: 12s}}
markets: [ROGER-BTC]
strategy: {{use: './restless.py:Restless'}}
tick: {{every: 100ms, when: [book, fill], at_most_every: 100ms}}
risk: {{max_open_orders: 12}}
run: {{on_stop: cancel}}
"""


def kills(count: int, seed: int) -> dict[str, Any]:
    """Kill `count` lives of a run, let the last one stop in order, and compare."""
    dice = Dice(seed_state("kills", seed))
    with tempfile.TemporaryDirectory() as name, sandbox(seed, *SLOW) as (opened, _), Account(opened) as account:
        folder = Path(name)
        command, environment = _prepared(folder, opened)
        opening = account.balances()
        began = time.monotonic()
        with (folder / "log").open("wb") as log:
            ended_alone = 0
            for _ in range(count):
                young = dice.uniform() < YOUNG
                after_s = dice.between(0, YOUNG_S if young else TRADING_S)
                with subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process:
                    try:
                        if not young:
                            _until_it_trades(folder, process)
                        ended_alone += _killed(process, after_s)
                    finally:
                        process.kill()
            last = subprocess.run([*command, "--for", "3s"], env=environment, stdout=log, stderr=log, check=False)
        took = time.monotonic() - began
        journal = journal_in(folder)
        agreement = compare(journal, account, opening)
        names = Counter(row["client_id"] for row in account.orders().values())
        left = len(account.open_orders())
        lives, doubts = _history(journal)
    return {
        "kills": count - ended_alone,
        "seed": seed,
        "agrees": not agreement.differences and last.returncode == 0 and not left and not ended_alone,
        "took_s": round(took, 1),
        "lives_that_traded": lives,
        "ended_without_us": ended_alone,
        "last_exit_code": last.returncode,
        "orders_compared": agreement.orders,
        "fills_compared": agreement.fills,
        "creates_in_doubt": doubts,
        "duplicates": sum(count - 1 for count in names.values()),
        "orphans": left,
        "differences": agreement.differences,
    }


def _prepared(folder: Path, opened: Opened) -> tuple[list[str], dict[str, str]]:
    (folder / "restless.py").write_text(STRATEGY)
    file = folder / "kills.yml"
    file.write_text(FILE.format(opened=opened))
    environment = state_environment(folder / "state", opened) | {"XDG_RUNTIME_DIR": str(folder / "runtime")}
    return [*RUNNER, "run", str(file), "--json", "--headless"], environment


def _until_it_trades(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Wait for the first intent of this life: the life is in the journal, under its process id."""
    give_up_at = time.monotonic() + BEGUN_WITHIN_S
    while process.poll() is None and time.monotonic() < give_up_at:
        if any(folder.rglob("journal.sqlite3")) and _has_intents(journal_in(folder), process.pid):
            return
        time.sleep(0.02)  # between two looks at another process


def _has_intents(journal: Path, pid: int) -> bool:
    try:
        with closing(sqlite3.connect(journal.as_uri() + "?mode=ro", uri=True)) as connection:
            return connection.execute(INTENTS, (pid,)).fetchone() is not None
    except sqlite3.OperationalError:  # its tables are being made
        return False


INTENTS = """
    SELECT 1 FROM order_history JOIN runs ON runs.number = run
    WHERE state = 'intended' AND json_extract(facts, '$.pid') = ? LIMIT 1"""


def _killed(process: subprocess.Popen[bytes], after_s: float) -> bool:
    """Whether the life ended before it could be killed, which none should."""
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return False
    else:
        return True


def _history(journal: Path) -> tuple[int, int]:
    """Lives that sent something, and creates whose outcome was unknown for a while."""
    with sqlite3.connect(journal.as_uri() + "?mode=ro", uri=True) as connection:
        (lives,) = connection.execute(
            "SELECT count(DISTINCT run) FROM order_history WHERE state = 'intended'"
        ).fetchone()
        unknown = "SELECT count(DISTINCT client_id) FROM order_history WHERE state = 'unknown'"
        (doubts,) = connection.execute(unknown).fetchone()
    return lives, doubts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    result = kills(chosen.kills, chosen.seed)
    print(json.dumps(result), flush=True)
    return int(not result["agrees"])


if __name__ == "__main__":
    sys.exit(main())
