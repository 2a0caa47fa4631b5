"""The venue's objects as they come over the wire, and what they are in the runner's words.

Here `volume` becomes `quantity`, an id a symbol, a decimal whole ticks and lots. Unknown fields are ignored, ids
and decimals may be text or numbers, times ISO 8601 or unix seconds; anything else is Unreadable.
Source: wire reference 4.2, 4.4, 4.8, 6.3, 6.4, 7.1.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from runner.altmarkets.numbers import SECONDS_MAX, WHOLE_MAX, Grid, OffTheMap, Unreadable, exact, seconds, shown
from runner.model.event import Levels, PublicTrade
from runner.model.market import Market
from runner.model.money import ZERO
from runner.model.order import BalanceRow, OrderRow, Side, TradeRow, TransferKind, TransferRow

Grids = Mapping[str, Grid]
"""All of the venue's markets by id, each with its grid."""

MALFORMED = (ValueError, RecursionError)
"""What msgspec raises on bytes that are not JSON of the wanted shape: its own errors and those of text encoding
are ValueErrors, and brackets nested too deep exhaust the stack."""


def grids(markets: Iterable[Market]) -> dict[str, Grid]:
    return {market.id: Grid(market) for market in markets}


# What the wire says ---------------------------------------------------------------------------------------


class WireTrade(Struct):
    id: int
    market: str
    side: Side  # of our order
    taker_type: Side
    price: Decimal
    amount: Decimal
    created_at: Any
    order_id: int | None = None
    fee_amount: Decimal | None = None
    fee_currency: str | None = None


class WireOrder(Struct):
    id: int
    market: str
    side: Side
    state: str
    origin_volume: Decimal
    remaining_volume: Decimal
    executed_volume: Decimal
    created_at: Any
    updated_at: Any
    price: Decimal | None = None
    client_id: str | None = None
    trades: list[Any] | None = None


class WireBalance(Struct):
    currency: str
    balance: Decimal
    locked: Decimal


class WireTransfer(Struct):
    currency: str
    amount: Decimal
    created_at: Any
    fee: Decimal = ZERO
    id: int | None = None


class WirePublicTrade(Struct):
    tid: int
    taker_type: Side
    date: Any
    price: Any
    amount: Any


class StockTrade(Struct, gc=False):
    tid: int
    taker_type: Side
    date: int
    price: str
    amount: str


class StockTrades(Struct, gc=False):
    """Body of `{market}.trades` as the stock server writes it."""

    trades: tuple[StockTrade, ...]


class StockIncrement(Struct, gc=False):
    """Body of `{market}.ob-inc` as the stock server writes it: one level of one side, both numbers as text."""

    sequence: int
    bids: tuple[str, str] | None = None
    asks: tuple[str, str] | None = None


class StockFrame(Struct, gc=False):
    """A frame of one market's public streams in its stock form: one of the two."""

    increment: StockIncrement | None = None
    trades: StockTrades | None = None


_untyped = msgspec.json.Decoder(float_hook=Decimal)


def stock_decoder(market_id: str) -> Callable[[bytes | str], StockFrame]:
    """A decoder of nearly all that the public streams of a market say, three times as fast as `decode`.

    It raises one of MALFORMED on every frame that differs from the stock form in any way, be it by an added key.
    """
    frame = msgspec.defstruct(
        "Frame",
        [
            ("increment", StockIncrement | None, msgspec.field(default=None, name=f"{market_id}.ob-inc")),
            ("trades", StockTrades | None, msgspec.field(default=None, name=f"{market_id}.trades")),
        ],
        bases=(StockFrame,),
        forbid_unknown_fields=True,
        gc=False,
    )
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(frame)
    return decoder.decode


def decode(text: bytes | str) -> Any:
    """JSON to plain Python, numbers with a point as exact Decimals. Raises Unreadable."""
    try:
        return _untyped.decode(text)
    except MALFORMED as error:
        raise Unreadable(f"not JSON: {error}") from None


# What it means --------------------------------------------------------------------------------------------


def order_row(value: object, grids: Grids) -> OrderRow:
    """An order in any of its shapes: REST, REST with trades, private stream.

    A market order has no price. `client_id` and `trades` are None where the venue leaves them out.
    """
    wire = shaped(value, WireOrder, "order")
    grid = _grid_of(wire.market, grids)
    return OrderRow(
        id=wire.id,
        market=grid.symbol,
        side=wire.side,
        state=wire.state,
        ticks=None if wire.price is None else positive(grid.ticks_of(wire.price), "price"),
        origin_lots=positive(grid.lots_of(wire.origin_volume), "origin volume"),
        remaining_lots=not_negative(grid.lots_of(wire.remaining_volume), "remaining volume"),
        executed_lots=not_negative(grid.lots_of(wire.executed_volume), "executed volume"),
        created_at=seconds(wire.created_at),
        updated_at=seconds(wire.updated_at),
        client_id=wire.client_id,
        trades=None if wire.trades is None else tuple(trade_row(trade, grids) for trade in wire.trades),
    )


