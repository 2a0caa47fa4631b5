import itertools
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
import trio
from anyio.abc import ByteStream
from anyio.streams.memory import MemoryObjectReceiveStream
from edge_peers import PipeEnd, SmallExchange, pipe, pipe_server, read_head, tcp_server
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock
from websockets.frames import Frame, Opcode

from runner.altmarkets.server import Server
from runner.altmarkets.signing import signed_headers
from runner.edge.clock import Clock
from runner.edge.inbox import Connected, Disconnected, Frames, Item, Refused
from runner.edge.network import Connect
from runner.edge.sandbox import Doors, sandbox
from runner.edge.stream import Outbox, back_off_s, run_stream
from runner.edge.websocket import Link, LinkClosed, websocket_address
from runner.model.settings import SECOND
from runner.simulation.faults import switch_text
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.sandbox import sandbox as grow_sandbox

NOON = 1_700_000_000 * SECOND
URL = "ws://venue.test/api/v2/ranger/public"
SUBSCRIBE = '{"event":"subscribe","streams":["rogerbtc.ob-inc"]}'

Talk = Callable[[Link], Awaitable[None]]


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Both real backends for tests with sockets; virtual time for the others."""
    kind = getattr(request, "param", "virtual")
    return ("trio", {"clock": MockClock(autojump_threshold=0)}) if kind == "virtual" else kind


on_both_backends = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)


@asynccontextmanager
async def running(
    connect: Connect | None,
    url: str = URL,
    *,
    greeting: Sequence[str] = (),
    outbox: Outbox | None = None,
    inbox_size: int = 1000,
    **more: Any,
) -> AsyncIterator[MemoryObjectReceiveStream[Item]]:
    """The stream client at work for the length of the block; what comes out is what it told."""
    send, receive = anyio.create_memory_object_stream[Item](inbox_size)
    options: dict[str, Any] = {"headers": dict, "when_full": "drop", "dice": random.Random(1), **more}
    options.setdefault("clock", Clock(NOON))
    if connect is not None:
        options["connect"] = connect
    async with send, receive, anyio.create_task_group() as tasks:

        async def run() -> None:
            await run_stream("public", url, greeting=lambda: greeting, inbox=send, outbox=outbox or Outbox(), **options)

        tasks.start_soon(run)
        yield receive
        tasks.cancel_scope.cancel()


def talking(talk: Talk) -> Callable[[ByteStream], Awaitable[None]]:
    """A venue that shakes hands and then does as it is told."""

    async def handler(stream: ByteStream) -> None:
        link = await Link.open_server(stream, await read_head(stream), lambda: None)
        assert link is not None
        with suppress(LinkClosed, anyio.BrokenResourceError):
            await talk(link)

    return handler


async def silence(link: Link) -> None:
    await anyio.sleep_forever()


async def texts_of(items: MemoryObjectReceiveStream[Item], count: int) -> list[bytes]:
    """The next `count` messages, however they were batched."""
    texts: list[bytes] = []
    while len(texts) < count:
        item = await items.receive()
        assert isinstance(item, Frames)
        texts.extend(item.texts)
    return texts


# The story of a connection --------------------------------------------------------------------------------


@pytest.mark.anyio
@on_both_backends
async def test_connects_subscribes_delivers_and_comes_back(anyio_backend: str) -> None:
    exchange, clock, outbox = SmallExchange(), Clock(), Outbox()
    async with sandbox(exchange, clock=clock) as venue:
        url = venue.stream_url + "/public?stream=a.b&stream=c"
        async with running(None, url, greeting=["one", "two"], outbox=outbox, clock=clock) as items:
            for _ in range(2):
                first = await items.receive()
                assert isinstance(first, Connected)
                assert await texts_of(items, 3) == [b"welcome", b"you said one", b"you said two"]
                assert outbox.send(["three", "four"])
                assert await texts_of(items, 2) == [b"you said three", b"you said four"]
                if exchange.left == 0:
                    await venue.drop_connections()
                    last = await items.receive()
                    assert isinstance(last, Disconnected)
                    assert first.received <= last.received <= clock.now()
    assert exchange.left == 2


@pytest.mark.anyio
async def test_what_one_read_brings_is_one_item_in_its_order(anyio_backend: Any) -> None:
    async def talk(link: Link) -> None:
        await link.send([f"message {number}" for number in range(100)])
        await link.receive()

    async with pipe_server(talking(talk)) as connect, running(connect) as items:
        assert await items.receive() == Connected("public", NOON)
        expected = tuple(f"message {number}".encode() for number in range(100))
        assert await items.receive() == Frames("public", expected, NOON)


@pytest.mark.anyio
async def test_fragments_are_put_together_and_pings_answered(anyio_backend: Any) -> None:
    pongs: list[float] = []

    async def handler(stream: ByteStream) -> None:
        link = await Link.open_server(stream, await read_head(stream), lambda: None)
        assert link is not None
        await anyio.sleep(5)
        await link.ping()
        for frame in (Frame(Opcode.TEXT, b'{"a', fin=False), Frame(Opcode.PING, b"x"), Frame(Opcode.CONT, b'":1}')):
            await stream.send(frame.serialize(mask=False))
        with pytest.raises(LinkClosed):
            await link.receive()
        pongs.append(link.pong_at)

    async with pipe_server(handler) as connect:
        async with running(connect) as items:
            await items.receive()
            assert await texts_of(items, 1) == [b'{"a":1}']
        await anyio.sleep(1)
        assert pongs == [pytest.approx(5)]


@pytest.mark.anyio
async def test_every_attempt_tells_its_story_and_waits_a_little_longer(anyio_backend: Any) -> None:
    times: list[float] = []

    async def connect(host: str, port: int) -> ByteStream:
        times.append(anyio.current_time())
        raise ConnectionRefusedError(111, "Connection refused")

    async with running(connect) as items:
        for _ in range(12):
            item = await items.receive()
            assert isinstance(item, Disconnected)
            assert item.reason == "cannot connect: Connection refused"
    waits = [later - earlier for earlier, later in itertools.pairwise(times)]
    for number, wait in enumerate(waits):
        longest = min(30.0, 2.0 ** (number + 1))
        assert longest / 2 <= wait <= longest + 0.001


@given(failures=st.integers(1, 10_000), seed=st.integers())
def test_back_off_is_between_one_and_thirty_seconds(failures: int, seed: int) -> None:
    wait = back_off_s(failures, random.Random(seed))
    assert 1.0 <= wait <= 30.0
    assert wait >= 15.0 or failures < 5
    assert wait == back_off_s(failures, random.Random(seed))


@pytest.mark.anyio
async def test_a_connection_that_lived_makes_the_back_off_short_again(anyio_backend: Any) -> None:
    attempts: list[float] = []

    async def briefly(link: Link) -> None:
        attempts.append(anyio.current_time())
        await anyio.sleep(31.0 if len(attempts) == 8 else 0.0)

    async with pipe_server(talking(briefly)) as connect, running(connect) as items:
        while len(attempts) < 10:
            await items.receive()
    assert attempts[7] - attempts[6] >= 15.0
    assert 32.0 <= attempts[8] - attempts[7] <= 33.1  # 31 s of life, then 1-2 s


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("how", "story"),
    [
        ("503", Refused),
        ("429", Refused),
        ("hang", "no connection within 10 s"),
        ("garbage", "no WebSocket at "),
        ("cut", Connected),
    ],
)
async def test_failed_handshakes_are_waited_out_and_then_there_is_a_book(
    how: str, story: type[Item] | str, anyio_backend: Any
) -> None:
    """The sandbox spoils six handshakes; each attempt tells its story, and waits longer than the one before."""
    clock = Clock(NOON)
    server = Server(grow_sandbox("7", NOON, listings=SANDBOX_LISTINGS[:1]).exchange)
    server.act(switch_text(f"handshake={how},times=6"))
    doors, began = Doors(server, clock), []

    async def welcome(stream: ByteStream) -> None:
        began.append(anyio.current_time())
        await doors.welcome(stream)

    endings: list[float] = []
    async with pipe_server(welcome) as connect, running(connect, greeting=[SUBSCRIBE], clock=clock) as items:
        for _ in range(6):
            item = await items.receive()
            if isinstance(story, str):
                assert isinstance(item, Disconnected)
                assert item.reason.startswith(story)
            else:
                assert isinstance(item, story)
            if isinstance(item, Connected):
                assert isinstance(await items.receive(), Disconnected)
            endings.append(anyio.current_time())
        assert isinstance(await items.receive(), Connected)
        texts = await texts_of(items, 3)
    assert any(text.startswith(b'{"rogerbtc.ob-snap"') for text in texts)
    for number, (ended, again) in enumerate(zip(endings, began[1:], strict=True)):
        longest = min(30.0, 2.0 ** (number + 1))
        assert longest / 2 <= again - ended <= longest + 0.1


# Ways to end ----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_sixty_seconds_of_silence_are_the_end_but_a_ping_is_not_silence(anyio_backend: Any) -> None:
    async def pinging(link: Link) -> None:
        for _ in range(10):
            await anyio.sleep(54)
            await link.ping()
        await anyio.sleep_forever()

    async with pipe_server(talking(pinging)) as connect, running(connect) as items:
        assert isinstance(await items.receive(), Connected)
        end = await items.receive()
        assert isinstance(end, Disconnected)
        assert end.reason == "silent for 60 s"
        assert anyio.current_time() == pytest.approx(600, abs=0.1)


@pytest.mark.anyio
async def test_a_refusal_is_told_with_status_and_body(anyio_backend: Any) -> None:
    clock = Clock(NOON)
    doors = Doors(SmallExchange(), clock)
    url = "ws://venue.test/api/v2/ranger/private?stream=order"
    async with pipe_server(doors.welcome) as connect, running(connect, url, clock=clock) as items:
        for _ in range(2):
            refused = await items.receive()
            assert isinstance(refused, Refused)
            assert (refused.status, refused.body) == (401, b'{"errors":["authz.invalid_session"]}')


@pytest.mark.anyio
async def test_headers_are_asked_for_when_the_connection_is_there(anyio_backend: Any) -> None:
    clock, exchange = Clock(NOON), SmallExchange()
    doors = Doors(exchange, clock)
    nonces: list[int] = []

    def headers() -> dict[str, str]:
        nonces.append(clock.venue_ms())
        return signed_headers("key", "secret", nonces[-1])

    async with pipe_server(doors.welcome) as connect:

        async def slowly(host: str, port: int) -> ByteStream:
            assert (host, port) == ("venue.test", 80)
            await anyio.sleep(4)
            return await connect(host, port)

        url = "ws://venue.test/api/v2/ranger/private"
        async with running(slowly, url, headers=headers, clock=clock) as items:
            assert isinstance(await items.receive(), Connected)
    assert nonces == [NOON // 1_000_000 + 4000]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"", "no WebSocket at venue.test:80"),
        (b"HTTP/1.1 101 Switching", "no WebSocket at venue.test:80"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", "no WebSocket at"),
        (b"220 mail.test ESMTP\r\n", "no WebSocket at"),
        (b"\xff" * 20_000, "no WebSocket at"),
    ],
)
async def test_who_does_not_shake_hands_is_left(answer: bytes, word: str, anyio_backend: Any) -> None:
    async def handler(stream: ByteStream) -> None:
        await read_head(stream)
        await stream.send(answer)

    async with pipe_server(handler) as connect, running(connect) as items:
        end = await items.receive()
        assert isinstance(end, Disconnected)
        assert end.reason.startswith(word), end.reason


@pytest.mark.anyio
async def test_a_handshake_that_takes_ten_seconds_is_given_up(anyio_backend: Any) -> None:
    closed: list[bool] = []

    async def handler(stream: ByteStream) -> None:
        await read_head(stream)
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()
        closed.append(True)

    async with pipe_server(handler) as connect, running(connect) as items:
        assert await items.receive() == Disconnected("public", "no connection within 10 s", NOON + 10 * SECOND)
        await anyio.sleep(0.1)
        assert closed == [True]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("sent", "word"),
    [
        (b"\x83\x00", "closed by us: 1002"),  # no such opcode
        (b"\x81\x7f\x00\x00\x00\x00\x7f\xff\xff\xff", "closed by us: 1009"),  # two gigabytes
        (b"\x88\x02\x03\xe9", "closed by the other end: 1001"),
        (b"\x81\x05ab", "connection ended without a close frame"),
        (b"", "connection ended without a close frame"),
    ],
)
async def test_a_connection_that_ends_says_why(sent: bytes, word: str, anyio_backend: Any) -> None:
    async def handler(stream: ByteStream) -> None:
        assert await Link.open_server(stream, await read_head(stream), lambda: None)
        await stream.send(sent)

    async with pipe_server(handler) as connect, running(connect) as items:
        assert isinstance(await items.receive(), Connected)
        end = await items.receive()
        assert isinstance(end, Disconnected)
        assert end.reason.startswith(word), end.reason


@pytest.mark.anyio
async def test_messages_before_the_end_are_delivered_first(anyio_backend: Any) -> None:
    async def handler(stream: ByteStream) -> None:
        assert await Link.open_server(stream, await read_head(stream), lambda: None)
        await stream.send(Frame(Opcode.TEXT, b"last words").serialize(mask=False) + b"\x88\x02\x03\xe8")

    async with pipe_server(handler) as connect, running(connect) as items:
        story = [type(await items.receive()) for _ in range(3)]
    assert story == [Connected, Frames, Disconnected]


@pytest.mark.anyio
async def test_cancelled_it_says_goodbye(anyio_backend: Any) -> None:
    ends: list[str] = []

    async def talk(link: Link) -> None:
        try:
            await link.receive()
        except LinkClosed as closed:
            ends.append(str(closed))

    async with pipe_server(talking(talk)) as connect:
        async with running(connect) as items:
            await items.receive()
        await anyio.sleep(0.1)
    assert ends == ["closed by the other end: 1000 (OK)"]
    assert anyio.current_time() < 5.0


# A full inbox ---------------------------------------------------------------------------------------------


async def chatter(link: Link) -> None:
    for number in range(20):
        await link.send([f"message {number}"])
        await anyio.sleep(0.01)
    await anyio.sleep_forever()


@pytest.mark.anyio
async def test_a_full_inbox_costs_the_public_stream_its_socket(anyio_backend: Any) -> None:
    async with pipe_server(talking(chatter)) as connect, running(connect, inbox_size=5) as items:
        await anyio.sleep(1)
        story = [await items.receive() for _ in range(6)]
        assert [type(item) for item in story] == [Connected, *[Frames] * 4, Disconnected]
        assert isinstance(end := story[-1], Disconnected)
        assert end.reason.startswith("inbox full")


@pytest.mark.anyio
async def test_a_full_inbox_makes_the_private_stream_wait_and_loses_nothing(anyio_backend: Any) -> None:
    async with pipe_server(talking(chatter)) as connect, running(connect, inbox_size=5, when_full="wait") as items:
        await anyio.sleep(30)
        assert isinstance(await items.receive(), Connected)
        assert await texts_of(items, 20) == [f"message {number}".encode() for number in range(20)]


# What we send ---------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_never_more_than_fifty_messages_in_twelve_seconds(anyio_backend: Any) -> None:
    times: list[float] = []

    async def count(link: Link) -> None:
        while True:
            count_now = len(await link.receive())
            times.extend([anyio.current_time()] * count_now)

    greeting = [f"subscribe {number}" for number in range(120)]
    async with pipe_server(talking(count)) as connect, running(connect, greeting=greeting):
        await anyio.sleep(40)
    assert len(times) == 120
    for begin in times:
        assert sum(begin <= time <= begin + 12.0 for time in times) <= 50
    assert times[-1] < 25.0


@pytest.mark.anyio
async def test_the_outbox_has_a_size_and_a_new_connection_begins_with_it_empty(anyio_backend: Any) -> None:
    outbox = Outbox(size=3)
    assert outbox.send(["for", "nobody"])
    assert not outbox.send(["too", "many"])
    got: list[bytes] = []

    async def listen(link: Link) -> None:
        while True:
            got.extend(await link.receive())

    async with pipe_server(talking(listen)) as connect, running(connect, greeting=["hello"], outbox=outbox) as items:
        await items.receive()
        await anyio.sleep(1)
        assert got == [b"hello"]
        assert outbox.send(["a", "b", "c"])
        await anyio.sleep(1)
        assert got == [b"hello", b"a", b"b", b"c"]


@pytest.mark.anyio
async def test_another_connection_can_be_asked_for(anyio_backend: Any) -> None:
    outbox = Outbox()
    outbox.reconnect("before there is one: nothing to give up")
    async with pipe_server(talking(silence)) as connect, running(connect, outbox=outbox) as items:
        assert isinstance(await items.receive(), Connected)
        await anyio.sleep(5)
        outbox.reconnect("no snapshot for 10 s")
        end = await items.receive()
        assert isinstance(end, Disconnected)
        assert end.reason == "given up by us: no snapshot for 10 s"
        assert isinstance(again := await items.receive(), Connected)
        assert 1 * SECOND <= again.received - end.received <= 2 * SECOND + SECOND // 100


@pytest.mark.anyio
async def test_a_venue_that_takes_nothing_is_given_up_after_ten_seconds(anyio_backend: Any) -> None:
    here, there = pipe(capacity=1000)

    async def connect(host: str, port: int) -> ByteStream:
        return here

    outbox = Outbox()
    async with running(connect, outbox=outbox) as items, anyio.create_task_group() as tasks:

        async def accept() -> None:
            assert await Link.open_server(there, await read_head(there), lambda: None)

        tasks.start_soon(accept)
        await items.receive()
        outbox.send(["x" * 400] * 3)
        end = await items.receive()
        assert isinstance(end, Disconnected)
        assert end.reason == "the other end took nothing for 10 s"


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["http://venue.test/", "venue.test", "ws://", "ws://venue.test/#top"])
async def test_an_address_that_is_not_a_websocket_is_refused(url: str, anyio_backend: Any) -> None:
    with pytest.raises(ValueError, match="stream address"):
        websocket_address(url)


@pytest.mark.anyio
@on_both_backends
async def test_tls_to_a_server_without_it_is_told(anyio_backend: str) -> None:
    async def plain(stream: ByteStream) -> None:
        await stream.receive()
        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with tcp_server(plain) as port, running(None, f"wss://127.0.0.1:{port}/") as items:
        end = await items.receive()
        assert isinstance(end, Disconnected)
        assert end.reason.startswith("cannot connect")


@pytest.mark.anyio
async def test_no_log_line_shows_the_signature(caplog: pytest.LogCaptureFixture, anyio_backend: Any) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.client").setLevel(logging.DEBUG)
    headers = signed_headers("a1b2c3d4e5f60718", "0011223344", NOON)
    async with pipe_server(talking(silence)) as connect, running(connect, headers=lambda: headers) as items:
        assert isinstance(await items.receive(), Connected)
    assert headers["X-Auth-Signature"] not in caplog.text


# Laws of the pieces ---------------------------------------------------------------------------------------


@given(texts=st.lists(st.text(max_size=300), max_size=20), cuts=st.lists(st.integers(1, 50), min_size=1, max_size=30))
def test_however_the_bytes_arrive_the_messages_are_the_same(texts: list[str], cuts: list[int]) -> None:
    """A server's frames, split at any places, come out as the same messages in the same order."""

    async def main() -> None:
        here, there = pipe(1 << 20)
        got: list[bytes] = []

        async def server() -> None:
            link = await Link.open_server(there, await read_head(there), lambda: None)
            assert link is not None
            data = b"".join(Frame(Opcode.TEXT, text.encode()).serialize(mask=False) for text in texts)
            turn = 0
            while data:
                size = cuts[turn % len(cuts)]
                await there.send(data[:size])
                data, turn = data[size:], turn + 1
                await anyio.lowlevel.checkpoint()
            await there.aclose()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server)
            link = await Link.open_client(here, websocket_address(URL), {})
            with suppress(LinkClosed):
                while True:
                    got.extend(await link.receive())
        assert got == [text.encode() for text in texts]

    trio.run(main)


@given(junk=st.binary(max_size=200))
def test_no_bytes_whatever_make_a_link_raise_anything_but_its_end(junk: bytes) -> None:
    async def main() -> None:
        async def server(there: PipeEnd) -> None:
            assert await Link.open_server(there, await read_head(there), lambda: None)
            await there.send(junk)
            await there.aclose()

        here, there = pipe()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server, there)
            link = await Link.open_client(here, websocket_address(URL), {})
            with suppress(LinkClosed):
                while True:
                    await link.receive()
            await link.aclose()

    trio.run(main, clock=MockClock(autojump_threshold=0))
