from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model.order import Side
from runner.simulation.crowd import Temper
from runner.simulation.database import MEMORY
from runner.simulation.exchange import MILLISECOND, SECOND, Behaviour
from runner.simulation.faults import FAULTS, REQUESTS, FaultProblem, Switch, switch, switch_text
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.records import OrderState
from runner.simulation.sandbox import sandbox
from runner.simulation.switchboard import Switchboard, concerns

START = 1_700_000_000 * SECOND


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_can_be_switched_on_as_it_stands(name: str) -> None:
    fault = FAULTS[name]
    chosen = switch({"name": name})
    assert (chosen.text, chosen.on) == (fault.default, fault.on)
    assert bool(fault.values) == bool(fault.default)
    assert fault.says[0].isupper()
    assert not (fault.moment and fault.on)


def test_one_line_says_as_much_as_an_object() -> None:
    text = "answer=502,for=10s,times=3,chance=0.25,on=cancel,account=alice"
    facts = {"name": "answer", "value": "502", "for": "10s", "times": 3, "chance": 0.25, "on": "cancel"}
    assert switch_text(text) == switch({**facts, "account": "alice"})
    assert switch_text("json_ping").value == 20 * SECOND
    assert switch_text("clock_jump=-3s").value == -3 * SECOND
    assert switch_text("fees=0.001").value == (Decimal("0.001"), Decimal("0.001"))
    assert switch_text("human_order=sell 5 ROGER-BTC at 0.5").value.price == Decimal("0.5")


@given(st.text(max_size=40) | st.builds("{}={}".format, st.sampled_from(sorted(FAULTS)), st.text(max_size=20)))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with suppress(FaultProblem):
        assert switch_text(text).name in FAULTS


@given(
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["create", "cancel", "read", "public"])), max_size=30),
    st.integers(1, 5),
    st.integers(1, 15),
    st.sampled_from(REQUESTS),
)
def test_a_fault_strikes_as_often_and_as_long_as_it_was_told(
    requests: list[tuple[int, str]], times: int, duration: int, on: str
) -> None:
    board = Switchboard("law")
    board.switch_on(Switch(name="answer", on=on, times=times, duration=duration), 0)
    struck = [(now, kind) for now, kind in sorted(requests) if board.strikes("answer", now, kind)]
    due = [(now, kind) for now, kind in sorted(requests) if now < duration and concerns(on, kind)]
    assert struck == due[:times]


def test_chance_comes_from_the_seed() -> None:
    def strikes(seed: str) -> list[bool]:
        board = Switchboard(seed)
        board.switch_on(Switch(name="lost", on="any", chance=0.3), 0)
        return [board.strikes("lost", 0, "create") is not None for _ in range(1000)]

    assert strikes("one") == strikes("one") != strikes("two")
    assert 230 < sum(strikes("one")) < 370


def test_what_is_planned_comes_out_once_in_order() -> None:
    board = Switchboard("plan")
    for at, name in ((30, "b"), (10, "a"), (30, "c")):
        board.plan(at, Switch(name=name))
    assert board.next_due() == 10
    assert [chosen.name for chosen in board.due(29)] == ["a"]
    assert [chosen.name for chosen in board.due(30)] == ["b", "c"]
    assert (board.next_due(), board.due(99)) == (None, [])


@settings(max_examples=40)
@given(st.lists(st.integers(1, 1500), min_size=1, max_size=4), st.sampled_from([0, 7 * MILLISECOND]), st.booleans())
def test_no_lot_is_lost_or_made_by_restarts_of_the_engine(pauses: list[int], delay: int, missed: bool) -> None:
    """Whenever matching starts anew, its book is the database's, less what is matched and not yet written down."""
    behaviour = Behaviour(execution_delay=delay, cancel_delay=20 * MILLISECOND)
    grown = sandbox("restarts", START, listings=SANDBOX_LISTINGS[:1], behaviour=behaviour, accounts=("other",))
    exchange, market = grown.exchange, SANDBOX_LISTINGS[0].market
    currencies = ("ROGER", "BTC")
    totals = {currency: exchange.accounts.total(currency) for currency in currencies}
    if missed:
        exchange.faults.switch_on(switch({"name": "engine_misses", "chance": 0.5}), START)
    now = START
    for pause in pauses:
        for side, price in ((Side.BUY, "0.0000500"), (Side.SELL, "0.0000501")):
            order = exchange.create(grown.trader.id, market, side, Decimal(300), Decimal(price))
            exchange.cancel(order)
        now += pause * MILLISECOND
        exchange.advance(now)
        exchange.restart_engine(market.id)
    exchange.advance(now + SECOND)
    exchange.restart_engine(market.id)  # now it has heard of all orders
    while exchange._queue:  # until nothing is matched that is not written down
        exchange.advance(exchange.next_due() or 0)
    for side in Side:
        assert exchange.book(market.id).levels(side, 1000) == exchange.database.depth(market.id, side)
    assert {currency: exchange.accounts.total(currency) for currency in currencies} == totals
    rows = exchange.database.orders_of(grown.trader.id)
    locked = sum(order.locked for order in rows if order.state is OrderState.WAIT and order.pays == "BTC")
    assert exchange.accounts.account(grown.trader.id, "BTC").locked == locked


@given(st.lists(st.integers(1, 9000), max_size=8))
def test_lists_can_be_read_as_they_were(pauses: list[int]) -> None:
    grown = sandbox("then", START, listings=SANDBOX_LISTINGS[:1], temper=Temper(rate=0))
    exchange, market, member = grown.exchange, SANDBOX_LISTINGS[0].market, grown.trader.id
    now, seen = START, {START: exchange.database.orders_of(member)}
    for pause in pauses:
        now += pause * MILLISECOND
        exchange.advance(now)
        exchange.cancel(exchange.create(member, market, Side.BUY, Decimal(10), Decimal("0.00004")))
        seen[now] = exchange.database.orders_of(member)
    for then, rows in seen.items():
        assert then < now - MEMORY or exchange.database.orders_then(member, then) == rows
    assert exchange.database.orders_then(member, START - 1) == [] or now > START + MEMORY
