"""Does every switch of the sandbox do what its sentence says? Seen by a client that is not ours, on real sockets."""

from collections.abc import AsyncIterator
from decimal import Decimal
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from plain_client import Peers, Stream, peers
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from runner.altmarkets.server.answers import PROFILES
from runner.model.settings import MILLISECOND
from runner.simulation.exchange import Behaviour
from runner.simulation.faults import FAULTS

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def venue() -> AsyncIterator[Peers]:
    async with peers() as here:
        yield here


def test_every_fault_is_tried_here() -> None:
    source = Path(__file__).read_text()
    assert [name for name in FAULTS if f'"{name}"' not in source] == []


# The switches themselves ----------------------------------------------------------------------------------


async def test_the_endpoint_lists_what_there_is_and_what_is_on(venue: Peers) -> None:
    listed = await venue.catalogue()
    assert {one["name"] for one in listed["faults"]} == set(FAULTS)
    assert all(one["says"].endswith(".") for one in listed["faults"])
    assert listed["on"] == []
    await venue.fault("answer", "502", on="cancel", times=2)
    await venue.fault("lists_lag", "2s", **{"for": "1h"})
    first, second = (await venue.catalogue())["on"]
    assert (first["name"], first["on"], first["times_left"]) == ("answer", "cancel", 2)
    assert second["name"] == "lists_lag"
    assert 3_500 < second["seconds_left"] <= 3_600
    await venue.told({"off": "answer"})
    assert [one["name"] for one in (await venue.catalogue())["on"]] == ["lists_lag"]


@pytest.mark.parametrize(
    ("told", "code"),
    [
        ({"name": "earthquake"}, "control.name"),
        ({"name": "answer", "value": "418"}, "control.value"),
        ({"name": "auth_delay", "value": "6"}, "control.value"),
        ({"name": "lists_lag", "on": "create"}, "control.on"),
        ({"name": "answer", "chance": 2}, "control.chance"),
        ({"name": "answer", "times": 0}, "control.times"),
        ({"name": "answer", "soon": 1}, "control.soon"),
        ({"name": "answer", "at": "x"}, "control.at"),
        ({"off": "earthquake"}, "control.off"),
        ({"name": "deposit", "value": "1 XYZ"}, "control.cannot_happen"),
        ({"name": "human_cancel", "account": "nobody"}, "control.cannot_happen"),
        ("answer", "control.name"),
    ],
)
async def test_a_wrong_switch_says_why_and_nothing_of_its_list_is_done(venue: Peers, told: Any, code: str) -> None:
    answer = await venue.told({"name": "numbers", "at": "1h"}, told)
    assert (answer.status_code, answer.json()["errors"]) == (422, [code])
    assert (await venue.catalogue())["on"] == []


async def test_a_page_in_a_browser_cannot_throw_switches(venue: Peers) -> None:
    url = venue.me.rest_url.removesuffix("/api/v2/peatio") + "/sandbox/control"
    answer = await venue.me.http.post(url, json={"name": "numbers"}, headers={"Origin": "http://example.org"})
    assert answer.status_code == 403


async def test_a_planned_fault_begins_by_itself(venue: Peers) -> None:
    async with venue.me.stream("balance") as stream:
        await stream.next()
        await venue.fault("deposit", "7 USDT", at="50ms")
        assert (await stream.next())["balance"]["balance"] == "20007.0"


# Requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [
        ("403", 403, ""),
        ("429", 429, "Retry later\n"),
        ("471", 471, '{"errors":["authz.restrict.maintenance"]}'),
        ("500", 500, '{"errors":["server.internal_error"]}'),
        ("502", 502, "<html>"),
        ("503", 503, "upstream connect error or disconnect/reset before headers"),
        ("504", 504, "upstream request timeout"),
    ],
)
async def test_refused_requests_go_no_further(venue: Peers, value: str, status: int, body: str) -> None:
    await venue.fault("refuse", value, times=1)
    answer = await venue.me.create("buy", "10", "0.00001")
    assert answer.status_code == status
    assert answer.text.startswith(body)
    assert bool(answer.text) == bool(body)
    assert ("retry-after" in answer.headers) == (status == 429)
    assert await venue.me.get("/market/orders") == []


