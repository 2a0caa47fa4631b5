"""The story of one order, from rows of a journal."""

from decimal import Decimal
from typing import Any

from msgspec import Struct

from runner.model.order import Fill, Order, OrderState, Role, Side
from runner.report.explain import explained

NOON = 1_700_000_000 * 10**9
GRIDS = {"ROGER-BTC": (8, 2), "BTC-USDT": (2, 6)}
NAME = "R36T2SIHTFID-BID-1-0"


class Row(Struct, frozen=True, kw_only=True):
    """A step or a note."""

    time: int
    event: int = 1
    run: str | None = "run-1"
    state: OrderState = OrderState.OPEN
    filled_lots: int = 0
    reason: str = ""
    what: str = ""
    facts: dict[str, Any] = {}


def order(market: str = "ROGER-BTC", **fields: Any) -> Order:
    values = {"ticks": 5000, "state": OrderState.OPEN, "event": 7, "sign_before": 0, "venue_ids": (12,), **fields}
    where = {"client_id": NAME, "slot": "bid-1", "generation": 0, "market": market, "side": Side.BUY, "lots": 10_000}
    return Order(**where, created=NOON, changed=NOON, **values)


def told(
    which: Order, *rows: Row, decision: dict[str, Any] | None = None, notes: tuple[Row, ...] = (), **more: Any
) -> list[str]:
    lines = explained(which, rows, decision, notes, more.get("fills", ()), GRIDS)
    return [line.text().split("  ", 1)[1] for line in lines]


INTENDED = Row(time=NOON, state=OrderState.INTENDED, reason="mid moved")


def test_it_begins_with_what_was_wanted_why_and_what_was_seen() -> None:
    decision = {"market": "ROGER-BTC", "bid_ticks": 4990, "ask_ticks": None, "position": "-12.50"}
    assert told(order(), INTENDED, decision=decision) == [
        f"buy 100 ROGER-BTC at 0.00005000, slot bid-1: {NAME}, at the exchange 12",
        "wanted because mid moved",
        "saw ROGER-BTC at bid 0.00004990, ask none, position -12.5 ROGER",
    ]


def test_what_the_gate_compared_is_told_of_the_slot_it_is_about() -> None:
    decision = {
        "market": "ROGER-BTC",
        "approved_bid-1": "max_open_orders 1 of 8",
        "approved_ask-1": "funds 1 of 2 ROGER",
    }
    assert told(order(), INTENDED, decision=decision)[3:] == ["approved with max_open_orders 1 of 8"]


def test_what_was_seen_is_of_the_market_that_the_decision_looked_at() -> None:
    """A file of several markets: the note is about the first, on whose grid its ticks are."""
    decision = {"market": "ROGER-BTC", "bid_ticks": 4990, "ask_ticks": 5010, "position": "0"}
    lines = told(order("BTC-USDT", ticks=6_000_000), INTENDED, decision=decision)
    assert lines[0].startswith("buy 0.01 BTC-USDT at 60000.00, slot bid-1")
    assert lines[2] == "saw ROGER-BTC at bid 0.00004990, ask 0.00005010, position 0 ROGER"


def test_an_order_that_was_taken_over_is_said_to_be() -> None:
    note = Row(time=NOON + 10**9, what="order.adopted", facts={"why": "older_epoch"})
    ended = Row(time=NOON + 10**9, state=OrderState.FILLED, filled_lots=10_000, reason="venue: filled")
    fill = Fill(
        trade_id=3, order_id=12, client_id=NAME, market="ROGER-BTC", side=Side.BUY, ticks=5000, lots=10_000,
        role=Role.MAKER, fee=Decimal("0.25"), fee_currency="ROGER", time=NOON + 10**9, traded_at=NOON // 10**9,
    )  # fmt: skip
    assert told(order(event=0), ended, notes=(note,), fills=(fill,))[1:] == [
        "taken over from an earlier journal of this strategy",
        "fill 3: 100 at 0.00005000 as maker, fee 0.25 ROGER (provisional)",
        "filled: all of it has traded (venue: filled), 100 filled",
    ]


def test_notes_that_the_steps_tell_are_not_told_twice() -> None:
    notes = (
        Row(time=NOON + 1, what="order.cancelled", facts={"filled": "0"}),
        Row(time=NOON + 2, what="order.missing", facts={"order_id": 12}),
    )
    steps = (INTENDED, Row(time=NOON + 1, state=OrderState.CANCELLED, reason="repriced"))
    assert told(order(), *steps, notes=notes)[2:] == [
        "cancelled: it is out of the book (repriced)",
        "order.missing: order_id 12",
    ]
