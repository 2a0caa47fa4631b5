"""Is the sandbox the exchange of the reference? Asked by a client that shares no code with our own.

Rows of the table of section 11, its eight points that must be reproduced, and the codes of section 12.
"""

import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from plain_client import Peers, peers
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from runner.altmarkets.server.answers import PROFILES
from runner.model.settings import MILLISECOND
from runner.simulation.exchange import Behaviour

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def venue() -> AsyncIterator[Peers]:
    async with peers() as here:
        yield here


# The table of section 11 ----------------------------------------------------------------------------------

PAGED, COUNTED = {"per-page", "page"}, {"total", "per-page", "page"}


async def test_every_row_of_the_table(venue: Peers) -> None:
    me = venue.me
    order_id = await me.place("buy", "10", "0.00001")
    order = await me.order(order_id)
    for method, path, status, headers in (
        *(("GET", f"/public/{name}", 200, set()) for name in ("timestamp", "version", "member-levels")),
        *(("GET", f"/public/health/{name}", 200, set()) for name in ("alive", "ready")),
        *(("GET", f"/public/{name}", 200, COUNTED) for name in ("markets", "currencies", "trading_fees")),
        *(
            ("GET", f"/public/markets/rogerbtc/{name}", 200, set())
            for name in ("depth", "order-book", "trades", "tickers", "k-line")
        ),
        ("GET", "/public/markets/tickers", 200, set()),
        ("GET", "/public/currencies/btc", 200, set()),
        ("GET", "/market/orders", 200, PAGED),
        ("GET", f"/market/orders/{order_id}", 200, set()),
        ("GET", f"/market/orders/{order['uuid']}", 200, set()),
        ("GET", "/market/orders/999999", 404, set()),
        ("GET", "/market/orders/None", 422, set()),
        ("POST", "/market/orders/999999/cancel", 404, set()),
        ("POST", "/market/orders/None/cancel", 422, set()),
        ("POST", f"/market/orders/{order['uuid']}/cancel", 201, set()),
        ("POST", "/market/orders/cancel", 201, set()),
        ("GET", "/market/trades", 200, PAGED),
        ("GET", "/account/balances", 200, COUNTED),
        ("GET", "/account/balances/btc", 200, set()),
        ("GET", "/account/balances/xyz", 422, set()),
        *(("GET", f"/account/{name}", 200, COUNTED) for name in ("deposits", "withdraws", "transactions")),
        ("GET", "/public/config", 404, set()),
        ("PUT", "/public/markets", 405, set()),
        ("GET", "/management/orders", 401, set()),
    ):
        answer = await me.ask(method, path)
        assert answer.status_code == status, (path, answer.text)
        assert {"total", "per-page", "page"} & answer.headers.keys() == headers, path
    for path in ("/market/orders", "/market/trades", "/account/balances", "/account/deposits"):
        assert (await me.http.get(path)).status_code == 401, path
    malformed = await me.http.post("/market/orders", content=b"{", headers=me.signed())
    assert (malformed.status_code, malformed.json()) == (400, {"errors": "server.method.invalid_message_body"})
    assert (await me.ask("PUT", "/public/markets")).json() == {"errors": "server.method_not_allowed"}
    assert (await me.http.get("/public/config")).text == "404 Not Found"


async def test_the_streams_of_the_table(venue: Peers) -> None:
    async with venue.me.stream(public=True) as stream:
        assert await stream.next() == {"success": {"message": "subscribed", "streams": []}}
    async with venue.me.stream("order", "trade", "rogerbtc.trades") as stream:
        names = ["rogerbtc.trades", "order", "trade"]  # public ones first
        assert await stream.next() == {"success": {"message": "subscribed", "streams": names}}
    for headers, status, code in (
        ({}, 401, "authz.invalid_session"),
        ({"X-Auth-Apikey": "k"}, 422, "authz.invalid_api_key_headers"),
        (venue.me.signed(age_ms=5_001), 401, "authz.nonce_expired"),
    ):
        venue.me.signed = lambda headers=headers: headers  # type: ignore[method-assign]
        with pytest.raises(InvalidStatus) as refused:
            async with venue.me.stream("order"):
                pass
        response = refused.value.response
        assert (response.status_code, json.loads(response.body)) == (status, {"errors": [code]})


# Section 12 -----------------------------------------------------------------------------------------------

