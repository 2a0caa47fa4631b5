"""What traded in one market: the latest trades, candles of a minute, and the figures of the last 24 hours.

Prices are ticks, volumes lots. Candles are kept for a week; the 24 hours move on in whole minutes.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec import Struct

from runner.simulation.records import Trade

MINUTE = 60  # seconds; everything here counts in whole seconds since 1970
TRADES_KEPT = 1000
MINUTES_KEPT = 7 * 24 * 60
TICKER_MINUTES = 24 * 60


class Candle(Struct):
    """`start` in seconds; `lots` the volume, `total` the sum of ticks x lots."""

    start: int
    open: int
    high: int
    low: int
    close: int
    lots: int = 0
    total: int = 0

    def add(self, later: "Candle") -> None:
        self.high = max(self.high, later.high)
        self.low = min(self.low, later.low)
        self.close = later.close
        self.lots += later.lots
        self.total += later.total


class Tape:
    """Public history of one market."""

    def __init__(self) -> None:
        self.trades: deque[Trade] = deque(maxlen=TRADES_KEPT)  # oldest first
        self.last_ticks: int | None = None
        self._minutes: deque[Candle] = deque(maxlen=MINUTES_KEPT)

    def newest(self, count: int) -> list[Trade]:
        """Up to `count` trades, newest first."""
        return list(islice(reversed(self.trades), count))

    def record(self, trade: Trade) -> None:
        self.trades.append(trade)
        ticks = self.last_ticks = trade.ticks
        start = trade.time // 1_000_000_000 // MINUTE * MINUTE
        candle = Candle(start, ticks, ticks, ticks, ticks, trade.lots, ticks * trade.lots)
        if self._minutes and self._minutes[-1].start == start:
            self._minutes[-1].add(candle)
        else:
            self._minutes.append(candle)

    def day(self, now: int) -> Candle | None:
        """The last 24 hours as one candle; None if nothing traded. `now` in seconds."""
        since = now // MINUTE * MINUTE - TICKER_MINUTES * MINUTE
        day: Candle | None = None
        for minute in reversed(self._minutes):
            if minute.start <= since:
                break
            if day is None:
                day = Candle(since, minute.open, minute.high, minute.low, minute.close)
            day.open = minute.open
            day.high, day.low = max(day.high, minute.high), min(day.low, minute.low)
            day.lots += minute.lots
            day.total += minute.total
        return day

    def candles(
        self, minutes: int, now: int, *, time_from: int | None, time_to: int | None, limit: int
    ) -> list[Candle]:
        """Candles of some minutes each, oldest first, up to `now`. Source: wire reference 3.7.

        Both times given: all between them, inclusive, whatever the limit. Only the first: the first `limit` from
        there. Otherwise the last `limit`.
        """
        chosen = [
            candle
            for candle in _merged(self._filled(now), minutes * MINUTE)
            if (time_from is None or candle.start >= time_from) and (time_to is None or candle.start <= time_to)
        ]
        if time_from is not None:
            return chosen if time_to is not None else chosen[:limit]
        return chosen[-limit:]

    def latest(self, minutes: int, now: int) -> Candle | None:
        """The candle that is still growing."""
        if not self._minutes:
            return None
        start = now // (minutes * MINUTE) * minutes * MINUTE
        inside: list[Candle] = []
        before: Candle | None = None
        for before in reversed(self._minutes):
            if before.start < start:
                break
            inside.append(before)
        inside.reverse()
        if before is not None and before.start < start and (not inside or inside[0].start > start):
            inside.insert(0, _flat(start, before.close))
        return next(_merged(inside, minutes * MINUTE))

    def _filled(self, now: int) -> Iterator[Candle]:
        """Every minute since the first trade; those without a trade repeat the close before them."""
        previous: Candle | None = None
        for minute in self._minutes:
            if previous is not None:
                yield from _still(previous, minute.start)
            yield minute
            previous = minute
        if previous is not None:
            yield from _still(previous, now + 1)


def _merged(minutes: Iterable[Candle], seconds: int) -> Iterator[Candle]:
    period: Candle | None = None
    for minute in minutes:
        start = minute.start // seconds * seconds
        if period is not None and period.start != start:
            yield period
            period = None
        if period is None:
            period = Candle(start, minute.open, minute.high, minute.low, minute.close)
        period.add(minute)
    if period is not None:
        yield period


def _still(candle: Candle, until: int) -> Iterator[Candle]:
    for start in range(candle.start + MINUTE, until, MINUTE):
        yield _flat(start, candle.close)


def _flat(start: int, ticks: int) -> Candle:
    return Candle(start, ticks, ticks, ticks, ticks)