def trade_row(value: object, grids: Grids) -> TradeRow:
    """One of our trades: `/market/trades`, private stream, or inside an order (no order id, no fee there)."""
    wire = shaped(value, WireTrade, "trade")
    grid = _grid_of(wire.market, grids)
    return TradeRow(
        id=wire.id,
        order_id=wire.order_id,
        market=grid.symbol,
        side=wire.side,
        ticks=positive(grid.ticks_of(wire.price), "price"),
        lots=positive(grid.lots_of(wire.amount), "amount"),
        taker_side=wire.taker_type,
        created_at=seconds(wire.created_at),
        fee=None if wire.fee_amount is None else exact(wire.fee_amount),
        fee_currency=None if wire.fee_currency is None else wire.fee_currency.upper(),
    )


def public_trade(value: object, grid: Grid) -> PublicTrade:
    """One element of `{market}.trades`."""
    wire = shaped(value, WirePublicTrade, "public trade")
    ticks, lots = positive(grid.ticks_of(wire.price), "price"), positive(grid.lots_of(wire.amount), "amount")
    return PublicTrade(grid.symbol, wire.tid, ticks, lots, wire.taker_type, seconds(wire.date))


def stock_trades(body: StockTrades, grid: Grid) -> list[PublicTrade]:
    """The same from the stock form: every trade of a message, or Unreadable."""
    found = []
    for wire in body.trades:
        ticks = grid.known_ticks.get(wire.price) or grid.ticks(wire.price)
        lots, at = grid.lots(wire.amount), wire.date
        if ticks <= 0 or lots <= 0 or not 0 <= at <= SECONDS_MAX:
            raise Unreadable(f"trade {wire.tid} of {lots} lots at {ticks} ticks is none")
        found.append(PublicTrade(grid.symbol, wire.tid, ticks, lots, wire.taker_type, at))
    return found


def sequence_number(body: object) -> int:
    """The number of a book's message."""
    if not isinstance(body, dict) or "sequence" not in body:
        raise Unreadable(f"{shown(body)} has no sequence number")
    number = exact(body["sequence"])
    if number != int(number) or not 0 <= number <= WHOLE_MAX:
        raise Unreadable(f"{shown(number)} is not a sequence number")
    return int(number)


def book_levels(body: object, side: str, grid: Grid) -> Levels:
    """One side of a snapshot or an increment: `["1.0","2.0"]`, `[["1.0","2.0"],…]`, `[]` or nothing at all.

    Zero lots stand for a deletion, which the wire writes as `""`, `"0"`, `"0.0"`, 0 or null.
    """
    found = body.get(side) if isinstance(body, dict) else None
    if found is None:
        return ()
    if not isinstance(found, list):
        raise Unreadable(f"{shown(found)} is not a side of a book")
    pairs = found if found and isinstance(found[0], list) else [found] if found else []
    return tuple(_level(pair, grid) for pair in pairs)


def balance_row(value: object) -> BalanceRow:
    """One currency. The wire's `balance` is the available part, without what open orders lock."""
    wire = shaped(value, WireBalance, "balance")
    return BalanceRow(wire.currency.upper(), exact(wire.balance), exact(wire.locked))


def transfer_row(value: object, kind: TransferKind) -> TransferRow:
    """A deposit or a withdrawal, whatever its state."""
    wire = shaped(value, WireTransfer, kind)
    return TransferRow(
        kind, wire.id, wire.currency.upper(), exact(wire.amount), exact(wire.fee), seconds(wire.created_at)
    )


def error_codes(body: bytes | str) -> tuple[str, ...] | None:
    """The venue's own words for a refusal, whichever envelope they come in; None if it is not one of those.

    `{"errors":["code"]}`, `{"errors":"code"}`, `{"error":{"code":2002,"message":"text"}}`, `{"error":"text"}`.
    """
    try:
        envelope = decode(body)
    except Unreadable:
        return None
    if not isinstance(envelope, dict):
        return None
    match envelope.get("errors", envelope.get("error")):
        case list(codes):
            return tuple(code if isinstance(code, str) else shown(code) for code in codes) or None
        case dict(error):
            return tuple(word if isinstance(word, str) else shown(word) for word in error.values()) or None
        case str(code):
            return (code,)
    return None


Shape = TypeVar("Shape")


def shaped(value: object, shape: type[Shape], noun: str) -> Shape:
    """A decoded value as one of the wire's structs. Raises Unreadable with the field that does not fit."""
    try:
        return msgspec.convert(value, shape, strict=False)
    except MALFORMED as error:
        raise Unreadable(f"{noun}: {error}") from None


def positive(number: int, noun: str) -> int:
    """A price, or a quantity where none would be nonsense. Raises Unreadable."""
    if number <= 0:
        raise Unreadable(f"{noun} is not above zero")
    return number


def not_negative(number: int, noun: str) -> int:
    """A quantity that may be nothing. Raises Unreadable."""
    if number < 0:
        raise Unreadable(f"{noun} is below zero")
    return number


def _level(pair: object, grid: Grid) -> tuple[int, int]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise Unreadable(f"{shown(pair)} is not a level of a book")
    price, quantity = pair
    lots = 0 if quantity in ("", None) else grid.lots_of(quantity)
    return positive(grid.ticks_of(price), "price"), not_negative(lots, "amount")


def _grid_of(market_id: str, grids: Grids) -> Grid:
    grid = grids.get(market_id)
    if grid is None:
        raise OffTheMap(f"market {market_id!r} is not one of the venue's {len(grids)} markets")
    return grid
