"""A run on real sockets against a sandbox that fails: it goes on, ends when it is told to, and the books agree."""

import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from loopback.line import agreement, balances, run_here, strategy_text

from benchmarks.peer import Opened
from runner.edge.clock import Clock
from runner.edge.sandbox import sandbox
from runner.model.settings import SECOND
from runner.run.sandbox import Plan, fault, open_sandbox
from runner.run.start import Ended

pytestmark = pytest.mark.anyio

GOES_WRONG_S = 3.0
WITHIN_S = 60.0


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def slow(*texts: str) -> Any:
    return pytest.param(texts, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "texts",
    [
        ("engine_restart", "stream_restart", "sequence_gap"),
        slow("numbers", "extra_fields", "nested_increments", "json_ping=200ms", "answer_delay=100ms"),
        slow("answer=cut,chance=0.2,on=signed", "duplicate_private", "reorder_private=50ms"),
        slow("refuse=503,chance=0.3", "lose_private,chance=0.5"),
        slow("answer=502,chance=0.3", "act_delay=500ms,chance=0.3"),
        slow("rate_limit=20/12s", "cancels_lost,times=2"),
        slow("handshake=cut,times=2", "stream_restart"),
        slow("handshake=garbage,times=2", "drop_public", "drop_private"),
        slow("fees=0.001/0.002"),
    ],
)
async def test_the_run_gets_over_it(texts: tuple[str, ...], tmp_path: Path) -> None:
    clock = Clock()
    server, facts = open_sandbox("1", clock.now(), Plan())
    async with sandbox(server, clock=clock) as doors:
        key = facts.credentials
        opened = Opened(doors.rest_url, doors.stream_url, key.access_key, key.secret_key)
        opening = await balances(opened)
        ended: list[Ended] = []
        trader = next(member.id for member in server.exchange.members.values() if member.name == "trader")

        async def trade() -> None:
            ended.append(await run_here(strategy_text(opened.connector), tmp_path, opened, settle=SECOND))

        with anyio.fail_after(WITHIN_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(trade)
                while len(server.exchange.database.orders_of(trader)) < 4:
                    await anyio.sleep(0.02)
                for text in texts:
                    server.act(fault(text).switch)
                until = clock.now() + int(GOES_WRONG_S * SECOND)
                while clock.now() < until:
                    assert not ended
                    await anyio.sleep(0.05)
                server.exchange.faults.switch_off()
                os.kill(os.getpid(), signal.SIGTERM)
        agreed = await agreement(tmp_path, opened, opening)
    assert ended[0].exit_code == 0, ended[0].reason
    assert agreed.differences == ()
    assert agreed.orders >= 4
