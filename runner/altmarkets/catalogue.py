"""What the venue tells everybody: currencies, books, public trades, tickers, candles, levels, its health.

Markets, trading fees, version and time are read in `rest.py`, where a run begins. Money is exact Decimals, times
are whole seconds since 1970. Source: wire reference, section 3.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from msgspec import Struct

from runner.altmarkets import rest
from runner.altmarkets.lookup import Listing, Page, Question, a_list, question, readable
from runner.altmarkets.messages import Grids, book_levels, order_row, positive, shaped
from runner.altmarkets.numbers import Grid, Unreadable, exact, seconds, shown
from runner.altmarkets.rest import Fees, Request
from runner.model.event import Levels, PublicTrade
from runner.model.market import Market
from runner.model.money import MONEY, ZERO
from runner.model.order import OrderRow, Side

PERIODS = {
    "1m": 1, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "12h": 720, "1d": 1440,
    "3d": 4320, "1w": 10080,
}  # fmt: skip
"""Lengths of a candle: the name in a stream, and minutes."""

CANDLES_MAX = 1000
"""Candles asked for at once; the venue gives up to ten thousand, and slowly."""

DEPTH_LEVELS = 1000
ORDER_BOOK_ORDERS = 200
PUBLIC_TRADES = 1000


class Currency(Struct, frozen=True, kw_only=True):
    """Fees and minima in the currency itself. `kind` is `coin` or `fiat`."""

    code: str
    name: str
    kind: str
    precision: int
    deposit_enabled: bool
    withdrawal_enabled: bool
    deposit_fee: Decimal
    deposit_min: Decimal
    withdraw_fee: Decimal
    withdraw_min: Decimal


class Depth(Struct, frozen=True):
    """Levels in ticks and lots, best first. It lags the stream, cannot be joined to it, and may be crossed (3.3)."""

    market: str  # symbol
    time: int
    bids: Levels
    asks: Levels


class RestingOrders(Struct, frozen=True):
    """Single orders of everybody, best price first, then oldest first."""

    bids: tuple[OrderRow, ...]
    asks: tuple[OrderRow, ...]


class Ticker(Struct, frozen=True, kw_only=True):
    """The last 24 hours. Prices are quote per base; `change` is a fraction. No best bid and ask: there are none."""

    market_id: str
    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    last: Decimal
    average: Decimal
    base_volume: Decimal
    quote_volume: Decimal
    change: Decimal


class Candle(Struct, frozen=True):
    """`time` is the start of the period; `volume` in base. Prices as told: the venue computes them with floats."""

    time: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


class MemberLevels(Struct, frozen=True):
    """The account levels that depositing, withdrawing and trading ask for."""

    deposit: int
    withdraw: int
    trading: int


# Lists ----------------------------------------------------------------------------------------------------


def markets(fees: tuple[Fees, ...] = ()) -> Listing[Market]:
    """All markets, with the fees that an ordinary member pays there."""
    return Listing(
        "/public/markets", lambda value: rest.market_row(value, fees), lambda market: market.id, private=False
    )


def trading_fees() -> Listing[Fees]:
    return Listing("/public/trading_fees", rest.fees_row, lambda row: (row.group, row.market_id), private=False)


def currencies(kind: str = "coin") -> Listing[Currency]:
    """`kind`: coin or fiat; the venue lists one of the two."""
    return Listing("/public/currencies", _currency, lambda row: row.code, (("type", kind),), private=False)


# One answer -----------------------------------------------------------------------------------------------


def currency(code: str) -> Question[Currency]:
    return question(f"/public/currencies/{code.lower()}", _currency)


def timestamp() -> Question[int]:
    """The venue's clock, UTC ns to the second below."""
    return Question(rest.timestamp_request(), rest.read_timestamp)


def version() -> Question[str]:
    return Question(rest.version_request(), rest.read_version)


def member_levels() -> Question[MemberLevels]:
    return question("/public/member-levels", _member_levels)


def health(what: str = "alive") -> Question[bool]:
    """`alive` or `ready`. True for any 2xx, whatever the body; the venue says no with 503."""
    return Question(Request("GET", f"/public/health/{what}", private=False), lambda _: True)


def depth(grid: Grid, limit: int = DEPTH_LEVELS) -> Question[Depth]:
    return question(f"/public/markets/{grid.market.id}/depth", lambda value: _depth(value, grid), limit=limit)


def order_book(grid: Grid, limit: int = ORDER_BOOK_ORDERS) -> Question[RestingOrders]:
    def read(value: Any) -> RestingOrders:
        grids: Grids = {grid.market.id: grid}
        bids, asks = (
            tuple(order_row(row, grids) for row in a_list(_keys(value).get(side))) for side in ("bids", "asks")
        )
        return RestingOrders(bids, asks)

    return question(f"/public/markets/{grid.market.id}/order-book", read, bids_limit=limit, asks_limit=limit)


def public_trades(grid: Grid, limit: int = PUBLIC_TRADES) -> Question[Page[PublicTrade]]:
    """The newest trades, newest first. The venue keeps older ones to itself: there is no second page."""

    def read(value: Any) -> Page[PublicTrade]:
        rows, faults = readable(a_list(value), lambda row: _public_trade(row, grid))
        return Page(tuple(rows), tuple(faults), more=False)

    return question(f"/public/markets/{grid.market.id}/trades", read, limit=limit)


