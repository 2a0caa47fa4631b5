"""A run up to its first tick, by the very engine of a run, and nothing of it sent: for whoever only wants to look.

It connects as a run does, but takes no lock, keeps no journal, and neither gateway nor REST client lets anything out
that is not a question: so it may be asked at any time, also beside a run of the same file.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Generic, TypeVar

import anyio
from msgspec import Struct, structs

from runner.config.spec import RunSpec
from runner.edge.clock import Clock
from runner.edge.journal import Journal
from runner.edge.journal_file import JournalUnusable, NoJournal
from runner.edge.places import JOURNAL_FILE, private_files
from runner.edge.rest import Rest
from runner.engine.core import Engine
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model.command import Change, Note
from runner.model.event import ClockRead, Configured, MarketsRead, Restored, What
from runner.model.exits import Exit
from runner.model.ids import account_tag
from runner.model.settings import SECOND
from runner.run.audit import Audit
from runner.run.ends import CannotRun, only_cause
from runner.run.gateway import Withheld
from runner.run.line import Line, opened_line
from runner.run.live import Consumer
from runner.run.machine import Machine
from runner.run.paper import as_recorded, paper_account
from runner.run.site import Ask, Site, new_run_id, request_budget, rules_of, site_of
from runner.run.start import in_vain
from runner.run.terminal import View as Ways
from runner.run.terminal import listen
from runner.simulation.client import LISTENS

ATTEMPTS = 3  # beside a run that is just placing orders, the journal may be older than what the exchange shows


T = TypeVar("T")

Take = Callable[[Engine, Site, int], T]
"""Looks at the engine at the event of its first tick; where it trades, and the time (ns)."""


class Idle(Strategy, frozen=True):
    """Wants nothing."""

    def slots(self) -> Sequence[str]:
        return ()

    def tick(self, _view: View, state: State) -> Decision:
        return Decision((), state, "only looks")


class Wish(Struct, frozen=True, kw_only=True):
    """What the command line adds to the file. `within_s`: how long to wait for the first tick."""

    within_s: float = 60.0
    stopped_too: bool = False  # a latch that stands keeps the first tick from coming: look then
    idle: bool = False  # nothing is wanted: what is seen is what there is, and no proposal of a tick
    take_over: bool = False
    view: Ways = "none"
    ask: Ask | None = None


async def glance(
    spec: RunSpec, wish: Wish, environment: Mapping[str, str], take: Take[T], machine: Machine | None = None
) -> T:
    """What `take` makes of it. Raises CannotRun, with the exit code of a run, where no first tick comes."""
    try:
        with private_files():
            return await _glance(spec, wish, environment, take, machine or Machine())
    except BaseExceptionGroup as group:
        raise only_cause(group) from None


async def _glance(spec: RunSpec, wish: Wish, environment: Mapping[str, str], take: Take[T], machine: Machine) -> T:
    clock = Clock(machine.wall())
    run_id = new_run_id(clock.now(), machine.dice)
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(site_of(spec, environment, clock, run_id, wish.ask, machine.dice))
        rest = Rest(site.rest_url, site.credentials, clock, connect=machine.connect, only_asks=True)
        await stack.enter_async_context(rest)
        bucket = request_budget(spec, site, environment, machine)
        stack.callback(bucket.close)
        known = await rules_of(spec, site, rest, clock, bucket)
        tag = account_tag(site.fingerprint, spec.settings.name)
        settings = structs.replace(spec.settings, tag=tag, take_over=wish.take_over)
        strategy_type = spec.strategy_type
        if wish.idle:
            strategy_type, settings = Idle, structs.replace(settings, params={})
        models, paper = spec.connector.paper, None
        if models is not None:
            models = as_recorded(models, environment)
            paper, _ = await paper_account(models, settings.markets, known, rest, bucket, clock)
        line = Line(site, rest, paper, known, settings, bucket, clock, machine)
        parts = _Parts(strategy_type, line)
        for attempt in range(1, ATTEMPTS + 1):
            remembered = _remembered(parts)
            try:
                return await _first_tick(parts, remembered, wish, take)
            except CannotRun as problem:
                moved_on = problem.exit_code == Exit.UNPROVEN and _remembered(parts) != remembered
                if attempt == ATTEMPTS or not moved_on:
                    raise
    raise AssertionError("the last attempt returns or raises")


class _Parts(Struct, frozen=True):
    strategy_type: type[Strategy]
    line: Line


def _remembered(parts: _Parts) -> Restored:
    """What the journal holds, if there is one; it is left as it is."""
    line, settings = parts.line, parts.line.settings
    markets = [market for market in line.known.markets if market.symbol in settings.markets]
    try:
        with Journal.read_only(line.site.folder / JOURNAL_FILE) as journal:
            journal.check_owner(settings.name, settings.tag)
            journal.check_grids(markets)
            return journal.restore()
    except NoJournal:
        return Restored(epoch=line.clock.now() // (60 * SECOND))
    except JournalUnusable as error:
        raise CannotRun(Exit.UNPROVEN, str(error)) from error


class _Forgetful:
    """In the place of a run's journal: nothing is kept, for nothing is done."""

    def commit(self, number: int, time: int, changes: Sequence[Change], notes: Sequence[Note] = ()) -> None:
        pass

    def defer(self, number: int, time: int, changes: Sequence[Change], notes: Sequence[Note] = ()) -> None:
        pass

    def flush(self) -> None:
        pass


class _Watcher(Generic[T]):
    """Hears every note of the engine, and looks at it at the very event of its first tick, or of its stop."""

    def __init__(self, engine: Engine, site: Site, take: Take[T], *, stopped_too: bool) -> None:
        self._engine = engine
        self._site = site
        self._take = take
        self._stopped_too = stopped_too
        self.taken: T | None = None
        self.problem: CannotRun | None = None
        self.came = anyio.Event()

    def __call__(self, time: int, note: Note) -> None:
        if self.came.is_set():
            return
        stop = self._engine.stop
        by_latch = stop is not None and stop.by == "risk" and self._stopped_too
        if stop is not None and not by_latch:
            self.problem = CannotRun(stop.exit_code, stop.reason)
        elif by_latch or note.what == "run.trading":
            self.taken = self._take(self._engine, self._site, time)
        else:
            return
        self.came.set()


async def _first_tick(parts: _Parts, remembered: Restored, wish: Wish, take: Take[T]) -> T:
    """Everything that a run has waiting, up to the first tick."""
    line, clock, settings = parts.line, parts.line.clock, parts.line.settings
    engine = Engine(parts.strategy_type)
    watcher = _Watcher(engine, line.site, take, stopped_too=wish.stopped_too)
    audit = Audit(engine, run="look", name=settings.name, venue=line.site.label, now=clock.now())
    audit.tell(watcher)
    listen(wish.view, audit)
    begin: list[What] = [
        Configured(settings),
        remembered,
        MarketsRead(line.known.markets),
        ClockRead(line.known.offset, line.known.uncertainty),
        *([] if line.paper is None else [LISTENS]),
    ]
    async with opened_line(line) as (opened, inbox):
        gateway = Withheld(opened.gateway)
        consumer = Consumer(engine, opened.inward, gateway, _Forgetful(), line.bucket, opened.outboxes, clock, audit)
        for what in begin:
            consumer.deliver(what)
        opened.start()
        opened.tasks.start_soon(consumer.run, inbox)
        with anyio.move_on_after(wish.within_s):
            await watcher.came.wait()
    if watcher.taken is not None:
        return watcher.taken
    raise watcher.problem or CannotRun(*in_vain(engine, clock.now(), wish.within_s))
