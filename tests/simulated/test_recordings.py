"""Two real recordings, played to their end with a market maker trading on them, and held against what they say of
themselves: the best prices that the recorded venue told on another stream.
"""

import os
from pathlib import Path
from typing import Any

import pytest

from runner.altmarkets.server import Session
from runner.altmarkets.stream import PUBLIC_PATH, PublicStream
from runner.edge.tape_file import read_tape
from runner.engine.book import Book
from runner.model.event import BookDelta, BookGap, BookSnapshot, VenueFault
from runner.model.order import OrderState, Side
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import START, STREAM_BASE, World
from runner.simulation.recording import Recording
from runner.simulation.records import OrderState as VenueState
from runner.simulation.tape_book import SIDES
from runner.simulation.taped import Taped, taped_sandbox
from strategies.pure_market_making import PureMarketMaking

DATA = Path(os.environ.get("RUNNER_TEST_DATA", Path(__file__).parents[2] / "../shared/data"))


def recorded(name: str) -> Recording:
    path = DATA / f"binance-spot-{name}-20240808.gz"
    if not path.exists():
        pytest.skip(f"no recording at {path.resolve()}; RUNNER_TEST_DATA names the folder that has it")
    return read_tape(path)


def maker(symbol: str, amount: str) -> Settings:
    """The first level joins the best price, so that own orders are where the comparison looks."""
    return Settings(
        name="taped",
        tag="ABCDEF",
        markets=(symbol,),
        strategy="pure_market_making",
        params={
            "bid_spread": "0bps",
            "ask_spread": "0bps",
            "order_amount": amount,
            "order_levels": 2,
            "order_level_spread": "2bps",
            "order_refresh_time": "3s",
            "order_refresh_tolerance_pct": "0.5bps",
        },
        tick=TickPolicy(every=SECOND, when=("book", "fill"), at_most_every=SECOND // 4),
        limits=Limits(max_open_orders=8),
    )


LOOK = 50
"""Levels of a side to look at; own orders are a few."""


class Witness:
    """A second subscriber of the book, with nothing between him and the exchange. He compares after every frame."""

    def __init__(self, world: "TapedWorld") -> None:
        self._world = world
        self._player = world.taped.players[0]
        self._touches = iter(self._player.recording.touches)
        self._touch = next(self._touches, None)
        (market,) = world.markets.values()
        self._market_id = market.id
        self._codec = PublicStream([market], [market.symbol])
        session = world.server.upgrade(STREAM_BASE + PUBLIC_PATH, world._headers(0), world.now)
        assert isinstance(session, Session)
        self._session = session
        for text in self._codec.subscriptions():
            world.server.receive(session, text, world.now)
        self.book = Book()
        self.compared = self.with_own = self.own_at_best = self.with_taken = 0
        self.differences: list[str] = []

    def look(self, now: int) -> None:
        for text in list(self._session.outgoing):
            for what in self._codec.receive(text):
                assert not isinstance(what, BookGap | VenueFault), what
                if isinstance(what, BookSnapshot | BookDelta):
                    self.book.apply(what, now)
        self._session.outgoing.clear()
        while self._touch is not None and self._touch.rows <= self._player.rows:
            if self._touch.rows == self._player.rows:
                self._compare(self._touch)
            self._touch = next(self._touches, None)

    def _compare(self, touch: Any) -> None:
        assert self.book.state == "live", self.book.reason
        self.compared += 1
        own = self._own()
        self.with_own += bool(own)
        for side, told in ((Side.BUY, touch.bid), (Side.SELL, touch.ask)):
            levels = dict(self.book.bids(LOOK) if side is Side.BUY else self.book.asks(LOOK))
            shown = next(iter(levels.items()))
            for (whose, ticks), lots in own.items():
                if whose is side and ticks in levels:
                    levels[ticks] -= lots
            before = side.sign * max((side.sign * ticks for ticks, lots in levels.items() if lots), default=0)
            seen = (before, levels.get(before, 0))
            for ticks, lots in self._player.book.kernel.taken(SIDES[side]).items():  # hardly ever any
                levels[ticks] = levels.get(ticks, 0) + lots
            best = side.sign * max(side.sign * ticks for ticks, lots in levels.items() if lots)
            self.own_at_best += seen != shown
            self.with_taken += seen != (best, levels[best])
            if (best, levels[best]) != told:
                self.differences.append(f"row {touch.rows}: {side} {(best, levels[best])}, recorded {told}")

    def _own(self) -> dict[tuple[Side, int], int]:
        """What members' orders add to the book, from the exchange's rows."""
        own: dict[tuple[Side, int], int] = {}
        grown = self._world.grown
        for order in grown.exchange.database.orders_of(grown.trader.id):
            if order.state is VenueState.WAIT and order.ticks is not None:
                own[order.side, order.ticks] = own.get((order.side, order.ticks), 0) + order.left
        return own


class TapedWorld(World):
    def __init__(self, taped: Taped, settings: Settings) -> None:
        self.taped = taped
        super().__init__("taped", settings, PureMarketMaking, grown=taped.sandbox)
        self.witness = Witness(self)
        self.venue.listeners.append(lambda: self.witness.look(self.now))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "symbol", "amount"), [("btcusdt", "BTC-USDT", "0.02 BTC"), ("ethusdt", "ETH-USDT", "0.5 ETH")]
)
def test_a_market_maker_trades_to_the_end_and_the_book_is_the_recorded_one(
    name: str, symbol: str, amount: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = recorded(name)
    assert recording.market.symbol == symbol
    assert recording.gaps == ()
    taped = taped_sandbox("taped", START, [recording])
    world = TapedWorld(taped, maker(symbol, amount))
    before = world.balances()
    world.run_for((recording.end - recording.start) / SECOND + 1)
    assert taped.players[0].ended
    assert world.finish is None
    world.stop()
    world.run_for(60)
    witness = world.witness
    assert witness is not None
    with capsys.disabled():
        print(  # noqa: T201 - the counts are what a reader wants to see
            f"\n{symbol}: compared {witness.compared} of {len(recording.touches)} touches, "
            f"equal {witness.compared - len(witness.differences)}, with own orders in the book {witness.with_own}, "
            f"sides with one of them at the best price {witness.own_at_best}, with taken volume put back there "
            f"{witness.with_taken}; "
            f"{len(world.journal.orders)} orders, {len(world.journal.fills)} fills, gaps 0"
        )
    assert witness.differences == []
    assert witness.compared == len(recording.touches)
    assert witness.with_own > witness.compared // 2
    assert witness.own_at_best > 500
    assert witness.with_taken > 0
    # The runner's own book, over its own socket, never lost a number.
    assert not [event for event in world.log if isinstance(event.what, BookGap | VenueFault)]
    assert len(world.journal.fills) > 20
    assert world.finish is not None
    assert world.finish.exit_code == 0, world.finish
    assert set(world.journal.fills) == world.venue_fills()
    assert all(order.state is not OrderState.UNKNOWN for order in world.journal.orders.values())
    ledger, after = world.engine.account.ledger, world.balances()
    market = recording.market
    assert {c: after[c] - before[c] for c in (market.base, market.quote)} == {
        c: ledger.position(c) for c in (market.base, market.quote)
    }
