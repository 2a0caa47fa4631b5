"""Fills and fees: traps 23 to 29 of the wire reference's section 9."""

from decimal import Decimal

import pytest
from quiet import ROGER, Quiet, buy, sell

from runner.model.command import FillBooked, OrderChanged, ReadOrder
from runner.model.event import CancelAnswered, OrderNews, OrderRead, TradeNews
from runner.model.order import OrderState, Role, Side

WORKED_EXAMPLE = ((300, 100), (500, 101))  # asks; we buy 600 at 101 (wire reference 5.6)


def bought() -> Quiet:
    """The worked example, traded: two trades of one order in one second, the first one better than its price."""
    each = Quiet(buy(600, 101, repeat=False))
    each.offer(*WORKED_EXAMPLE)
    each.until(lambda: each.has_order() and each.order().state.terminal)
    return each


def test_trap_23_fills_add_up_and_the_venues_total_is_never_added_to_them() -> None:
    """`executed_volume` is cumulative and a trade's amount is not; one field for both booked amounts repeatedly."""
    each = bought()
    filled = [
        change.order.filled_lots
        for changes in each.changes_after(TradeNews)
        for change in changes
        if isinstance(change, OrderChanged)
    ]
    assert filled == [30_000, 60_000]
    assert [fill.lots for fill in each.fills] == [30_000, 30_000]
    order = each.order()
    assert (order.filled_lots, order.executed_lots) == (60_000, 60_000)
    each.books_agree()


def test_trap_24_a_fill_that_every_source_tells_is_booked_once() -> None:
    """The same fill came from both private streams, and was booked from both."""
    each = Quiet(buy(1000, 101, repeat=False))
    each.offer(*WORKED_EXAMPLE)
    each.until(lambda: len(each.fills) == 2)
    each.drop("private")  # and so the trades are listed
    each.until(lambda: each.fills[1].fee_final, seconds=5)
    for event in [event for event in each.log if isinstance(event.what, TradeNews | OrderNews)]:
        each.deliver(event.what)
    each.deliver(CancelAnswered(each.order().venue_ids[0], None, "503"))  # so that the order is read, trades and all
    each.until(lambda: each.changes_after(OrderRead), seconds=5)
    assert [fill.lots for fill in each.fills] == [30_000, 50_000]
    assert each.engine.account.ledger.count == 2
    assert (each.order().state, each.order().filled_lots) == (OrderState.OPEN, 80_000)
    each.books_agree()


def test_trap_25_two_trades_of_one_second_are_two_fills_and_the_order_ends() -> None:
    """The key was order id and second: the second trade was lost, and perhaps the end of the order with it."""
    each = bought()
    assert len({fill.traded_at for fill in each.fills}) == 1
    assert len({fill.order_id for fill in each.fills}) == 1
    assert len(each.fills) == 2
    assert each.order().state is OrderState.FILLED
    assert list(each.engine.account.orders.live()) == []


def test_trap_26_a_fill_has_the_price_of_its_trade() -> None:
    """Fills were booked at the order's limit price, wrong wherever the market gave a better one."""
    each = bought()
    assert [fill.ticks for fill in each.fills] == [100, 101]
    ledger = each.engine.account.ledger
    assert ledger.volume["BTC"] == Decimal("0.000603")
    holding = ledger.holding(ROGER.symbol)
    assert holding.average_price is not None
    assert f"{holding.average_price:.12f}" == "0.000001007519"  # 0.000603 BTC for 598.5 ROGER


def test_trap_27_a_fee_is_that_of_the_role_in_what_is_received_and_sums_up() -> None:
    """The fee was always the maker's, the last one instead of the sum, and in quote on top of the cost."""
    each = bought()
    assert [(fill.role, fill.fee, fill.fee_currency) for fill in each.fills] == [
        (Role.TAKER, Decimal("0.75"), "ROGER"),
        (Role.TAKER, Decimal("0.75"), "ROGER"),
    ]
    ledger = each.engine.account.ledger
    assert ledger.fees == {"ROGER": Decimal("1.5")}
    assert ledger.position("ROGER") == Decimal("598.5")
    assert ledger.position("BTC") == Decimal("-0.000603")

    each.quotes[:] = [sell(200, 110, repeat=False)]
    each.until(lambda: each.has_order("ask") and each.order("ask").state is OrderState.OPEN)
    each.exchange.cancel(each.exchange.database.resting("rogerbtc", Side.SELL)[0], at_once=True)  # it stands before us
    each.trade(Side.BUY, 200, 110)
    each.until(lambda: each.order("ask").state is OrderState.FILLED)
    sale = each.fills[-1]
    assert (sale.role, sale.fee, sale.fee_currency) == (Role.MAKER, Decimal("0.000220") * Decimal("0.001"), "BTC")
    each.books_agree()


@pytest.mark.parametrize("end", ["done", "cancel"])
def test_trap_28_an_order_does_not_end_before_its_last_fill(end: str) -> None:
    """The end was told at once and the fill of the same message later: the order was gone before its last fill."""
    each = Quiet(buy(600, 101, repeat=False))
    held: list[str] = []
    holding = True

    def trades_late(stream: str, texts: list[str]) -> list[str]:
        if stream == "private" and holding:
            held.extend(text for text in texts if text.startswith('{"trade"'))
            return [text for text in texts if not text.startswith('{"trade"')]
        return texts

    each.frames = trades_late
    if end == "done":
        each.offer((600, 101))
    each.until(lambda: each.has_order() and each.order().venue_ids)
    if end == "cancel":
        each.until(lambda: each.order().state is OrderState.OPEN)
        each.quotes.clear()
        each.until(lambda: each.order().state is OrderState.CANCELLING)
        each.trade(Side.SELL, 300, 101)
    each.until(lambda: end in {event.what.row.state for event in each.log if isinstance(event.what, OrderNews)})
    order = each.order()
    assert order.executed_lots > order.filled_lots == 0
    assert not order.state.terminal  # though the news of its end has been taken in
    holding = False
    each._receive("private", each._codecs["private"], held)
    assert each.order().state is (OrderState.FILLED if end == "done" else OrderState.CANCELLED)
    (changes,) = each.changes_after(TradeNews)
    assert any(isinstance(change, FillBooked) for change in changes)
    assert any(isinstance(change, OrderChanged) and change.order.state.terminal for change in changes)


def test_trap_29_a_cancelled_orders_executed_amount_brings_in_a_fill_that_nobody_told() -> None:
    """Cancel events carried no executed amount: what was filled depended on the trade events alone."""
    each = Quiet(buy(600, 101))
    each.frames = lambda _stream, texts: [text for text in texts if not text.startswith('{"trade"')]
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    each.quotes.clear()
    each.until(lambda: each.order().state is OrderState.CANCELLING)
    each.trade(Side.SELL, 200, 101)
    each.until(lambda: each.order().state.terminal, seconds=5)
    order = each.order()
    assert (order.state, order.filled_lots) == (OrderState.CANCELLED, 20_000)
    assert len(each.asked(ReadOrder)) == 1
    each.books_agree()
