"""`runner plan`: what the first tick of a run would do, decided by the very engine of a run, and nothing of it sent.

It connects as a run does, but takes no lock, keeps no journal, and neither gateway nor REST client lets anything out
that is not a question: so it may be asked at any time, also beside a run of the same file.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack

import anyio
from msgspec import Struct, structs

from runner.config.spec import RunSpec
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Item
from runner.edge.journal import Journal
from runner.edge.journal_file import JournalUnusable, NoJournal
from runner.edge.lock import is_held
from runner.edge.places import JOURNAL_FILE, LOCK_FILE, private_files
from runner.edge.rest import Rest
from runner.edge.stream import Outbox
from runner.engine.core import Engine
from runner.engine.reconcile import Target
from runner.engine.risk import Approved, Refused, Waiting
from runner.engine.strategy import Strategy
from runner.model.command import Change, Note
from runner.model.event import ClockRead, Configured, MarketsRead, Restored, What
from runner.model.exits import Exit
from runner.model.ids import account_tag
from runner.model.order import Order, OrderState
from runner.model.settings import SECOND, Settings
from runner.report.figures import facts, figure
from runner.report.plan import Do, Offer, Plan, Planned, Sight
from runner.run.audit import Audit
from runner.run.ends import CannotRun, only_cause
from runner.run.gateway import LiveGateway, Withheld
from runner.run.inward import Inward
from runner.run.live import Consumer
from runner.run.machine import Machine
from runner.run.site import Ask, Site, new_run_id, request_budget, rules_of, site_of
from runner.run.start import INBOX_ITEMS, in_vain, start_streams
from runner.run.terminal import View, listen
from runner.run.venue import Knowledge, keep_clock

ATTEMPTS = 3  # beside a run that is just placing orders, the journal may be older than what the exchange shows


class Wish(Struct, frozen=True, kw_only=True):
    """What the command line adds to the file. `within_s`: how long to wait for the first tick."""

    within_s: float = 60.0
    take_over: bool = False
    view: View = "none"
    ask: Ask | None = None


async def plan(spec: RunSpec, wish: Wish, environment: Mapping[str, str], machine: Machine | None = None) -> Plan:
    """Raises CannotRun, with the exit code that a run would end with, where no first tick comes."""
    try:
        with private_files():
            return await _plan(spec, wish, environment, machine or Machine())
    except BaseExceptionGroup as group:
        raise only_cause(group) from None


async def _plan(spec: RunSpec, wish: Wish, environment: Mapping[str, str], machine: Machine) -> Plan:
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
        parts = _Parts(spec.strategy_type, site, rest, known, settings, bucket, clock, machine)
        for attempt in range(1, ATTEMPTS + 1):
            remembered = _remembered(parts)
            try:
                return await _first_tick(parts, remembered, wish)
            except CannotRun as problem:
                moved_on = problem.exit_code == Exit.UNPROVEN and _remembered(parts) != remembered
                if attempt == ATTEMPTS or not moved_on:
                    raise
    raise AssertionError("the last attempt returns or raises")


class _Parts(Struct, frozen=True):
    strategy_type: type[Strategy]
    site: Site
    rest: Rest
    known: Knowledge
    settings: Settings
    bucket: Bucket
    clock: Clock
    machine: Machine


def _remembered(parts: _Parts) -> Restored:
    """What the journal holds, if there is one; it is left as it is."""
    markets = [market for market in parts.known.markets if market.symbol in parts.settings.markets]
    try:
        with Journal.read_only(parts.site.folder / JOURNAL_FILE) as journal:
            journal.check_owner(parts.settings.name, parts.settings.tag)
            journal.check_grids(markets)
            return journal.restore()
    except NoJournal:
        return Restored(epoch=parts.clock.now() // (60 * SECOND))
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


class _Watcher:
    """Hears every note of the engine, and looks at it at the very event of its first tick, or of its stop."""

    def __init__(self, engine: Engine, site: Site, name: str) -> None:
        self._engine = engine
        self._site = site
        self._name = name
        self.outcome: Plan | CannotRun | None = None
        self.came = anyio.Event()

    def __call__(self, time: int, note: Note) -> None:
        if self.outcome is not None:
            return
        stop = self._engine.stop
        if stop is not None:
            self.outcome = CannotRun(stop.exit_code, stop.reason)
        elif note.what == "run.trading":
            self.outcome = Plan(
                name=self._name,
                venue=self._site.label,
                time=time,
                reason=self._engine.reason,
                sights=tuple(sights(self._engine)),
                orders=tuple(planned(self._engine)),
                beside=is_held(self._site.folder / LOCK_FILE),
            )
        else:
            return
        self.came.set()


async def _first_tick(parts: _Parts, remembered: Restored, wish: Wish) -> Plan:
    """Everything that a run has waiting, up to the first tick."""
    clock, settings = parts.clock, parts.settings
    engine = Engine(parts.strategy_type)
    watcher = _Watcher(engine, parts.site, settings.name)
    audit = Audit(engine, run="plan", name=settings.name, venue=parts.site.label, now=clock.now())
    audit.tell(watcher)
    listen(wish.view, audit)
    begin: list[What] = [
        Configured(settings),
        remembered,
        MarketsRead(parts.known.markets),
        ClockRead(parts.known.offset, parts.known.uncertainty),
    ]
    sender, receiver = anyio.create_memory_object_stream[Item](INBOX_ITEMS)
    doubt, doubts = anyio.create_memory_object_stream[None](1)
    outboxes = {"public": Outbox(), "private": Outbox()}
    markets = {market.symbol: market for market in parts.known.markets}
    inward = Inward(markets, settings.markets)
    async with sender, receiver, doubt, doubts, anyio.create_task_group() as tasks:
        asks = LiveGateway(parts.rest, parts.bucket, markets, clock, sender, tasks, doubt)
        consumer = Consumer(engine, inward, Withheld(asks), _Forgetful(), parts.bucket, outboxes, clock, audit)
        for what in begin:
            consumer.deliver(what)
        start_streams(tasks, parts.site, inward, outboxes, sender, clock, parts.machine)
        tasks.start_soon(keep_clock, parts.rest, clock, parts.bucket, doubts, sender)
        tasks.start_soon(consumer.run, receiver)
        with anyio.move_on_after(wish.within_s):
            await watcher.came.wait()
        tasks.cancel_scope.cancel()
    match watcher.outcome:
        case Plan() as found:
            return found
        case CannotRun() as problem:
            raise problem
    raise CannotRun(*in_vain(engine, clock.now(), wish.within_s))


# What the engine has decided ------------------------------------------------------------------------------


def sights(engine: Engine) -> Iterator[Sight]:
    """What it saw of each market."""
    for feed in engine.feeds.by_symbol.values():
        bid, ask = (level and feed.market.price(level[0]) for level in (feed.book.best_bid(), feed.book.best_ask()))
        yield Sight(feed.market, bid, ask, engine.account.ledger.position(feed.market.base))


def planned(engine: Engine) -> list[Planned]:
    """What its latest decision does to each slot: the wanted ones as the strategy gave them, then the rest."""
    orders, wanted = engine.account.orders, engine.wanted
    rows = [_there(engine, order) for order in orders.live()]
    rows += [_not_now(engine, verdict) for verdict in engine.verdicts if not isinstance(verdict, Approved)]
    taken = {row.slot for row in rows}
    for slot, target in wanted.items():
        if slot not in taken and (target.repeat or slot not in orders.used_slots):
            rows.append(
                Planned(do="wait", slot=slot, offer=_offer(engine, target), why="no request is left in the budget now")
            )
    rank = {slot: number for number, slot in enumerate(wanted)}
    return sorted(rows, key=lambda row: (rank.get(row.slot, len(rank)), row.slot))


def _there(engine: Engine, order: Order) -> Planned:
    """An order that exists, may exist, or would be created now."""
    do, why = _fate(engine, order)
    approved = next((v.numbers for v in engine.verdicts if isinstance(v, Approved) and v.target.slot == order.slot), {})
    target = engine.wanted.get(order.slot) if do == "cancel" else None
    return Planned(
        do=do,
        slot=order.slot,
        offer=_offer(engine, order),
        why=why,
        client_id=None if do == "create" else order.client_id,  # its name is known when the journal has begun
        instead=None if target is None else _offer(engine, target),
        numbers={**approved},
    )


def _fate(engine: Engine, order: Order) -> tuple[Do, str]:
    orders = engine.account.orders
    cancelled_because = orders.cancels.reason(order.client_id)
    if order.state is OrderState.INTENDED:
        return "create", ""
    if orders.missing_there(order.client_id):
        return "missing", f"the exchange does not know {order.client_id}, which keeps the slot"
    if order.state is OrderState.UNKNOWN:
        return "unproven", f"{order.client_id} may exist: it is looked up, and keeps the slot until that is known"
    if cancelled_because is not None:
        return "cancel", f"{cancelled_because}: {order.client_id}"
    if order.state is OrderState.CANCELLING:
        return "cancelling", f"{order.client_id} was to be cancelled before"
    filled = engine.markets[order.market].quantity(order.filled_lots)
    return "keep", f"{figure(filled)} of {order.client_id} is filled" if filled else ""


def _not_now(engine: Engine, verdict: Refused | Waiting) -> Planned:
    target = verdict.target
    offer = _offer(engine, target)
    if isinstance(verdict, Refused):
        numbers = verdict.numbers
        why = f"{verdict.code}: {facts(numbers)}"
        return Planned(do="refuse", slot=target.slot, offer=offer, why=why, code=verdict.code, numbers=numbers)
    why = f"funds: it takes {figure(verdict.wanted)} {verdict.currency}, and {figure(verdict.spendable)} are free"
    return Planned(do="wait", slot=target.slot, offer=offer, why=why)


def _offer(engine: Engine, what: Target | Order) -> Offer:
    feed = engine.feeds.by_symbol[what.market]
    bid, ask = feed.book.best_bid(), feed.book.best_ask()
    mid = None if bid is None or ask is None else feed.market.price_float((bid[0] + ask[0]) / 2)
    return Offer(feed.market, what.side, what.ticks, what.lots, mid)
