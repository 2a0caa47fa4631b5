"""A strategy file on recorded markets: what it would have done there, and what would have come of it.

Engine, strategy, gate and request budget are those of a live run; the venue is the paper one with tapes under it. No
journal is kept, and nothing waits. What the venue's data take to arrive is added to what requests take to get there: a
decision on news that were `data` old, sent with `order` on the way, meets the same book as one on news of this moment
that is `data` + `order` on its way. The times told are therefore the venue's.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from time import perf_counter
from types import FrameType

from msgspec import Struct, structs

from runner.config.problems import problem
from runner.config.sense import node
from runner.config.spec import RunSpec
from runner.config.tree import Items
from runner.edge.budget import Bucket
from runner.edge.places import cache_root
from runner.model.command import Note, Output, Place
from runner.model.event import Event
from runner.model.exits import Exit
from runner.model.ids import account_tag
from runner.model.money import MONEY, ZERO
from runner.model.paper import PaperModels
from runner.model.settings import SECOND
from runner.report import backtest as report
from runner.report.summary import Summary, summary
from runner.run.account import Progress
from runner.run.audit import Audit
from runner.run.ends import CannotRun
from runner.run.on_tapes import played, venue_of
from runner.run.paper import as_recorded
from runner.run.tape_loop import TapeLoop
from runner.run.terminal import LogLines, listen
from runner.run.warned import dangers, warn
from runner.simulation.kernel import CannotCompile, Kernel, compiled_run
from runner.simulation.recording import NEVER, Recording
from runner.simulation.taped import start_balances
from runner.simulation.taped_market import TapedMarket

SLICES = 500
"""Between two of them progress is told and an interruption noticed."""
WORTH_COMPILING = 100_000
"""Rows, of all tapes together: fewer are played before numba is imported."""
CURVE_POINTS = 10_000
"""At least a second apart: where profit is looked at for the drawdown, besides at every fill."""


class Options(Struct, frozen=True):
    """`progress` is told how many of so many parts of the tape have been played."""

    strict: bool = False
    log: LogLines | None = None
    progress: Progress | None = None


class Tested(Struct, frozen=True):
    exit_code: int
    reason: str
    summary: Summary
    text: str


def backtest(spec: RunSpec, recordings: Sequence[Recording], options: Options) -> Tested:
    """Play the tapes as far as they overlap, or for as long as the file says. Raises CannotRun.

    SIGINT and SIGTERM end it in order, with what there is by then; a second one at once.
    """
    used = _of_the_file(spec, recordings)
    start, end, by = _span(spec, used)
    test = _Test(spec, used, start, options)
    began = perf_counter()
    with _stop_signals() as stopped:
        for slice_ in range(1, SLICES + 1):
            test.loop.run(start + (end - start) * slice_ // SLICES)
            if options.progress is not None:
                options.progress(slice_, SLICES)
            if stopped() or test.loop.finish is not None:
                break
    by = "signal" if stopped() else by
    if test.loop.finish is None:
        test.loop.stop(by)
        test.loop.run(NEVER)
    return test.result(perf_counter() - began, min(end, test.loop.now))


class _Test:
    def __init__(self, spec: RunSpec, recordings: Sequence[Recording], start: int, options: Options) -> None:
        told = as_recorded(spec.connector.paper or PaperModels(), os.environ)
        models = told.folded()
        self._kernel, plain = _kernels(sum(map(len, recordings)))
        recordings = [structs.replace(each, market=models.with_fees(each.market)) for each in recordings]
        self._tapes = [TapedMarket(recording, self._kernel(models.queue)) for recording in recordings]
        for tape in self._tapes:
            tape.play(start, stop_on_touch=False)
        self._start = start
        asks = ((tape.market, best and best[0]) for tape in self._tapes for best in [tape.best_ask()])
        self._balances = models.balances or start_balances(asks)
        venue = venue_of(self._tapes, self._balances, models)
        settings = structs.replace(spec.settings, tag=account_tag("backtest", spec.settings.name))
        limit = spec.connector.rate_limit
        bucket = Bucket(limit.requests, limit.per_ns)
        self.loop = TapeLoop(settings, spec.strategy_type, self._tapes, venue, bucket, self._take)
        label = f"backtest ({', '.join(tape.market.symbol for tape in self._tapes)})"
        self._audit = Audit(
            self.loop.engine, run="backtest", name=settings.name, venue=label, now=start, model=str(told)
        )
        self._ordered: dict[str, int] = {}
        if options.log is not None:
            listen(options.log, self._audit)
        warn(self._audit, dangers(spec, [tape.market for tape in self._tapes], strict=options.strict), start)
        if plain:
            self._audit.remark(start, Note("kernel.plain", level="warning", facts={"why": plain}))
        self.loop.begin()

    def _take(self, event: Event, output: Output) -> None:
        self._audit.take(event, output)
        for command in output.commands:
            if isinstance(command, Place):
                self._ordered[command.market] = self._ordered.get(command.market, 0) + command.lots

    # What came of it --------------------------------------------------------------------------------------

    def result(self, seconds: float, end: int) -> Tested:
        loop = self.loop
        assert loop.finish is not None
        assert loop.engine.stop is not None
        told = summary(self._audit.status(loop.now), loop.engine.stop.by)
        markets = [self._played(tape, end) for tape in self._tapes]
        pace = report.Pace(seconds, sum(each.events for each in markets), loop.engine.ticks)
        told["backtest"] = report.facts(markets, self._worth(markets), pace)
        return Tested(loop.finish.exit_code, loop.finish.reason, told, report.text(told))

    def _played(self, tape: TapedMarket, end: int) -> report.Played:
        symbol = tape.market.symbol
        fills = [fill for fill in self._audit.fills if fill.market == symbol]
        apart = max(SECOND, (end - self._start) // CURVE_POINTS)
        return played(
            tape.recording,
            self._start,
            end,
            fills=fills,
            ordered_lots=self._ordered.get(symbol, 0),
            marks=report.marks(fills, self._start, end, apart),
            kernel=self._kernel,
        )

    def _worth(self, markets: Sequence[report.Played]) -> dict[str, Decimal]:
        """Of the account at the start, by quote currency; what has no mid there counts for nothing."""
        worth: dict[str, Decimal] = {}
        for each in markets:
            market = each.market
            base, mid = self._balances.get(market.base, ZERO), each.mids.get(each.start, 0)
            before = worth.get(market.quote, self._balances.get(market.quote, ZERO))
            price = MONEY.divide(market.price(mid), Decimal(2))
            worth[market.quote] = MONEY.add(before, MONEY.multiply(base, price))
        return worth


# Beginnings ------------------------------------------------------------------------------------------------


def _kernels(rows: int) -> tuple[Callable[..., Kernel], str]:
    """The compiled kernel where it is worth it, or the plain one, which gives the same, and why it has to be that."""
    if rows < WORTH_COMPILING:
        return Kernel, ""
    os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_root(os.environ) / "numba"))  # numba reads it when imported
    try:
        compiled_run()
    except CannotCompile as problem:
        return Kernel, str(problem)
    return partial(Kernel, compiled=True), ""


def _of_the_file(spec: RunSpec, recordings: Sequence[Recording]) -> list[Recording]:
    """The tapes of the file's markets, in its order; the first market without one is a mistake in the file."""
    tapes = {recording.market.symbol: recording for recording in recordings}
    listed = node(spec.root, "markets")
    assert isinstance(listed, Items)
    for number, symbol in enumerate(spec.settings.markets):
        if symbol not in tapes:
            what = f"there is no tape of {symbol} here, only of {', '.join(tapes)}"
            fix = "give its tape as well, or lay a file over this one that names the tape's market and amounts"
            raise CannotRun(
                Exit.CONFIG, str(problem(listed.items[number].at, ("markets", number), "market.unknown", what, fix))
            )
    return [tapes[symbol] for symbol in spec.settings.markets]


def _span(spec: RunSpec, recordings: Sequence[Recording]) -> tuple[int, int, str]:
    """From when to when all tapes last, or as long as the file says; and what ends it."""
    start = max(recording.start for recording in recordings)
    end = min(recording.end for recording in recordings)
    if start >= end:
        what = "the tapes have no time in common" if len(recordings) > 1 else "the tape is a single moment"
        raise CannotRun(Exit.USAGE, f"{what}: nothing can be traded there")
    if spec.run_for is not None and start + spec.run_for < end:
        return start, start + spec.run_for, "time"
    return start, end, "tape"


@contextmanager
def _stop_signals() -> Iterator[Callable[[], bool]]:
    """Whether somebody wants it to end. Only the main thread hears signals; elsewhere nobody does."""
    heard: list[int] = []

    def hear(number: int, _frame: FrameType | None) -> None:
        heard.append(number)
        signal.signal(number, signal.SIG_DFL)

    here = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM) if here}
    try:
        yield lambda: bool(heard)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
