"""Beside a run: is it there, stop it, what became of an order, and the human's word. All but the stop is offline."""

import os
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct, structs

from runner.config.spec import RunSpec
from runner.edge.journal import Journal, JournalError
from runner.edge.journal_file import JournalUnusable
from runner.edge.lock import AnotherInstance, Holder, Lock, holder, is_held, terminate
from runner.edge.places import JOURNAL_FILE, LOCK_FILE
from runner.model.beginning import Beginning
from runner.model.command import Note, OrderChanged
from runner.model.exits import Exit
from runner.model.ids import parse_client_id
from runner.model.money import MONEY, ZERO, plain
from runner.model.order import Fill, Order, OrderState
from runner.model.settings import SECOND
from runner.report.account import utc
from runner.report.explain import Line, explained
from runner.report.figures import many
from runner.run.archive import folder_of, reading
from runner.run.ends import CannotRun

POLL_S = 0.1
NOTE_WITHIN_S = 2.0
UNPROVEN = frozenset({OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN})
"""Orders that may or may not exist; everything else the exchange has shown."""
UNKNOWN = frozenset({OrderState.UNKNOWN})
"""The same while their run is at work: the others are on their way."""

Word = Literal["absent", "filled", "cancelled"]


class Standing(Struct, frozen=True):
    """A run as its lock and journal tell. `exit_code` is None while it goes on, and where it died.

    `reason` is why it ended; while it goes on, and where it died, that of the latest decision.
    """

    name: str
    running: bool
    pid: int | None
    run: str | None
    started: str | None
    ended: str | None
    exit_code: int | None
    reason: str
    open_orders: int
    unknown_orders: int
    fills: int
    position: dict[str, str]
    latches: tuple[str, ...] = ()  # those that stand, and why

    def facts(self) -> dict[str, Any]:
        return structs.asdict(self)

    def text(self) -> str:
        """For a person."""
        unproven = f", {self.unknown_orders} of them unproven" if self.unknown_orders else ""
        how = f"running, process {self.pid}, since {self.started}" if self.running else self._rest()
        rows = [
            (self.name, how),
            ("run", self.run or "none yet"),
            ("decided" if self.exit_code is None else "reason", self.reason or "nothing yet"),
            ("orders", f"{self.open_orders} open" + unproven),
            ("fills", str(self.fills)),
            ("position", ", ".join(f"{amount} {currency}" for currency, amount in self.position.items()) or "none"),
            *(("latch", latch) for latch in self.latches),
        ]
        width = max(len(label) for label, _ in rows)
        return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)

    def _rest(self) -> str:
        if self.run is None:
            return "not running; no run has begun"
        if self.exit_code is None:
            return "not running; the last run died without a word, the next start looks for its orders"
        return f"not running; ended {self.ended} with exit code {self.exit_code}"


