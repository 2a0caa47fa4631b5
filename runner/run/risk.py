"""`runner risk`: every limit that is set, what is used of it and what is left, from journal and venue."""

from collections.abc import Mapping

from msgspec import Struct

from runner.config.spec import RunSpec
from runner.engine.core import Engine
from runner.engine.headroom import headroom
from runner.model.latch import Latch
from runner.report.tables import Column, Table
from runner.run.glance import Wish, glance
from runner.run.machine import Machine
from runner.run.site import Site

_COLUMNS = (
    Column("limit", "limit"),
    Column("of", "of"),
    Column("most", "set to", right=True),
    Column("used", "now", right=True),
    Column("left", "left", right=True),
)


class Standing(Struct, frozen=True):
    """`latches`: those that stand; `restraint`: the code of what lets only reducing orders pass now."""

    table: Table
    latches: tuple[Latch, ...]
    restraint: str | None


async def risk(spec: RunSpec, wish: Wish, environment: Mapping[str, str], machine: Machine | None = None) -> Standing:
    """Raises CannotRun, with the exit code that a run would end with, where the account or the book is not known."""

    def take(engine: Engine, _site: Site, time: int) -> Standing:
        guard = engine.account.guard
        uses = headroom(spec.settings.limits, engine.situation(time), guard)
        rows = tuple(
            {"limit": use.limit, "of": use.of, "most": use.most, "used": _told(use.used), "left": _told(use.left)}
            for use in uses
        )
        restraint = guard.restraint(time)
        return Standing(
            Table(_COLUMNS, rows, "no limit is set"),
            guard.latches.standing,
            None if restraint is None else restraint.code,
        )

    return await glance(spec, wish, environment, take, machine)


def _told(text: str | None) -> str:
    return "not known" if text is None else text
