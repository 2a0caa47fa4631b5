"""Fills on a tape: each assumption by example, and what holds whatever happens beside a model that counts lots."""

import os
import random
from array import array
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runner.edge.tape_file import read_tape
from runner.model.settings import QueueModel
from runner.simulation.kernel import BUY, MAKER, RISK_AVERSE, SELL, TAKER, TAPE, Fill, Kernel
from runner.simulation.queues import HOLD
from runner.simulation.recording import BOUGHT

DATA = Path(os.environ.get("RUNNER_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))
OURS, LATER = 7, 8
NOW = 1_700_000_000 * 10**9


def market(bids: dict[int, int], asks: dict[int, int], model: QueueModel = RISK_AVERSE) -> Kernel:
    kernel = Kernel(model)
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


def test_a_trade_and_its_decrease_are_counted_once_whichever_is_told_first() -> None:
    for trade_first in (True, False):
        kernel = market({100: 9}, {102: 5})
        kernel.place(OURS, BUY, 100, 4, -1)
        kernel.level(BUY, 100, 12, NOW)
        told = [lambda k=kernel: k.trade(SELL, 100, 3, NOW), lambda k=kernel: k.level(BUY, 100, 9, NOW)]
        for tell in told if trade_first else reversed(told):
            tell()
        assert kernel.own(BUY)[0].ahead == 6
        kernel.level(BUY, 100, 9, NOW + 5 * HOLD)
        assert kernel.own(BUY)[0].ahead == 6


def test_a_new_order_is_not_behind_what_has_traded_but_still_shows() -> None:
    kernel = market({100: 9}, {102: 5})
    kernel.trade(SELL, 100, 3, NOW)
    kernel.place(OURS, BUY, 100, 4, -1)
    assert kernel.own(BUY)[0].ahead == 6
    kernel.level(BUY, 100, 6, NOW)
    assert kernel.own(BUY)[0].ahead == 6


def test_a_decrease_that_no_trade_explains_is_spread_by_the_model() -> None:
    # Of 8 ahead and 4 behind, 3 go: by the power n the part 8^n / (8^n + 4^n) of them was ahead.
    for model, ahead in (
        (QueueModel("risk_averse"), 8),
        (QueueModel("proportional"), 6),  # 3 x 2/3 = 2
        (QueueModel("power", 1), 6),
        (QueueModel("power", 2), 6),  # 3 x 4/5 = 2.4
        (QueueModel("power", 3), 6),  # 3 x 8/9 = 2.67
    ):
        kernel = market({100: 8}, {102: 5}, model)
        kernel.place(OURS, BUY, 100, 4, -1)
        kernel.level(BUY, 100, 12, NOW)
        kernel.level(BUY, 100, 9, NOW)
        kernel.level(BUY, 99, 1, NOW + HOLD - 1)
        assert kernel.own(BUY)[0].ahead == 8
        kernel.level(BUY, 99, 2, NOW + HOLD)
        assert kernel.own(BUY)[0].ahead == ahead, model


def test_parts_of_a_lot_are_carried_on() -> None:
    kernel = market({100: 500}, {102: 5}, QueueModel("proportional"))
    kernel.place(OURS, BUY, 100, 4, -1)
    kernel.level(BUY, 100, 1000, NOW)
    for step in range(1, 101):  # lot by lot, half of each was ahead
        kernel.level(BUY, 100, 1000 - step, NOW + step * HOLD)
    kernel.level(BUY, 99, 1, NOW + 101 * HOLD)
    assert kernel.own(BUY)[0].ahead in (450, 451)


def test_a_model_has_a_power_that_can_be_multiplied_out() -> None:
    for n in (0, 17):
        with pytest.raises(ValueError, match=f"power {n} is not from 1 to 16"):
            QueueModel("power", n)


# Beside a model with every lot -----------------------------------------------------------------------------

TICKS = st.integers(1, 12)
LOTS = st.integers(1, 9)
SIDES = st.sampled_from((BUY, SELL))
MODELS = [QueueModel("risk_averse"), QueueModel("proportional"), QueueModel("power", 3)]


class Slow:
    """Every lot is an entry of its queue: zero for a recorded one, or the order that it is of."""

    def __init__(self, model: QueueModel) -> None:
        self.power = {"risk_averse": 0, "proportional": 1, "power": model.n}[model.name]
        self.lots: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.taken: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.queues: dict[tuple[int, int], list[int]] = {}
        self.waiting: list[list[int]] = []  # time, side, ticks, lots: decreases above zero, trades below
        self.carried: dict[int, float] = {}
        self.fills: list[Fill] = []

    def level(self, side: int, ticks: int, lots: int, now: int) -> None:
        self.let_go(now)
        before = self.lots[side].get(ticks, 0)
        if lots == before:
            return
        arrived = max(0, lots - before)
        left = arrived
        for price in self.reached(1 - side, ticks):
            self.queues[1 - side, price].sort(key=lambda entry: entry == 0)  # nobody recorded is ahead
        while left and (reached := self.reached(1 - side, ticks)):
            self.fill(1 - side, reached[0], self.queues[1 - side, reached[0]][0], TAPE)
            left -= 1
        hidden = lots if self.reached(1 - side, ticks) else arrived - left
        self.lots[side][ticks], self.taken[side][ticks] = lots, min(hidden, lots)
        if lots < before:
            rest = self.explain(side, ticks, before - lots, -1)
            if rest and self.ours(side, ticks):
                self.waiting.append([now, side, ticks, rest])
        self.square(side, ticks)
        for price in range(1, 13):
            self.square(1 - side, price)

    def trade(self, taker: int, ticks: int, lots: int, now: int, unseen: bool) -> None:
        self.let_go(now)
        side = 1 - taker
        for _ in range(lots):
            if not (reached := self.reached(side, ticks)):
                break
            queue = self.queues[side, reached[0]]
            if queue[0]:
                self.fill(side, reached[0], queue[0], TAPE)
            else:
                del queue[0]
        rest = 0 if unseen else self.explain(side, ticks, lots, 1)
        if fits := min(rest, self.standing(side, ticks)):
            self.waiting.append([now, side, ticks, -fits])
        for price in range(1, 13):
            self.square(side, price)

    def place(self, order: int, side: int, ticks: int, lots: int, funds: int) -> None:
        there = 1 - side
        while lots:
            best = [p for p in range(1, 13) if self.shown(there, p) or self.ours(there, p)]
            price = (max(best) if there == BUY else min(best)) if best else 0
            if not price or (ticks and (price < ticks if there == BUY else price > ticks)):
                break
            visible = self.shown(there, price)
            queue = self.queues[there, price]
            other = next((entry for entry in queue if entry), 0)
            matched = min(lots, visible or queue.count(other))
            if funds >= 0:
                if price * matched > funds:
                    break
                funds -= price * matched
            self.fills.append(Fill(order, price, matched, TAKER, TAPE if visible else other))
            for _ in range(matched):
                if visible:
                    self.taken[there][price] = self.taken[there].get(price, 0) + 1
                    if 0 in queue:
                        queue.remove(0)
                else:
                    self.fill(there, price, other, order)
            self.square(there, price)
            lots -= matched
        if ticks:
            self.square(side, ticks)
            self.queues[side, ticks] += [order] * lots

    def cancel(self, order: int, side: int) -> None:
        for (whose, ticks), queue in self.queues.items():
            if whose == side:
                self.queues[side, ticks] = [entry for entry in queue if entry != order]

    def shown(self, side: int, ticks: int) -> int:
        return self.lots[side].get(ticks, 0) - self.taken[side].get(ticks, 0)

    def standing(self, side: int, ticks: int) -> int:
        held = sum(lots for _, whose, price, lots in self.waiting if (whose, price) == (side, ticks))
        return max(0, self.shown(side, ticks) + held)

    def ours(self, side: int, ticks: int) -> list[int]:
        return [entry for entry in self.queues.get((side, ticks), ()) if entry]

    def reached(self, side: int, ticks: int) -> list[int]:
        """Prices of orders of ours at this one or better, best first."""
        prices = range(12, ticks - 1, -1) if side == BUY else range(1, ticks + 1)
        return [price for price in prices if self.ours(side, price)]

    def fill(self, side: int, ticks: int, order: int, other: int) -> None:
        self.queues[side, ticks].remove(order)
        last = self.fills[-1] if self.fills else None
        if last is not None and last[:2] == (order, ticks) and last[3:] == (MAKER, other):
            self.fills[-1] = last._replace(lots=last.lots + 1)
        else:
            self.fills.append(Fill(order, ticks, 1, MAKER, other))

    def explain(self, side: int, ticks: int, lots: int, sign: int) -> int:
        for wait in self.waiting:
            if (wait[1], wait[2]) == (side, ticks) and wait[3] * sign > 0:
                matched = min(lots, abs(wait[3]))
                wait[3] -= matched * sign
                lots -= matched
        return lots

    def square(self, side: int, ticks: int) -> None:
        """As many recorded lots as we believe in: what is too much goes from the end, what is missing comes there."""
        queue = self.queues.setdefault((side, ticks), [])
        while queue.count(0) > self.standing(side, ticks):
            del queue[len(queue) - 1 - queue[::-1].index(0)]
        queue += [0] * (self.standing(side, ticks) - queue.count(0))

    def let_go(self, now: int) -> None:
        while self.waiting and self.waiting[0][0] <= now - HOLD:
            _, side, ticks, lots = self.waiting[0]
            ours = list(dict.fromkeys(self.ours(side, ticks)))
            queue = self.queues[side, ticks]
            if self.power and lots > 0:
                total = self.standing(side, ticks)
                moves = [(order, self.gone(order, self.ahead(queue, order), total, lots)) for order in ours]
                least = 0
                places = {}
                for order, gone in moves:
                    least = places[order] = max(least, self.ahead(queue, order) - gone)
                rebuilt: list[int] = []
                for order in ours:
                    rebuilt += [0] * (places[order] - rebuilt.count(0)) + [order] * queue.count(order)
                queue[:] = rebuilt + [0] * (total - rebuilt.count(0))
            del self.waiting[0]
            self.square(side, ticks)

    def gone(self, order: int, ahead: int, total: int, lots: int) -> int:
        if not ahead:
            return 0
        front, back = ahead / total, 1 - ahead / total
        first, last = front, back
        for _ in range(self.power - 1):
            first, last = first * front, last * back
        exact = lots * (first / (first + last)) + self.carried.get(order, 0.0)
        self.carried[order] = int((exact - int(exact)) * 2.0**52) / 2.0**52
        return min(ahead, int(exact))

    def ahead(self, queue: list[int], order: int) -> int:
        return queue[: queue.index(order)].count(0)


class KernelMachine(RuleBasedStateMachine):
    """The tape here is honest, as a recorded book is: its own levels do not cross."""

    @initialize(model=st.sampled_from(MODELS))
    def start(self, model: QueueModel) -> None:
        self.kernel = Kernel(model)
        self.slow = Slow(model)
        self.orders: dict[int, list[int]] = {}  # id -> side, ticks, left
        self.shown: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.last = 0
        self.now = NOW

    @rule(seconds=st.sampled_from((0.2, 0.6, 1.0)))
    def wait(self, seconds: float) -> None:
        self.now += int(seconds * HOLD)

    @rule(side=SIDES, ticks=TICKS, lots=st.integers(0, 9))
    def level(self, side: int, ticks: int, lots: int) -> None:
        opposite = [price for price, there in self.slow.lots[1 - side].items() if there]
        if lots and opposite and (ticks >= min(opposite) if side == BUY else ticks <= max(opposite)):
            return
        fresh = max(0, lots - self.slow.lots[side].get(ticks, 0))
        self.kernel.level(side, ticks, lots, self.now)
        self.slow.level(side, ticks, lots, self.now)
        done = self.settle()
        assert sum(fill.lots for fill in done) <= fresh
        assert all(fill.role == MAKER and fill.other == TAPE for fill in done)
        assert all((ticks >= fill.ticks) if side == BUY else (ticks <= fill.ticks) for fill in done)

    @rule(taker=SIDES, ticks=TICKS, lots=LOTS, unseen=st.booleans())
    def trade(self, taker: int, ticks: int, lots: int, unseen: bool) -> None:
        left = self.kernel.trade(taker, ticks, lots, self.now, unseen=unseen)
        self.slow.trade(taker, ticks, lots, self.now, unseen)
        assert sum(fill.lots for fill in self.settle()) + left == lots

    @rule(side=SIDES, ticks=st.integers(0, 12), lots=LOTS, funds=st.integers(-1, 200))
    def place(self, side: int, ticks: int, lots: int, funds: int) -> None:
        self.last += 1
        before = dict(self.shown[1 - side])
        funds = funds if side == BUY and not ticks else -1
        self.orders[self.last] = [side, ticks, lots]
        left = self.kernel.place(self.last, side, ticks, lots, funds)
        self.slow.place(self.last, side, ticks, lots, funds)
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

    # Where it matters: at the prices where our orders are, or would be.

    @rule(side=SIDES, lots=LOTS, behind=st.integers(0, 1))
    def join(self, side: int, lots: int, behind: int) -> None:
        best = self.kernel.best(side)
        if best is not None and 1 <= best[0] - (1 - 2 * side) * behind <= 12:
            self.place(side, best[0] - (1 - 2 * side) * behind, lots, -1)

    @rule(side=SIDES, lots=LOTS, through=st.integers(0, 1), unseen=st.booleans())
    def hit(self, side: int, lots: int, through: int, unseen: bool) -> None:
        best = self.kernel.best(side)
        if best is not None and 1 <= best[0] - (1 - 2 * side) * through <= 12:
            self.trade(1 - side, best[0] - (1 - 2 * side) * through, lots, unseen)

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 99), change=st.integers(-5, 5))
    def change(self, number: int, change: int) -> None:
        side, ticks, _ = self.orders[sorted(self.orders)[number % len(self.orders)]]
        self.level(side, ticks, max(0, self.slow.lots[side].get(ticks, 0) + change))

    @precondition(lambda self: self.orders)
    @rule(number=st.integers(0, 99))
    def cancel(self, number: int) -> None:
        order = sorted(self.orders)[number % len(self.orders)]
        side, ticks, left = self.orders.pop(order)
        before = self.shown[side][ticks]
        assert self.kernel.cancel(order, side)
        self.slow.cancel(order, side)
        self.settle()
        assert self.shown[side].get(ticks, 0) == before - left

    def settle(self) -> list[Fill]:
        """Fills are those of the slow model; whoever is told only the touched levels knows the whole book."""
        done = fills(self.kernel)
        assert done == self.slow.fills
        self.slow.fills = []
        for fill in done:
            self.orders[fill.order][2] -= fill.lots
            assert self.orders[fill.order][2] >= 0
        self.orders = {order: row for order, row in self.orders.items() if row[2]}
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
            own: dict[int, int] = {}
            for whose, ticks, left in self.orders.values():
                if whose == side:
                    own[ticks] = own.get(ticks, 0) + left
            recorded, taken = self.kernel.recorded(side), self.kernel.taken(side)
            assert recorded == {ticks: lots for ticks, lots in self.slow.lots[side].items() if lots}
            assert taken == {ticks: lots for ticks, lots in self.slow.taken[side].items() if lots}
            visible = {ticks: self.slow.shown(side, ticks) for ticks in recorded if self.slow.shown(side, ticks)}
            assert self.kernel.visible(side, 99) == sorted(visible.items(), reverse=side == BUY)
            book = {ticks: visible.get(ticks, 0) + own.get(ticks, 0) for ticks in {**visible, **own}}
            assert book == self.shown[side]
            assert self.kernel.best(side) == next(iter(sorted(book.items(), reverse=side == BUY)), None)

    @invariant()
    def the_book_is_not_crossed(self) -> None:
        assert max(self.shown[BUY], default=0) < min(self.shown[SELL], default=99)

    @invariant()
    def as_many_are_ahead_as_stand_there(self) -> None:
        for side in (BUY, SELL):
            for own in self.kernel.own(side):
                queue = self.slow.queues[side, own.ticks]
                assert (own.ahead, own.left) == (self.slow.ahead(queue, own.order), queue.count(own.order))


