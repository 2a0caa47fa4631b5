"""REST requests as values: what to ask for a command, and what an answer means for it.

The one judgement that is about money is made here: what proves that a create came to nothing, and what leaves it
open (`Unknown`). Source: orders.md rule 7; wire reference 3, 4, 7 and 8.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from msgspec import Struct

from runner.altmarkets.messages import (
    Grids,
    balance_row,
    decode,
    error_codes,
    order_row,
    shaped,
    trade_row,
    transfer_row,
)
from runner.altmarkets.numbers import OffTheMap, Unreadable, exact, seconds, shown
from runner.model.command import Cancel, Command, ListOrders, ListTrades, ListTransfers, Place, ReadBalances, ReadOrder
from runner.model.event import (
    Accepted,
    BalancesRead,
    CancelAnswered,
    NotSent,
    OrderRead,
    OrdersListed,
    QueryFailed,
    Rejected,
    TradesListed,
    TransfersListed,
    Unknown,
    VenueFault,
    What,
)
from runner.model.ids import parse_client_id
from runner.model.market import Market
from runner.model.money import ZERO, plain
from runner.model.order import OrderRow
from runner.model.settings import SECOND

PAGE = 1000
TRANSFERS = 100  # the most deposits or withdrawals that one page holds
"""Rows asked for in one list: the most that the venue gives."""

REFUSALS = frozenset(
    {
        "authz.invalid_api_key_headers",
        "market.account.insufficient_balance",
        "market.market.doesnt_exist_or_not_enabled",
        "market.order.insufficient_market_liquidity",
        "market.order.invalid_client_id",
        "market.order.invalid_side",
        "market.order.invalid_type",
        "market.order.invalid_volume_or_price",
        "market.order.market_order_price",
        "market.order.missing_market",
        "market.order.missing_price",
        "market.order.missing_side",
        "market.order.missing_volume",
        "market.order.non_decimal_price",
        "market.order.non_decimal_volume",
        "market.order.non_positive_price",
        "market.order.non_positive_volume",
    }
)
"""The words of a 422 that prove that no row was written."""

AMBIGUOUS = "market.order.create_error"
"""The word that proves nothing: the row may exist if queueing failed after saving (wire reference 7.2)."""

_PROVEN = frozenset({400, 401, 404, 405})
_UNTOLD = frozenset({404, 405, 422})  # no such list here
_NOT_PERMITTED = frozenset({"account.deposit.not_permitted", "account.withdraw.not_permitted"})
_NONCE_EXPIRED = "authz.nonce_expired"


class Request(Struct, frozen=True):
    """`path` is relative to the REST base and begins with a slash; `private` ones are signed at the last moment."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None  # JSON
    private: bool = True


