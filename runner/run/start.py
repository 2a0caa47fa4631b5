"""A whole run, from a checked file to its last word: venue, journal, streams, engine, and the way out.

What goes wrong before the first event is `CannotRun` with an exit code and a sentence; afterwards the engine decides
how the run ends. Source: design sections 8 and 11; orders.md rules 24 to 27; wire reference section 13.
"""

import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from msgspec import Struct, structs

from runner import __version__
from runner.config.problems import problem
from runner.config.sense import place
from runner.config.spec import RunSpec
from runner.edge.clock import Clock
from runner.edge.inbox import Item, Observed
from runner.edge.journal import Journal, JournalError
from runner.edge.journal_file import JournalUnusable
from runner.edge.lock import AnotherInstance, Lock
from runner.edge.places import JOURNAL_FILE, LOCK_FILE, passing_folder, private_files, private_folder
from runner.edge.recorder import MEGABYTE, Recorder
from runner.edge.rest import Rest
from runner.engine.account import Missing
from runner.engine.core import Engine
from runner.model.command import Note
from runner.model.event import ClockRead, Configured, MarketsRead, NonceWindowProbed, Restored, StopRequested, What
from runner.model.exits import Exit
from runner.model.ids import account_tag
from runner.model.settings import Settings
from runner.report.summary import Summary, summary, text
from runner.run.audit import Audit
from runner.run.ends import CannotRun, only_cause
from runner.run.line import Line, opened_line
from runner.run.live import Consumer
from runner.run.machine import Machine
from runner.run.paper import as_recorded, paper_account
from runner.run.recording import header_of, prune, record_folder
from runner.run.reload import Reloading, Reread
from runner.run.site import Site, new_run_id, request_budget, rules_of, site_of
from runner.run.snapshot import snapshot
from runner.run.terminal import View, has_terminal, listen, show
from runner.run.venue import Knowledge, nonce_window_enforced, nothing_real
from runner.run.warned import dangers, warn
from runner.simulation.client import LISTENS

BEGIN_WITHIN_S = 60.0


class Options(Struct, frozen=True, kw_only=True):
    """What the command line adds to the file."""

    once: bool = False
    live: bool = False
    take_over: bool = False
    strict: bool = False
    """What the file is warned of keeps the run from beginning."""
    position: dict[str, Decimal] | None = None
    """What the strategy holds, where a new journal cannot know it; for the start that begins the journal."""
    settle: bool = False
    """Nothing is placed: look-ups and cancels only, until nothing of ours is unproven."""
    view: View = "none"
    reread: Reread | None = None
    """Reads the strategy file again, for SIGHUP; without it that signal keeps its meaning, to end the process."""
    ask: Callable[[str], str] | None = None
    """Asks a person for the passphrase of a stored key; None where there is nobody to ask."""


class Ended(Struct, frozen=True):
    exit_code: int
    reason: str
    summary: Summary
    text: str


async def run(spec: RunSpec, options: Options, environment: Mapping[str, str], machine: Machine | None = None) -> Ended:
    """Run a strategy until it is stopped. Raises CannotRun if it cannot begin."""
    try:
        with private_files():
            return await _run(spec, options, environment, machine or Machine())
    except BaseExceptionGroup as group:
        leaf = only_cause(group)
        if isinstance(leaf, CannotRun):
            raise leaf from None
        raise


