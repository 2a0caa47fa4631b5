"""Endpoints under `/public`. Source: wire reference, section 3."""

from decimal import Decimal

from runner.altmarkets.server.answers import Answer, Ask, Refused, is_open, listed, paging
from runner.altmarkets.server.entities import (
    candle_point,
    currency_entity,
    level_texts,
    market_entity,
    order_entity,
    public_trade_entity,
    ticker_entity,
)
from runner.altmarkets.server.formats import decimal_text, iso_time, seconds
from runner.model.market import Market
from runner.model.order import Side

TRADING_LEVEL, DEPOSIT_LEVEL, WITHDRAW_LEVEL = 2, 1, 3

PERIODS = {
    1: "1m",
    5: "5m",
    15: "15m",
    30: "30m",
    60: "1h",
    120: "2h",
    240: "4h",
    360: "6h",
    720: "12h",
    1440: "1d",
    4320: "3d",
    10080: "1w",
}
"""Lengths of a candle: minutes, and the name in a stream."""


def timestamp(ask: Ask) -> Answer:
    return Answer(iso_time(ask.exchange.time, ask.profile.zone))


def version(ask: Ask) -> Answer:
    name = ask.profile.version
    built = iso_time(ask.exchange.opened, ask.profile.zone)
    return Answer({"git_sha": "0" * 8, "git_tag": name.partition("-")[0], "build_date": built, "version": name})


def health(ask: Ask) -> Answer:
    return Answer("ok")


def member_levels(ask: Ask) -> Answer:
    levels = {"deposit": DEPOSIT_LEVEL, "withdraw": WITHDRAW_LEVEL, "trading": TRADING_LEVEL}
    return Answer({what: {"minimum_level": level} for what, level in levels.items()})


def markets(ask: Ask) -> Answer:
    descending = ask.read.one_of("ordering", ("asc", "desc"), "public.markets.invalid_ordering") == "desc"
    order_by = ask.read.one_of("order_by", ("id", "position"), "public.markets.invalid_order_by")
    base, quote = _unit(ask, "base_unit"), _unit(ask, "quote_unit")
    search = ask.read.mapping("search", code="invalid")
    limit, page = paging(ask.read)
    ask.check()
    chosen = [
        market
        for market in ask.exchange.markets
        if is_open(ask, market)
        and base in {None, market.base}
        and quote in {None, market.quote}
        and _found(market, search)
    ]
    if order_by == "id":
        chosen.sort(key=lambda market: market.id)
    if descending:
        chosen.reverse()
    return listed([market_entity(market, hidden=market.id in ask.exchange.hidden) for market in chosen], limit, page)


def currencies(ask: Ask) -> Answer:
    kind = ask.read.one_of("type", ("coin", "fiat"), "public.currency.invalid_type", "coin")
    wanted = (ask.read.text("search[code]") or ask.read.text("search[name]") or "").upper()
    limit, page = paging(ask.read)
    ask.check()
    chosen = [code for code in ask.exchange.currencies if kind == "coin" and wanted in code]
    return listed([_currency(ask, code) for code in chosen], limit, page)


def currency(ask: Ask) -> Answer:
    if ask.name.upper() not in ask.exchange.currencies:
        raise Refused(422, "public.currency.doesnt_exist")
    return Answer(_currency(ask, ask.name.upper()))


def trading_fees(ask: Ask) -> Answer:
    """One row for `any` market if they all charge the same, else one row each."""
    market_id, group = ask.read.text("market_id"), ask.read.text("group")
    if market_id not in {None, "any"} and ask.exchange.market(market_id or "") is None:
        ask.read.errors.append("public.trading_fee.market_doesnt_exist")
    limit, page = paging(ask.read)
    ask.check()
    fees: dict[tuple[Decimal, Decimal], list[str]] = {}
    for market in ask.exchange.markets:
        fees.setdefault((market.maker_fee, market.taker_fee), []).append(market.id)
    names = [("any", fee) for fee in fees] if len(fees) == 1 else [(name, fee) for fee in fees for name in fees[fee]]
    opened = iso_time(ask.exchange.opened, ask.profile.zone)
    rows = [
        {
            "id": number,
            "group": "any",
            "market_id": name,
            "maker": decimal_text(maker),
            "taker": decimal_text(taker),
            "created_at": opened,
            "updated_at": opened,
        }
        for number, (name, (maker, taker)) in enumerate(names, 1)
    ]
    chosen = [row for row in rows if market_id in {None, row["market_id"]} and group in {None, row["group"]}]
    return listed(chosen, limit, page)


