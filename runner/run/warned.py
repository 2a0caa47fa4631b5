"""What a file is warned of once the rules of its markets are known: told, or what keeps a strict run from beginning."""

from collections.abc import Iterable

from runner.config.dangers import warnings
from runner.config.problems import Problem
from runner.config.spec import RunSpec
from runner.model.command import Note
from runner.model.exits import Exit
from runner.model.market import Market
from runner.run.audit import Audit
from runner.run.ends import CannotRun


def dangers(spec: RunSpec, markets: Iterable[Market], *, strict: bool) -> tuple[Problem, ...]:
    """Raises CannotRun (3) with all of them where the run is to be strict."""
    found = warnings(spec, {market.symbol: market for market in markets})
    if found and strict:
        raise CannotRun(Exit.CONFIG, "\n".join(warning.text(kind="warning: ") for warning in found))
    return found


def warn(audit: Audit, found: Iterable[Problem], now: int) -> None:
    for warning in found:
        audit.remark(now, Note("config.warning", level="warning", facts=dict(warning.facts())))
