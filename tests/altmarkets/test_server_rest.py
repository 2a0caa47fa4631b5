"""REST as the wire reference describes it: shapes, formats, paging, and every code of section 12."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_client import BASE, START, Client, roger

from runner.altmarkets.server import Profile, Server
from runner.altmarkets.server.formats import decimal_text, scaled_text
from runner.simulation.exchange import SECOND, Behaviour
from runner.simulation.sandbox import sandbox

DECIMAL = re.compile(r"(0|[1-9]\d*)\.(0|\d*[1-9])")
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
NUMBERS = """
price avg_price origin_volume remaining_volume executed_volume maker_fee taker_fee amount total fee fee_amount balance
locked min_price max_price min_amount maker taker deposit_fee min_deposit_amount withdraw_fee min_withdraw_amount
withdraw_limit_24h withdraw_limit_72h low high open last volume vol asks bids
"""
DECIMALS = frozenset(NUMBERS.split())
TIMES = {"created_at", "updated_at", "build_date"}

PUBLIC = [
    "/public/timestamp",
    "/public/version",
    "/public/member-levels",
    "/public/markets",
    "/public/markets/tickers",
    "/public/markets/rogerbtc/tickers",
    "/public/markets/rogerbtc/depth",
    "/public/markets/rogerbtc/order-book",
    "/public/currencies",
    "/public/currencies/btc",
    "/public/trading_fees",
]
PRIVATE = ["/market/orders", "/market/orders/4", "/market/trades", "/account/balances", "/account/balances/btc"]
NAMES = ["limit", "page", "state", "state[]", "market", "side", "volume", "price", "ord_type", "time_from", "search"]


# Formats --------------------------------------------------------------------------------------------------


@given(st.integers(0, 10**20), st.integers(0, 10))
def test_a_scaled_number_is_written_as_its_decimal(units: int, precision: int) -> None:
    text = scaled_text(units, precision)
    assert text == decimal_text(Decimal(units).scaleb(-precision))
    assert DECIMAL.fullmatch(text)
    assert Decimal(text) == Decimal(units).scaleb(-precision)


@pytest.mark.parametrize(
    ("number", "text"), [("7000", "7000.0"), ("0.00000100", "0.000001"), ("0", "0.0"), ("1E-16", "0.0000000000000001")]
)
def test_the_references_numbers(number: str, text: str) -> None:
    assert decimal_text(Decimal(number)) == text


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from leaves(item, key)
        case list():
            for item in value:
                yield from leaves(item, name)
        case _:
            yield name, value


def busy_client() -> Client:
    """Open, filled and cancelled orders of both members."""
    client = Client()
    client.place("sell", "300", "0.00000100", client.neighbour)
    client.place("sell", "500.5", "0.00000101", client.neighbour)
    client.place("buy", "20", "0.00000090", client.neighbour)
    client.place("buy", "600", "0.00000101", client_id="R1")
    client.place("buy", "7", "0.00000098")
    cancelled = client.place("sell", "70", "0.00000198")
    client.post(f"/market/orders/{cancelled['id']}/cancel")
    client.after(1000)
    return client


@pytest.mark.parametrize("path", [*PUBLIC, *PRIVATE])
def test_every_answer_writes_numbers_and_times_in_its_own_way(path: str) -> None:
    client = busy_client()
    for name, value in leaves(client.get(path)):
        if name in DECIMALS and value is not None:
            assert DECIMAL.fullmatch(value), (name, value)
        elif name in TIMES:
            assert ISO.fullmatch(value), (name, value)
        elif name not in {"id", "at"}:
            assert not isinstance(value, float), (name, value)
    reply = client.request("GET", path)
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.headers["Date"] == "Tue, 14 Nov 2023 22:13:21 GMT"


def test_public_trades_and_candles_are_numbers() -> None:
    client = busy_client()
    trades = client.get("/public/markets/rogerbtc/trades")
    assert trades[0] == {
        "id": 2,
        "price": 1.01e-06,
        "amount": 300.0,
        "total": 0.000303,
        "market": "rogerbtc",
        "created_at": 1700000000,
        "taker_type": "buy",
    }
    assert [trade["id"] for trade in trades] == [2, 1]
    assert client.get("/public/markets/rogerbtc/k-line") == [[1699999980, 1e-06, 1.01e-06, 1e-06, 1.01e-06, 600.0]]


def test_the_zone_of_times_can_be_moved() -> None:
    client = Client(profile=Profile(zone=120, order_fees=False))
    order = client.place("buy", "10", "0.000001")
    assert order["created_at"] == "2023-11-15T00:13:20+02:00"
    assert "maker_fee" not in order
    assert client.get("/public/timestamp") == "2023-11-15T00:13:20+02:00"


def test_the_simple_ones() -> None:
    client = Client()
    assert client.get("/public/timestamp") == "2023-11-14T22:13:20Z"
    assert "sandbox" in client.get("/public/version")["version"]
    assert client.get("/public/member-levels")["trading"] == {"minimum_level": 2}
    for path in ("/public/health/alive", "/public/health/ready", "/public/timestamp/"):
        assert client.request("GET", path).status == 200


def test_a_market_as_the_reference_shows_it() -> None:
    assert Client().get("/public/markets") == [
        {
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
    ]


def test_books_from_the_database() -> None:
    client = busy_client()
    depth = client.get("/public/markets/rogerbtc/depth")
    assert depth["asks"] == [["0.00000101", "200.5"]]
    assert depth["bids"] == [["0.00000098", "7.0"], ["0.0000009", "20.0"]]
    assert client.get("/public/markets/rogerbtc/depth?limit=1")["bids"] == [["0.00000098", "7.0"]]
    book = client.get("/public/markets/rogerbtc/order-book?bids_limit=1")
    assert [(order["id"], order["remaining_volume"]) for order in book["asks"]] == [(2, "200.5")]
    assert [order["id"] for order in book["bids"]] == [5]


def test_tickers() -> None:
    client = busy_client()
    envelope = client.get("/public/markets/rogerbtc/tickers")
    assert envelope == {
        "at": "1700000001",
        "ticker": {
            "low": "0.000001",
            "high": "0.00000101",
            "open": "0.000001",
            "last": "0.00000101",
            "volume": "0.000603",
            "amount": "600.0",
            "vol": "0.000603",
            "avg_price": "0.000001005",
            "price_change_percent": "+1.00%",
            "at": None,
        },
    }
    assert client.get("/public/markets/tickers") == {"rogerbtc": envelope}
    client.after(25 * 3600 * 1000)
    quiet = client.get("/public/markets/rogerbtc/tickers")["ticker"]
    assert (quiet["last"], quiet["open"], quiet["volume"]) == ("0.00000101", "0.0", "0.0")
    assert quiet["price_change_percent"] == "+0.00%"


def test_fees_are_told_once_if_they_are_all_the_same() -> None:
    assert [(row["market_id"], row["maker"]) for row in Client().get("/public/trading_fees")] == [("any", "0.0025")]
    other = roger(id="rogerltc", quote="LTC", maker_fee=Decimal("0.001"))
    rows = Client(markets=(roger(), other)).get("/public/trading_fees")
    assert [(row["market_id"], row["maker"]) for row in rows] == [("rogerbtc", "0.0025"), ("rogerltc", "0.001")]


# The life of an order, seen through REST ------------------------------------------------------------------


def test_an_order_from_201_to_its_trades() -> None:
    client = Client()
    client.place("sell", "300", "0.00000100", client.neighbour)
    status, order = client.post(
        "/market/orders", market="rogerbtc", side="buy", volume="600", price="0.00000101", client_id="R-BID-1"
    )
    assert status == 201
    uuid = order.pop("uuid")
    assert order == {
        "id": 2,
        "client_id": "R-BID-1",
        "side": "buy",
        "ord_type": "limit",
        "price": "0.00000101",
        "avg_price": "0.0",
        "state": "pending",
        "market": "rogerbtc",
        "created_at": "2023-11-14T22:13:20Z",
        "updated_at": "2023-11-14T22:13:20Z",
        "origin_volume": "600.0",
        "remaining_volume": "600.0",
        "executed_volume": "0.0",
        "maker_fee": "0.0025",
        "taker_fee": "0.0025",
        "trades_count": 0,
    }
    client.after(1000)
    by_id, by_uuid = client.get("/market/orders/2"), client.get(f"/market/orders/{uuid.upper()}")
    assert by_id == by_uuid
    assert (by_id["state"], by_id["remaining_volume"], by_id["trades_count"]) == ("wait", "300.0", 1)
    assert by_id["trades"] == [
        {
            "id": 1,
            "price": "0.000001",
            "amount": "300.0",
            "total": "0.0003",
            "market": "rogerbtc",
            "created_at": "2023-11-14T22:13:20Z",
            "taker_type": "buy",
            "side": "buy",
        }
    ]
    assert client.get("/market/trades") == [
        by_id["trades"][0] | {"fee_currency": "roger", "fee": "0.0025", "fee_amount": "0.75", "order_id": 2}
    ]
    status, row = client.post("/market/orders/2/cancel")
    assert (status, row["state"]) == (201, "wait")
    assert "trades" not in row
    client.after(1000)
    assert client.get("/market/orders/2")["state"] == "cancel"
    assert client.post("/market/orders/2/cancel")[1]["state"] == "cancel"  # no error


def test_orders_of_others_are_not_found() -> None:
    client = Client()
    order = client.place("sell", "300", "0.00000100", client.neighbour)
    for path in (
        f"/market/orders/{order['id']}",
        f"/market/orders/{order['uuid']}",
        "/market/orders/99",
        f"/market/orders/{'9' * 30}",
    ):
        assert client.request("GET", path).status == 404
        assert client.request("POST", f"{path}/cancel").status == 404
    for name in ("None", "cancel", "-1", "1.5", order["uuid"][:-1]):
        assert client.errors(f"/market/orders/{name}") == ["market.order.invaild_id_or_uuid"]


def test_client_ids_are_kept_but_mean_nothing() -> None:
    client = Client()
    orders = [client.place("buy", "1", "0.000001", client_id="TWIN") for _ in range(2)]
    assert [row["client_id"] for row in client.get("/market/orders")] == ["TWIN", "TWIN"]
    assert client.request("GET", "/market/orders/TWIN").status == 422
    assert client.place("buy", "1", "0.000001")["client_id"] is None
    assert client.place("buy", "1", "0.000001", client_id="x" * 32)["client_id"] == "x" * 32
    assert len({order["id"] for order in orders}) == 2


def test_cancel_all_skips_what_is_pending() -> None:
    client = Client()
    for side, price in (("buy", "0.000001"), ("sell", "0.000002"), ("sell", "0.000003")):
        client.place(side, "1", price)
    client.post("/market/orders", market="rogerbtc", side="sell", volume="1", price="0.000004")
    status, rows = client.post("/market/orders/cancel", side="sell", market="rogerbtc")
    assert (status, [row["id"] for row in rows]) == (201, [2, 3])
    client.after(1000)
    states = {row["id"]: row["state"] for row in client.get("/market/orders")}
    assert states == {1: "wait", 2: "cancel", 3: "cancel", 4: "wait"}


def test_balances() -> None:
    client = Client()
    client.place("buy", "600", "0.00000101")
    client.exchange.deposit(client.me, "LTC", Decimal(0))
    assert client.get("/account/balances") == [
        {"currency": "btc", "balance": "0.999394", "locked": "0.000606"},
        {"currency": "ltc", "balance": "0.0", "locked": "0.0"},
        {"currency": "roger", "balance": "10000.0", "locked": "0.0"},
    ]
    assert [row["currency"] for row in client.get("/account/balances?nonzero=true")] == ["btc", "roger"]
    search = '{"currency_code":"rog"}'
    assert [row["currency"] for row in client.get(f"/account/balances?search={search}")] == ["roger"]
    assert client.get("/account/balances/btc")["balance"] == "0.999394"
    assert client.errors("/account/balances/eth") == ["account.currency.doesnt_exist"]


def test_a_currency_never_held_has_no_account() -> None:
    client = Client(markets=(roger(), roger(id="rogerltc", quote="LTC")))
    assert client.request("GET", "/account/balances/ltc").status == 404


# Lists ----------------------------------------------------------------------------------------------------


def test_orders_are_sorted_by_change_and_filtered() -> None:
    client = Client()
    for number in range(4):
        client.place(*(("buy", "1", "0.000001") if number % 2 else ("sell", "1", "0.000009")))
        client.after(1000)
    client.post("/market/orders/1/cancel")
    client.after(1000)

    def ids(query: str) -> list[int]:
        return [row["id"] for row in client.get(f"/market/orders?{query}")]

    assert ids("") == [1, 4, 3, 2]
    assert ids("order_by=asc") == [2, 3, 4, 1]
    assert ids("state=wait") == [4, 3, 2]
    assert ids("state[]=cancel&state[]=pending") == [1]
    assert ids("type=sell") == [1, 3]
    assert ids("ord_type=market") == []
    assert ids("market=rogerbtc&limit=2&page=2") == [3, 2]
    assert ids("base_unit=roger&quote_unit=btc&page=3&limit=2") == []
    created = START // SECOND
    assert ids(f"time_from={created + 1}&time_to={created + 3}") == [3, 2]


def test_orders_and_trades_do_not_say_how_many_there_are() -> None:
    client = busy_client()
    for path in ("/market/orders", "/market/trades"):
        headers = client.request("GET", f"{path}?limit=2&page=2").headers
        assert (headers["Per-Page"], headers["Page"]) == ("2", "2")
        assert "Total" not in headers
    for path in ("/account/balances", "/public/markets", "/account/transactions", "/public/currencies"):
        assert {"Total", "Per-Page", "Page"} <= set(client.request("GET", path).headers)


def test_lists_end_at_a_hundred_unless_asked() -> None:
    markets = tuple(roger(id=f"coin{number}", base=f"COIN{number}") for number in range(130))
    client = Client(markets=markets)
    reply = client.request("GET", "/public/markets")
    assert (len(json.loads(reply.body)), reply.headers["Total"]) == (100, "130")
    assert len(client.get("/public/markets?limit=1000")) == 130
    assert len(client.get("/public/markets?page=2")) == 30
    assert [row["id"] for row in client.get("/public/markets?limit=2&ordering=desc")] == ["coin129", "coin128"]
    assert [row["id"] for row in client.get("/public/markets?limit=2&order_by=id")] == ["coin0", "coin1"]
    assert [row["id"] for row in client.get("/public/markets?base_unit=coin7")] == ["coin7"]
    found = client.get('/public/markets?search={"base_code":"coin12"}')
    assert [row["id"] for row in found] == ["coin12", *(f"coin12{digit}" for digit in range(10))]
    assert len(client.get("/public/currencies?limit=1000")) == 131
    assert len(client.get("/public/currencies?search[code]=coin12")) == 11


def test_trades_by_page_and_time() -> None:
    client = Client()
    for _ in range(5):
        client.place("sell", "1", "0.000001", client.neighbour)
        client.place("buy", "1", "0.000001")
        client.after(1000)

    def ids(query: str) -> list[int]:
        return [row["id"] for row in client.get(f"/market/trades?{query}")]

    at = START // SECOND
    assert ids("") == [5, 4, 3, 2, 1]
    assert ids("order_by=asc&limit=2&page=2") == [3, 4]
    assert ids(f"time_from={at + 1}&time_to={at + 3}&order_by=asc") == [2, 3]
    assert ids("type=sell") == []
    assert ids("type=buy&market=rogerbtc&limit=1") == [5]


def test_a_self_trade_is_listed_once_as_its_makers() -> None:
    client = Client()
    client.place("sell", "10", "0.000001")
    client.place("buy", "10", "0.000001")
    assert [(row["order_id"], row["side"]) for row in client.get("/market/trades")] == [(1, "sell")]
    assert client.get("/market/orders/2")["trades"][0]["side"] == "buy"


# Refusals -------------------------------------------------------------------------------------------------

ORDER = {"market": "rogerbtc", "side": "buy", "volume": "1", "price": "0.000001"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"market": None}, "market.order.missing_market"),
        ({"market": "btcbtc"}, "market.market.doesnt_exist_or_not_enabled"),
        ({"market": 5}, "market.market.doesnt_exist_or_not_enabled"),
        ({"side": None}, "market.order.missing_side"),
        ({"side": "long"}, "market.order.invalid_side"),
        ({"volume": None}, "market.order.missing_volume"),
        ({"volume": "many"}, "market.order.non_decimal_volume"),
        ({"volume": "NaN"}, "market.order.non_decimal_volume"),
        ({"volume": "Infinity"}, "market.order.non_decimal_volume"),
        ({"volume": "1_0"}, "market.order.non_decimal_volume"),
        ({"volume": True}, "market.order.non_decimal_volume"),
        ({"volume": [1]}, "market.order.non_decimal_volume"),
        ({"volume": "0"}, "market.order.non_positive_volume"),
        ({"volume": "-1"}, "market.order.non_positive_volume"),
        ({"ord_type": "stop"}, "market.order.invalid_type"),
        ({"price": None}, "market.order.missing_price"),
        ({"price": ""}, "market.order.non_decimal_price"),
        ({"price": "-0.1"}, "market.order.non_positive_price"),
        ({"client_id": "x" * 33}, "market.order.invalid_client_id"),
        ({"ord_type": "market"}, "market.order.market_order_price"),
        ({"ord_type": "market", "price": None}, "market.order.insufficient_market_liquidity"),
        ({"volume": "1000001"}, "market.account.insufficient_balance"),
        ({"volume": "1000000.001", "price": "0.0001"}, "market.account.insufficient_balance"),
        ({"volume": "0.5"}, "market.order.invalid_volume_or_price"),
        ({"volume": "1.001"}, "market.order.invalid_volume_or_price"),
        ({"price": "0.000000015"}, "market.order.invalid_volume_or_price"),
        ({"side": "sell", "volume": "1e4", "price": "1e-9"}, "market.order.invalid_volume_or_price"),
    ],
)
def test_orders_that_are_refused(changes: dict, code: str) -> None:
    client = Client()
    status, answer = client.post(
        "/market/orders", **{key: value for key, value in (ORDER | changes).items() if value is not None}
    )
    assert status == 422
    assert code in answer["errors"]
    assert client.get("/market/orders") == []


def test_every_broken_rule_is_named() -> None:
    _, answer = Client().post("/market/orders", side="x", volume="x", price="0")
    assert answer["errors"] == [
        "market.order.missing_market",
        "market.market.doesnt_exist_or_not_enabled",
        "market.order.invalid_side",
        "market.order.non_decimal_volume",
        "market.order.non_positive_price",
    ]


def test_a_null_price_on_a_market_order_is_a_price() -> None:
    client = Client()
    client.place("sell", "5", "0.000001", client.neighbour)
    assert client.post("/market/orders", **ORDER | {"ord_type": "market", "price": None})[1] == {
        "errors": ["market.order.market_order_price"]
    }


def test_a_market_order_has_no_price() -> None:
    client = Client()
    client.place("sell", "5", "0.000001", client.neighbour)
    status, order = client.post("/market/orders", market="rogerbtc", side="buy", volume=3, ord_type="market")
    assert (status, order["price"], order["ord_type"]) == (201, None, "market")
    client.after(100)
    assert client.get(f"/market/orders/{order['id']}")["state"] == "done"


def test_disabled_markets_are_not_there() -> None:
    client = Client(markets=(roger(enabled=False), roger(id="rogerltc", quote="LTC")))
    assert [market["id"] for market in client.get("/public/markets")] == ["rogerltc"]
    assert client.errors("/public/markets/rogerbtc/depth") == ["public.market.doesnt_exist"]
    assert client.post("/market/orders", **ORDER)[1]["errors"] == ["market.market.doesnt_exist_or_not_enabled"]


M = "/public/markets/rogerbtc"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/public/markets?limit=x", "admin.pagination.non_integer_limit"),
        ("/public/markets?limit=0", "admin.pagination.invalid_limit"),
        ("/public/markets?limit=1001", "admin.pagination.invalid_limit"),
        ("/public/markets?page=x", "admin.pagination.non_integer_page"),
        ("/public/markets?ordering=up", "public.markets.invalid_ordering"),
        ("/public/markets?order_by=name", "public.markets.invalid_order_by"),
        ("/public/markets?base_unit=x", "public.markets.base_unit_doesnt_exist"),
        ("/public/markets?quote_unit=x", "public.markets.quote_unit_doesnt_exist"),
        ("/public/markets?search=x", "invalid"),
        ("/public/markets/x/depth", "public.market.doesnt_exist"),
        ("/public/markets/x/trades", "public.market.doesnt_exist"),
        ("/public/markets/x/tickers", "public.market.doesnt_exist"),
        (f"{M}/depth?limit=x", "public.market_depth.non_integer_limit"),
        (f"{M}/depth?limit=1001", "public.market_depth.invalid_limit"),
        (f"{M}/order-book?asks_limit=x", "public.order_book.non_integer_ask_limit"),
        (f"{M}/order-book?asks_limit=201", "public.order_book.invalid_ask_limit"),
        (f"{M}/order-book?bids_limit=", "public.order_book.non_integer_bid_limit"),
        (f"{M}/order-book?bids_limit=0", "public.order_book.invalid_bid_limit"),
        (f"{M}/trades?limit=x", "public.trade.non_integer_limit"),
        (f"{M}/trades?limit=-1", "public.trade.invalid_limit"),
        (f"{M}/trades?timestamp=x", "public.trade.non_integer_timestamp"),
        (f"{M}/trades?order_by=x", "public.trade.invalid_order_by"),
        (f"{M}/k-line?period=x", "public.k_line.non_integer_period"),
        (f"{M}/k-line?period=2", "public.k_line.invalid_period"),
        (f"{M}/k-line?period=99999", "public.k_line.invalid_period"),
        (f"{M}/k-line?time_from=x", "public.k_line.non_integer_time_from"),
        (f"{M}/k-line?time_to=", "public.k_line.empty_time_to"),
        (f"{M}/k-line?limit=10001", "public.k_line.invalid_limit"),
        ("/public/currencies/x", "public.currency.doesnt_exist"),
        ("/public/currencies?type=x", "public.currency.invalid_type"),
        ("/public/trading_fees?market_id=x", "public.trading_fee.market_doesnt_exist"),
        ("/market/orders?market=x", "market.market.doesnt_exist"),
        ("/market/orders?base_unit=x", "market.market.doesnt_exist"),
        ("/market/orders?state=open", "market.order.invalid_state"),
        ("/market/orders?limit=x", "market.order.non_integer_limit"),
        ("/market/orders?limit=1001", "market.order.invalid_limit"),
        ("/market/orders?page=x", "market.order.non_integer_page"),
        ("/market/orders?page=", "market.order.empty_page"),
        ("/market/orders?order_by=id", "market.order.invalid_order_by"),
        ("/market/orders?ord_type=x", "market.order.invalid_ord_type"),
        ("/market/orders?type=bid", "market.order.invalid_type"),
        ("/market/orders?time_from=x", "market.order.non_integer_time_from"),
        ("/market/orders?time_from=", "market.order.empty_time_from"),
        ("/market/orders?time_to=1.5", "market.order.non_integer_time_to"),
        ("/market/trades?market=x", "market.market.doesnt_exist"),
        ("/market/trades?limit=0", "market.trade.invalid_limit"),
        ("/market/trades?page=", "market.trade.empty_page"),
        ("/market/trades?time_to=", "market.trade.empty_time_to"),
        ("/market/trades?order_by=x", "market.trade.invalid_order_by"),
        ("/market/trades?type=x", "market.trade.invalid_type"),
        ("/account/balances?nonzero=maybe", "account.balances.invalid_nonzero"),
        ("/account/balances?limit=1001", "admin.pagination.invalid_limit"),
        ("/account/deposits?currency=x", "account.currency.doesnt_exist"),
        ("/account/deposits?limit=101", "account.deposit.invalid_limit"),
        ("/account/deposits?limit=x", "account.deposit.non_integer_limit"),
        ("/account/deposits?page=0", "account.deposit.non_positive_page"),
        ("/account/deposits?state=x", "account.deposit.invalid_state"),
        ("/account/deposits?txid=", "account.deposit.empty_txid"),
        ("/account/withdraws?page=x", "account.withdraw.non_integer_page"),
        ("/account/transactions?limit=1001", "admin.pagination.invalid_limit"),
    ],
)
def test_parameters_that_are_refused(path: str, code: str) -> None:
    assert Client().errors(path) == [code]


def test_a_rule_without_a_message_of_its_own() -> None:
    assert Client().post("/market/orders/cancel", side="x") == (422, {"errors": ["value"]})
    assert Client().post("/market/orders/cancel", market="x") == (422, {"errors": ["market.market.doesnt_exist"]})


def test_what_is_not_there_and_what_is_not_done() -> None:
    client = Client()
    for path in ("/public/config", "/public/nonsense", "/public/markets/a/b/c"):
        reply = client.request("GET", path)
        assert (reply.status, reply.body) == (404, b"404 Not Found")
    assert client.server.request("GET", "/elsewhere", {}, b"", client.now).status == 404
    assert client.server.request("GET", BASE, {}, b"", client.now).status == 404
    reply = client.request("POST", "/public/timestamp")
    assert (reply.status, json.loads(reply.body)) == (405, {"errors": "server.method_not_allowed"})
    assert client.request("GET", "/market/orders/1/cancel").status == 405
    assert client.request("GET", "/market/orders/cancel").status == 422  # an id like any other
    head = client.request("HEAD", "/public/timestamp")
    assert (head.status, head.body) == (200, b"")


# Bodies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"\xff\xfe", b'{"volume": 1' + b"[" * 5000])
def test_a_body_that_is_not_json(body: bytes) -> None:
    reply = Client().request("POST", "/market/orders", body)
    assert (reply.status, json.loads(reply.body)) == (400, {"errors": "server.method.invalid_message_body"})


def test_parameters_come_from_json_forms_and_queries() -> None:
    client = Client()
    form = b"market=rogerbtc&side=buy&volume=1&price=0.000001"
    headers = client.signed(**{"content-type": "application/x-www-form-urlencoded"})
    assert client.request("POST", "/market/orders", form, headers).status == 201
    query = "?market=rogerbtc&side=buy&volume=1"
    assert client.request("POST", f"/market/orders{query}", b'{"price": 0.000001}').status == 201
    assert client.request("POST", f"/market/orders{query}&price=0.000001").status == 201
    status, order = client.post("/market/orders", **ORDER | {"volume": 2})
    assert (status, order["origin_volume"]) == (201, "2.0")


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "BREW"]),
    path=st.sampled_from(
        [*PUBLIC, *PRIVATE, "/market/orders/1", "/market/orders/1/cancel", f"{M}/k-line", f"{M}/trades"]
    ),
    query=st.lists(
        st.tuples(
            st.sampled_from(NAMES),
            st.text(max_size=12) | st.integers().map(str),
        ),
        max_size=4,
    ),
    body=st.binary(max_size=20)
    | st.dictionaries(
        st.sampled_from(["market", "side", "volume", "price", "ord_type", "client_id", "limit", "state", "search"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=40)
        | st.sampled_from(["rogerbtc", "buy", "market", "1e40", "1e-40", "9" * 50])
        | st.lists(st.text(max_size=3), max_size=2),
    ).map(lambda fields: json.dumps(fields).encode()),
)
def test_no_request_is_too_strange(method: str, path: str, query: list[tuple[str, str]], body: bytes) -> None:
    client = Client()
    target = f"{path}?{'&'.join(f'{name}={value}' for name, value in query)}"
    reply = client.request(method, target, body)
    assert reply.status in {200, 201, 400, 401, 404, 405, 422}
    if reply.headers["Content-Type"] == "application/json" and method != "HEAD":
        json.loads(reply.body)


# Time and chance ------------------------------------------------------------------------------------------


def test_what_is_due_at_the_time_of_a_request_has_happened() -> None:
    client = Client(Behaviour(pending_delay=0))
    client.post("/market/orders", **ORDER)
    assert client.server.next_due() == client.now
    assert client.get("/market/orders/1")["state"] == "wait"


def test_the_same_seed_answers_the_same() -> None:
    def answers() -> list[bytes]:
        world = sandbox("again", START)
        server = Server(world.exchange)
        return [
            server.request("GET", f"{BASE}{path}", {}, b"", START + number * SECOND).body
            for number, path in enumerate(path for path in PUBLIC * 2)
        ]

    assert answers() == answers()
