"""orders.md rule 11: what the venue's names are worth, and what is done where they are worth nothing."""

from collections.abc import Callable

import desk as by_default
import pytest
from desk import ASK, ASK_QUOTE, BID, BID_QUOTE, EPOCH, LOTS, ROGER, START, TAG, D, Desk, W, booked, match, name, row
from msgspec.structs import replace

from runner.engine.reconcile import Target
from runner.engine.tiers import obstacle
from runner.model.command import Cancel, Finish, LatchSet, ListOrders, Place, ReadOrder
from runner.model.event import (
    Accepted,
    CancelAnswered,
    NotSent,
    OrderNews,
    OrderRead,
    OrdersListed,
    Rejected,
    Restored,
    Sent,
    StopRequested,
    TradeNews,
    Unknown,
)
from runner.model.order import Order, OrderRow, OrderState, Quote, Side
from runner.model.settings import MILLISECOND, SECOND

LOW_QUOTE = Quote("low", Side.BUY, 0.00003, 100)
MILLISECONDS = START // MILLISECOND


def held(state: OrderState = OrderState.SENT, order_id: int | None = None, generation: int = 0) -> Order:
    """A bid as the journal remembers it, intended when the highest id known was 40."""
    return replace(by_default.held(order_id, state, generation), id_floor=40)


