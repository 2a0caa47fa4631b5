"""Order book and sockets: traps 1 to 7 of the wire reference's section 9."""

import json
import random
from contextlib import suppress
from typing import Any

import anyio
import pytest
import trio
from altmarkets.venue_client import Client, messages, roger, texts
from anyio.abc import ByteStream
from edge.edge_peers import pipe_server, read_head
from quiet import ROGER, Quiet, buy
from trio.testing import MockClock

from runner.altmarkets.stream import MESSAGE_BYTES_MAX, PrivateStream, PublicStream
from runner.edge.clock import Clock
from runner.edge.inbox import Connected, Disconnected, Item
from runner.edge.stream import Outbox, run_stream
from runner.edge.websocket import Link
from runner.engine.book import Book
from runner.model.command import Reconnect, Resubscribe
from runner.model.event import BookDelta, BookGap, BookSnapshot, StreamUp, VenueFault
from runner.model.order import OrderState, Side
from runner.model.settings import SECOND

CONFIRMED = '{"success":{"message":"subscribed","streams":["rogerbtc.ob-inc","rogerbtc.trades","global.tickers"]}}'


class Heard:
    """A book as the codec and the engine make it of the venue's texts."""

    def __init__(self) -> None:
        self.stream = PublicStream([ROGER], [ROGER.symbol])
        self.book = Book()
        self.gaps: list[str] = []
        self.faults: list[str] = []

    def hear(self, **frame: Any) -> None:
        text = json.dumps({f"rogerbtc.{name.replace('_', '-')}": body for name, body in frame.items()})
        for what in self.stream.receive(text):
            if isinstance(what, BookSnapshot | BookDelta | BookGap):
                self.book.apply(what, 1)
            if isinstance(what, BookGap):
                self.gaps.append(what.reason)
            if isinstance(what, VenueFault):
                self.faults.append(what.what)

    def snapshot(self, sequence: int, bids: list[Any], asks: list[Any]) -> None:
        self.hear(ob_snap={"bids": bids, "asks": asks, "sequence": sequence})

    def levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return list(self.book.bids(100)), list(self.book.asks(100))


def test_trap_01_a_level_of_the_snapshot_is_the_level_that_later_messages_change() -> None:
    """Snapshots went through 32-bit floats, increments through 64-bit: a deletion missed, and the level stayed."""
    for ticks in range(1, 500):
        heard = Heard()
        price = f"{ticks / 10**8:.8f}"
        heard.snapshot(1, [[price, "16777217.01"]], [])
        assert heard.levels() == ([(ticks, 1_677_721_701)], [])  # an amount that no 32-bit float holds
        heard.hear(ob_inc={"bids": [price, "2.5"], "sequence": 2})
        assert heard.levels() == ([(ticks, 250)], [])
        heard.hear(ob_inc={"bids": [price, ""], "sequence": 3})
        assert heard.levels() == ([], [])


@pytest.mark.parametrize("number", [44, 50, 42, 2], ids=["one lost", "some lost", "said before", "engine restarted"])
def test_trap_02_a_number_that_does_not_follow_is_a_gap_until_the_next_snapshot(number: int) -> None:
    """`sequence` was not read; update ids were seconds of the local clock, and no gap was ever seen."""
    heard = Heard()
    heard.snapshot(41, [["0.00000099", "10.0"]], [["0.00000101", "10.0"]])
    heard.hear(ob_inc={"bids": ["0.00000099", "9.0"], "sequence": 42})
    heard.hear(ob_inc={"asks": ["0.00000102", "1.0"], "sequence": number})
    assert len(heard.gaps) == 1
    assert (heard.book.state, heard.levels()) == ("gap", ([], []))
    heard.hear(ob_inc={"asks": ["0.00000102", "1.0"], "sequence": number + 1})  # which would follow
    assert (heard.book.state, heard.levels()) == ("gap", ([], []))
    heard.snapshot(60, [["0.00000099", "7.0"]], [])
    assert (heard.book.state, heard.levels()) == ("live", ([(99, 700)], []))


def test_trap_02_messages_of_one_second_are_told_apart() -> None:
    """Events of one second shared an update id."""
    heard = Heard()
    heard.snapshot(1, [], [])
    for number in range(2, 50):
        heard.hear(ob_inc={"bids": ["0.00000099", f"{number}.0"], "sequence": number})
    assert heard.gaps == []
    assert heard.levels() == ([(99, 4_900)], [])


