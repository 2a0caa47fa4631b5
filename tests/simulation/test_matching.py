"""The matching engine beside a model that sorts a list before every match."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from runner.model.order import Side
from runner.simulation.matching import Arrival, LevelChange, Match, MatchingBook

TICKS = st.integers(1, 8)
LOTS = st.integers(1, 12)
SIDES = st.sampled_from(Side)


class Naive:
    """Resting orders as a list of [side, ticks, id, lots]; everything is looked for, nothing is kept."""

    def __init__(self) -> None:
        self.rows: list[list] = []

    def side(self, side: Side) -> list[list]:
        return sorted((row for row in self.rows if row[0] is side), key=lambda row: -side.sign * row[1])

    def total(self, side: Side, ticks: int) -> int:
        return sum(row[3] for row in self.rows if row[:2] == [side, ticks])

    def submit(self, order: Arrival) -> tuple[list, list, int]:
        matches, changes, left, funds = [], [], order.lots, order.funds
        while left and (opposite := self.side(order.side.opposite)):
            best = opposite[0]
            if order.ticks is not None and order.side.sign * (order.ticks - best[1]) < 0:
                break
            lots = min(left, best[3])
            if funds is not None and best[1] * lots > funds:
                break
            funds = None if funds is None else funds - best[1] * lots
            best[3] -= lots
            left -= lots
            self.rows = [row for row in self.rows if row[3]]
            matches.append(Match(best[2], order.id, best[1], lots))
            changes.append(LevelChange(best[0], best[1], self.total(best[0], best[1])))
        if left and order.ticks is not None:
            self.rows.append([order.side, order.ticks, order.id, left])
            changes.append(LevelChange(order.side, order.ticks, self.total(order.side, order.ticks)))
        return matches, changes, left


class MatchingMachine(RuleBasedStateMachine):
    orders = Bundle("orders")

    def __init__(self) -> None:
        super().__init__()
        self.book, self.model, self.last_id = MatchingBook(), Naive(), 0

    def both(self, side: Side, ticks: int | None, lots: int, funds: int | None = None) -> tuple[int, Side, int]:
        self.last_id += 1
        order = Arrival(self.last_id, side, ticks, lots, funds)
        outcome = self.book.submit(order)
        assert (list(outcome.matches), list(outcome.changes), outcome.left) == self.model.submit(order)
        return order.id, side, ticks or 1

    @rule(target=orders, side=SIDES, ticks=TICKS, lots=LOTS)
    def limit(self, side: Side, ticks: int, lots: int) -> tuple[int, Side, int]:
        return self.both(side, ticks, lots)

    @rule(side=SIDES, lots=st.integers(1, 40))
    def market(self, side: Side, lots: int) -> None:
        self.both(side, None, lots)

    @rule(lots=st.integers(1, 40), funds=st.integers(0, 100))
    def market_buy_with_little_money(self, lots: int, funds: int) -> None:
        self.both(Side.BUY, None, lots, funds)

    @rule(order=orders)
    def cancel(self, order: tuple[int, Side, int]) -> None:
        order_id, side, ticks = order
        there = any(row[2] == order_id for row in self.model.rows)
        self.model.rows = [row for row in self.model.rows if row[2] != order_id]
        found, change = self.book.cancel(order_id, side, ticks)
        assert (found, change) == (there, LevelChange(side, ticks, self.model.total(side, ticks)))

    @invariant()
    def the_same_book(self) -> None:
        for side in Side:
            rows = self.model.side(side)
            levels = [(ticks, self.model.total(side, ticks)) for ticks in dict.fromkeys(row[1] for row in rows)]
            assert self.book.levels(side, 100) == levels
            assert self.book.levels(side, 2) == levels[:2]
            assert self.book.best(side) == (levels[0][0] if levels else None)
            assert self.book.level_count(side) == len(levels)

    @invariant()
    def never_crossed(self) -> None:
        bid, ask = self.book.best(Side.BUY), self.book.best(Side.SELL)
        assert bid is None or ask is None or bid < ask


TestMatching = MatchingMachine.TestCase


@given(st.lists(st.tuples(SIDES, TICKS, LOTS), max_size=30))
def test_no_lot_is_made_or_lost(flow: list[tuple[Side, int, int]]) -> None:
    book, matched = MatchingBook(), 0
    for number, (side, ticks, lots) in enumerate(flow):
        matched += sum(match.lots for match in book.submit(Arrival(number, side, ticks, lots)).matches)
    resting = sum(lots for side in Side for _, lots in book.levels(side, 100))
    assert resting + 2 * matched == sum(lots for _, _, lots in flow)


@given(st.lists(st.tuples(TICKS, LOTS), min_size=1), LOTS, TICKS)
def test_nobody_trades_worse_than_his_price(asks: list[tuple[int, int]], lots: int, ticks: int) -> None:
    book = MatchingBook()
    for number, (price, volume) in enumerate(asks):
        book.submit(Arrival(number, Side.SELL, price, volume))
    prices = [match.ticks for match in book.submit(Arrival(len(asks), Side.BUY, ticks, lots)).matches]
    assert prices == sorted(prices)  # best first
    assert all(price <= ticks for price in prices)


def test_money_that_is_just_enough_is_enough() -> None:
    for funds, left in ((50, 0), (49, 5)):
        book = MatchingBook()
        book.submit(Arrival(1, Side.SELL, 10, 5))
        assert book.submit(Arrival(2, Side.BUY, None, 5, funds)).left == left
