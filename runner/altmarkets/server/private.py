"""Endpoints under `/market` and `/account`: own orders, trades and balances. Source: wire reference, section 4."""

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TypeVar

from runner.altmarkets.server.answers import (
    Answer,
    Ask,
    Profile,
    Refused,
    created_within,
    cut,
    is_open,
    known_market,
    listed,
    paged,
    paging,
)
from runner.altmarkets.server.entities import (
    Entity,
    balance_entity,
    deposit_entity,
    order_entity,
    order_type,
    own_trade_entity,
    trade_entity,
    transaction_entity,
    withdraw_entity,
)
from runner.altmarkets.server.formats import seconds
from runner.model.market import Market
from runner.model.order import Side
from runner.simulation.admission import OrderRefused
from runner.simulation.records import Order, OrderState, Trade, Transfer

T = TypeVar("T")

CLIENT_ID_LENGTH_MAX = 32

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ID_DIGITS_MAX = 18
_SIDES = ("buy", "sell")


# Orders ---------------------------------------------------------------------------------------------------


def orders(ask: Ask) -> Answer:
    """Closed ones too, unless a state is asked for. Sorted by when they changed: rows move while one pages."""
    read, code = ask.read, "market.order"
    markets = _filtered_markets(ask)
    states = read.texts("state")
    if any(state not in set(OrderState) for state in states):
        read.errors.append("market.order.invalid_state")
    limit, page = read.integer("limit", 100, 0, 1000, code=code), read.page(code=code)
    ascending = read.one_of("order_by", ("asc", "desc"), "market.order.invalid_order_by") == "asc"
    kind = read.one_of("ord_type", ("limit", "market"), "market.order.invalid_ord_type")
    side = read.one_of("type", _SIDES, "market.order.invalid_type")
    time_from = read.optional_integer("time_from", code=code)
    time_to = read.optional_integer("time_to", code=code)
    ask.check()
    chosen = [
        order
        for order in _orders(ask)
        if _unfiltered(ask)
        or (
            order.market.id in markets
            and (not states or order.state in states)
            and kind in {None, order_type(order)}
            and side in {None, order.side}
            and created_within(order.created, time_from, time_to)
        )
    ]
    chosen.sort(key=lambda order: (seconds(order.updated), order.id), reverse=not ascending)
    return paged([_entity(ask, order) for order in _cut(ask, chosen, limit, page)], limit, page)


def order(ask: Ask) -> Answer:
    found = _own_order(ask)
    trades = [trade_entity(trade, found, ask.profile) for trade in ask.exchange.database.trades_in(found.id)]
    return Answer({**_entity(ask, found), "trades": trades})


def create(ask: Ask) -> Answer:
    """201 means recorded: the row is `pending`, and may yet be rejected."""
    read, code = ask.read, "market.order"
    market = _market_to_trade(ask)
    if not read.has("side"):
        read.errors.append("market.order.missing_side")
    side = read.one_of("side", _SIDES, "market.order.invalid_side", required=True)
    volume = read.decimal("volume", code=code)
    kind = read.one_of("ord_type", ("limit", "market"), "market.order.invalid_type", "limit")
    price = read.decimal("price", code=code) if kind == "limit" else None
    client_id = _client_id(ask)
    ask.check()
    if kind == "market" and read.has("price"):  # even null
        raise Refused(422, "market.order.market_order_price")
    assert market is not None
    assert side is not None
    assert volume is not None
    created = ask.exchange.create(ask.member, market, Side(side), volume, price, client_id=client_id)
    if ask.exchange.faults.strikes("human_twin", ask.exchange.now):
        with suppress(OrderRefused):  # the account cannot pay for both
            ask.exchange.create(ask.member, market, Side(side), volume, price)
    return Answer(_entity(ask, created), 201)


def cancel(ask: Ask) -> Answer:
    """The order as it is now, whatever becomes of it; a closed one is no error."""
    found = _own_order(ask)
    ask.exchange.cancel(found)
    return Answer(_entity(ask, found), 201)