def ticker(market_id: str) -> Question[Ticker]:
    return question(f"/public/markets/{market_id}/tickers", lambda value: ticker_row(market_id, value))


def tickers() -> Question[tuple[Ticker, ...]]:
    """Of all markets, more than a hundred too: this answer has no pages. One that cannot be read is left out."""

    def read(value: Any) -> tuple[Ticker, ...]:
        rows, _ = readable(_keys(value).items(), lambda item: ticker_row(*item))
        return tuple(rows)

    return question("/public/markets/tickers", read)


def candles(market_id: str, period: str, since: int, until: int) -> Iterator[Question[tuple[Candle, ...]]]:
    """Candles that begin in [since, until), oldest first, in as many questions as it takes.

    `period` is one of PERIODS. Both ends are given each time: then the venue's own limit does not cut (3.7).
    """
    minutes = PERIODS[period]
    length = minutes * 60
    begin = -(-since // length) * length
    for start in range(begin, until, CANDLES_MAX * length):
        last = min(start + CANDLES_MAX * length, until) - 1  # both ends count
        yield question(f"/public/markets/{market_id}/k-line", _candles, period=minutes, time_from=start, time_to=last)


def candle_questions(period: str, since: int, until: int) -> int:
    """How many questions `candles` will ask."""
    length = PERIODS[period] * 60
    return len(range(-(-since // length) * length, until, CANDLES_MAX * length))


# What the wire says ---------------------------------------------------------------------------------------


class _WireCurrency(Struct):
    id: str
    name: str = ""
    type: str = "coin"
    precision: int = 8
    deposit_enabled: bool = True
    withdrawal_enabled: bool = True
    deposit_fee: Decimal = ZERO
    min_deposit_amount: Decimal = ZERO
    withdraw_fee: Decimal = ZERO
    min_withdraw_amount: Decimal = ZERO


class _WirePublicTrade(Struct):
    id: int
    price: Any
    amount: Any
    taker_type: Side
    created_at: Any


class _WireTicker(Struct):
    low: Decimal
    high: Decimal
    open: Decimal
    last: Decimal
    volume: Decimal  # in QUOTE units: wire reference 3.6
    amount: Decimal = ZERO  # in base
    avg_price: Decimal = ZERO
    price_change_percent: str = "+0.00%"


def _currency(value: Any) -> Currency:
    wire = shaped(value, _WireCurrency, "currency")
    return Currency(
        code=wire.id.upper(),
        name=wire.name,
        kind=wire.type,
        precision=wire.precision,
        deposit_enabled=wire.deposit_enabled,
        withdrawal_enabled=wire.withdrawal_enabled,
        deposit_fee=exact(wire.deposit_fee),
        deposit_min=exact(wire.min_deposit_amount),
        withdraw_fee=exact(wire.withdraw_fee),
        withdraw_min=exact(wire.min_withdraw_amount),
    )


def _depth(value: Any, grid: Grid) -> Depth:
    body = _keys(value)
    bids, asks = (book_levels(body, side, grid) for side in ("bids", "asks"))
    return Depth(grid.symbol, seconds(body.get("timestamp")), bids, asks)


def _public_trade(value: Any, grid: Grid) -> PublicTrade:
    wire = shaped(value, _WirePublicTrade, "public trade")
    ticks, lots = positive(grid.ticks_of(wire.price), "price"), positive(grid.lots_of(wire.amount), "amount")
    return PublicTrade(grid.symbol, wire.id, ticks, lots, wire.taker_type, seconds(wire.created_at))


def ticker_row(market_id: str, value: Any) -> Ticker:
    """The figures of one market, with or without a `ticker` level around them. Raises Unreadable."""
    body = _keys(value)
    # Cached copies of newer servers are the same but for an `at` inside; the stream's have no `ticker` level at all.
    wire = shaped(body.get("ticker", body), _WireTicker, f"ticker {market_id}")
    percent = exact(wire.price_change_percent.removesuffix("%"))
    return Ticker(
        market_id=market_id,
        time=seconds(body.get("at")),
        open=exact(wire.open),
        high=exact(wire.high),
        low=exact(wire.low),
        last=exact(wire.last),
        average=exact(wire.avg_price),
        base_volume=exact(wire.amount),
        quote_volume=exact(wire.volume),
        change=percent.scaleb(-2, MONEY),
    )


def _candles(value: Any) -> tuple[Candle, ...]:
    return tuple(candle_row(point) for point in a_list(value))


def candle_row(point: Any) -> Candle:
    """One point of a k-line, REST's or the stream's: six numbers, or texts of them. Raises Unreadable."""
    numbers = a_list(point)
    if len(numbers) != 6:
        raise Unreadable(f"{shown(point)} is not a candle")
    return Candle(seconds(numbers[0]), *(exact(number) for number in numbers[1:]))


def _member_levels(value: Any) -> MemberLevels:
    levels = []
    for what in ("deposit", "withdraw", "trading"):
        level = exact(_keys(_keys(value).get(what)).get("minimum_level"))
        levels.append(int(level))
    return MemberLevels(*levels)


def _keys(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(f"{shown(value)} is not an object")
    return value
