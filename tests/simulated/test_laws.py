"""Every law can be broken: each is told of a world in which it is, and of the nearest one in which it is not."""

from decimal import Decimal

import msgspec
import pytest

from runner.model.command import FillBooked, OrderChanged
from runner.model.ids import client_id
from runner.model.order import Fill, Order, OrderState, Role, Side
from runner.model.settings import MILLISECOND, SECOND, Limits
from runner.simulation.laws import LAWS, REPEATED, Account, Laws
from runner.simulation.markets import SANDBOX_MARKETS
from runner.simulation.records import Order as Row
from runner.simulation.records import OrderState as Word
from runner.simulation.records import Trade, Transfer

ROGER = SANDBOX_MARKETS[0]
MARKETS = {ROGER.symbol: ROGER}
NOW = 1_700_000_000 * SECOND
US, THEM = 1, 2
BID, BID_2, ASK = (
    client_id("ABCDEF", 5, slot, generation) for slot, generation in (("bid", 0), ("bid", 1), ("ask", 0))
)
KNOWN = (BID, BID_2, ASK)


def laws(*, exclusive: bool = False, **limits: object) -> Laws:
    return Laws(Account("ABCDEF", US, 30 * SECOND, Limits(**limits), {}, exclusive))  # type: ignore[arg-type]


def row(id_: int, name: str | None = BID, state: Word = Word.WAIT, left: int = 100, after: int = 1) -> Row:
    return Row(
        id=id_,
        member=US,
        market=ROGER,
        side=Side.SELL if name == ASK else Side.BUY,
        ticks=5000,
        lots=100,
        left=left,
        state=state,
        locked=Decimal(0),
        created=NOW + after * SECOND,
        updated=NOW + after * SECOND,
        client_id=name,
    )


def trade(id_: int, of: Row, lots: int = 100) -> Trade:
    other = msgspec.structs.replace(of, id=of.id + 1000, member=THEM, side=of.side.opposite, client_id=None)
    return Trade(id=id_, market=ROGER, ticks=5000, lots=lots, maker=of, taker=other, time=NOW)


def fill(of: Row, trade_id: int, lots: int = 100, fee: str = "0.0025") -> Fill:
    return Fill(
        trade_id=trade_id,
        order_id=of.id,
        client_id=BID,
        market=ROGER.symbol,
        side=of.side,
        ticks=5000,
        lots=lots,
        role=Role.MAKER,
        fee=Decimal(fee),
        fee_currency="ROGER",
        time=NOW,
        traded_at=NOW // SECOND,
        fee_final=True,
    )


def written(name: str, state: OrderState) -> OrderChanged:
    return OrderChanged(
        Order(
            client_id=name,
            slot="bid",
            generation=0,
            market=ROGER.symbol,
            side=Side.BUY,
            ticks=5000,
            lots=100,
            state=state,
            created=NOW,
            changed=NOW,
            event=1,
            sign_before=0,
        )
    )


def with_ids(*ids: int) -> OrderChanged:
    return OrderChanged(msgspec.structs.replace(written(BID, OrderState.OPEN).order, venue_ids=ids))