async def _run(spec: RunSpec, options: Options, environment: Mapping[str, str], machine: Machine) -> Ended:
    clock = Clock(machine.wall())
    run_id = new_run_id(clock.now(), machine.dice)
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(site_of(spec, environment, clock, run_id, options.ask, machine.dice))
        _make_folder(site, environment, run_id)
        stack.enter_context(_lock(site, clock))
        rest = await stack.enter_async_context(Rest(site.rest_url, site.credentials, clock, connect=machine.connect))
        bucket = request_budget(spec, site, environment, machine)
        stack.callback(bucket.close)
        known = await rules_of(spec, site, rest, clock, bucket)
        if not (site.passing or options.live or nothing_real(site.rest_url, known.version)):
            raise CannotRun(
                Exit.USAGE, f"{site.rest_url} is not a sandbox: real money is asked for by name, with --live"
            )
        found = dangers(spec, known.markets, strict=options.strict)
        settings = _settings(spec, options, site)
        journal = stack.enter_context(_journal(site, settings, clock))
        key, paper, assumed = site.credentials, None, spec.connector.paper
        models = None if assumed is None else as_recorded(assumed, environment)
        # A paper account signs nothing, and keeps orders.md 9a by what it is.
        probed = key is None or await nonce_window_enforced(site.rest_url, key, clock, bucket, machine.connect)
        engine = Engine(spec.strategy_type)
        model = "" if models is None else str(models)
        audit = Audit(engine, run=run_id, name=settings.name, venue=site.label, now=clock.now(), model=model)
        listen(options.view, audit)
        warn(audit, found, clock.now())
        begin: list[What] = [
            Configured(settings),
            _begin_journal(journal, known, settings, run_id, {"file": spec.file, "venue": site.label}, clock),
            MarketsRead(known.markets),
            ClockRead(known.offset, known.uncertainty),
            NonceWindowProbed(probed),
        ]
        if models is not None:
            paper, opened = await paper_account(models, settings.markets, known, rest, bucket, clock)
            audit.remark(clock.now(), opened)
            begin.append(LISTENS)
        if options.settle:
            begin.append(StopRequested("settle"))
        reloading = None
        if options.reread is not None:
            reloading = Reloading(spec, options.reread, lambda found: _settings(found, options, site))
        recorder = stack.enter_context(_recorder(spec, site, environment, run_id, engine, audit, clock))
        line = Line(site, rest, paper, known, settings, bucket, clock, machine)
        parts = _Parts(line, journal, engine, audit, recorder, reloading)
        ended = await _trade(parts, begin, spec.run_for, options.view)
        return structs.replace(ended, reason=_placed(ended.reason, spec)) if ended.exit_code == Exit.CONFIG else ended


class _Parts(Struct, frozen=True):
    line: Line
    journal: Journal
    engine: Engine
    audit: Audit
    recorder: Recorder
    reloading: Reloading | None


async def _trade(parts: _Parts, begin: list[What], run_for: int | None, view: View) -> Ended:
    """Everything that waits, in one task group; it ends with the consumer."""
    line, engine = parts.line, parts.engine
    clock = line.clock
    async with opened_line(line) as (opened, inbox):
        consumer = Consumer(
            engine,
            opened.inward,
            opened.gateway,
            parts.journal,
            line.bucket,
            opened.outboxes,
            clock,
            parts.audit,
            parts.recorder,
        )
        for what in begin:
            consumer.deliver(what)
        opened.start()
        if line.machine.signals:
            opened.tasks.start_soon(_signals, opened.inbox, clock, parts.reloading)
        opened.tasks.start_soon(_begin_in_time, engine, opened.inbox, clock)
        if run_for is not None:
            opened.tasks.start_soon(_stop_after, run_for, opened.inbox, clock)
        if view == "screen":
            opened.tasks.start_soon(show, parts.audit, clock)
        finish = await consumer.run(inbox)
    by = engine.stop.by if engine.stop is not None else "error"
    exit_code, reason = finish.exit_code, finish.reason
    try:
        consumer.close()
        parts.journal.end_run(clock.now(), {"exit_code": exit_code, "stopped_by": by, "reason": reason})
    except JournalError as error:
        exit_code, reason = Exit.UNPROVEN, f"{reason}; {error}"
    facts = summary(parts.audit.status(clock.now()), by)
    return Ended(exit_code, reason, facts, text(facts))


def _placed(reason: str, spec: RunSpec) -> str:
    """What the engine finds wrong with the file, with the place of the key that it begins with."""
    key, _, what = reason.partition(": ")
    path = tuple(key.split("."))
    return str(problem(place(spec.root, path), path, "bound.worth", what, "raise the limit, or want less"))


# Ends ------------------------------------------------------------------------------------------------------


