"""orders.md, rule by rule: each test is named after the rule that it holds the engine to."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from desk import (
    ASK_QUOTE,
    BID,
    BID_QUOTE,
    EPOCH,
    LOTS,
    ROGER,
    START,
    TAG,
    D,
    Desk,
    W,
    booked,
    held,
    match,
    name,
    row,
)

from runner.altmarkets.rest import NoResponse, Response, interpret
from runner.engine.orders import SIGN_WITHIN
from runner.model.command import (
    Cancel,
    FillBooked,
    Finish,
    LatchSet,
    ListOrders,
    ListTrades,
    OrderChanged,
    Place,
    ReadOrder,
    StateChanged,
)
from runner.model.event import (
    Accepted,
    BalanceNews,
    CancelAnswered,
    ClockRead,
    NotSent,
    OrderNews,
    OrderRead,
    OrdersListed,
    PublicTrade,
    Rejected,
    Restored,
    Sent,
    StopRequested,
    StreamUp,
    TradeNews,
    TradesListed,
    Unknown,
)
from runner.model.exits import Exit
from runner.model.ids import GENERATION_MAX, parse_client_id
from runner.model.order import BalanceRow, OrderState, Quote, Side
from runner.model.settings import MILLISECOND, SECOND, Limits

MILLISECONDS = START // MILLISECOND


def lost(desk: Desk) -> Place:
    """The only create went out, and no answer came."""
    place = desk.place()
    desk.give(Sent(place.client_id, desk.now // MILLISECOND))
    desk.give(Unknown(place.client_id, "timeout"))
    return place


def look_ups(desk: Desk) -> list[ListOrders]:
    return [each for each in desk.asked(ListOrders) if not each.states]


def look_until_absent(desk: Desk, place: Place, seconds: int) -> None:
    """Every look-up is answered at once, and finds nothing."""
    answered = 0
    for _ in range(seconds):
        desk.wait(1)
        while answered < len(look_ups(desk)):
            query = look_ups(desk)[answered].query
            answered += 1
            desk.give(OrdersListed(query, (), full=False, venue_time=desk.now))


def test_rule_01_a_slot_that_has_used_its_names_is_refused_by_the_gate() -> None:
    desk = Desk((BID_QUOTE, ASK_QUOTE), restored=Restored(EPOCH, generations={"bid": GENERATION_MAX}))
    assert [place.client_id for place in desk.asked(Place)] == [name("ask")]
    assert desk.said("order.refused")[0].facts["code"] == "names_used_up"


def test_rule_02_a_name_says_tag_epoch_slot_and_generation() -> None:
    desk = Desk(restored=Restored(EPOCH, generations={"bid": 41}))
    parsed = parse_client_id(desk.place().client_id)
    assert parsed is not None
    assert (parsed.tag, parsed.epoch, parsed.slot, parsed.generation) == (TAG, EPOCH, "bid", 42)


def test_rule_03_orders_of_others_are_never_cancelled_nor_counted() -> None:
    others = (row(None, 7), row("HUMAN", 8), row(name().replace(TAG, "OTHERS"), 9))
    desk = Desk((), at_work=others)
    assert not list(desk.orders.live())
    desk.give(StopRequested("signal"))
    assert not desk.asked(Cancel)
    assert desk.asked(Finish)[0].exit_code == 0


def test_rule_04_every_copy_under_one_name_is_counted_and_cancelled() -> None:
    desk = Desk()
    place = desk.place()
    desk.accept(place, 1)
    desk.give(OrderNews(row(place.client_id, 2)))
    assert desk.order(place.client_id).venue_ids == (1, 2)
    assert desk.order(place.client_id).remaining_lots == 2 * LOTS
    assert {cancel.order_id for cancel in desk.asked(Cancel)} == {1, 2}
    assert desk.said("order.duplicate")


def test_rule_05_an_intent_is_in_the_output_that_asks_for_the_order() -> None:
    desk = Desk((), at_work=(row(None, 77),))
    Desk.quotes = (BID_QUOTE,)
    desk.wait(2)
    (output,) = [each for each in desk.outputs if any(isinstance(c, Place) for c in each.commands)]
    (intent,) = [change.order for change in output.changes if isinstance(change, OrderChanged)]
    assert intent.state is OrderState.INTENDED
    assert intent.id_floor == 77
    assert intent.sign_before == desk.place().sign_before == (intent.created + SIGN_WITHIN) // MILLISECOND
    assert any(isinstance(change, StateChanged) for each in desk.outputs for change in each.changes)


def test_rule_05_after_a_restart_the_highest_id_known_is_that_of_the_journal() -> None:
    first = Desk()
    first.accept(first.place(), 7)
    first.give(TradeNews(match(1, 7)))
    fills = tuple(first.engine.account.ledger.order_fills(name()))
    desk = Desk(restored=Restored(EPOCH, generations={"bid": 0}, fills=fills))
    assert desk.order(desk.place().client_id).id_floor == 7


@pytest.mark.parametrize("state", [OrderState.INTENDED, OrderState.SENT])
def test_rule_06_after_a_restart_nothing_is_sent_again(state: OrderState) -> None:
    desk = Desk(restored=Restored(EPOCH, (held(state=state),), {"bid": 0}))
    desk.wait(10)
    assert desk.order(name()).state is OrderState.UNKNOWN
    assert not desk.asked(Place)


REFUSED = b'{"errors":["market.account.insufficient_balance"]}'


@pytest.mark.parametrize(
    ("status", "body", "proven"),
    [
        (422, REFUSED, True),
        (400, REFUSED, True),
        (401, REFUSED, True),
        (403, REFUSED, True),
        (404, REFUSED, True),
        (405, REFUSED, True),
        (422, b'{"errors":["market.order.create_error"]}', False),
        (422, b'{"errors":["market.account.insufficient_balance","market.order.create_error"]}', False),
        (403, b"", False),
        (403, b"<html>", False),
        (429, REFUSED, False),
        (302, b"", False),
        (500, REFUSED, False),
        (502, b"<html>", False),
        (201, b"<html>", False),
    ],
)
def test_rule_07_only_what_proves_a_refusal_is_one(status: int, body: bytes, proven: bool) -> None:
    answer = interpret(Place(name(), ROGER.symbol, Side.BUY, BID, LOTS, 0), Response(status, {}, body), {})
    outcomes = [what for what in answer if isinstance(what, Rejected | NotSent | Unknown)]
    assert [type(what) for what in outcomes] == [Rejected if proven else Unknown]


def test_rule_07_only_a_failure_before_the_first_byte_proves_a_non_send() -> None:
    place = Place(name(), ROGER.symbol, Side.BUY, BID, LOTS, 0)
    assert isinstance(next(iter(interpret(place, NoResponse(False, "connect"), {}))), NotSent)
    assert isinstance(next(iter(interpret(place, NoResponse(True, "timeout"), {}))), Unknown)


def test_rule_07_a_refused_name_counts_until_no_copy_can_come_also_after_a_restart() -> None:
    desk = Desk()
    place = desk.place()
    desk.give(Sent(place.client_id, desk.now // MILLISECOND))
    desk.give(Rejected(place.client_id, 422, ("market.account.insufficient_balance",)))
    refused = desk.order(place.client_id)
    again = Desk((), restored=Restored(EPOCH, (refused,), {"bid": 0}))
    for orders in (desk.orders, again.orders):
        assert refused in orders.may_exist(START + W + D - 1)
        assert refused not in orders.may_exist(START + W + D)


def test_rule_08_an_unknown_order_keeps_its_slot_and_counts_and_is_looked_for() -> None:
    desk = Desk((BID_QUOTE, ASK_QUOTE), limits=Limits(max_open_orders=1))
    place = lost(desk)
    desk.wait(20)
    assert desk.asked(Place) == [place]
    assert look_ups(desk)


@pytest.mark.parametrize("enforced", [True, False])
def test_rule_09_absence_needs_the_nonce_window_the_venues_clock_and_two_look_ups(enforced: bool) -> None:
    desk = Desk(enforced=enforced)
    place = lost(desk)
    look_until_absent(desk, place, 120)
    order = desk.order(place.client_id)
    assert order.state is (OrderState.ABSENT if enforced else OrderState.UNKNOWN)
    if enforced:
        assert order.changed >= place.sign_before * MILLISECOND + W + D + 8 * SECOND


@pytest.mark.parametrize("restarted", [False, True])
def test_rule_09_an_absent_order_counts_ten_minutes_and_is_recognised_for_ever(restarted: bool) -> None:
    gone = msgspec.structs.replace(held(state=OrderState.ABSENT), changed=START)
    desk = Desk((), restored=Restored(EPOCH, (gone,), {"bid": 0}))
    assert gone in desk.orders.may_exist(START + 600 * SECOND - 1)
    desk.wait(2000 if restarted else 60)
    desk.give(OrderNews(row(gone.client_id, 5, "wait")))
    assert Cancel(5, gone.client_id) in desk.asked(Cancel)
    latches = [c.latch for output in desk.outputs for c in output.changes if isinstance(c, LatchSet)]
    assert [(latch.name, latch.client_id) for latch in latches] == [("late_order", gone.client_id)]
    assert desk.engine.stop is not None
    assert desk.engine.stop.exit_code == Exit.RISK
    assert desk.order(gone.client_id) in desk.orders.may_exist(desk.now)


def test_rule_09_trades_from_while_we_were_away_are_asked_for() -> None:
    """An order that had ended or was called absent can have come, by a proxy's copy, and been filled meanwhile."""
    fill = booked(1, 4, traded_at=START // SECOND - 5000, fee_final=True)
    desk = Desk((), restored=Restored(EPOCH, fills=(fill,)))
    assert desk.asked(ListTrades)[0].time_from == fill.traded_at - 60


def test_rule_09_an_absent_order_that_turns_up_filled_is_booked() -> None:
    gone = held(state=OrderState.ABSENT)
    desk = Desk((), restored=Restored(EPOCH, (gone,), {"bid": 0}))
    desk.give(OrderNews(row(gone.client_id, 5, "done", executed=LOTS)))
    desk.give(TradeNews(match(1, 5)))
    assert desk.order(gone.client_id).state is OrderState.FILLED
    assert desk.engine.account.ledger.position("ROGER") == Decimal("99.9")


@pytest.mark.parametrize("filtered", [True, False])
def test_rule_10_a_list_that_lacks_an_order_we_know_of_shows_the_past_and_proves_no_absence(filtered: bool) -> None:
    desk = Desk((BID_QUOTE, ASK_QUOTE))
    ask, bid = sorted(desk.asked(Place), key=lambda place: place.side.value, reverse=True)
    known = desk.accept(ask, 7)
    desk.give(Sent(bid.client_id, desk.now // MILLISECOND))
    desk.give(Unknown(bid.client_id, "timeout"))
    old = () if filtered else (row("HUMAN", 3, "done", at=START - 3600 * SECOND, ticks=BID - 5),)
    answered = 0
    for second in range(400):
        desk.wait(1)
        shown = (*old, known) if second >= 200 else old
        while answered < len(look_ups(desk)):
            query = look_ups(desk)[answered].query
            answered += 1
            desk.give(OrdersListed(query, shown, full=False, venue_time=desk.now))
        if second < 200:
            assert desk.order(bid.client_id).state is OrderState.UNKNOWN
    assert desk.order(bid.client_id).state is OrderState.ABSENT


def test_rule_10_without_a_time_filter_only_whole_listings_that_agree_prove_absence() -> None:
    desk = Desk()
    place = lost(desk)
    answered = 0
    other = row("HUMAN", 3, "done", at=START - 3600 * SECOND, ticks=BID - 5)
    agree = False
    for second in range(480):
        desk.wait(1)
        agree = second > 120
        while answered < len(look_ups(desk)):
            query = look_ups(desk)[answered]
            answered += 1
            found = other if agree else msgspec.structs.replace(other, id=1000 + answered)
            desk.give(OrdersListed(query.query, (found,), full=False, venue_time=desk.now))
        if not agree:
            assert desk.order(place.client_id).state is OrderState.UNKNOWN
    assert look_ups(desk)[1].time_from is None
    assert desk.order(place.client_id).state is OrderState.ABSENT


@pytest.mark.parametrize("state", ["pending", "wait"])
def test_rule_10_a_known_order_that_is_not_found_is_asked_about_for_ever(state: str) -> None:
    desk = Desk()
    place = desk.place()
    desk.accept(place, 1, state)
    desk.wait(61)  # a listing lacks it
    desk.mute = True  # from here on no listing leads to a question
    for round_ in range(1, 41):
        assert [read.order_id for read in desk.asked(ReadOrder)] == [1] * round_
        desk.give(OrderRead(desk.asked(ReadOrder)[-1].query, 1, None))
        order = desk.order(place.client_id)
        assert order in desk.orders.live()
        assert order in desk.orders.may_exist(desk.now)
        desk.wait(61)
    desk.give(OrderRead(desk.asked(ReadOrder)[-1].query, 1, row(place.client_id, 1)))
    assert desk.order(place.client_id) in desk.orders.live()


def test_rule_10_an_order_that_is_not_found_forbids_a_clean_end() -> None:
    desk = Desk()
    desk.accept(desk.place(), 1)
    desk.give(StopRequested("signal"))
    desk.wait(10)
    desk.give(OrderRead(desk.asked(ReadOrder)[-1].query, 1, None))
    desk.wait(60)
    assert [finish.exit_code for finish in desk.asked(Finish)] == [7]


def test_rule_11_a_row_that_lost_its_name_and_could_be_ours_forbids_absence() -> None:
    desk = Desk()
    place = lost(desk)
    answered = 0
    for _ in range(120):
        desk.wait(1)
        while answered < len(look_ups(desk)):
            query = look_ups(desk)[answered].query
            answered += 1
            nameless = row(None, 50, at=START + SECOND)
            desk.give(OrdersListed(query, (nameless,), full=False, venue_time=desk.now))
    assert desk.order(place.client_id).state is OrderState.UNKNOWN
    assert not desk.asked(Cancel)


def test_rule_12_a_cancel_waits_for_the_book_and_repeats_until_the_end_is_seen() -> None:
    desk = Desk()
    place = desk.place()
    desk.accept(place, 1, "pending")
    Desk.quotes = ()
    desk.wait(3)
    assert not desk.asked(Cancel)
    desk.give(OrderNews(row(place.client_id, 1)))
    assert len(desk.asked(Cancel)) == 1
    desk.give(CancelAnswered(1, row(place.client_id, 1)))
    desk.wait(6)
    assert len(desk.asked(Cancel)) == 1  # looked at before anything is said again
    desk.give(OrderRead(desk.asked(ReadOrder)[-1].query, 1, row(place.client_id, 1)))
    assert len(desk.asked(Cancel)) == 2
    assert not desk.order(place.client_id).state.terminal
    desk.give(OrderNews(row(place.client_id, 1, "cancel")))
    assert desk.order(place.client_id).state is OrderState.CANCELLED


def test_rule_12_a_cancel_that_was_under_way_at_a_crash_is_taken_up_again() -> None:
    cancelling = held(1, OrderState.CANCELLING)
    desk = Desk(restored=Restored(EPOCH, (cancelling,), {"bid": 0}))
    desk.wait(2)
    assert not desk.asked(Cancel)  # it may have arrived
    desk.give(OrderRead(desk.asked(ReadOrder)[-1].query, 1, row(name(), 1)))
    assert desk.asked(Cancel) == [Cancel(1, name())]
    desk.give(OrderNews(row(None, 1, "cancel")))
    desk.wait(2)
    assert [place.client_id for place in desk.asked(Place)] == [name(generation=1)]


def test_rule_13_news_that_overtakes_the_answer_waits_for_it() -> None:
    desk = Desk()
    place = desk.place()
    desk.give(Sent(place.client_id, MILLISECONDS))
    desk.give(TradeNews(match(1, 1)))
    desk.give(OrderNews(row(None, 1, "done", executed=LOTS)))
    assert desk.order(place.client_id).filled_lots == 0
    desk.give(Accepted(place.client_id, row(place.client_id, 1)))
    assert desk.order(place.client_id).state is OrderState.FILLED


def test_rule_14_an_order_closes_only_with_all_its_fills_and_each_counts_once() -> None:
    desk = Desk()
    place = desk.place()
    desk.accept(place, 1)
    desk.give(TradeNews(match(1, 1, LOTS // 2)))
    desk.give(TradeNews(match(1, 1, LOTS // 2)))
    desk.give(OrderNews(row(None, 1, "done", executed=LOTS)))
    assert not desk.order(place.client_id).state.terminal
    desk.give(TradeNews(match(2, 1, LOTS // 2)))
    assert desk.order(place.client_id).state is OrderState.FILLED


def test_rule_14_a_match_alone_reads_the_order() -> None:
    desk = Desk()
    desk.accept(desk.place(), 1)
    desk.give(OrderNews(row(None, 1, executed=100)))
    desk.give(TradeNews(match(1, 1, 100)))
    desk.wait(3)
    assert [read.order_id for read in desk.asked(ReadOrder)] == [1]


def test_rule_14_a_match_and_the_close_after_it_read_the_order_once() -> None:
    desk = Desk()
    desk.accept(desk.place(), 1)
    desk.give(TradeNews(match(1, 1)))
    desk.give(OrderNews(row(None, 1, "done", executed=LOTS)))
    Desk.quotes = ()
    desk.wait(3)
    assert [read.order_id for read in desk.asked(ReadOrder)] == [1]


@pytest.mark.parametrize(
    ("ticks", "told", "reads"), [(BID, False, 1), (BID - 1, False, 1), (BID + 1, False, 0), (BID, True, 0)]
)
def test_rule_14_a_public_trade_that_should_be_ours_is_asked_about(ticks: int, told: bool, reads: int) -> None:
    desk = Desk()
    desk.accept(desk.place(), 1)
    desk.wait(0.5)
    desk.give(PublicTrade(ROGER.symbol, 1, ticks, 5, Side.SELL, START // SECOND))
    if told:
        desk.give(OrderNews(row(None, 1)))
    desk.wait(1.9)
    assert not desk.asked(ReadOrder)
    desk.wait(0.2)
    assert len(desk.asked(ReadOrder)) == reads


def test_rule_14_sweeps_of_trades_overlap_by_a_minute() -> None:
    desk = Desk()
    desk.accept(desk.place(), 1)
    desk.mute = True
    desk.wait(61)
    desk.give(
        TradesListed(desk.asked(ListTrades)[-1].query, (match(1, 1, created_at=START // SECOND + 40),), full=False)
    )
    desk.wait(61)
    assert desk.asked(ListTrades)[-1].time_from == START // SECOND + 40 - 60


def test_rule_15_a_provisional_fee_gives_way_to_the_told_one() -> None:
    desk = Desk()
    desk.accept(desk.place(), 1)
    desk.give(TradeNews(match(1, 1)))
    assert desk.engine.account.ledger.fees == {"ROGER": Decimal("0.1")}
    desk.give(TradeNews(match(1, 1, fee=Decimal("0.25"), fee_currency="ROGER")))
    assert desk.engine.account.ledger.fees == {"ROGER": Decimal("0.25")}


def told_fee(desk: Desk, fee: str, **fields: Any) -> None:
    desk.give(TradesListed(0, (match(1, 1, fee=Decimal(fee), fee_currency="ROGER", **fields),), full=False))


def test_rule_15_the_difference_is_noted_once_with_both_fees() -> None:
    desk = Desk()
    place = desk.place()
    desk.accept(place, 1)
    desk.give(TradeNews(match(1, 1)))
    told_fee(desk, "0.25")
    told_fee(desk, "0.25")
    (note,) = desk.said("fee.corrected")
    assert (note.market, note.client_id) == (ROGER.symbol, place.client_id)
    assert note.facts == {"trade": 1, "provisional": "0.1 ROGER", "final": "0.25 ROGER"}
    (*_, booked) = [c.fill for output in desk.outputs for c in output.changes if isinstance(c, FillBooked)]
    assert (booked.fee, booked.fee_final) == (Decimal("0.25"), True)


def test_rule_15_a_fee_that_is_as_expected_is_no_news() -> None:
    desk = Desk()
    desk.accept(desk.place(), 1)
    desk.give(TradeNews(match(1, 1)))
    told_fee(desk, "0.10")
    assert not desk.said("fee.corrected")


@pytest.mark.parametrize(("final", "since"), [(False, 5000), (True, 60)])
def test_rule_15_sweeps_reach_back_to_the_oldest_fee_that_was_not_told(final: bool, since: int) -> None:
    first, second = (
        booked(
            number,
            number,
            client_id=name(generation=number),
            traded_at=START // SECOND - 5000 * (number == 1),
            fee_final=final or number == 2,
        )
        for number in (1, 2)
    )
    desk = Desk((), restored=Restored(EPOCH, generations={"bid": 2}, fills=(first, second)))
    assert desk.asked(ListTrades)[0].time_from == START // SECOND - since
    desk.wait(61)  # asked for again while the venue may still tell it, but not for ever
    assert desk.asked(ListTrades)[1].time_from == START // SECOND - since
    desk.wait(600)
    assert desk.asked(ListTrades)[-1].time_from == START // SECOND - 60


def test_rule_15_the_hidden_side_of_a_self_trade_is_not_waited_for() -> None:
    told = booked(1, 1, traded_at=START // SECOND - 5000, fee_final=True)
    hidden = msgspec.structs.replace(told, order_id=2, side=Side.SELL, fee_final=False)
    newest = msgspec.structs.replace(told, trade_id=2, order_id=3, traded_at=START // SECOND)
    desk = Desk((), restored=Restored(EPOCH, fills=(told, hidden, newest)))
    assert desk.asked(ListTrades)[0].time_from == START // SECOND - 60


def test_rule_16_the_position_is_own_fills_net_of_fees_and_what_was_there() -> None:
    desk = Desk(initial_position={"ROGER": Decimal(50)})
    desk.accept(desk.place(), 1)
    desk.give(TradeNews(match(1, 1)))
    desk.give(BalanceNews(BalanceRow("ROGER", Decimal(777), Decimal(0))))
    assert desk.engine.account.ledger.position("ROGER") == Decimal("149.9")


def test_rule_17_deposits_touch_neither_profit_nor_position() -> None:
    desk = Desk(())
    desk.give(BalanceNews(BalanceRow("ROGER", Decimal(10**9), Decimal(0))))
    assert desk.engine.account.ledger.position("ROGER") == 0
    assert not desk.engine.account.ledger.realised


def test_rule_18_a_reservation_ends_only_with_a_read_asked_for_after_wait() -> None:
    desk = Desk()
    place = desk.place()
    funds = desk.engine.account.funds
    reserved = funds.balance("BTC").available - funds.spendable("BTC")
    assert reserved == Decimal("0.004")
    desk.now += SECOND
    desk.accept(place, 1)
    rows = funds.balances()
    funds.read(rows, desk.now)  # asked for no later than it was seen
    assert funds.spendable("BTC") == funds.balance("BTC").available - reserved
    funds.read(rows, desk.now + 1)
    assert funds.spendable("BTC") == funds.balance("BTC").available


def test_rule_19_sells_do_not_make_room_for_buys() -> None:
    half = msgspec.structs.replace(ASK_QUOTE, quantity=50)
    desk = Desk((half, BID_QUOTE), limits=Limits(max_position={"ROGER": Decimal(99)}))
    assert [place.side for place in desk.asked(Place)] == [Side.SELL]
    desk = Desk((ASK_QUOTE, BID_QUOTE), limits=Limits(max_position={"ROGER": Decimal(100)}))
    assert len(desk.asked(Place)) == 2


def test_rule_20_what_is_wanted_stays_and_a_new_price_waits_for_the_old_orders_end() -> None:
    desk = Desk()
    place = desk.place()
    desk.accept(place, 1)
    desk.wait(5)
    assert not desk.asked(Cancel)
    Desk.quotes = (msgspec.structs.replace(BID_QUOTE, price=0.00003),)
    desk.wait(3)
    assert len(desk.asked(Cancel)) == 1
    assert len(desk.asked(Place)) == 1
    desk.give(OrderNews(row(None, 1, "cancel")))
    desk.wait(1)
    assert [each.ticks for each in desk.asked(Place)] == [BID, 3000]


def test_rule_20_a_place_without_free_funds_waits_without_a_refusal() -> None:
    desk = Desk(funds=0)
    desk.wait(5)
    assert not desk.asked(Place)
    assert not desk.said("order.refused")


def test_rule_21_places_and_look_ups_leave_the_reserve_to_cancels() -> None:
    desk = Desk()
    place = desk.place()
    desk.accept(place, 1)
    before = len(desk.outputs)
    desk.free = 8
    Desk.quotes = (ASK_QUOTE,)
    desk.wait(130)
    asked = [command for output in desk.outputs[before:] for command in output.commands]
    assert asked == [Cancel(1, place.client_id)]


LOWER = msgspec.structs.replace(BID_QUOTE, price=0.00003)


def unresolved(desk: Desk, state: OrderState) -> Place:
    """The only order, in a state that waits for evidence; the venue says nothing more of it."""
    place = desk.place()
    match state:
        case OrderState.SENT:
            desk.give(Sent(place.client_id, MILLISECONDS))
        case OrderState.UNKNOWN:
            lost(desk)
        case OrderState.CANCELLING:
            desk.accept(place, 1)
            Desk.quotes = ()
            desk.wait(2)
            assert desk.asked(Cancel) == [Cancel(1, place.client_id)]
    assert desk.order(place.client_id).state is state
    return place


UNRESOLVED = (OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN, OrderState.CANCELLING)


@pytest.mark.parametrize("state", UNRESOLVED)
@pytest.mark.parametrize("wanted", [BID_QUOTE, LOWER])
def test_rule_22_a_slot_with_an_unresolved_order_emits_nothing(state: OrderState, wanted: Quote) -> None:
    desk = Desk()
    place = unresolved(desk, state)
    before = desk.asked(Cancel)
    Desk.quotes = (wanted,)
    desk.wait(30)
    assert desk.engine.ticks > 25
    assert desk.asked(Place) == [place]
    assert desk.asked(Cancel) == before  # its effect was looked for, in vain


@pytest.mark.parametrize("state", [state for state in UNRESOLVED if state is not OrderState.CANCELLING])
def test_rule_22_what_a_tick_wanted_of_an_unresolved_order_is_not_kept(state: OrderState) -> None:
    """Stale intents are never queued: what counts is what is wanted when the order is known to exist."""
    desk = Desk()
    place = unresolved(desk, state)
    Desk.quotes = (LOWER,)
    desk.wait(2)
    Desk.quotes = (BID_QUOTE,)
    desk.wait(1)
    desk.give(Accepted(place.client_id, row(place.client_id, 1)))
    desk.wait(5)
    assert not desk.asked(Cancel)
    Desk.quotes = (LOWER,)
    desk.wait(2)
    assert desk.asked(Cancel) == [Cancel(1, place.client_id)]


def test_rule_23_no_order_crosses_another_of_the_account() -> None:
    desk = Desk(at_work=(row("HUMAN", 9, side=Side.SELL, ticks=BID),))
    assert not desk.asked(Place)
    assert desk.said("order.refused")[0].facts["code"] == "self_trade"


def test_rule_24_no_tick_before_the_account_is_read_and_every_old_order_heard_of() -> None:
    desk = Desk((BID_QUOTE, ASK_QUOTE), restored=Restored(EPOCH, (held(1, OrderState.OPEN),), {"bid": 0}), ready=False)
    desk.wait(5)
    assert desk.engine.ticks == 0
    desk.give(StreamUp("private", ("order", "trade", "balance")))
    desk.wait(5)
    assert desk.engine.ticks == 0
    desk.give(OrderRead(desk.asked(ReadOrder)[-1].query, 1, row(name(), 1)))
    desk.wait(2)
    assert desk.engine.ticks > 0
    assert [place.client_id for place in desk.asked(Place)] == [name("ask")]


def test_rule_24_no_tick_before_the_private_stream_is_up() -> None:
    desk = Desk(ready=False)
    desk.wait(5)
    assert desk.engine.ticks == 0


def test_rule_25_an_order_of_an_older_journal_is_adopted() -> None:
    desk = Desk((), at_work=(row(name(epoch=EPOCH - 9), 4, at=START - 500 * SECOND),))
    assert desk.engine.stop is None
    assert [cancel.order_id for cancel in desk.asked(Cancel)] == [4]


@pytest.mark.parametrize("state", ["wait", "cancel"])
def test_rule_25_a_generation_above_the_journals_is_a_stale_journal(state: str) -> None:
    desk = Desk(())
    desk.give(OrderNews(row(name(generation=5), 4, state)))
    assert desk.engine.stop is not None
    assert desk.engine.stop.exit_code == 7
    # The name is in the journal now: without a latch the next start would see nothing wrong.
    (latch,) = [c.latch for output in desk.outputs for c in output.changes if isinstance(c, LatchSet)]
    again = Desk(restored=Restored(EPOCH, generations={"bid": 5}, latches=(latch,)))
    assert (latch.name, again.asked(Place)) == ("stale_journal", [])
    assert again.engine.stop is not None
    assert again.engine.stop.exit_code == Exit.RISK


@pytest.mark.parametrize("sought", [False, True])
def test_rule_25_another_order_under_a_name_of_ours_is_no_strangers(*, sought: bool) -> None:
    """A second host with a copy of our journal burnt the same generation, at another price."""
    orders = [held(4, OrderState.CANCELLED)]
    if sought:  # then it may be that one, its name cut short
        orders.append(msgspec.structs.replace(held(generation=1), ticks=BID - 1))
    another = row(name(), 7, ticks=BID - 1)
    desk = Desk((), restored=Restored(EPOCH, orders=tuple(orders), generations={"bid": 1}), at_work=(another,))
    desk.wait(2)
    assert (desk.engine.stop is not None and desk.engine.stop.exit_code == 7) != sought
    assert desk.asked(Cancel) == []


@pytest.mark.parametrize(
    ("age", "take_over", "another"), [(0, True, True), (100, False, True), (100, True, False), (121, False, False)]
)
def test_rule_25_a_second_instance_ends_the_run_and_keeps_its_orders(age: int, take_over: bool, another: bool) -> None:
    theirs = row(name("ask", epoch=EPOCH + 3), 4, at=START - age * SECOND)
    desk = Desk((), take_over=take_over)
    desk.give(OrderNews(theirs))
    desk.wait(2)
    assert (desk.engine.stop is not None and desk.engine.stop.exit_code == 8) == another
    assert bool(desk.asked(Cancel)) != another


def test_rule_25_one_order_that_moves_tells_whose_all_of_its_journal_are() -> None:
    resting = row(name(epoch=EPOCH + 3), 4, at=START - 500 * SECOND)
    moving = row(name("ask", epoch=EPOCH + 3), 5, at=START - 100 * SECOND)
    desk = Desk((), at_work=(resting, moving))
    desk.wait(2)
    assert desk.engine.stop is not None
    assert desk.engine.stop.exit_code == 8
    assert desk.asked(Cancel) == []
    assert desk.orders.get(resting.client_id or "") is None


def test_rule_25_that_an_order_moves_which_was_taken_over_tells_of_nobody() -> None:
    ours = msgspec.structs.replace(held(5, OrderState.OPEN), client_id=name(epoch=EPOCH - 9))
    moved, resting = row(ours.client_id, 5, at=START), row(name("ask", epoch=EPOCH - 9), 4, at=START - 500 * SECOND)
    desk = Desk((), restored=Restored(EPOCH, orders=(ours,)), at_work=(moved, resting))
    desk.wait(2)
    assert desk.engine.stop is None
    assert {cancel.order_id for cancel in desk.asked(Cancel)} == {4, 5}


def test_rule_26_a_stop_is_clean_only_by_a_listing_after_the_last_doubt() -> None:
    desk = Desk()
    place = desk.place()
    desk.give(StopRequested("signal"))
    desk.give(NotSent(place.client_id, "the gate is closed"))
    assert desk.asked(Finish)[0].exit_code == 0
    desk = Desk()
    lost(desk)
    desk.give(StopRequested("signal"))
    desk.wait(30)
    assert not desk.asked(Finish)
    desk.wait(90)
    assert desk.asked(Finish)[0].exit_code == 7  # nobody ever answered the look-ups


def found_and_gone(desk: Desk) -> int:
    """The only create had no answer, a copy of it turned up and ended; until when (our clock) another one may come."""
    place = lost(desk)
    desk.give(OrderNews(row(place.client_id, 1, "cancel", at=desk.now)))
    assert desk.order(place.client_id).state is OrderState.CANCELLED
    Desk.quotes = ()
    return place.sign_before * MILLISECOND + W + D


def at_work_asked(desk: Desk) -> int:
    return len([each for each in desk.asked(ListOrders) if each.states])


@pytest.mark.parametrize("offset", [-2 * SECOND, 0, 2 * SECOND])
def test_rule_26_a_copy_that_was_found_does_not_end_the_doubt_of_a_stop(offset: int) -> None:
    desk = Desk(())
    desk.give(ClockRead(offset, 0))
    Desk.quotes = (BID_QUOTE,)
    desk.wait(2)
    until = found_and_gone(desk) - offset  # the venue's clock is the measure
    desk.give(StopRequested("signal"))
    desk.wait((until - 1 - desk.now) / SECOND)
    assert not desk.asked(Finish)
    before = at_work_asked(desk)
    desk.wait(5)
    assert at_work_asked(desk) > before
    assert [finish.exit_code for finish in desk.asked(Finish)] == [0]


def test_rule_26_a_listing_that_was_asked_for_within_the_doubt_proves_nothing() -> None:
    desk = Desk(())
    desk.wait(25)
    Desk.quotes = (BID_QUOTE,)
    desk.wait(2)
    until = found_and_gone(desk)
    desk.give(StopRequested("signal"))
    desk.wait(30)
    desk.mute = True
    asked = len(desk.asked(ListOrders))
    desk.wait(5)
    (early,) = desk.asked(ListOrders)[asked:]  # the one of every minute
    assert desk.now < until
    desk.wait((until - desk.now) / SECOND + 1)
    desk.give(OrdersListed(early.query, (), full=False, venue_time=desk.now))
    assert desk.asked(ListOrders)[-1].states != early.states  # its second half, asked for after the doubt
    desk.give(OrdersListed(desk.asked(ListOrders)[-1].query, (), full=False, venue_time=desk.now))
    assert not desk.asked(Finish)
    desk.speak()
    desk.wait(5)
    assert [finish.exit_code for finish in desk.asked(Finish)] == [0]


def test_rule_26_an_order_that_ended_before_its_create_was_answered_leaves_a_doubt() -> None:
    desk = Desk()
    place = desk.place()
    desk.give(Sent(place.client_id, MILLISECONDS))
    desk.give(OrderNews(row(place.client_id, 1, "cancel")))
    desk.give(StopRequested("signal"))
    desk.wait(14)
    assert not desk.asked(Finish)
    desk.give(Unknown(place.client_id, "timeout"))
    desk.wait(place.sign_before / 1000 - desk.now / SECOND + (W + D) / SECOND - 0.1)
    assert not desk.asked(Finish)
    desk.wait(5)
    assert [finish.exit_code for finish in desk.asked(Finish)] == [0]


@pytest.mark.parametrize("refused", [False, True])
def test_rule_26_a_create_with_a_clear_answer_leaves_no_doubt(refused: bool) -> None:
    desk = Desk()
    place = desk.place()
    desk.give(Sent(place.client_id, MILLISECONDS))
    if refused:
        desk.give(Rejected(place.client_id, 422, ("market.account.insufficient_balance",)))
    else:
        desk.give(Accepted(place.client_id, row(place.client_id, 1, "cancel")))
    desk.give(StopRequested("signal"))
    desk.wait(3)
    assert [finish.exit_code for finish in desk.asked(Finish)] == [0]


@pytest.mark.parametrize("answer", ["none", "unreadable", "a row", "a refusal"])
def test_rule_26_the_doubt_of_a_create_outlives_a_crash(answer: str) -> None:
    """It ended before the crash, and the journal says so; whether a proxy may still bring a copy is in its answer."""
    desk = Desk()
    place = desk.place()
    desk.give(Sent(place.client_id, MILLISECONDS))
    if answer != "a refusal":
        desk.give(OrderNews(row(place.client_id, 1, "cancel")))
    if answer == "unreadable":
        desk.give(Unknown(place.client_id, "answer 200 cannot be read"))
    elif answer == "a row":
        desk.give(Accepted(place.client_id, row(place.client_id, 1, "cancel")))
    elif answer == "a refusal":
        desk.give(Rejected(place.client_id, 422, ("market.account.insufficient_balance",)))
    (order,) = {
        c.order.client_id: c.order for o in desk.outputs for c in o.changes if isinstance(c, OrderChanged)
    }.values()
    assert order.state.terminal
    again = Desk((), restored=Restored(EPOCH, (order,), {"bid": 0}))
    again.give(StopRequested("signal"))
    again.wait(5)
    clear = answer in {"a row", "a refusal"}
    assert [finish.exit_code for finish in again.asked(Finish)] == ([0] if clear else [])
    again.wait((place.sign_before * MILLISECOND + W + D - again.now) / SECOND + 5)
    assert [finish.exit_code for finish in again.asked(Finish)] == [0]


def test_rule_27_a_strategy_that_raises_leaves_nothing_and_ends_with_one() -> None:
    desk = Desk()
    desk.accept(desk.place(), 1)
    Desk.fails = True
    desk.wait(2)
    assert [cancel.order_id for cancel in desk.asked(Cancel)] == [1]
    desk.give(OrderNews(row(None, 1, "cancel")))
    desk.wait(5)
    assert len(desk.asked(Place)) == 1
    assert desk.asked(Finish)[0].exit_code == 1