TestKernel = KernelMachine.TestCase


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_what_is_taken_from_a_price_without_an_order_of_ours_moves_nothing_else(model: QueueModel) -> None:
    # Prices as low as the kernel's own counts of rows: what is no order must not be taken for one.
    for ticks in range(1, 12):
        machine = KernelMachine()
        machine.start(model)
        machine.level(BUY, ticks, 1)
        machine.level(SELL, ticks + 1, 1)
        machine.wait(0.2)
        machine.trade(SELL, ticks, 1, unseen=False)
        machine.place(SELL, 0, 1, -1)
        machine.the_book_is_the_tape_less_what_was_taken_and_ours()


@pytest.mark.parametrize("seed", range(6))
def test_a_long_day_beside_the_model(seed: int) -> None:
    """The machine without its variety: thousands of steps, most of them where our orders are."""
    dice, machine = random.Random(seed), KernelMachine()
    machine.start(MODELS[seed % len(MODELS)])
    for _ in range(1500):
        step = dice.random()
        side, few = dice.randrange(2), dice.randint(1, 4)
        if step < 0.1:
            machine.wait(dice.choice((0.2, 0.6, 1.0)))
        elif step < 0.3:
            machine.level(side, dice.randint(1, 6) + 6 * side, dice.randint(0, 9))
        elif step < 0.4:
            machine.place(side, dice.randint(1, 6) + 6 * side, few, -1)
        elif step < 0.5:
            machine.hit(side, dice.randint(1, 9), dice.randrange(2), dice.random() < 0.2)
        elif step < 0.6:
            machine.trade(1 - side, dice.randint(1, 6) + 6 * side, few, False)
        elif machine.orders and step < 0.95:
            machine.change(dice.randrange(99), dice.randint(-4, 4))
        elif machine.orders:
            machine.cancel(dice.randrange(99))
        machine.the_book_is_the_tape_less_what_was_taken_and_ours()
        machine.as_many_are_ahead_as_stand_there()


