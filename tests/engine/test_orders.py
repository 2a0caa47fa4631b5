"""The life of orders: what a restart must find again. Single laws; interleavings are the explorer's."""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from runner.engine.effects import Effects
from runner.engine.funds import Funds
from runner.engine.ledger import Ledger
from runner.engine.orders import ABSENT_COUNTS, NONCE_WINDOW, Orders
from runner.model.ids import client_id
from runner.model.market import Market
from runner.model.order import Order, OrderRow, OrderState, Side
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


def orders(now: int = NOW) -> Orders:
    markets = {ROGER.symbol: ROGER}
    return Orders(TAG, EPOCH, SETTLE, markets, Ledger(markets, {}), Funds(), now)


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