def test_trap_03_one_flat_pair_and_a_list_of_pairs_say_the_same() -> None:
    """One reader knew only flat pairs and raised on nested ones, the other only nested ones and took characters."""
    flat, nested = Heard(), Heard()
    for heard in (flat, nested):
        heard.snapshot(1, [["0.00000099", "10.0"]], [["0.00000101", "10.0"]])
    flat.hear(ob_inc={"bids": ["0.00000098", "20.5"], "sequence": 2})
    flat.hear(ob_inc={"bids": ["0.00000099", ""], "sequence": 3})
    flat.hear(ob_inc={"asks": ["0.00000102", "3.0"], "sequence": 4})
    nested.hear(
        ob_inc={"bids": [["0.00000098", "20.5"], ["0.00000099", ""]], "asks": [["0.00000102", "3.0"]], "sequence": 2}
    )
    assert flat.levels() == nested.levels() == ([(98, 2_050)], [(101, 1_000), (102, 300)])
    assert flat.gaps + flat.faults + nested.gaps + nested.faults == []


def test_trap_04_books_come_from_the_stream_and_nothing_else() -> None:
    """Books were seeded and refreshed every hour from REST depth, which has no sequence: older levels came back."""
    each = Quiet(buy(100, 50))
    each.offer((300, 100), (500, 101))
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    asked: list[str] = []
    answer = each.server.request

    def request(method: str, target: str, *rest: Any) -> Any:
        asked.append(target)
        return answer(method, target, *rest)

    each.server.request = request  # type: ignore[method-assign]
    each.run_for(1800)
    each.trade(Side.BUY, 300, 100)
    each.run_for(2000)
    assert asked
    assert [target for target in asked if "/public/" in target] == []
    book = each.engine.feeds.by_symbol[ROGER.symbol].book
    assert list(book.asks(10)) == each.exchange.book("rogerbtc").levels(Side.SELL, 10)
    assert list(book.bids(10)) == each.exchange.book("rogerbtc").levels(Side.BUY, 10)


def test_trap_04_after_a_gap_there_is_no_book_until_the_stream_brings_one() -> None:
    """See above: in place of a snapshot, whatever REST said was taken."""
    each = Quiet()
    each.offer((300, 100))
    each.run_for(3)
    lost = True
    each.frames = lambda stream, said: [] if stream == "public" and lost else said
    each.trade(Side.BUY, 100, 100)
    each.run_for(0.1)
    lost = False
    each.frames = lambda stream, said: [text for text in said if "ob-snap" not in text]
    each.trade(Side.BUY, 100, 100)
    each.run_for(9)
    book = each.engine.feeds.by_symbol[ROGER.symbol].book
    assert (book.state, list(book.asks(10))) == ("gap", [])
    assert each.asked(Resubscribe)
    each.frames = lambda _stream, said: said
    each.until(lambda: book.state == "live", seconds=15)
    assert each.asked(Reconnect)
    assert list(book.asks(10)) == [(100, 10_000)]


def many_markets(count: int) -> tuple[Any, ...]:
    return tuple(roger(id=f"coinnumber{number}btc", base=f"COINNUMBER{number}") for number in range(count))


def test_trap_05_a_subscription_to_a_hundred_markets_is_as_many_messages_as_the_venue_can_take() -> None:
    """All pairs went into one message, and the venue closes the socket on more than 512 bytes."""
    markets = many_markets(100)
    client = Client(markets=markets)
    session = client.stream()
    stream = PublicStream(markets, [market.symbol for market in markets])
    for text in stream.subscriptions():
        assert len(text.encode()) <= MESSAGE_BYTES_MAX == 512
        client.server.receive(session, text, client.now)
    assert session.close_code is None
    told = [what for text in texts(session) for what in stream.receive(text)]
    (up,) = [what for what in told if isinstance(what, StreamUp)]
    assert {f"{market.id}.{kind}" for market in markets for kind in ("ob-inc", "trades")} <= set(up.names)
    assert len([what for what in told if isinstance(what, BookSnapshot)]) == 100


