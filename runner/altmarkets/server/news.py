"""From the feed to the streams: who hears what, and what is told by the clock. Source: wire reference 5.2, 6.3, 6.4."""

from typing import Any

import msgspec

from runner.altmarkets.server.answers import Profile
from runner.altmarkets.server.entities import (
    balance_entity,
    candle_point,
    increment_text,
    order_message,
    public_trade_message,
    snapshot_message,
    ticker_figures,
    trade_message,
)
from runner.altmarkets.server.formats import SECOND, seconds
from runner.altmarkets.server.public import PERIODS
from runner.altmarkets.server.rango import BOOK_SUFFIX, Hub
from runner.model.market import Market
from runner.simulation.exchange import CATCH_UP, Exchange
from runner.simulation.feed import BalanceChanged, BookChanged, BookShown, FeedEvent, OrderChanged, Traded
from runner.simulation.records import Trade

TICKERS = "global.tickers"
TICKERS_EVERY = 5 * SECOND
CANDLES_EVERY = 2 * SECOND


class News:
    """Turns events into messages. What nobody hears is not even written, except for books, which are kept."""

    def __init__(self, exchange: Exchange, profile: Profile, hub: Hub) -> None:
        self._exchange = exchange
        self._profile = profile
        self._hub = hub
        self._tickers_due = exchange.now + TICKERS_EVERY
        self._candles_due = exchange.now + CANDLES_EVERY

    def spread(self) -> None:
        """Empty the exchange's feed."""
        feed = self._exchange.feed
        while feed:
            self._tell(feed.popleft())

    def next_due(self) -> int | None:
        """When something is told by the clock; None while nobody hears it."""
        tickers = [self._tickers_due] if self._hub.heard(TICKERS) else []
        candles = [self._candles_due] if self._candle_streams() else []
        return min(tickers + candles, default=None)

    def skip(self, now: int) -> None:
        """Leave out what nobody heard, and what an hour of sleep would have said."""
        while self._tickers_due < now and (now - self._tickers_due > CATCH_UP or not self._hub.heard(TICKERS)):
            self._tickers_due += TICKERS_EVERY
        while self._candles_due < now and (now - self._candles_due > CATCH_UP or not self._candle_streams()):
            self._candles_due += CANDLES_EVERY

    def tell_the_time(self) -> None:
        """Publish what is due at the exchange's time."""
        now = self._exchange.now
        if self._tickers_due <= now:
            self._tickers_due += TICKERS_EVERY
            self._publish_tickers()
        if self._candles_due <= now:
            self._candles_due += CANDLES_EVERY
            self._publish_candles()

    # Told by events --------------------------------------------------------------------------------------

    def _tell(self, event: FeedEvent) -> None:
        match event:
            case BookChanged():
                stream = event.market.id + BOOK_SUFFIX
                self._hub.publish_increment(stream, increment_text(stream, event))
            case BookShown():
                message = {f"{event.market.id}.ob-snap": snapshot_message(event)}
                self._hub.keep_snapshot(event.market.id + BOOK_SUFFIX, _text(message))
            case Traded():
                self._tell_trade(event.trade)
            case BalanceChanged():
                if self._hub.present(event.member):
                    entity = balance_entity(event.currency, event.available, event.locked)
                    self._hub.publish_to(event.member, "balance", _text({"balance": entity}))
            case OrderChanged():
                member = event.order.member
                if self._hub.present(member):
                    message = {"order": order_message(event.order, self._profile)}
                    self._hub.publish_to(member, "order", _text(message))

    def _tell_trade(self, trade: Trade) -> None:
        for member in trade.members:  # once for each role: a self-trade shows its maker twice
            if self._hub.present(member):
                self._hub.publish_to(member, "trade", _text({"trade": trade_message(trade, member)}))
        stream = f"{trade.market.id}.trades"
        if self._hub.heard(stream):
            self._hub.publish(stream, _text({stream: {"trades": [public_trade_message(trade)]}}))

    # Told by the clock -----------------------------------------------------------------------------------

    def _publish_tickers(self) -> None:
        now, exchange = seconds(self._exchange.time), self._exchange
        if self._hub.heard(TICKERS):
            tickers = {market.id: ticker_figures(market, exchange.tape(market.id), now) for market in exchange.markets}
            self._hub.publish(TICKERS, _text({TICKERS: tickers}))

    def _publish_candles(self) -> None:
        for stream, market, minutes in self._candle_streams():
            candle = self._exchange.tape(market.id).latest(minutes, seconds(self._exchange.time))
            if candle is not None:
                self._hub.publish(stream, _text({stream: candle_point(market, candle)}))

    def _candle_streams(self) -> list[tuple[str, Market, int]]:
        """Name, market and minutes of every candle stream that somebody hears."""
        streams = []
        for name in self._hub.heard_streams():
            market_id, _, period = name.partition(".kline-")
            market = self._exchange.market(market_id)
            if market is not None:
                streams += [(name, market, minutes) for minutes, known in PERIODS.items() if known == period]
        return streams


def _text(message: dict[str, Any]) -> str:
    return msgspec.json.encode(message).decode()
