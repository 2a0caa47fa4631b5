"""orders.md rule 17 through the whole engine: what it asks, what it says, and what it leaves alone."""

from decimal import Decimal
from typing import Any

import pytest
from desk import BID_QUOTE, START, Desk, match

from runner.altmarkets.rest import Response, interpret
from runner.model.command import ListOrders, ListTransfers, Place, ReadBalances
from runner.model.event import BalancesRead, OrdersListed, QueryFailed, TradeNews, TransfersListed
from runner.model.order import BalanceRow, TransferKind, TransferRow
from runner.model.settings import SECOND


class Teller(Desk):
    """A desk whose account holds what the test says, and whose venue tells of transfers."""

    held = Decimal(1000)
    transfers: tuple[TransferRow, ...] | None = ()

    def _answers(self, command: Any) -> list[Any]:
        if isinstance(command, ReadBalances):
            held = (BalanceRow("BTC", Decimal(10), Decimal(0)), BalanceRow("ROGER", self.held, Decimal(0)))
            return [BalancesRead(command.query, held)]
        if isinstance(command, ListTransfers):
            rows = None if self.transfers is None else tuple(r for r in self.transfers if r.kind == command.kind)
            return [TransfersListed(command.query, command.kind, rows)]
        if isinstance(command, ListOrders) and not command.states and command.query < 0:
            return [OrdersListed(command.query, (), full=False)]
        return super()._answers(command)


def test_rule_17_money_that_nothing_moved_is_an_alarm_with_numbers() -> None:
    desk = Teller(())
    desk.wait(200)
    assert not desk.asked(ListTransfers)  # nothing extra is asked while all is well
    desk.held -= 7
    desk.wait(600)
    assert desk.engine.account.drift == {"ROGER": Decimal(-7)}
    (note,) = desk.said("account.drift")
    assert note.level == "error"
    assert {key: note.facts[key] for key in ("currency", "amount", "before", "after", "explained")} == {
        "currency": "ROGER",
        "amount": "-7",
        "before": "1000",
        "after": "993",
        "explained": "0",
    }
    assert desk.engine.account.ledger.position("ROGER") == 0
    assert not desk.engine.account.ledger.realised


@pytest.mark.parametrize("kind", ["deposits", "withdraws"])
def test_rule_17_transfers_explain_the_balance(kind: TransferKind) -> None:
    desk = Teller((BID_QUOTE,))
    desk.wait(200)
    amount = Decimal(250)
    desk.held += amount if kind == "deposits" else -amount
    desk.transfers = (TransferRow(kind, 1, "ROGER", amount, Decimal(0), desk.now // SECOND),)
    desk.wait(900)
    assert {command.kind for command in desk.asked(ListTransfers)} == {"deposits", "withdraws"}
    assert not desk.engine.account.drift


def test_rule_17_trades_of_others_on_the_account_explain_the_balance() -> None:
    desk = Teller(())
    desk.wait(200)
    row = match(77, 501, 1000, created_at=desk.now // SECOND, fee=Decimal("0.01"), fee_currency="ROGER", ticks=1)
    desk.give(TradeNews(row))
    desk.held += Decimal("9.99")
    desk.wait(600)
    # The base came; what was paid for it never went.
    assert set(desk.engine.account.drift) == {"BTC"}


def test_rule_17_where_transfers_are_not_told_a_gain_is_held_to_be_one() -> None:
    desk = Teller(())
    desk.transfers = None
    desk.wait(200)
    desk.held += 5000
    desk.wait(600)
    assert not desk.engine.account.drift
    assert desk.said("account.transfer_assumed")[0].facts["amount"] == "5000"
    desk.held -= 5000
    desk.wait(600)
    assert desk.engine.account.drift == {"ROGER": Decimal(-5000)}


@pytest.mark.parametrize(
    ("status", "body", "rows"),
    [
        (200, b"[]", ()),
        (
            200,
            (
                b'[{"id":3,"currency":"roger","amount":"2.5","fee":"0.5","state":"collected",'
                b'"created_at":"2023-11-14T23:13:21+01:00"}]'
            ),
            (TransferRow("deposits", 3, "ROGER", Decimal("2.5"), Decimal("0.5"), START // SECOND + 1),),
        ),
        (403, b'{"errors":["account.deposit.not_permitted"]}', None),
        (404, b"", None),
        (422, b'{"errors":["account.deposit.invalid_limit"]}', None),
    ],
)
def test_rule_17_a_list_that_is_not_to_be_had_is_an_answer(
    status: int, body: bytes, rows: tuple[TransferRow, ...] | None
) -> None:
    (what,) = interpret(ListTransfers(-1, "deposits"), Response(status, {}, body), {})
    assert what == TransfersListed(-1, "deposits", rows)


@pytest.mark.parametrize("status", [403, 429, 500, 503])
def test_rule_17_other_failures_are_asked_again_and_say_nothing_of_the_key(status: int) -> None:
    body = b'{"errors":["authz.permission_denied"]}'
    (what,) = interpret(ListTransfers(-1, "deposits"), Response(status, {}, body), {})
    assert isinstance(what, QueryFailed)
    assert not what.permanent


def test_rule_17_a_deposit_moves_nothing_that_is_ours() -> None:
    desk = Teller((BID_QUOTE,))
    desk.held += 10**6
    desk.wait(5)
    assert len(desk.asked(Place)) == 1
    assert desk.engine.account.ledger.position("ROGER") == 0
