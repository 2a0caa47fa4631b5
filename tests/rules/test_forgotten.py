"""Orders that ended long ago and are told of again: nothing about them is news (orders.md rules 9, 14 and 25)."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

import pytest
from desk import EPOCH, LOTS, START, Desk, booked, held, match, name, row

from runner.model.command import Command, LatchSet, ListOrders, ListTrades, ReadOrder
from runner.model.event import OrderRead, OrdersListed, Restored, StreamUp, TradeNews, TradesListed, What
from runner.model.order import Fill, OrderRow, TradeRow
from runner.model.settings import SECOND

MINUTES = 60


class Venue(Desk):
    """A desk whose venue tells of its trades and of single orders, as a real one does."""

    trades: tuple[TradeRow, ...] = ()
    orders_there: Mapping[int, OrderRow] = MappingProxyType({})

    def _answers(self, command: Command) -> list[What]:
        match command:
            case ListTrades(time_from=since):
                rows = tuple(trade for trade in self.trades if trade.created_at >= since)
                return [TradesListed(command.query, rows, full=False)]
            case ReadOrder(order_id=order_id) if order_id in self.orders_there:
                return [OrderRead(command.query, order_id, self.orders_there[order_id])]
        return super()._answers(command)

    def latches(self) -> list[LatchSet]:
        return [change for output in self.outputs for change in output.changes if isinstance(change, LatchSet)]


def told(trade: TradeRow, fee: Decimal | None = Decimal("0.1")) -> TradeRow:
    """The trade as `/market/trades` has it: with its fee."""
    return TradeRow(
        id=trade.id,
        order_id=trade.order_id,
        market=trade.market,
        side=trade.side,
        ticks=trade.ticks,
        lots=trade.lots,
        taker_side=trade.taker_side,
        created_at=trade.created_at,
        fee=fee,
        fee_currency="ROGER",
    )


def test_a_quiet_hour_after_a_fill_is_no_alarm() -> None:
    desk = Venue()
    place = desk.place()
    desk.accept(place)
    trade = match(5, 1)
    desk.trades, desk.orders_there = (told(trade),), {1: row(place.client_id, 1, "done", executed=LOTS)}
    Desk.quotes = ()
    desk.give(TradeNews(trade))
    desk.wait(60 * MINUTES)
    assert desk.engine.account.ledger.position("ROGER") == Decimal("99.9")
    assert desk.latches() == []
    assert not desk.said("order.adopted")
    assert len(desk.asked(ReadOrder)) < 5


def fill(order_id: int = 1, *, final: bool = True) -> Fill:
    """Traded an hour ago."""
    then = START - 3600 * SECOND
    return booked(5, order_id, time=then, traded_at=then // SECOND, fee_final=final)


@pytest.mark.parametrize("final", [True, False])
def test_a_start_an_hour_after_the_last_fill_is_no_alarm(final: bool) -> None:
    """The journal restores fills for ever and ended orders for a while; the sweep begins before the last fill."""
    desk = Venue((), restored=Restored(EPOCH, generations={"bid": 0}, fills=(fill(final=final),)), ready=False)
    trade = match(5, 1, created_at=START // SECOND - 3600)
    desk.trades = (told(trade, Decimal("0.2") if not final else Decimal("0.1")),)
    desk.orders_there = {1: row(name(), 1, "done", executed=LOTS, at=START - 3600 * SECOND)}
    desk.give(StreamUp("private", ("order", "trade", "balance")))
    desk.wait(5)
    assert desk.latches() == []
    assert not desk.said("order.adopted")
    assert desk.engine.account.ledger.position("ROGER") == Decimal("99.9" if final else "99.8")
    assert not desk.engine.account.orders.strangers.waiting()


def test_a_late_copy_of_a_forgotten_order_is_an_alarm() -> None:
    """Another number under the same name: what was booked is not what this one has filled."""
    desk = Venue((), restored=Restored(EPOCH, generations={"bid": 0}, fills=(fill(),)))
    desk.orders_there = {2: row(name(), 2, "done", executed=LOTS)}
    desk.give(TradeNews(match(6, 2)))
    desk.wait(5)
    assert desk.engine.account.ledger.filled_lots(name()) == 2 * LOTS
    assert [(note.level, note.facts["why"]) for note in desk.said("order.adopted")] == [("error", "late")]


@pytest.mark.parametrize("missed", [True, False])
def test_a_forgotten_order_is_known_by_its_number_whatever_name_is_shown(missed: bool) -> None:
    """`…-BID-10`, shown cut short, bears the name of an earlier order; nor can it be an order that is missed."""
    whole = name(generation=36)
    then = START - 3600 * SECOND
    booked_then = booked(5, 1, client_id=whole, time=then, traded_at=then // SECOND, fee_final=True)
    orders = (held(generation=37),) if missed else ()
    desk = Venue((), restored=Restored(EPOCH, orders, {"bid": 37}, fills=(booked_then,)))
    shown = row(whole[:-1], 1, "done", executed=LOTS)
    desk.wait(2)
    look_ups = [each.query for each in desk.asked(ListOrders) if not each.states and each.query > 0]
    assert bool(look_ups) == missed
    for query in look_ups or [99]:
        desk.give(OrdersListed(query, (shown,), full=False, venue_time=desk.now))
    desk.wait(2)
    assert not desk.said("order.adopted")
    assert not desk.said("order.candidate")
    assert desk.latches() == []
    assert desk.engine.account.ledger.filled_lots(whole) == LOTS
    assert desk.engine.account.ledger.position("ROGER") == Decimal("99.9")