class Response(Struct, frozen=True):
    """An answer, complete. Header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class NoResponse(Struct, frozen=True):
    """No complete answer came. `sent` is False only if it is proven that not a byte of the request left."""

    sent: bool
    reason: str


# Commands -------------------------------------------------------------------------------------------------


def request_for(command: Command, markets: Mapping[str, Market]) -> Request:
    """What to ask of the venue. `markets` by symbol. Raises TypeError for a command that is not for the venue."""
    match command:
        case Place():
            return Request("POST", "/market/orders", body=_create(command, markets[command.market]))
        case Cancel(order_id):
            return Request("POST", f"/market/orders/{order_id}/cancel")
        case ListOrders():
            return Request("GET", "/market/orders", _listing(command))
        case ReadOrder(_, order_id):
            return Request("GET", f"/market/orders/{order_id}")
        case ListTrades(_, time_from, page):
            query: dict[str, int | str | None] = {
                "limit": PAGE,
                "page": page,
                "order_by": "asc",
                "time_from": time_from,
            }
            return Request("GET", "/market/trades", _texts(query))
        case ReadBalances(_, page):
            return Request("GET", "/account/balances", _texts({"limit": PAGE, "page": page}))
        case ListTransfers(_, kind):
            return Request("GET", f"/account/{kind}", _texts({"limit": TRANSFERS}))
    raise TypeError(f"{type(command).__name__} is not a request to the venue")


def _create(command: Place, market: Market) -> bytes:
    fields = {
        "market": market.id,
        "side": command.side.value,
        "volume": plain(market.quantity(command.lots)),
        "ord_type": "limit",
        "client_id": command.client_id,
    }
    if command.ticks is None:
        fields["ord_type"] = "market"  # and no key `price`, not even null: wire reference 4.5
    else:
        fields["price"] = plain(market.price(command.ticks))
    return json.dumps(fields).encode()


def _listing(command: ListOrders) -> tuple[tuple[str, str], ...]:
    """No market filter, ever: orders of a market that was disabled would be missing (wire reference 5.2)."""
    # Sorted by time of change. Latest first, a page misses only orders that have just changed, which the private
    # stream tells; latest last, one such change would push another, silent order out of sight.
    query: dict[str, int | str | None] = {"limit": PAGE, "page": command.page, "order_by": "desc"}
    query |= {"time_from": command.time_from, "time_to": command.time_to}
    states = [("state" if len(command.states) == 1 else "state[]", state) for state in command.states]
    return (*_texts(query), *states)


def _texts(query: Mapping[str, int | str | None]) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in query.items() if value is not None)


# Answers --------------------------------------------------------------------------------------------------


def interpret(command: Command, answer: Response | NoResponse, grids: Grids) -> tuple[What, ...]:
    """What an answer means for the command that was sent. Never raises, whatever the body.

    `grids`: all of the venue's markets, see `messages.grids`.
    """
    match command:
        case Place():
            return _created(command, answer, grids)
        case Cancel():
            return _cancelled(command, answer, grids)
        case ListOrders():
            return _orders(command, answer, grids)
        case ReadOrder():
            return _order(command, answer, grids)
        case ListTrades():
            return _trades(command, answer, grids)
        case ReadBalances():
            return _balances(command, answer)
        case ListTransfers():
            return _transfers(command, answer)
    raise TypeError(f"{type(command).__name__} has no answer")


def _created(command: Place, answer: Response | NoResponse, grids: Grids) -> tuple[What, ...]:
    name = command.client_id
    if isinstance(answer, NoResponse):
        return (Unknown(name, answer.reason) if answer.sent else NotSent(name, answer.reason),)
    status, codes = answer.status, error_codes(answer.body)
    if 200 <= status < 300:
        try:
            row = order_row(decode(answer.body), grids)
        except Unreadable as error:
            why = f"answer {status} cannot be read: {error}"
            return VenueFault("create", why), Unknown(name, why)
        if not _answers(row, command):
            why = f"answer {status} is about another order, {row.id} {row.client_id or ''}".rstrip()
            return VenueFault("create", why), Unknown(name, why)
        return (Accepted(name, row),)
    if status in _PROVEN or (status == 403 and codes is not None):
        return (Rejected(name, status, codes or ()),)
    if status == 422 and codes is not None and AMBIGUOUS not in codes and any(code in REFUSALS for code in codes):
        return (Rejected(name, status, codes),)
    return (Unknown(name, _words(answer)),)


def _answers(row: OrderRow, command: Place) -> bool:
    """Whether the row is of the order that was asked for, and not from a proxy's cache or somebody else's.

    A name that the venue cut or put in another case is still ours (orders.md rule 11 deals with that).
    """
    told = (row.market, row.side, row.ticks, row.origin_lots)
    asked = (command.market, command.side, command.ticks, command.lots)
    return told == asked and command.client_id.upper().startswith((row.client_id or "").upper())


def _cancelled(command: Cancel, answer: Response | NoResponse, grids: Grids) -> tuple[What, ...]:
    if isinstance(answer, NoResponse) or not 200 <= answer.status < 300:
        return (CancelAnswered(command.order_id, None, _words(answer)),)
    try:
        row = _the_order(command.order_id, answer, grids)
    except Unreadable as error:
        why = f"answer {answer.status} cannot be read: {error}"
        return VenueFault("cancel", why), CancelAnswered(command.order_id, None, why)
    return (CancelAnswered(command.order_id, row),)


def _the_order(order_id: int, answer: Response, grids: Grids) -> OrderRow:
    row = order_row(decode(answer.body), grids)
    if row.id != order_id:
        raise Unreadable(f"it is about order {row.id}, not {order_id}")
    return row


def _orders(command: ListOrders, answer: Response | NoResponse, grids: Grids) -> tuple[What, ...]:
    rows = _page(command.query, answer)
    if isinstance(rows, QueryFailed):
        return (rows,)
    assert isinstance(answer, Response)
    found: list[OrderRow] = []
    faults: list[What] = []
    for value in rows:
        try:
            found.append(order_row(value, grids))
        except Unreadable as error:
            faults.append(VenueFault("orders", str(error)))
            if _may_be_ours(value, error):
                return (*faults, QueryFailed(command.query, permanent=False, reason=f"orders: {error}"))
    listed = OrdersListed(command.query, tuple(found), full=len(rows) >= PAGE, venue_time=venue_time(answer))
    return (*faults, listed)


def _may_be_ours(value: object, error: Unreadable) -> bool:
    """Whether a row that cannot be read may be an order of ours: a list that may lack one proves nothing.

    We send whole ticks and lots, and only to markets that we know. So a row without our form of a name that is off
    its market's grid, or of another market, is a stranger's.
    """
    if not isinstance(value, dict):
        return True
    name = value.get("client_id")
    named = isinstance(name, str) and parse_client_id(name.upper()) is not None
    return named or not isinstance(error, OffTheMap)


def _order(command: ReadOrder, answer: Response | NoResponse, grids: Grids) -> tuple[What, ...]:
    if isinstance(answer, Response) and answer.status == 404 and "record.not_found" in (error_codes(answer.body) or ()):
        return (OrderRead(command.query, command.order_id, None),)
    failure = _failure(command.query, answer)
    if failure is not None:
        return (failure,)
    assert isinstance(answer, Response)
    try:
        row = _the_order(command.order_id, answer, grids)
    except Unreadable as error:
        reason = f"order {command.order_id}: {error}"
        return VenueFault("order", reason), QueryFailed(command.query, permanent=False, reason=reason)
    return (OrderRead(command.query, command.order_id, row),)


def _trades(command: ListTrades, answer: Response | NoResponse, grids: Grids) -> tuple[What, ...]:
    rows = _page(command.query, answer)
    if isinstance(rows, QueryFailed):
        return (rows,)
    found, faults = _readable(rows, lambda value: trade_row(value, grids), "trades")
    return (*faults, TradesListed(command.query, tuple(found), full=len(rows) >= PAGE))


def _balances(command: ReadBalances, answer: Response | NoResponse) -> tuple[What, ...]:
    rows = _page(command.query, answer)
    if isinstance(rows, QueryFailed):
        return (rows,)
    found, faults = _readable(rows, balance_row, "balances")
    return (*faults, BalancesRead(command.query, tuple(found), full=len(rows) >= PAGE))


def _transfers(command: ListTransfers, answer: Response | NoResponse) -> tuple[What, ...]:
    """That the account's level is too low to be told, or that there is no such list, is an answer too."""
    if isinstance(answer, Response):
        refused = not _NOT_PERMITTED.isdisjoint(error_codes(answer.body) or ())
        if answer.status in _UNTOLD or (answer.status == 403 and refused):
            return (TransfersListed(command.query, command.kind, None),)
    rows = _page(command.query, answer)
    if isinstance(rows, QueryFailed):
        # A right that only this list needs says nothing about the key.
        forbidden = isinstance(answer, Response) and answer.status == 403
        return (QueryFailed(rows.query, rows.permanent and not forbidden, rows.reason),)
    found, faults = _readable(rows, lambda value: transfer_row(value, command.kind), command.kind)
    return (*faults, TransfersListed(command.query, command.kind, tuple(found)))


