"""Candles and tickers as the public socket tells them by the clock, sans-IO: one object per connection.

For whoever wants to watch many markets: the run itself needs neither, and its `PublicStream` takes the tickers for a
sign of life and no more. Prices are quote per base, exact. Nothing the venue says raises; what cannot be understood
becomes a VenueFault, told once per kind and connection. Source: wire reference 6.3.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from runner.altmarkets.catalogue import PERIODS, Candle, Ticker, candle_row, ticker_row
from runner.altmarkets.lookup import readable
from runner.altmarkets.numbers import Unreadable, shown
from runner.altmarkets.stream import HEARTBEAT, Control, Faults, messages
from runner.model.event import What
from runner.model.market import Market


class CandleNews(Struct, frozen=True):
    """The candle of a period that is not over yet, as it stands; it comes about every 2 s."""

    market: str  # symbol
    period: str  # one of PERIODS
    candle: Candle


class TickersNews(Struct, frozen=True):
    """The last 24 hours of all markets that the venue lists; it comes about every 5 s."""

    tickers: tuple[Ticker, ...]


Figures = CandleNews | TickersNews


class FigureStream:
    """Candles of some markets, and the tickers of all.

    `candles`: the periods that are wanted of each symbol; a symbol stands for one of `markets`. Raises KeyError for a
    symbol that does not, and for a period that the venue does not have.
    """

    def __init__(
        self, markets: Iterable[Market], candles: Mapping[str, Iterable[str]], *, tickers: bool = True
    ) -> None:
        known = {market.symbol: market for market in markets}
        self._candles: dict[str, tuple[str, str]] = {}
        for symbol, periods in candles.items():
            for period in periods:
                if period not in PERIODS:
                    raise KeyError(f"{period!r} is no length of a candle; there are {', '.join(PERIODS)}")
                self._candles[f"{known[symbol].id}.kline-{period}"] = symbol, period
        self._tickers = tickers
        names = [*self._candles, *([HEARTBEAT] if tickers else [])]
        self._texts = messages("subscribe", names)
        self._faults = Faults("public")
        self._control = Control("public", tuple(names), 1 + len(self._texts), self._faults)

    def subscriptions(self) -> list[str]:
        """What to send after the handshake, in messages the venue can take."""
        return list(self._texts)

    def replies(self) -> list[str]:
        """What the venue's own pings want to hear; each is given out once."""
        return self._control.replies()

    def receive(self, text: bytes | str) -> list[Figures | What]:
        """What one frame says: figures, and as on every socket StreamUp and VenueFault."""
        heard: list[What] = []
        found: list[Figures | What] = []
        for name, body in self._control.read(text, heard):
            try:
                if (wanted := self._candles.get(name)) is not None:
                    found.append(CandleNews(*wanted, candle_row(body)))
                elif name == HEARTBEAT and self._tickers:
                    found.append(self._read_tickers(body, heard))
                else:
                    self._faults.tell("unknown stream", f"a message of stream {shown(name)}, not asked for", heard)
            except Unreadable as error:
                self._faults.tell(name, f"{name}: {error}", heard)
        return [*heard, *found]

    def receive_all(self, texts: Iterable[bytes | str]) -> list[Figures | What]:
        """What some frames say, in their order."""
        return [one for text in texts for one in self.receive(text)]

    def _read_tickers(self, body: Any, heard: list[What]) -> TickersNews:
        """All that can be read: one market's nonsense does not hide the others."""
        if not isinstance(body, dict):
            raise Unreadable(f"{shown(body)} is not an object of tickers")
        rows, faults = readable(body.items(), lambda item: ticker_row(*item))
        for fault in faults:
            self._faults.tell(HEARTBEAT, f"{HEARTBEAT}: {fault}", heard)
        return TickersNews(tuple(rows))