def sign(each: Laws, name: str, **told: bool) -> None:
    each.signed(name, NOW // MILLISECOND, NOW, **({"in_journal": True, "gate_open": True} | told))


def hear(each: Laws, *records: Row | Trade, nameless: bool = False) -> None:
    for record in records:
        each.heard(record, NOW, KNOWN, nameless=nameless)


def broken(each: Laws) -> list[str]:
    return [violation.law for violation in each.violations]


def test_a_good_life_breaks_nothing() -> None:
    each = laws(max_open_orders=1, max_position={"ROGER": Decimal(2)})
    each.stated = lambda name: 100
    sign(each, BID)
    bid = row(1)
    hear(each, row(1, state=Word.PENDING), bid, trade(1, bid), row(1, state=Word.DONE, left=0))
    each.committed([FillBooked(fill(bid, 1))], NOW)
    sign(each, BID_2)
    hear(each, row(2, BID_2), row(2, BID_2, Word.CANCEL))
    each.cancelling(2, BID_2, NOW, "first", 5)
    each.finished(NOW, 0, None)
    moved = {"ROGER": Decimal("0.9975"), "BTC": Decimal("-0.00005")}
    each.books(NOW, {(1, 1): fill(bid, 1)}, moved, (), MARKETS)
    each.alone(NOW, 0, None)
    assert broken(each) == []
    assert (each.orders, each.fills, each.extras) == (2, 1, 0)


def test_a_name_is_sent_once() -> None:
    each = laws()
    sign(each, BID)
    sign(each, BID)
    assert broken(each) == ["name_once"]


def test_two_rows_under_one_name_are_a_breach_unless_a_proxy_may_have_made_one() -> None:
    each, excused = laws(), laws()
    excused.excuse(BID, "a proxy may repeat it")
    for one in (each, excused):
        sign(one, BID)
        hear(one, row(1), row(2))
    assert broken(each) == ["name_once"]
    assert broken(excused) == []
    assert excused.extras == 1


def test_one_live_order_in_a_slot() -> None:
    each = laws()
    sign(each, BID)
    sign(each, BID_2)
    hear(each, row(1), row(2, BID_2))
    assert broken(each) == ["one_per_slot"]


def test_a_create_is_in_the_journal_before_it_leaves_and_its_gate_is_open() -> None:
    each = laws()
    sign(each, BID, in_journal=False)
    sign(each, ASK, gate_open=False)
    each.decided(BID_2, None, NOW, stopping=True)
    assert broken(each) == ["in_journal", "gate", "gate"]


def test_a_row_that_no_journal_knows() -> None:
    each = laws()
    sign(each, BID)
    each.heard(row(1), NOW, (), nameless=False)
    assert broken(each) == ["in_journal"]


@pytest.mark.parametrize("wrong", [{"lots": 99}, {"trade_id": 2}], ids=str)
def test_a_fill_that_the_venue_does_not_know(wrong: dict[str, int]) -> None:
    each = laws()
    sign(each, BID)
    hear(each, row(1), trade(1, row(1)))
    each.committed([FillBooked(msgspec.structs.replace(fill(row(1), 1), **wrong))], NOW)
    assert broken(each) == ["fill_once"]


@pytest.mark.parametrize(
    ("excused", "bent", "after", "lots", "law"),
    [
        (True, True, 14, 100, []),
        (True, True, 14, 99, ["fill_once"]),
        (True, True, 16, 100, ["others", "fill_once"]),
        (True, False, 0, 100, ["others", "fill_once"]),
        (False, True, 0, 100, ["others", "fill_once"]),
    ],
)
def test_while_names_are_bent_one_that_is_excused_may_be_taken_for_another_of_ours_but_as_it_is(
    *, excused: bool, bent: bool, after: int, lots: int, law: list[str]
) -> None:
    """What another instance creates from a copy of our journal can be shown under the name of an order of ours."""
    each = laws()
    if excused:
        each.rivals_begin(NOW)
    sign(each, BID_2)
    hear(each, row(1, BID_2), trade(1, row(1, BID_2)), nameless=bent)
    link = OrderChanged(msgspec.structs.replace(written(BID, OrderState.OPEN).order, venue_ids=(1,)))
    each.committed([link, FillBooked(msgspec.structs.replace(fill(row(1), 1), lots=lots))], NOW + after * SECOND)
    assert broken(each) == law
    each.committed([link], NOW + 3600 * SECOND)  # what it was taken for stays
    assert broken(each) == law


def test_a_fill_that_the_journal_does_not_know_is_missed_at_the_end() -> None:
    each = laws()
    sign(each, BID)
    hear(each, row(1), trade(1, row(1)))
    each.books(NOW, {}, {}, (), MARKETS)
    assert broken(each) == ["fill_once"]


@pytest.mark.parametrize(
    ("left", "after", "law"),
    [({1}, 9, []), ({1}, 10, ["fill_once"]), ({2}, 9, ["fill_once"]), (None, 9, ["fill_once"])],
)
def test_only_the_last_moments_fill_of_an_order_that_is_left_may_be_unknown(
    left: set[int] | None, after: int, law: list[str]
) -> None:
    each = laws()
    sign(each, BID)
    hear(each, row(1), trade(1, row(1), 50))
    moved = {"ROGER": Decimal("0.49875"), "BTC": Decimal("-0.000025")}
    each.books(NOW + after * SECOND, {}, moved, (), MARKETS, left)
    assert broken(each) == law


@pytest.mark.parametrize(
    ("we_take", "final", "law"),
    [(True, False, []), (True, True, ["books_balance"]), (False, False, ["books_balance"])],
)
def test_only_of_a_self_trades_taker_a_fee_may_stay_untold(*, we_take: bool, final: bool, law: list[str]) -> None:
    each = laws()
    sign(each, BID)
    ours, human = row(5), msgspec.structs.replace(row(1 if we_take else 9, None), side=Side.SELL)
    maker, taker = (human, ours) if we_take else (ours, human)
    itself = Trade(id=1, market=ROGER, ticks=5000, lots=100, maker=maker, taker=taker, time=NOW)
    hear(each, ours, itself)
    booked = msgspec.structs.replace(fill(ours, 1, fee="0.9"), fee_final=final)
    moved = {"ROGER": -itself.fee(ours)[1], "BTC": -itself.fee(human)[1]}
    each.books(NOW, {booked.key: booked}, moved, (), MARKETS)
    assert broken(each) == law


@pytest.mark.parametrize(
    ("fee", "deposited", "law"),
    [("0.0025", "7", []), ("0.0024", "7", ["books_balance"]), ("0.0025", "8", ["books_balance"])],
)
def test_books_balance_to_the_last_digit(fee: str, deposited: str, law: list[str]) -> None:
    each = laws()
    sign(each, BID)
    human = row(9, None)
    hear(each, row(1), trade(1, row(1)), trade(2, human, 50))
    transfers = [Transfer(1, US, "ROGER", Decimal(deposited), NOW)]
    moved = {"ROGER": Decimal(7) + Decimal("0.9975") + Decimal("0.49875"), "BTC": Decimal("-0.000075")}
    each.books(NOW, {(1, 1): fill(row(1), 1, fee=fee)}, moved, transfers, MARKETS)
    assert broken(each) == law


def test_the_engine_counts_what_an_order_may_still_do() -> None:
    each = laws()
    each.stated = lambda name: 99
    sign(each, BID)
    hear(each, row(1))
    assert broken(each) == ["worst_case"]


def test_limits_bind_what_may_come_to_be_on_each_side() -> None:
    open_orders, position = laws(max_open_orders=1), laws(max_position={"ROGER": Decimal("1.9")})
    for each in (open_orders, position):
        sign(each, BID)
        sign(each, ASK)
        hear(each, row(1), row(2, ASK))
    assert broken(open_orders) == ["limits"]
    assert broken(position) == []  # a buy and a sell are never netted, and each stays within
    hear(position, trade(1, row(1)), row(1, state=Word.DONE, left=0))
    sign(position, BID_2)
    hear(position, row(3, BID_2))
    assert broken(position) == ["limits"]


def test_a_parents_total_holds_over_all_its_orders() -> None:
    each = laws()
    for name, id_ in ((BID, 1), (ASK, 2)):
        each.decided(name, ("twap", 150), NOW, stopping=False)
        sign(each, name)
        hear(each, row(id_, name))
    assert broken(each) == ["parent_total"]


@pytest.mark.parametrize(("after", "law"), [(34, ["absent"]), (36, [])], ids=["within D", "later than D"])
def test_an_absent_order_never_comes_to_be(after: int, law: list[str]) -> None:
    each = laws()
    sign(each, BID)
    each.committed([written(BID, OrderState.ABSENT)], NOW)
    hear(each, row(1, after=after))
    assert broken(each) == law


def test_a_late_order_still_has_room_in_every_limit_for_ten_minutes_after_its_verdict() -> None:
    for heard_after, law in ((599, ["worst_case"]), (600, [])):
        each = laws()
        each.stated = lambda name: 0
        sign(each, BID)
        each.committed([written(BID, OrderState.ABSENT)], NOW)
        each.heard(row(1, after=heard_after), NOW + heard_after * SECOND, KNOWN, nameless=False)
        assert broken(each) == law


def test_an_order_that_is_there_is_not_absent() -> None:
    each = laws()
    sign(each, BID)
    hear(each, row(1))
    each.committed([written(BID, OrderState.ABSENT)], NOW)
    assert broken(each) == ["absent"]


@pytest.mark.parametrize(
    ("exit_code", "left", "law"), [(0, None, ["clean_exit"]), (0, {1}, []), (0, {2}, ["clean_exit"]), (7, None, [])]
)
def test_exit_0_leaves_nothing_or_what_it_listed(exit_code: int, left: set[int] | None, law: list[str]) -> None:
    each = laws()
    sign(each, BID)
    hear(each, row(1))
    each.finished(NOW + 60 * SECOND, exit_code, left)
    assert broken(each) == law


def test_nothing_of_ours_comes_to_be_within_the_day_after_exit_0() -> None:
    each = laws()
    sign(each, BID)
    each.finished(NOW, 0, None)
    hear(each, row(1))
    each.alone(NOW, 0, None)
    assert broken(each) == ["clean_exit"]


@pytest.mark.parametrize(
    ("rows", "after", "law"),
    [
        ((row(1),), 60, ["clean_exit"]),
        ((row(1, state=Word.PENDING),), 60, []),
        ((row(1, state=Word.CANCEL),), 60, ["clean_exit"]),  # and the journal has it open
        ((row(1, state=Word.CANCEL),), 20, []),
        ((row(1), row(2)), 60, ["name_once", "clean_exit"]),
        ((row(1), row(2)), 40, []),  # repeated so late that nobody has to know
    ],
)
def test_in_good_weather_all_that_went_wrong_is_put_right(rows: tuple[Row, ...], after: int, law: list[str]) -> None:
    for calm in (True, False):
        each = laws()
        sign(each, BID)
        each.excuse(BID, REPEATED)
        hear(each, *rows)
        each.committed([with_ids(1)], NOW)
        if calm:
            each.calmed(NOW + after * SECOND)
        each.finished(NOW + after * SECOND, 7, None)
        assert broken(each) == (law if calm else [])


def test_a_repeated_order_is_counted_in_full_once_the_journal_has_its_copies() -> None:
    for stated, law in ((200, []), (199, ["worst_case"])):
        each = laws()
        each.stated = lambda name, lots=stated: lots
        sign(each, BID)
        each.excuse(BID, REPEATED)
        hear(each, row(1), row(2))
        each.committed([with_ids(1)], NOW)
        assert broken(each) == []
        each.committed([with_ids(1, 2)], NOW)
        assert broken(each) == law


def test_an_order_keeps_all_its_numbers() -> None:
    for second, law in ((with_ids(1, 2), []), (with_ids(2), ["in_journal"])):
        each = laws()
        sign(each, BID)
        each.excuse(BID, REPEATED)
        hear(each, row(1), row(2))
        each.committed([with_ids(1)], NOW)
        each.committed([second], NOW)
        assert broken(each) == law


@pytest.mark.parametrize("bears", [None, "someone-1", client_id("ZZZZZZ", 5, "bid", 0)])
def test_nobody_elses_order_is_touched(bears: str | None) -> None:
    each = laws()
    each.cancelling(9, bears, NOW, "first", 5)
    assert broken(each) == ["others"]


def test_an_order_that_bears_another_name_is_not_taken_for_ours() -> None:
    for order_id, law in ((1, []), (2, ["others"]), (9, ["others"])):
        each = laws()
        for id_, name in ((1, BID), (2, ASK), (9, None)):
            hear(each, row(id_, name))
        written_down = written(BID, OrderState.OPEN).order
        each.committed([OrderChanged(msgspec.structs.replace(written_down, venue_ids=(order_id,)))], NOW)
        assert broken(each) == law


@pytest.mark.parametrize(
    ("exclusive", "bears", "lots", "law"),
    [(True, None, 100, []), (False, None, 100, ["others"]), (True, "x", 100, ["others"]), (True, None, 1, ["others"])],
    ids=["declared", "shared", "named", "another"],
)
def test_only_where_the_account_is_declared_to_be_ours_a_nameless_order_like_ours_may_be_taken_for_it(
    exclusive: bool, bears: str | None, lots: int, law: list[str]
) -> None:
    each = laws(exclusive=exclusive)
    sign(each, BID)
    theirs = msgspec.structs.replace(row(9, bears), lots=lots)
    hear(each, row(1), theirs, trade(4, theirs, lots))
    each.cancelling(9, bears, NOW, "first", 5)
    assert broken(each) == law
    each.committed([FillBooked(fill(theirs, 4, lots))], NOW)
    assert broken(each) == ([*law, "fill_once"] if law else [])


def test_the_other_instances_orders_are_left_alone_unless_its_journal_is_ours() -> None:
    each = laws()
    each.rivals_begin(NOW)
    each.signed(BID, 1, NOW, in_journal=True, gate_open=True, sender="second")
    each.cancelling(1, BID, NOW, "first", 5)
    assert broken(each) == []
    each.cancelling(1, BID, NOW, "first", 6)
    assert broken(each) == ["others"]


@pytest.mark.parametrize(("seconds", "law"), [(100, ["others"]), (120, [])])
def test_an_order_that_did_not_move_for_two_minutes_may_be_taken_over(seconds: int, law: list[str]) -> None:
    each = laws()
    each.rivals_begin(NOW)
    each.signed(BID, 1, NOW, in_journal=True, gate_open=True, sender="second")
    hear(each, row(1))
    each.cancelling(1, BID, NOW + seconds * SECOND, "first", 6)
    assert broken(each) == law


def test_a_lost_journal_excuses_what_it_knew() -> None:
    each = laws()
    sign(each, BID)
    each.lost_memory({})
    sign(each, BID)
    hear(each, row(1))
    assert broken(each) == []


def test_a_journal_that_gave_a_name_to_another_intent_has_lost_the_order() -> None:
    """Intended in one copy of the journal and never sent; intended again and sent by a run on an older copy."""
    never_sent, intended = written(BID, OrderState.INTENDED).order, written(BID, OrderState.INTENDED).order
    never_sent = msgspec.structs.replace(never_sent, created=NOW - 60 * SECOND)
    for remembered, breaches in ((never_sent, []), (intended, ["absent"])):
        each = laws()
        each.committed([OrderChanged(intended)], NOW)
        sign(each, BID)
        hear(each, row(1))
        each.lost_memory({BID: remembered})
        each.committed([OrderChanged(msgspec.structs.replace(remembered, state=OrderState.ABSENT))], NOW)
        assert broken(each) == breaches


def test_a_verdict_that_the_journal_lost_binds_nobody() -> None:
    absent = written(BID, OrderState.ABSENT)
    for remembered, breaches in (({}, []), ({BID: absent.order}, ["absent"])):
        each = laws()
        each.committed([absent], NOW)  # of an intent that never was sent
        each.lost_memory(remembered)
        sign(each, BID)
        hear(each, row(1))
        assert broken(each) == breaches


@pytest.mark.parametrize(("rebuilt", "law"), [(False, []), (True, ["fill_once", "books_balance"])])
def test_a_journal_that_says_it_found_what_was_before_is_held_to_it(rebuilt: bool, law: list[str]) -> None:
    each = laws()
    sign(each, BID)
    ours = row(1, state=Word.DONE, left=0)
    hear(each, ours)
    each.heard(trade(7, ours), NOW, KNOWN, nameless=False)
    each.lost_memory({})
    if rebuilt:
        each.rebuilt()
    each.books(NOW, {}, {"ROGER": Decimal(9)}, (), MARKETS)
    assert broken(each) == law


@pytest.mark.parametrize(
    ("held", "left", "law"),
    [(1, 100, []), (0, 100, ["reducing"]), (-1, 100, ["reducing"]), (1, 101, ["reducing"]), (2, 101, [])],
)
def test_what_is_left_to_reduce_a_position_cannot_open_one(held: int, left: int, law: list[str]) -> None:
    position = {"ROGER": Decimal(held)}
    each = Laws(Account("ABCDEF", US, 30 * SECOND, Limits(), position, only_reducing=True))
    sign(each, ASK)
    hear(each, row(1, ASK, left=left))
    each.finished(NOW + 60 * SECOND, 0, {1})
    assert broken(each) == law


def test_every_law_has_a_sentence_and_a_breach_is_said_once() -> None:
    each = laws()
    for law in LAWS:
        each.failed(law, NOW, "a", "b")
        each.failed(law, NOW, "a", "b")
    assert broken(each) == list(LAWS)
