"""Lift latches: a person has looked, and the next run may go on."""

import os
import time
from collections.abc import Mapping

from msgspec import Struct

from runner.config.spec import RunSpec
from runner.edge.journal import JournalError
from runner.edge.journal_file import JournalUnusable
from runner.edge.lock import AnotherInstance, Lock
from runner.edge.places import LOCK_FILE
from runner.engine.latches import Latches, lifting
from runner.model.command import Note
from runner.model.exits import Exit
from runner.model.latch import Latch
from runner.model.settings import SECOND
from runner.report.account import utc
from runner.report.tables import Column, Table
from runner.run.archive import folder_of, reading
from runner.run.aside import writing
from runner.run.ends import CannotRun

_COLUMNS = (
    Column("latch", "latch"),
    Column("since", "since"),
    Column("does", "does"),
    Column("why", "why"),
    Column("lifts", "lifts by itself"),
)


class Resumed(Struct, frozen=True):
    """The latches that stood. `lifted`: they stand no longer."""

    latches: tuple[Latch, ...]
    table: Table
    lifted: bool


def resume(spec: RunSpec, environment: Mapping[str, str], reason: str, *, only_show: bool) -> Resumed:
    """Show what stands, and lift it unless `only_show`. The limits count anew from what is known last.

    Raises CannotRun: 10 where nothing of that name has run, 8 while a run is at work, 7 for a damaged journal.
    """
    folder = folder_of(spec, environment)
    if only_show:
        with reading(folder) as journal:
            return _resumed(spec, journal.restore().latches, lifted=False)
    now = time.time_ns()
    try:
        with Lock.acquire(folder / LOCK_FILE, now=now), writing(folder, now) as journal:
            restored = journal.restore()
            names = [latch.name for latch in restored.latches]
            if names:
                facts: dict[str, str | int | float | None] = {"by": f"uid {os.getuid()}", "reason": reason}
                notes = [Note("latch.lifted", "warning", None, None, {"latch": name, **facts}) for name in names]
                journal.commit(0, now, lifting(restored, names), notes)
            return _resumed(spec, restored.latches, lifted=True)
    except AnotherInstance as error:
        raise CannotRun(Exit.LOCKED, f"{error}; stop it first: runner stop") from error
    except (JournalError, JournalUnusable) as error:
        raise CannotRun(Exit.UNPROVEN, str(error)) from error


def _resumed(spec: RunSpec, latches: tuple[Latch, ...], *, lifted: bool) -> Resumed:
    standing = Latches(spec.settings.limits, latches)
    rows = []
    for latch in latches:
        at = standing.lifts_at(latch)
        lifts = "never" if at is None else utc(at // SECOND)
        since = utc(latch.since // SECOND)
        rows.append({"latch": latch.name, "since": since, "does": latch.action, "why": latch.why, "lifts": lifts})
    return Resumed(latches, Table(_COLUMNS, tuple(rows), "no latch stands"), lifted)
