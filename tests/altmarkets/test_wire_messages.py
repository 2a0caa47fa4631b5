import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from wire_samples import GRIDS, ORDER, ROGER, TRADE, json_values, mutated

from runner.altmarkets.messages import (
    balance_row,
    book_levels,
    decode,
    error_codes,
    order_row,
    public_trade,
    sequence_number,
    trade_row,
)
from runner.altmarkets.numbers import Grid, OffTheMap, Unreadable
from runner.model.event import PublicTrade
from runner.model.order import BalanceRow, OrderRow, Side, TradeRow

GRID = Grid(ROGER)


def through_json(value: Any) -> Any:
    return decode(json.dumps(value))


def test_an_order_of_the_private_stream() -> None:
    assert order_row(through_json(ORDER), GRIDS) == OrderRow(
        id=9401,
        market="ROGER-BTC",
        side=Side.SELL,
        state="wait",
        ticks=99,
        origin_lots=700_000,
        remaining_lots=281_010,
        executed_lots=418_990,
        created_at=1596481983,
        updated_at=1596553643,
    )


def test_an_order_of_the_rest_interface_with_its_trades() -> None:
    rest = {
        "id": 5003,
        "uuid": "5b0d3f0e-6c1a-4a53-9a55-0f2f6b1c7d10",
        "client_id": "RABCDEF12345-BID-1-A",
        "side": "buy",
        "ord_type": "limit",
        "price": "0.00000101",
        "avg_price": "0.0",
        "state": "pending",
        "market": "rogerbtc",
        "created_at": "2023-11-14T23:13:20+01:00",
        "updated_at": "2023-11-14T22:13:20Z",
        "origin_volume": "600.0",
        "remaining_volume": "600.0",
        "executed_volume": "0.0",
        "maker_fee": "0.0025",
        "taker_fee": "0.0025",
        "trades_count": 0,
        "trades": [
            {
                "id": 9001,
                "price": "0.000001",
                "amount": "300.0",
                "total": "0.0003",
                "market": "rogerbtc",
                "created_at": "2023-11-14T23:13:21+01:00",
                "taker_type": "buy",
                "side": "buy",
            }
        ],
    }
    row = order_row(through_json(rest), GRIDS)
    assert (row.client_id, row.created_at, row.updated_at) == ("RABCDEF12345-BID-1-A", 1_700_000_000, 1_700_000_000)
    assert row.trades == (
        TradeRow(
            id=9001,
            order_id=None,
            market="ROGER-BTC",
            side=Side.BUY,
            ticks=100,
            lots=30_000,
            taker_side=Side.BUY,
            created_at=1_700_000_001,
        ),
    )


def test_numbers_may_be_text_and_text_numbers() -> None:
    numbers = ORDER | {
        "id": "9401",
        "price": Decimal("0.00000099"),
        "origin_volume": 7000,
        "remaining_volume": Decimal("2810.1"),
        "executed_volume": Decimal("4.1899e3"),
        "created_at": "1596481983",
        "updated_at": "2020-08-04T15:07:23Z",
    }
    assert order_row(numbers, GRIDS) == order_row(ORDER, GRIDS)


def test_a_market_order_has_no_price_and_an_unknown_state_is_kept() -> None:
    row = order_row(ORDER | {"price": None, "state": "partial-canceled"}, GRIDS)
    assert (row.ticks, row.state, row.terminal) == (None, "partial-canceled", False)


def test_a_trade_with_its_fee() -> None:
    row = trade_row(TRADE | {"fee_currency": "roger", "fee": "0.0025", "fee_amount": "0.75"}, GRIDS)
    assert (row.order_id, row.lots, row.fee, row.fee_currency) == (5003, 30_000, Decimal("0.75"), "ROGER")
    assert trade_row(TRADE, GRIDS).fee is None


def test_balances_may_have_more_decimals_than_the_grid() -> None:
    wire = {"currency": "roger", "balance": "968.8000000000000001", "locked": 7000}
    assert balance_row(wire) == BalanceRow("ROGER", Decimal("968.8000000000000001"), Decimal(7000))


@pytest.mark.parametrize(
    "change",
    [
        {"price": "0.000000001"},
        {"origin_volume": "1.001"},
        {"executed_volume": "0.005"},
        {"price": "99999999999999999999"},
        {"market": "unheardof"},
    ],
)
def test_what_is_off_the_grid_is_never_bent(change: dict[str, Any]) -> None:
    with pytest.raises(OffTheMap):
        order_row(ORDER | change, GRIDS)


