"""`plan` in one event loop with a sandbox: what it says, what it may not do, and what it says when no tick comes."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from decimal import Decimal
from pathlib import Path

import anyio
import pytest
from loopback.line import journal_in, orders_in_state, run_here, spec_of, strategy_text, venue
from loopback.proxy import Answer, Fault, Proxy, proxy
from msgspec import Struct

from benchmarks.peer import Opened
from runner.edge.conversation import HttpRequest
from runner.report.plan import Plan
from runner.run.ends import CannotRun
from runner.run.glance import Wish
from runner.run.plan import plan
from runner.simulation.exchange import Exchange

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
BUSY = Answer(503, b"no healthy upstream", {"Content-Type": "text/plain"})
SLOTS = ["bid-1", "bid-2", "ask-1", "ask-2"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Desk(Struct, frozen=True):
    """A strategy of far quotes, whose orders nobody trades with, on a venue that is watched."""

    opened: Opened
    between: Proxy
    exchange: Exchange
    state: Path

    def text(self, *changes: tuple[str, str]) -> str:
        text = strategy_text(self.opened.connector, run_for="1s", on_stop="leave").replace("spread: 5bps", "spread: 2%")
        text = text.replace("order_refresh_time: 2s", "order_refresh_time: 1h")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return text

    async def plan(self, *changes: tuple[str, str], within_s: float = 20.0) -> Plan:
        """The plan of the file with something changed; asserts that the venue was only asked."""
        asked: list[HttpRequest] = []
        fault = self.between.request

        def look(request: HttpRequest) -> Fault:
            asked.append(request)
            return fault(request)

        self.between.request = look
        orders = self.orders()
        shutil.rmtree(self.state / "budget", ignore_errors=True)  # one of its own for each, or it waits for the last's
        environment = {"RUNNER_STATE_DIR": str(self.state), **self.opened.environment}
        try:
            with anyio.fail_after(30):
                return await plan(spec_of(self.text(*changes)), Wish(within_s=within_s), environment)
        finally:
            assert {request.method for request in asked} == {"GET"}
            assert self.orders() == orders
            self.between.request = fault

    async def leave_orders(self) -> None:
        """A run that leaves its four orders in the book."""
        ended = await run_here(self.text(), self.state, self.opened)
        assert (ended.exit_code, ended.summary["open_orders_left"]) == (0, 4)

    def orders(self) -> list[object]:
        """The venue's own truth about our account, whatever became of its orders."""
        return list(self.exchange.database.orders_of(self.trader()))

    def trader(self) -> int:
        return next(member.id for member in self.exchange.members.values() if member.name == "trader")


@asynccontextmanager
async def open_desk(state: Path) -> AsyncIterator[Desk]:
    async with venue() as (behind, exchange), proxy(behind) as (opened, between):
        yield Desk(opened, between, exchange, state)


def done(found: Plan) -> dict[str, str]:
    return {order.slot: order.do for order in found.orders}


