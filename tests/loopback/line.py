"""The whole line in one event loop: a strategy file, a run of it, and a sandbox of our own that it trades on."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio.to_thread
import msgspec
from msgspec import structs

from benchmarks.peer import Account, Agreement, Balance, Opened, compare
from runner.altmarkets.server import Server
from runner.config.read import read
from runner.config.spec import RunSpec
from runner.edge.clock import Clock
from runner.edge.sandbox import sandbox
from runner.run.markets import known_markets
from runner.run.start import Ended, Options, run
from runner.simulation.exchange import Exchange
from runner.simulation.sandbox import sandbox as grow

CLOSE_QUOTES = """\
version: 1
name: line
connector: {connector}
markets: [ROGER-BTC]
strategy:
  use: pure_market_making
  params:
    bid_spread: 5bps
    ask_spread: 5bps
    order_amount: 500 ROGER
    order_levels: 2
    order_level_spread: 10bps
    order_refresh_time: 2s
    order_refresh_tolerance_pct: 5bps
tick: {{every: 500ms, when: [book, fill], at_most_every: 250ms}}
risk: {{max_position: {{ROGER: 20000}}, max_order_notional: {{BTC: 0.1}}, max_open_orders: 8}}
run: {{for: {run_for}, on_stop: {on_stop}}}
"""
"""Like quickstart, and so close to the market that somebody trades with it within a second or two."""

EMBEDDED = "{type: altmarkets, venue: sandbox, seed: 1}"


def strategy_text(connector: str = EMBEDDED, *, run_for: str = "1h", on_stop: str = "cancel") -> str:
    return CLOSE_QUOTES.format(connector=connector, run_for=run_for, on_stop=on_stop)


def spec_of(text: str) -> RunSpec:
    found = read(text, file="line.yml", markets=known_markets)
    assert isinstance(found, RunSpec), "\n".join(map(str, found))
    return found


async def run_here(text: str, state: Path, opened: Opened | None = None, *, settle: int | None = None) -> Ended:
    """Run a strategy file in this event loop, its journal below `state`. `settle`: see `Settings`."""
    environment = {"RUNNER_STATE_DIR": str(state)} | (opened.environment if opened else {})
    spec = spec_of(text)
    if settle is not None:
        spec = structs.replace(spec, settings=structs.replace(spec.settings, settle=settle))
    return await run(spec, Options(), environment)


@asynccontextmanager
async def venue(seed: str = "1") -> AsyncIterator[tuple[Opened, Exchange]]:
    """A sandbox in this event loop, on a loopback port, and the exchange behind it to look into."""
    clock = Clock()
    grown = grow(seed, clock.now())
    async with sandbox(Server(grown.exchange), clock=clock) as doors:
        yield Opened(doors.rest_url, doors.stream_url, grown.key.access, grown.key.secret), grown.exchange


async def balances(opened: Opened) -> dict[str, Balance]:
    """Over REST, like any other client, in a thread: the sandbox needs the loop to answer."""

    def ask() -> dict[str, Balance]:
        with Account(opened) as account:
            return account.balances()

    return await anyio.to_thread.run_sync(ask)


async def agreement(state: Path, opened: Opened, opening: dict[str, Balance]) -> Agreement:
    """The journal below `state` beside the exchange; the run has ended."""

    def look() -> Agreement:
        with Account(opened) as account:
            return compare(journal_in(state), account, opening)

    return await anyio.to_thread.run_sync(look)


def journal_in(state: Path) -> Path:
    (journal,) = state.rglob("journal.sqlite3")
    return journal


def notes_in(state: Path) -> list[tuple[str, dict[str, Any]]]:
    """What the run noted, in order: name and facts."""
    rows = _query(state, "SELECT what, facts FROM notes ORDER BY id")
    return [(what, msgspec.json.decode(facts)) for what, facts in rows]


def orders_in_state(state: Path, name: str) -> list[str]:
    """Client ids of the orders in a state, as the journal has it now."""
    return [client_id for (client_id,) in _query(state, "SELECT client_id FROM orders WHERE state = ?", name)]


def _query(state: Path, statement: str, *values: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(journal_in(state))
    try:
        return connection.execute(statement, values).fetchall()
    finally:
        connection.close()
