"""A sandbox of recordings on its own sockets, on both backends: it trades, it tells its end, and it may close."""

import json
from pathlib import Path

import anyio
import pytest

from runner.altmarkets.rest import Request, Response
from runner.edge.clock import Clock
from runner.edge.rest import Rest
from runner.run import tapes as files
from runner.run.ends import CannotRun
from runner.run.sandbox import Opened, TapeFile, Tapes, serve_tapes

pytestmark = pytest.mark.anyio

FRAMES = [
    {"lastUpdateId": 10, "bids": [["100.5", "2.0"]], "asks": [["101.0", "3.0"]]},
    {"stream": "ltcusdt@depth", "data": {"U": 11, "u": 11, "b": [["100.6", "1.0"]], "a": []}},
    {"stream": "ltcusdt@trade", "data": {"p": "100.6", "q": "0.4", "m": True}},
]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "ltcusdt"
    path.write_text("".join(f"{number * 1_000_000} {json.dumps(frame)}\n" for number, frame in enumerate(FRAMES, 1)))
    return path


async def test_a_tape_is_served_to_its_end_and_then_held(tape: Path) -> None:
    tapes = Tapes((TapeFile(tape),), speed=2)
    opened: list[Opened] = []
    ready, over = anyio.Event(), anyio.Event()

    def show(where: Opened) -> None:
        opened.append(where)
        ready.set()

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve_tapes, [files.read(str(tape), {})], tapes, "seed", "127.0.0.1", 0, show, over.set)
            await ready.wait()
            await over.wait()
            assert opened[0].markets == ("LTC-USDT",)
            async with Rest(opened[0].rest_url, opened[0].credentials, Clock()) as rest:
                trades = await _ask(rest, Request("GET", "/public/markets/ltcusdt/trades", private=False))
                depth = await _ask(rest, Request("GET", "/public/markets/ltcusdt/depth", private=False))
                balances = await _ask(rest, Request("GET", "/account/balances"))
            tasks.cancel_scope.cancel()
    (trade,) = trades
    assert (trade["price"], trade["amount"], trade["taker_type"]) == (100.6, 0.4, "sell")
    assert depth["bids"] == [["100.6", "1.0"], ["100.5", "2.0"]]
    assert {row["currency"]: row["balance"] for row in balances} == {"ltc": "1000.0", "usdt": "100000.0"}


async def test_at_its_end_the_exchange_closes_if_it_should(tape: Path) -> None:
    tapes = Tapes((TapeFile(tape, "LTC-USDT"),), speed=1000, at_end="stop")
    said: list[str] = []
    with anyio.fail_after(10):
        await serve_tapes(
            [files.read(str(tape), {}, symbol="LTC-USDT")],
            tapes,
            "s",
            "127.0.0.1",
            0,
            lambda _: said.append("open"),
            lambda: said.append("over"),
        )
    assert said == ["open", "over"]


def test_a_tape_that_cannot_be_used_is_named(tape: Path) -> None:
    tape.write_text("1 {}\n")
    with pytest.raises(CannotRun, match="ltcusdt: line 1 is neither"):
        files.read(str(tape), {})


async def _ask(rest: Rest, request: Request) -> list[dict[str, object]] | dict[str, object]:
    answer = await rest.send(request)
    assert isinstance(answer, Response), answer
    return json.loads(answer.body)
