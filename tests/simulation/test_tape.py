"""Candles and the figures of a day, beside sums over the plain list of trades."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from runner.model.market import Market
from runner.model.order import Side
from runner.simulation.records import Order, OrderState, Trade
from runner.simulation.tape import MINUTE, Candle, Tape

START = 1_700_000_040  # a whole minute
MARKET = Market(
    id="ab",
    base="A",
    quote="B",
    price_precision=2,
    amount_precision=2,
    price_min=Decimal("0.01"),
    quantity_min=Decimal("0.01"),
)


def trade(number: int, at: int, ticks: int, lots: int) -> Trade:
    maker, taker = (
        Order(
            id=2 * number + role,
            member=role,
            market=MARKET,
            side=side,
            ticks=ticks,
            lots=lots,
            left=0,
            state=OrderState.DONE,
            locked=Decimal(0),
            created=0,
            updated=0,
        )
        for role, side in enumerate(Side)
    )
    return Trade(id=number, market=MARKET, ticks=ticks, lots=lots, maker=maker, taker=taker, time=at * 10**9)


# (seconds since the trade before, price, volume)
FLOWS = st.lists(st.tuples(st.integers(0, 400), st.integers(1, 50), st.integers(1, 9)), min_size=1, max_size=40)


def taped(flow: list[tuple[int, int, int]]) -> tuple[Tape, list[Trade], int]:
    tape, trades, at = Tape(), [], START
    for number, (gap, ticks, lots) in enumerate(flow):
        at += gap
        trades.append(trade(number, at, ticks, lots))
        tape.record(trades[-1])
    return tape, trades, at


@given(FLOWS, st.sampled_from([1, 5, 15]), st.integers(0, 300))
def test_candles_are_what_the_trades_say(flow: list[tuple[int, int, int]], minutes: int, later: int) -> None:
    tape, trades, end = taped(flow)
    now, length = end + later, minutes * MINUTE
    candles = tape.candles(minutes, now, time_from=0, time_to=now, limit=1)
    first, last = (START + flow[0][0]) // length * length, now // length * length
    assert [candle.start for candle in candles] == list(range(first, last + 1, length))
    previous = None
    for candle in candles:
        inside = [one for one in trades if candle.start <= one.time // 10**9 < candle.start + length]
        prices = [one.ticks for one in inside]
        assert candle.lots == sum(one.lots for one in inside)
        assert candle.total == sum(one.ticks * one.lots for one in inside)
        if not inside:
            assert (candle.open, candle.high, candle.low, candle.close) == (previous,) * 4
        else:
            assert candle.close == prices[-1]
            # A period that begins with a silent minute opens where the one before it closed.
            silent = previous is not None and inside[0].time // 10**9 >= candle.start + MINUTE
            assert candle.open == (previous if silent else prices[0])
            seen = [*prices, previous] if silent else prices
            assert (candle.high, candle.low) == (max(seen), min(seen))
        previous = candle.close
    assert tape.latest(minutes, now) == candles[-1]


@given(FLOWS, st.integers(1, 5))
def test_what_a_limit_leaves(flow: list[tuple[int, int, int]], limit: int) -> None:
    tape, _, now = taped(flow)
    everything = tape.candles(1, now, time_from=0, time_to=now, limit=1)
    assert tape.candles(1, now, time_from=None, time_to=None, limit=limit) == everything[-limit:]
    assert tape.candles(1, now, time_from=START, time_to=None, limit=limit) == everything[:limit]
    middle = everything[len(everything) // 2].start
    until = [candle for candle in everything if candle.start <= middle]
    assert tape.candles(1, now, time_from=None, time_to=middle, limit=limit) == until[-limit:]
    assert tape.candles(1, now, time_from=middle, time_to=middle, limit=limit) == until[-1:]


@given(FLOWS, st.integers(0, 30 * 3600))
def test_the_last_day(flow: list[tuple[int, int, int]], later: int) -> None:
    tape, trades, end = taped(flow)
    now = end + later
    since = now // MINUTE * MINUTE - 24 * 3600 + MINUTE
    inside = [one for one in trades if one.time // 10**9 >= since]
    day = tape.day(now)
    if not inside:
        assert day is None
    else:
        prices = [one.ticks for one in inside]
        total = sum(one.ticks * one.lots for one in inside)
        lots = sum(one.lots for one in inside)
        assert day == Candle(since - MINUTE, prices[0], max(prices), min(prices), prices[-1], lots, total)
    assert tape.last_ticks == trades[-1].ticks


def test_the_day_moves_on_in_whole_minutes() -> None:
    tape, _, _ = taped([(0, 5, 1)])
    assert tape.day(START + 24 * 3600 - 1) is not None
    assert tape.day(START + 24 * 3600) is None


def test_nothing_traded_yet() -> None:
    tape = Tape()
    assert tape.candles(1, START, time_from=None, time_to=None, limit=30) == []
    assert tape.latest(1, START) is None
    assert tape.day(START) is None


@given(FLOWS, st.integers(1, 50))
def test_newest_first(flow: list[tuple[int, int, int]], count: int) -> None:
    tape, trades, _ = taped(flow)
    assert tape.newest(count) == trades[::-1][:count]
