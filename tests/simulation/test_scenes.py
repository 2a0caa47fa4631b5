"""A market by script: each scene is what it says, through the real matching, and a tape is the same every time."""

from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model.order import Side
from runner.model.settings import SECOND
from runner.simulation.exchange import Exchange
from runner.simulation.feed import BookChanged, Traded
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.sandbox import Sandbox
from runner.simulation.scenes import HIGHEST, OF_THE_LINE, OF_THE_MARKET, SCENES, Scene, crossed_snapshot, scripted

NOW = 1_700_000_000 * SECOND
ROGER = SANDBOX_LISTINGS[0]
OPENS = ROGER.market.ticks(ROGER.price)


def opened(*tape: Scene, seed: str = "a", opening: int = SECOND, count: int = 1) -> Sandbox:
    return scripted(seed, NOW, SANDBOX_LISTINGS[:count], tape, opening)


def into(kind: str, *, percent: int = 0, seconds: int = 3) -> Exchange:
    """An exchange that is so many seconds into a scene."""
    exchange = opened(Scene(kind=kind, seconds=60, percent=percent)).exchange
    exchange.advance(NOW + (1 + seconds) * SECOND)
    return exchange


def sides(exchange: Exchange, market: str = "rogerbtc") -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    book = exchange.book(market)
    return book.levels(Side.BUY, 100), book.levels(Side.SELL, 100)


IS: dict[str, Callable[[list[tuple[int, int]], list[tuple[int, int]]], bool]] = {
    "calm": lambda bids, asks: len(bids) == len(asks) == 3 and 0 < asks[0][0] - bids[0][0] < OPENS // 100,
    "flat": lambda bids, asks: len(bids) == len(asks) == 3 and asks[0][0] - bids[0][0] == 6,
    "spike_up": lambda bids, asks: bids[0][0] > 2 * OPENS,
    "spike_down": lambda bids, asks: asks[0][0] < OPENS // 2,
    "one_tick": lambda bids, asks: asks[0][0] - bids[0][0] == 1,
    "wide": lambda bids, asks: asks[0][0] > 90 * bids[0][0],
    "thin": lambda bids, asks: bids[0][1] == asks[0][1] == 100 and len(bids) == len(asks) == 1,
    "no_bids": lambda bids, asks: not bids and bool(asks),
    "no_asks": lambda bids, asks: bool(bids) and not asks,
    "nobody": lambda bids, asks: not bids and not asks,
    "sweep": lambda bids, asks: bool(bids) and bool(asks),
    "lowest": lambda bids, asks: (bids[0][0], asks[0][0], len(bids)) == (1, 2, 1),
    "highest": lambda bids, asks: bids[0][0] < HIGHEST < asks[0][0],
}


@pytest.mark.parametrize("kind", OF_THE_MARKET)
def test_a_scene_is_what_it_says(kind: str) -> None:
    bids, asks = sides(into(kind, percent=150 if kind.startswith("spike") else 0))
    assert IS[kind](bids, asks), (bids, asks)


@pytest.mark.parametrize("kind", OF_THE_LINE)
def test_a_scene_of_the_line_leaves_the_market_calm(kind: str) -> None:
    assert IS["calm"](*sides(into(kind)))


def test_flat_is_still_and_a_sweep_trades() -> None:
    flat, sweep = into("flat"), into("sweep")
    for exchange in (flat, sweep):
        exchange.feed.clear()
        exchange.advance(exchange.now + 20 * SECOND)
    assert not any(isinstance(event, BookChanged | Traded) for event in flat.feed)
    assert sum(isinstance(event, Traded) for event in sweep.feed) > 20


@pytest.mark.parametrize(("kind", "side"), [("spike_up", Side.SELL), ("spike_down", Side.BUY), ("sweep", Side.SELL)])
def test_what_rests_in_the_way_is_filled(kind: str, side: Side) -> None:
    grown = opened(Scene(kind=kind, seconds=20, percent=100), opening=3 * SECOND)
    exchange, market = grown.exchange, ROGER.market
    ticks = OPENS + side.opposite.sign * 200
    price, volume = market.price(ticks), Decimal(5)
    order = exchange.create(grown.trader.id, market, side, volume, price, at_once=True)
    exchange.advance(NOW + 2 * SECOND)
    assert exchange.database.order(order.id).left == 500  # type: ignore[union-attr]
    exchange.advance(NOW + 20 * SECOND)
    assert exchange.database.order(order.id).left == 0  # type: ignore[union-attr]


def test_a_scene_may_be_of_one_market() -> None:
    exchange = opened(Scene(kind="nobody", seconds=60, market="ROGER-BTC"), count=2).exchange
    exchange.advance(NOW + 5 * SECOND)
    assert IS["nobody"](*sides(exchange))
    assert all(sides(exchange, "ltcbtc"))


def test_a_market_is_calm_again_at_the_price_that_a_spike_left() -> None:
    exchange = opened(Scene(kind="spike_up", seconds=2, percent=300), Scene(kind="lowest", seconds=2)).exchange
    exchange.advance(NOW + 10 * SECOND)
    bids, asks = sides(exchange)
    assert IS["spike_up"](bids, asks)
    assert len(bids) == 3


TAPES = st.lists(
    st.builds(Scene, kind=st.sampled_from(sorted(SCENES)), seconds=st.integers(1, 9), percent=st.integers(1, 10**5)),
    max_size=5,
)


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(tape=TAPES)
def test_a_tape_is_the_same_every_time_however_often_one_looks(tape: list[Scene]) -> None:
    once, often = opened(*tape).exchange, opened(*tape).exchange
    once.advance(NOW + 60 * SECOND)
    for second in range(1, 61):
        often.advance(NOW + second * SECOND)
    assert list(once.feed) == list(often.feed)


@settings(deadline=None, max_examples=40)
@given(tape=TAPES)
def test_nothing_is_made_or_lost_but_what_the_director_brings(tape: list[Scene]) -> None:
    """No member's balance is below zero, and the trader, who does nothing, keeps what he had."""
    grown = opened(*tape)
    before = dict(grown.exchange.accounts.of(grown.trader.id))
    grown.exchange.advance(NOW + 60 * SECOND)
    assert grown.exchange.accounts.of(grown.trader.id) == before
    bids, asks = sides(grown.exchange)
    assert not bids or not asks or bids[0][0] < asks[0][0]


def test_a_crossed_snapshot_is_crossed() -> None:
    body = crossed_snapshot(ROGER)
    (bid, _), (ask, _) = body["bids"][0], body["asks"][0]  # type: ignore[index]
    assert Decimal(bid) > Decimal(ask) > 0