def standing(spec: RunSpec, environment: Mapping[str, str]) -> Standing:
    """Raises CannotRun if there is no journal, or none that can be read."""
    folder = folder_of(spec, environment)
    with reading(folder) as journal:
        last, decided = journal.last_run(), journal.last_decision()
        restored = journal.restore()
        fills = journal.fills()
        grids, began = journal.grids(), journal.beginning()
    running = is_held(folder / LOCK_FILE)
    who = holder(folder / LOCK_FILE) if running else None
    alive = [order for order in restored.orders if not order.state.terminal]
    outcome = (last.outcome if last is not None and last.ended is not None else None) or {}
    return Standing(
        name=spec.settings.name,
        running=running,
        pid=None if who is None else who.pid,
        run=None if last is None else last.id,
        started=None if last is None else utc(last.started // SECOND),
        ended=None if last is None or last.ended is None else utc(last.ended // SECOND),
        exit_code=None if running else outcome.get("exit_code"),
        reason=outcome["reason"] if outcome and not running else ("" if decided is None else decided[1]),
        open_orders=len(alive),
        unknown_orders=sum(order.state in (UNKNOWN if running else UNPROVEN) for order in alive),
        fills=len(fills),
        position=_position(fills, grids, began, spec),
        latches=tuple(f"{latch.name}: {latch.why}" for latch in restored.latches),
    )


class Stopped(Struct, frozen=True):
    """How the run ended that was asked to. Counts of orders are those of its journal."""

    name: str
    pid: int
    run: str
    exit_code: int
    reason: str
    open_orders: int

    def facts(self) -> dict[str, Any]:
        return structs.asdict(self)

    def text(self) -> str:
        left = many(self.open_orders, "order") + " left open" if self.open_orders else "nothing left open"
        return f"{self.name}: process {self.pid} ended with exit code {self.exit_code} ({self.reason}), {left}"


def stop(spec: RunSpec, environment: Mapping[str, str], within_s: float, told: Callable[[str], None]) -> Stopped:
    """Ask the running instance to stop, and wait until it has.

    Raises CannotRun: 10 if none is running, 8 if it runs on another host or does not say who it is, 7 if it has not
    ended in time.
    """
    folder = folder_of(spec, environment)
    path = folder / LOCK_FILE
    who = _who_runs(path, spec.settings.name)
    if not who.here:
        raise CannotRun(Exit.LOCKED, f"{spec.settings.name} runs on {who.host} (process {who.pid}): stop it there")
    with reading(folder) as journal:
        over = {run.id for run in journal.runs() if run.ended is not None}
    _signal(path, who)
    told(f"asked process {who.pid} to stop; it cancels and waits for the exchange to confirm")
    give_up_at = time.monotonic() + within_s
    while holder(path) == who:  # another may begin at once: it is not the one that was meant
        if time.monotonic() >= give_up_at:
            raise CannotRun(
                Exit.UNPROVEN, f"process {who.pid} has not ended within {within_s:g} s; it goes on stopping"
            )
        time.sleep(POLL_S)
    with reading(folder) as journal:
        run = next((run for run in journal.runs() if run.id not in over and run.facts.get("pid") == who.pid), None)
        alive = sum(not order.state.terminal for order in journal.restore().orders)
    if run is None:
        raise CannotRun(Exit.UNPROVEN, f"process {who.pid} ended before its run had begun; orders of earlier runs stay")
    if run.outcome is None:
        raise CannotRun(Exit.UNPROVEN, f"process {who.pid} is gone without a last word: run runner settle")
    code, reason = run.outcome.get("exit_code", Exit.UNPROVEN), run.outcome.get("reason", "")
    return Stopped(spec.settings.name, who.pid, run.id, int(code), reason, alive)


def explain(spec: RunSpec, environment: Mapping[str, str], which: str) -> tuple[Line, ...]:
    """The story of one order, from the journal alone. `which`: client id, number at the exchange, or slot (newest)."""
    with reading(folder_of(spec, environment)) as journal:
        order = _order(journal, which)
        facts = journal.history(order.client_id)
        decision = journal.decision(facts[0].run, order.event) if facts else None
        notes = journal.notes(order.client_id)
        return explained(order, facts, decision, notes, journal.fills_of(order.client_id), journal.grids())


class Resolved(Struct, frozen=True):
    """The order as the human left it, and what that means for the books."""

    order: Order
    consequence: str


def resolve(spec: RunSpec, environment: Mapping[str, str], which: str, word: Word, reason: str) -> Resolved:
    """Write down a human's word about an order whose fate is not proven (orders.md 26).

    Raises CannotRun: 8 while a run is at work, 2 for an order that is not unproven.
    """
    folder = folder_of(spec, environment)
    now = time.time_ns()
    try:
        with Lock.acquire(folder / LOCK_FILE, now=now), writing(folder, now) as journal:
            order = _order(journal, which)
            if order.state not in UNPROVEN:
                told = f"{order.client_id} is {order.state.value} ({order.reason})"
                raise CannotRun(
                    Exit.USAGE, f"{told}: there is nothing to resolve; runner settle deals with what is open"
                )
            said = f"a human says so: {reason}"
            # Without its numbers: whatever the exchange shows under its name from now on is news, not an old story.
            ended = structs.replace(order, state=OrderState(word), changed=now, reason=said, venue_ids=())
            facts: dict[str, str | int | float | None] = {
                "was": order.state.value,
                "as": word,
                "by": f"uid {os.getuid()}",
                "reason": reason,
            }
            # Of no run: the last run's ending goes on being the last run's.
            note = Note("order.resolved", "warning", order.market, order.client_id, facts)
            journal.commit(0, now, [OrderChanged(ended)], [note])
    except AnotherInstance as error:
        raise CannotRun(Exit.LOCKED, str(error)) from error
    except (JournalError, JournalUnusable) as error:
        raise CannotRun(Exit.UNPROVEN, str(error)) from error
    return Resolved(ended, _consequence(ended))


def _consequence(order: Order) -> str:
    missing = order.lots * max(1, len(order.venue_ids)) - order.filled_lots
    if order.state is OrderState.FILLED and missing:
        return (
            "its trades are not in the books: the position lacks them until the exchange tells of them; if it never "
            "does, set run.initial_position"
        )
    return "its slot is free; should it turn up at the exchange after all, it is counted and cancelled"


# Inside ---------------------------------------------------------------------------------------------------


def writing(folder: Path, now: int) -> Journal:
    """The journal of a folder, to write a human's word into. The lock must be held."""
    with reading(folder) as known:
        name, tag = known.name, known.tag
    return Journal.open(folder / JOURNAL_FILE, now=now, name=name, tag=tag)


def _order(journal: Journal, which: str) -> Order:
    orders = journal.orders()
    if which.isascii() and which.isdigit():
        found = [order for order in orders if int(which) in order.venue_ids]
    elif parse_client_id(which.upper()) is not None:
        found = [order for order in orders if order.client_id == which.upper()]
    else:
        found = [order for order in orders if order.slot == which]
    if not found:
        slots = ", ".join(sorted({order.slot for order in orders})) or "none"
        raise CannotRun(
            Exit.USAGE,
            f"no order {which} in {journal.path}: name a client order id, the exchange's number, or a slot ({slots})",
        )
    return max(found, key=lambda order: order.created)  # what was taken over is written down later than it was made


def _who_runs(path: Path, name: str) -> Holder:
    """Who holds the lock. One that has just taken it is given a moment to say so."""
    give_up_at = time.monotonic() + NOTE_WITHIN_S
    while is_held(path):
        who = holder(path)
        if who is not None:
            return who
        if time.monotonic() >= give_up_at:
            raise CannotRun(Exit.LOCKED, f"{path} is held by a process that has not said who it is")
        time.sleep(POLL_S)
    raise CannotRun(Exit.NOT_RUNNING, f"{name} is not running")


def _signal(path: Path, who: Holder) -> None:
    try:
        terminate(path, who)
    except ProcessLookupError:
        return  # it ended at this very moment
    except PermissionError as error:
        raise CannotRun(Exit.LOCKED, f"process {who.pid} belongs to another user: stop it as that user") from error


def _position(
    fills: tuple[Fill, ...], grids: Mapping[str, tuple[int, int]], began: Beginning | None, spec: RunSpec
) -> dict[str, str]:
    """Base currencies: what was there at first and own fills since, net of fees taken in base."""
    held: dict[str, Decimal] = {**spec.settings.initial_position, **(began.position if began is not None else {})}
    for fill in fills:
        if fill.market not in grids or (began is not None and fill.traded_at < began.since):
            continue
        base = fill.market.split("-")[0]
        moved = Decimal(fill.side.sign * fill.lots).scaleb(-grids[fill.market][1], MONEY)
        if fill.fee_currency == base:
            moved = MONEY.subtract(moved, fill.fee)
        held[base] = MONEY.add(held.get(base, ZERO), moved)
    return {currency: plain(amount) for currency, amount in held.items()}