async def test_a_first_tick_is_told_and_a_run_then_does_it(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        found = await desk.plan()
        # Until the exchange has shown a name of ours, one order a side (orders.md rule 11).
        assert done(found) == {"bid-1": "create", "bid-2": "wait", "ask-1": "create", "ask-2": "wait"}
        assert found.orders[1].why.startswith("one create a side at a time")
        assert found.reason.startswith("4 new quotes: mid")
        assert [order.offer.side.value for order in found.orders] == ["buy", "buy", "sell", "sell"]
        assert {str(order.offer.quantity.normalize()) for order in found.orders} == {"5E+2"}
        for order in found.orders:
            away = {"bid-1": -2, "bid-2": -2.1, "ask-1": 2, "ask-2": 2.1}[order.slot]
            assert order.offer.from_mid == pytest.approx(away, abs=0.03)  # a tick is 0.02 % of the price
        assert [order.numbers.get("max_open_orders") for order in found.orders] == ["1 of 8", None, "2 of 8", None]
        (sight,) = found.sights
        assert (sight.best_bid or 0) < (sight.best_ask or 0)
        assert list(tmp_path.rglob("journal*")) == []
        await desk.leave_orders()
        assert len(desk.orders()) == 4


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_orders_that_are_there_are_kept_or_cancelled_and_the_plan_says_why(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.leave_orders()
        journal = journal_in(tmp_path)
        before = journal.read_bytes()
        assert done(await desk.plan()) == dict.fromkeys(SLOTS, "keep")
        fewer = await desk.plan(("order_levels: 2", "order_levels: 1"))
        assert done(fewer) == {"bid-1": "keep", "ask-1": "keep", "bid-2": "cancel", "ask-2": "cancel"}
        assert {order.why.partition(":")[0] for order in fewer.orders if order.do == "cancel"} == {"not wanted"}
        assert all(order.instead is None for order in fewer.orders)
        nearer = await desk.plan(("bid_spread: 2%", "bid_spread: 1%"), ("refresh_time: 1h", "refresh_time: 1s"))
        assert [order.slot for order in nearer.orders] == SLOTS
        for order in nearer.orders[:2]:
            assert order.do == "cancel"
            assert order.why.startswith("repriced: R")
            assert order.instead is not None
            assert (order.instead.ticks or 0) > (order.offer.ticks or 0)
        assert journal.read_bytes() == before


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_a_limit_refuses_and_what_waits_for_funds(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        refused = await desk.plan(("max_open_orders: 8", "max_open_orders: 8, price_collar: 1%"))
        assert set(done(refused).values()) == {"refuse"}
        assert {order.code for order in refused.orders} == {"price_collar"}
        assert all((order.numbers or {}).get("limit") == "0.01" for order in refused.orders)
        trader = desk.trader()
        spare = desk.exchange.accounts.account(trader, "btc").available - Decimal("0.01")
        desk.exchange.transfer(trader, "btc", -spare)
        waits = await desk.plan()
        assert done(waits) == {"bid-1": "wait", "bid-2": "wait", "ask-1": "create", "ask-2": "wait"}
        assert [order.why[:20] for order in waits.orders[:2]] == ["funds: it takes 0.02"] * 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_run_that_places_orders_meanwhile_is_caught_up_with(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.leave_orders()
        journal, newest = journal_in(tmp_path), tmp_path / "newest"
        newest.write_bytes(journal.read_bytes())
        with closing(sqlite3.connect(journal)) as older, older:
            older.execute("DELETE FROM orders")
            older.execute("DELETE FROM slots")
        with pytest.raises(CannotRun, match="the journal is an older copy") as stale:
            await desk.plan()
        assert stale.value.exit_code == 7

        def writes_them_down(request: HttpRequest) -> Fault:
            if "/market/orders?" in request.target and newest.exists():
                newest.replace(journal)
            return None

        desk.between.request = writes_them_down
        assert done(await desk.plan()) == dict.fromkeys(SLOTS, "keep")


# When no first tick comes ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        ("/private", "the private stream is not up"),
        ("/ranger/public", "no live book of ROGER-BTC: stream down"),
        ("/account/balances", "not read yet: balances"),
        ("/market/orders?", "not read yet: open orders"),
        ("/market/trades", "not read yet: trades"),
    ],
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_condition_that_is_missing_is_named(tmp_path: Path, part: str, missing: str) -> None:
    async with open_desk(tmp_path) as desk:
        desk.between.request = lambda request: BUSY if part in request.target else None
        with pytest.raises(CannotRun) as late:
            await desk.plan(within_s=1.5)
    assert str(late.value) == f"no tick within 1.5 s: {missing}"
    assert late.value.exit_code == 5


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_order_that_the_exchange_does_not_tell_of_is_named(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await desk.leave_orders()
        name = next(name for name in orders_in_state(tmp_path, "open") if "-BID-1-" in name)
        desk.between.request = empty_lists(BUSY)
        with pytest.raises(CannotRun) as late:
            await desk.plan(within_s=1.5)
    assert f"the exchange has not said what became of {name}" in str(late.value)
    assert late.value.exit_code == 7


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_order_whose_number_the_exchange_does_not_know_keeps_its_slot(tmp_path: Path) -> None:
    """A sandbox that was opened anew is another exchange."""
    async with open_desk(tmp_path) as desk:
        await desk.leave_orders()
        desk.between.request = empty_lists(Answer(404, b'{"errors":["record.not_found"]}', JSON))
        found = await desk.plan()
    assert done(found) == dict.fromkeys(SLOTS, "missing")
    assert all("does not know R" in order.why for order in found.orders)


def empty_lists(one: Answer) -> Callable[[HttpRequest], Fault]:
    """No list shows an order, and who asks for one by its number gets this answer."""

    def fault(request: HttpRequest) -> Fault:
        if "/market/orders?" in request.target:
            return Answer(200, b"[]", JSON)
        return one if "/market/orders/" in request.target else None

    return fault


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_strategy_that_raises_ends_it_as_it_would_end_a_run(tmp_path: Path) -> None:
    (tmp_path / "boom.py").write_text(BOOM)
    async with open_desk(tmp_path) as desk:
        text = desk.text()
        params = text[text.index("  params:") : text.index("tick:")]
        with pytest.raises(CannotRun, match=r"boom\.py:\d+: ZeroDivisionError") as raised:
            await desk.plan((f"pure_market_making\n{params}", f"{tmp_path}/boom.py:Boom\n"))
    assert raised.value.exit_code == 1


BOOM = '''
from runner.engine.strategy import Decision, Strategy


class Boom(Strategy, frozen=True):
    """Fail."""

    def slots(self):
        return ("bid",)

    def tick(self, view, state):
        return Decision((), state, f"{1 / 0}")
'''
