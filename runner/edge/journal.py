"""What a strategy on an account must not forget: intents, orders, fills, its state, and why. One SQLite file.

One output of the engine is one transaction, and it is on the disk when `commit` returns; only then may its requests
leave. The caller holds the lock of the folder, so there is one writer. Times are UTC nanoseconds.
Rules: orders.md 5, 6 and 24 to 26.
"""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar, assert_never

import msgspec
from msgspec import Struct

from runner.edge import journal_tables as sql
from runner.edge.journal_file import (
    SQLITE_ERRORS,
    JournalUnusable,
    NoJournal,
    bring_up_to_date,
    check_whole,
    create,
    damaged,
    is_new,
    opening,
    refuse_older,
    roll_back,
)
from runner.model.beginning import Beginning
from runner.model.command import (
    Began,
    Change,
    Decided,
    FillBooked,
    LatchLifted,
    LatchSet,
    Note,
    OrderChanged,
    RiskKept,
    StateChanged,
)
from runner.model.event import Restored
from runner.model.latch import Latch
from runner.model.market import POWERS_OF_TEN, Market
from runner.model.order import Fill, Order, OrderState
from runner.model.settings import SECOND

TOMBSTONE_AGE_MAX = 15 * 60 * SECOND
"""How long an ended order is still restored: W + D + ten minutes (orders.md 7 and 9), rounded up."""

DEFERRED_MAX = 1000

Facts = Mapping[str, Any]

_ORDER = msgspec.json.Decoder(Order)
_FILL = msgspec.json.Decoder(Fill)
_LATCH = msgspec.json.Decoder(Latch)
_BEGINNING = msgspec.json.Decoder(Beginning)
_Value = TypeVar("_Value")


class JournalError(Exception):
    """A transaction did not become durable; nothing of it was kept, so nothing of it may be sent."""


class Step(Struct, frozen=True):
    """One change in an order's life: which event of which run brought it to which state, and why."""

    run: str | None
    event: int
    time: int
    state: OrderState
    executed_lots: int
    filled_lots: int
    reason: str


class Record(Struct, frozen=True):
    """One thing that was noted about an order: `noun.verb` and its facts."""

    run: str | None
    event: int
    time: int
    what: str
    facts: dict[str, Any]


class RunRecord(Struct, frozen=True):
    """A run as it stands in the journal. Without `ended` it goes on, or it died."""

    id: str
    started: int
    facts: dict[str, Any]
    ended: int | None
    outcome: dict[str, Any] | None


class _Entry(Struct, frozen=True):
    number: int
    time: int
    changes: Sequence[Change]
    notes: Sequence[Note]


