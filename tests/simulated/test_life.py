"""Single moments of an order's life and of a run's, each provoked on purpose."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
import pytest

from runner.engine.strategy import Decision, Field, State, Strategy
from runner.engine.view import View
from runner.model.command import Cancel, Note, Place, Resubscribe
from runner.model.event import (
    Accepted,
    BookGap,
    JournalFailed,
    OrderNews,
    OrdersListed,
    StreamDown,
    TradeNews,
    Unknown,
    Wake,
    What,
)
from runner.model.ids import client_id
from runner.model.order import Order, OrderRow, OrderState, Quote, Side, TradeRow
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import Faults, World

CALM = Faults(latency=(0.01, 0.01))


class Far(Strategy, frozen=True):
    """One bid and one ask so far away that nobody hits them; the first tick's prices for ever."""

    away: Annotated[float, Field("part of mid", min="0.01", max="0.9")] = 0.2

    def slots(self) -> Sequence[str]:
        return ("bid", "ask")

    def tick(self, view: View, state: State) -> Decision:
        assert isinstance(state, Prices)
        mid = view.book.mid
        if not state.bid and mid is not None:
            state = Prices(round(mid * (1 - self.away), 8), round(mid * (1 + self.away), 8))
        quotes = (Quote("bid", Side.BUY, state.bid, 100), Quote("ask", Side.SELL, state.ask, 100))
        return Decision(quotes, state, "far away")

    def initial_state(self) -> State:
        return Prices()


class Prices(State, frozen=True):
    bid: float = 0.0
    ask: float = 0.0


class Raises(Far, frozen=True):
    """Quotes twice, then fails."""

    def tick(self, view: View, state: State) -> Decision:
        if view.orders:
            raise ZeroDivisionError("half of nothing")
        return super().tick(view, state)


class BuyOnce(Far, frozen=True):
    """One market order, wanted at every tick."""

    def tick(self, view: View, state: State) -> Decision:
        return Decision((Quote("bid", Side.BUY, "market", 3000),), state, "buy")


class NotANumber(Far, frozen=True):
    def tick(self, view: View, state: State) -> Decision:
        return Decision((Quote("bid", Side.BUY, float("nan"), 1),), state, "?")


def world(
    strategy: type[Strategy] = Far, *, on_stop: str = "cancel", once: bool = False, book_age: int = 15 * SECOND
) -> World:
    settings = Settings(
        name="life",
        tag="LIFEAA",
        markets=("ROGER-BTC",),
        strategy="far",
        tick=TickPolicy(every=SECOND),
        limits=Limits(max_book_age=book_age),
        on_stop="leave" if on_stop == "leave" else "cancel",
        once=once,
    )
    return World("life", settings, strategy, CALM)


def notes(each: World) -> list[Note]:
    return [note for output in each.outputs for note in output.notes]


def said(each: World, what: str) -> list[Note]:
    return [note for note in notes(each) if note.what == what]


def places(each: World) -> list[Place]:
    return [command for output in each.outputs for command in output.commands if isinstance(command, Place)]


def give(each: World, what: What) -> None:
    each.deliver(what)


def order_in(each: World, slot: str) -> Order:
    return next(order for order in each.engine.account.orders.live() if order.slot == slot)


def test_quotes_that_are_still_wanted_are_never_touched() -> None:
    each = world()
    each.run_for(120)
    assert len(places(each)) == 2
    assert [order.state for order in each.engine.account.orders.live()] == [OrderState.OPEN] * 2


def test_a_strategy_that_raises_ends_the_run_with_its_file_and_line_and_leaves_nothing() -> None:
    each = world(Raises)
    each.run_for(60)
    assert each.finish is not None
    assert each.finish.exit_code == 1
    assert "test_life.py:" in each.finish.reason
    assert "half of nothing" in each.finish.reason
    assert len(places(each)) == 2
    assert {row["state"] for row in each.venue_orders().values()} == {"cancel"}


