"""Books through cuts, lost frames and half-open lines: after every recovery ours is the exchange's own.

`RUNNER_BOOK_HOURS` sets the simulated hours (the suite runs a short piece of it).
"""

import os
from collections.abc import Sequence
from typing import Any

import pytest

from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model.event import BookDelta, BookSnapshot
from runner.model.order import Side
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import Faults, World

HOURS = float(os.environ.get("RUNNER_BOOK_HOURS", "0.1"))
MARKETS = ("ROGER-BTC", "LTC-BTC")
LOST = 0.002  # of the frames of a book


class Looks(Strategy, frozen=True):
    """Wants nothing."""

    def slots(self) -> Sequence[str]:
        return ("none",)

    def tick(self, view: View, state: State) -> Decision:
        return Decision((), state, "looking")


class Watched(World):
    """Loses frames, and notes how long each book was not to be trusted."""

    broken_since: dict[str, int]
    recoveries: list[float]
    sequence: dict[str, int]

    def _receive(self, stream: str, codec: Any, texts: list[str]) -> None:
        kept = [text for text in texts if ".ob-inc" not in text or self.dice.uniform() >= LOST]
        super()._receive(stream, codec, kept)

    def deliver(self, what: Any) -> None:
        super().deliver(what)
        if isinstance(what, BookSnapshot | BookDelta):
            self.sequence[what.market] = what.sequence
        if not self.engine.markets:
            return
        for symbol, feed in self.engine.feeds.by_symbol.items():
            if feed.book.state != "live":
                self.broken_since.setdefault(symbol, self.now)
            elif symbol in self.broken_since:
                self.recoveries.append((self.now - self.broken_since.pop(symbol)) / SECOND)

    def compare(self) -> int:
        """Compare every live book that is in step with the exchange; how many that were."""
        compared = 0
        for symbol, feed in self.engine.feeds.by_symbol.items():
            market_id = feed.market.id
            exchange = self.grown.exchange
            if feed.book.state == "live" and self.sequence.get(symbol) == exchange.sequence(market_id):
                truth = exchange.book(market_id)
                assert list(feed.book.bids(1000)) == truth.levels(Side.BUY, 1000), symbol
                assert list(feed.book.asks(1000)) == truth.levels(Side.SELL, 1000), symbol
                compared += 1
        return compared


def watched(seed: str) -> Watched:
    settings = Settings(
        name="books",
        tag="BOOKSA",
        markets=MARKETS,
        strategy="looks",
        tick=TickPolicy(every=60 * SECOND),
        limits=Limits(),
    )
    Watched.broken_since, Watched.recoveries, Watched.sequence = {}, [], {}
    return Watched(seed, settings, Looks, Faults(public_drop=1 / 90))


@pytest.mark.slow
def test_after_every_recovery_the_book_is_the_exchanges_own() -> None:
    each = watched("books")
    compared = 0
    for _ in range(int(HOURS * 3600 / 5)):
        each.run_for(5)
        if each.dice.uniform() < 1 / 60:
            each.pause("public")
            each.run_for(20)
            each.resume("public")
        compared += each.compare()
    times = sorted(each.recoveries)
    assert len(times) > 5
    assert compared > HOURS * 3600 / 5
    ranks = {f"p{share}": times[min(len(times) - 1, len(times) * share // 100)] for share in (50, 90, 99, 100)}
    quantiles = {name: round(seconds, 3) for name, seconds in ranks.items()}
    # The figures are what this test is run for by hand.
    print(f"{HOURS} h simulated, {len(times)} recoveries, seconds {quantiles}, {compared} books compared")  # noqa: T201