Row = TypeVar("Row")


def _readable(rows: Iterable[Any], read: Callable[[Any], Row], source: str) -> tuple[list[Row], list[What]]:
    found: list[Row] = []
    faults: list[What] = []
    for value in rows:
        try:
            found.append(read(value))
        except Unreadable as error:
            faults.append(VenueFault(source, str(error)))
    return found, faults


def _page(query: int, answer: Response | NoResponse) -> list[Any] | QueryFailed:
    failure = _failure(query, answer)
    if failure is not None:
        return failure
    assert isinstance(answer, Response)
    try:
        return _list(answer)
    except Unreadable as error:
        return QueryFailed(query, permanent=False, reason=str(error))


def _failure(query: int, answer: Response | NoResponse) -> QueryFailed | None:
    """Why a look-up brought nothing; None if it brought something."""
    if isinstance(answer, Response) and 200 <= answer.status < 300:
        return None
    permanent = False
    if isinstance(answer, Response):
        codes = error_codes(answer.body)
        permanent = codes is not None and _NONCE_EXPIRED not in codes and answer.status in {401, 403}
    return QueryFailed(query, permanent, _words(answer))


def venue_time(answer: Response) -> int | None:
    """The venue's clock by the `Date` header, UTC ns, to the second below; None without a readable one."""
    try:
        moment = parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError, TypeError, IndexError, OverflowError):
        return None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) * SECOND