def test_nan_is_a_mistake_of_the_strategy_and_sends_nothing() -> None:
    each = world(NotANumber)
    each.run_for(60)
    assert each.finish is not None
    assert each.finish.exit_code == 1
    assert "'bid'" in each.finish.reason
    assert places(each) == []


def test_a_market_order_is_followed_to_its_end_and_never_repeated() -> None:
    each = world(BuyOnce)
    each.run_for(60)
    assert len(places(each)) == 1
    (row,) = each.venue_orders().values()
    assert (row["ord_type"], row["state"], row["price"]) == ("market", "done", None)
    order = each.journal.orders[places(each)[0].client_id]
    assert order.state is OrderState.FILLED
    assert order.filled_lots == 300_000
    assert each.engine.account.orders.used_slots == {"bid"}


def test_a_gap_asks_for_a_snapshot_and_no_tick_runs_on_a_broken_book() -> None:
    each = world()
    each.run_for(10)
    ticks = each.engine.ticks
    give(each, BookGap("ROGER-BTC", "test"))
    assert Resubscribe("ROGER-BTC") in each.outputs[-1].commands
    give(each, Wake())
    assert each.engine.ticks == ticks
    each.run_for(10)
    assert each.engine.ticks > ticks + 5
    assert len(places(each)) == 2  # a short gap costs nobody a place in the queue


def test_orders_do_not_rest_against_a_book_nobody_hears_of() -> None:
    each = world(book_age=5 * SECOND)
    each.run_for(10)
    each.pause("public")
    each.run_for(4)
    assert len(list(each.engine.account.orders.live())) == 2
    each.run_for(4)
    assert list(each.engine.account.orders.live()) == []
    each.resume("public")
    each.run_for(10)
    assert len(list(each.engine.account.orders.live())) == 2


def test_news_of_the_fill_and_of_the_end_before_the_answer_to_the_create() -> None:
    """The stream overtakes the answer: what it said of an unknown id is kept until the answer names it."""
    each = world()
    while not places(each):
        each.run_for(0.001)
    place = places(each)[0]
    row = OrderRow(
        id=900_001,
        market=place.market,
        side=place.side,
        state="done",
        ticks=place.ticks,
        origin_lots=place.lots,
        remaining_lots=0,
        executed_lots=place.lots,
        created_at=each.now // SECOND,
        updated_at=each.now // SECOND,
    )
    trade = TradeRow(
        id=700_001,
        order_id=row.id,
        market=row.market,
        side=row.side,
        ticks=place.ticks or 0,
        lots=place.lots,
        taker_side=row.side.opposite,
        created_at=row.created_at,
    )
    give(each, TradeNews(trade))
    give(each, OrderNews(row))
    assert each.engine.account.ledger.count == 0
    pending = msgspec.structs.replace(row, state="pending", remaining_lots=place.lots, executed_lots=0)
    give(each, Accepted(place.client_id, pending))
    order = each.engine.account.orders.get(place.client_id)
    assert order is not None
    assert order.state is OrderState.FILLED
    assert each.engine.account.ledger.count == 1
    give(each, TradeNews(trade))
    give(each, OrderNews(row))
    assert each.engine.account.ledger.count == 1


def test_a_second_order_under_one_client_id_is_counted_and_cancelled() -> None:
    """A proxy repeated the create: the venue does not de-duplicate."""
    each = world()
    each.run_for(5)
    order = order_in(each, "bid")
    copy = OrderRow(
        id=900_002,
        market=order.market,
        side=order.side,
        state="wait",
        ticks=order.ticks,
        origin_lots=order.lots,
        remaining_lots=order.lots,
        executed_lots=0,
        created_at=each.now // SECOND,
        updated_at=each.now // SECOND,
        client_id=order.client_id,
    )
    give(each, OrderNews(copy))
    assert order_in(each, "bid").remaining_lots == 2 * order.lots
    cancels = {command.order_id for command in each.outputs[-1].commands if isinstance(command, Cancel)}
    assert cancels == {order.venue_ids[0], copy.id}
    assert said(each, "order.duplicate")