@pytest.mark.parametrize(
    "change",
    [
        {"price": "0.0"},
        {"price": "-0.00000099"},
        {"origin_volume": "0.0"},
        {"remaining_volume": "-1.0"},
        {"side": "bid"},
        {"id": None},
        {"id": True},
        {"created_at": None},
        {"price": "NaN"},
        {"origin_volume": "Infinity"},
    ],
)
def test_what_no_order_can_be_is_unreadable(change: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        order_row(ORDER | change, GRIDS)


@given(value=mutated(ORDER | {"trades": [TRADE], "client_id": "x"}) | json_values)
def test_any_json_is_an_order_or_unreadable(value: Any) -> None:
    try:
        row = order_row(value, GRIDS)
    except Unreadable:
        return
    assert row.origin_lots > 0
    assert row.ticks is None or row.ticks > 0


@given(value=mutated(TRADE | {"fee_amount": "0.1", "fee_currency": "btc"}) | json_values)
def test_any_json_is_a_trade_or_unreadable(value: Any) -> None:
    try:
        row = trade_row(value, GRIDS)
    except Unreadable:
        return
    assert row.ticks > 0
    assert row.lots > 0


@given(value=mutated({"currency": "btc", "balance": "1.0", "locked": "0.0"}) | json_values)
def test_any_json_is_a_balance_or_unreadable(value: Any) -> None:
    try:
        row = balance_row(value)
    except Unreadable:
        return
    assert row.available.is_finite()
    assert row.locked.is_finite()


# The book -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantity", ["", "0", "0.0", 0, Decimal("0.0"), None])
@pytest.mark.parametrize("nested", [False, True])
def test_every_form_of_deletion(quantity: Any, nested: bool) -> None:
    pair = ["0.00000099", quantity]
    assert book_levels({"bids": [pair] if nested else pair}, "bids", GRID) == ((99, 0),)


def test_sides_in_every_form() -> None:
    assert book_levels({"bids": ["0.00000099", "2800.0"]}, "bids", GRID) == ((99, 280_000),)
    assert book_levels({"bids": [["0.00000099", "1.0"], [Decimal("9.8e-7"), 2]]}, "bids", GRID) == (
        (99, 100),
        (98, 200),
    )
    assert book_levels({"bids": []}, "bids", GRID) == ()
    assert book_levels({"bids": [], "asks": None}, "asks", GRID) == ()
    assert book_levels({}, "asks", GRID) == ()


@pytest.mark.parametrize(
    "side",
    [
        "0.1",
        {},
        ["0.00000099"],
        ["0.00000099", "1.0", "1.0"],
        [["0.00000099", "1.0"], "0.00000098"],
        ["0.00000099", "-1.0"],
        ["0.0", "1.0"],
        ["-0.00000001", ""],
        ["0.000000001", "1.0"],
        ["0.00000099", "0.001"],
        ["0.00000099", False],
        [None, "1.0"],
    ],
)
def test_what_is_no_side_of_a_book_is_unreadable(side: Any) -> None:
    with pytest.raises(Unreadable):
        book_levels({"bids": side}, "bids", GRID)


@pytest.mark.parametrize("number", [None, True, "", "x", -1, Decimal("1.5"), 2**63])
def test_what_is_no_sequence_number_is_unreadable(number: Any) -> None:
    with pytest.raises(Unreadable):
        sequence_number({"sequence": number})


def test_public_trades_with_text_or_numbers() -> None:
    stock = {"tid": 9001, "taker_type": "buy", "date": 1_700_000_001, "price": "0.000001", "amount": "300.0"}
    expected = PublicTrade("ROGER-BTC", 9001, 100, 30_000, Side.BUY, 1_700_000_001)
    assert public_trade(stock, GRID) == expected
    assert public_trade(through_json(stock | {"price": 1e-06, "amount": 300, "tid": "9001"}), GRID) == expected
    for nonsense in ({"price": "0.0"}, {"amount": 0}, {"taker_type": "bid"}, {"date": -1}):
        with pytest.raises(Unreadable):
            public_trade(stock | nonsense, GRID)


# Errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (b'{"errors":["market.order.invalid_side","x"]}', ("market.order.invalid_side", "x")),
        (b'{"errors":"server.method_not_allowed"}', ("server.method_not_allowed",)),
        (b'{"error":{"code":2002,"message":"Failed to create order"}}', ("2002", "Failed to create order")),
        (b'{"error":"text"}', ("text",)),
        (b'{"errors":[]}', None),
        (b'{"message":"Forbidden"}', None),
        (b'["x"]', None),
        (b'"x"', None),
        (b"", None),
        (b"<html>502 Bad Gateway</html>", None),
        (b"upstream connect error", None),
        (b"\xff\xfe", None),
    ],
)
def test_error_envelopes(body: bytes, codes: tuple[str, ...] | None) -> None:
    assert error_codes(body) == codes


@given(value=json_values)
def test_any_json_has_error_codes_or_none(value: Any) -> None:
    for envelope in (value, {"errors": value}, {"error": value}):
        codes = error_codes(json.dumps(envelope))
        assert codes is None or all(isinstance(code, str) for code in codes)


def test_brackets_without_end_are_unreadable() -> None:
    with pytest.raises(Unreadable):
        decode("[" * 100_000)
    with pytest.raises(Unreadable):
        decode('"\ud800"')