def _words(answer: Response | NoResponse) -> str:
    """A failure in a few words: the venue's own codes, or the beginning of whatever came."""
    if isinstance(answer, NoResponse):
        return answer.reason
    codes = error_codes(answer.body)
    said = " ".join(codes) if codes is not None else answer.body[:80].decode(errors="replace").strip()
    return f"{answer.status} {said}".rstrip()


def _list(answer: Response) -> list[Any]:
    rows = decode(answer.body)
    if not isinstance(rows, list):
        raise Unreadable(f"{shown(rows)} is not a list")
    return rows


# Public ---------------------------------------------------------------------------------------------------


class _WireMarket(Struct):
    id: str
    base_unit: str
    quote_unit: str
    price_precision: int
    amount_precision: int
    min_price: Decimal
    min_amount: Decimal
    max_price: Decimal = ZERO
    state: str = "enabled"


class _WireFee(Struct):
    maker: Decimal
    taker: Decimal
    group: str = "any"
    market_id: str = "any"


class Fees(Struct, frozen=True):
    """A row of `/public/trading_fees`: fractions of what is received. `market_id` may be `any`."""

    group: str
    market_id: str
    maker: Decimal
    taker: Decimal


def markets_request(page: int) -> Request:
    return Request("GET", "/public/markets", _texts({"limit": PAGE, "page": page}), private=False)


def fees_request(page: int) -> Request:
    return Request("GET", "/public/trading_fees", _texts({"limit": PAGE, "page": page}), private=False)


def version_request() -> Request:
    return Request("GET", "/public/version", private=False)


def timestamp_request() -> Request:
    return Request("GET", "/public/timestamp", private=False)


def read_markets(answer: Response, fees: Iterable[Fees]) -> tuple[list[Market], bool]:
    """One page of markets with the fees that an ordinary member pays there, and whether there may be more.

    Raises Unreadable if the answer is not a list; a market that cannot be read, or whose numbers are not such as
    the venue allows (wire reference 3.2), is left out: it cannot be traded.
    """
    rows, fees = _list(answer), tuple(fees)
    found, _ = _readable(rows, lambda value: market_row(value, fees), "markets")
    return found, len(rows) >= PAGE


def read_fees(answer: Response) -> tuple[list[Fees], bool]:
    rows = _list(answer)
    found, _ = _readable(rows, fees_row, "trading_fees")
    return found, len(rows) >= PAGE


def read_version(answer: Response) -> str:
    """The version the venue gives itself; empty where it gives none."""
    try:
        body = decode(answer.body)
    except Unreadable:
        return ""
    version = body.get("version") if isinstance(body, dict) else None
    return version if isinstance(version, str) else ""


def read_timestamp(answer: Response) -> int:
    """The venue's clock, UTC ns to the second below. Raises Unreadable."""
    return seconds(decode(answer.body)) * SECOND


def market_row(value: Any, fees: tuple[Fees, ...]) -> Market:
    wire = shaped(value, _WireMarket, "market")
    price_min, price_max, quantity_min = exact(wire.min_price), exact(wire.max_price), exact(wire.min_amount)
    precise = min(wire.price_precision, wire.amount_precision) >= 0
    if not precise or wire.price_precision + wire.amount_precision > 10 or price_min <= 0 or quantity_min <= 0:
        raise Unreadable(f"market {wire.id}: its precisions or minima are not such as the venue allows")
    maker, taker = _rates(wire.id, fees)
    return Market(
        id=wire.id,
        base=wire.base_unit.upper(),
        quote=wire.quote_unit.upper(),
        price_precision=wire.price_precision,
        amount_precision=wire.amount_precision,
        price_min=price_min,
        quantity_min=quantity_min,
        price_max=price_max or None,
        maker_fee=maker,
        taker_fee=taker,
        enabled=wire.state in {"enabled", "hidden"},
    )


def _rates(market_id: str, fees: tuple[Fees, ...]) -> tuple[Decimal, Decimal]:
    """The market's own row before the general one. Rows of other member groups are not ours (wire reference 3.8)."""
    for wanted in (market_id, "any"):
        for row in fees:
            if row.group == "any" and row.market_id == wanted:
                return row.maker, row.taker
    return ZERO, ZERO


def fees_row(value: Any) -> Fees:
    wire = shaped(value, _WireFee, "trading fee")
    return Fees(wire.group, wire.market_id, exact(wire.maker), exact(wire.taker))
