"""The loop of a backtest: the same decisions as event by event, however it is cut, and for several tapes at once."""

from array import array
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from runner.edge.budget import Bucket
from runner.engine.core import Engine
from runner.engine.strategy import Decision, Field, State, Strategy
from runner.engine.view import View
from runner.model.command import Cancel, FillBooked, Output, Place, StateChanged
from runner.model.event import (
    BookDelta,
    BookSnapshot,
    Event,
    PublicTrade,
    StreamUp,
    Wake,
    What,
)
from runner.model.market import Market
from runner.model.order import Quote, Side
from runner.model.paper import Latency, PaperModels
from runner.model.settings import MILLISECOND, SECOND, Limits, Settings, TickPolicy
from runner.run.tape_loop import TapeLoop
from runner.simulation.kernel import Kernel
from runner.simulation.paper import PaperVenue
from runner.simulation.recording import ASK, BID, BOUGHT, NEVER, SOLD, Gap, Recording
from runner.simulation.taped_market import TapedMarket

START = 1_700_000_000 * SECOND
A, B = (
    Market(
        id=f"{base.lower()}eur",
        base=base,
        quote="EUR",
        price_precision=2,
        amount_precision=1,
        price_min=Decimal("0.01"),
        quantity_min=Decimal("0.1"),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.002"),
    )
    for base in "AB"
)
OPENING = [(side, 10_000 + sign * distance, 50) for side, sign in ((BID, -1), (ASK, 1)) for distance in range(1, 6)]


class Seen(State, frozen=True):
    """All that the last tick could see."""

    told: str = ""


class Looks(Strategy, frozen=True):
    """Quotes at the touch, and a market order now and then; what it sees is its next state, to the last digit."""

    behind: Annotated[int, Field("Ticks behind the best price", min="0", max="10")] = 0

    def slots(self) -> Sequence[str]:
        return ("bid", "ask", "take")

    def initial_state(self) -> Seen:
        return Seen()

    def tick(self, view: View, state: State) -> Decision:
        book, tick = view.book, 0.01
        saw = (
            view.time, book.bids(3), book.asks(3), book.mid, book.microprice, view.trades, view.position,
            sorted(view.orders.items()), view.fills, view.base_balance, view.quote_balance,
        )  # fmt: skip
        quotes = []
        if book.best_bid is not None and book.best_ask is not None:
            quotes += [
                Quote("bid", Side.BUY, book.best_bid - self.behind * tick, 1.0),
                Quote("ask", Side.SELL, book.best_ask + self.behind * tick, 1.5),
            ]
            if len(view.trades) > 2:
                quotes.append(Quote("take", Side.BUY, book.best_ask, 0.7, repeat=False))
        return Decision(tuple(quotes), Seen(repr(saw)), "as it is")


Step = tuple[int, int, int, int]
steps = st.lists(
    st.tuples(st.integers(1, 400), st.integers(0, 99), st.integers(0, 3), st.integers(0, 60)), min_size=1, max_size=60
)


def recording(moves: Sequence[Step], market: Market = A, gaps: tuple[Gap, ...] = ()) -> Recording:
    """A tape from (ms later, what, how far from the touch, lots); no moment of it comes again in any clock of ours."""
    rows = [(START, *row) for row in OPENING]
    sides: dict[int, dict[int, int]] = {side: {} for side in (BID, ASK)}
    for side, ticks, lots in OPENING:
        sides[side][ticks] = lots
    time = START
    for number, (later, what, far, lots) in enumerate(moves, 1):
        time += later * MILLISECOND + number
        side, sign = (BID, 1) if what % 2 else (ASK, -1)
        best = {BID: max(sides[BID]), ASK: min(sides[ASK])}
        if what < 65:
            ticks = best[1 - side] - sign * (1 + far)
            if not lots and len(sides[side]) == 1:
                continue
            sides[side][ticks] = lots
            if not lots:
                del sides[side][ticks]
            rows.append((time, side, ticks, lots))
        else:
            rows.append((time, SOLD if side == BID else BOUGHT, best[side] - sign * (far % 2), lots + 1))
    times, kinds, ticks, amounts = (array("q", column) for column in zip(*rows, strict=True))
    return Recording(market=market, times=times, kinds=kinds, ticks=ticks, lots=amounts, gaps=gaps)


def file(tick: TickPolicy, behind: int, markets: Sequence[Market] = (A,)) -> Settings:
    return Settings(
        name="taped",
        tag="ABCDEF",
        markets=tuple(market.symbol for market in markets),
        strategy="looks",
        params={"behind": behind},
        tick=tick,
    )


