"""What a gateway lets through."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from runner.model.command import Cancel, Command, ListOrders, ListTrades, Place, ReadBalances, ReadOrder
from runner.model.order import Side
from runner.run.gateway import Withheld


class Taker:
    """Remembers what it was given."""

    def __init__(self) -> None:
        self.taken: list[Command] = []
        self.open = True

    def submit(self, commands: Iterable[Command]) -> None:
        self.taken += commands

    def close_gate(self) -> None:
        self.open = False


NUMBERS = st.integers(1, 99)
ACTS = st.one_of(
    st.builds(Place, st.just("R1"), st.just("ROGER-BTC"), st.sampled_from(Side), NUMBERS, NUMBERS, NUMBERS),
    st.builds(Cancel, NUMBERS, st.just("R1")),
)
QUESTIONS = st.one_of(
    st.builds(ListOrders, NUMBERS),
    st.builds(ReadOrder, NUMBERS, NUMBERS),
    st.builds(ListTrades, NUMBERS, NUMBERS),
    st.builds(ReadBalances, NUMBERS),
)


@given(st.lists(st.lists(ACTS | QUESTIONS)))
def test_only_questions_pass_and_acts_are_withheld_in_order(batches: list[list[Command]]) -> None:
    taker = Taker()
    gateway = Withheld(taker)
    for batch in batches:
        gateway.submit(batch)
    given_ = [command for batch in batches for command in batch]
    assert gateway.commands == [command for command in given_ if isinstance(command, Place | Cancel)]
    assert taker.taken == [command for command in given_ if not isinstance(command, Place | Cancel)]
    gateway.close_gate()
    assert not taker.open
