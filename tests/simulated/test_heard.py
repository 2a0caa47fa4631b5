"""The public tape out of a run's events is the market without us, held against what the exchange itself knows."""

from typing import Any

import pytest
from climates import MAKER, Churn, Slices

from runner.engine.strategy import Strategy
from runner.model.event import (
    BookDelta,
    BookSnapshot,
    Event,
    MarketsRead,
    OrderNews,
    PublicTrade,
    StreamDown,
    What,
)
from runner.model.order import OrderRow, Side
from runner.model.settings import MILLISECOND, SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import Faults, World
from runner.simulation.heard import tapes
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.recording import ASK, BID, BOUGHT, SOLD, SOLD_TO_OWN, Gap, Recording
from strategies.pure_market_making import PureMarketMaking

SYMBOL = "ROGER-BTC"
ROGER = next(listing.market for listing in SANDBOX_LISTINGS if listing.market.symbol == SYMBOL)
LINE = Faults(latency=(0.005, 0.05))
STEP = SECOND // 4
Levels = dict[tuple[int, int], int]


def world(strategy: type[Strategy], params: dict[str, Any], seed: str) -> World:
    settings = Settings(
        name="heard",
        tag="HEARDA",
        markets=(SYMBOL,),
        strategy="any",
        params=params,
        tick=TickPolicy(every=SECOND),
        limits=Limits(max_open_orders=8),
    )
    return World(seed, settings, strategy, LINE)


def others(one: World) -> Levels:
    """What rests at the exchange now that is not ours."""
    exchange, found = one.venue.exchange, {}
    for kind, side in ((BID, Side.BUY), (ASK, Side.SELL)):
        for order in exchange.database.resting(one.markets[SYMBOL].id, side):
            if order.member != one.grown.trader.id and order.ticks is not None:
                found[kind, order.ticks] = found.get((kind, order.ticks), 0) + order.left
    return found


def books(tape: Recording, moments: list[int]) -> list[Levels]:
    """The book of a tape at some times, which go up."""
    shown: list[Levels] = []
    book: Levels = {}
    row = 0
    for moment in moments:
        while row < len(tape) and tape.times[row] <= moment:
            if tape.kinds[row] in {BID, ASK}:
                book[tape.kinds[row], tape.ticks[row]] = tape.lots[row]
            row += 1
        shown.append({level: lots for level, lots in book.items() if lots})
    return shown


@pytest.mark.parametrize(("strategy", "params"), [(PureMarketMaking, MAKER), (Churn, {})], ids=["maker", "churn"])
def test_what_is_ours_is_not_on_the_tape(strategy: type[Strategy], params: dict[str, Any]) -> None:
    one = world(strategy, params, "heard")
    one.run_for(3)
    moments, truth = [], []
    for _ in range(240):
        one.run_for(STEP / SECOND)
        moments.append(one.now)
        truth.append(others(one))
    tape = tapes(one.log)[SYMBOL]
    shown = books(tape, moments)
    tainted = {(taint.kind, taint.ticks): taint.time for taint in tape.tainted}
    own = {
        (BID if order.side is Side.BUY else ASK, order.ticks)
        for order in one.venue.exchange.database.orders_of(one.grown.trader.id)
    }
    compared = wrong = 0
    for at in range(4, len(moments) - 4):
        for level in own & (truth[at].keys() | shown[at].keys()):
            steady = {truth[near].get(level, 0) for near in range(at - 4, at + 5)}
            if len(steady) == 1 and moments[at] + 2 * SECOND < tainted.get(level, 2**62):
                compared += 1
                wrong += shown[at].get(level, 0) not in steady
    assert compared > 200
    assert wrong == 0
    assert len(tainted) < len(own) / 2


