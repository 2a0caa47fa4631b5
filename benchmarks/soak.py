"""`python -m benchmarks.soak --seconds 300`: does everything still add up after minutes of trading?

A `runner sandbox` in its own process, a `runner run` against it, and at the end our books beside the exchange's, to
the last digit. Prints one JSON line; exits 1 if anything differs. `python -m benchmarks.soak --demo` runs the command
of `make demo` twice in a row instead.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.peer import RUNNER, Account, Opened, compare, sandbox

STRATEGY = """\
version: 1
name: soak
connector: {connector}
markets: [ROGER-BTC]
strategy:
  use: pure_market_making
  params:
    bid_spread: 10bps
    ask_spread: 10bps
    order_amount: 700 ROGER
    order_levels: 3
    order_level_spread: 15bps
    order_refresh_time: 3s
    order_refresh_tolerance_pct: 5bps
    inventory_skew: 5bps
tick: {{every: 1s, when: [book, fill], at_most_every: 250ms}}
risk: {{max_position: {{ROGER: 20000}}, max_order_notional: {{BTC: 0.2}}, max_open_orders: 12}}
run: {{on_stop: cancel}}
"""
"""Close to the market, so that there are many fills, and cautious about nothing but the four limits."""


def strategy_file(folder: Path, opened: Opened) -> Path:
    file = folder / "soak.yml"
    file.write_text(STRATEGY.format(connector=opened.connector))
    return file


def state_environment(folder: Path, opened: Opened | None = None) -> dict[str, str]:
    """The environment of a run that keeps its journal below `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ALTMARKETS_", "RUNNER_"))}
    return inherited | {"RUNNER_STATE_DIR": str(folder)} | (opened.environment if opened else {})


def journal_in(folder: Path) -> Path:
    """The one journal below a state folder."""
    (journal,) = folder.rglob("journal.sqlite3")
    return journal


def soak(seconds: int, seed: int) -> dict[str, Any]:
    """Trade, then compare. `agrees` is the verdict, `differences` tells why not."""
    with tempfile.TemporaryDirectory() as name, sandbox(seed) as (opened, _), Account(opened) as account:
        folder = Path(name)
        opening = account.balances()
        command = [*RUNNER, "run", str(strategy_file(folder, opened)), "--json", "--for", f"{seconds}s"]
        began = time.monotonic()
        with (folder / "log").open("wb") as log:
            done = subprocess.run(
                command, env=state_environment(folder, opened), stdout=subprocess.PIPE, stderr=log, check=False
            )
        took = time.monotonic() - began
        agreement = compare(journal_in(folder), account, opening)
        left = len(account.open_orders())
        lines = [json.loads(line) for line in (folder / "log").read_text().splitlines() if line.startswith("{")]
    summary = json.loads(done.stdout)
    troubles: dict[str, int] = {}
    for line in lines:
        if line["level"] in {"warning", "error"}:
            troubles[line["event"]] = troubles.get(line["event"], 0) + 1
    return {
        "soak_seconds": seconds,
        "seed": seed,
        "agrees": not agreement.differences and done.returncode == 0 and not left,
        "exit_code": done.returncode,
        "took_s": round(took, 1),
        "orders_compared": agreement.orders,
        "fills_compared": agreement.fills,
        "balances_compared": agreement.currencies,
        "differences": agreement.differences,
        "open_orders_at_exchange": left,
        "warnings": troubles,
        "summary": summary,
    }


def demo() -> dict[str, Any]:
    """What `make demo` runs, without a terminal."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*RUNNER, "run", "strategies/quickstart.yml", "--for", "60s", "--json"]
        done = subprocess.run(command, env=state_environment(Path(folder)), capture_output=True, check=False)
    summary = json.loads(done.stdout)
    good = done.returncode == 0 and summary["fills"] > 0 and summary["open_orders_left"] == 0
    return {"demo": True, "agrees": good, "exit_code": done.returncode, "summary": summary}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--demo", action="store_true", help="the demo twice in a row instead")
    chosen = parser.parse_args()
    results = [demo(), demo()] if chosen.demo else [soak(chosen.seconds, chosen.seed)]
    for result in results:
        print(json.dumps(result), flush=True)
    sys.exit(not all(result["agrees"] for result in results))


if __name__ == "__main__":
    main()