CODES = (
    ("/public/markets?limit=x", "admin.pagination.non_integer_limit"),
    ("/public/markets?limit=0", "admin.pagination.invalid_limit"),
    ("/public/markets?limit=1001", "admin.pagination.invalid_limit"),
    ("/public/markets?page=x", "admin.pagination.non_integer_page"),
    ("/public/markets?ordering=x", "public.markets.invalid_ordering"),
    ("/public/markets?order_by=x", "public.markets.invalid_order_by"),
    ("/public/markets?base_unit=xyz", "public.markets.base_unit_doesnt_exist"),
    ("/public/markets?quote_unit=xyz", "public.markets.quote_unit_doesnt_exist"),
    ("/public/markets/nope/depth", "public.market.doesnt_exist"),
    ("/public/markets/rogerbtc/depth?limit=x", "public.market_depth.non_integer_limit"),
    ("/public/markets/rogerbtc/depth?limit=0", "public.market_depth.invalid_limit"),
    ("/public/markets/rogerbtc/order-book?asks_limit=x", "public.order_book.non_integer_ask_limit"),
    ("/public/markets/rogerbtc/order-book?asks_limit=201", "public.order_book.invalid_ask_limit"),
    ("/public/markets/rogerbtc/order-book?bids_limit=x", "public.order_book.non_integer_bid_limit"),
    ("/public/markets/rogerbtc/order-book?bids_limit=0", "public.order_book.invalid_bid_limit"),
    ("/public/markets/rogerbtc/trades?limit=x", "public.trade.non_integer_limit"),
    ("/public/markets/rogerbtc/trades?limit=1001", "public.trade.invalid_limit"),
    ("/public/markets/rogerbtc/trades?timestamp=x", "public.trade.non_integer_timestamp"),
    ("/public/markets/rogerbtc/trades?order_by=x", "public.trade.invalid_order_by"),
    ("/public/markets/rogerbtc/k-line?period=x", "public.k_line.non_integer_period"),
    ("/public/markets/rogerbtc/k-line?period=7", "public.k_line.invalid_period"),
    *(
        (f"/public/markets/rogerbtc/k-line?{name}={value}", f"public.k_line.{kind}_{name}")
        for name in ("time_from", "time_to")
        for value, kind in (("x", "non_integer"), ("", "empty"))
    ),
    ("/public/markets/rogerbtc/k-line?limit=x", "public.k_line.non_integer_limit"),
    ("/public/markets/rogerbtc/k-line?limit=10001", "public.k_line.invalid_limit"),
    ("/public/currencies/xyz", "public.currency.doesnt_exist"),
    ("/public/currencies?type=x", "public.currency.invalid_type"),
    ("/public/trading_fees?market_id=x", "public.trading_fee.market_doesnt_exist"),
    ("/market/orders?market=x", "market.market.doesnt_exist"),
    ("/market/orders?base_unit=xyz", "market.market.doesnt_exist"),
    ("/market/orders?state=x", "market.order.invalid_state"),
    ("/market/orders?state[]=wait&state[]=x", "market.order.invalid_state"),
    ("/market/orders?order_by=x", "market.order.invalid_order_by"),
    ("/market/orders?ord_type=x", "market.order.invalid_ord_type"),
    ("/market/orders?type=x", "market.order.invalid_type"),
    ("/market/trades?market=x", "market.market.doesnt_exist"),
    ("/market/trades?order_by=x", "market.trade.invalid_order_by"),
    *(
        (f"/market/{noun}s?{name}={value}", f"market.{noun}.{code}")
        for noun in ("order", "trade")
        for name, value, code in (
            ("limit", "x", "non_integer_limit"),
            ("limit", "1001", "invalid_limit"),
            ("page", "x", "non_integer_page"),
            ("page", "", "empty_page"),
            ("time_from", "x", "non_integer_time_from"),
            ("time_from", "", "empty_time_from"),
            ("time_to", "x", "non_integer_time_to"),
            ("time_to", "", "empty_time_to"),
        )
    ),
    ("/account/balances?limit=x", "admin.pagination.non_integer_limit"),
    ("/account/balances?nonzero=x", "account.balances.invalid_nonzero"),
    ("/account/balances/xyz", "account.currency.doesnt_exist"),
    *(
        (f"/account/{noun}s?{name}={value}", code if "." in code else f"account.{noun}.{code}")
        for noun in ("deposit", "withdraw")
        for name, value, code in (
            ("currency", "xyz", "account.currency.doesnt_exist"),
            ("state", "x", "invalid_state"),
            ("txid", "", "empty_txid"),
            ("limit", "x", "non_integer_limit"),
            ("limit", "101", "invalid_limit"),
            ("page", "x", "non_integer_page"),
            ("page", "0", "non_positive_page"),
        )
    ),
)