def cancel_all(ask: Ask) -> Answer:
    """Those in state `wait` that were asked to go; `pending` ones are skipped."""
    market = known_market(ask, "market.market.doesnt_exist")
    side = ask.read.one_of("side", _SIDES, "value")  # a rule without a message of its own
    ask.check()
    chosen = [
        order
        for order in ask.exchange.database.orders_of(ask.member)
        if order.state is OrderState.WAIT
        and (market is None or order.market.id == market.id)
        and side in {None, order.side}
    ]
    for found in chosen:
        ask.exchange.cancel(found)
    return Answer([_entity(ask, found) for found in chosen], 201)


def _orders(ask: Ask) -> list[Order]:
    database, now = ask.exchange.database, ask.exchange.now
    late = ask.exchange.faults.strikes("lists_lag", now)
    return database.orders_of(ask.member) if late is None else database.orders_then(ask.member, now - late.value)


def _own_trades(ask: Ask) -> list[Trade]:
    late = ask.exchange.faults.strikes("lists_lag", ask.exchange.now)
    until = ask.exchange.time - (0 if late is None else late.value)
    return [trade for trade in ask.exchange.database.trades_of(ask.member) if trade.time <= until or late is None]


def _unfiltered(ask: Ask) -> bool:
    return ask.exchange.faults.holds("lists_unfiltered", ask.exchange.now) is not None


def _cut(ask: Ask, rows: list[T], limit: int, page: int) -> Sequence[T]:
    if page > 1 and ask.exchange.faults.strikes("lists_shift", ask.exchange.now):
        return cut(rows[1:], limit, page)  # the first row has gone to the end since the page before was read
    return cut(rows, limit, page)


def _entity(ask: Ask, order: Order) -> Entity:
    return order_entity(order, ask.exchange.database.uuid(order.id), ask.profile)


def _own_order(ask: Ask) -> Order:
    name = ask.name
    if name.isascii() and name.isdigit():
        found = ask.exchange.database.order(int(name)) if len(name) <= _ID_DIGITS_MAX else None
    elif _UUID.fullmatch(name):
        found = ask.exchange.database.order_by_uuid(name)
    else:
        raise Refused(422, "market.order.invaild_id_or_uuid")  # their spelling
    if found is None or found.member != ask.member:
        raise Refused(404, "record.not_found")
    return found


def _filtered_markets(ask: Ask) -> set[str]:
    """Ids of the markets that `market`, `base_unit` and `quote_unit` leave."""
    wanted = ask.read.texts("market") if ask.profile.many_markets else _one(ask.read.text("market"))
    known = {market.id for market in ask.exchange.markets if is_open(ask, market)}
    if not known.issuperset(wanted):
        ask.read.errors.append("market.market.doesnt_exist")
    base, quote = ask.read.text("base_unit"), ask.read.text("quote_unit")
    chosen = {
        market.id
        for market in ask.exchange.markets
        if (not wanted or market.id in wanted)
        and (base is None or base.upper() == market.base)
        and (quote is None or quote.upper() == market.quote)
    }
    if not chosen and not ask.read.errors:
        ask.read.errors.append("market.market.doesnt_exist")
    return chosen


def _one(text: str | None) -> list[str]:
    return [] if text is None else [text]


def _market_to_trade(ask: Ask) -> Market | None:
    if not ask.read.has("market"):
        ask.read.errors.append("market.order.missing_market")
    market = ask.exchange.market(ask.read.text("market") or "")
    if market is None or not is_open(ask, market):
        ask.read.errors.append("market.market.doesnt_exist_or_not_enabled")
    return market


def _client_id(ask: Ask) -> str | None:
    client_id = ask.read.text("client_id")
    if client_id is not None and len(client_id) > CLIENT_ID_LENGTH_MAX:
        ask.read.errors.append("market.order.invalid_client_id")
    return client_id


# Trades and balances --------------------------------------------------------------------------------------


