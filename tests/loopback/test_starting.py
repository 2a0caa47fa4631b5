"""A run that is still on its way in: streams that are refused or never come, and a stop before the first tick."""

import os
import signal
from pathlib import Path

import anyio
import pytest
from loopback.line import notes_in, run_here, strategy_text, venue
from loopback.proxy import Answer, Fault, proxy

from runner.edge.conversation import HttpRequest
from runner.run.start import CannotRun, Ended

pytestmark = pytest.mark.anyio

BUSY = Answer(503, b"no healthy upstream", {"Content-Type": "text/plain"})


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_streams_that_are_refused_at_first_are_tried_again(tmp_path: Path) -> None:
    refused: list[str] = []

    def once_each(request: HttpRequest) -> Fault:
        if request.wants_websocket and request.target not in refused:
            refused.append(request.target)
            return BUSY
        return None

    async with venue() as (behind, _), proxy(behind) as (opened, between):
        between.request = once_each
        with anyio.fail_after(30):
            ended = await run_here(strategy_text(opened.connector, run_for="3s"), tmp_path, opened)
    assert len(refused) == 2
    assert (ended.exit_code, ended.summary["open_orders_left"]) == (0, 0)
    assert ended.summary["orders"]["placed"] >= 4
    refusals = [facts["reason"] for what, facts in notes_in(tmp_path) if what == "stream.down"]
    assert [reason.startswith("handshake refused: 503") for reason in refusals] == [True, True]


async def test_a_stop_before_the_streams_came_is_clean(tmp_path: Path) -> None:
    async with venue() as (behind, _), proxy(behind) as (opened, between):
        tried = anyio.Event()

        def no_streams(request: HttpRequest) -> Fault:
            if request.wants_websocket:
                tried.set()
                return BUSY
            return None

        between.request = no_streams
        ended: list[Ended] = []

        async def trade() -> None:
            ended.append(await run_here(strategy_text(opened.connector), tmp_path, opened))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(trade)
                await tried.wait()
                os.kill(os.getpid(), signal.SIGTERM)
    assert (ended[0].exit_code, ended[0].summary["ticks"]) == (0, 0)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_rest_that_fails_at_first_is_asked_again(tmp_path: Path) -> None:
    answers = [BUSY, Answer(200, b"{}")]

    async with venue() as (behind, _), proxy(behind) as (opened, between):
        between.request = lambda request: answers.pop() if answers and "/public/" in request.target else None
        with anyio.fail_after(30):
            ended = await run_here(strategy_text(opened.connector, run_for="1s"), tmp_path, opened)
    assert answers == []
    assert ended.exit_code == 0


async def test_a_clock_that_is_wrong_is_said_to_be_wrong(tmp_path: Path) -> None:
    past = Answer(200, b'"2020-01-01T00:00:00Z"', {"Content-Type": "application/json"})
    async with venue() as (behind, _), proxy(behind) as (opened, between):
        between.request = lambda request: past if request.target.endswith("/public/timestamp") else None
        with pytest.raises(CannotRun, match=r"clock differs from the venue's by -\d+\.\d s") as refused:
            await run_here(strategy_text(opened.connector, run_for="1s"), tmp_path, opened)
    assert refused.value.exit_code == 5
