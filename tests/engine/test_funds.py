"""A reservation ends only with a balance read that was asked for after the venue showed the lock."""

from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runner.engine.funds import Funds
from runner.model.money import MONEY
from runner.model.order import BalanceRow


class FundsMachine(RuleBasedStateMachine):
    """A venue that locks whenever it likes and tells its balance whenever it is asked; we must never overspend."""

    def __init__(self) -> None:
        super().__init__()
        self.funds = Funds()
        self.now = 1
        self.truth = 1000  # available at the venue
        self.names = 0
        self.pending: dict[str, int] = {}  # asked for, not locked yet
        self.reads: list[tuple[int, int]] = []  # (asked at, what the venue then answered)
        self.funds.read([BalanceRow("ROGER", Decimal(self.truth), Decimal(0))], 0)

    @rule(lots=st.integers(1, 400))
    def place(self, lots: int) -> None:
        self.now += 1
        if MONEY.subtract(self.funds.spendable("ROGER"), Decimal(lots)) < 0:
            return
        name = str(self.names)
        self.names += 1
        self.pending[name] = lots
        self.funds.reserve(name, "ROGER", Decimal(lots))

    @rule(data=st.data())
    def venue_locks_and_says_so(self, data: st.DataObject) -> None:
        if self.pending:
            name = data.draw(st.sampled_from(sorted(self.pending)))
            self.truth -= self.pending.pop(name)
            self.now += 1
            self.funds.seen(name, self.now)

    @rule(data=st.data())
    def venue_refuses(self, data: st.DataObject) -> None:
        if self.pending:
            name = data.draw(st.sampled_from(sorted(self.pending)))
            del self.pending[name]
            self.funds.release(name)

    @rule()
    def ask(self) -> None:
        self.now += 1
        self.reads.append((self.now, self.truth))

    @rule()
    def answer(self) -> None:
        self.now += 1
        if self.reads:
            asked_at, available = self.reads.pop(0)
            self.funds.read([BalanceRow("ROGER", Decimal(available), Decimal(0))], asked_at)

    @invariant()
    def never_spends_more_than_there_is(self) -> None:
        assert self.funds.spendable("ROGER") <= self.truth - sum(self.pending.values())


TestFunds = FundsMachine.TestCase


def test_when_all_is_seen_and_read_everything_is_spendable_again() -> None:
    funds = Funds()
    funds.read([BalanceRow("ROGER", Decimal(1000), Decimal(0))], 0)
    funds.reserve("a", "ROGER", Decimal(400))
    assert funds.spendable("ROGER") == 600
    funds.seen("a", 10)
    funds.read([BalanceRow("ROGER", Decimal(600), Decimal(400))], 9)
    assert funds.spendable("ROGER") == 200  # asked before the lock was seen: it may or may not be in there
    assert funds.read_wanted
    funds.read([BalanceRow("ROGER", Decimal(600), Decimal(400))], 11)
    assert funds.spendable("ROGER") == 600
    assert not funds.read_wanted