@pytest.mark.parametrize("side", [BUY, SELL])
def test_a_book_of_many_levels_is_a_book(side: int) -> None:
    """Filled, worn down and filled again, so that its blocks are split, emptied and used anew."""
    dice, kernel, book = random.Random(side), Kernel(), dict[int, int]()
    for step in range(4000):
        growing = step // 1000 % 2 == 0
        ticks = dice.randint(1, 400) if growing or not book else dice.choice(list(book))
        lots = dice.randint(1, 9) if growing else dice.choice((0, 0, 0, 5))
        kernel.level(side, ticks, lots, NOW)
        book[ticks] = lots
        if not lots:
            del book[ticks]
        assert kernel.total(side, ticks) == lots
        if step % 50 == 0 or len(book) < 20:
            assert kernel.visible(side, 999) == sorted(book.items(), reverse=side == BUY)
            assert kernel.visible(side, 2) == sorted(book.items(), reverse=side == BUY)[:2]


def test_a_market_that_wanders_takes_no_more_memory() -> None:
    kernel = Kernel()
    sizes = set()
    for ticks in range(1, 20_000):
        kernel.level(BUY, ticks, 1, NOW)
        kernel.level(BUY, ticks - 50, 0, NOW)
        sizes.add(len(kernel._cells))
    assert len(sizes) == 1


