"""Each limit of the file on a real exchange: what it refuses, with its code, and what the exchange then has of ours.

The limits on losses and failures in a row are tripped in test_drill.py; the age of a book keeps the tick itself from
coming (test_starting.py).
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from loopback.line import journal_in, run_here, venue

from runner.model.order import Side
from runner.model.settings import Limits
from runner.simulation.faults import switch_text
from runner.simulation.moments import happen
from runner.simulation.records import Order

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PROBE = Path(__file__).with_name("probe.py")

TEXT = """\
version: 1
name: limits
connector: {connector}
markets: [ROGER-BTC]
strategy:
  use: {probe}:Probe
  params: {{{params}}}
tick: {{every: 500ms}}
risk: {{{risk}}}
run: {{for: {run_for}}}
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Case(NamedTuple):
    """`risk` is the section, `holds` what must be true of all orders that the exchange ever had of ours."""

    risk: str
    holds: Callable[[list[Order]], bool]
    params: str = ""
    code: str = ""  # where it is not the limit's own name
    fault: str = ""
    run_for: str = "4s"


def none(orders: list[Order]) -> bool:
    return not orders


def buys_only(orders: list[Order]) -> bool:
    return {order.side for order in orders} == {Side.BUY}


def sells_only(orders: list[Order]) -> bool:
    return {order.side for order in orders} == {Side.SELL}


CASES = {
    "max_order_amount": Case("max_order_amount: {ROGER: 499}", none),
    "max_order_notional": Case("max_order_notional: {BTC: 0.001}", none),
    "min_order_notional": Case("min_order_notional: {BTC: 1}", none),
    "price_collar": Case("price_collar: 4%", none),
    "collar_reference": Case("price_collar: 4%, collar_reference: last", none, code="price_collar"),
    "collar_price": Case("price_collar: 4%, collar_price: 0.0001 BTC", none, code="price_collar"),
    "max_position": Case("max_position: {ROGER: 499}", none),
    "min_position": Case("min_position: {ROGER: 0}", buys_only),
    "max_open_orders": Case("max_open_orders: 1", lambda orders: len(orders) == 1),
    "max_open_notional": Case("max_open_notional: {BTC: 0.001}", none),
    "balance_floor": Case("balance_floor: {BTC: 5}", sells_only),
    "allocation": Case("allocation: 0%", none),
    "max_order_rate": Case("max_order_rate: 3/1h", lambda orders: len(orders) == 3, "moves: true"),
    "max_cancel_rate": Case("max_cancel_rate: 2/1h", lambda orders: 2 <= len(orders) <= 4, "moves: true"),
    "min_spread": Case("min_spread: 40%", none),
    "max_spread": Case("max_spread: 1bps", none),
    "max_account_age": Case("max_account_age: 1s", none, "after: 5", run_for="6s"),
    "max_clock_skew": Case("max_clock_skew: 1s", none, fault="clock_jump=+2s"),
    "self_trade": Case("self_trade: reject", bool, "away: -1%, quantity: 5 ROGER"),
}

ELSEWHERE = {
    "max_book_age", "max_daily_loss", "max_drawdown", "day_start", "loss_persists", "max_mark_age",
    "max_consecutive_rejects", "max_consecutive_errors", "on_breach", "resume", "resume_after", "flatten_slippage",
    "flatten_with", "flatten_within",
}  # fmt: skip


def test_there_is_a_case_for_every_limit() -> None:
    assert CASES.keys() | ELSEWHERE == set(Limits.__struct_fields__)


@pytest.mark.parametrize("limit", CASES)
async def test_a_limit_holds_on_the_exchange(limit: str, tmp_path: Path) -> None:
    case = CASES[limit]
    async with venue() as (opened, exchange):
        if case.fault:
            assert happen(exchange, switch_text(case.fault))
        text = TEXT.format(
            connector=opened.connector, probe=PROBE, params=case.params, risk=case.risk, run_for=case.run_for
        )
        ended = await run_here(text, tmp_path, opened)
        (trader,) = {key.member for key in exchange.keys.values() if key.access == opened.api_key}
        orders = exchange.database.orders_of(trader)
        trades = exchange.database.trades_of(trader)
    assert ended.exit_code == 0, ended.reason
    assert case.holds(orders), orders
    assert not [trade for trade in trades if trade.maker.member == trade.taker.member]
    assert all(order.state.terminal for order in orders)
    assert refusals(tmp_path) == {case.code or limit}


def refusals(state: Path) -> set[str]:
    """Codes of what the gate refused, from the journal."""
    connection = sqlite3.connect(journal_in(state))
    try:
        rows = connection.execute("SELECT facts FROM notes WHERE what = 'order.refused'").fetchall()
    finally:
        connection.close()
    return {msgspec.json.decode(facts)["code"] for (facts,) in rows}
