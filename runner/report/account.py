"""What a venue told about itself and an account, as tables. Times are UTC, amounts exact decimals."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from runner.model.event import PublicTrade
from runner.model.market import Market
from runner.model.money import MONEY, plain
from runner.model.order import BalanceRow, OrderRow, TradeRow
from runner.report.tables import Cell, Column, Row, Table

Markets = Mapping[str, Market]
"""By symbol."""

Mine = Callable[[OrderRow], bool]
"""Tells the orders of one strategy from others."""


def markets_table(markets: Iterable[Market]) -> Table:
    rows: list[Row] = [
        {
            "market": market.symbol,
            "id": market.id,
            "tick_size": plain(market.tick_size),
            "lot_size": plain(market.lot_size),
            "price_min": plain(market.price_min),
            "price_max": None if market.price_max is None else plain(market.price_max),
            "quantity_min": plain(market.quantity_min),
            "maker_fee": plain(market.maker_fee),
            "taker_fee": plain(market.taker_fee),
            "enabled": market.enabled,
        }
        for market in sorted(markets, key=lambda market: market.symbol)
    ]
    columns = (
        Column("market", "market"),
        Column("tick_size", "tick size", right=True),
        Column("lot_size", "lot size", right=True),
        Column("quantity_min", "least quantity", right=True),
        Column("price_min", "least price", right=True),
        Column("price_max", "highest price", right=True),
        Column("maker_fee", "maker fee", right=True),
        Column("taker_fee", "taker fee", right=True),
        Column("enabled", "open"),
    )
    return Table(columns, tuple(rows), "no markets")


def balances_table(balances: Iterable[BalanceRow], *, zeros: bool = False) -> Table:
    rows: list[Row] = []
    for row in sorted(balances, key=lambda row: row.currency):
        total = MONEY.add(row.available, row.locked)
        if zeros or total:
            amounts = {"available": plain(row.available), "locked": plain(row.locked), "total": plain(total)}
            rows.append({"currency": row.currency, **amounts})
    columns = (
        Column("currency", "currency"),
        Column("available", "available", right=True),
        Column("locked", "in orders", right=True),
        Column("total", "total", right=True),
    )
    return Table(columns, tuple(rows), "the account is empty")


def order_facts(row: OrderRow, markets: Markets, mine: Mine | None) -> Row:
    """`mine` is None where it is not known whose orders are meant."""
    market = markets[row.market]
    return {
        "id": row.id,
        "market": row.market,
        "side": row.side.value,
        "price": None if row.ticks is None else plain(market.price(row.ticks)),
        "quantity": plain(market.quantity(row.origin_lots)),
        "filled": plain(market.quantity(row.executed_lots)),
        "remaining": plain(market.quantity(row.remaining_lots)),
        "state": row.state,
        "created_at": utc(row.created_at),
        "client_id": row.client_id,
        "mine": None if mine is None else mine(row),
    }


def orders_table(orders: Iterable[OrderRow], markets: Markets, mine: Mine | None) -> Table:
    rows = tuple(order_facts(row, markets, mine) for row in sorted(orders, key=lambda row: row.id))
    columns = [
        Column("id", "order", right=True),
        Column("market", "market"),
        Column("side", "side"),
        Column("price", "price", right=True),
        Column("quantity", "quantity", right=True),
        Column("filled", "filled", right=True),
        Column("state", "state"),
        Column("created_at", "created (UTC)", cut=True),
        Column("client_id", "client order id"),
    ]
    if mine is not None:
        columns.append(Column("mine", "mine"))
    return Table(tuple(columns), rows, "no orders")


def trades_table(trades: Iterable[TradeRow], markets: Markets) -> Table:
    """Own trades; the fee is in `fee_currency`, taken from what was received."""
    rows: list[Row] = []
    for row in trades:
        market = markets[row.market]
        facts: dict[str, Cell] = {"id": row.id, "order_id": row.order_id, "market": row.market, "side": row.side.value}
        facts |= _price(market, row.ticks, row.lots)
        facts["fee"] = None if row.fee is None else plain(row.fee)
        facts["fee_currency"] = row.fee_currency
        facts["role"] = "taker" if row.side is row.taker_side else "maker"
        facts["time"] = utc(row.created_at)
        rows.append(facts)
    columns = (
        Column("time", "time (UTC)", cut=True),
        Column("market", "market"),
        Column("side", "side"),
        Column("price", "price", right=True),
        Column("quantity", "quantity", right=True),
        Column("total", "total", right=True),
        Column("fee", "fee", right=True),
        Column("fee_currency", "in"),
        Column("role", "role"),
        Column("order_id", "order", right=True),
    )
    return Table(columns, tuple(rows), "no trades")


def public_trades_table(trades: Iterable[PublicTrade], market: Market) -> Table:
    rows: list[Row] = [
        {
            "id": trade.id,
            "market": trade.market,
            "taker_side": trade.taker_side.value,
            **_price(market, trade.ticks, trade.lots),
            "time": utc(trade.traded_at),
        }
        for trade in trades
    ]
    columns = (
        Column("time", "time (UTC)", cut=True),
        Column("taker_side", "taker"),
        Column("price", "price", right=True),
        Column("quantity", "quantity", right=True),
        Column("total", "total", right=True),
    )
    return Table(columns, tuple(rows), "no trades")


CANDLE_COLUMNS = (
    Column("time", "time (UTC)", cut=True),
    *(Column(name, name, right=True) for name in ("open", "high", "low", "close", "volume")),
)


def candle_facts(time: int, prices: Iterable[Decimal]) -> Row:
    """`time` in seconds; `prices`: open, high, low, close, and the volume in base."""
    numbers = zip(("open", "high", "low", "close", "volume"), prices, strict=True)
    return {"time": utc(time), **{name: plain(number) for name, number in numbers}}


def utc(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _price(market: Market, ticks: int, lots: int) -> dict[str, Cell]:
    return {
        "price": plain(market.price(ticks)),
        "quantity": plain(market.quantity(lots)),
        "total": plain(market.notional(ticks, lots)),
    }
