"""What is asked of the venue, and what its answers mean."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_samples import GRIDS, MARKETS, ORDER, ROGER, TRADE, json_values, mutated

from runner.altmarkets.numbers import Unreadable
from runner.altmarkets.rest import (
    AMBIGUOUS,
    PAGE,
    REFUSALS,
    NoResponse,
    Response,
    fees_request,
    interpret,
    markets_request,
    read_fees,
    read_markets,
    read_timestamp,
    read_version,
    request_for,
    timestamp_request,
    venue_time,
    version_request,
)
from runner.model.command import (
    Cancel,
    Command,
    Finish,
    ListOrders,
    ListTrades,
    Place,
    ReadBalances,
    ReadOrder,
    Reconnect,
    Resubscribe,
)
from runner.model.event import (
    Accepted,
    BalancesRead,
    CancelAnswered,
    NotSent,
    OrderRead,
    OrdersListed,
    QueryFailed,
    Rejected,
    TradesListed,
    Unknown,
    VenueFault,
    What,
)
from runner.model.order import BalanceRow, Side
from runner.model.settings import SECOND

NAME = "RABCDEF12345-BID-1-A"
PLACE = Place(NAME, "ROGER-BTC", Side.SELL, 99, 700_000, sign_before=0)
ROW = ORDER | {"client_id": NAME, "state": "pending", "created_at": "2023-11-14T23:13:20Z"}
QUERIES: list[Command] = [ListOrders(7), ReadOrder(7, 9401), ListTrades(7, 0), ReadBalances(7)]
COMMANDS: list[Command] = [PLACE, Cancel(9401, NAME), *QUERIES]


def answer(status: int, body: Any = b"", **headers: str) -> Response:
    return Response(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def refused(status: int, *codes: str) -> Response:
    return answer(status, {"errors": list(codes)})


def meaning(command: Command, told: Response | NoResponse) -> What:
    return interpret(command, told, GRIDS)[-1]


# Requests -------------------------------------------------------------------------------------------------


def test_a_limit_order() -> None:
    request = request_for(Place(NAME, "ROGER-BTC", Side.BUY, 101, 60_050, sign_before=0), MARKETS)
    assert (request.method, request.path, request.private) == ("POST", "/market/orders", True)
    assert json.loads(request.body or b"") == {
        "market": "rogerbtc",
        "side": "buy",
        "ord_type": "limit",
        "price": "0.00000101",
        "volume": "600.5",
        "client_id": NAME,
    }


def test_a_market_order_does_not_even_have_the_key_of_a_price() -> None:
    body = json.loads(request_for(Place(NAME, "ROGER-BTC", Side.SELL, None, 100, sign_before=0), MARKETS).body or b"")
    assert body["ord_type"] == "market"
    assert "price" not in body


@given(ticks=st.integers(1, 10**18), lots=st.integers(1, 10**18))
def test_prices_and_volumes_are_plain_text_and_exact(ticks: int, lots: int) -> None:
    body = json.loads(request_for(Place(NAME, "ROGER-BTC", Side.BUY, ticks, lots, 0), MARKETS).body or b"")
    assert (ROGER.ticks(Decimal(body["price"])), ROGER.lots(Decimal(body["volume"]))) == (ticks, lots)
    assert set(body["price"] + body["volume"]) <= set("0123456789.")


def test_the_other_requests() -> None:
    def shown(command: Command) -> tuple[str, str, dict[str, str]]:
        request = request_for(command, MARKETS)
        assert request.body is None
        return request.method, request.path, dict(request.query)

    assert shown(Cancel(5003, NAME)) == ("POST", "/market/orders/5003/cancel", {})
    assert shown(ReadOrder(1, 5003)) == ("GET", "/market/orders/5003", {})
    assert shown(ReadBalances(1, 2)) == ("GET", "/account/balances", {"limit": "1000", "page": "2"})
    trades = {"limit": "1000", "page": "2", "order_by": "asc", "time_from": "17"}
    assert shown(ListTrades(1, 17, 2)) == ("GET", "/market/trades", trades)
    window = {"limit": "1000", "page": "1", "order_by": "desc", "time_from": "17", "time_to": "19"}
    assert shown(ListOrders(1, (), 17, 19)) == ("GET", "/market/orders", window)
    waiting = {"limit": "1000", "page": "3", "order_by": "desc", "state": "wait"}
    assert shown(ListOrders(1, ("wait",), page=3)) == ("GET", "/market/orders", waiting)


def test_several_states_are_repeated() -> None:
    query = request_for(ListOrders(1, ("wait", "pending")), MARKETS).query
    assert [pair for pair in query if pair[0].startswith("state")] == [("state[]", "wait"), ("state[]", "pending")]


@pytest.mark.parametrize("command", [Resubscribe("ROGER-BTC"), Reconnect("public"), Finish(0, "")])
def test_some_commands_are_not_for_the_venue(command: Command) -> None:
    with pytest.raises(TypeError):
        request_for(command, MARKETS)
    with pytest.raises(TypeError):
        interpret(command, answer(200), GRIDS)


# Creates (orders.md rule 7) -------------------------------------------------------------------------------


def test_a_created_order() -> None:
    told = meaning(PLACE, answer(201, ROW))
    assert isinstance(told, Accepted)
    assert (told.client_id, told.row.id, told.row.state) == (NAME, 9401, "pending")


@pytest.mark.parametrize(
    "told",
    [
        *(refused(422, code) for code in sorted(REFUSALS)),
        refused(422, "market.order.missing_side", "market.order.invalid_side", "value"),
        refused(401, "authz.nonce_expired"),
        refused(401, "authz.invalid_signature"),
        answer(401, b"<html>"),
        answer(400, {"errors": "server.method.invalid_message_body"}),
        answer(400),
        answer(404, b"404 Not Found"),
        answer(405, {"errors": "server.method_not_allowed"}),
        refused(403, "market.trade.not_permitted"),
    ],
)
def test_what_proves_that_nothing_was_created(told: Response) -> None:
    found = meaning(PLACE, told)
    assert isinstance(found, Rejected)
    assert (found.client_id, found.status) == (NAME, told.status)
    assert set(found.codes) <= set(json.dumps(told.body.decode()).replace("\\", "").split('"'))


def test_a_request_that_never_left_was_not_sent() -> None:
    assert meaning(PLACE, NoResponse(False, "no connection")) == NotSent(NAME, "no connection")


@pytest.mark.parametrize(
    "told",
    [
        NoResponse(True, "timeout"),
        refused(422, AMBIGUOUS),
        refused(422, AMBIGUOUS, "market.order.invalid_side"),
        refused(422, "market.order.something_new"),
        refused(422),
        answer(422, b"<html>"),
        answer(403),
        answer(403, b"Forbidden"),
        answer(403, {"message": "Forbidden"}),
        refused(429, "market.order.invalid_side"),
        answer(429, b"Retry later"),
        answer(302),
        answer(408),
        refused(423, "authz.restrict.blacklist"),
        refused(471, "authz.restrict.maintenance"),
        refused(500, "server.internal_error"),
        answer(502, b"<html>"),
        answer(503, b"upstream connect error or disconnect/reset before headers"),
        answer(504),
        answer(201),
        answer(201, b"<html>"),
        answer(201, ROW | {"id": None}),
        answer(201, [ROW]),
        answer(200, {"errors": ["market.order.invalid_side"]}),
        answer(201, ROW | {"price": "0.000000001"}),
        answer(201, ROW | {"market": "dogebtc", "price": "0.5", "origin_volume": "1.0"}),
        answer(201, ROW | {"side": "buy"}),
        answer(201, ROW | {"origin_volume": "7000.01"}),
        answer(201, ROW | {"price": None}),
        answer(201, ROW | {"client_id": "HBOT-BROGERBTC1700000000123456"}),
    ],
)
def test_everything_else_leaves_it_open(told: Response | NoResponse) -> None:
    found = meaning(PLACE, told)
    assert isinstance(found, Unknown)
    assert found.client_id == NAME
    assert found.reason


@pytest.mark.parametrize("echo", [None, NAME.lower(), NAME[:12]])
def test_a_name_that_the_venue_leaves_out_cuts_or_recases_is_still_ours(echo: str | None) -> None:
    assert isinstance(meaning(PLACE, answer(201, ROW | {"client_id": echo})), Accepted)


@given(status=st.integers(100, 599), body=st.binary(max_size=60) | json_values.map(lambda v: json.dumps(v).encode()))
def test_a_create_is_refused_only_by_the_venues_word(status: int, body: bytes) -> None:
    """Whatever comes, a create is never taken for refused outside of rule 7, nor for accepted without a row."""
    found = meaning(PLACE, Response(status, {}, body))
    assert not isinstance(found, Accepted)
    if isinstance(found, Rejected):
        assert status in {400, 401, 403, 404, 405, 422}
        if status == 422:
            assert set(found.codes) & REFUSALS
    else:
        assert isinstance(found, Unknown)
        assert status not in {400, 401, 404, 405}


# Cancels --------------------------------------------------------------------------------------------------


def test_a_cancel_is_answered_with_the_order_as_it_was() -> None:
    found = meaning(Cancel(9401, NAME), answer(201, ROW))
    assert isinstance(found, CancelAnswered)
    assert found.row is not None
    assert (found.order_id, found.row.state, found.reason) == (9401, "pending", "")


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        (NoResponse(True, "timeout"), "timeout"),
        (NoResponse(False, "no connection"), "no connection"),
        (refused(404, "record.not_found"), "404 record.not_found"),
        (answer(502, b"<html>"), "502 <html>"),
        (answer(201, b""), "cannot be read"),
        (answer(201, ROW | {"id": 1}), "about order 1"),
    ],
)
def test_a_cancel_that_was_refused_or_is_open_has_no_row(told: Response | NoResponse, reason: str) -> None:
    found = meaning(Cancel(9401, NAME), told)
    assert isinstance(found, CancelAnswered)
    assert (found.order_id, found.row) == (9401, None)
    assert reason in found.reason


# Look-ups -------------------------------------------------------------------------------------------------


def test_a_list_of_orders_with_the_venues_clock() -> None:
    told = answer(200, [ROW, ROW | {"id": 9402, "market": "dogebtc", "price": "0.5", "origin_volume": "1.0",
                                    "remaining_volume": "1.0", "executed_volume": "0.0"}],
                  date="Tue, 14 Nov 2023 22:13:20 GMT")  # fmt: skip
    found = interpret(ListOrders(7), told, GRIDS)
    assert len(found) == 1
    listed = found[0]
    assert isinstance(listed, OrdersListed)
    assert [(row.id, row.market) for row in listed.rows] == [(9401, "ROGER-BTC"), (9402, "DOGE-BTC")]
    assert (listed.query, listed.full, listed.venue_time) == (7, False, 1_700_000_000 * SECOND)


def test_a_page_of_as_many_rows_as_were_asked_for_is_full() -> None:
    for count in (PAGE - 1, PAGE):
        orders, trades = (
            meaning(ListOrders(7), answer(200, [ROW] * count)),
            meaning(ListTrades(7, 0), answer(200, [TRADE] * count)),
        )
        assert isinstance(orders, OrdersListed)
        assert isinstance(trades, TradesListed)
        assert orders.full is trades.full is (count == PAGE)


STRANGE = [ROW | {"client_id": None, "price": "0.000000001"}, ROW | {"client_id": "x", "market": "unheardof"}]


def test_a_strangers_row_that_cannot_be_read_is_left_out_with_a_fault() -> None:
    found = interpret(ListOrders(7), answer(200, [STRANGE[0], ROW, STRANGE[1]]), GRIDS)
    assert [type(what) for what in found] == [VenueFault, VenueFault, OrdersListed]
    assert isinstance(found[-1], OrdersListed)
    assert len(found[-1].rows) == 1


@pytest.mark.parametrize(
    "row",
    [
        ROW | {"price": "0.000000001"},
        ROW | {"client_id": NAME.lower(), "market": "unheardof"},
        ROW | {"client_id": None, "id": None},
        ROW | {"client_id": None, "state": None},
        None,
        "x",
    ],
)
def test_a_list_that_may_lack_an_order_of_ours_proves_nothing(row: Any) -> None:
    found = interpret(ListOrders(7), answer(200, [ROW, row]), GRIDS)
    assert [type(what) for what in found] == [VenueFault, QueryFailed]
    assert found[-1] == QueryFailed(7, False, getattr(found[-1], "reason", ""))


def test_one_order_with_its_trades_and_one_that_is_not_there() -> None:
    trade = {name: value for name, value in TRADE.items() if name != "order_id"} | {
        "created_at": "2023-11-14T22:13:21Z"
    }
    found = meaning(ReadOrder(7, 9401), answer(200, ROW | {"trades": [trade]}))
    assert isinstance(found, OrderRead)
    assert found.row is not None
    assert found.row.trades is not None
    assert found.row.trades[0].order_id is None
    assert meaning(ReadOrder(7, 9401), refused(404, "record.not_found")) == OrderRead(7, 9401, None)
    for told in (answer(404, b"404 Not Found"), answer(404), answer(200, ROW | {"id": 1}), answer(200, b"null")):
        assert isinstance(meaning(ReadOrder(7, 9401), told), QueryFailed), "a 404 of a proxy says nothing of the order"


def test_balances() -> None:
    rows = [{"currency": "roger", "balance": "968.8", "locked": "7000.0"}, {"currency": "btc", "balance": "x"}]
    fault, found = interpret(ReadBalances(7), answer(200, rows), GRIDS)
    assert isinstance(fault, VenueFault)
    assert found == BalancesRead(7, (BalanceRow("ROGER", Decimal("968.8"), Decimal("7000.0")),))


@pytest.mark.parametrize("command", QUERIES)
@pytest.mark.parametrize(
    ("told", "permanent"),
    [
        (refused(401, "authz.nonce_expired"), False),
        (refused(401, "authz.invalid_signature"), True),
        (refused(403, "market.trade.not_permitted"), True),
        (answer(403), False),
        (answer(429, b"Retry later"), False),
        (refused(422, "market.order.invalid_limit"), False),
        (refused(471, "authz.restrict.maintenance"), False),
        (answer(502, b"<html>"), False),
        (answer(200, b"<html>"), False),
        (answer(200, b"7"), False),
        (NoResponse(True, "timeout"), False),
        (NoResponse(False, "no connection"), False),
    ],
)
def test_a_look_up_that_brought_nothing(command: Command, told: Response | NoResponse, permanent: bool) -> None:
    found = meaning(command, told)
    assert isinstance(found, QueryFailed)
    assert (found.query, found.permanent) == (7, permanent)
    assert found.reason


rows = mutated(ROW | {"trades": [TRADE]}) | mutated(TRADE) | json_values
answer_bodies = st.one_of(
    st.binary(max_size=60),
    rows.map(lambda value: json.dumps(value).encode()),
    st.lists(rows, max_size=3).map(lambda value: json.dumps(value).encode()),
    st.just(b"[" * 50_000),
)


@given(
    command=st.sampled_from(COMMANDS),
    status=st.integers(100, 599) | st.sampled_from([200, 201]),
    body=answer_bodies,
    date=st.text(max_size=40) | st.sampled_from(["Tue, 14 Nov 2023 22:13:20 -0000", "Mon, 01 Jan 0001 00:00:00 +2359"]),
)
def test_no_answer_raises_and_every_answer_means_something(
    command: Command, status: int, body: bytes, date: str
) -> None:
    found = interpret(command, Response(status, {"date": date}, body), GRIDS)
    assert all(isinstance(what, VenueFault) for what in found[:-1])
    assert not isinstance(found[-1], VenueFault)


@given(date=st.text(max_size=40))
def test_a_date_is_read_or_not_there(date: str) -> None:
    assert venue_time(Response(200, {"date": date}, b"")) is None or date
    assert venue_time(Response(200, {}, b"")) is None
    assert venue_time(Response(200, {"date": "Tue, 14 Nov 2023 22:13:20 -0000"}, b"")) == 1_700_000_000 * SECOND


# Public ---------------------------------------------------------------------------------------------------

MARKET = {
    "id": "rogerbtc",
    "name": "ROGER/BTC",
    "base_unit": "roger",
    "quote_unit": "btc",
    "min_price": "0.00000001",
    "max_price": "0.0",
    "min_amount": "1.0",
    "amount_precision": 2,
    "price_precision": 8,
    "state": "enabled",
}


def fee(group: str, market_id: str, maker: str, taker: str) -> dict[str, Any]:
    return {"id": 1, "group": group, "market_id": market_id, "maker": maker, "taker": taker, "created_at": ""}


def test_public_requests_are_unsigned_and_take_whole_pages() -> None:
    for request in (markets_request(2), fees_request(2), version_request(), timestamp_request()):
        assert (request.method, request.private) == ("GET", False)
    assert dict(markets_request(2).query) == dict(fees_request(2).query) == {"limit": "1000", "page": "2"}


def test_a_market_with_the_fees_of_its_own_row() -> None:
    fees, more = read_fees(
        answer(
            200, [fee("vip", "any", "0", "0"), fee("any", "any", "0.0025", 0.003), fee("any", "dogebtc", "0.1", "0.1")]
        )
    )
    assert (len(fees), more) == (3, False)
    doge = MARKET | {"id": "dogebtc", "base_unit": "doge", "max_price": 5, "state": "hidden"}
    (roger, other), more = read_markets(answer(200, [MARKET, doge]), fees)
    assert (roger.symbol, roger.id, roger.price_max, roger.enabled, more) == (
        "ROGER-BTC",
        "rogerbtc",
        None,
        True,
        False,
    )
    assert (roger.maker_fee, roger.taker_fee) == (Decimal("0.0025"), Decimal("0.003"))
    assert (other.symbol, other.price_max, other.maker_fee) == ("DOGE-BTC", 5, Decimal("0.1"))
    (free,), _ = read_markets(answer(200, [MARKET | {"state": "disabled"}]), [])
    assert (free.maker_fee, free.enabled) == (0, False)


@pytest.mark.parametrize(
    "change",
    [
        {"price_precision": -1},
        {"price_precision": 9},
        {"amount_precision": 40},
        {"min_price": "0.0"},
        {"min_amount": "NaN"},
        {"max_price": "Infinity"},
        {"base_unit": None},
    ],
)
def test_a_market_outside_the_rules_is_left_out(change: dict[str, Any]) -> None:
    found, _ = read_markets(answer(200, [MARKET | change, MARKET]), [])
    assert [market.id for market in found] == ["rogerbtc"]


@given(body=answer_bodies | st.lists(mutated(MARKET)).map(lambda value: json.dumps(value).encode()))
def test_public_answers_are_read_or_unreadable(body: bytes) -> None:
    told = Response(200, {}, body)
    assert isinstance(read_version(told), str)
    for read in (lambda: read_markets(told, []), lambda: read_fees(told), lambda: read_timestamp(told)):
        try:
            read()
        except Unreadable:
            continue


def test_timestamp_and_version() -> None:
    for body in ("2023-11-14T22:13:20+00:00", "2023-11-14T23:13:20+01:00", 1_700_000_000, "1700000000"):
        assert read_timestamp(answer(200, body)) == 1_700_000_000 * SECOND
    assert read_version(answer(200, {"git_sha": "x", "version": "2.4.20"})) == "2.4.20"
    assert read_version(answer(200, b"<html>")) == ""
