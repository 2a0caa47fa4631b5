"""From a strategy file to what is played, and from what was found to what is shown."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from runner.config.spec import RunSpec
from runner.model.exits import Exit
from runner.model.ids import account_tag
from runner.report.tables import Column, Row, Table
from runner.run.chaos.play import Plan, Played
from runner.run.chaos.world import START
from runner.run.ends import CannotRun
from runner.simulation.laws import Telling
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.tally import Found, Tally

_COLUMNS = (Column("what", "what"), Column("count", "times", right=True), Column("details", ""))


def plan_for(spec: RunSpec, length: int, without: tuple[str, ...] = ()) -> Plan:
    """Play a file's strategy on the sandbox's markets, whatever its venue. Raises CannotRun where there is none."""
    listings = tuple(each for each in SANDBOX_LISTINGS if each.market.symbol in spec.settings.markets)
    missing = set(spec.settings.markets) - {each.market.symbol for each in listings}
    if missing:
        known = ", ".join(each.market.symbol for each in SANDBOX_LISTINGS)
        raise CannotRun(
            Exit.CONFIG,
            f"{spec.file}: the simulated exchange has no market {', '.join(sorted(missing))}; it has {known}: "
            "try it with --set markets=",
        )
    settings = structs.replace(spec.settings, tag=account_tag("chaos", spec.settings.name))
    limit = spec.connector.rate_limit
    return Plan(settings, spec.strategy_type, listings, length, without, limit.requests, limit.per_ns)


def table(tally: Tally) -> Table:
    """What was thrown at the strategy and what came of it."""
    rows: list[Row] = [
        _row("seeds", tally.seeds, f"{tally.hours:.1f} simulated hours"),
        _row("faults injected", tally.faults.total(), _counts(tally.faults)),
        _row("crashes", tally.crashes),
        _row("recoveries", tally.recoveries, "starts on what an earlier process left"),
        _row("orders", tally.orders),
        _row("fills", tally.fills),
        _row("ambiguous creates", tally.doubts.total(), _counts(tally.doubts)),
        _row("extra orders", tally.extras, "copies made by a proxy, and requests slower than connector.settle"),
        _row("ends", tally.exits.total(), ", ".join(f"exit {code}: {n}" for code, n in sorted(tally.exits.items()))),
        _row("violations", len(tally.found), "must be 0"),
    ]
    return Table(_COLUMNS, tuple(rows))


def explained(found: Found, again: str) -> str:
    """The shortest explanation of a broken law: what, which order, its last events, and the command that repeats it.

    `again` is that command, but for the seed.
    """
    violation = found.violation
    about = f" of order {violation.order}" if violation.order else ""
    lines = [
        f"law {violation.law!r} broken in seed {found.seed} after {_time(violation.time)}{about}",
        f"  expected: {violation.expected}",
        f"  found:    {violation.found}",
        *(f"  {_time(told.time)}  {told.text}" for told in found.story),
        f"  again: {again} --seed {found.seed}",
    ]
    return "\n".join(lines)


def told(played: Played) -> str:
    """The story of one seed, line by line."""
    return "\n".join(f"{_time(each.time)}  {each.text}" for each in played.story)


def story_facts(story: list[Telling]) -> list[Mapping[str, Any]]:
    return [{"time": each.time, "what": each.text} for each in story]


def _row(what: str, count: int, details: str = "") -> Row:
    return {"what": what, "count": count, "details": details}


def _counts(counter: Mapping[str, int]) -> str:
    """The most frequent first; a line has an end."""
    most = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    text = ", ".join(f"{name} {count}" for name, count in most[:8])
    return text + (f" and {len(most) - 8} kinds more" if len(most) > 8 else "")


def _time(time: int) -> str:
    """Since the beginning: h:mm:ss.mmm."""
    milliseconds = (time - START) // 1_000_000
    seconds, milliseconds = divmod(milliseconds, 1000)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{milliseconds:03d}"
