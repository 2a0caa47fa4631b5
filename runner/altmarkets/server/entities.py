"""Rows of the exchange in the words of the wire: REST objects and stream messages. Source: wire reference 3, 4, 6.

Stream messages have their keys in alphabetical order, as Rango sends them.
"""

from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from runner.altmarkets.server.answers import Profile
from runner.altmarkets.server.formats import decimal_text, iso_time, scaled_text, seconds
from runner.model.market import Market
from runner.model.money import MONEY, ZERO, quotient
from runner.model.order import Side
from runner.simulation.feed import BookChanged, BookShown
from runner.simulation.records import Order, Trade, Transfer
from runner.simulation.tape import Candle, Tape

Entity = dict[str, Any]


def market_entity(market: Market, *, hidden: bool) -> Entity:
    return {
        "id": market.id,
        "name": f"{market.base}/{market.quote}",
        "base_unit": market.base.lower(),
        "quote_unit": market.quote.lower(),
        "min_price": decimal_text(market.price_min),
        "max_price": decimal_text(market.price_max or ZERO),
        "min_amount": decimal_text(market.quantity_min),
        "amount_precision": market.amount_precision,
        "price_precision": market.price_precision,
        "state": "hidden" if hidden else "enabled" if market.enabled else "disabled",
    }


def currency_entity(code: str, position: int, precision: int) -> Entity:
    """A coin that nobody can carry in or out."""
    amounts = ("deposit_fee", "min_deposit_amount", "withdraw_fee", "min_withdraw_amount")
    limits = ("withdraw_limit_24h", "withdraw_limit_72h")
    return {
        "id": code.lower(),
        "name": code,
        "symbol": code,
        "type": "coin",
        "explorer_transaction": "",
        "explorer_address": "",
        "deposit_enabled": False,
        "withdrawal_enabled": False,
        **dict.fromkeys((*amounts, *limits), "0.0"),
        "base_factor": 10**8,
        "precision": precision,
        "position": position,
        "min_confirmations": 1,
        "icon_url": "",
    }


# Orders and trades ----------------------------------------------------------------------------------------


def order_entity(order: Order, uuid: str, profile: Profile) -> Entity:
    market = order.market
    fees = {"maker_fee": decimal_text(market.maker_fee), "taker_fee": decimal_text(market.taker_fee)}
    return {
        "id": order.id,
        "uuid": uuid,
        "client_id": order.client_id,
        "side": order.side.value,
        "ord_type": order_type(order),
        "price": _price(order),
        "avg_price": scaled_text(order.average_ticks, market.price_precision),
        "state": order.state.value,
        "market": market.id,
        "created_at": iso_time(order.created, profile.zone),
        "updated_at": iso_time(order.updated, profile.zone),
        "origin_volume": scaled_text(order.lots, market.amount_precision),
        "remaining_volume": scaled_text(order.left, market.amount_precision),
        "executed_volume": scaled_text(order.executed, market.amount_precision),
        **(fees if profile.order_fees else {}),
        "trades_count": order.trades_count,
    }


def order_message(order: Order, profile: Profile) -> Entity:
    market = order.market
    return {
        "at": seconds(order.created),
        "avg_price": scaled_text(order.average_ticks, market.price_precision),
        **({"client_id": order.client_id} if profile.client_id_on_stream else {}),
        "created_at": seconds(order.created),
        "executed_volume": scaled_text(order.executed, market.amount_precision),
        "id": order.id,
        "kind": "bid" if order.side is Side.BUY else "ask",
        "market": market.id,
        "ord_type": order_type(order),
        "origin_volume": scaled_text(order.lots, market.amount_precision),
        "price": _price(order),
        "remaining_volume": scaled_text(order.left, market.amount_precision),
        "side": order.side.value,
        "state": order.state.value,
        "trades_count": order.trades_count,
        "updated_at": seconds(order.updated),
    }


def trade_entity(trade: Trade, order: Order, profile: Profile) -> Entity:
    """A trade as it stands inside one of its two orders."""
    market = trade.market
    return {
        "id": trade.id,
        "price": scaled_text(trade.ticks, market.price_precision),
        "amount": scaled_text(trade.lots, market.amount_precision),
        "total": _total(trade),
        "market": market.id,
        "created_at": iso_time(trade.time, profile.zone),
        "taker_type": trade.taker.side.value,
        "side": order.side.value,
    }


def own_trade_entity(trade: Trade, member: int, profile: Profile) -> Entity:
    order = trade.order_of(member)
    rate, amount, currency = trade.fee(order)
    fee = {"fee_currency": currency.lower(), "fee": decimal_text(rate), "fee_amount": decimal_text(amount)}
    entity = {**trade_entity(trade, order, profile), **fee, "order_id": order.id}
    if profile.received_amount:
        market = trade.market
        gross = market.quantity(trade.lots) if order.side is Side.BUY else market.notional(trade.ticks, trade.lots)
        entity["received_amount"] = decimal_text(MONEY.subtract(gross, amount))
    return entity


def trade_message(trade: Trade, member: int) -> Entity:
    market, order = trade.market, trade.order_of(member)
    return {
        "amount": scaled_text(trade.lots, market.amount_precision),
        "created_at": seconds(trade.time),
        "id": trade.id,
        "market": market.id,
        "order_id": order.id,
        "price": scaled_text(trade.ticks, market.price_precision),
        "side": order.side.value,
        "taker_type": trade.taker.side.value,
        "total": _total(trade),
    }


