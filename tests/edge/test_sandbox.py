import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
import trio
import websockets.asyncio.client
import websockets.trio.client
from anyio.abc import ByteStream
from edge_peers import PipeEnd, SmallExchange, pipe
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus

from runner.altmarkets.rest import Request, Response
from runner.altmarkets.server import Server
from runner.altmarkets.signing import signed_headers
from runner.edge.clock import Clock
from runner.edge.rest import Rest
from runner.edge.sandbox import Doors, Venue, sandbox
from runner.edge.websocket import Link, websocket_address
from runner.model.credentials import Credentials
from runner.model.settings import SECOND
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.sandbox import sandbox as grow_sandbox

NOON = 1_700_000_000 * SECOND
KEY_HEADERS = {"X-Auth-Apikey": "k", "X-Auth-Nonce": "1", "X-Auth-Signature": "s"}

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def exchange() -> SmallExchange:
    return SmallExchange()


@pytest.fixture
async def venue(exchange: SmallExchange) -> AsyncIterator[Venue]:
    async with sandbox(exchange, clock=Clock()) as venue:
        yield venue


@pytest.fixture
def connect(anyio_backend: str) -> Any:
    """websockets' own client."""
    return {"asyncio": websockets.asyncio.client, "trio": websockets.trio.client}[anyio_backend].connect


# HTTP -----------------------------------------------------------------------------------------------------


async def test_plain_httpx_is_answered_on_one_connection(venue: Venue, exchange: SmallExchange) -> None:
    async with httpx.AsyncClient(base_url=venue.rest_url) as client:
        got = await client.get("/public/markets", params={"limit": "1000"})
        assert (got.status_code, got.json()["target"]) == (200, "/api/v2/peatio/public/markets?limit=1000")
        posted = await client.post("/market/orders", json={"market": "rogerbtc"})
        assert (posted.status_code, json.loads(posted.json()["body"])) == (201, {"market": "rogerbtc"})
        assert got.extensions["network_stream"].get_extra_info("client_addr") == posted.extensions[
            "network_stream"
        ].get_extra_info("client_addr")
        assert (await client.request("BREW", "/tea")).json()["method"] == "BREW"


async def test_head_is_get_without_the_body(venue: Venue, exchange: SmallExchange) -> None:
    async with httpx.AsyncClient(base_url=venue.rest_url) as client:
        head, get = await client.head("/x"), await client.get("/x")
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))
    assert [told[0] for told in exchange.told] == ["GET", "GET"]


@asynccontextmanager
async def raw(venue: Venue) -> AsyncIterator[ByteStream]:
    url = httpx.URL(venue.rest_url)
    async with await anyio.connect_tcp(url.host, url.port or 0) as stream:
        yield stream


async def everything(stream: ByteStream) -> bytes:
    """All there is to read until the other end hangs up."""
    data = b""
    try:
        while True:
            data += await stream.receive()
    except anyio.EndOfStream:
        return data


async def test_requests_may_come_before_the_answers(venue: Venue, exchange: SmallExchange) -> None:
    async with raw(venue) as stream:
        await stream.send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await everything(stream)).count(b"HTTP/1.1 200 OK\r\n") == 2
    assert [told[1] for told in exchange.told] == ["/1", "/2"]


async def test_who_waits_to_send_a_body_is_told_to_go_on(venue: Venue, exchange: SmallExchange) -> None:
    async with raw(venue) as stream:
        await stream.send(b"POST /o HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert (await stream.receive()).startswith(b"HTTP/1.1 100")
        await stream.send(b"{}")
        assert (await stream.receive()).startswith(b"HTTP/1.1 201")
    assert exchange.told == [("POST", "/o", b"{}")]


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # somebody speaks TLS
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100_000, 413),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", 400),  # no key
    ],
)
async def test_a_bad_request_is_told_so_and_the_connection_ends(
    venue: Venue, exchange: SmallExchange, request_bytes: bytes, status: int
) -> None:
    async with raw(venue) as stream:
        await stream.send(request_bytes)
        assert (await everything(stream)).startswith(b"HTTP/1.1 %d " % status)
    assert exchange.told == []
    assert exchange.sessions == []