# Rows, strides, and compiled strides -----------------------------------------------------------------------


class Tape(NamedTuple):
    """Columns, and what is done on the way: (time, order to cancel or 0, side, ticks, lots)."""

    times: "array[int]"
    kinds: "array[int]"
    ticks: "array[int]"
    lots: "array[int]"
    plan: list[tuple[int, int, int, int, int]]


def in_rows(tape: Tape, model: QueueModel) -> list[Any]:
    kernel, row = Kernel(model), 0
    seen: list[Any] = []
    for number, step in enumerate(tape.plan, 1):
        while row < len(tape.times) and tape.times[row] <= step[0]:
            kind, rest = tape.kinds[row], (tape.ticks[row], tape.lots[row], tape.times[row])
            if kind <= SELL:
                kernel.level(kind, *rest)
            else:
                kernel.trade(1 - kind % 2, *rest, unseen=kind > BOUGHT)
            row += 1
        seen.append(_act(kernel, number, *step[1:]))
    return seen


def in_strides(tape: Tape, model: QueueModel, *, compiled: bool) -> list[Any]:
    kernel, seen = Kernel(model, compiled=compiled), []
    kernel.load(*tape[:4])
    for number, step in enumerate(tape.plan, 1):
        stopped = -1
        while (row := kernel.run(step[0], stop_on_touch=number % 2 == 0)) != stopped:
            stopped = row
        seen.append(_act(kernel, number, *step[1:]))
    return seen