@pytest.mark.parametrize("name", ["lost", "answer"])
async def test_no_answer_is_a_cut_line_whether_it_was_done_or_not(venue: Peers, name: str) -> None:
    await venue.fault(name, "cut", times=1, on="create")
    with pytest.raises(httpx.RemoteProtocolError):
        await venue.me.create("buy", "10", "0.00001")
    assert len(await venue.me.get("/market/orders")) == (name == "answer")


@pytest.mark.parametrize("name", ["lost", "answer"])
async def test_no_answer_is_silence(venue: Peers, name: str) -> None:
    await venue.fault(name, "hang", times=1, on="create")
    venue.me.http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        await venue.me.create("buy", "10", "0.00001")
    assert len(await venue.me.get("/market/orders")) == (name == "answer")


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [
        ("422", 422, '{"errors":["market.order.create_error"]}'),
        ("429", 429, "Retry later"),
        ("500", 500, '{"errors":["server.internal_error"]}'),
        ("502", 502, "<html>"),
        ("503", 503, "upstream connect error"),
        ("504", 504, "upstream request timeout"),
        ("html", 200, "<html>"),
        ("garbage", 201, '{"id":'),
    ],
)
async def test_done_and_answered_otherwise(venue: Peers, value: str, status: int, body: str) -> None:
    await venue.fault("answer", value)
    answer = await venue.me.create("buy", "10", "0.00001", client_id="GHOST")
    assert answer.status_code == status
    assert answer.text.startswith(body)
    (row,) = await venue.me.get("/market/orders")
    assert row["client_id"] == "GHOST"


@pytest.mark.parametrize(("value", "which"), [("first", 0), ("second", 1)])
async def test_a_create_that_a_proxy_repeats(venue: Peers, value: str, which: int) -> None:
    await venue.fault("twice", value, times=1)
    answered = (await venue.me.create("buy", "10", "0.00001", client_id="ONCE")).json()
    rows = sorted(await venue.me.get("/market/orders"), key=lambda row: row["id"])
    assert [row["client_id"] for row in rows] == ["ONCE", "ONCE"]
    assert answered["id"] == rows[which]["id"]


async def test_a_nonce_that_grows_old_on_its_way(venue: Peers) -> None:
    await venue.fault("auth_delay", "200ms", times=1)
    late = await venue.me.ask("POST", "/market/orders", age_ms=4_900, market="rogerbtc")
    assert (late.status_code, late.json()) == (401, {"errors": ["authz.nonce_expired"]})


async def test_authorised_at_once_and_done_much_later(venue: Peers) -> None:
    await venue.fault("act_delay", "200ms", times=2)
    refused = await venue.me.ask("POST", "/market/orders", age_ms=5_001)
    assert refused.json() == {"errors": ["authz.nonce_expired"]}  # the signature is not what waits
    venue.me.http.timeout = httpx.Timeout(0.05)
    fields = {"market": "rogerbtc", "side": "buy", "volume": "10", "price": "0.00001"}
    async with venue.me.stream("order") as stream:
        await stream.next()
        with pytest.raises(httpx.ReadTimeout):
            await venue.me.ask("POST", "/market/orders", age_ms=4_900, **fields)
        assert (await stream.next())["order"]["state"] == "pending"  # whoever sent it has gone


async def test_the_stream_is_faster_than_the_answer(venue: Peers) -> None:
    await venue.fault("answer_delay", "300ms")
    answered: list[httpx.Response] = []

    async def create() -> None:
        answered.append(await venue.me.create("buy", "10", "0.00001"))

    async with venue.me.stream("order") as stream, anyio.create_task_group() as tasks:
        await stream.next()
        tasks.start_soon(create)
        assert [(await stream.next())["order"]["state"] for _ in range(2)] == ["pending", "wait"]
        assert answered == []
    assert answered[0].json()["state"] == "pending"