class Journal:
    """An open journal. Use `Journal.open` to trade with it and `Journal.read_only` to look at it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, tombstones_since: int | None = None) -> None:
        self.path = path
        self._connection = connection
        self._tombstones_since = tombstones_since
        self._run: int | None = None
        self._deferred: list[_Entry] = []
        self.name: str
        self.tag: str
        self.epoch: int
        """UTC minute in which the file was created; part of every client order id."""
        with self._reading() as query:
            self.name, self.tag, self.epoch = query(sql.IDENTITY).fetchone()

    @classmethod
    def open(cls, path: Path, *, now: int, name: str, tag: str) -> Self:
        """Open the journal of one strategy on one account, or begin it; its epoch is then the UTC minute of `now`.

        Raises JournalUnusable for a file that is not a journal, of another strategy or account, newer than this
        program, damaged, or out of reach.
        """
        with opening(path) as connection:
            if is_new(path, connection):
                create(path, connection, now, name, tag)
            else:
                check_whole(path, connection)
                bring_up_to_date(connection)
            journal = cls(path, connection, now - TOMBSTONE_AGE_MAX)
            journal.check_owner(name, tag)
            return journal

    @classmethod
    def read_only(cls, path: Path) -> Self:
        """Look at a journal, also while its run is at work. `restore` then tells what it knew at its last change."""
        with opening(path, read_only=True) as connection:
            if is_new(path, connection):
                raise NoJournal(f"{path} is empty: no run has begun this journal yet")
            refuse_older(path, connection)
            last_change = connection.execute(sql.LAST_CHANGE).fetchone()[0] or 0
            return cls(path, connection, last_change - TOMBSTONE_AGE_MAX)

    def check_owner(self, name: str, tag: str) -> None:
        """Raises JournalUnusable for the journal of another strategy or account."""
        if (self.name, self.tag) != (name, tag):
            raise JournalUnusable(
                f"{self.path} is the journal of strategy {self.name!r} with tag {self.tag}, not of {name!r} with "
                f"tag {tag} (the tag changes with the account); put it back where it was"
            )

    def check_grids(self, markets: Iterable[Market]) -> None:
        """Raises JournalUnusable if a market's grid is not the one the journal began with."""
        known = self.grids()
        for market in markets:
            grid = (market.price_precision, market.amount_precision)
            before = known.get(market.symbol, grid)
            if before != grid:
                raise JournalUnusable(
                    f"{market.symbol} has {grid[0]} price and {grid[1]} quantity decimals now, and had "
                    f"{before[0]} and {before[1]} when {self.path} began: its numbers mean something else; cancel "
                    "what is open and begin a new journal with --position"
                )

    # Reading ----------------------------------------------------------------------------------------------

    def restore(self, *, placed_since: int | None = None) -> Restored:
        """Everything a new run has to know. `placed_since`: ns from which on intents count for a limit on their rate.

        Orders: all that are not terminal, terminal ones changed in the last 15 minutes, and every absent one (it
        is recognised for ever, orders.md 9). In the order of their intents; states are as written, so a run takes
        INTENDED and SENT for UNKNOWN.
        """
        with self._reading() as query:
            state, risk = query(sql.STRATEGY_STATE).fetchone(), query(sql.RISK).fetchone()
            return Restored(
                epoch=self.epoch,
                orders=_decoded(_ORDER, query(sql.ORDERS_TO_RESTORE, (self._tombstones_since,))),
                generations=dict(query(sql.GENERATIONS)),
                fills=_decoded(_FILL, query(sql.ALL_FILLS)),
                strategy_state=state and state[0],
                used_slots=tuple(slot for (slot,) in query(sql.USED_SLOTS)),
                latches=_decoded(_LATCH, query(sql.LATCHES)),
                risk=risk and risk[0],
                placed=() if placed_since is None else _times(query(sql.PLACED_SINCE, (placed_since,))),
                began=self._beginning(query),
            )

    def beginning(self) -> Beginning | None:
        """What the journal began with; None while that is not known."""
        with self._reading() as query:
            return self._beginning(query)

    def _beginning(self, query: "_Execute") -> Beginning | None:
        row = query(sql.BEGINNING).fetchone()
        return None if row is None else _BEGINNING.decode(row[0])

    def orders(self) -> tuple[Order, ...]:
        """Every order of the journal's life, in the order of their intents."""
        with self._reading() as query:
            return _decoded(_ORDER, query(sql.ALL_ORDERS))

    def fills(self) -> tuple[Fill, ...]:
        """Every fill, in the order learnt."""
        with self._reading() as query:
            return _decoded(_FILL, query(sql.ALL_FILLS))

    def history(self, client_id: str) -> tuple[Step, ...]:
        """Every change of one order, oldest first; empty for an order that is not in the journal."""
        with self._reading() as query:
            rows = query(sql.HISTORY, (client_id,)).fetchall()
        return tuple(
            Step(run, event, time, OrderState(state), executed, filled, reason)
            for run, event, time, state, executed, filled, reason in rows
        )

    def notes(self, client_id: str) -> tuple[Record, ...]:
        """Everything that was noted about one order, oldest first."""
        with self._reading() as query:
            rows = query(sql.NOTES_OF, (client_id,)).fetchall()
        return tuple(
            Record(run, event, time, what, msgspec.json.decode(facts)) for run, event, time, what, facts in rows
        )

    def decision(self, run: str | None, event: int) -> dict[str, Any] | None:
        """What the tick of an event saw, of which `market`, and decided; None where that was not kept."""
        with self._reading() as query:
            row = query(sql.DECISION_NOTE, (run, event)).fetchone()
        return None if row is None else {"market": row[0], **msgspec.json.decode(row[1], type=dict)}

    def fills_of(self, client_id: str) -> tuple[Fill, ...]:
        """In the order learnt."""
        with self._reading() as query:
            return _decoded(_FILL, query(sql.FILLS_OF, (client_id,)))

    def last_run(self) -> RunRecord | None:
        """The newest run; None where none has begun yet."""
        with self._reading() as query:
            row = query(sql.LAST_RUN).fetchone()
        return None if row is None else _run(*row)

    def runs(self) -> tuple[RunRecord, ...]:
        """All of them, oldest first."""
        with self._reading() as query:
            return tuple(_run(*row) for row in query(sql.RUNS))

    def last_decision(self) -> tuple[int, str] | None:
        """When the strategy last changed something, and why."""
        with self._reading() as query:
            row = query(sql.LAST_DECISION).fetchone()
        return None if row is None else (row[0], row[1])

    def grids(self) -> dict[str, tuple[int, int]]:
        """Price and quantity decimals by symbol."""
        with self._reading() as query:
            return {symbol: (price, amount) for symbol, price, amount in query(sql.MARKETS)}

    # Writing ----------------------------------------------------------------------------------------------

    def begin_run(self, run_id: str, now: int, facts: Facts) -> None:
        """From here on what is committed belongs to this run. `facts`: what explains it later (never a key)."""
        with self._transaction() as execute:
            self._run = execute(sql.BEGIN_RUN, (run_id, now, _json(facts))).lastrowid

    def end_run(self, now: int, outcome: Facts) -> None:
        """Write what was deferred and how the run ended. A run without an end died."""
        with self._transaction() as execute:
            self._write(execute, self._deferred)
            execute(sql.END_RUN, (now, _json(outcome), self._run))
        self._deferred.clear()
        self._run = None

    def keep_grids(self, markets: Iterable[Market]) -> None:
        """Note what a tick and a lot of each market are, for all numbers in this file.

        Raises JournalUnusable, and notes nothing, if a market's grid is not the one the journal began with.
        """
        markets = tuple(markets)
        self.check_grids(markets)
        known = self.grids()
        with self._transaction() as execute:
            for market in markets:
                if market.symbol not in known:
                    grid = (market.price_precision, market.amount_precision)
                    scales = (POWERS_OF_TEN[precision] for precision in grid)
                    execute(sql.ADD_MARKET, (market.symbol, *grid, *scales))

    def commit(self, number: int, time: int, changes: Sequence[Change], notes: Sequence[Note] = ()) -> None:
        """Make one output durable, together with what was deferred before it.

        `number` and `time` are those of the event that led to it. Raises JournalError if the disk says no, and for
        an intent under a name that was used before.
        """
        with self._transaction() as execute:
            self._write(execute, [*self._deferred, _Entry(number, time, changes, notes)])
        self._deferred.clear()

    def defer(self, number: int, time: int, changes: Sequence[Change], notes: Sequence[Note] = ()) -> None:
        """Keep an output that no request and no money depends on until the next commit or flush."""
        if len(self._deferred) >= DEFERRED_MAX:
            self.flush()
        self._deferred.append(_Entry(number, time, changes, notes))

    def flush(self) -> None:
        """Write what was deferred; without anything deferred the disk is left alone."""
        if self._deferred:
            with self._transaction() as execute:
                self._write(execute, self._deferred)
            self._deferred.clear()

    def close(self) -> None:
        """Flush and close. What cannot be flushed is dropped: nothing depends on it, and `end_run` has said why."""
        with contextlib.suppress(JournalError):
            self.flush()
        self._deferred.clear()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------

    def _write(self, execute: "_Execute", entries: Iterable[_Entry]) -> None:
        for entry in entries:
            of_event = (self._run, entry.number, entry.time)
            for change in entry.changes:
                match change:
                    case OrderChanged(order=order):
                        self._write_order(execute, of_event, order)
                    case FillBooked(fill=fill):
                        execute(sql.PUT_FILL, (fill.trade_id, fill.order_id, _json(fill)))
                    case _:
                        execute(*_row_of(change, of_event))
            for note in entry.notes:
                if note.level == "debug":
                    continue
                facts = (note.what, note.level, note.market, note.client_id, _json(note.facts))
                execute(sql.ADD_NOTE, (*of_event, *facts))

    def _write_order(self, execute: "_Execute", of_event: tuple[int | None, int, int], order: Order) -> None:
        if order.state is OrderState.INTENDED:
            # The last look before a name goes out: the engine names orders, but here is what was named before.
            before = execute(sql.INTENDED_BEFORE, (order.client_id,)).fetchone()
            if before is not None and before[0] != order.created:
                raise JournalError(
                    f"client order id {order.client_id} was used before: this is a bug, nothing was sent"
                )
        execute(sql.PUT_ORDER, (order.client_id, _json(order)))
        execute(sql.BURN_GENERATION, (order.slot, order.generation))
        what = (order.client_id, order.state, order.executed_lots, order.filled_lots, order.reason)
        execute(sql.ADD_HISTORY, (*of_event, *what))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator["_Execute"]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield self._connection.execute
            self._connection.execute("COMMIT")
        except BaseException as error:
            roll_back(self._connection)
            if isinstance(error, SQLITE_ERRORS):
                raise JournalError(
                    f"{self.path} could not be written: {error}; see to the disk, then start again"
                ) from error
            raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator["_Execute"]:
        """One moment of the file for several queries, whatever its run writes meanwhile."""
        try:
            self._connection.execute("BEGIN")
            yield self._connection.execute
        except (*SQLITE_ERRORS, msgspec.MsgspecError, TypeError, ValueError) as error:
            raise damaged(self.path, error) from error
        finally:
            roll_back(self._connection)