def _act(kernel: Kernel, number: int, order: int, side: int, ticks: int, lots: int) -> Any:
    if order:
        kernel.cancel(order, side)
    else:
        kernel.place(number, side, ticks, lots, -1)
    sides = (BUY, SELL)
    return fills(kernel), *([kernel.own(s), kernel.recorded(s), kernel.taken(s), kernel.best(s)] for s in sides)


@st.composite
def tapes(draw: st.DrawFn) -> Tape:
    """An honest book, many of its levels side by side, so that blocks are split and given back."""
    steps = st.sampled_from((0, 1, HOLD // 3, HOLD))
    rows = draw(st.lists(st.tuples(steps, st.integers(0, 5), st.integers(1, 60), st.integers(0, 9)), max_size=120))
    book: tuple[dict[int, int], dict[int, int]] = ({}, {})
    tape = Tape(*(array("q") for _ in range(4)), [])
    now = NOW
    for step, kind, ticks, lots in rows:
        now += step
        if kind <= SELL:
            there = book[1 - kind]
            if lots and there and (ticks >= min(there) if kind == BUY else ticks <= max(there)):
                continue
            book[kind].pop(ticks, None)
            if lots:
                book[kind][ticks] = lots
        for column, value in zip(tape[:4], (now, kind, ticks, lots if kind <= SELL else lots + 1), strict=True):
            column.append(value)
        if draw(st.booleans()):
            side, cancel = draw(SIDES), draw(st.integers(0, len(tape.plan)))
            tape.plan.append((now, cancel, side, draw(st.integers(1, 60)), draw(LOTS)))
    tape.plan.append((now, 0, BUY, 1, 1))
    return tape


@given(tape=tapes(), model=st.sampled_from(MODELS))
def test_a_tape_in_strides_is_the_tape_row_by_row(tape: Tape, model: QueueModel) -> None:
    assert in_strides(tape, model, compiled=False) == in_rows(tape, model)


@pytest.mark.slow
@given(tape=tapes(), model=st.sampled_from(MODELS))
@settings(deadline=None)
def test_a_compiled_kernel_does_the_same(tape: Tape, model: QueueModel) -> None:
    pytest.importorskip("numba")
    assert in_strides(tape, model, compiled=True) == in_rows(tape, model)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["btcusdt", "ethusdt"])
def test_a_compiled_kernel_does_the_same_on_a_real_market(name: str) -> None:
    pytest.importorskip("numba")
    path = DATA / f"binance-spot-{name}-20240808.gz"
    if not path.exists():
        pytest.skip(f"no recording at {path.resolve()}; RUNNER_TEST_DATA names the folder that has it")
    recording, rows = read_tape(path), 10_000
    columns = [column[:rows] for column in (recording.times, recording.kinds, recording.ticks, recording.lots)]
    best, tape = {BUY: 0, SELL: 0}, Tape(*columns, [])
    for time, kind, ticks in zip(*columns[:3], strict=True):
        best[1 - kind % 2] = ticks if kind > SELL else best[1 - kind % 2]  # where somebody has bought or sold last
        if kind > SELL and len(tape.plan) < 100 and best[SELL]:
            number = len(tape.plan)
            tape.plan.append((time, max(0, number - 5) if number % 2 else 0, number // 2 % 2, ticks, 20_000))
    tape.plan.append((columns[0][-1], 0, BUY, 1, 1))
    for model in MODELS:
        seen = in_strides(tape, model, compiled=True)
        assert seen == in_strides(tape, model, compiled=False)
        assert sum(len(one[0]) for one in seen) > 20


def test_what_is_not_a_tape_is_refused() -> None:
    good = [array("q", column) for column in ((1, 2), (0, 3), (1, 1), (0, 1))]
    for column, values, told in (
        (0, (2, 1), "times of a tape decrease"),
        (0, (1,), "of one length"),
        (1, (0, 6), "kinds of a tape are between 0 and 5"),
        (2, (1, 0), "ticks of a tape are between 1"),
        (3, (0, 2**53 + 1), "lots of a tape are between 0"),
    ):
        columns = list(good)
        columns[column] = array("q", values)
        with pytest.raises(ValueError, match=told):
            Kernel().load(*columns)


def test_a_stride_stops_where_it_should() -> None:
    kernel = Kernel()
    rows = [(1, 0, 100, 5), (1, 1, 102, 5), (2, 0, 99, 1), (3, 0, 100, 6), (4, 2, 100, 7), (4, 0, 99, 2), (5, 0, 98, 1)]
    kernel.load(*(array("q", column) for column in zip(*rows, strict=True)))
    assert (kernel.run(1, stop_on_touch=False), kernel.time) == (2, 1)
    kernel.place(OURS, BUY, 100, 9, -1)
    assert (kernel.run(9, stop_on_touch=True), kernel.time) == (4, 3)  # another size at the best price
    assert (kernel.run(9, stop_on_touch=False), kernel.time) == (6, 4)  # the whole moment of a fill
    assert fills(kernel) == [Fill(OURS, 100, 2, MAKER, TAPE)]
    assert (kernel.run(9, stop_on_touch=False), kernel.row) == (7, 7)
