"""Candles and tickers of the public socket: what the sandbox says, what the codec makes of it, what REST says too."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_client import Client, texts
from wire_samples import DOGE, MARKETS, ROGER, decimal_texts, frame, json_values, mutated

from runner.altmarkets.catalogue import PERIODS, Candle, Ticker, candle_row, ticker_row
from runner.altmarkets.figures import CandleNews, FigureStream, TickersNews
from runner.altmarkets.messages import decode
from runner.altmarkets.numbers import Unreadable, exact
from runner.altmarkets.stream import MESSAGE_BYTES_MAX
from runner.model.event import StreamUp, VenueFault

TICKER: dict[str, Any] = {
    "at": "1700000000",
    "avg_price": "0.00000101",
    "high": "0.00000102",
    "last": "0.00000101",
    "low": "0.000001",
    "open": "0.00000099",
    "price_change_percent": "+2.02%",
    "volume": "0.0303",
    "amount": "30000.0",
}
POINT = [1700000040, "0.000001", "0.00000101", "0.00000099", "0.000001", "600.0"]


def stream() -> FigureStream:
    return FigureStream(MARKETS.values(), {"ROGER-BTC": ["1m", "1h"]})


def test_the_frames_of_the_reference() -> None:
    opened = stream()
    (candle,) = opened.receive('{"rogerbtc.kline-1m":[1700000040,1e-06,1.01e-06,1e-06,1.01e-06,600]}')
    low, high = Decimal("0.000001"), Decimal("0.00000101")
    assert candle == CandleNews("ROGER-BTC", "1m", Candle(1700000040, low, high, low, high, Decimal(600)))
    assert opened.receive(frame("rogerbtc.kline-1h", POINT).encode()) == [
        CandleNews("ROGER-BTC", "1h", Candle(1700000040, low, high, Decimal("0.00000099"), low, Decimal("600.0")))
    ]
    (news,) = opened.receive(frame("global.tickers", {"rogerbtc": TICKER, "dogebtc": TICKER}))
    assert isinstance(news, TickersNews)
    assert [ticker.market_id for ticker in news.tickers] == ["rogerbtc", "dogebtc"]
    assert news.tickers[0] == Ticker(
        market_id="rogerbtc",
        time=1700000000,
        open=Decimal("0.00000099"),
        high=Decimal("0.00000102"),
        low=Decimal("0.000001"),
        last=Decimal("0.00000101"),
        average=Decimal("0.00000101"),
        base_volume=Decimal(30000),
        quote_volume=Decimal("0.0303"),
        change=Decimal("0.0202"),
    )


def test_the_older_servers_tickers_say_more_and_are_read_all_the_same() -> None:
    older = TICKER | {"name": "ROGER/BTC", "base_unit": "roger", "quote_unit": "btc", "buy": "0.1", "sell": "0.2"}
    assert stream().receive(frame("global.tickers", {"rogerbtc": older})) == stream().receive(
        frame("global.tickers", {"rogerbtc": TICKER})
    )


def test_what_the_sandbox_tells_by_the_clock_is_what_its_rest_says() -> None:
    client = Client()
    codec = FigureStream([ROGER], {"ROGER-BTC": ["1m", "1w"]})
    session = client.stream()
    texts(session)
    for text in codec.subscriptions():
        client.server.receive(session, text, client.now)
    (up,) = codec.receive_all(texts(session))
    assert isinstance(up, StreamUp)
    client.place("sell", "300", "0.00000100")
    client.place("buy", "200", "0.00000101", member=client.neighbour)
    client.after(11_000)
    told = codec.receive_all(texts(session))
    candles = [one for one in told if isinstance(one, CandleNews)]
    tickers = [one for one in told if isinstance(one, TickersNews)]
    assert len(candles) + len(tickers) == len(told)
    assert [one.period for one in candles] == ["1m", "1w"] * 5
    assert len(tickers) == 2
    price, volume = Decimal("0.000001"), Decimal(200)
    for one in candles:
        minutes = PERIODS[one.period]
        asked = decode(client.request("GET", f"/public/markets/rogerbtc/k-line?period={minutes}&limit=1").body)
        assert one.candle == candle_row(asked[-1])
        assert (one.candle.open, one.candle.close, one.candle.volume) == (price, price, volume)
    (ticker,) = tickers[-1].tickers
    assert (ticker.last, ticker.base_volume) == (price, volume)
    rest = ticker_row("rogerbtc", client.get("/public/markets/rogerbtc/tickers"))
    assert [getattr(ticker, name) for name in Ticker.__struct_fields__ if name != "time"] == [
        getattr(rest, name) for name in Ticker.__struct_fields__ if name != "time"
    ]


# Laws -----------------------------------------------------------------------------------------------------

numbers = st.decimals(0, 10**9, places=8)


@given(time=st.integers(0, 2**31), point=st.lists(numbers, min_size=5, max_size=5), as_text=st.booleans())
def test_a_candle_keeps_every_digit_be_it_in_numbers_or_texts(time: int, point: list[Decimal], as_text: bool) -> None:
    shown = ",".join(f'"{number:f}"' if as_text else f"{number:f}" for number in point)
    (news,) = stream().receive(f'{{"rogerbtc.kline-1m":[{time},{shown}]}}')
    assert news == CandleNews("ROGER-BTC", "1m", Candle(time, *point))


@given(value=decimal_texts())
def test_a_figure_is_exact_or_refused(value: str) -> None:
    said = stream().receive(frame("rogerbtc.kline-1m", [1700000040, value, *POINT[2:]]))
    try:
        meant = exact(value)
    except Unreadable:
        assert isinstance(said[0], VenueFault)
    else:
        assert isinstance(said[0], CandleNews)
        assert said[0].candle.open == meant


@given(
    bodies=st.lists(
        st.tuples(
            st.sampled_from(["rogerbtc.kline-1m", "rogerbtc.kline-1h", "global.tickers", "ping", "x.y", "error"]),
            json_values | st.lists(json_values, min_size=6, max_size=6) | mutated({"rogerbtc": TICKER}),
        ),
        max_size=6,
    )
)
def test_nothing_that_comes_raises_and_faults_are_told_once(bodies: list[tuple[str, Any]]) -> None:
    opened = stream()
    told = [one for name, body in bodies for one in opened.receive(frame(name, body))]
    faults = [one for one in told if isinstance(one, VenueFault)]
    assert len(faults) == len({fault.what for fault in faults})
    assert len(faults) <= 1 + len({name for name, _ in bodies})  # the one is of frames that are no JSON
    assert opened.receive(frame("rogerbtc.kline-1m", POINT)), "it goes on afterwards"


def test_one_bad_ticker_does_not_hide_the_others() -> None:
    opened = stream()
    wire = {"rogerbtc": TICKER | {"last": "many"}, "dogebtc": TICKER}
    fault, news = opened.receive(frame("global.tickers", wire))
    assert isinstance(fault, VenueFault)
    assert isinstance(news, TickersNews)
    assert [ticker.market_id for ticker in news.tickers] == ["dogebtc"]
    assert opened.receive(frame("global.tickers", wire)) == [news], "told once"


# Subscribing ----------------------------------------------------------------------------------------------


def test_subscriptions_name_every_period_once_in_messages_the_venue_takes() -> None:
    opened = FigureStream([ROGER, DOGE], {"ROGER-BTC": [*PERIODS, "1m"], "DOGE-BTC": PERIODS})
    sent = opened.subscriptions()
    assert len(sent) > 1
    assert all(len(text) <= MESSAGE_BYTES_MAX for text in sent)
    names = [name for text in sent for name in json.loads(text)["streams"]]
    wanted = [f"{market}.kline-{period}" for market in ("rogerbtc", "dogebtc") for period in PERIODS]
    assert names == [*wanted, "global.tickers"]


def test_tickers_can_be_left_out_and_are_then_not_expected() -> None:
    opened = FigureStream([ROGER], {"ROGER-BTC": ["5m"]}, tickers=False)
    assert opened.subscriptions() == ['{"event":"subscribe","streams":["rogerbtc.kline-5m"]}']
    (fault,) = opened.receive(frame("global.tickers", {"rogerbtc": TICKER}))
    assert isinstance(fault, VenueFault)


@pytest.mark.parametrize("wanted", [{"ROGER-BTC": ["7m"]}, {"NONE-BTC": ["1m"]}])
def test_what_the_venue_does_not_have_is_a_mistake_of_ours(wanted: dict[str, list[str]]) -> None:
    with pytest.raises(KeyError):
        FigureStream(MARKETS.values(), wanted)
