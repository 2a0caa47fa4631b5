"""Fills on a tape: each assumption by example, and what holds whatever happens beside a model that counts lots."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runner.simulation.kernel import BUY, MAKER, SELL, TAKER, TAPE, Fill, Kernel
from runner.simulation.queues import HOLD

OURS, LATER = 7, 8
NOW = 1_700_000_000 * 10**9


def market(bids: dict[int, int], asks: dict[int, int]) -> Kernel:
    kernel = Kernel()
    for side, levels in ((BUY, bids), (SELL, asks)):
        for ticks, lots in levels.items():
            kernel.level(side, ticks, lots, NOW)
    return kernel


def fills(kernel: Kernel) -> list[Fill]:
    taken, kernel.fills = kernel.fills, []
    return taken


def test_a_new_order_stands_behind_what_is_visible() -> None:
    kernel = market({100: 5}, {102: 5})
    assert kernel.place(OURS, BUY, 100, 4, -1) == 4
    assert kernel.trade(SELL, 100, 3, NOW) == 3
    assert fills(kernel) == []
    assert kernel.trade(SELL, 100, 3, NOW) == 2  # two more were ahead
    assert fills(kernel) == [Fill(OURS, 100, 1, MAKER, TAPE)]
    assert kernel.trade(SELL, 101, 9, NOW) == 9  # not down to us


def test_what_goes_from_a_level_goes_from_behind_us_first() -> None:
    kernel = market({100: 5}, {102: 5})
    kernel.place(OURS, BUY, 100, 4, -1)
    kernel.level(BUY, 100, 8, NOW)
    kernel.level(BUY, 100, 2, NOW)
    assert kernel.own(BUY)[0].ahead == 5  # until it is clear that no trade explains it
    kernel.level(BUY, 100, 7, NOW + HOLD - 1)
    assert kernel.own(BUY)[0].ahead == 5
    kernel.level(BUY, 100, 8, NOW + HOLD)
    assert kernel.own(BUY)[0].ahead == 5  # five have joined behind us by now


def test_a_trade_through_the_price_fills_at_our_price_and_at_most_its_volume_less_what_is_ahead() -> None:
    kernel = market({100: 5, 99: 5}, {102: 5})
    kernel.place(OURS, BUY, 100, 4, -1)
    kernel.place(LATER, BUY, 99, 4, -1)
    assert kernel.trade(SELL, 99, 6, NOW) == 5
    assert fills(kernel) == [Fill(OURS, 100, 1, MAKER, TAPE)]
    assert kernel.trade(SELL, 98, 10, NOW) == 3  # on the tape all of the five at 99 have traded
    assert fills(kernel) == [Fill(OURS, 100, 3, MAKER, TAPE), Fill(LATER, 99, 4, MAKER, TAPE)]


def test_two_orders_are_not_filled_by_the_same_lots() -> None:
    kernel = market({99: 1}, {102: 5})
    kernel.place(OURS, BUY, 100, 4, -1)
    kernel.place(LATER, BUY, 100, 4, -1)
    assert kernel.trade(SELL, 100, 6, NOW) == 0
    assert fills(kernel) == [Fill(OURS, 100, 4, MAKER, TAPE), Fill(LATER, 100, 2, MAKER, TAPE)]


def test_depth_that_was_taken_stays_taken_until_the_level_changes() -> None:
    kernel = market({99: 1}, {102: 5, 103: 5})
    assert kernel.place(OURS, BUY, 0, 7, -1) == 0
    assert fills(kernel) == [Fill(OURS, 102, 5, TAKER, TAPE), Fill(OURS, 103, 2, TAKER, TAPE)]
    kernel.level(SELL, 102, 5, NOW)  # told again, but not changed
    assert kernel.visible(SELL, 9) == [(103, 3)]
    kernel.level(SELL, 102, 6, NOW)
    kernel.level(SELL, 103, 4, NOW)
    assert kernel.visible(SELL, 9) == [(102, 6), (103, 4)]


def test_a_market_buy_does_not_make_the_match_that_it_cannot_pay() -> None:
    kernel = market({99: 1}, {102: 5, 103: 5})
    assert kernel.place(OURS, BUY, 0, 7, 102 * 5 + 103) == 2
    assert fills(kernel) == [Fill(OURS, 102, 5, TAKER, TAPE)]
    assert kernel.own(BUY) == []


def test_volume_that_comes_up_against_us_fills_us_and_is_not_shown() -> None:
    kernel = market({99: 1}, {102: 5})
    kernel.place(OURS, BUY, 101, 6, -1)
    kernel.level(SELL, 101, 4, NOW)
    assert fills(kernel) == [Fill(OURS, 101, 4, MAKER, TAPE)]
    assert (kernel.total(BUY, 101), kernel.total(SELL, 101)) == (2, 0)
    kernel.level(SELL, 101, 3, NOW)  # some of those went: nothing new has come
    assert fills(kernel) == []
    kernel.level(SELL, 101, 8, NOW)  # five more, two of them for us
    assert fills(kernel) == [Fill(OURS, 101, 2, MAKER, TAPE)]
    assert (kernel.total(BUY, 101), kernel.total(SELL, 101)) == (0, 6)


def test_orders_of_ours_meet_each_other_behind_the_tape() -> None:
    kernel = market({99: 1}, {102: 5})
    kernel.place(OURS, SELL, 102, 3, -1)
    assert kernel.place(LATER, BUY, 102, 9, -1) == 1
    assert fills(kernel) == [
        Fill(LATER, 102, 5, TAKER, TAPE),
        Fill(LATER, 102, 3, TAKER, OURS),
        Fill(OURS, 102, 3, MAKER, LATER),
    ]
    assert kernel.total(BUY, 102) == 1


def test_a_cancelled_order_is_gone_once() -> None:
    kernel = market({99: 1}, {102: 5})
    kernel.place(OURS, SELL, 103, 3, -1)
    assert kernel.cancel(OURS, SELL)
    assert not kernel.cancel(OURS, SELL)
    assert kernel.total(SELL, 103) == 0
    kernel.place(LATER, SELL, 103, 3, -1)
    kernel.forget()
    assert kernel.own(SELL) == []


TICKS = st.integers(1, 12)
LOTS = st.integers(1, 9)
SIDES = st.sampled_from((BUY, SELL))


class KernelMachine(RuleBasedStateMachine):
    """The tape here is honest, as a recorded book is: its own levels do not cross."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = Kernel()
        self.tape: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.orders: dict[int, list[int]] = {}  # id -> side, ticks, left
        self.shown: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.last = 0

    @rule(side=SIDES, ticks=TICKS, lots=st.integers(0, 9))
    def level(self, side: int, ticks: int, lots: int) -> None:
        opposite = self.tape[1 - side]
        if lots and opposite and (ticks >= min(opposite) if side == BUY else ticks <= max(opposite)):
            return
        fresh = max(0, lots - self.tape[side].get(ticks, 0))
        self.tape[side][ticks] = lots
        if not lots:
            del self.tape[side][ticks]
        self.kernel.level(side, ticks, lots, NOW)
        done = self.settle()
        assert sum(fill.lots for fill in done) <= fresh
        assert all(fill.role == MAKER and fill.other == TAPE for fill in done)
        assert all((ticks >= fill.ticks) if side == BUY else (ticks <= fill.ticks) for fill in done)

    @rule(taker=SIDES, ticks=TICKS, lots=LOTS)
    def trade(self, taker: int, ticks: int, lots: int) -> None:
        left = self.kernel.trade(taker, ticks, lots, NOW)
        done = self.settle()
        filled = sum(fill.lots for fill in done)
        assert filled + left == lots

    @rule(side=SIDES, ticks=st.integers(0, 12), lots=LOTS, funds=st.integers(-1, 200))
    def place(self, side: int, ticks: int, lots: int, funds: int) -> None:
        self.last += 1
        before = dict(self.shown[1 - side])
        funds = funds if side == BUY and not ticks else -1
        self.orders[self.last] = [side, ticks, lots]
        left = self.kernel.place(self.last, side, ticks, lots, funds)
        done = [fill for fill in self.settle() if fill.order == self.last]
        assert sum(fill.lots for fill in done) == lots - left
        # Best price first, and never more at a price than was shown there.
        prices = [fill.ticks for fill in done]
        assert prices == sorted(prices, reverse=side == SELL)
        for price in set(prices):
            assert sum(fill.lots for fill in done if fill.ticks == price) <= before[price]
        if funds >= 0:
            assert sum(fill.ticks * fill.lots for fill in done) <= funds
        elif left:  # everything within reach is taken
            reach = [p for p in self.shown[1 - side] if not ticks or (p <= ticks if side == BUY else p >= ticks)]
            assert reach == []
        if not ticks:
            self.orders.pop(self.last, None)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(sorted(self.orders)))
        side, ticks, left = self.orders.pop(order)
        before = self.shown[side][ticks]
        assert self.kernel.cancel(order, side)
        self.settle()
        assert self.shown[side].get(ticks, 0) == before - left

    def settle(self) -> list[Fill]:
        done = fills(self.kernel)
        for fill in done:
            self.orders[fill.order][2] -= fill.lots
            assert self.orders[fill.order][2] >= 0
        self.orders = {order: row for order, row in self.orders.items() if row[2]}
        # Whoever is told only the levels that were touched knows the whole book.
        for side, ticks in self.kernel.touched:
            lots = self.kernel.total(side, ticks)
            if lots:
                self.shown[side][ticks] = lots
            else:
                self.shown[side].pop(ticks, None)
        self.kernel.touched.clear()
        return done

    @invariant()
    def the_book_is_the_tape_less_what_was_taken_and_ours(self) -> None:
        for side in (BUY, SELL):
            assert self.kernel.recorded(side) == self.tape[side]
            own: dict[int, int] = {}
            for whose, ticks, left in self.orders.values():
                if whose == side:
                    own[ticks] = own.get(ticks, 0) + left
            taken = self.kernel.taken(side)
            assert all(0 < lots <= self.tape[side][ticks] for ticks, lots in taken.items())
            book = {
                ticks: self.tape[side].get(ticks, 0) - taken.get(ticks, 0) + own.get(ticks, 0)
                for ticks in {**self.tape[side], **own}
            }
            assert {ticks: lots for ticks, lots in book.items() if lots} == self.shown[side]

    @invariant()
    def the_book_is_not_crossed(self) -> None:
        assert max(self.shown[BUY], default=0) < min(self.shown[SELL], default=99)

    @invariant()
    def nobody_has_more_ahead_than_there_is(self) -> None:
        for side in (BUY, SELL):
            for own in self.kernel.own(side):
                assert own.ahead >= 0


TestKernel = KernelMachine.TestCase
