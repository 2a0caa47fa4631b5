from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.order import TERMINAL, TRANSITIONS, Order, OrderRow, OrderState, Side


def order(**changes: Any) -> Order:
    fields: dict[str, Any] = {
        "client_id": "RABCDEF12345-BID-1-A",
        "slot": "bid-1",
        "generation": 10,
        "market": "ROGER-BTC",
        "side": Side.BUY,
        "ticks": 101,
        "lots": 60_000,
        "state": OrderState.INTENDED,
        "created": 1,
        "changed": 1,
        "event": 1,
        "sign_before": 5,
    }
    return Order(**(fields | changes))


def test_the_table_has_a_row_for_every_state_and_leads_nowhere_else() -> None:
    assert set(TRANSITIONS) == set(OrderState)
    assert all(state not in after for state, after in TRANSITIONS.items()), "no state follows itself"
    assert {state for state in OrderState if state.terminal} == TERMINAL


def test_from_every_state_an_order_can_come_to_an_end() -> None:
    reached = set(TERMINAL)
    for _ in OrderState:
        reached |= {state for state, after in TRANSITIONS.items() if after & reached}
    assert reached == set(OrderState)


def test_what_was_never_sent_cannot_come_back_from_the_venue_and_nothing_goes_back_to_the_intent() -> None:
    everything = set().union(*TRANSITIONS.values())
    assert OrderState.INTENDED not in everything
    assert {state for state, after in TRANSITIONS.items() if OrderState.SENT in after} == {OrderState.INTENDED}


def test_absence_is_proven_from_unknown_only() -> None:
    assert {state for state, after in TRANSITIONS.items() if OrderState.ABSENT in after} == {OrderState.UNKNOWN}


def test_unknown_can_turn_out_to_be_anything_the_venue_can_tell() -> None:
    told = {OrderState.ACCEPTED, OrderState.OPEN, OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED}
    assert told <= TRANSITIONS[OrderState.UNKNOWN]


@given(lots=st.integers(1, 10**9), executed=st.integers(0, 10**9), filled=st.integers(0, 10**9))
def test_what_remains_follows_whoever_knows_more(lots: int, executed: int, filled: int) -> None:
    assert order(lots=lots, executed_lots=executed, filled_lots=filled).remaining_lots == lots - max(executed, filled)


def test_every_copy_of_an_order_may_still_be_filled() -> None:
    assert order(lots=100, venue_ids=(7, 9), executed_lots=30).remaining_lots == 170


def test_what_was_executed_without_a_fill_yet_is_still_exposed() -> None:
    """The position does not hold it yet: a limit that counted it in neither would be exceeded."""
    assert order(lots=100, executed_lots=60, filled_lots=20).unbooked_lots == 80
    assert order(lots=100, venue_ids=(7, 9), executed_lots=60, filled_lots=20).unbooked_lots == 180
    assert order(venue_ids=(7, 9)).venue_id == 7
    assert order().venue_id is None


def test_sides() -> None:
    assert (Side.BUY.opposite, Side.SELL.opposite) == (Side.SELL, Side.BUY)
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)


@pytest.mark.parametrize(
    ("state", "terminal"),
    [("pending", False), ("wait", False), ("done", True), ("cancel", True), ("reject", True), ("partial", False)],
)
def test_a_state_that_the_venue_may_invent_is_not_an_end(state: str, terminal: bool) -> None:
    row = OrderRow(
        id=1,
        market="ROGER-BTC",
        side=Side.BUY,
        state=state,
        ticks=None,
        origin_lots=1,
        remaining_lots=1,
        executed_lots=0,
        created_at=0,
        updated_at=0,
    )
    assert row.terminal is terminal


def test_an_order_turns_into_json_and_back() -> None:
    for one in (order(), order(ticks=None, state=OrderState.UNKNOWN, venue_ids=(1, 2), nonce=7, parent="twap")):
        assert msgspec.json.decode(msgspec.json.encode(one), type=Order) == one
