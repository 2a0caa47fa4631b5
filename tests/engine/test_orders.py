"""The life of orders: what a restart must find again. Single laws; interleavings are the explorer's."""

from collections.abc import Sequence
from decimal import Decimal

import pytest
from msgspec.structs import replace

from runner.engine.effects import Effects
from runner.engine.funds import Funds
from runner.engine.ledger import Ledger
from runner.engine.orders import ABSENT_COUNTS, NONCE_WINDOW, Orders
from runner.model.ids import client_id
from runner.model.market import Market
from runner.model.order import Fill, Order, OrderRow, OrderState, Role, Side, TradeRow
from runner.model.settings import MILLISECOND, SECOND

NOW = 1_700_000_000 * SECOND
SETTLE = 30 * SECOND
TAG, EPOCH = "ORDERS", 28_333_333
ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)


def orders(now: int = NOW, fills: Sequence[Fill] = ()) -> Orders:
    markets = {ROGER.symbol: ROGER}
    ledger = Ledger(markets, {})
    for fill in fills:
        ledger.book(fill)
    return Orders(TAG, EPOCH, SETTLE, markets, ledger, Funds(), now)


def order(state: OrderState, **fields: object) -> Order:
    plain = Order(
        client_id=client_id(TAG, EPOCH, "a", 0),
        slot="a",
        generation=0,
        market=ROGER.symbol,
        side=Side.BUY,
        ticks=4000,
        lots=200,
        state=state,
        created=NOW - 20 * SECOND,
        changed=NOW - 10 * SECOND,
        event=1,
        sign_before=0,
    )
    return replace(plain, **fields)


def row(of: Order, order_id: int, state: str, executed: int = 0) -> OrderRow:
    return OrderRow(
        id=order_id,
        market=of.market,
        side=of.side,
        state=state,
        ticks=of.ticks,
        origin_lots=of.lots,
        remaining_lots=of.lots - executed,
        executed_lots=executed,
        created_at=0,
        updated_at=0,
        client_id=of.client_id,
    )


def fill(of: Order, trade_id: int, order_id: int, lots: int) -> Fill:
    return Fill(
        trade_id=trade_id,
        order_id=order_id,
        client_id=of.client_id,
        market=of.market,
        side=of.side,
        ticks=4000,
        lots=lots,
        role=Role.MAKER,
        fee=Decimal(0),
        fee_currency="ROGER",
        time=NOW,
        traded_at=NOW // SECOND,
    )


@pytest.mark.parametrize("ids", [(7,), (7, 9)])
@pytest.mark.parametrize(
    ("state", "word", "executed"),
    [(OrderState.FILLED, "done", 200), (OrderState.CANCELLED, "cancel", 50), (OrderState.REJECTED, "reject", 0)],
)
def test_an_order_that_ended_before_a_restart_may_be_listed_after_it(
    ids: tuple[int, ...], state: OrderState, word: str, executed: int
) -> None:
    ended = order(state, venue_ids=ids, executed_lots=executed * len(ids), filled_lots=executed * len(ids))
    each, out = orders(), Effects()
    each.restore([ended], {"a": 0}, NOW, out)
    for order_id in ids:
        assert each.row(row(ended, order_id, word, executed), NOW + SECOND, out) is None
    assert each.get(ended.client_id) == ended
    assert out.changes == []


@pytest.mark.parametrize("word", ["done", "cancel"])
def test_a_row_of_an_order_that_ended_long_ago_and_is_forgotten_is_no_late_order(word: str) -> None:
    """A venue that ignores filters lists it with everything else."""
    old = order(OrderState.FILLED)
    each, out = orders(fills=[fill(old, 1, 7, 50), fill(old, 2, 7, 150)]), Effects()
    each.restore([], {"a": 0}, NOW, out)
    assert each.row(row(old, 7, word, 200), NOW, out) is None
    assert each.get(old.client_id) is None
    assert out.changes == []


@pytest.mark.parametrize("executed", [0, 80])
def test_a_copy_of_a_forgotten_order_ends_with_its_own_fills(executed: int) -> None:
    old = order(OrderState.FILLED)
    each, out = orders(fills=[fill(old, 1, 7, 200)]), Effects()
    each.restore([], {"a": 0}, NOW, out)
    adoption = each.row(row(old, 9, "wait"), NOW, out)
    assert adoption is not None
    assert adoption.why == "late"
    if executed:
        match = TradeRow(
            id=2,
            market=old.market,
            ticks=4000,
            lots=executed,
            side=old.side,
            taker_side=old.side.opposite,
            created_at=NOW // SECOND,
            order_id=9,
        )
        each.trade(match, NOW, out)
    each.row(row(old, 9, "cancel", executed), NOW, out)
    ended = each.get(old.client_id)
    assert ended is not None
    assert (ended.state, ended.venue_ids) == (OrderState.CANCELLED, (7, 9))
    assert ended.filled_lots == ended.executed_lots == 200 + executed