ORDER = {"market": "rogerbtc", "side": "buy", "volume": "10", "price": "0.00001"}

CREATE_CODES: tuple[tuple[dict[str, Any], str], ...] = (
    ({"market": ...}, "market.order.missing_market"),
    ({"market": "nope"}, "market.market.doesnt_exist_or_not_enabled"),
    ({"side": ...}, "market.order.missing_side"),
    ({"side": "up"}, "market.order.invalid_side"),
    ({"volume": ...}, "market.order.missing_volume"),
    ({"volume": "x"}, "market.order.non_decimal_volume"),
    ({"volume": "0"}, "market.order.non_positive_volume"),
    ({"price": ...}, "market.order.missing_price"),
    ({"price": "x"}, "market.order.non_decimal_price"),
    ({"price": "-1"}, "market.order.non_positive_price"),
    ({"ord_type": "stop"}, "market.order.invalid_type"),
    ({"ord_type": "market"}, "market.order.market_order_price"),
    ({"ord_type": "market", "price": None}, "market.order.market_order_price"),
    ({"ord_type": "market", "price": ...}, "market.order.insufficient_market_liquidity"),
    ({"volume": "99999999"}, "market.account.insufficient_balance"),
    ({"volume": "99999999.123"}, "market.account.insufficient_balance"),  # before the rules of the market
    ({"volume": "0.5"}, "market.order.invalid_volume_or_price"),
    ({"volume": "1.501"}, "market.order.invalid_volume_or_price"),
    ({"price": "0.000000001"}, "market.order.invalid_volume_or_price"),
    ({"client_id": "x" * 33}, "market.order.invalid_client_id"),
)


async def test_every_code_of_section_12(venue: Peers) -> None:
    for path, code in CODES:
        assert code in await venue.me.errors(path), path
    for changes, code in CREATE_CODES:
        wanted = {name: value for name, value in (ORDER | changes).items() if value is not ...}
        answer = await venue.me.ask("POST", "/market/orders", **wanted)
        assert answer.status_code == 422, (changes, answer.text)
        assert code in answer.json()["errors"], changes
    bad_side = await venue.me.ask("POST", "/market/orders/cancel", side="up")
    assert (bad_side.status_code, bad_side.json()) == (422, {"errors": ["value"]})
    assert await venue.me.get("/market/orders") == []


async def test_signatures_are_checked_in_the_order_of_section_2(venue: Peers) -> None:
    me = venue.me
    good = me.signed()

    async def code(method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, str]:
        answer = await me.http.request(method, "/market/orders", headers=headers)
        (one,) = answer.json()["errors"]
        return answer.status_code, one

    assert await code() == (401, "authz.invalid_session")
    assert await code("POST") == (401, "authz.missing_csrf_token")
    assert await code(headers={**good, "X-Auth-Nonce": ""}) == (422, "authz.invalid_api_key_headers")
    assert await code(headers={**good, "X-Auth-Apikey": "x", "X-Auth-Nonce": "x"}) == (401, "authz.unexistent_apikey")
    assert await code(headers={**good, "X-Auth-Nonce": "-1"}) == (401, "authz.nonce_not_valid_timestamp")
    for age_ms in (5_001, -5_500):  # symmetric
        late = me.signed(age_ms) | {"X-Auth-Signature": "wrong"}
        assert await code(headers=late) == (401, "authz.nonce_expired")
    assert await code(headers=good | {"X-Auth-Signature": good["X-Auth-Signature"].upper()}) == (
        401,
        "authz.invalid_signature",
    )
    for _ in range(2):  # and no table of what was used
        assert (await me.http.get("/market/orders", headers=good)).status_code == 200


# Must reproduce -------------------------------------------------------------------------------------------


async def test_1_pending_then_wait_with_an_event_for_each() -> None:
    async with peers(behaviour=Behaviour()) as venue, venue.me.stream("order") as stream:
        created = (await venue.me.create("buy", "10", "0.00001", client_id="MINE-1")).json()
        assert (created["state"], created["executed_volume"], created["client_id"]) == ("pending", "0.0", "MINE-1")
        told = [await stream.next() for _ in range(3)][1:]
        assert [one["order"]["state"] for one in told] == ["pending", "wait"]
        assert {one["order"]["id"] for one in told} == {created["id"]}
        assert "client_id" not in told[0]["order"]


