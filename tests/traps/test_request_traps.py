"""Requests: traps 11 to 15 of the wire reference's section 9."""

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from itertools import pairwise
from typing import Any

import anyio
import pytest
import trio
from altmarkets.venue_client import Client
from anyio.abc import ByteStream
from edge.edge_peers import pipe_server, read_request
from quiet import ROGER, Quiet, buy
from trio.testing import MockClock

from runner.altmarkets.messages import error_codes, grids
from runner.altmarkets.rest import Response, interpret
from runner.altmarkets.server import Reply, Server
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Answered, Item
from runner.edge.rest import Rest
from runner.edge.sandbox import Doors
from runner.edge.stream import back_off_s
from runner.model.command import Cancel, Command, ListOrders, ListTrades, Place, ReadBalances, ReadOrder
from runner.model.credentials import Credentials
from runner.model.event import BalancesRead, CancelAnswered, QueryFailed, Rejected, Unknown
from runner.model.order import OrderState, Side
from runner.model.settings import SECOND
from runner.run.gateway import LiveGateway
from runner.simulation.exchange import MILLISECOND

Handler = Callable[[ByteStream], Awaitable[None]]
PLACE = Place("RQUIETA00000-BID-0", "ROGER-BTC", Side.BUY, 100, 100, 2**53)
UPSTREAM = b"upstream connect error or disconnect/reset before headers"


class Line:
    """The real gateway on the real server, over a pipe and in virtual time. `answers` keeps what came back."""

    def __init__(self) -> None:
        self.client = Client()
        self.client.server.request = self._noted  # type: ignore[method-assign]
        self.heads: list[bytes] = []
        self.nonces: list[int] = []  # of what came through to the server
        self.troubled = 0  # so many requests are answered by a proxy in the middle, with 503

    def _noted(self, method: str, target: str, headers: Mapping[str, str], body: bytes, now: int) -> Reply:
        self.nonces.append(int(headers.get("x-auth-nonce", "0")))
        return Server.request(self.client.server, method, target, headers, body, now)

    async def run(self, commands: list[Command], bucket: Bucket, answers: list[Answered], pause_s: float = 0.0) -> None:
        clock = Clock(self.client.now)
        doors = Doors(self.client.server, clock)
        key = self.client.keys[self.client.me]

        async def middle(stream: ByteStream) -> None:
            """Notes the head of the request and hands it on, or answers it itself."""
            head = await read_request(stream)
            self.heads.append(head)
            if self.troubled:
                self.troubled -= 1
                await stream.send(
                    b"HTTP/1.1 503 Unavailable\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                    % (len(UPSTREAM), UPSTREAM)
                )
                return
            stream.unread[:0] = head  # type: ignore[attr-defined]
            await doors.welcome(stream)

        send, receive = anyio.create_memory_object_stream[Item](100)
        doubt, _doubts = anyio.create_memory_object_stream[None](1)
        async with (
            send,
            receive,
            doubt,
            _doubts,
            pipe_server(middle) as connect,
            Rest(
                "http://venue.test/api/v2/peatio", Credentials(key.access, key.secret), clock, connect=connect
            ) as rest,
            anyio.create_task_group() as tasks,
        ):
            gateway = LiveGateway(rest, bucket, {ROGER.symbol: ROGER}, clock, send, tasks, doubt)
            for command in commands:
                gateway.submit([command])
                item = await receive.receive()
                assert isinstance(item, Answered)
                answers.append(item)
                await anyio.sleep(pause_s)


def meanings(answers: list[Answered]) -> list[Any]:
    return [what for each in answers for what in interpret(each.command, each.answer, grids([ROGER]))]


def test_trap_11_a_request_that_waited_for_its_turn_is_signed_when_it_leaves() -> None:
    """Headers were signed before the wait in the throttle: under load the nonce was older than the window of 5 s."""
    line, answers = Line(), list[Answered]()
    bucket = Bucket(requests=1, per_ns=12 * SECOND)
    bucket.take(line.client.now)
    trio.run(line.run, [ReadBalances(1), ReadBalances(2)], bucket, answers, clock=MockClock(autojump_threshold=0))
    assert [type(what) for what in meanings(answers)] == [BalancesRead, BalancesRead]
    began = line.client.now // MILLISECOND
    assert 12_000 <= line.nonces[0] - began < 13_000
    assert 24_000 <= line.nonces[1] - began < 25_000


@pytest.mark.parametrize("again", [ReadBalances(2), Cancel(1, "R")], ids=["GET", "POST"])
def test_trap_12_what_is_asked_again_is_signed_again_and_the_first_error_is_told(again: Command) -> None:
    """The retry went out without its headers and ended as a refusal of the session, which hid the first error."""
    line, answers = Line(), list[Answered]()
    line.client.place("buy", "100", "0.0000009")
    line.troubled = 1
    run, bucket = line.run, Bucket()
    trio.run(run, [again, again], bucket, answers, 7.0, clock=MockClock(autojump_threshold=0))
    first, second = meanings(answers)
    assert UPSTREAM.decode()[:20] in first.reason
    assert isinstance(first, QueryFailed | CancelAnswered)
    assert isinstance(second, BalancesRead) or second.row is not None
    for name in (b"X-Auth-Apikey: ", b"X-Auth-Nonce: ", b"X-Auth-Signature: "):
        assert all(head.count(name) == 1 for head in line.heads)
    signatures = {head.partition(b"X-Auth-Signature: ")[2][:64] for head in line.heads}
    assert len(signatures) == len(line.heads) == 2