@given(
    junk=st.binary(max_size=300), head=st.sampled_from([b"", b"GET / HTTP/1.1\r\nHost: x\r\n", b"GET / HTTP/1.1\r\n"])
)
def test_no_bytes_whatever_hurt_the_server(head: bytes, junk: bytes) -> None:
    async def main() -> None:
        here, there = pipe()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Doors(SmallExchange(), Clock(NOON)).welcome, there)
            await here.send(head + junk)
            await here.send_eof()
            await everything(here)
            await here.aclose()

    trio.run(main, clock=MockClock(autojump_threshold=0))


# WebSocket ------------------------------------------------------------------------------------------------


async def test_websockets_own_client_is_served(venue: Venue, exchange: SmallExchange, connect: Any) -> None:
    async with connect(venue.stream_url + "/public/?stream=rogerbtc.trades") as client:
        assert await client.recv() == "welcome"
        await client.send("hello")
        assert await client.recv() == "you said hello"
        await client.send(["in ", "frag", "ments"])
        assert await client.recv() == "you said in fragments"
        assert len(exchange.sessions) == 1
    with anyio.fail_after(5):
        while exchange.left == 0:
            await anyio.wait_all_tasks_blocked()
    assert exchange.sessions == []


async def test_the_private_side_refuses_with_an_http_answer(venue: Venue, connect: Any) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(venue.stream_url + "/private"):
            pass
    assert refused.value.response.status_code == 401
    assert refused.value.response.body == b'{"errors":["authz.invalid_session"]}'
    async with connect(venue.stream_url + "/private", additional_headers=KEY_HEADERS) as client:
        assert await client.recv() == "welcome"


@pytest.mark.parametrize("message", ["x" * 513, ["x" * 300, "y" * 300]])
async def test_512_bytes_are_the_most_a_client_may_say(venue: Venue, connect: Any, message: Any) -> None:
    async with connect(venue.stream_url + "/public") as client:
        await client.send("x" * 512)
        assert [await client.recv(), await client.recv()] == ["welcome", "you said " + "x" * 512]
        await client.send(message)
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert client.close_code == 1009


async def test_the_server_may_close_with_a_code_of_its_own(venue: Venue, connect: Any) -> None:
    async with connect(venue.stream_url + "/public") as client:
        await client.recv()
        await client.send("close 4001")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 4001


async def test_text_that_is_not_utf8_is_refused(venue: Venue, connect: Any) -> None:
    async with connect(venue.stream_url + "/public") as client:
        await client.recv()
        await client.send(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1007


async def test_a_frame_sent_with_the_handshake_is_heard(venue: Venue, exchange: SmallExchange) -> None:
    masked = b"\x81\x82\x00\x00\x00\x00hi"
    async with raw(venue) as stream:
        await stream.send(
            b"GET /api/v2/ranger/public HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" + masked
        )
        data = b""
        while b"you said hi" not in data:
            data += await stream.receive()
    assert data.startswith(b"HTTP/1.1 101 ")
    assert data.index(b"welcome") < data.index(b"you said hi")


async def test_what_is_due_is_done_when_it_is_due(venue: Venue, exchange: SmallExchange, connect: Any) -> None:
    clock = Clock()
    async with connect(venue.stream_url + "/public") as client, Rest(venue.rest_url, None, clock) as rest:
        assert await client.recv() == "welcome"
        # The server sleeps for an hour, then a request makes something due sooner than that.
        for later_ns in (3600 * SECOND, 20_000_000, 0):
            await rest.send(Request("GET", f"/later/{later_ns}", private=False))
            if later_ns < SECOND:
                with anyio.fail_after(10):
                    _, due, _, now = (await client.recv()).split()
                assert int(due) <= int(now)
    assert len(exchange.due) == 1


async def test_connections_can_be_cut(venue: Venue, exchange: SmallExchange, connect: Any) -> None:
    async with connect(venue.stream_url + "/public") as client, raw(venue) as stream:
        await client.recv()
        await stream.send(b"GET /half")
        await anyio.wait_all_tasks_blocked()
        await venue.drop_connections()
        with pytest.raises(ConnectionClosedError):
            await client.recv()
        assert client.close_code == 1006
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()
    assert exchange.left == 1
    async with connect(venue.stream_url + "/public") as client:
        assert await client.recv() == "welcome"


async def test_a_port_that_is_taken_is_an_oserror(venue: Venue) -> None:
    with pytest.raises(OSError, match="in use"):
        async with sandbox(SmallExchange(), port=httpx.URL(venue.rest_url).port or 0, clock=Clock()):
            pass


# Patience, in virtual time --------------------------------------------------------------------------------


@asynccontextmanager
async def virtual_client(exchange: SmallExchange, capacity: int = 65536) -> AsyncIterator[tuple[Link, PipeEnd]]:
    here, there = pipe(capacity)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Doors(exchange, Clock(NOON)).welcome, there)
        yield await Link.open_client(here, websocket_address("ws://sandbox/api/v2/ranger/public"), {}), here
        tasks.cancel_scope.cancel()


