"""orders.md rule 16, the part about a lost journal: the position is rebuilt from what the venue shows, or stated."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from desk import ASK, ASK_QUOTE, BID, BID_QUOTE, EPOCH, LOTS, START, TAG, D, Desk, W, match, name, row

from runner.engine.past import READS_APART, READS_OF_ONE
from runner.model.beginning import Beginning
from runner.model.command import Began, FillBooked, Finish, ListOrders, OrderChanged, Place, ReadOrder
from runner.model.event import OrderNews, QueryFailed, Restored, StopRequested, TradeNews
from runner.model.ids import client_id
from runner.model.order import OrderRow, Quote, Side, TradeRow
from runner.model.settings import SECOND, Limits

NEW = Restored(EPOCH, began=None)
LAST = EPOCH - 60
"""The minute in which the lost journal began."""


def old(
    order_id: int, slot: str = "bid", generation: int = 0, *, epoch: int = LAST, minutes: int = 1, **fields: Any
) -> OrderRow:
    """An order of the lost journal, filled unless it is said otherwise."""
    at = (epoch + minutes) * 60 * SECOND
    values = {"state": "done", "executed": LOTS, "remaining_lots": 0, **fields}
    state, executed = values.pop("state"), values.pop("executed")
    return row(client_id(TAG, epoch, slot, generation), order_id, state, at=at, executed=executed, **values)


def of(order: OrderRow, trade_id: int, lots: int | None = None, fee: str | None = "0.1") -> TradeRow:
    """A trade of it as `/market/trades` tells it."""
    assert order.ticks is not None
    return match(
        trade_id,
        order.id,
        order.executed_lots if lots is None else lots,
        side=order.side,
        ticks=order.ticks,
        taker_side=order.side.opposite,
        created_at=order.created_at + 1,
        fee=None if fee is None else Decimal(fee),
        fee_currency="ROGER" if order.side is Side.BUY else "BTC",
    )


BOUGHT = old(11)
SOLD = old(12, "ask", side=Side.SELL, ticks=ASK, state="cancel", executed=LOTS // 4)
HUMANS = row(None, 13, "done", at=(LAST + 3) * 60 * SECOND, executed=LOTS, remaining_lots=0)
OTHER = row("ROTHERS0000X-BID-0", 14, "done", at=(LAST + 3) * 60 * SECOND, executed=LOTS, remaining_lots=0)
HISTORY = (BOUGHT, SOLD, HUMANS, OTHER)
TRADES = (of(BOUGHT, 1), of(SOLD, 2, fee="0.000001"), of(HUMANS, 3), of(OTHER, 4))


class Lost(Desk):
    """A new journal where the venue shows `history`; nothing is on its way any more."""

    def __init__(self, history: tuple[OrderRow, ...], quotes: tuple[Quote, ...] = (), **more: Any) -> None:
        super().__init__(quotes, restored=NEW, history=history, **more)
        self.wait((W + D) / SECOND + 1)


def began(desk: Desk) -> list[Beginning]:
    return [c.beginning for output in desk.outputs for c in output.changes if isinstance(c, Began)]


def looks_back(desk: Desk) -> list[ListOrders]:
    return [each for each in desk.asked(ListOrders) if each.query < 0]


def refused(desk: Desk) -> str:
    """Why the run did not begin."""
    desk.wait(60)
    (finish,) = desk.asked(Finish)
    assert finish.exit_code == 7
    assert "--position" in finish.reason
    assert not desk.asked(Place)
    assert not began(desk)
    return finish.reason


def test_rule_16_a_first_start_costs_one_request_and_is_found_out_once() -> None:
    desk = Desk(restored=NEW, history=(HUMANS, OTHER))
    assert len(looks_back(desk)) == 1
    assert began(desk) == [Beginning("first")]
    assert desk.place()
    assert not looks_back(Desk(restored=Restored(EPOCH, began=Beginning("first"))))


def test_rule_16_no_tick_before_it_is_known_what_was_before() -> None:
    desk = Desk(restored=NEW, mute=True)
    (question,) = looks_back(desk)
    desk.mute = False
    desk.give(QueryFailed(question.query, permanent=False, reason="timeout"))
    assert desk.engine.ticks == 0
    assert not desk.engine.account.past.known
    desk.wait(40)  # it is asked again, and so is the rest
    assert len(looks_back(desk)) == 2
    assert desk.engine.account.past.known


def test_rule_16_position_cost_and_profit_are_those_of_the_lost_journals_fills() -> None:
    desk = Lost(HISTORY, trades=TRADES)
    account = desk.engine.account
    assert account.ledger.position("ROGER") == Decimal("99.9") - 25
    holding = account.ledger.holding("ROGER-BTC")
    assert holding.average_price is not None
    assert float(holding.average_price) == pytest.approx(0.004 / 99.9)
    assert float(holding.realised) == pytest.approx(0.0015 - 0.000001 - 0.004 * 25 / 99.9)
    assert began(desk) == [Beginning("rebuilt")]
    booked = [c.fill for output in desk.outputs for c in output.changes if isinstance(c, FillBooked)]
    assert [(fill.trade_id, fill.client_id, fill.fee_final) for fill in booked] == [
        (1, BOUGHT.client_id, True),
        (2, SOLD.client_id, True),
    ]


def test_rule_16_what_is_rebuilt_is_one_output_and_no_news() -> None:
    desk = Lost(HISTORY, trades=TRADES)
    (output,) = [each for each in desk.outputs if any(isinstance(c, Began) for c in each.changes)]
    assert sum(isinstance(c, FillBooked) for c in output.changes) == 2
    ends = [c.order.state.value for c in output.changes if isinstance(c, OrderChanged)]
    assert ends == ["filled", "cancelled"]
    assert [note.what for note in output.notes if note.level != "info"] == ["position.rebuilt"]
    assert not desk.said("fill.booked")
    assert not desk.asked(ReadOrder)


def test_rule_16_limits_bind_the_position_that_was_rebuilt() -> None:
    limits = Limits(max_position={"ROGER": Decimal(170)})
    desk = Lost(HISTORY, (BID_QUOTE, ASK_QUOTE), trades=TRADES, limits=limits)
    assert [place.side for place in desk.asked(Place)] == [Side.SELL]
    assert desk.said("order.refused")[0].facts["code"] == "max_position"


def test_rule_16_all_orders_are_looked_at_also_beyond_a_page() -> None:
    many = tuple(row(None, 100 + n, "cancel", at=(LAST - 500 + n) * 60 * SECOND) for n in range(40))
    desk = Lost((*HISTORY, *many), trades=TRADES, page=7)
    assert len(looks_back(desk)) > 5
    assert desk.engine.account.ledger.position("ROGER") == Decimal("74.9")


def test_rule_16_the_hidden_side_of_a_self_trade_is_read_from_its_order() -> None:
    sold = msgspec.structs.replace(SOLD, trades=(of(SOLD, 1, fee=None),))
    desk = Lost((BOUGHT, sold), trades=(of(BOUGHT, 1),))
    assert [read.order_id for read in desk.asked(ReadOrder)] == [sold.id]
    assert desk.engine.account.ledger.position("ROGER") == Decimal("74.9")


def test_rule_16_an_order_that_is_still_at_work_is_taken_up_with_its_fills() -> None:
    live = old(15, "low", state="wait", executed=LOTS // 2, remaining_lots=LOTS // 2)
    desk = Lost((*HISTORY, live), trades=(*TRADES, of(live, 5)), at_work=(live,))
    assert live.client_id is not None
    assert desk.engine.account.ledger.position("ROGER") == Decimal("74.9") + Decimal("49.9")
    desk.give(OrderNews(msgspec.structs.replace(live, state="done", executed_lots=LOTS, remaining_lots=0)))
    desk.give(TradeNews(match(6, 15, LOTS // 2)))
    assert desk.order(live.client_id).state.value == "filled"


def test_rule_16_what_was_on_its_way_when_the_journal_was_lost_is_waited_for() -> None:
    desk = Desk(restored=NEW, history=HISTORY, trades=TRADES)
    desk.wait((W + D) / SECOND - 1)
    assert desk.engine.ticks == 0
    late = row(client_id(TAG, LAST, "bid", 1), 21, "done", at=desk.now, executed=LOTS, remaining_lots=0)
    desk.history, desk.trades = (*HISTORY, late), (*TRADES, of(late, 7))
    desk.wait(2)
    assert desk.engine.stop is not None
    assert desk.engine.stop.exit_code == 8  # whoever let it come may still be there
    assert not began(desk)


def test_rule_16_a_trade_whose_order_is_no_longer_shown_cannot_be_attributed() -> None:
    stray = match(9, 12, created_at=BOUGHT.created_at + 9)
    desk = Lost((BOUGHT, HUMANS), trades=(of(BOUGHT, 1), stray))
    assert "order 12" in refused(desk)


def test_rule_16_trades_that_do_not_come_to_what_was_executed_are_no_position() -> None:
    desk = Lost((msgspec.structs.replace(BOUGHT, trades=()),), trades=(of(BOUGHT, 1, LOTS - 1),))
    desk.wait(READS_APART / SECOND * READS_OF_ONE)
    assert len(desk.asked(ReadOrder)) == READS_OF_ONE
    assert "its trades come to 9999" in refused(desk)


@pytest.mark.parametrize(("generation", "older", "known"), [(0, False, True), (3, True, True), (3, False, False)])
def test_rule_16_a_history_that_begins_in_the_middle_is_no_history(generation: int, older: bool, known: bool) -> None:
    first = old(11, generation=generation)
    before = (row(None, 2, "cancel", at=(LAST - 5) * 60 * SECOND),) if older else ()
    desk = Lost((first, *before), trades=(of(first, 1),))
    if known:
        assert began(desk) == [Beginning("rebuilt")]
    else:
        assert "history" in refused(desk)


def test_rule_16_a_venue_that_minds_no_times_is_believed_only_for_one_page() -> None:
    class Unfiltered(Lost):
        def _answers(self, command: Any) -> list[Any]:
            if isinstance(command, ListOrders) and command.query < 0:
                command = msgspec.structs.replace(command, time_from=0, time_to=2**40)
            return super()._answers(command)

    future = row(None, 90, "cancel", at=START + 10**6 * SECOND)
    assert Unfiltered((*HISTORY, future), trades=TRADES).engine.account.past.known
    desk = Unfiltered((*HISTORY, future), trades=TRADES, page=5)
    assert "does not filter" in refused(desk)


def test_rule_16_a_stated_position_needs_no_history_and_is_written_down() -> None:
    desk = Desk((), restored=NEW, position={"ROGER": Decimal(1500)}, initial_position={"ROGER": Decimal(7)})
    assert began(desk) == [Beginning("stated", {"ROGER": Decimal(1500)}, START // SECOND)]
    assert not looks_back(desk)
    assert desk.engine.account.ledger.position("ROGER") == 1500
    (beginning,) = began(desk)
    again = Desk((), restored=Restored(EPOCH, began=beginning), initial_position={"ROGER": Decimal(7)})
    assert again.engine.account.ledger.position("ROGER") == 1500
    assert not began(again)


def test_rule_16_fills_from_before_the_word_are_part_of_it_and_later_ones_count() -> None:
    live = old(15, "low", state="wait", executed=LOTS // 2, remaining_lots=LOTS // 2)
    desk = Desk((), restored=NEW, position={"ROGER": Decimal(1500)}, at_work=(live,))
    desk.give(TradeNews(of(live, 5)))
    assert desk.engine.account.ledger.position("ROGER") == 1500
    assert live.client_id is not None
    assert desk.order(live.client_id).filled_lots == LOTS // 2
    desk.give(TradeNews(match(6, 15, LOTS // 2, created_at=START // SECOND, fee=Decimal(0), fee_currency="ROGER")))
    assert desk.engine.account.ledger.position("ROGER") == 1550
    assert not any(desk.engine.account.ledger.fees.values())


def test_rule_16_a_journal_that_was_lost_a_moment_ago_may_have_a_living_owner() -> None:
    recent = msgspec.structs.replace(BOUGHT, updated_at=START // SECOND - 60)
    desk = Lost((recent,), trades=(of(recent, 1),))
    assert desk.engine.stop is not None
    assert desk.engine.stop.exit_code == 8
    taken = Lost((recent,), trades=(of(recent, 1),), take_over=True)
    assert began(taken) == [Beginning("rebuilt")]


def test_rule_16_a_new_journal_whose_names_are_at_the_venue_is_an_older_copy() -> None:
    used = old(11, epoch=EPOCH, minutes=-1, state="cancel", executed=0)
    desk = Desk(restored=NEW, history=(used,))
    desk.wait(60)
    (finish,) = desk.asked(Finish)
    assert finish.exit_code == 7
    assert f"does not know order {used.client_id}" in finish.reason
    assert not desk.asked(Place)
    assert not began(desk)


def test_rule_16_a_stop_does_not_wait_for_the_past() -> None:
    desk = Desk(restored=NEW, mute=True)
    (question,) = looks_back(desk)
    desk.give(StopRequested("signal"))
    desk.give(QueryFailed(question.query, permanent=False, reason="timeout"))
    desk.wait(5)
    assert len(looks_back(desk)) == 1
    assert not began(desk)


def test_rule_16_the_name_of_an_old_order_is_that_of_its_journal() -> None:
    assert BOUGHT.client_id == name("bid", 0, LAST)
    assert BOUGHT.ticks == BID
