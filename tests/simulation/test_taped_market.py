"""A recorded market while it is played: what it shows is what the exchange would, and where it stops is where it is."""

from array import array
from collections.abc import Sequence
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from runner.model.market import Market
from runner.model.order import Side
from runner.model.settings import SECOND
from runner.simulation.kernel import BUY, SELL, Kernel
from runner.simulation.recording import ASK, BID, BOUGHT, NEVER, SOLD, Gap, Recording
from runner.simulation.taped_market import TapedMarket, twice_mids

START = 1_700_000_000 * SECOND
MARKET = Market(
    id="aeur",
    base="A",
    quote="EUR",
    price_precision=2,
    amount_precision=1,
    price_min=Decimal("0.01"),
    quantity_min=Decimal("0.1"),
)
OPENING = [(0, BID, 99, 50), (0, BID, 98, 50), (0, ASK, 101, 50), (0, ASK, 102, 50)]
Row = tuple[int, int, int, int]


def tape(*rows: Row, gaps: tuple[Gap, ...] = ()) -> TapedMarket:
    """Rows are (seconds, kind, ticks, lots); the opening comes before them."""
    times, kinds, ticks, lots = zip(*OPENING, *rows, strict=True)
    stamps = array("q", [START + at * SECOND for at in times])
    columns = {name: array("q", column) for name, column in (("kinds", kinds), ("ticks", ticks), ("lots", lots))}
    return TapedMarket(Recording(market=MARKET, times=stamps, gaps=gaps, **columns), Kernel())


rows = st.lists(
    st.one_of(
        st.tuples(st.integers(1, 3), st.just(BID), st.integers(90, 100), st.integers(0, 40)),
        st.tuples(st.integers(1, 3), st.just(ASK), st.integers(101, 110), st.integers(0, 40)),
        st.tuples(st.integers(1, 3), st.sampled_from([SOLD, BOUGHT]), st.integers(95, 105), st.integers(1, 40)),
    ),
    max_size=30,
)
doings = st.lists(
    st.one_of(
        st.tuples(st.just("play"), st.integers(1, 10), st.booleans()),
        st.tuples(st.just("place"), st.sampled_from([BUY, SELL]), st.integers(92, 108), st.integers(1, 60)),
        st.tuples(st.just("cancel"), st.integers(1, 9), st.sampled_from([BUY, SELL])),
    ),
    max_size=20,
)


def dated(gaps: Sequence[Row]) -> list[Row]:
    """The same rows, each so many seconds after the one before."""
    at, found = 0, []
    for later, *rest in gaps:
        at += later
        found.append((at, *rest))
    return found


@given(rows, doings)
def test_it_shows_what_is_recorded_less_what_was_taken_and_what_rests(moves: list[Row], does: list[tuple]) -> None:
    market, order = tape(*dated(moves)), 0
    for what, *told in does:
        if what == "play":
            seconds, stop = told
            market.play(market.time + seconds * SECOND, stop_on_touch=stop)
            market.kernel.fills.clear()
        elif what == "place":
            order += 1
            market.kernel.place(order, *told, -1)
        else:
            market.kernel.cancel(*told)
        for side, levels, best in (
            (BUY, market.bids(100), market.best_bid()),
            (SELL, market.asks(100), market.best_ask()),
        ):
            totals = {ticks: market.kernel.total(side, ticks) for ticks in range(80, 120)}
            shown = sorted(((ticks, lots) for ticks, lots in totals.items() if lots), reverse=side == BUY)
            assert list(levels) == shown
            assert best == (shown[0] if shown else None)
            assert list(market.bids(2) if side == BUY else market.asks(2)) == shown[:2]
        assert market.touch == (market.best_bid(), market.best_ask())


@given(rows, st.lists(st.integers(0, 12), max_size=20), st.booleans())
def test_it_stops_where_something_happened_and_nowhere_else(moves: list[Row], steps: list[int], stop: bool) -> None:
    market = tape(*dated(moves))
    for seconds in steps:
        before, until, shown = market.time, market.time + seconds * SECOND, market.touch
        market.play(until, stop_on_touch=stop)
        assert before <= market.time <= until
        assert market.rows == market.recording.rows_until(market.time)
        if market.time < until:
            assert stop
            assert market.touch != shown or market.next_time > until
        if stop and market.time > before:  # not a moment too late
            just_before = tape(*dated(moves))
            just_before.play(market.time - 1, stop_on_touch=False)
            assert just_before.touch == shown


@given(rows)
def test_trades_are_numbered_as_they_come(moves: list[Row]) -> None:
    market = tape(*dated(moves))
    wanted = [(at, kind, ticks, lots) for at, kind, ticks, lots in dated(moves) if kind in (SOLD, BOUGHT)]
    while market.next_trade < NEVER:
        at = market.next_trade
        count = market.traded
        assert at == START + wanted[count][0] * SECOND
        market.play(at, stop_on_touch=False)
        for number, trade in enumerate(market.trades(count, market.traded), count):
            side = Side.BUY if wanted[number][1] == BOUGHT else Side.SELL
            assert (trade.id, trade.taker_side, trade.ticks, trade.lots) == (number + 1, side, *wanted[number][2:])
    assert market.traded == len(wanted)


def test_in_a_gap_there_is_no_book_and_the_last_word_gets_older() -> None:
    gap = Gap(1, START + 2 * SECOND, "lost", until=START + 4 * SECOND)
    market = tape((1, BID, 99, 10), (4, BID, 99, 20), gaps=(gap,))
    market.play(START + SECOND, stop_on_touch=False)
    assert (market.state, market.reason, market.best_bid()) == ("live", "", (99, 10))
    market.play(START + 3 * SECOND, stop_on_touch=False)
    assert (market.state, market.best_bid(), market.bids(5), market.heard_at) == ("gap", None, (), gap.time)
    assert market.reason == "the recording has a gap, lost"
    market.play(START + 4 * SECOND, stop_on_touch=False)
    assert (market.state, market.best_bid(), market.heard_at) == ("live", (99, 20), gap.until)


def test_mid_prices_are_those_of_the_moment() -> None:
    market = tape((1, BID, 100, 10), (3, ASK, 101, 0), (3, ASK, 102, 0), (5, ASK, 104, 1))
    times = [START + seconds * SECOND for seconds in (0, 1, 2, 3, 5, 6)]
    assert twice_mids(market, times) == {times[0]: 200, times[1]: 201, times[2]: 201, times[4]: 204}
