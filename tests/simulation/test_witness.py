"""The public tape without a member: what it must hold, whatever that member did.

The member's orders are drawn; the crowd's matching engine is the real one. What the witness says is compared with what
an omniscient look into the book and the exchange's own trades says.
"""

from collections.abc import Sequence
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.model.order import Side
from runner.simulation.admission import OrderRefused
from runner.simulation.crowd import CROWDS
from runner.simulation.exchange import MILLISECOND, SECOND, Behaviour
from runner.simulation.feed import Traded
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.matching import MatchingBook
from runner.simulation.recording import BID, SOLD, SOLD_TO_OWN, Recording
from runner.simulation.records import Trade
from runner.simulation.sandbox import Sandbox, sandbox
from runner.simulation.witness import Witness

START = 1_700_000_000 * SECOND
LISTING = SANDBOX_LISTINGS[0]
MARKET = LISTING.market
INSTANT = Behaviour(pending_delay=0, cancel_delay=0)
SLOW = Behaviour(
    pending_delay=2 * SECOND, cancel_delay=30 * MILLISECOND
)  # many orders are numbered after it, and there before

# Milliseconds to wait, what to do then (place at a distance from the other side's best, at the market, cancel), lots.
ACTIONS = st.lists(
    st.tuples(
        st.integers(1, 1500),
        st.sampled_from(["bid", "ask", "buy", "sell", "cancel"]),
        st.integers(-20, 40),
        st.integers(100, 80_000),
    ),
    max_size=25,
)


class Scene:
    """An exchange with a crowd, a member who acts, a witness, and what really happened."""

    def __init__(self, seed: str, behaviour: Behaviour, crowd: str) -> None:
        temper = CROWDS[crowd]
        self.world: Sandbox = sandbox(seed, START, listings=[LISTING], behaviour=behaviour, temper=temper)
        self.exchange, self.member = self.world.exchange, self.world.trader.id
        self.witness = Witness(MARKET, self.member)
        self.trades: list[Trade] = []
        self.listen()

    def listen(self) -> None:
        events = list(self.exchange.feed)
        self.exchange.feed.clear()
        self.trades += [event.trade for event in events if isinstance(event, Traded)]
        if events:
            self.witness.hear(self.exchange.now, events)

    def pass_until(self, end: int) -> None:
        while (due := self.exchange.next_due()) is not None and due <= end:
            self.exchange.advance(due)
            self.listen()
        self.exchange.advance(end)

    def act(self, what: str, distance: int, lots: int) -> None:
        side = Side.BUY if what in ("bid", "buy") else Side.SELL
        best = self.exchange.book(MARKET.id).best(side.opposite)
        assert best is not None
        if what == "cancel":
            for order in self.exchange.database.orders_of(self.member)[-2:]:
                self.exchange.cancel(order)
        else:
            price = None if what in ("buy", "sell") else MARKET.price(best - side.sign * distance)
            with suppress(OrderRefused):
                self.exchange.create(self.member, MARKET, side, MARKET.quantity(max(lots, 100)), price)
        self.pass_until(self.exchange.now)

    def others(self) -> dict[tuple[Side, int], int]:
        """The book without the member's orders, by looking at every order in it."""
        book = self.exchange.book(MARKET.id)
        assert isinstance(book, MatchingBook)
        levels: dict[tuple[Side, int], int] = {}
        for side in Side:
            for ticks, level in book._sides[side].levels.items():
                for number, lots in level.orders.items():
                    order = self.exchange.database.order(number)
                    assert order is not None
                    if order.member != self.member:
                        levels[side, ticks] = levels.get((side, ticks), 0) + lots
        return levels


def replayed(tape: Recording) -> dict[tuple[Side, int], int]:
    levels: dict[tuple[Side, int], int] = {}
    for kind, ticks, lots in zip(tape.kinds, tape.ticks, tape.lots, strict=True):
        if kind < SOLD:
            levels[Side.BUY if kind == BID else Side.SELL, ticks] = lots
    return {level: lots for level, lots in levels.items() if lots}


def prints(tape: Recording) -> list[tuple[int, int, bool]]:
    """Ticks and lots of each trade, and whether it is told to have hit the member."""
    rows = zip(tape.kinds, tape.ticks, tape.lots, strict=True)
    return [(ticks, lots, kind >= SOLD_TO_OWN) for kind, ticks, lots in rows if kind >= SOLD]


def played(scene: Scene, actions: Sequence[tuple[int, str, int, int]]) -> None:
    for wait, what, distance, lots in actions:
        scene.pass_until(scene.exchange.now + wait * MILLISECOND)
        scene.act(what, distance, lots)
    scene.pass_until(scene.exchange.now + SECOND)


@pytest.mark.slow
@given(seed=st.integers(0, 10**6), actions=ACTIONS, crowd=st.sampled_from(sorted(CROWDS)), slow=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_tape_is_the_market_without_the_member(
    seed: int, actions: list[tuple[int, str, int, int]], crowd: str, slow: bool
) -> None:
    scene = Scene(f"witness {seed}", SLOW if slow else INSTANT, crowd)
    played(scene, actions)
    scene.witness.hear(scene.exchange.now + SECOND, ())  # what was taken last is gone by then
    tape = scene.witness.recording()
    assert replayed(tape) == scene.others()
    assert list(tape.times) == sorted(tape.times)
    assert all(lots >= 0 for lots in tape.lots)
    taken = {trade.id for trade in scene.trades if _came(scene, trade)}
    member = scene.member
    assert prints(tape) == [
        (trade.ticks, trade.lots, member in trade.members) for trade in scene.trades if trade.id not in taken
    ]
    assert tape.trades == len(scene.trades) - len(taken)


def _came(scene: Scene, trade: Trade) -> bool:
    """Whether it was the member who came for this trade: its order reached the book when the trade was made."""
    if scene.member not in trade.members:
        return False
    if trade.maker.member == trade.taker.member:
        return True
    own = trade.order_of(scene.member)
    return own.ticks is None or trade.time == own.created + scene.exchange.behaviour.pending_delay


def test_without_the_members_doings_the_tape_is_the_feed() -> None:
    scene = Scene("nobody", INSTANT, "uniform")
    played(scene, [(60_000, "cancel", 0, 0)])
    tape = scene.witness.recording()
    assert replayed(tape) == scene.others()
    assert prints(tape) == [(trade.ticks, trade.lots, False) for trade in scene.trades]
    assert len(scene.trades) > 20


def test_what_was_taken_is_there_for_the_next_one_and_gone_a_moment_later() -> None:
    scene = Scene("taker", INSTANT, "uniform")
    best = scene.exchange.book(MARKET.id).best(Side.SELL)
    assert best is not None
    before = replayed(scene.witness.recording())[Side.SELL, best]
    now = scene.exchange.now
    scene.exchange.create(scene.member, MARKET, Side.BUY, MARKET.quantity(before), MARKET.price(best))
    scene.pass_until(now)
    assert scene.trades[-1].taker.member == scene.member
    assert replayed(scene.witness.recording())[Side.SELL, best] == before
    scene.pass_until(now + SECOND)
    tape = scene.witness.recording()
    shown, gone = [row for row, ticks in enumerate(tape.ticks) if ticks == best][:2]
    assert (tape.lots[shown], tape.times[gone], tape.lots[gone]) == (before, now + 1, 0)