def test_a_client_that_answers_pings_may_be_silent_for_ever() -> None:
    async def main() -> None:
        async with virtual_client(SmallExchange()) as (link, _):
            assert await link.receive() == [b"welcome"]
            with anyio.move_on_after(3600):
                await link.receive()
                raise AssertionError
            await link.send(["still here"])
            assert await link.receive() == [b"you said still here"]

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_other_words_are_no_pong() -> None:
    async def main() -> None:
        exchange = SmallExchange()
        async with virtual_client(exchange) as (_, pipe_end):
            for _ in range(5):  # ten seconds apart, reading nothing: so no pong either
                await anyio.sleep(10)
                await pipe_end.send(b"\x81\x82\x00\x00\x00\x00hi")
            assert exchange.left == 0
            await anyio.sleep(9.9)
            assert exchange.left == 0
            await anyio.sleep(0.2)
            assert exchange.left == 1
            assert b"\x88" not in await everything(pipe_end)  # no close frame

    trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize(("waiting", "dropped"), [(256, False), (257, True)])
def test_a_backlog_of_more_than_256_messages_is_the_end_without_a_close_frame(waiting: int, dropped: bool) -> None:
    async def main() -> None:
        exchange = SmallExchange()
        async with virtual_client(exchange, capacity=500) as (_, pipe_end):
            hello = b"\x81\x87\x00\x00\x00\x00burst 9"
            await pipe_end.send(hello)  # fills what the client does not read
            await anyio.sleep(1)
            session = exchange.sessions[0]
            session.outgoing.extend(["x"] * (waiting - 1))
            await pipe_end.send(b"\x81\x82\x00\x00\x00\x00hi")
            await anyio.sleep(0.09)
            assert exchange.left == 0
            await anyio.sleep(0.02)
            assert (exchange.left == 1) == dropped
            await anyio.sleep(1)
            assert (exchange.left == 1) == dropped
            if dropped:
                assert b"\x88" not in await everything(pipe_end)

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_backlog_behind_a_write_that_is_taken_soon_is_told_whole() -> None:
    async def main() -> None:
        exchange = SmallExchange()
        async with virtual_client(exchange, capacity=500) as (link, pipe_end):
            await pipe_end.send(b"\x81\x87\x00\x00\x00\x00burst 9")
            await anyio.sleep(1)
            for _ in range(3):  # and again, behind another write
                exchange.sessions[0].outgoing.extend(["x"] * 1000)
                await pipe_end.send(b"\x81\x82\x00\x00\x00\x00hi")
                await anyio.sleep(0.09)
                heard: list[bytes] = []
                while b"you said hi" not in heard:
                    heard += await link.receive()
                assert heard.count(b"x") == 1000
                await pipe_end.send(b"\x81\x87\x00\x00\x00\x00burst 9")
                await anyio.sleep(0.001)
            assert exchange.left == 0

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_a_process_that_stood_still_does_not_hold_that_against_its_clients() -> None:
    async def main() -> None:
        exchange = SmallExchange()
        async with virtual_client(exchange, capacity=500) as (link, pipe_end):
            await pipe_end.send(b"\x81\x87\x00\x00\x00\x00burst 9")
            await anyio.sleep(1)
            exchange.sessions[0].outgoing.extend(["x"] * 1000)
            await pipe_end.send(b"\x81\x82\x00\x00\x00\x00hi")
            await anyio.sleep(0.01)
            clock.jump(5)
            heard: list[bytes] = []
            while b"you said hi" not in heard:
                heard += await link.receive()
            assert exchange.left == 0

    clock = MockClock(autojump_threshold=0)
    trio.run(main, clock=clock)