def test_trap_12_nothing_is_repeated_by_the_transport() -> None:
    """See above; a create that is repeated below us is a second order."""
    line, answers = Line(), list[Answered]()
    line.troubled = 1
    trio.run(line.run, [PLACE], Bucket(), answers, clock=MockClock(autojump_threshold=0))
    assert [type(what) for what in meanings(answers)] == [Unknown]
    assert len(line.heads) == 1


def test_trap_13_a_failing_request_is_tried_at_least_twice_a_minute_and_holds_up_nothing() -> None:
    """The wait was 2 + 1.05 * (1 + n^n) seconds, four and a half minutes at the fourth, and everything waited."""
    each = Quiet(buy(100, 90, repeat=False))
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    each.tamper = lambda command, reply: Reply(503, {}, UPSTREAM) if isinstance(command, ReadBalances) else reply
    asked_before, ticks_before = len(each.asked(ReadBalances)), each.engine.ticks
    each.run_for(600)
    times = [at for at, command in each.commands if isinstance(command, ReadBalances)][asked_before:]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) > 15
    assert max(waits) <= 31 * SECOND
    assert each.engine.ticks - ticks_before >= 590
    each.trade(Side.SELL, 100, 90)
    each.until(lambda: each.order().state is OrderState.FILLED, seconds=1)


def test_trap_13_a_stream_comes_back_within_thirty_seconds_however_often_it_failed() -> None:
    """See above."""
    dice = random.Random(13)
    assert max(back_off_s(failures, dice) for failures in range(1, 500)) <= 30
    assert back_off_s(1, dice) <= 2


BODIES: list[Any] = [
    {"errors": ["market.account.insufficient_balance"]},
    {"errors": "server.method_not_allowed"},
    {"errors": [{"message": "no"}, 7, None]},
    {"errors": []},
    {"errors": None},
    {"error": "text"},
    {"error": {"code": 2002, "message": "Failed to create order"}},
    {"error": {"code": 2002}},
    {"error": 7},
    {"status": 500},
    {},
    [],
    "errors",
    "no error in this response",
    "market.account.insufficient_balance",
    None,
    0,
]
COMMANDS: list[Command] = [
    PLACE,
    Cancel(1, "R"),
    ListOrders(1),
    ReadOrder(2, 1),
    ListTrades(3, 0),
    ReadBalances(4),
]


@pytest.mark.parametrize("status", [200, 201, 400, 401, 403, 404, 405, 422, 429, 471, 500, 503])
def test_trap_14_an_answer_of_any_shape_is_an_answer(status: int) -> None:
    """A list of errors, a missing key or a text where an object was expected raised, and left the order stuck."""
    for command in COMMANDS:
        for body in [json.dumps(body).encode() for body in BODIES] + [b"", b"<html>", b"{", b"\xff\xfe"]:
            found = interpret(command, Response(status, {}, body), grids([ROGER]))
            assert found, (command, body)
            if isinstance(command, Place):
                assert [what for what in found if isinstance(what, Unknown | Rejected)], body


@pytest.mark.parametrize("body", BODIES, ids=json.dumps)
def test_trap_14_a_create_that_was_refused_in_odd_words_is_followed_up(body: Any) -> None:
    """See above: the handler of the error raised, so that nobody knew of the order again."""
    each = Quiet(buy(100, 90))
    each.tamper = lambda command, reply: (
        Reply(500, {}, json.dumps(body).encode()) if command in each.asked(Place) else reply
    )
    each.frames = lambda stream, texts: [] if stream == "private" and each.asked(Place) else texts
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN, seconds=10)
    assert len(each.venue_orders()) == 1


def test_trap_15_a_word_in_a_text_is_not_a_key_of_an_object() -> None:
    """`"errors" in response` was asked of texts as well as of objects."""
    for text in ("errors", "no errors here", "market.account.insufficient_balance"):
        body = json.dumps(text).encode()
        assert error_codes(body) is None
        (told,) = interpret(PLACE, Response(422, {}, body), grids([ROGER]))
        assert isinstance(told, Unknown)  # a text proves nothing
        (failed,) = interpret(ReadOrder(1, 7), Response(404, {}, b'"record.not_found"'), grids([ROGER]))
        assert isinstance(failed, QueryFailed)
    (refused,) = interpret(
        PLACE, Response(422, {}, b'{"errors":["market.account.insufficient_balance"]}'), grids([ROGER])
    )
    assert isinstance(refused, Rejected)