def test_a_late_page_of_an_order_that_ended_before_a_restart_does_not_revive_it() -> None:
    ended = order(OrderState.CANCELLED, venue_ids=(7,))
    each, out = orders(), Effects()
    each.restore([ended], {"a": 0}, NOW, out)
    each.row(row(ended, 7, "wait"), NOW + SECOND, out)
    assert each.get(ended.client_id) == ended


@pytest.mark.parametrize(
    ("state", "nonce", "counts_for"),
    [
        (OrderState.ABSENT, NOW // MILLISECOND, ABSENT_COUNTS),
        (OrderState.REJECTED, NOW // MILLISECOND, NONCE_WINDOW + SETTLE),
        (OrderState.REJECTED, None, 0),  # not a byte of it left
        (OrderState.CANCELLED, NOW // MILLISECOND, 0),
    ],
)
def test_what_a_late_copy_could_do_outlives_a_restart(state: OrderState, nonce: int | None, counts_for: int) -> None:
    ended = order(state, nonce=nonce)
    until = ended.changed + counts_for
    each = orders()
    each.restore([ended], {"a": 0}, NOW, Effects())
    assert bool(each.may_exist(NOW)) is (until > NOW)
    assert not counts_for or each.may_exist(until - 1)
    assert not each.may_exist(max(until, NOW))


EARLIER, LATER = (client_id(TAG, EPOCH, "a", generation) for generation in (1, 36))  # `...-A-1` and `...-A-10`
GENERATIONS = {"a": 36}


def later(state: OrderState, **fields: object) -> Order:
    return order(state, client_id=LATER, generation=36, id_floor=5, **fields)


def cut(order_id: int, state: str = "wait", executed: int = 0) -> OrderRow:
    """A row of the later order whose name has lost its last character."""
    return replace(row(later(OrderState.UNKNOWN), order_id, state, executed), client_id=EARLIER)


@pytest.mark.parametrize("remembers_earlier", [True, False])
def test_a_cut_name_that_is_an_earlier_orders_whole_name_gives_it_no_order(*, remembers_earlier: bool) -> None:
    earlier = order(OrderState.FILLED, client_id=EARLIER, generation=1, venue_ids=(3,))
    each, out = orders(), Effects()
    each.restore([*([earlier] if remembers_earlier else []), later(OrderState.UNKNOWN)], GENERATIONS, NOW, out)
    assert each.row(cut(7), NOW, out) is None
    assert each._copies.name_of(7) is None
    each.row(row(later(OrderState.UNKNOWN), 7, "wait"), NOW, out)  # with the whole name it is itself
    found = each.get(LATER)
    assert found is not None
    assert (found.state, found.venue_ids) == (OrderState.OPEN, (7,))


@pytest.mark.parametrize("state", [OrderState.OPEN, OrderState.FILLED, OrderState.ABSENT])
def test_under_a_cut_name_a_copy_of_an_order_that_is_known_is_its_own(state: OrderState) -> None:
    ids = () if state is OrderState.ABSENT else (7,)
    each, out = orders(), Effects()
    each.restore([later(state, venue_ids=ids)], GENERATIONS, NOW, out)
    assert each.row(cut(8), NOW, out) is None
    found = each.get(LATER)
    assert found is not None
    assert found.venue_ids == (*ids, 8)
    assert each.cancels
    assert each.get(EARLIER) is None


@pytest.mark.parametrize("adopted", [False, True])
def test_a_row_from_before_the_later_order_keeps_its_name(*, adopted: bool) -> None:
    each, out = orders(), Effects()
    if adopted:
        each.restore([], GENERATIONS, NOW, out)
        each.row(row(later(OrderState.UNKNOWN), 7, "wait"), NOW, out)
    else:
        each.restore([later(OrderState.UNKNOWN)], GENERATIONS, NOW, out)
    adopted = each.row(cut(4), NOW, out)
    assert adopted is not None
    assert (adopted.order.client_id, adopted.why) == (EARLIER, "late")


def test_names_of_two_slots_are_not_taken_for_each_other() -> None:
    """`...-A-1` is the whole name of an order in slot `a`, and the beginning of one in slot `a-1`."""
    one = order(OrderState.UNKNOWN, client_id=EARLIER, generation=1)
    other = order(OrderState.UNKNOWN, client_id=client_id(TAG, EPOCH, "a-1", 2), slot="a-1", generation=2)
    each, out = orders(), Effects()
    each.restore([one, other], {"a": 1, "a-1": 2}, NOW, out)
    each.row(row(one, 7, "wait"), NOW, out)
    found = each.get(EARLIER)
    assert found is not None
    assert found.venue_ids == (7,)


def test_a_restart_remembers_how_high_the_venues_ids_were() -> None:
    each = orders()
    each.restore([order(OrderState.FILLED, venue_ids=(7, 9), id_floor=5)], {"a": 0}, NOW, Effects())
    assert each.highest_id == 9