async def test_more_requests_than_the_limit(venue: Peers) -> None:
    await venue.fault("rate_limit", "3/12s")
    assert [(await venue.me.ask("GET", "/market/orders")).status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = await venue.me.ask("GET", "/market/orders")
    assert refused.text == "Retry later\n"
    assert 1 <= int(refused.headers["retry-after"]) <= 13
    assert (await venue.other.ask("GET", "/market/orders")).status_code == 200  # another key
    assert (await venue.me.ask("GET", "/public/markets")).status_code == 200  # no key


# Lists ----------------------------------------------------------------------------------------------------


async def test_lists_that_lag(venue: Peers) -> None:
    order_id = await venue.me.place("buy", "10", "0.00001")
    await venue.fault("lists_lag", "30s")
    assert await venue.me.get("/market/orders") == []
    assert (await venue.me.order(order_id))["state"] == "wait"
    await venue.off()
    assert len(await venue.me.get("/market/orders")) == 1


async def test_lists_that_shift_and_do_not_filter(venue: Peers) -> None:
    ids = [await venue.me.place("buy", "10", "0.00001") for _ in range(4)]
    await venue.me.cancel(ids[0])
    await venue.me.state(ids[0], "cancel")
    await venue.fault("lists_shift")
    pages = [await venue.me.get(f"/market/orders?state=wait&limit=1&page={page}") for page in (1, 2)]
    assert [row["id"] for page in pages for row in page] == [ids[3], ids[1]]
    await venue.off()
    await venue.fault("lists_unfiltered")
    rows = await venue.me.get("/market/orders?state=wait&market=ltcbtc&time_to=5")
    assert {row["id"] for row in rows} == set(ids)


@pytest.mark.parametrize(
    ("how", "shown"),
    [
        ("null", None),
        ("cut", "Abcdefghijklmnopqrstuv"),
        ("upper", "ABCDEFGHIJKLMNOPQRSTUVW"),
        ("lower", "abcdefghijklmnopqrstuvw"),
    ],
)
async def test_client_ids_that_are_not_what_was_sent(venue: Peers, how: str, shown: str | None) -> None:
    order_id = await venue.me.place("buy", "10", "0.00001", client_id="Abcdefghijklmnopqrstuvw")
    await venue.fault("client_id", how)
    (row,) = await venue.me.get("/market/orders")
    assert row["client_id"] == (await venue.me.order(order_id))["client_id"] == shown


async def test_numbers_for_texts_and_unknown_fields(venue: Peers) -> None:
    await venue.fault("numbers")
    await venue.fault("extra_fields")
    async with venue.me.stream("order", "rogerbtc.ob-inc") as stream:
        snapshot, *_, confirmed = await stream.until("success")
        assert "x_meta" in snapshot["rogerbtc.ob-snap"]
        assert "order" in confirmed["success"]["streams"]
        order_id = await venue.me.place("buy", "10", "0.00001")
        pending = (await stream.next())["order"]
        assert (pending["price"], pending["origin_volume"]) == (0.00001, 10.0)
        assert "x_meta" in pending
    row = await venue.me.order(order_id)
    assert (row["price"], row["remaining_volume"]) == (0.00001, 10.0)
    assert "x_revision" in row
    assert isinstance((await venue.me.get("/account/balances"))[0]["balance"], float)


# Orders ---------------------------------------------------------------------------------------------------


async def test_rejected_after_201(venue: Peers) -> None:
    await venue.fault("reject", times=1)
    answer = await venue.me.create("buy", "10", "0.00001")
    assert (answer.status_code, answer.json()["state"]) == (201, "pending")
    await venue.me.state(answer.json()["id"], "reject")
    assert (await venue.me.balances())["btc"][1] == 0


async def test_pending_for_long_and_then_alive(venue: Peers) -> None:
    await venue.fault("pending_stuck", "300ms", times=1)
    await venue.fault("pending_cancels_lost")
    order_id = (await venue.me.create("buy", "10", "0.00001")).json()["id"]
    assert (await venue.me.cancel(order_id))["state"] == "pending"
    assert (await venue.me.order(order_id))["state"] == "pending"
    await venue.me.state(order_id, "wait")


async def test_cancels_that_are_late_or_lost(venue: Peers) -> None:
    order_id = await venue.me.place("buy", "10", "0.00001")
    await venue.fault("cancels_lost", times=1)
    await venue.fault("cancel_delay", "100ms")
    async with venue.me.stream("order") as stream:
        await stream.next()
        assert (await venue.me.cancel(order_id))["state"] == "wait"  # this one is lost
        assert (await venue.me.cancel(order_id))["state"] == "wait"
        assert (await stream.next())["order"]["state"] == "cancel"


async def test_an_order_that_the_engine_never_heard_of_until_it_restarts(venue: Peers) -> None:
    await venue.fault("engine_misses", times=1)
    async with venue.me.stream("rogerbtc.ob-inc", public=True) as book:
        await book.until("success")
        order_id = await venue.me.place("buy", "10", "0.00001")
        await venue.me.cancel(order_id)
        assert await book.next() == {"rogerbtc.ob-inc": {"bids": ["0.00001", ""], "sequence": 2}}  # nothing was found
        assert (await venue.me.order(order_id))["state"] == "wait"
        await venue.fault("engine_restart")
        await venue.me.cancel(order_id)
        await venue.me.state(order_id, "cancel")
        assert await book.next() == {"rogerbtc.ob-inc": {"bids": ["0.00001", ""], "sequence": 2}}


async def test_a_restart_of_the_engine_loses_cancels_and_numbers_but_no_order() -> None:
    async with peers(behaviour=Behaviour(pending_delay=0, cancel_delay=300 * MILLISECOND)) as venue:
        first = await venue.me.place("buy", "10", "0.00001")
        second = await venue.me.place("buy", "10", "0.00001")
        async with venue.me.stream("rogerbtc.ob-inc", public=True) as book:
            await book.until("success")
            await venue.me.cancel(first)
            await venue.fault("engine_restart", "rogerbtc")
            await venue.other.place("sell", "10", "0.00001")
            assert await book.next() == {"rogerbtc.ob-inc": {"bids": ["0.00001", "10.0"], "sequence": 2}}
        assert (await venue.me.order(first))["state"] == "done"  # by id: it is the older one
        assert (await venue.me.order(second))["state"] == "wait"
        async with venue.me.stream("rogerbtc.ob-inc", public=True) as book:
            (snapshot, _) = await book.until("success")  # a new engine's first change comes with a snapshot
            assert snapshot["rogerbtc.ob-snap"] == {"asks": [], "bids": [["0.00001", "10.0"]], "sequence": 2}


# Streams --------------------------------------------------------------------------------------------------


async def states(stream: Stream, count: int) -> list[str]:
    return [(await stream.next())["order"]["state"] for _ in range(count)]


async def test_private_messages_lost_and_twice(venue: Peers) -> None:
    async with venue.me.stream("order") as stream:
        await stream.next()
        await venue.fault("lose_private", "order", times=1)
        await venue.me.place("buy", "10", "0.00001")
        assert await states(stream, 1) == ["wait"]
        await venue.fault("duplicate_private", "order", times=1)
        await venue.me.place("buy", "10", "0.00001")
        assert await states(stream, 3) == ["pending", "pending", "wait"]


async def test_private_messages_overtake_each_other(venue: Peers) -> None:
    await venue.fault("reorder_private", "200ms")
    async with venue.me.stream("order") as stream:
        await stream.next()
        ids = [await venue.me.place("buy", "10", "0.00001") for _ in range(5)]
        told = [(await stream.next())["order"] for _ in range(10)]
    in_order = [(id_, state) for id_ in ids for state in ("pending", "wait")]
    assert sorted((one["id"], one["state"]) for one in told) == in_order
    assert [(one["id"], one["state"]) for one in told] != in_order


async def test_nested_increments_and_json_pings(venue: Peers) -> None:
    await venue.fault("nested_increments")
    async with venue.me.stream("rogerbtc.ob-inc", public=True) as stream:
        await stream.until("success")
        await venue.me.place("buy", "10", "0.00001")
        assert await stream.next() == {"rogerbtc.ob-inc": {"bids": [["0.00001", "10.0"]], "sequence": 2}}
        await venue.fault("json_ping", "20ms")
        for _ in range(2):
            assert isinstance((await stream.next())["ping"], int)


async def test_a_gap_in_the_sequence(venue: Peers) -> None:
    async with venue.me.stream("rogerbtc.ob-inc", public=True) as stream:
        await stream.until("success")
        await venue.fault("sequence_gap", "rogerbtc")
        await venue.me.place("buy", "10", "0.00001")
        await venue.me.place("buy", "10", "0.00001")
        assert (await stream.next())["rogerbtc.ob-inc"]["sequence"] == 3
        await stream.say({"event": "subscribe", "streams": ["rogerbtc.ob-inc"]})
        again = [next(iter(one.values())).get("sequence") for one in await stream.until("success")]
        assert again == [1, 2, 3, None]


@pytest.mark.parametrize("name", ["drop_private", "drop_public", "stream_restart"])
async def test_sockets_are_cut_without_goodbye(venue: Peers, name: str) -> None:
    async with venue.me.stream("order") as private, venue.me.stream("rogerbtc.ob-inc", public=True) as public:
        for stream in (private, public):
            await stream.until("success")
        await venue.fault(name)
        for stream, is_cut in ((private, name != "drop_public"), (public, name != "drop_private")):
            if is_cut:
                with pytest.raises(ConnectionClosed) as closed:
                    await stream.next()
                assert closed.value.rcvd is None
            else:
                await stream.say("ping")
                assert await stream.text() == "pong"
    async with venue.me.stream("rogerbtc.ob-inc", public=True) as stream:
        # A stream server that has just begun has no snapshot yet.
        assert len(await stream.until("success")) == (1 if name == "stream_restart" else 2)


@pytest.mark.parametrize("endpoint", ["public", "private"])
async def test_a_handshake_that_is_refused(venue: Peers, endpoint: str) -> None:
    await venue.fault("handshake", "502", times=1)
    with pytest.raises(InvalidStatus) as refused:
        async with venue.me.stream("order", public=endpoint == "public"):
            pass
    assert refused.value.response.status_code == 502
    assert refused.value.response.body.startswith(b"<html>")
    async with venue.me.stream("order", public=endpoint == "public") as stream:
        await stream.next()


async def test_a_handshake_that_is_none(venue: Peers) -> None:
    await venue.fault("handshake", "garbage", times=1)
    with pytest.raises(InvalidMessage):
        async with venue.me.stream("order"):
            pass
    await venue.fault("handshake", "hang", times=1)
    with anyio.move_on_after(0.2) as patience:
        async with venue.me.stream("order"):
            pass
    assert patience.cancelled_caught
    assert await venue.me.get("/public/timestamp"), "requests are answered as ever"
    async with venue.me.stream("order") as stream:
        await stream.next()


async def test_a_socket_that_is_cut_behind_its_handshake(venue: Peers) -> None:
    await venue.fault("handshake", "cut", times=1)
    async with venue.me.stream("rogerbtc.ob-inc", public=True) as stream:
        with pytest.raises(ConnectionClosed) as closed:
            await stream.next()
    assert closed.value.rcvd is None
    async with venue.me.stream("rogerbtc.ob-inc", public=True) as stream:
        await stream.next()


async def test_a_line_that_is_half_open(venue: Peers) -> None:
    async with venue.me.stream("order") as stream:
        await stream.next()
        await venue.fault("half_open", "private")
        await stream.say("ping")
        await venue.me.place("buy", "10", "0.00001")
        with anyio.move_on_after(0.2) as patience:
            await stream.text()
        assert patience.cancelled_caught
        async with venue.me.stream("order") as other:  # a new line is well
            await other.next()
            await venue.me.place("buy", "10", "0.00001")
            assert await states(other, 2) == ["pending", "wait"]


# The exchange and other people ----------------------------------------------------------------------------


async def test_the_clock_jumps(venue: Peers) -> None:
    await venue.fault("clock_jump", "+1h")
    refused = await venue.me.ask("GET", "/market/orders")
    assert refused.json() == {"errors": ["authz.nonce_expired"]}
    answer = await venue.me.ask("GET", "/market/orders", age_ms=-3_600_000)
    assert answer.status_code == 200
    shown = parsedate_to_datetime(answer.headers["date"]).timestamp()
    await venue.fault("clock_jump", "-1h")
    back = await venue.me.ask("GET", "/market/orders")
    assert back.status_code == 200
    assert 3_590 < shown - parsedate_to_datetime(back.headers["date"]).timestamp() <= 3_600
    await venue.me.place("buy", "10", "0.00001")


async def test_deposits_and_withdrawals_are_listed(venue: Peers) -> None:
    await venue.fault("deposit", "250 USDT")
    await venue.fault("deposit", "-1.5 BTC")
    await venue.fault("deposit", "3 BTC", account="alice")
    balances = await venue.me.balances()
    assert (balances["usdt"][0], balances["btc"][0]) == (Decimal(20_250), Decimal("3.5"))
    (deposit,) = await venue.me.get("/account/deposits")
    (withdraw,) = await venue.me.get("/account/withdraws?currency=btc")
    assert (deposit["currency"], deposit["amount"], deposit["state"]) == ("usdt", "250.0", "collected")
    assert (withdraw["currency"], withdraw["amount"], withdraw["state"]) == ("btc", "1.5", "succeed")
    assert [row["type"] for row in await venue.me.get("/account/transactions")] == ["Withdraw", "Deposit"]
    assert await venue.me.get("/account/withdraws?currency=usdt") == []


async def test_fees_change_for_new_orders_only(venue: Peers) -> None:
    old = await venue.me.place("sell", "10", "0.00001")
    await venue.fault("fees", "0.001/0.002")
    (row,) = await venue.me.get("/public/trading_fees")
    assert (row["maker"], row["taker"]) == ("0.001", "0.002")
    new = await venue.me.place("sell", "10", "0.00001")
    assert [(await venue.me.order(id_))["maker_fee"] for id_ in (old, new)] == ["0.0025", "0.001"]
    await venue.other.place("buy", "20", "0.00001")
    fills = await venue.me.get("/market/trades?order_by=asc")
    assert [row["fee"] for row in fills] == ["0.0025", "0.001"]
    assert [row["fee"] for row in await venue.other.get("/market/trades")] == ["0.002", "0.002"]


@pytest.mark.parametrize("kind", ["altmarkets", "2.4", "2.5"])
async def test_a_hidden_market_is_open_to_the_api_since_2_5(kind: str) -> None:
    async with peers(PROFILES[kind]) as venue:
        order_id = await venue.me.place("buy", "10", "0.00001")
        await venue.fault("hide_market", "rogerbtc")
        states = {row["id"]: row["state"] for row in await venue.me.get("/public/markets")}
        again = await venue.me.create("buy", "10", "0.00001")
        if kind == "2.5":
            assert states["rogerbtc"] == "hidden"
            assert again.status_code == 201
            assert len(await venue.me.get("/market/orders?market=rogerbtc")) == 2
            assert (await venue.me.get("/public/markets/rogerbtc/tickers"))["ticker"]
        else:
            assert "rogerbtc" not in states
            assert again.json() == {"errors": ["market.market.doesnt_exist_or_not_enabled"]}
            assert await venue.me.errors("/market/orders?market=rogerbtc") == ["market.market.doesnt_exist"]
            assert await venue.me.errors("/public/markets/rogerbtc/tickers") == ["public.market.doesnt_exist"]
        assert set(states.values()) == {"enabled"} | ({"hidden"} if kind == "2.5" else set())
        await venue.me.cancel(order_id)
        await venue.me.state(order_id, "cancel")


async def test_a_disabled_market_keeps_its_orders(venue: Peers) -> None:
    order_id = await venue.me.place("buy", "10", "0.00001")
    await venue.fault("disable_market", "rogerbtc")
    refused = await venue.me.create("buy", "10", "0.00001")
    assert refused.json() == {"errors": ["market.market.doesnt_exist_or_not_enabled"]}
    assert await venue.me.errors("/market/orders?market=rogerbtc") == ["market.market.doesnt_exist"]
    assert await venue.me.errors("/market/trades?market=rogerbtc") == ["market.market.doesnt_exist"]
    assert [row["id"] for row in await venue.me.get("/market/orders")] == [order_id]
    await venue.me.cancel(order_id)
    await venue.me.state(order_id, "cancel")


async def test_more_than_a_page_of_markets_and_currencies(venue: Peers) -> None:
    await venue.fault("more_markets", "150")
    for path in ("/public/markets", "/public/currencies", "/account/balances"):
        assert len(await venue.me.get(path)) == 100, path
        answer = await venue.me.ask("GET", f"{path}?limit=1000")
        assert len(answer.json()) == int(answer.headers["total"]) > 150, path
    order = await venue.me.create("sell", "1", "0.00001", market="x0154btc")
    assert order.status_code == 201, order.text


async def test_a_human_on_the_same_account(venue: Peers) -> None:
    await venue.other.place("sell", "100", "0.00002")
    mine = await venue.me.place("buy", "10", "0.00001", client_id="MINE")
    await venue.fault("human_twin", times=1)
    await venue.me.place("buy", "11", "0.00001", client_id="MINE-TOO")
    await venue.fault("human_order", "buy 5 ROGER-BTC")
    await venue.fault("human_order", "sell 6 rogerbtc at 0.5")
    rows = await venue.me.get("/market/orders")
    told = {(row["client_id"], row["side"], row["origin_volume"], row["price"]) for row in rows}
    assert told == {
        ("MINE", "buy", "10.0", "0.00001"),
        ("MINE-TOO", "buy", "11.0", "0.00001"),
        (None, "buy", "11.0", "0.00001"),
        (None, "buy", "5.0", None),
        (None, "sell", "6.0", "0.5"),
    }
    await venue.fault("human_cancel")
    await venue.me.state(mine, "cancel")
    assert await venue.me.get("/market/orders?state=wait") == []


async def test_a_self_trade_is_listed_once_and_told_twice(venue: Peers) -> None:
    await venue.other.place("buy", "10", "0.00001")
    async with venue.me.stream("trade") as stream:
        await stream.next()
        await venue.fault("self_trade", "rogerbtc")
        first, second = (await stream.next())["trade"], (await stream.next())["trade"]
    assert first == second
    (row,) = await venue.me.get("/market/trades")
    assert (row["order_id"], row["side"], row["taker_type"]) == (first["order_id"], "sell", "buy")


async def test_two_trades_of_one_order_in_one_second(venue: Peers) -> None:
    order_id = await venue.me.place("buy", "10", "0.00001")
    async with venue.me.stream("trade") as stream:
        await stream.next()
        await venue.fault("two_trades")
        trades = [(await stream.next())["trade"] for _ in range(2)]
    assert {trade["order_id"] for trade in trades} == {order_id}
    assert len({trade["id"] for trade in trades}) == 2
    assert len({trade["created_at"] for trade in trades}) == 1
    assert (await venue.me.order(order_id))["state"] == "done"