def sent(desk: Desk, place: Place) -> None:
    desk.give(Sent(place.client_id, desk.now // MILLISECOND))


def proven(quotes: tuple[Quote, ...] = (BID_QUOTE,), **settings: bool) -> Desk:
    """The venue showed the name of an ask, which rests."""
    desk = Desk((ASK_QUOTE,), **settings)
    desk.accept(desk.place(), 1, remaining_lots=LOTS)
    assert desk.orders.tier.proven
    Desk.quotes = (ASK_QUOTE, *quotes)
    desk.wait(1)
    return desk


def placed(desk: Desk) -> list[str]:
    return [place.client_id for place in desk.asked(Place)]


def answer_look_ups(desk: Desk, rows: tuple[OrderRow, ...], seconds: int) -> None:
    """Every look-up shows these rows."""
    answered = {each.query for each in desk.asked(ListOrders) if each.states}
    for _ in range(seconds):
        desk.wait(1)
        for each in desk.asked(ListOrders):
            if not each.states and each.query not in answered:
                answered.add(each.query)
                desk.give(OrdersListed(each.query, rows, full=False, venue_time=desk.now))


def next_look_up(desk: Desk, last: int) -> int:
    """The number of the look-up that comes after the one of this number, when it is asked for."""
    for _ in range(70):
        if asked := [each.query for each in desk.asked(ListOrders) if not each.states and each.query > last]:
            return asked[0]
        desk.wait(1)
    raise AssertionError("nothing is looked up any more")


def lost(desk: Desk, place: Place) -> Place:
    sent(desk, place)
    desk.give(Unknown(place.client_id, "timeout"))
    return place


# Which tier -----------------------------------------------------------------------------------------------

SHOWS: dict[str, Callable[[OrderRow], object]] = {
    "the answer": lambda shown: Accepted(name(), shown),
    "a listing": lambda shown: OrdersListed(99, (shown,), full=False),
    "a GET": lambda shown: OrderRead(99, shown.id, shown),
    "an event": OrderNews,
    "the answer to a cancel": lambda shown: CancelAnswered(shown.id, shown),
}


@pytest.mark.parametrize("where", SHOWS)
def test_rule_11_the_exact_name_of_a_row_proves_the_first_tier(where: str) -> None:
    desk = Desk((BID_QUOTE, LOW_QUOTE, ASK_QUOTE))
    bid, ask = desk.asked(Place)
    assert (bid.client_id, ask.client_id) == (name(), name("ask"))  # the other bid waits
    sent(desk, bid)
    desk.wait(3)
    assert len(desk.asked(Place)) == 2
    desk.give(SHOWS[where](row(bid.client_id, 50)))  # type: ignore[arg-type]
    desk.wait(0.2)
    assert placed(desk)[2:] == [name("low")]
    (note,) = desk.said("tier.proven")
    assert (note.client_id, note.facts["order_id"]) == (bid.client_id, 50)


def test_rule_11_a_proposal_that_is_held_back_is_said_once_and_never_refused() -> None:
    desk = Desk((BID_QUOTE, LOW_QUOTE))
    desk.wait(5)
    (note,) = desk.said("order.held")
    assert note.facts == {"slot": "low", "side": "buy", "why": "unresolved"}
    assert not desk.said("order.refused")


def test_rule_11_the_answers_to_the_first_creates_let_all_others_go_at_once() -> None:
    desk = Desk((BID_QUOTE, LOW_QUOTE, Quote("ask", Side.BUY, 0.00002, 100)))
    assert len(desk.asked(Place)) == 1
    desk.accept(desk.place(), 50)
    desk.wait(0.1)  # not at the next regular tick, but as soon as the file lets a tick follow on another
    assert len(desk.asked(Place)) == 3


def test_rule_11_what_the_journal_remembers_proves_nothing() -> None:
    desk = Desk((BID_QUOTE, LOW_QUOTE, ASK_QUOTE), restored=Restored(EPOCH, (held(),), {"bid": 0}))
    desk.wait(2)
    assert placed(desk) == [name("ask")]


def test_rule_11_the_name_of_an_adopted_order_proves_nothing() -> None:
    """What we call it is what the venue said."""
    theirs = row(name(epoch=EPOCH - 9), 4, at=START - 500 * SECOND)
    desk = Desk((), at_work=(theirs,))
    desk.give(OrdersListed(99, (theirs,), full=False))
    assert desk.orders.get(name(epoch=EPOCH - 9)) is not None
    assert not desk.orders.tier.proven


BENT = {"null": None, "cut short": name("ask")[:-1], "another case": name("ask").lower(), "empty": ""}


@pytest.mark.parametrize("told", BENT.values(), ids=BENT.keys())
@pytest.mark.parametrize("where", [where for where in SHOWS if where not in {"an event", "the answer"}])
def test_rule_11_any_other_name_of_a_known_row_loses_it(told: str | None, where: str) -> None:
    desk = proven((BID_QUOTE,))
    sent(desk, desk.asked(Place)[-1])
    desk.give(SHOWS[where](row(told, 1, side=Side.SELL, ticks=ASK)))  # type: ignore[arg-type]
    Desk.quotes = (ASK_QUOTE, BID_QUOTE, LOW_QUOTE)
    desk.wait(2)
    (note,) = desk.said("tier.lost")
    assert (note.client_id, note.facts["shown"]) == (name("ask"), told)
    assert placed(desk) == [name("ask"), name()]
    desk.give(OrdersListed(99, (row(name("ask"), 1, side=Side.SELL, ticks=ASK),), full=False))
    desk.wait(2)
    assert placed(desk)[2:] == [name("low")]
    assert len(desk.said("order.held")) == 1
    desk.give(OrdersListed(99, (row(told, 1, side=Side.SELL, ticks=ASK),), full=False))
    desk.give(NotSent(name("low"), "no connection"))
    desk.wait(2)
    assert [note.facts["slot"] for note in desk.said("order.held")] == ["low", "low"]  # the tier was another since


def test_rule_11_the_stream_shows_no_names_and_loses_none() -> None:
    desk = proven(())
    desk.give(OrderNews(row(None, 1, side=Side.SELL, ticks=ASK)))
    assert desk.orders.tier.proven
    desk.give(OrderNews(row(name("ask").lower(), 1, side=Side.SELL, ticks=ASK)))
    assert not desk.orders.tier.proven


# What may leave in the second -----------------------------------------------------------------------------


def test_rule_11_in_the_first_tier_creates_of_a_side_leave_together() -> None:
    desk = proven((BID_QUOTE, LOW_QUOTE))
    assert placed(desk)[1:] == [name(), name("low")]


def test_rule_11_an_order_whose_id_is_told_holds_nothing_up_whatever_its_name() -> None:
    desk = Desk((BID_QUOTE, LOW_QUOTE))
    place = desk.place()
    sent(desk, place)
    desk.give(Accepted(place.client_id, row(None, 50)))
    desk.wait(0.2)
    assert not desk.orders.tier.proven
    assert placed(desk) == [name(), name("low")]


def test_rule_11_one_that_is_missed_holds_up_its_side_until_it_is_resolved() -> None:
    desk = Desk((BID_QUOTE, LOW_QUOTE, ASK_QUOTE))
    lost(desk, desk.asked(Place)[0])
    answer_look_ups(desk, (), 30)
    assert placed(desk) == [name(), name("ask")]
    answer_look_ups(desk, (), 60)
    assert desk.order(name()).state is OrderState.ABSENT
    assert name("low") in placed(desk)


def test_rule_11_no_order_leaves_that_is_equal_to_one_at_work() -> None:
    twin, other = Quote("low", Side.BUY, 0.00004, 100), Quote("low", Side.BUY, 0.00004, 101)
    for quote, leaves in ((twin, False), (other, True)):
        desk = Desk((BID_QUOTE, quote))
        place = desk.place()
        sent(desk, place)
        desk.give(Accepted(place.client_id, row(None, 50)))
        desk.wait(5)
        assert (name("low") in placed(desk)) is leaves
    desk = proven((BID_QUOTE, twin))
    assert name("low") in placed(desk)


def test_rule_11_no_order_leaves_that_is_equal_to_one_that_may_still_come() -> None:
    desk = Desk((BID_QUOTE,))
    place = desk.place()
    sent(desk, place)
    desk.give(Rejected(place.client_id, 422, ("market.account.insufficient_balance",)))
    desk.wait((W + D) / SECOND - 1)
    assert len(desk.asked(Place)) == 1
    desk.wait(2)
    assert len(desk.asked(Place)) == 2


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("beside", [True, False])
def test_rule_11_what_keeps_a_create_back(state: OrderState, same: bool, beside: bool) -> None:
    other = replace(held(state), lots=LOTS if same else LOTS + 1)
    target = Target("low", ROGER.symbol, Side.BUY if beside else Side.SELL, BID, LOTS, True, None)
    unresolved = state in {OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN}
    expected = None if not beside else "unresolved" if unresolved else "equal" if same else None
    assert obstacle(target, [other]) == expected


# What a row may be ----------------------------------------------------------------------------------------


def test_rule_11_ids_below_the_intents_are_no_candidates_also_after_a_restart() -> None:
    desk = Desk((), restored=Restored(EPOCH, (held(OrderState.OPEN, 70),), {"bid": 0}))
    Desk.quotes = (ASK_QUOTE,)
    desk.give(OrderRead(desk.asked(ReadOrder)[-1].query, 70, row(name(), 70)))
    desk.wait(2)
    (place,) = desk.asked(Place)
    assert desk.order(place.client_id).id_floor == 70
    lost(desk, place)
    before = row(None, 69, at=START, side=Side.SELL, ticks=ASK)
    answer_look_ups(desk, (before, row(name(), 70)), 90)
    assert desk.order(place.client_id).state is OrderState.ABSENT


@pytest.mark.parametrize("told_by", ["order", "intent", "fill", "trade"])
def test_rule_11_the_highest_id_that_was_ever_told_goes_with_an_intent(told_by: str) -> None:
    orders = {"order": (held(OrderState.CANCELLED, 70),), "intent": (replace(held(), id_floor=70),)}
    fill = booked(1, 70)
    fills = (fill,) if told_by == "fill" else ()
    desk = Desk((), restored=Restored(EPOCH, orders.get(told_by, ()), {"bid": 0}, fills))
    if told_by == "trade":
        desk.give(TradeNews(match(1, 70)))
    Desk.quotes = (ASK_QUOTE,)
    desk.wait(2)
    assert desk.order(desk.place().client_id).id_floor == 70


@pytest.mark.parametrize("told", [None, "", name()[:-1], name().lower()])
def test_rule_11_in_the_first_tier_too_a_row_without_the_name_forbids_absence(told: str | None) -> None:
    desk = proven()
    lost(desk, desk.asked(Place)[-1])
    answer_look_ups(desk, (row(told, 50, at=START + SECOND),), 120)
    assert desk.order(name()).state is OrderState.UNKNOWN
    (note,) = desk.said("order.candidate")
    assert (note.client_id, note.facts["order_id"]) == (name(), 50)
    assert not desk.asked(Cancel)


@pytest.mark.parametrize("first_tier", [True, False])
def test_rule_11_somebody_elses_name_is_believed_in_the_first_tier_only(first_tier: bool) -> None:
    desk = proven() if first_tier else Desk()
    lost(desk, desk.asked(Place)[-1])
    known = (row(name("ask"), 1, side=Side.SELL, ticks=ASK),) if first_tier else ()
    answer_look_ups(desk, (row("HUMAN", 50, at=START + SECOND), *known), 120)
    assert desk.order(name()).state is (OrderState.ABSENT if first_tier else OrderState.UNKNOWN)


@pytest.mark.parametrize(
    "other", [{"ticks": BID + 1}, {"origin_lots": LOTS + 1}, {"side": Side.SELL}, {"at": START - 100 * SECOND}]
)
def test_rule_11_a_row_that_differs_is_no_candidate(other: dict[str, int]) -> None:
    desk = Desk()
    lost(desk, desk.place())
    found = row(None, 50, **({"at": START + SECOND} | other))
    answered = 0
    for _ in range(400):
        desk.wait(1)
        for each in [each for each in desk.asked(ListOrders) if not each.states][answered:]:
            answered += 1
            desk.give(OrdersListed(each.query, (found,), full=False, venue_time=desk.now))
    assert desk.order(name()).state is OrderState.ABSENT


def test_rule_11_on_a_shared_account_a_sole_candidate_is_counted_and_left_alone() -> None:
    desk = Desk()
    lost(desk, desk.place())
    found = row(None, 50, at=START + SECOND)
    answer_look_ups(desk, (found,), 60)
    (order,) = desk.orders.may_exist(desk.now)
    assert order.unbooked_lots == LOTS
    desk.give(StopRequested("signal"))
    answer_look_ups(desk, (found,), 120)
    assert not desk.asked(Cancel)
    assert desk.asked(Finish)[0].exit_code == 7


@pytest.mark.parametrize("stopping", [True, False])
def test_rule_11_on_an_account_of_our_own_a_sole_candidate_is_taken(stopping: bool) -> None:
    desk = Desk(exclusive=True)
    place = lost(desk, desk.place())
    if stopping:
        desk.give(StopRequested("signal"))
    answer_look_ups(desk, (row(None, 50, at=START + SECOND),), 5)
    (note,) = desk.said("order.matched")
    assert (note.client_id, note.facts["order_id"]) == (place.client_id, 50)
    order = desk.order(place.client_id)
    assert order.venue_ids == (50,)
    assert order.state is (OrderState.CANCELLING if stopping else OrderState.OPEN)
    assert desk.asked(Cancel) == ([Cancel(50, place.client_id)] if stopping else [])
    desk.give(TradeNews(match(1, 50)))
    assert desk.order(place.client_id).filled_lots == LOTS


@pytest.mark.parametrize(
    "rows",
    [
        (row(None, 50, at=START + SECOND), row(None, 51, at=START + SECOND)),
        (row(None, 50, at=START + SECOND), row("HUMAN", 51, at=START + SECOND)),
        (row("HUMAN", 50, at=START + SECOND),),
    ],
)
def test_rule_11_which_of_several_candidates_it_is_is_never_guessed(rows: tuple[OrderRow, ...]) -> None:
    desk = Desk(exclusive=True)
    lost(desk, desk.place())
    answer_look_ups(desk, rows, 60)
    assert desk.order(name()).venue_ids == ()
    assert not desk.said("order.matched")
    assert len(desk.said("order.candidate")) == len(rows)


def test_rule_11_a_row_that_two_orders_may_be_is_neither() -> None:
    """They left together while names were believed."""
    desk = proven((BID_QUOTE, Quote("low", Side.BUY, 0.00004, 100)), exclusive=True)
    for place in desk.asked(Place)[1:]:
        lost(desk, place)
    answer_look_ups(desk, (row(None, 50, at=START + SECOND),), 60)
    assert not desk.said("order.matched")
    assert [order.state for order in desk.orders.unknown()] == [OrderState.UNKNOWN] * 2


def test_rule_11_one_that_turns_out_to_be_anothers_was_no_candidate() -> None:
    desk = Desk(exclusive=True)
    lost(desk, desk.place())
    mine, other = row(None, 50, at=START + SECOND), row(None, 51, at=START + SECOND)
    answer_look_ups(desk, (mine, other), 4)
    assert not desk.said("order.matched")
    answer_look_ups(desk, (mine, replace(other, client_id=name("ask").replace(TAG, "OTHERS"))), 10)
    assert desk.order(name()).venue_ids == (50,)


def test_rule_11_without_a_time_filter_only_listings_that_agree_take_anything() -> None:
    desk = Desk(exclusive=True)
    lost(desk, desk.place())
    mine, old = row(None, 50, at=START + SECOND), row("HUMAN", 3, "done", at=START - 3600 * SECOND, ticks=BID - 5)
    another = replace(old, id=4)
    query = 0
    for shown, taken in ((old, False), (old, False), (another, False), (another, True)):
        query = next_look_up(desk, query)
        desk.give(OrdersListed(query, (mine, shown), full=False, venue_time=desk.now))
        assert bool(desk.said("order.matched")) is taken
    assert desk.order(name()).venue_ids == (50,)


def test_rule_11_half_a_look_up_takes_nothing() -> None:
    """A full page is asked for again in two halves; what the first half shows may not be all there is."""
    desk = Desk(exclusive=True)
    lost(desk, desk.place())
    mine = row(None, 50, at=START + SECOND)
    query = 0
    for rows, full, taken in (((mine,), True, False), ((), False, False), ((mine,), False, True)):
        query = next_look_up(desk, query)
        desk.give(OrdersListed(query, rows, full=full, venue_time=desk.now))
        assert bool(desk.said("order.matched")) is taken


@pytest.mark.parametrize("exclusive", [True, False])
def test_rule_11_a_name_cut_short_to_that_of_an_earlier_order_is_not_believed(exclusive: bool) -> None:
    """`…-BID-1`, an earlier order that has ended, is how a venue that cuts names shows `…-BID-10`."""
    first, later = held(OrderState.CANCELLED, 45, generation=1), held(generation=36)
    desk = Desk((), restored=Restored(EPOCH, (first, later), {"bid": 36}), exclusive=exclusive)
    cut = row(first.client_id, 50, at=START)
    desk.give(OrderRead(99, 50, cut))
    answer_look_ups(desk, (cut,), 60)
    assert desk.order(first.client_id).venue_ids == (45,)
    assert desk.order(later.client_id).venue_ids == ((50,) if exclusive else ())
    assert not desk.said("order.duplicate")
    assert not desk.said("tier.proven")


def test_rule_11_a_name_cut_short_is_rather_one_that_was_called_absent_than_a_second_copy_of_another() -> None:
    """Both are later orders of the slot whose name begins so; that one came after all is what the latch is for."""
    absent, later = held(OrderState.ABSENT, generation=36), held(OrderState.CANCELLED, 45, generation=37)
    orders = tuple(replace(each, changed=START) for each in (absent, later))
    desk = Desk((), restored=Restored(EPOCH, orders, {"bid": 37}))
    desk.give(OrdersListed(99, (row(name(generation=1), 50),), full=False))
    assert desk.order(absent.client_id).venue_ids == (50,)
    assert desk.order(later.client_id).venue_ids == (45,)
    (latch,) = (c.latch for output in desk.outputs for c in output.changes if isinstance(c, LatchSet))
    assert (latch.name, latch.client_id) == ("late_order", absent.client_id)
    assert desk.asked(Cancel) == [Cancel(50, absent.client_id)]


# Orders that should not exist -----------------------------------------------------------------------------


@pytest.mark.parametrize("state", [OrderState.ABSENT, OrderState.REJECTED])
@pytest.mark.parametrize("exclusive", [True, False])
def test_rule_11_a_row_like_one_that_should_not_exist(state: OrderState, exclusive: bool) -> None:
    gone = replace(held(state), changed=START)
    desk = Desk((), restored=Restored(EPOCH, (gone,), {"bid": 0}), exclusive=exclusive)
    desk.wait(20)
    desk.give(OrdersListed(99, (row(None, 50, at=START + SECOND),), full=False))
    if exclusive:
        assert desk.asked(Cancel) == [Cancel(50, gone.client_id)]
        set_for = [c.latch.client_id for output in desk.outputs for c in output.changes if isinstance(c, LatchSet)]
        assert set_for == ([gone.client_id] if state is OrderState.ABSENT else [])
    else:
        assert not desk.asked(Cancel)
        assert gone in desk.orders.may_exist(desk.now + 599 * SECOND)
        desk.wait(500)
        desk.give(OrdersListed(99, (row(None, 50, at=START + SECOND),), full=False))
        assert gone in desk.orders.may_exist(desk.now + 599 * SECOND)
        assert len(desk.said("order.candidate")) == 1


def test_rule_11_a_row_that_a_missed_one_may_be_too_is_not_taken_for_one_that_should_not_exist() -> None:
    desk = proven((BID_QUOTE, replace(BID_QUOTE, slot="low")), exclusive=True)
    refused, missed = desk.asked(Place)[1:]
    sent(desk, refused)
    desk.give(Rejected(refused.client_id, 422, ("market.account.insufficient_balance",)))
    lost(desk, missed)
    answer_look_ups(desk, (row(None, 50, at=START + SECOND),), 20)
    assert desk.order(refused.client_id).venue_ids == desk.order(missed.client_id).venue_ids == ()
    assert {note.client_id for note in desk.said("order.candidate")} == {refused.client_id, missed.client_id}


@pytest.mark.parametrize("first_tier", [True, False])
def test_rule_11_one_called_absent_is_looked_for_for_ever(first_tier: bool) -> None:
    gone = replace(held(OrderState.ABSENT), changed=START)
    desk = Desk((ASK_QUOTE,), restored=Restored(EPOCH, (gone,), {"bid": 0}), exclusive=True)
    if first_tier:
        desk.accept(desk.place(), 50)
    desk.wait(2000)
    desk.give(OrdersListed(99, (row(None, 60, at=desk.now),), full=False))
    # Where every order of ours bears its name, one that came so late without any is another's.
    assert (Cancel(60, gone.client_id) in desk.asked(Cancel)) is not first_tier


def test_rule_11_one_that_is_missed_goes_before_one_that_was_called_absent_long_ago() -> None:
    gone = replace(held(OrderState.ABSENT), changed=START)
    desk = Desk((), restored=Restored(EPOCH, (gone,), {"bid": 0}), exclusive=True)
    desk.wait(2000)
    Desk.quotes = (BID_QUOTE,)
    desk.wait(2)
    place = lost(desk, desk.place())
    answer_look_ups(desk, (row(None, 60, at=desk.now),), 5)
    assert desk.order(place.client_id).venue_ids == (60,)
    assert desk.order(gone.client_id).venue_ids == ()