def test_trap_05_a_stream_that_is_not_confirmed_is_not_taken_for_subscribed() -> None:
    """The list of streams in the reply was never compared with what was asked for."""
    stream = PublicStream([ROGER], [ROGER.symbol])
    told = stream.receive('{"success":{"message":"subscribed","streams":[]}}')
    told += stream.receive('{"success":{"message":"subscribed","streams":["rogerbtc.ob-inc"]}}')
    assert [type(what) for what in told] == [VenueFault]
    assert "rogerbtc.trades" in told[0].what  # type: ignore[union-attr]
    private = PrivateStream([ROGER]).receive('{"success":{"message":"subscribed","streams":["order","balance"]}}')
    assert [type(what) for what in private] == [VenueFault]
    assert [type(what) for what in PublicStream([ROGER], [ROGER.symbol]).receive(CONFIRMED)] == [StreamUp]


def test_trap_06_levels_are_sorted_whatever_order_they_came_in() -> None:
    """The result of `sorted` was thrown away."""
    levels = list(range(1, 40))
    random.Random(6).shuffle(levels)
    heard = Heard()
    heard.snapshot(
        1, [[f"{n / 10**8:.8f}", "1.0"] for n in levels], [[f"{(100 + n) / 10**8:.8f}", "1.0"] for n in levels]
    )
    heard.hear(ob_inc={"bids": ["0.00000070", "1.0"], "sequence": 2})
    heard.hear(ob_inc={"asks": ["0.00000080", "1.0"], "sequence": 3})
    bids, asks = heard.levels()
    assert [ticks for ticks, _ in bids] == [70, *sorted(levels, reverse=True)]
    assert [ticks for ticks, _ in asks] == [80, *sorted(100 + n for n in levels)]
    assert (heard.book.best_bid(), heard.book.best_ask()) == ((70, 100), (80, 100))


def test_trap_07_a_link_that_takes_our_bytes_and_brings_none_is_dead() -> None:
    """Sending a ping was taken for life; whether its pong came was never looked at."""

    async def takes_all(stream: ByteStream) -> None:
        assert await Link.open_server(stream, await read_head(stream), lambda: None)
        with suppress(anyio.EndOfStream):
            while True:
                await stream.receive()

    async def main() -> None:
        send, receive = anyio.create_memory_object_stream[Item](100)
        outbox = Outbox()

        async def keep_talking() -> None:
            while True:
                await anyio.sleep(5)
                outbox.send(["ping"])

        async with send, receive, pipe_server(takes_all) as connect, anyio.create_task_group() as tasks:

            async def run() -> None:
                await run_stream(
                    "private",
                    "ws://venue.test/private",
                    headers=dict,
                    greeting=tuple,
                    inbox=send,
                    outbox=outbox,
                    clock=Clock(SECOND),
                    dice=random.Random(7),
                    when_full="wait",
                    connect=connect,
                )

            tasks.start_soon(run)
            tasks.start_soon(keep_talking)
            first, end = await receive.receive(), await receive.receive()
            assert isinstance(first, Connected)
            assert isinstance(end, Disconnected)
            assert end.received - first.received <= 61 * SECOND
            assert isinstance(await receive.receive(), Connected)
            tasks.cancel_scope.cancel()

    async def in_time() -> None:
        with anyio.fail_after(300):
            await main()

    trio.run(in_time, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("text", ["pong", '{"ping":1700000000}', CONFIRMED, '{"error":"No streams provided"}', "{}"])
def test_trap_07_a_control_message_is_no_datum(text: str) -> None:
    """Every control message came out as two empty items."""
    stream = PublicStream([ROGER], [ROGER.symbol])
    assert {type(what) for what in stream.receive(text)} <= {StreamUp, VenueFault}
    assert stream.receive(text) == []  # the second time there is nothing new about it


def test_the_venue_of_these_tests_writes_flat_pairs() -> None:
    """What the texts above assume is what the exchange says."""
    client = Client()
    session = client.stream("rogerbtc.ob-inc")
    client.place("buy", "100", "0.00000099")
    increments = [message["rogerbtc.ob-inc"] for message in messages(session) if "rogerbtc.ob-inc" in message]
    assert increments == [{"bids": ["0.00000099", "100.0"], "sequence": 2}]
