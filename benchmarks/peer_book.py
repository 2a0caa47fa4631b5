"""The same tape through the Python book of NautilusTrader, where that is installed: decode, apply, best bid and ask.

Without a sequence check, which its `OrderBook` leaves to the adapter. It is not among our dependencies: where it is
missing nothing is measured (`pip install nautilus_trader msgspec` into a scratch environment, and run this from there).
"""

from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from statistics import median
from time import process_time
from typing import Any

import msgspec

from benchmarks.tape import Tape
from benchmarks.wire import CHUNK, SEED, measure

LINES = 200_000


class _Increment(msgspec.Struct):
    sequence: int
    bids: tuple[str, str] | None = None
    asks: tuple[str, str] | None = None


class _Frame(msgspec.Struct, rename={"increment": "rogerbtc.ob-inc"}):
    increment: _Increment | None = None


def figures() -> Iterator[dict[str, Any]]:
    if find_spec("nautilus_trader") is None:
        return
    ours, theirs = median(measure(Tape(SEED), LINES)), median(_nautilus(Tape(SEED), LINES))
    yield {"figure": "nautilus_book", "value": round(theirs), "unit": "events/s", "budget": None, "lines": LINES}
    yield {"figure": "wire_to_best_over_nautilus", "value": round(ours / theirs, 2), "unit": "ratio/s", "budget": 2}


def _nautilus(tape: Tape, lines: int) -> Iterator[float]:
    from nautilus_trader.model.book import OrderBook  # type: ignore[import-not-found, unused-ignore]
    from nautilus_trader.model.data import BookOrder, OrderBookDelta  # type: ignore[import-not-found, unused-ignore]
    from nautilus_trader.model.enums import (  # type: ignore[import-not-found, unused-ignore]
        BookAction,
        BookType,
        OrderSide,
    )
    from nautilus_trader.model.identifiers import InstrumentId  # type: ignore[import-not-found, unused-ignore]
    from nautilus_trader.model.objects import Price, Quantity  # type: ignore[import-not-found, unused-ignore]

    name = InstrumentId.from_str("ROGER-BTC.ALTM")
    book = OrderBook(name, BookType.L2_MBP)
    nothing = Quantity.from_str("0.0")
    decode = msgspec.json.Decoder(_Frame).decode

    def take(side: Any, price: str, quantity: str, sequence: int) -> None:
        action = BookAction.UPDATE if quantity else BookAction.DELETE
        size = Quantity.from_str(quantity) if quantity else nothing
        order = BookOrder(side, Price.from_str(price), size, 0)
        book.apply_delta(OrderBookDelta(name, action, order, 0, sequence, 0, 0))

    snapshot = msgspec.json.decode(tape.snapshot())["rogerbtc.ob-snap"]
    for side, levels in ((OrderSide.BUY, snapshot["bids"]), (OrderSide.SELL, snapshot["asks"])):
        for price, quantity in levels:
            take(side, price, quantity, snapshot["sequence"])
    source = tape.lines(lines)
    while chunk := list(islice(source, CHUNK)):
        began = process_time()
        for text in chunk:
            body = decode(text).increment
            if body is not None:
                if body.bids is not None:
                    take(OrderSide.BUY, *body.bids, body.sequence)
                elif body.asks is not None:
                    take(OrderSide.SELL, *body.asks, body.sequence)
            book.best_bid_price()
            book.best_ask_price()
        yield len(chunk) / (process_time() - began)
