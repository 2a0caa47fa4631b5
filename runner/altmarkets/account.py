"""What the venue tells the owner of a key, beyond what the engine asks: lists with filters, balances, transfers.

Orders are created by the engine alone, over `rest.py`; here they are looked at and cancelled. Times are whole
seconds since 1970. Source: wire reference, section 4.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from runner.altmarkets.lookup import Listing, Question, a_list, question, readable, texts
from runner.altmarkets.messages import Grids, balance_row, decode, order_row, shaped, trade_row
from runner.altmarkets.numbers import exact, seconds
from runner.altmarkets.rest import Request, Response
from runner.model.money import ZERO
from runner.model.order import BalanceRow, OrderRow, Side, TradeRow

NOBODYS_ORDER = 0
"""No order has this id: asking to cancel it proves the right to cancel, and does nothing."""

TRANSFERS = 100
"""The most deposits or withdrawals that one page holds."""

State = Literal["pending", "wait", "done", "cancel", "reject"]
OPEN: tuple[State, ...] = ("pending", "wait")


class Transfer(Struct, frozen=True, kw_only=True):
    """Money carried in or out. `state` is the venue's own word, `txid` the blockchain's."""

    id: int | None  # lists of transactions have none
    kind: str
    currency: str
    amount: Decimal
    fee: Decimal
    state: str
    txid: str | None
    created_at: int


# Orders ---------------------------------------------------------------------------------------------------


def orders(
    grids: Grids,
    *,
    states: tuple[State, ...] = (),
    market_id: str | None = None,
    side: Side | None = None,
    order_type: Literal["limit", "market"] | None = None,
    time_from: int | None = None,
    time_to: int | None = None,
) -> Listing[OrderRow]:
    """Orders of the account, the last changed first; without `states` the closed ones too.

    The times are those of creation, from included and to not. A `market_id` fails for a market that was disabled,
    while its orders live on (wire reference 5.2): leave it out wherever none may be missed.
    """
    filters = {"market": market_id, "type": side and side.value, "ord_type": order_type, "order_by": "desc"}
    query = texts({**filters, "time_from": time_from, "time_to": time_to})
    wanted = tuple(("state" if len(states) == 1 else "state[]", state) for state in states)
    return Listing("/market/orders", lambda value: order_row(value, grids), lambda row: row.id, (*query, *wanted))


def order(order_id: int, grids: Grids) -> Question[OrderRow]:
    """One order, with its trades."""
    return question(f"/market/orders/{order_id}", lambda value: order_row(value, grids), private=True)


def cancel(order_id: int, grids: Grids) -> Question[OrderRow]:
    """Ask for a cancel. The row is the order as it was when that arrived: it says nothing of the outcome (4.6)."""
    return Question(
        Request("POST", f"/market/orders/{order_id}/cancel"), lambda answer: order_row(decode(answer.body), grids)
    )


def cancel_all(grids: Grids) -> Question[tuple[OrderRow, ...]]:
    """Ask for a cancel of every order that is `wait`, whoever placed it. `pending` ones are skipped (4.7)."""

    def read(answer: Response) -> tuple[OrderRow, ...]:
        rows, _ = readable(a_list(decode(answer.body)), lambda value: order_row(value, grids))
        return tuple(rows)

    return Question(Request("POST", "/market/orders/cancel"), read)


# Trades and balances --------------------------------------------------------------------------------------


def trades(
    grids: Grids,
    *,
    market_id: str | None = None,
    side: Side | None = None,
    time_from: int | None = None,
    time_to: int | None = None,
) -> Listing[TradeRow]:
    """Own trades, oldest first, so that new ones cannot shift the pages. From included, to not."""
    query = texts(
        {
            "market": market_id,
            "type": side and side.value,
            "order_by": "asc",
            "time_from": time_from,
            "time_to": time_to,
        }
    )
    return Listing("/market/trades", lambda value: trade_row(value, grids), lambda row: (row.id, row.order_id), query)


def balances() -> Listing[BalanceRow]:
    """All currencies the account ever held, more than a hundred too."""
    return Listing("/account/balances", balance_row, lambda row: row.currency)


def balance(currency: str) -> Question[BalanceRow]:
    return question(f"/account/balances/{currency.lower()}", balance_row, private=True)


# Transfers ------------------------------------------------------------------------------------------------


def deposits(currency: str | None = None, state: str | None = None) -> Listing[Transfer]:
    return _transfers("/account/deposits", _deposit, currency=currency, state=state)


def withdraws(currency: str | None = None, state: str | None = None) -> Listing[Transfer]:
    return _transfers("/account/withdraws", _withdraw, currency=currency, state=state)


def transactions(
    currency: str | None = None, time_from: int | None = None, time_to: int | None = None
) -> Listing[Transfer]:
    """Deposits and withdrawals together. The rows have no ids: two that agree in everything count as one."""
    query = texts({"currency": currency and currency.lower(), "time_from": time_from, "time_to": time_to})
    return Listing("/account/transactions", _transaction, lambda row: row, query)


def _transfers(path: str, row: Callable[[Any], Transfer], currency: str | None, state: str | None) -> Listing[Transfer]:
    query = texts({"currency": currency and currency.lower(), "state": state})
    return Listing(path, row, lambda found: found.id, query, limit=TRANSFERS)


class _WireTransfer(Struct):
    currency: str
    amount: Decimal
    created_at: Any
    fee: Decimal = ZERO
    state: str = ""
    id: int | None = None
    type: str | None = None
    txid: str | None = None
    blockchain_txid: str | None = None


def _deposit(value: Any) -> Transfer:
    return _transfer(value, "deposit")


def _withdraw(value: Any) -> Transfer:
    return _transfer(value, "withdraw")


def _transaction(value: Any) -> Transfer:
    return _transfer(value, None)


def _transfer(value: Any, kind: str | None) -> Transfer:
    """`kind` None: the row says itself; elsewhere its `type` is coin or fiat."""
    wire = shaped(value, _WireTransfer, kind or "transaction")
    return Transfer(
        id=wire.id,
        kind=kind or (wire.type or "").lower(),
        currency=wire.currency.upper(),
        amount=exact(wire.amount),
        fee=exact(wire.fee),
        state=wire.state,
        txid=wire.txid or wire.blockchain_txid,
        created_at=seconds(wire.created_at),
    )
