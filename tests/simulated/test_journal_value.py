"""The journal as a value gives back what the file gives back, whatever was written into both."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.edge.journal import Journal, JournalError
from runner.model.command import Change, Decided, FillBooked, OrderChanged, StateChanged
from runner.model.ids import client_id
from runner.model.order import Fill, Order, OrderState, Role, Side
from runner.model.settings import SECOND
from runner.simulation.journal import Memory, NameUsedTwice

NOW = 1_700_000_000 * SECOND
SLOTS = ("bid", "ask", "once")


def order(slot: str, generation: int, state: OrderState, filled: int, ago: int) -> Order:
    return Order(
        client_id=client_id("ABCDEF", NOW // (60 * SECOND), slot, generation),
        slot=slot,
        generation=generation,
        market="ROGER-BTC",
        side=Side.BUY,
        ticks=5000,
        lots=100,
        state=state,
        created=NOW - 7200 * SECOND,
        changed=NOW - ago * SECOND,
        event=1,
        sign_before=0,
        executed_lots=filled,
        filled_lots=filled // 2,
        repeat=slot != "once",
    )


orders = st.builds(
    order,
    st.sampled_from(SLOTS),
    st.integers(0, 40),
    st.sampled_from(OrderState),
    st.sampled_from((0, 1, 50)),
    st.sampled_from((0, 1, 899, 900, 901, 5000)),
)


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    of = draw(orders)
    return Fill(
        trade_id=draw(st.integers(1, 4)),
        order_id=draw(st.integers(1, 3)),
        client_id=of.client_id,
        market=of.market,
        side=of.side,
        ticks=5000,
        lots=draw(st.integers(1, 9)),
        role=Role.MAKER,
        fee=draw(st.decimals(0, 1, places=8)),
        fee_currency="ROGER",
        time=NOW,
        traded_at=NOW // SECOND,
        fee_final=draw(st.booleans()),
    )


changes = st.one_of(
    orders.map(OrderChanged),
    fills().map(FillBooked),
    st.sampled_from(('{"n":1}', '{"n":2}')).map(StateChanged),
    st.just(Decided("why")),
)


@settings(max_examples=60)
@given(st.lists(st.lists(changes, max_size=5), max_size=8), st.sampled_from((0, 1, 899, 900, 901, 4000)))
def test_the_same_changes_are_restored_alike(outputs: list[list[Change]], later: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite3"
        memory = Memory.begun(NOW)
        with Journal.open(path, now=NOW, name="maker", tag="ABCDEF") as journal:
            assert memory.epoch == journal.epoch
            for number, output in enumerate(outputs):
                journal.commit(number, NOW, output)
                memory.commit(output)
        with Journal.open(path, now=NOW + later * SECOND, name="maker", tag="ABCDEF") as journal:
            assert memory.restore(NOW + later * SECOND) == journal.restore()
            assert tuple(memory.orders.values()) == journal.orders()


def test_a_name_that_was_used_before_is_refused_and_nothing_of_the_output_is_kept(tmp_path: Path) -> None:
    first = order("bid", 1, OrderState.INTENDED, 0, 0)
    again = replace(first, created=NOW)
    memory = Memory.begun(NOW)
    with Journal.open(tmp_path / "journal.sqlite3", now=NOW, name="maker", tag="ABCDEF") as journal:
        for commit in (lambda changes: journal.commit(1, NOW, changes), memory.commit):
            commit([OrderChanged(first)])
            commit([OrderChanged(first)])  # the same intent may be written again
        with pytest.raises(JournalError):
            journal.commit(2, NOW, [StateChanged("{}"), OrderChanged(again)])
        with pytest.raises(NameUsedTwice):
            memory.commit([StateChanged("{}"), OrderChanged(again)])
        assert memory.restore(NOW) == journal.restore()
        assert memory.state is None


def test_a_copy_is_an_older_journal() -> None:
    memory = Memory.begun(NOW)
    memory.commit([OrderChanged(order("bid", 1, OrderState.OPEN, 0, 0))])
    older = memory.copy()
    memory.commit([OrderChanged(order("bid", 2, OrderState.OPEN, 0, 0))])
    assert (older.generations, memory.generations) == ({"bid": 1}, {"bid": 2})
    assert len(older.orders) == 1