def test_volume_that_hit_us_stays_as_demand_and_our_own_taking_does_not() -> None:
    one = world(Slices, {}, "taking")
    one.run_for(90)
    tape = tapes(one.log)[SYMBOL]
    member = one.grown.trader.id
    own = {trade.id: trade for trade in one.venue.exchange.database.trades_of(member)}
    heard = [event.what for event in one.log if isinstance(event.what, PublicTrade) and event.what.market == SYMBOL]
    took = [trade for trade in heard if trade.id in own and own[trade.id].taker.member == member]
    hit = [trade for trade in heard if trade.id in own and trade not in took]
    assert hit
    assert took
    kinds = {Side.BUY: BOUGHT, Side.SELL: SOLD}
    to_us = SOLD_TO_OWN - SOLD
    kept = [
        (kinds[trade.taker_side] + to_us * (trade in hit), trade.ticks, trade.lots)
        for trade in heard
        if trade not in took
    ]
    rows = zip(tape.kinds, tape.ticks, tape.lots, strict=True)
    assert [row for row in rows if row[0] >= SOLD] == kept
    assert tape.trades == len(kept)
    levels = {(taint.kind, taint.ticks) for taint in tape.tainted}
    assert {(ASK if trade.taker_side is Side.BUY else BID, trade.ticks) for trade in took} <= levels


def test_the_streams_may_tell_in_either_order() -> None:
    """An order of 5 comes to a level of 10, 2 of it trade, the rest is cancelled: the others' 10 never move."""
    public = [(-800, 10), (100, 15), (200, 13), (300, 10)]
    private = [(100, "wait", 5), (200, "wait", 3), (300, "cancel", 3)]
    for lag in (-90, -40, 40, 90):  # ms of the private stream behind the public one
        steps: list[tuple[int, What]] = [(-1000, MarketsRead((ROGER,)))]
        for number, (at, lots) in enumerate(public):
            levels = ((50, lots),)
            steps.append((at, BookDelta(SYMBOL, number, levels, ()) if number else BookSnapshot(SYMBOL, 0, levels, ())))
        for at, state, left in private:
            steps.append((at + lag, OrderNews(row(state, left))))
        steps.sort(key=lambda step: step[0])
        tape = tapes(Event(number, 10**18 + at * MILLISECOND, what) for number, (at, what) in enumerate(steps, 1))[
            SYMBOL
        ]
        assert list(zip(tape.kinds, tape.ticks, tape.lots, strict=True)) == [(BID, 50, 10)]
        assert tape.tainted == ()


def test_a_level_that_others_changed_with_us_is_tainted() -> None:
    levels = [(0, ((50, 10),)), (100, ((50, 22),))]
    steps: list[tuple[int, What]] = [(-1000, MarketsRead((ROGER,))), (130, OrderNews(row("wait", 5)))]
    steps += [
        (at, BookDelta(SYMBOL, at, bids, ()) if at else BookSnapshot(SYMBOL, at, bids, ())) for at, bids in levels
    ]
    steps.sort(key=lambda step: step[0])
    tape = tapes(Event(n, 10**18 + at * MILLISECOND, what) for n, (at, what) in enumerate(steps, 1))[SYMBOL]
    assert [(taint.kind, taint.ticks) for taint in tape.tainted] == [(BID, 50)]
    assert list(tape.lots) == [10, 22]


def test_what_was_missed_is_a_gap_and_not_guessed_over() -> None:
    steps: list[What] = [
        MarketsRead((ROGER,)),
        PublicTrade(SYMBOL, 1, 50, 1, Side.SELL, 0),  # before the first snapshot
        BookSnapshot(SYMBOL, 0, ((50, 10),), ((60, 7),)),
        StreamDown("public", "cut"),
        BookDelta(SYMBOL, 9, ((50, 0),), ()),
        BookSnapshot(SYMBOL, 20, ((49, 3),), ((60, 7),)),
        PublicTrade(SYMBOL, 2, 60, 1, Side.BUY, 0),
        PublicTrade(SYMBOL, 2, 60, 1, Side.BUY, 0),  # told again
    ]
    tape = tapes(Event(number, number, what) for number, what in enumerate(steps, 1))[SYMBOL]
    found = list(zip(tape.times, tape.kinds, tape.ticks, tape.lots, strict=True))
    assert found == [(3, BID, 50, 10), (3, ASK, 60, 7), (6, BID, 50, 0), (6, BID, 49, 3), (7, BOUGHT, 60, 1)]
    assert tape.gaps == (Gap(2, 4, "the stream was down: cut", until=6),)
    assert (tape.left_out, tape.trades) == (2, 1)


def row(state: str, left: int) -> OrderRow:
    return OrderRow(
        id=7,
        market=SYMBOL,
        side=Side.BUY,
        state=state,
        ticks=50,
        origin_lots=5,
        remaining_lots=left,
        executed_lots=5 - left,
        created_at=0,
        updated_at=0,
    )