def test_a_client_that_takes_nothing_is_dropped_after_ten_seconds() -> None:
    async def main() -> None:
        exchange = SmallExchange()
        async with virtual_client(exchange, capacity=500) as (_, pipe_end):
            await pipe_end.send(b"\x81\x87\x00\x00\x00\x00burst 9")
            await anyio.sleep(9.9)
            assert exchange.left == 0
            await anyio.sleep(0.2)
            assert exchange.left == 1

    trio.run(main, clock=MockClock(autojump_threshold=0))


def test_an_idle_http_connection_is_closed_after_75_seconds() -> None:
    async def main() -> None:
        here, there = pipe()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Doors(SmallExchange(), Clock(NOON)).welcome, there)
            await here.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await everything(here)
            assert anyio.current_time() == pytest.approx(75, abs=0.1)
            await here.aclose()

    trio.run(main, clock=MockClock(autojump_threshold=0))


# With the exchange behind it ------------------------------------------------------------------------------


async def test_the_real_exchange_trades_over_these_sockets(connect: Any) -> None:
    clock = Clock()
    grown = grow_sandbox("7", clock.now())
    key = Credentials(grown.key.access, grown.key.secret)
    async with sandbox(Server(grown.exchange), clock=clock) as venue, Rest(venue.rest_url, key, clock) as rest:
        headers = signed_headers(key.access_key, key.secret_key, clock.venue_ms())
        async with connect(venue.stream_url + "/private?stream=order", additional_headers=headers) as client:
            assert json.loads(await client.recv()) == {"success": {"message": "subscribed", "streams": ["order"]}}
            order = b'{"market":"rogerbtc","side":"buy","volume":"10","price":"0.00000100","client_id":"R1"}'
            placed = await rest.send(Request("POST", "/market/orders", body=order))
            assert isinstance(placed, Response)
            assert placed.status == 201, placed.body
            states = []
            with anyio.fail_after(10):
                while "wait" not in states:
                    states.append(json.loads(await client.recv())["order"]["state"])
        assert states == ["pending", "wait"]
        async with connect(venue.stream_url + "/public?stream=rogerbtc.ob-inc") as client:
            assert "rogerbtc.ob-snap" in json.loads(await client.recv())


def test_a_venue_and_its_client_need_no_socket() -> None:
    """Both ends over pipes and in virtual time: minutes pass at once, and the same way each time."""

    async def main() -> list[bytes]:
        clock = Clock(NOON)
        grown = grow_sandbox("7", NOON, listings=SANDBOX_LISTINGS[:1])
        key = Credentials(grown.key.access, grown.key.secret)
        doors = Doors(Server(grown.exchange), clock)
        heard: list[bytes] = []
        async with anyio.create_task_group() as tasks:

            async def connect(host: str, port: int) -> ByteStream:
                here, there = pipe(1 << 20)
                tasks.start_soon(doors.welcome, there)
                return here

            async def listen() -> None:
                address = websocket_address("ws://sandbox/api/v2/ranger/public?stream=rogerbtc.ob-inc")
                link = await Link.open_client(await connect("sandbox", 80), address, {})
                while True:
                    heard.extend(await link.receive(60))

            tasks.start_soon(doors.keep_time)
            tasks.start_soon(listen)
            async with Rest("http://sandbox/api/v2/peatio", key, clock, connect=connect) as rest:
                for _ in range(12):
                    await anyio.sleep(10)
                    answer = await rest.send(Request("GET", "/account/balances"))
                    assert isinstance(answer, Response)
                    assert answer.status == 200
            tasks.cancel_scope.cancel()
        return heard

    first, second = (trio.run(main, clock=MockClock(autojump_threshold=0)) for _ in range(2))
    assert first == second
    assert b"ob-snap" in first[0]
    assert len(first) > 500
