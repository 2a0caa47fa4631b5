"""The private socket's codec."""

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from wire_samples import MARKETS, ORDER, TRADE, frame, json_values, mutated

from runner.altmarkets.stream import PRIVATE_PATH, PrivateStream
from runner.model.event import BalanceNews, OrderNews, StreamUp, TradeNews, VenueFault
from runner.model.order import BalanceRow


def stream() -> PrivateStream:
    return PrivateStream(MARKETS.values())


def confirmation(*names: str) -> str:
    return json.dumps({"success": {"message": "subscribed", "streams": names}})


def test_the_streams_are_named_in_the_url() -> None:
    assert PRIVATE_PATH == "/private/?stream=order&stream=trade&stream=balance"
    assert stream().subscriptions() == []


def test_news_of_orders_trades_and_balances() -> None:
    opened = stream()
    (order,) = opened.receive(frame("order", ORDER))
    assert isinstance(order, OrderNews)
    assert (order.row.id, order.row.ticks, order.row.executed_lots) == (9401, 99, 418_990)
    (trade,) = opened.receive(frame("trade", TRADE).encode())
    assert isinstance(trade, TradeNews)
    assert (trade.row.id, trade.row.order_id, trade.row.lots) == (9001, 5003, 30_000)
    wire = {"currency": "roger", "balance": "968.8", "locked": "7000.0"}
    row = BalanceRow("ROGER", Decimal("968.8"), Decimal("7000.0"))
    assert opened.receive(frame("balance", wire)) == [BalanceNews(row)]
    assert opened.receive(frame("balance", [wire, wire])) == [BalanceNews(row), BalanceNews(row)]


def test_orders_and_trades_must_be_confirmed_balances_need_not() -> None:
    assert stream().receive(confirmation("order", "trade")) == [StreamUp("private", ("order", "trade"))]
    assert stream().receive(confirmation("order", "trade", "balance")) == [
        StreamUp("private", ("order", "trade", "balance"))
    ]
    for names in [(), ("order",), ("trade", "balance")]:
        (fault,) = stream().receive(confirmation(*names))
        assert isinstance(fault, VenueFault)
        assert "does not confirm" in fault.what


def test_an_order_off_the_grid_or_of_an_unknown_market_is_a_fault_once() -> None:
    opened = stream()
    (fault,) = opened.receive(frame("order", ORDER | {"price": "0.000000001"}))
    assert isinstance(fault, VenueFault)
    assert "more than 8 decimals" in fault.what
    assert opened.receive(frame("order", ORDER | {"market": "unheardof"})) == []
    assert isinstance(opened.receive(frame("order", ORDER))[0], OrderNews)


def test_unused_names_are_passed_over_and_unknown_ones_told_once() -> None:
    opened = stream()
    assert opened.receive(frame("deposit_address", {"type": "create"})) == []
    assert isinstance(opened.receive(frame("balances", {}))[0], VenueFault)
    assert opened.receive(frame("weather", {})) == []


@given(
    bodies=st.lists(
        st.tuples(
            st.sampled_from(["order", "trade", "balance", "success", "error", "ping", "x"]),
            mutated(ORDER) | mutated(TRADE) | json_values,
        ),
        max_size=6,
    )
)
def test_nothing_that_comes_raises_and_faults_are_told_once(bodies: list[tuple[str, Any]]) -> None:
    opened = stream()
    texts = [frame(name, body) for name, body in bodies]
    opened.receive_all([*texts, "", b"\xff", "[" * 50_000, "pong"])
    again = opened.receive_all([*texts, "", b"\xff"])
    assert not [what for what in again if isinstance(what, VenueFault)]
