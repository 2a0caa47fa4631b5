"""Goal 2 of the design, every order can be explained: the decision that placed it says what the gate compared."""

from decimal import Decimal

from desk import ASK_QUOTE, BID_QUOTE, Desk

from runner.model.settings import Limits


def test_the_decision_tells_for_each_new_order_what_was_compared() -> None:
    limits = Limits(max_position={"ROGER": Decimal(4000)}, max_open_orders=2)
    desk = Desk((BID_QUOTE, ASK_QUOTE), limits=limits)
    (decided,) = desk.said("tick.decided")
    assert decided.facts["approved_bid"] == (
        "max_position 100 of 4000 ROGER, max_open_orders 1 of 2, funds 0.004 of 1000000 BTC"
    )
    assert decided.facts["approved_ask"] == (
        "max_position -100 of -4000 ROGER, max_open_orders 2 of 2, funds 100 of 1000000 ROGER"
    )