def test_an_order_of_our_tag_that_ended_for_us_and_turns_up_is_adopted_and_cancelled() -> None:
    each = world()
    each.run_for(5)
    order = order_in(each, "bid")
    late = OrderRow(
        id=900_003,
        market=order.market,
        side=order.side,
        state="wait",
        ticks=order.ticks,
        origin_lots=order.lots,
        remaining_lots=order.lots,
        executed_lots=0,
        created_at=each.now // SECOND - 100,
        updated_at=each.now // SECOND,
        client_id=client_id("LIFEAA", each.journal.epoch, "old", 0),
    )
    each.engine.account.orders._generations["old"] = 3
    give(each, OrderNews(late))
    assert Cancel(late.id, late.client_id or "") in each.outputs[-1].commands
    assert said(each, "order.adopted")[0].facts["why"] == "late"


@pytest.mark.parametrize(
    ("epoch_off", "generation", "exit_code"),
    [(0, 40, 7), (-10, 0, 8)],
    ids=["stale journal", "another instance"],
)
def test_a_name_of_ours_that_we_did_not_give_stops_the_run(epoch_off: int, generation: int, exit_code: int) -> None:
    each = world()
    each.run_for(5)
    order = order_in(each, "bid")
    row = OrderRow(
        id=900_004,
        market=order.market,
        side=order.side,
        state="done",
        ticks=order.ticks,
        origin_lots=order.lots,
        remaining_lots=0,
        executed_lots=0,
        created_at=each.now // SECOND,
        updated_at=each.now // SECOND,
        client_id=client_id("LIFEAA", each.journal.epoch + epoch_off, "bid", generation),
    )
    give(each, OrderNews(msgspec.structs.replace(row, state="wait", remaining_lots=order.lots)))
    give(each, OrderNews(msgspec.structs.replace(row, state="cancel", remaining_lots=order.lots)))
    each.run_for(60)
    assert each.finish is not None
    assert each.finish.exit_code == exit_code


def test_a_journal_that_cannot_be_written_stops_the_run_with_seven() -> None:
    each = world()
    each.run_for(5)
    give(each, JournalFailed("disk full"))
    each.run_for(60)
    assert each.finish is not None
    assert each.finish.exit_code == 7
    assert {row["state"] for row in each.venue_orders().values()} == {"cancel"}


def test_once_is_one_tick_and_what_it_wants_rests() -> None:
    each = world(once=True, on_stop="leave")
    each.run_for(30)
    assert each.finish is not None
    assert each.finish.exit_code == 0
    assert each.engine.ticks == 1
    assert [row["state"] for row in each.venue_orders().values()] == ["wait", "wait"]
    each.start()
    each.run_for(30)
    assert each.finish is not None
    assert places(each) == []  # it found what rests, and wants nothing else
    assert len(each.venue_orders()) == 2


def test_a_stop_voids_what_was_not_signed_and_leaves_nothing() -> None:
    each = world()
    each.run_for(0.1)
    while not places(each):
        each.run_for(0.01)
    each.stop()
    each.run_for(60)
    assert each.finish is not None
    assert each.finish.exit_code == 0
    assert each.venue_orders() == {}
    assert {order.state for order in each.journal.orders.values()} == {OrderState.REJECTED}


def test_without_an_answer_the_slot_stays_occupied_until_the_order_is_found() -> None:
    each = world()
    while not places(each):
        each.run_for(0.01)
    place = places(each)[0]
    each.deaf = {place.client_id}
    each.run_for(1)
    give(each, Unknown(place.client_id, "no answer"))
    assert order_in(each, "bid" if place.side is Side.BUY else "ask").state is OrderState.UNKNOWN
    assert len(places(each)) == 2
    each.deaf = set()
    each.run_for(10)
    assert [order.state for order in each.engine.account.orders.live()] == [OrderState.OPEN] * 2
    assert len(each.venue_orders()) == 2


