"""Creation and cancellation: traps 16 to 22 of the wire reference's section 9."""

import json
from decimal import Decimal

import pytest
from quiet import ROGER, Quiet, buy, sell

from runner.altmarkets.rest import Response, interpret, request_for
from runner.altmarkets.server import Reply
from runner.model.command import Cancel, Command, FillBooked, ListOrders, OrderChanged, Place, ReadOrder
from runner.model.event import Accepted, CancelAnswered, OrderNews, Unknown
from runner.model.order import OrderState, Side
from runner.model.settings import SECOND
from runner.run.chaos.world import Faults
from runner.simulation.exchange import Behaviour

HTML = b"<html><head><title>Bad Gateway</title></head></html>"
AMBIGUOUS = [
    (500, b'{"errors":["server.internal_error"]}'),
    (502, HTML),
    (503, b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"),
    (503, b"no healthy upstream"),
    (504, b"upstream request timeout"),
    (504, b""),
    (520, HTML),
    (429, b"Retry later"),
    (403, b""),
    (403, b"Forbidden"),
    (403, HTML),
    (302, b""),
    (422, b'{"errors":["market.order.create_error"]}'),
    (422, HTML),
    (201, HTML),
    (200, b""),
]


@pytest.mark.parametrize(("status", "body"), AMBIGUOUS, ids=[f"{status} {body[:20]!r}" for status, body in AMBIGUOUS])
def test_trap_16_an_answer_that_proves_nothing_is_not_taken_for_a_failure(status: int, body: bytes) -> None:
    """Only an empty reason or `upstream connect error` counted as ambiguous, the rest as failed with the order live."""
    each = Quiet(buy(100, 90))
    each.tamper = lambda command, reply: Reply(status, {}, body) if isinstance(command, Place) else reply
    each.frames = lambda stream, texts: [] if stream == "private" and each.asked(Place) else texts
    each.until(lambda: each.has_order() and each.order().state is OrderState.UNKNOWN)
    assert each.said("order.unknown")
    each.until(lambda: each.order().state is OrderState.OPEN, seconds=5)  # it was at work all along, and was looked up
    each.run_for(10)
    assert len(each.asked(Place)) == len(each.venue_orders()) == 1


def blind(each: Quiet) -> None:
    """Neither the answer to the first create nor the private stream's news come back."""
    each.tamper = lambda command, reply: Reply(504, {}, b"") if isinstance(command, Place) else reply
    each.frames = lambda stream, texts: [] if stream == "private" and each.asked(Place) else texts


def looked_up(command: Command) -> bool:
    return isinstance(command, ListOrders) and not command.states


def test_trap_17_an_order_that_was_filled_at_once_is_found() -> None:
    """Only open orders were searched: one that was filled meanwhile was declared failed."""
    each = Quiet(buy(600, 101, repeat=False))
    each.offer((300, 100), (500, 101))
    blind(each)
    each.until(lambda: each.has_order() and each.order().state.terminal, seconds=10)
    assert (each.order().state, each.order().filled_lots) == (OrderState.FILLED, 60_000)
    each.books_agree()


def test_trap_17_an_order_that_was_rejected_at_once_is_found() -> None:
    """See above; what is rejected is not open either."""
    each = Quiet(buy(600, 100, repeat=False), behaviour=Behaviour(pending_delay=SECOND // 5))
    blind(each)
    each.until(lambda: each.asked(Place))
    each.run_for(0.03)
    trader, accounts = each.grown.trader.id, each.exchange.accounts
    # The money goes before the worker comes to lock it.
    accounts.lock(trader, "BTC", accounts.account(trader, "BTC").available)
    each.quotes.clear()
    each.until(lambda: each.order().state is OrderState.REJECTED, seconds=10)
    (row,) = each.venue_orders().values()
    assert row["state"] == "reject"


def test_trap_17_the_search_goes_on_behind_the_first_page_and_over_market_orders() -> None:
    """The search read one page, and raised on any market order and on any record that lacked a key."""
    each = Quiet(buy(100, 90))
    each.offer((5_000, 100))

    def nameless(command: Command, reply: Reply) -> Reply:
        """A row that was placed without a client id lacks the key."""
        if not looked_up(command):
            return reply
        rows = [{k: v for k, v in row.items() if (k, v) != ("client_id", None)} for row in json.loads(reply.body)]
        return Reply(reply.status, reply.headers, json.dumps(rows).encode())

    each.tamper = nameless
    each.frames = lambda stream, texts: [] if stream == "private" and each.asked(Place) else texts
    each.until(lambda: each.has_order())
    name = each.order().client_id
    each.deaf = {name}
    for number in range(1_100):  # a human's orders, by hand and at the market, all of them changed later than ours
        side, price = (Side.BUY, None) if number % 50 == 0 else (Side.BUY, Decimal("0.0000005"))
        order = each.exchange.create(each.grown.trader.id, ROGER, side, Decimal(1), price, at_once=True)
        each.exchange.cancel(order, at_once=True)
        each.run_for(0.01)
    each.deliver(Unknown(name, "no answer"))
    each.until(lambda: each.order().state is OrderState.OPEN, seconds=30)
    searches = [command for command in each.asked(ListOrders) if looked_up(command)]
    assert len({(search.time_from, search.time_to) for search in searches}) > 2  # a full page was taken apart
    assert len(each.asked(Place)) == 1


def test_trap_18_news_that_overtakes_the_answer_is_not_lost() -> None:
    """`order` events for an id that was not known yet were thrown away."""
    each = Quiet(buy(600, 101, repeat=False), faults=Faults(latency=(0.3, 0.3)))
    each.offer((300, 100), (500, 101))
    each.until(lambda: each.changes_after(Accepted))
    assert each.changes_after(OrderNews)  # told before
    (changes,) = each.changes_after(Accepted)
    assert len([change for change in changes if isinstance(change, FillBooked)]) == 2
    (order,) = [change.order for change in changes if isinstance(change, OrderChanged)]
    assert (order.state, order.filled_lots) == (OrderState.FILLED, 60_000)
    assert each.asked(ReadOrder) == []  # it was all told already
    each.books_agree()


def test_trap_19_what_must_not_take_is_refused_by_us_because_the_venue_would_trade_it() -> None:
    """A maker-only order was sent as a plain limit order, which the venue executes."""
    each = Quiet(buy(100, 101, post_only=True))
    each.offer((500, 101))
    each.run_for(5)
    assert each.asked(Place) == []
    assert {note.facts["code"] for note in each.said("order.refused")} == {"post_only"}
    each.quotes[:] = [buy(100, 100, post_only=True)]
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    body = json.loads(request_for(each.asked(Place)[0], each.markets).body or b"")
    assert body.keys() == {"market", "side", "volume", "ord_type", "client_id", "price"}
    assert body["ord_type"] == "limit"


def cancelling(*, cancel_delay: int = 2 * SECOND) -> Quiet:
    """An open order whose cancel was answered with 201 and is only queued at the venue."""
    each = Quiet(buy(100, 90), behaviour=Behaviour(cancel_delay=cancel_delay))
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    each.quotes.clear()
    each.until(lambda: each.changes_after(CancelAnswered))
    return each


def test_trap_20_a_cancel_that_was_answered_with_wait_is_not_done_and_later_fills_count() -> None:
    """A cancel answered with `wait` was reported as cancelled and forgotten, and so were the fills that followed."""
    each = cancelling()
    each.run_for(1)
    assert each.order().state is OrderState.CANCELLING
    each.trade(Side.SELL, 40, 90)
    each.run_for(0.5)
    assert (each.order().state, each.order().filled_lots) == (OrderState.CANCELLING, 4_000)
    each.until(lambda: each.order().state is OrderState.CANCELLED, seconds=5)
    each.books_agree()


def test_trap_20_the_slot_is_not_used_again_before_the_cancel_has_happened() -> None:
    """See above: its replacement stood beside it."""
    each = cancelling()
    each.quotes.append(buy(100, 91))
    each.run_for(1.5)
    assert len(each.asked(Place)) == 1
    each.until(lambda: len(each.asked(Place)) == 2, seconds=5)
    assert [row["state"] for row in each.venue_orders().values()] == ["cancel"]


def test_trap_20_a_cancel_that_was_answered_with_done_is_a_fill() -> None:
    """The same for `done`: a fill was reported as a cancel."""
    each = Quiet(buy(100, 90))
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    each.frames = lambda stream, texts: [] if stream == "private" else texts
    each.quotes.clear()
    each.trade(Side.SELL, 100, 90)
    each.until(lambda: each.changes_after(CancelAnswered))
    (answer,) = [event.what for event in each.log if isinstance(event.what, CancelAnswered)]
    assert answer.row is not None
    assert answer.row.state == "done"
    each.until(lambda: each.order().state.terminal, seconds=5)
    assert (each.order().state, each.order().filled_lots) == (OrderState.FILLED, 10_000)
    each.books_agree()


def test_trap_20_a_cancel_that_was_answered_with_reject_is_a_rejection() -> None:
    """And for `reject`."""
    each = cancelling()
    answer = next(event.what for event in each.log if isinstance(event.what, CancelAnswered))
    row = {**each.venue_orders()[answer.order_id], "state": "reject"}
    (told,) = interpret(Cancel(answer.order_id, ""), Response(201, {}, json.dumps(row).encode()), each.grids)
    each.deliver(told)
    assert each.order().state is OrderState.REJECTED


@pytest.mark.parametrize(
    "refusal",
    [
        (429, b"Retry later"),
        (401, b'{"errors":["authz.nonce_expired"]}'),
        (500, b""),
        (502, HTML),
        (403, b""),
        (422, b'{"errors":["market.order.cancel_error"]}'),
    ],
    ids=str,
)
def test_trap_21_a_cancel_that_the_venue_did_not_take_proves_nothing_and_is_sent_again(
    refusal: tuple[int, bytes],
) -> None:
    """Two answers without a state, a rate limit among them, and an order at work was reported as cancelled."""
    each = Quiet(buy(100, 90))
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    reach = each.server.request

    def refuse(method: str, target: str, *rest: object) -> Reply:
        if target.endswith("/cancel"):
            return Reply(refusal[0], {}, refusal[1])
        return reach(method, target, *rest)  # type: ignore[arg-type]

    each.server.request = refuse  # type: ignore[method-assign]
    each.quotes.clear()
    each.until(lambda: len(each.asked(Cancel)) >= 4, seconds=60)
    assert not each.order().state.terminal
    each.trade(Side.SELL, 40, 90)
    each.run_for(1)
    assert each.order().filled_lots == 4_000
    each.server.request = reach  # type: ignore[method-assign]
    each.until(lambda: each.order().state is OrderState.CANCELLED, seconds=70)
    each.books_agree()


@pytest.mark.parametrize("why", ["not wanted any more", "the run stops"])
def test_trap_22_what_has_no_id_is_not_cancelled_and_not_absent_for_that(why: str) -> None:
    """`market/orders/None/cancel` was posted, and its refusal, `invaild_id_or_uuid`, taken as proof of absence."""
    each = Quiet(buy(100, 90), sell(100, 110))
    each.until(lambda: each.has_order("ask"))
    name = each.order("bid").client_id
    each.deaf = {name}
    each.until(lambda: each.order("ask").state is OrderState.OPEN)
    each.deliver(Unknown(name, "no answer"))
    each.quotes.clear()
    if why == "the run stops":
        each.stop()
    each.run_for(0.5)
    assert each.order("bid").venue_ids == ()
    assert each.order("bid").state is OrderState.UNKNOWN
    assert [cancel for cancel in each.asked(Cancel) if cancel.client_id == name] == []
    each.until(lambda: each.order("bid").state.terminal, seconds=30)
    assert each.order("bid").state is OrderState.CANCELLED
    assert {row["state"] for row in each.venue_orders().values()} == {"cancel"}
    ids = set(each.venue_orders())
    assert {cancel.order_id for cancel in each.asked(Cancel)} == ids
    paths = {request_for(cancel, each.markets).path for cancel in each.asked(Cancel)}
    assert paths == {f"/market/orders/{order_id}/cancel" for order_id in ids}


def test_trap_22_a_refusal_of_the_id_ends_no_order() -> None:
    """See above."""
    each = Quiet(buy(100, 90))
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    (order_id,), name = each.order().venue_ids, each.order().client_id
    for _ in range(5):
        refused = Response(422, {}, b'{"errors":["market.order.invaild_id_or_uuid"]}')
        for what in interpret(Cancel(order_id, name), refused, each.grids):
            each.deliver(what)
    each.run_for(20)
    assert (each.order().client_id, each.order().state) == (name, OrderState.OPEN)
    assert len(each.asked(Place)) == 1