async def test_2_a_cancel_shows_what_was_and_never_fails(venue: Peers) -> None:
    me = venue.me
    order_id = await me.place("buy", "10", "0.00001")
    async with me.stream("order") as stream:
        await stream.next()
        assert (await me.cancel(order_id))["state"] == "wait"
        assert (await stream.next())["order"]["state"] == "cancel"
    assert (await me.cancel(order_id))["state"] == "cancel"
    assert (await me.balances())["btc"][1] == 0


async def test_2_fills_come_between_a_cancel_and_its_end() -> None:
    async with peers(behaviour=Behaviour(pending_delay=0, cancel_delay=300 * MILLISECOND)) as venue:
        order_id = await venue.me.place("sell", "10", "0.00002")
        assert (await venue.me.cancel(order_id))["state"] == "wait"
        await venue.other.place("buy", "4", "0.00002")
        row = await venue.me.state(order_id, "cancel")
        assert (row["executed_volume"], row["remaining_volume"], row["trades_count"]) == ("4.0", "6.0", 1)


async def test_3_4_6_the_worked_example_to_the_last_digit(venue: Peers) -> None:
    me, other = venue.me, venue.other
    first, second = await other.place("sell", "300", "0.00000100"), await other.place("sell", "500", "0.00000101")
    before = await me.balances()
    async with me.stream("order", "trade", "balance", "rogerbtc.ob-inc", "rogerbtc.trades") as stream:
        snapshot, *increments, _ = await stream.until("success")
        book = snapshot["rogerbtc.ob-snap"]
        last = [book["sequence"], *(one["rogerbtc.ob-inc"]["sequence"] for one in increments)]
        assert last == [1, 2, 3]  # the first change of a book is number 2
        created = (await me.create("buy", "600", "0.00000101")).json()
        told = []
        while not told or told[-1].get("order", {}).get("state") != "done":
            told.append(await stream.next())
    told = [one for one in told if "balance" not in one]
    assert [next(iter(one)) for one in told] == [
        *("order", "order", "rogerbtc.ob-inc", "rogerbtc.ob-inc"),
        *("trade", "rogerbtc.trades", "order", "trade", "rogerbtc.trades", "order"),
    ]
    assert told[2] == {"rogerbtc.ob-inc": {"asks": ["0.000001", ""], "sequence": 4}}
    assert told[3] == {"rogerbtc.ob-inc": {"asks": ["0.00000101", "200.0"], "sequence": 5}}
    trade, order = told[4]["trade"], told[6]["order"]
    assert {name: trade[name] for name in ("amount", "price", "total", "side", "taker_type", "order_id")} == {
        "amount": "300.0",
        "price": "0.000001",
        "total": "0.0003",
        "side": "buy",
        "taker_type": "buy",
        "order_id": created["id"],
    }
    assert (order["executed_volume"], order["avg_price"], order["kind"]) == ("300.0", "0.000001", "bid")
    assert told[-1]["order"]["avg_price"] == "0.000001"
    after = await me.balances()
    assert after["roger"] == (before["roger"][0] + Decimal("598.5"), 0)
    assert after["btc"] == (before["btc"][0] - Decimal("0.000603"), 0)
    fills = await me.get("/market/trades")
    assert [(row["fee_currency"], row["fee_amount"]) for row in fills] == [("roger", "0.75")] * 2
    assert "received_amount" not in fills[0]
    assert first < second < created["id"]


async def test_3_a_market_order_is_silent_until_it_is_done(venue: Peers) -> None:
    await venue.other.place("sell", "10", "0.00001")
    async with venue.me.stream("order") as stream:
        await stream.next()
        await venue.me.place("buy", "4", None)
        told = (await stream.next())["order"]
        assert (told["state"], told["price"], told["ord_type"]) == ("done", None, "market")
        await stream.say("ping")
        assert await stream.text() == "pong"  # and nothing else was said


async def test_4_snapshots_are_replayed_and_never_pushed(venue: Peers) -> None:
    me = venue.me
    async with me.stream("rogerbtc.ob-inc", public=True) as early:
        assert [next(iter(one)) for one in await early.until("success")] == ["rogerbtc.ob-snap", "success"]
        order_id = await me.place("buy", "10", "0.00001")
        assert await early.next() == {"rogerbtc.ob-inc": {"bids": ["0.00001", "10.0"], "sequence": 2}}
        await me.cancel(order_id)
        assert await early.next() == {"rogerbtc.ob-inc": {"bids": ["0.00001", ""], "sequence": 3}}
        await me.state(order_id, "cancel")
        await me.cancel(order_id)  # finds nothing in the book, and says so
        assert await early.next() == {"rogerbtc.ob-inc": {"bids": ["0.00001", ""], "sequence": 4}}
    async with me.stream("rogerbtc.ob-inc", public=True) as late:
        replay = [*await late.until("success")][:-1]
        numbers = [next(iter(one.values()))["sequence"] for one in replay]
        assert "rogerbtc.ob-snap" in replay[0]
        assert numbers == list(range(numbers[0], 5))
        await late.say({"event": "subscribe", "streams": ["rogerbtc.ob-snap"]})
        assert "success" in await late.next()