def public_trade_entity(trade: Trade) -> Entity:
    """Numbers here, for once: this list is read from another store."""
    market = trade.market
    return {
        "id": trade.id,
        "price": market.price_float(trade.ticks),
        "amount": market.quantity_float(trade.lots),
        "total": float(market.notional(trade.ticks, trade.lots)),
        "market": market.id,
        "created_at": seconds(trade.time),
        "taker_type": trade.taker.side.value,
    }


def public_trade_message(trade: Trade) -> Entity:
    market = trade.market
    return {
        "amount": scaled_text(trade.lots, market.amount_precision),
        "date": seconds(trade.time),
        "price": scaled_text(trade.ticks, market.price_precision),
        "taker_type": trade.taker.side.value,
        "tid": trade.id,
    }


def balance_entity(currency: str, available: Decimal, locked: Decimal) -> Entity:
    """`balance` is what is available, without what is locked."""
    return {"currency": currency.lower(), "balance": decimal_text(available), "locked": decimal_text(locked)}


def deposit_entity(transfer: Transfer, profile: Profile) -> Entity:
    return {
        "id": transfer.id,
        "currency": transfer.currency.lower(),
        "amount": decimal_text(transfer.amount),
        "fee": "0.0",
        "txid": _txid(transfer),
        "confirmations": 1,
        "state": "collected",
        "created_at": iso_time(transfer.time, profile.zone),
        "completed_at": iso_time(transfer.time, profile.zone),
        "tid": _txid(transfer),
    }


def withdraw_entity(transfer: Transfer, profile: Profile) -> Entity:
    at = iso_time(transfer.time, profile.zone)
    return {
        "id": transfer.id,
        "currency": transfer.currency.lower(),
        "type": "coin",
        "amount": decimal_text(-transfer.amount),
        "fee": "0.0",
        "blockchain_txid": _txid(transfer),
        "rid": "",
        "state": "succeed",
        "confirmations": 1,
        "note": None,
        "created_at": at,
        "updated_at": at,
        "done_at": at,
    }


def transaction_entity(transfer: Transfer, profile: Profile) -> Entity:
    at = iso_time(transfer.time, profile.zone)
    deposited = transfer.amount > 0
    return {
        "address": "",
        "currency": transfer.currency.lower(),
        "amount": decimal_text(abs(transfer.amount)),
        "fee": "0.0",
        "txid": _txid(transfer),
        "state": "collected" if deposited else "succeed",
        "note": None,
        "confirmations": 1,
        "created_at": at,
        "updated_at": at,
        "type": "Deposit" if deposited else "Withdraw",
    }


def _txid(transfer: Transfer) -> str:
    return f"sandbox-{transfer.id}"


def order_type(order: Order) -> str:
    return "market" if order.ticks is None else "limit"


# Books, candles, tickers ----------------------------------------------------------------------------------


def level_texts(market: Market, levels: Iterable[tuple[int, int]]) -> list[tuple[str, str]]:
    return [
        (scaled_text(ticks, market.price_precision), scaled_text(lots, market.amount_precision))
        for ticks, lots in levels
    ]


def snapshot_message(event: BookShown) -> Entity:
    return {
        "asks": level_texts(event.market, event.asks),
        "bids": level_texts(event.market, event.bids),
        "sequence": event.sequence,
    }


def increment_text(stream: str, event: BookChanged) -> str:
    """The flat form, as JSON text: one side, one level. This is most of what an exchange has to say."""
    side = "bids" if event.side is Side.BUY else "asks"
    price = scaled_text(event.ticks, event.market.price_precision)
    volume = scaled_text(event.lots, event.market.amount_precision) if event.lots else ""
    return f'{{"{stream}":{{"{side}":["{price}","{volume}"],"sequence":{event.sequence}}}}}'


def candle_point(market: Market, candle: Candle) -> list[float]:
    """Time, open, high, low, close, volume in base: numbers."""
    prices = (market.price_float(ticks) for ticks in (candle.open, candle.high, candle.low, candle.close))
    return [candle.start, *prices, market.quantity_float(candle.lots)]


def ticker_figures(market: Market, tape: Tape, now: int) -> dict[str, str]:
    """Figures of the last 24 hours at `now` (seconds), flat. `volume` is in quote, `amount` in base."""
    digits = market.price_precision
    last = tape.last_ticks or 0
    day = tape.day(now) or Candle(now, 0, 0, 0, 0)
    average, change = ZERO, ZERO
    if day.lots:
        average = quotient(Decimal(day.total), Decimal(day.lots)).scaleb(-digits, MONEY)
        change = quotient(Decimal(100 * (last - day.open)), Decimal(day.open))
    step = Decimal(1).scaleb(-digits - 4)  # some digits more than a price has
    return {
        "amount": scaled_text(day.lots, market.amount_precision),
        "at": str(now),
        "avg_price": decimal_text(average.quantize(step, ROUND_HALF_EVEN)),
        "high": scaled_text(day.high, digits),
        "last": scaled_text(last, digits),
        "low": scaled_text(day.low, digits),
        "open": scaled_text(day.open, digits),
        "price_change_percent": f"{change:+.2f}%",
        "volume": scaled_text(day.total, digits + market.amount_precision),
    }


def ticker_entity(market: Market, tape: Tape, now: int) -> Entity:
    figures: Entity = dict(ticker_figures(market, tape, now))
    at = figures.pop("at")
    return {"at": at, "ticker": {**figures, "vol": figures["volume"], "at": None}}


def _price(order: Order) -> str | None:
    return None if order.ticks is None else scaled_text(order.ticks, order.market.price_precision)


def _total(trade: Trade) -> str:
    market = trade.market
    return scaled_text(trade.ticks * trade.lots, market.price_precision + market.amount_precision)