def trades(ask: Ask) -> Answer:
    """By id. A self-trade is one row, its maker's."""
    read, code = ask.read, "market.trade"
    market = known_market(ask, "market.market.doesnt_exist")
    limit, page = read.integer("limit", 100, 1, 1000, code=code), read.page(code=code)
    time_from = read.optional_integer("time_from", code=code)
    time_to = read.optional_integer("time_to", code=code)
    ascending = read.one_of("order_by", ("asc", "desc"), "market.trade.invalid_order_by") == "asc"
    side = read.one_of("type", _SIDES, "market.trade.invalid_type") if ask.profile.trades_by_type else None
    ask.check()
    chosen = [
        trade
        for trade in _own_trades(ask)
        if _unfiltered(ask)
        or (
            (market is None or trade.market.id == market.id)
            and created_within(trade.time, time_from, time_to)
            and side in {None, trade.order_of(ask.member).side}
        )
    ]
    if not ascending:
        chosen.reverse()
    rows = [own_trade_entity(trade, ask.member, ask.profile) for trade in _cut(ask, chosen, limit, page)]
    return paged(rows, limit, page)


def balances(ask: Ask) -> Answer:
    """Accounts that exist: a currency that was never held has none."""
    nonzero = ask.read.one_of("nonzero", ("true", "false"), "account.balances.invalid_nonzero") == "true"
    search = ask.read.mapping("search", code="invalid")
    limit, page = paging(ask.read)
    ask.check()
    parts = [search[key].upper() for key in ("currency_code", "currency_name") if key in search]
    rows = [
        balance_entity(currency, account.available, account.locked)
        for currency, account in sorted(ask.exchange.accounts.of(ask.member).items())
        if (not nonzero or account.available or account.locked)
        and (not parts or any(part in currency for part in parts))
    ]
    return listed(rows, limit, page)


def balance(ask: Ask) -> Answer:
    currency = ask.name.upper()
    if currency not in ask.exchange.currencies:
        raise Refused(422, "account.currency.doesnt_exist")
    account = ask.exchange.accounts.of(ask.member).get(currency)
    if account is None:
        raise Refused(404, "record.not_found")
    return Answer(balance_entity(currency, account.available, account.locked))


# Transfers ------------------------------------------------------------------------------------------------


def deposits(ask: Ask) -> Answer:
    states = ("submitted", "canceled", "rejected", "accepted", "collected", "skipped")
    return _transfers(ask, "account.deposit", states, [row for row in _moved(ask) if row.amount > 0], deposit_entity)


def withdraws(ask: Ask) -> Answer:
    states = ("prepared", "submitted", "rejected", "accepted", "skipped", "processing", "succeed", "canceled", "failed")
    rows = [row for row in _moved(ask) if row.amount < 0]
    return _transfers(ask, "account.withdraw", (*states, "errored", "confirming"), rows, withdraw_entity)


def transactions(ask: Ask) -> Answer:
    _check_currency(ask)
    limit, page = paging(ask.read)
    ask.check()
    return listed([transaction_entity(row, ask.profile) for row in _moved(ask)], limit, page)


def _moved(ask: Ask) -> list[Transfer]:
    """What the member carried in and out, newest first."""
    currency = (ask.read.text("currency") or "").upper()
    rows = [row for row in ask.exchange.transfers if row.member == ask.member and currency in {"", row.currency}]
    return rows[::-1]


def _transfers(
    ask: Ask, code: str, states: tuple[str, ...], rows: list[Transfer], entity: Callable[[Transfer, Profile], Entity]
) -> Answer:
    _check_currency(ask)
    state = ask.read.one_of("state", states, f"{code}.invalid_state")
    if ask.read.text("txid") == "":
        ask.read.errors.append(f"{code}.empty_txid")
    limit = ask.read.integer("limit", 100, 1, 100, code=code)
    page = ask.read.optional_integer("page", code=code)
    if page is not None and page <= 0:
        ask.read.errors.append(f"{code}.non_positive_page")
    ask.check()
    entities = [entity(row, ask.profile) for row in rows]
    txid = ask.read.text("txid")
    chosen = [row for row in entities if state in {None, row["state"]} and (txid is None or txid in row.values())]
    return listed(chosen, limit, page or 1)


def _check_currency(ask: Ask) -> None:
    currency = ask.read.text("currency")
    if currency is not None and currency.upper() not in ask.exchange.currencies:
        ask.read.errors.append("account.currency.doesnt_exist")