def models(latency: int) -> PaperModels:
    """Everything takes so many ms on its way out, and nothing on its way back."""
    there = Latency(latency * MILLISECOND)
    return PaperModels(order=there, cancel=there, data=Latency(), processing=latency * MILLISECOND // 2)


def opened(recordings: Sequence[Recording], latency: int) -> tuple[list[TapedMarket], PaperVenue]:
    tapes = [TapedMarket(each, Kernel()) for each in recordings]
    kernels = {tape.market.symbol: tape.kernel for tape in tapes}
    balances = {currency: Decimal(10_000) for currency in ("A", "B", "EUR")}
    venue = PaperVenue(
        [tape.market for tape in tapes], balances, models=models(latency), seed="1", now=START, kernels=kernels
    )
    return tapes, venue


class Heard:
    """What a run decided, and all that its strategy saw."""

    def __init__(self) -> None:
        self.said: list[tuple[int, Place | StateChanged | str]] = []
        self.fills = 0

    def __call__(self, event: Event, output: Output) -> None:
        self.said += [(event.time, change) for change in output.changes if isinstance(change, StateChanged)]
        # Live every trade through a price of ours has the order read, in case the private stream is deaf (rule 14).
        for command in output.commands:
            if isinstance(command, Place):
                self.said.append((event.time, command))
            elif isinstance(command, Cancel):  # the venue's numbers are its own
                self.said.append((event.time, f"cancel {command.client_id}"))
        self.fills += sum(isinstance(change, FillBooked) for change in output.changes)


class EventByEvent(TapeLoop):
    """The live way: every change of the book and every trade is an event, and the engine keeps the book itself."""

    def begin(self) -> None:
        (self._tape,) = self.tapes.values()
        self.engine = Engine(Looks)
        super().begin()
        self.deliver(StreamUp("public", ()))
        self._bids, self._asks = self._sides()
        self._trades = self._tape.traded
        levels = (tuple(side.items()) for side in (self._bids, self._asks))
        self.deliver(BookSnapshot(A.symbol, 0, *levels))

    def run(self, until: int) -> None:
        while self.finish is None:
            news = self._public()
            if news:
                for what in news:
                    self.deliver(what)
            elif self._wake_at is not None and self._wake_at <= self.now:
                self.deliver(Wake())
            elif self._news:
                self.deliver(self._news.popleft())
            elif self._venue_at <= self.now:
                self._news.extend(what for _, what in self._venue.advance(self.now))
                self._ask_venue()
            elif self.now >= until:
                return
            else:
                self._tape.play(min(until, self._next(), self._tape.next_time), stop_on_touch=False)
                self.now = self._tape.time
                if self._tape.filled:
                    self._venue.moved(A.symbol, self.now)
                    self._ask_venue()

    def _sides(self) -> tuple[dict[int, int], dict[int, int]]:
        return dict(self._tape.bids(1000)), dict(self._tape.asks(1000))

    def _public(self) -> list[What]:
        """What changed in the book, and what traded, since this was asked last."""
        before, after = (self._bids, self._asks), self._sides()
        self._bids, self._asks = after
        changed = []
        for old, new in zip(before, after, strict=True):
            changed.append(tuple((t, new.get(t, 0)) for t in sorted({*old, *new}) if old.get(t) != new.get(t)))
        deltas: list[What] = [BookDelta(A.symbol, 0, *changed)] if any(changed) else []
        first, self._trades = self._trades, self._tape.traded
        trades: list[What] = list(self._tape.trades(first, self._trades))
        assert all(isinstance(trade, PublicTrade) for trade in trades)
        # A moment is one thing on a tape and several events here: what the file wants a tick for comes last.
        return [*deltas, *trades] if "trade" in self._settings.tick.when else [*trades, *deltas]


def play(loop: TapeLoop, heard: Heard, end: int, cuts: Sequence[int] = ()) -> Heard:
    loop.begin()
    for cut in sorted(cuts):
        loop.run(cut)
    loop.run(end)
    loop.stop("tape")
    loop.run(NEVER)
    assert loop.finish is not None
    assert loop.finish.exit_code == 0
    return heard


def a_loop(
    kind: type[TapeLoop], recordings: Sequence[Recording], tick: TickPolicy, behind: int, latency: int
) -> tuple[TapeLoop, Heard]:
    tapes, venue = opened(recordings, latency)
    heard, markets = Heard(), [tape.market for tape in tapes]
    bucket = Bucket(10_000, SECOND)
    return kind(file(tick, behind, markets), Looks, tapes, venue, bucket, heard), heard


whens = st.sampled_from([(), ("book",), ("trade",), ("fill",), ("book", "fill")])
policies = st.builds(
    lambda when, every, most: TickPolicy(every * MILLISECOND, when, min(every, most) * MILLISECOND),
    whens,
    st.sampled_from([100, 250, 1000]),
    st.sampled_from([0, 10, 100]),
)
latencies = st.sampled_from([0, 1, 7, 150])


@settings(max_examples=60, deadline=None)
@given(steps, policies, st.integers(0, 2), latencies)
def test_a_tape_played_in_strides_leads_to_what_its_events_lead_to(
    moves: list[Step], tick: TickPolicy, behind: int, latency: int
) -> None:
    tape = recording(moves)
    strides = play(*a_loop(TapeLoop, [tape], tick, behind, latency), tape.end)
    events = play(*a_loop(EventByEvent, [tape], tick, behind, latency), tape.end)
    assert strides.said == events.said
    assert strides.fills == events.fills


@settings(max_examples=25, deadline=None)
@given(steps, policies, latencies, st.lists(st.integers(0, 20_000), max_size=8))
def test_where_it_is_cut_changes_nothing(moves: list[Step], tick: TickPolicy, latency: int, cuts: list[int]) -> None:
    tape = recording(moves)
    whole = play(*a_loop(TapeLoop, [tape], tick, 0, latency), tape.end)
    times = [min(START + cut * MILLISECOND, tape.end) for cut in cuts]
    pieces = play(*a_loop(TapeLoop, [tape], tick, 0, latency), tape.end, times)
    assert pieces.said == whole.said


@settings(max_examples=25, deadline=None)
@given(steps, steps, policies, latencies)
def test_a_second_market_that_nobody_trades_in_changes_nothing(
    moves: list[Step], other: list[Step], tick: TickPolicy, latency: int
) -> None:
    """The file's first market is the one that `Looks` quotes in; the other is played in step with it."""
    tick = TickPolicy(tick.every, (), 0)
    tapes = recording(moves), recording(other, B)
    end = min(tape.end for tape in tapes)
    alone = play(*a_loop(TapeLoop, tapes[:1], tick, 1, latency), end)
    loop, heard = a_loop(TapeLoop, tapes, tick, 1, latency)
    both = play(loop, heard, end)
    assert both.said == alone.said
    for symbol, tape in zip((A.symbol, B.symbol), tapes, strict=True):
        assert loop.tapes[symbol].rows == tape.rows_until(loop.now)


CALM: list[Step] = [(100, 1, 2, 10 + number % 7) for number in range(200)]
"""Twenty seconds in which a level behind the best bid changes, and nothing else."""


def test_between_ticks_a_tape_costs_no_event() -> None:
    tape = recording(CALM)
    loop, heard = a_loop(TapeLoop, [tape], TickPolicy(every=SECOND), 1, 1)
    loop.begin()
    loop.run(tape.end)
    begun = 40  # events of the start: what the account holds, the first orders
    assert loop.engine.ticks == 20
    assert loop.handled <= loop.engine.ticks + begun
    assert len(heard.said) >= loop.engine.ticks


def test_in_a_gap_of_the_recording_nothing_is_decided() -> None:
    gap = Gap(1, START + 5 * SECOND, "lost", until=START + 9 * SECOND)
    tape = recording(CALM, gaps=(gap,))
    loop, heard = a_loop(TapeLoop, [tape], TickPolicy(every=SECOND), 1, 1)
    play(loop, heard, tape.end)
    ticks = [time for time, what in heard.said if isinstance(what, StateChanged)]
    assert any(time < gap.time for time in ticks)
    assert any(time >= gap.until for time in ticks)
    assert not [time for time in ticks if gap.time <= time < gap.until]


def test_requests_wait_for_the_budget_and_the_run_still_ends_in_order() -> None:
    moves: list[Step] = [(200, 3 - number % 2, 0, 40) for number in range(200)]
    tape = recording(moves)
    tapes, venue = opened([tape], 5)
    heard = Heard()
    settings = file(TickPolicy(100 * MILLISECOND, ("book",), 0), 0)
    loop = TapeLoop(settings, Looks, tapes, venue, Bucket(12, 10 * SECOND), heard)
    play(loop, heard, tape.end)
    placed = [time for time, what in heard.said if isinstance(what, Place)]
    assert placed
    assert all(sum(at <= time < at + 10 * SECOND for time in placed) <= 12 for at in placed)
    assert not loop.engine.account.orders.live()


def test_an_account_that_nobody_hears_of_is_still_known_to_be_there() -> None:
    tape = recording(CALM)
    tapes, venue = opened([tape], 1)
    heard = Heard()
    limited = structs.replace(file(TickPolicy(every=SECOND), 1), limits=Limits(max_account_age=2 * SECOND))
    loop = TapeLoop(limited, Looks, tapes, venue, Bucket(), heard)
    loop.begin()
    loop.run(tape.end)
    assert loop.now - loop.engine.account.heard_at <= 2 * SECOND
