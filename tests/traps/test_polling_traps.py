"""Polling and streams: traps 30 to 34 of the wire reference's section 9."""

import json
from itertools import pairwise

import pytest
from altmarkets.venue_client import Client, messages
from quiet import ROGER, Quiet, buy, sell

from runner.altmarkets.messages import grids, order_row, trade_row
from runner.altmarkets.rest import Response, interpret
from runner.altmarkets.server import Profile, Reply
from runner.model.command import ListOrders, ListTrades, ReadOrder
from runner.model.event import CancelAnswered, QueryFailed, VenueFault
from runner.model.order import OrderState, Quote, Side
from runner.model.settings import SECOND
from runner.simulation.exchange import Behaviour

JSON = {"content-type": "application/json"}
NOT_FOUND = Reply(404, JSON, b'{"errors":["record.not_found"]}')


def test_trap_30_an_answer_is_about_the_order_that_was_asked_for() -> None:
    """Answers were paired by their place in a list: beside an order without an id, a 404 hit another order."""
    each = Quiet(buy(100, 90), sell(100, 110))
    each.until(lambda: each.has_order("ask"))
    each.deaf = {each.order("bid").client_id}  # it is at work under an id that we do not know
    each.until(lambda: each.order("ask").state is OrderState.OPEN)
    (ask,) = each.order("ask").venue_ids
    each.tamper = lambda command, reply: NOT_FOUND if isinstance(command, ReadOrder) else reply
    each.deliver(CancelAnswered(ask, None, "503"))  # so that it is read
    each.until(lambda: each.said("order.missing"), seconds=5)
    assert each.order("bid").venue_ids == ()
    assert [note.facts["order_id"] for note in each.said("order.missing")] == [ask]
    each.until(lambda: each.order("bid").state is OrderState.OPEN, seconds=90)
    assert each.order("ask").state is OrderState.OPEN

    (bid,) = each.order("bid").venue_ids
    other = json.dumps(each.venue_orders()[bid]).encode()
    found = interpret(ReadOrder(1, ask), Response(200, JSON, other), each.grids)
    assert [type(what) for what in found] == [VenueFault, QueryFailed]


def test_trap_31_without_the_private_stream_the_account_is_asked_every_ten_seconds() -> None:
    """Status was polled every 120 s even when nothing else told it."""
    each = Quiet(buy(100, 90))
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    each.blocked.add("private")
    each.drop("private")
    each.run_for(60)
    for kind in (ListOrders, ListTrades):
        times = [at for at, command in each.commands if isinstance(command, kind)]
        assert max(later - earlier for earlier, later in pairwise(times)) <= 11 * SECOND
        assert each.now - times[-1] <= 11 * SECOND
    each.trade(Side.SELL, 100, 90)
    each.until(lambda: each.order().state is OrderState.FILLED, seconds=12)
    each.books_agree()


def test_trap_31_a_venue_that_does_not_find_an_order_does_not_end_it() -> None:
    """The third `record.not_found` ended an order, although it was at work."""
    each = Quiet(buy(100, 90))
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    each.tamper = lambda command, reply: NOT_FOUND if isinstance(command, ReadOrder) else reply
    each.deliver(CancelAnswered(each.order().venue_ids[0], None, "503"))  # so that it is read
    each.run_for(400)
    assert len(each.asked(ReadOrder)) > 4
    assert each.order().state is OrderState.OPEN
    assert len(each.venue_orders()) == 1  # nothing was put in its place
    each.trade(Side.SELL, 100, 90)
    each.until(lambda: each.order().state is OrderState.FILLED, seconds=5)


def test_trap_32_what_happened_while_the_private_stream_was_away_is_fetched_when_it_is_back() -> None:
    """After a reconnect nothing was asked: what was told in between was lost for good."""
    each = Quiet(buy(100, 90, repeat=False), sell(100, 110, repeat=False))
    each.until(lambda: each.has_order("ask") and each.order("ask").state is OrderState.OPEN)
    each.drop("private")
    each.trade(Side.SELL, 40, 90)
    each.trade(Side.BUY, 100, 110)
    each.until(lambda: len(each.fills) == 2, seconds=2)  # one of which it takes to come back
    each.until(lambda: each.order("ask").state is OrderState.FILLED, seconds=2)
    bid = each.order("bid")
    assert (bid.state, bid.filled_lots) == (OrderState.OPEN, 4_000)
    each.books_agree()


@pytest.mark.parametrize("found", [300, 0], ids=["half of it filled", "nothing filled"])
def test_trap_33_a_market_order_that_ends_in_silence_is_asked_about_until_it_has_ended(found: int) -> None:
    """Market orders were expected to emit `order` events; one that ended in `cancel` hung for ever."""
    each = Quiet(behaviour=Behaviour(pending_delay=SECOND))
    offers = each.offer((300, 100), (300, 101))
    each.run_for(3)
    each.quotes.append(Quote("bid", Side.BUY, "market", 600, repeat=False))
    each.until(lambda: each.has_order() and each.order().state is OrderState.ACCEPTED)
    for offer in offers[found // 300 :]:
        each.exchange.cancel(offer, at_once=True)  # before the engine has our order, which now finds too little
    each.until(lambda: each.order().state.terminal, seconds=10)
    (row,) = each.venue_orders().values()
    assert (row["ord_type"], row["state"], row["executed_volume"]) == ("market", "cancel", f"{found}.0")
    order = each.order()
    assert (order.state, order.filled_lots) == (OrderState.CANCELLED, 100 * found)
    each.run_for(20)
    assert len(each.venue_orders()) == 1
    each.books_agree()


@pytest.mark.parametrize("zone", [0, 120])
def test_trap_34_an_order_and_a_trade_are_the_same_in_rest_and_on_the_stream(zone: int) -> None:
    """Both were taken for the same object; times are ISO texts here and integers there, some keys are in one only."""
    client = Client(profile=Profile(zone=zone))
    session = client.stream("order", "trade", member=client.me)
    placed = client.place("buy", "600", "0.00000101")
    client.place("sell", "200", "0.00000101", member=client.neighbour)
    told = messages(session)
    order = [message["order"] for message in told if "order" in message][-1]
    (trade,) = [message["trade"] for message in told if "trade" in message]
    (listed,) = client.get("/market/orders")
    read = client.get(f"/market/orders/{placed['id']}")
    (swept,) = client.get("/market/trades")

    assert isinstance(order["created_at"], int)
    assert isinstance(listed["created_at"], str)
    assert {"kind", "at"} <= order.keys() - listed.keys()
    assert "uuid" in listed.keys() - order.keys()
    all_grids = grids([ROGER])
    rows = [order_row(value, all_grids) for value in (order, listed, {**read, "trades": None})]
    assert rows[0] == rows[1] == rows[2]
    told_trade, swept_trade = trade_row(trade, all_grids), trade_row(swept, all_grids)
    (inside,) = order_row(read, all_grids).trades or ()
    assert (told_trade.fee, swept_trade.fee_currency, inside.order_id) == (None, "ROGER", None)
    common = ("id", "market", "side", "ticks", "lots", "taker_side", "created_at")
    assert len({tuple(getattr(row, name) for name in common) for row in (told_trade, swept_trade, inside)}) == 1