@pytest.mark.slow
def test_absence_is_not_believed_where_the_nonce_window_is_not_proven() -> None:
    each = world()
    each.engine_probe = False
    each.start()
    while not places(each):
        each.run_for(0.01)
    place = places(each)[0]
    each.lost = {place.client_id}
    each.run_for(400)
    order = each.engine.account.orders.get(place.client_id)
    assert order is not None
    assert order.state is OrderState.UNKNOWN


@pytest.mark.slow
def test_absence_is_proven_by_two_listings_after_the_last_moment_it_could_come() -> None:
    each = world()
    while not places(each):
        each.run_for(0.01)
    place = places(each)[0]
    each.lost = {place.client_id}
    each.run_for(150)
    order = each.engine.account.orders.get(place.client_id)
    assert order is not None
    assert order.state is OrderState.ABSENT
    proof = next(
        event
        for event, output in zip(each.log, each.outputs, strict=True)
        if any(note.what == "order.absent" for note in output.notes)
    )
    assert isinstance(proof.what, OrdersListed)
    assert proof.time > place.sign_before * 1_000_000 + 35 * SECOND
    assert any(
        order.slot == ("bid" if place.side is Side.BUY else "ask") for order in each.engine.account.orders.live()
    )


def test_no_new_order_while_the_private_stream_is_down() -> None:
    each = world()
    each.run_for(5)
    each.drop("private")
    ticks = each.engine.ticks
    assert isinstance(each.log[-1].what, StreamDown)
    give(each, Wake())
    assert each.engine.ticks == ticks
    each.run_for(5)
    assert each.engine.ticks > ticks


def test_a_quiet_market_is_not_a_frozen_one() -> None:
    """The book does not move, the venue's tickers come every five seconds: orders stay, ticks go on."""
    each = world(book_age=8 * SECOND)
    each.run_for(10)
    each.still = True
    ticks = each.engine.ticks
    each.run_for(60)
    assert each.engine.ticks > ticks + 50
    assert len(places(each)) == 2


def test_leaving_orders_that_the_venue_does_not_list_is_not_a_clean_stop() -> None:
    """The venue forgot them (a sandbox that was opened anew): nobody can say what became of them."""
    each = world(on_stop="leave")
    each.run_for(5)
    each.forgets_listings = True
    each.stop()
    each.run_for(60)
    assert each.finish is not None
    assert each.finish.exit_code == 7


def test_an_order_that_ended_before_the_restart_is_listed_and_changes_nothing() -> None:
    """It is restored as a tombstone, and every look-up's listing shows it: as it ended, or as it was before."""
    each = world()
    each.run_for(5)
    order = order_in(each, "bid")
    each.engine.account.orders.want_gone(order, "test", each.now)
    each.run_for(2)
    ended = each.journal.orders[order.client_id]
    assert ended.state is OrderState.CANCELLED
    each.crash()
    each.run_for(5)
    for state in ("cancel", "wait"):
        row = OrderRow(
            id=ended.venue_ids[0],
            market=ended.market,
            side=ended.side,
            state=state,
            ticks=ended.ticks,
            origin_lots=ended.lots,
            remaining_lots=ended.lots,
            executed_lots=0,
            created_at=each.now // SECOND,
            updated_at=each.now // SECOND,
            client_id=ended.client_id,
        )
        give(each, OrderNews(row))
        assert each.journal.orders[order.client_id] == ended


@pytest.mark.slow
def test_an_absent_order_counts_in_every_limit_for_ten_minutes_also_after_a_restart() -> None:
    each = world()
    while not places(each):
        each.run_for(0.01)
    name = places(each)[0].client_id
    each.lost = {name}
    each.run_for(150)
    assert each.journal.orders[name].state is OrderState.ABSENT
    absent_at = each.journal.orders[name].changed
    each.crash()
    each.run_for(5)
    orders = each.engine.account.orders
    assert name in {order.client_id for order in orders.may_exist(absent_at + 600 * SECOND - 1)}
    assert name not in {order.client_id for order in orders.may_exist(absent_at + 600 * SECOND)}
