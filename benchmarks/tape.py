"""A tape in the exchange's wire form, made from a seed: what a busy market's public stream says.

300 levels a side at the start, a middle price that walks at random, one level of one side per increment, about one
trade per ten updates. The mix follows what public recordings of two busy spot markets show (of their level updates
28 and 48 % delete, 26 and 40 % create, 46 and 12 % change; 52 and 74 % of the quantities were seen before): a
third each, and a given share of the quantities comes from a list of sizes that traders like.
"""

import random
from collections.abc import Iterator
from decimal import Decimal

from runner.model.market import Market

MARKET = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)

LEVELS = 300  # a side, at the start
MIDDLE = 100_000  # ticks, at the start
TRADE_EVERY = 11  # lines
SIZES = 2_000  # quantities that come again and again
LOTS_MAX = 1_000_000


class Tape:
    """Writes the lines, and keeps the book they describe, so that a reader can be checked at the end.

    `repeated` is the share of quantities taken from the list of sizes. Same seed, same bytes.
    """

    def __init__(self, seed: int = 1, repeated: float = 0.6) -> None:
        self._random = random.Random(seed)
        self._repeated = repeated
        self._sizes = [self._random.randint(1, LOTS_MAX) for _ in range(SIZES)]
        self._middle = MIDDLE
        self._sequence = 1
        self._trade = 0
        self.bids = {MIDDLE - distance: self._lots() for distance in range(1, LEVELS + 1)}
        self.asks = {MIDDLE + distance: self._lots() for distance in range(1, LEVELS + 1)}

    def snapshot(self) -> bytes:
        """The line a subscriber gets first."""
        bids = ",".join(f'["{_price(ticks)}","{_quantity(self.bids[ticks])}"]' for ticks in sorted(self.bids)[::-1])
        asks = ",".join(f'["{_price(ticks)}","{_quantity(self.asks[ticks])}"]' for ticks in sorted(self.asks))
        return f'{{"rogerbtc.ob-snap":{{"asks":[{asks}],"bids":[{bids}],"sequence":{self._sequence}}}}}'.encode()

    def lines(self, count: int) -> Iterator[bytes]:
        """The next `count` lines."""
        for _ in range(count):
            yield (self._trade_line() if self._random.random() * TRADE_EVERY < 1 else self._increment()).encode()

    def _trade_line(self) -> str:
        self._trade += 1
        side = "buy" if self._random.random() < 0.5 else "sell"
        return (
            f'{{"rogerbtc.trades":{{"trades":[{{"tid":{self._trade},"taker_type":"{side}","date":1700000001,'
            f'"price":"{_price(self._middle)}","amount":"{_quantity(self._lots())}"}}]}}}}'
        )

    def _increment(self) -> str:
        side, levels, ticks = self._place()
        lots = 0
        if ticks in levels:
            # As many deletions as creations, or the book would fill up or run dry.
            lots = 0 if self._must_go(side, ticks) or self._random.random() < 0.5 else self._lots()
        elif not self._must_go(side, ticks):
            lots = self._lots()
        if lots:
            levels[ticks] = lots
        else:
            levels.pop(ticks, None)  # a cancel that finds nothing still says so (reference 6.3)
        self._sequence += 1
        quantity = _quantity(lots) if lots else ""
        return f'{{"rogerbtc.ob-inc":{{"{side}":["{_price(ticks)}","{quantity}"],"sequence":{self._sequence}}}}}'

    def _place(self) -> tuple[str, dict[int, int], int]:
        """Where the next change is: mostly near the middle; first of all where the middle has moved over a level."""
        rand = self._random.random
        if rand() < 0.05:
            self._middle += 1 if rand() < 0.5 else -1
        middle = self._middle
        for ticks in (middle, middle - 1, middle + 1):
            if ticks >= middle and ticks in self.bids:
                return "bids", self.bids, ticks
            if ticks <= middle and ticks in self.asks:
                return "asks", self.asks, ticks
        distance = 1 + int(LEVELS * rand() * rand())
        return ("bids", self.bids, middle - distance) if rand() < 0.5 else ("asks", self.asks, middle + distance)

    def _must_go(self, side: str, ticks: int) -> bool:
        return ticks >= self._middle if side == "bids" else ticks <= self._middle

    def _lots(self) -> int:
        rand = self._random.random
        return self._sizes[int(rand() * SIZES)] if rand() < self._repeated else 1 + int(rand() * LOTS_MAX)


def _price(ticks: int) -> str:
    return _plain(ticks, 8)


def _quantity(lots: int) -> str:
    return _plain(lots, 2)


def _plain(steps: int, precision: int) -> str:
    """As the venue prints decimals: a point always, and no trailing zeros but one."""
    digits = f"{steps:0{precision + 1}d}"
    return f"{digits[:-precision]}.{digits[-precision:].rstrip('0') or '0'}"