async def test_5_pages_types_and_times(venue: Peers) -> None:
    me = venue.me
    ids = [(await me.create("buy", "1", "0.00001")).json()["id"] for _ in range(101)]
    rows = await me.get("/market/orders")
    assert [row["id"] for row in rows] == ids[:0:-1]
    assert [row["id"] for row in await me.get("/market/orders?page=2")] == [ids[0]]
    row = rows[0]
    assert (row["price"], row["origin_volume"], row["avg_price"]) == ("0.00001", "1.0", "0.0")
    assert row["created_at"].endswith("Z")
    assert "." not in row["created_at"]
    assert "trades" not in row
    assert (row["maker_fee"], row["taker_fee"]) == ("0.0025", "0.0025")
    (market, *_) = await me.get("/public/markets")
    assert [type(market[name]) for name in ("id", "min_price", "amount_precision")] == [str, str, int]
    await venue.other.place("sell", "1", "0.00001")
    (trade,) = await me.get("/public/markets/rogerbtc/trades")
    assert [type(trade[name]) for name in ("price", "amount", "total", "created_at")] == [float, float, float, int]
    (candle,) = await me.get("/public/markets/rogerbtc/k-line")
    assert all(isinstance(value, int | float) for value in candle)
    tickers = await me.get("/public/markets/tickers")
    assert tickers["rogerbtc"]["ticker"]["amount"] == "1.0"
    assert tickers["rogerbtc"]["ticker"]["volume"] == "0.00001"
    assert tickers["rogerbtc"]["at"].isdigit()


async def test_8_messages_of_the_stream_server(venue: Peers) -> None:
    async with venue.me.stream(public=True) as stream:
        await stream.next()
        await stream.say({"event": "subscribe", "streams": ["order", "rogerbtc.trades"]})
        assert (await stream.next())["success"]["streams"] == ["rogerbtc.trades"]
        await stream.say({"event": "dance"})
        assert await stream.next() == {"error": "Could not parse Type: Invalid event"}
        await stream.say("{")
        assert (await stream.next())["error"].startswith("Could not parse message:")
        await stream.say({"op": "pong", "timestamp": "1"})
        await stream.say({"event": "unsubscribe", "streams": ["rogerbtc.trades"]})
        assert await stream.next() == {"success": {"message": "unsubscribed", "streams": []}}
        await stream.say(json.dumps({"event": "subscribe", "streams": ["x" * 500]}))
        with pytest.raises(ConnectionClosedError) as closed:
            await stream.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


# Versions -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", sorted(PROFILES))
async def test_versions_differ_as_in_table_10_1(kind: str) -> None:
    behaviour = Behaviour(pending_delay=0, cancel_delay=0, market_buy_needs_cost=kind != "2.5")
    async with peers(PROFILES[kind], behaviour) as venue:
        me = venue.me
        assert (await me.get("/public/version"))["version"].startswith("2.5" if kind == "2.5" else "2.4")
        order_id = await me.place("sell", "10", "0.00002")
        assert ("maker_fee" in await me.order(order_id)) == (kind != "2.4")
        await venue.other.place("buy", "10", "0.00002")
        (trade,) = await me.get("/market/trades")
        assert trade.get("received_amount") == ("0.0001995" if kind == "2.5" else None)
        both = await me.ask("GET", "/market/orders?market[]=rogerbtc&market[]=ltcbtc")
        assert len(both.json()) == 1
        wrong = await me.ask("GET", "/market/orders?market[]=rogerbtc&market[]=nope")
        assert wrong.status_code == (422 if kind == "2.5" else 200)
        filtered = await me.ask("GET", "/market/trades?type=x")
        assert filtered.status_code == (200 if kind == "2.4" else 422)
        # A market buy that costs more than there is: 4 BTC of the 5 are gone, and 2 are asked for.
        for _ in range(2):
            await venue.other.place("sell", "10", "0.1")
        await me.place("buy", "400", "0.01")
        poor = await me.create("buy", "20", None)
        assert poor.status_code == (201 if kind == "2.5" else 422), poor.text
