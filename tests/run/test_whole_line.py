"""The whole line on real sockets, on both backends: file, config, sandbox, streams, engine, journal, stop."""

import os
import signal
import stat
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from loopback.line import (
    agreement,
    balances,
    journal_in,
    notes_in,
    run_here,
    strategy_text,
    venue,
)

from runner.run.start import Ended
from runner.simulation.exchange import Exchange

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_quotes_on_the_embedded_exchange_are_filled_and_nothing_is_left(tmp_path: Path) -> None:
    ended = await run_here(strategy_text(run_for="3s"), tmp_path)
    facts = ended.summary
    assert (ended.exit_code, facts["stopped_by"], facts["open_orders_left"]) == (0, "time", 0)
    assert facts["fills"] > 0
    counts = facts["orders"]
    assert counts["placed"] == counts["filled"] + counts["cancelled"] > 0
    assert facts["volume"].keys() == facts["position"].keys() == {"ROGER", "BTC"}
    journal = journal_in(tmp_path)
    assert journal.parent.parent.name == "sandbox"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o600


async def trades_done(exchange: Exchange) -> None:
    """Until the trader had a fill."""
    trader = next(member for member in exchange.members.values() if member.name == "trader")
    while not exchange.database.trades_of(trader.id):
        await anyio.sleep(0.02)


async def test_books_and_exchange_agree_after_sigterm(tmp_path: Path) -> None:
    async with venue() as (opened, exchange):
        opening = await balances(opened)
        ended: list[Ended] = []

        async def trade() -> None:
            ended.append(await run_here(strategy_text(opened.connector), tmp_path, opened))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(trade)
                await trades_done(exchange)
                assert not ended
                os.kill(os.getpid(), signal.SIGTERM)
        agreed = await agreement(tmp_path, opened, opening)
    assert (ended[0].exit_code, ended[0].summary["stopped_by"]) == (0, "signal")
    assert agreed.differences == ()
    assert agreed.orders == ended[0].summary["orders"]["placed"] >= 2  # one a side leaves before any answer
    assert agreed.fills == ended[0].summary["fills"] >= 1
    assert not [what for what, _ in notes_in(tmp_path) if what in {"venue.fault", "book.gap", "query.failed"}]


async def test_runs_outside_the_main_thread_where_no_signal_arrives(anyio_backend: str, tmp_path: Path) -> None:
    def elsewhere() -> Ended:
        return anyio.run(run_here, strategy_text(run_for="1s"), tmp_path, backend=anyio_backend)

    ended = await anyio.to_thread.run_sync(elsewhere)
    assert (ended.exit_code, ended.summary["open_orders_left"]) == (0, 0)
