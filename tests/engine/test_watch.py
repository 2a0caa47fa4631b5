"""What is asked for next, when there are fewer requests than questions."""

from hypothesis import given
from hypothesis import strategies as st

from runner.engine.watch import Watch
from runner.model.command import ListOrders, ListTrades, ReadBalances, ReadOrder
from runner.model.settings import SECOND

NOW = 1_700_000_000 * SECOND


@given(reads=st.integers(0, 200), most=st.integers(1, 40))
def test_orders_to_be_read_never_keep_a_listing_or_a_sweep_waiting(reads: int, most: int) -> None:
    watch = Watch(30 * SECOND, NOW, lambda *_: frozenset())
    watch.up(("order", "trade", "balance"), NOW)
    asked = watch.requests(NOW, range(1, reads + 1), most)
    chores = [command for command in asked if not isinstance(command, ReadOrder)]
    assert [type(command) for command in chores] == [ReadBalances, ListOrders, ListTrades][:most]
    assert len(asked) == min(most, 3 + reads)