class _Execute(Protocol):
    def __call__(self, statement: str, values: Sequence[Any] = ..., /) -> sqlite3.Cursor: ...


def _run(run: str, started: int, facts: str, ended: int | None, outcome: str | None) -> RunRecord:
    told = None if outcome is None else msgspec.json.decode(outcome)
    return RunRecord(run, started, msgspec.json.decode(facts), ended, told)


def _decoded(decoder: "msgspec.json.Decoder[_Value]", rows: Iterable[tuple[str]]) -> tuple[_Value, ...]:
    return tuple(decoder.decode(value) for (value,) in rows)


def _row_of(
    change: StateChanged | Began | Decided | LatchSet | LatchLifted | RiskKept, of_event: tuple[int | None, int, int]
) -> tuple[str, Sequence[Any]]:
    """The statement and the values that keep a change which is one row."""
    match change:
        case StateChanged(state=state):
            return sql.PUT_STRATEGY_STATE, (*of_event, state)
        case Began(beginning=beginning):
            return sql.PUT_BEGINNING, (*of_event, _json(beginning))
        case Decided(reason=reason):
            return sql.ADD_DECISION, (*of_event, reason)
        case LatchSet(latch=latch):
            return sql.SET_LATCH, (latch.name, *of_event, _json(latch))
        case LatchLifted(name=name):
            return sql.LIFT_LATCH, (name,)
        case RiskKept(kept=kept):
            return sql.PUT_RISK, (*of_event, kept)
        case _:
            assert_never(change)


def _times(rows: Iterable[tuple[int]]) -> tuple[int, ...]:
    return tuple(time for (time,) in rows)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
