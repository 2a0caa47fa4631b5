"""orders.md rule 26 with `on_stop: cancel_opening`: what stays is proven, listed, and can only reduce the position."""

from decimal import Decimal
from typing import Any

import pytest
from desk import ASK_QUOTE, BID_QUOTE, LOTS, Desk, match
from msgspec.structs import replace

from runner.model.command import Cancel, Finish, Place
from runner.model.event import OrderNews, StopRequested, TradeNews
from runner.model.order import OrderRow, Quote, Side

FAR_ASK = Quote("low", Side.SELL, 0.00007, 100)


class Stopped(Desk):
    """A bid (1) and two asks (2, 3) of a hundred at rest, and a position; then the stop."""

    def __init__(self, held: int, **settings: Any) -> None:
        settings = {"on_stop": "cancel_opening", **settings}
        super().__init__((BID_QUOTE, ASK_QUOTE, FAR_ASK), initial_position={"ROGER": Decimal(held)}, **settings)
        self.rows: dict[int, OrderRow] = {}
        for number in (1, 2, 3):
            if len(self.asked(Place)) < number:
                self.wait(1)  # the second ask waits until an answer has shown the name of the first (rule 11)
            self.rows[number] = self.accept(self.asked(Place)[number - 1], number)
        self._list()
        self.give(StopRequested("signal"))

    def gone(self, number: int) -> None:
        row = self.rows.pop(number)
        self._list()
        self.give(OrderNews(replace(row, state="cancel")))

    def sold(self, number: int, lots: int) -> None:
        row = self.rows[number] = replace(self.rows[number], executed_lots=lots, remaining_lots=LOTS - lots)
        self._list()
        self.give(TradeNews(match(900, number, lots, side=row.side, ticks=row.ticks, taker_side=Side.BUY)))
        self.give(OrderNews(row))

    def _list(self) -> None:
        self.at_work = tuple(self.rows.values())

    @property
    def cancelled(self) -> set[int]:
        return {cancel.order_id for cancel in self.asked(Cancel)}

    @property
    def exit_code(self) -> int | None:
        finishes = self.asked(Finish)
        return finishes[0].exit_code if finishes else None


@pytest.mark.parametrize(
    ("held", "cancelled"),
    [(0, {1, 2, 3}), (99, {1, 2, 3}), (100, {1, 3}), (199, {1, 3}), (200, {1}), (-99, {1, 2, 3}), (-100, {2, 3})],
)
def test_rule_26_only_what_reduces_the_position_stays(held: int, cancelled: set[int]) -> None:
    desk = Stopped(held)
    desk.wait(1)
    assert desk.cancelled == cancelled
    for number in sorted(cancelled):
        desk.gone(number)
    desk.wait(10)
    assert desk.exit_code == 0
    assert {id_ for order in desk.orders.live() for id_ in order.venue_ids} == {1, 2, 3} - cancelled


def test_rule_26_a_fill_on_the_way_sends_away_what_would_now_open() -> None:
    """The far ask is being cancelled, and is hit: what it sold is no longer there for the near one."""
    desk = Stopped(100)
    desk.wait(1)
    assert desk.cancelled == {1, 3}
    desk.sold(3, 100)
    desk.wait(1)
    assert desk.cancelled == {1, 2, 3}


def test_rule_26_a_fill_of_what_stays_changes_nothing() -> None:
    desk = Stopped(200)
    desk.wait(1)
    desk.sold(2, LOTS // 2)
    desk.wait(1)
    assert desk.cancelled == {1}
    desk.gone(1)
    desk.wait(10)
    assert desk.exit_code == 0


def test_rule_26_what_stays_has_to_be_shown_by_the_venue() -> None:
    desk = Stopped(200)
    desk.wait(1)
    row = desk.rows.pop(3)  # the listing lacks it
    desk.gone(1)
    desk.wait(5)
    assert desk.exit_code is None
    desk.rows[3] = row
    desk._list()
    desk.wait(10)
    assert desk.exit_code == 0


def test_rule_26_an_error_leaves_nothing() -> None:
    desk = Stopped(200, on_stop="cancel")
    desk.wait(1)
    assert desk.cancelled == {1, 2, 3}
    desk = Stopped(200)
    desk.give(StopRequested("error", 1, "something broke"))
    desk.wait(1)
    assert desk.cancelled == {1, 2, 3}