async def _signals(sender: MemoryObjectSendStream[Item], clock: Clock, reloading: Reloading | None) -> None:
    """The first SIGINT or SIGTERM stops the run in order, a second one at once. SIGHUP reads the strategy file again,
    unless it is a terminal's farewell: then nobody watches any more, and the run stops in order too.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # signals are the main thread's; who runs us elsewhere has other means
    numbers = [signal.SIGINT, signal.SIGTERM]
    if reloading is not None and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup wants it ignored
        numbers.append(signal.SIGHUP)
    had_terminal = has_terminal()
    with anyio.open_signal_receiver(*numbers) as signals:
        stopping = False
        async for number in signals:
            hung_up = number == signal.SIGHUP and had_terminal and not has_terminal()
            if reloading is not None and number == signal.SIGHUP and not hung_up:
                await sender.send(Observed(reloading.again(), clock.now()))
                continue
            if stopping:
                if hung_up:
                    continue  # both the system and the shell say so
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            stopping = True
            await sender.send(Observed(StopRequested("signal"), clock.now()))


async def _stop_after(run_for: int, sender: MemoryObjectSendStream[Item], clock: Clock) -> None:
    await clock.sleep_until(clock.now() + run_for)
    await sender.send(Observed(StopRequested("time"), clock.now()))


async def _begin_in_time(engine: Engine, sender: MemoryObjectSendStream[Item], clock: Clock) -> None:
    """REST answered, but what a first tick needs never came: the streams, the account, or the fate of an order."""
    past, heard = engine.account.past, -1
    while heard < 0 or not (past.known or past.answers == heard):  # a lost journal's trades may be many
        heard = past.answers
        await anyio.sleep(BEGIN_WITHIN_S)
    if engine.phase == "starting":
        exit_code, reason = in_vain(engine, clock.now(), BEGIN_WITHIN_S)
        await sender.send(Observed(StopRequested("unreachable", exit_code, reason), clock.now()))


def in_vain(engine: Engine, now: int, waited_s: float) -> tuple[int, str]:
    """How to end, and why, when the first tick has not come."""
    missing = tuple(engine.missing(now)) or (Missing(Exit.UNREACHABLE, "the exchange is too slow"),)
    return missing[0].exit_code, f"no tick within {waited_s:g} s: {'; '.join(one.what for one in missing)}"


# Beginnings ------------------------------------------------------------------------------------------------


def _make_folder(site: Site, environment: Mapping[str, str], run_id: str) -> None:
    try:
        if site.passing:
            passing_folder(site.folder)
        else:
            private_folder(site.folder)
    except OSError as error:
        raise CannotRun(Exit.UNPROVEN, f"no folder for the journal: {error}") from error


def _lock(site: Site, clock: Clock) -> Lock:
    try:
        return Lock.acquire(site.folder / LOCK_FILE, now=clock.now())
    except AnotherInstance as error:
        raise CannotRun(Exit.LOCKED, str(error)) from error
    except OSError as error:
        raise CannotRun(Exit.UNPROVEN, f"{site.folder} cannot hold the lock: {error.strerror or error}") from error


def _journal(site: Site, settings: Settings, clock: Clock) -> Journal:
    try:
        return Journal.open(site.folder / JOURNAL_FILE, now=clock.now(), name=settings.name, tag=settings.tag)
    except (JournalUnusable, JournalError) as error:
        raise CannotRun(Exit.UNPROVEN, str(error)) from error


def _recorder(
    spec: RunSpec,
    site: Site,
    environment: Mapping[str, str],
    run_id: str,
    engine: Engine,
    audit: Audit,
    clock: Clock,
) -> Recorder:
    """Of this run, or of nothing where the file wants none."""
    if not spec.recording.enabled:
        return Recorder()

    def told(problem: str) -> None:
        audit.remark(clock.now(), Note("record.ended", level="warning", facts={"problem": problem}))

    prune(environment, spec.recording.total_mb)
    return Recorder(
        record_folder(site.folder, run_id),
        header_of(spec, run=run_id, began=clock.now(), venue=site.label),
        bytes_max=spec.recording.run_mb * MEGABYTE,
        snapshot=partial(snapshot, engine),
        told=told,
    )


def _begin_journal(
    journal: Journal, known: Knowledge, settings: Settings, run_id: str, facts: dict[str, str], clock: Clock
) -> Restored:
    """What is remembered; from here on the journal is this run's."""
    try:
        restored = journal.restore(placed_since=settings.limits.placed_since(clock.now()))
        if settings.position is not None and restored.began is not None:
            raise CannotRun(
                Exit.USAGE,
                f"{journal.path} knows what the strategy holds: leave --position away. It is for the start after a "
                "journal was lost; see runner status",
            )
        journal.keep_grids(market for market in known.markets if market.symbol in settings.markets)
        journal.begin_run(run_id, clock.now(), {"version": __version__, "pid": os.getpid(), **facts})
    except (JournalError, JournalUnusable) as error:
        raise CannotRun(Exit.UNPROVEN, str(error)) from error
    return restored


def _settings(spec: RunSpec, options: Options, site: Site) -> Settings:
    tag = account_tag(site.fingerprint, spec.settings.name)
    return structs.replace(
        spec.settings, tag=tag, once=options.once, take_over=options.take_over, position=options.position
    )