# One market -----------------------------------------------------------------------------------------------


def depth(ask: Ask) -> Answer:
    """Levels of the database, best first on both sides. Without a number: it cannot be joined to the stream."""
    market = _market(ask)
    limit = ask.read.integer("limit", 300, 1, 1000, code="public.market_depth")
    ask.check()
    bids, asks = (
        level_texts(market, ask.exchange.database.depth(market.id, side)[:limit]) for side in (Side.BUY, Side.SELL)
    )
    return Answer({"timestamp": seconds(ask.exchange.time), "asks": asks, "bids": bids})


def order_book(ask: Ask) -> Answer:
    """The resting orders themselves, everybody's."""
    market, code = _market(ask), "public.order_book"
    asks_limit = ask.read.integer("asks_limit", 20, 1, 200, code=code, noun="ask_limit")
    bids_limit = ask.read.integer("bids_limit", 20, 1, 200, code=code, noun="bid_limit")
    ask.check()
    asks, bids = (
        [
            order_entity(order, ask.exchange.database.uuid(order.id), ask.profile)
            for order in ask.exchange.database.resting(market.id, side)[:limit]
        ]
        for side, limit in ((Side.SELL, asks_limit), (Side.BUY, bids_limit))
    )
    return Answer({"asks": asks, "bids": bids})


def trades(ask: Ask) -> Answer:
    """Newest first, whatever `order_by` says: it is checked, and then ignored, as `timestamp` is."""
    market = _market(ask)
    limit = ask.read.integer("limit", 100, 1, 1000, code="public.trade")
    ask.read.optional_integer("timestamp", code="public.trade")
    ask.read.one_of("order_by", ("asc", "desc"), "public.trade.invalid_order_by")
    ask.check()
    return Answer([public_trade_entity(trade) for trade in ask.exchange.tape(market.id).newest(limit)])


def ticker(ask: Ask) -> Answer:
    market = _market(ask)
    return Answer(ticker_entity(market, ask.exchange.tape(market.id), seconds(ask.exchange.time)))


def tickers(ask: Ask) -> Answer:
    now = seconds(ask.exchange.time)
    return Answer(
        {market.id: ticker_entity(market, ask.exchange.tape(market.id), now) for market in ask.exchange.markets}
    )


def k_line(ask: Ask) -> Answer:
    market, code = _market(ask), "public.k_line"
    period = ask.read.integer("period", 1, 1, max(PERIODS), code=code)
    if period not in PERIODS:
        ask.read.errors.append("public.k_line.invalid_period")
    time_from = ask.read.optional_integer("time_from", code=code)
    time_to = ask.read.optional_integer("time_to", code=code)
    limit = ask.read.integer("limit", 30, 1, 10_000, code=code)
    ask.check()
    candles = ask.exchange.tape(market.id).candles(
        period, seconds(ask.exchange.time), time_from=time_from, time_to=time_to, limit=limit
    )
    return Answer([candle_point(market, candle) for candle in candles])


def _market(ask: Ask) -> Market:
    market = ask.exchange.market(ask.name)
    if market is None or not is_open(ask, market):
        raise Refused(422, "public.market.doesnt_exist")  # not 404
    return market


def _unit(ask: Ask, name: str) -> str | None:
    unit = ask.read.text(name)
    if unit is not None and unit.upper() not in ask.exchange.currencies:
        ask.read.errors.append(f"public.markets.{name}_doesnt_exist")
    return None if unit is None else unit.upper()


def _found(market: Market, search: dict[str, str]) -> bool:
    """A part of any of the codes or names that are searched for; our currencies are named by their codes."""
    parts = [
        (part, market.base if key.startswith("base_") else market.quote)
        for key, part in search.items()
        if key in {"base_code", "base_name", "quote_code", "quote_name"}
    ]
    return not parts or any(part.upper() in code for part, code in parts)


def _currency(ask: Ask, code: str) -> dict[str, object]:
    precision = max(
        market.amount_precision if market.base == code else market.price_precision
        for market in ask.exchange.markets
        if code in {market.base, market.quote}
    )
    return currency_entity(code, ask.exchange.currencies.index(code) + 1, precision)
