"""What was tried and what was found, for people and for programs."""

from collections.abc import Mapping
from typing import Any

import msgspec

from runner.report.tables import Column, Row, Table
from runner.run.fuzz.case import Tape
from runner.run.fuzz.search import Found, Searched
from runner.run.fuzz.small import Small
from runner.run.fuzz.witness import FAILURES, Failure
from runner.simulation.laws import LAWS
from runner.simulation.scenes import SCENES

_COLUMNS = (Column("what", "what"), Column("count", "times", right=True), Column("details", "", cut=True))

SLOW_S = 0.01
"""A tick that takes longer holds up everything else the runner does."""


def table(done: Searched) -> Table:
    """What was thrown at the strategy and what came of it."""
    refused = f"{done.refused} more were refused by the strategy" if done.refused else ""
    rows: list[Row] = [
        _row("examples", done.examples, refused),
        _row("simulated minutes", done.simulated // (60 * 10**9)),
        _row("parameters varied", done.varied.total(), counts(done.varied)),
        _row("situations", done.scenes.total(), counts(done.scenes)),
        _row("ticks", done.ticks),
        _row("orders", done.orders),
        _row("fills", done.fills),
        _row("refused by the gate", done.refusals.total(), counts(done.refusals)),
        _row("failures", 0 if done.found is None else 1, "must be 0"),
    ]
    return Table(_COLUMNS, tuple(rows))


def explained(found: Found, small: Small, done: Searched, again: str) -> str:
    """A failure, as small as it could be made, and the command that repeats it."""
    lines = [
        headline(small.failure),
        f"  found in example {found.example}, made small in {done.shrinks + small.tries} tries",
        f"  parameters: {_params(small)}",
        f"  market: {market(small.tape)}",
        f"  again: {again}",
    ]
    return "\n".join(lines)


def headline(failure: Failure) -> str:
    """What is wrong, and when."""
    law = failure.code.removeprefix("law ")
    sentence = FAILURES.get(failure.code) or f"a law was broken: {LAWS[law]}"
    seconds = failure.at / 1e9
    when = f" after {seconds:.3f} s" if failure.at else ""
    return f"{failure.code}{when}: {sentence}\n  {failure.what}"


def market(tape: Tape) -> str:
    """The tape in words."""
    if not tape.scenes:
        return f"calm all the time (seed {tape.seed})"
    said = []
    for scene in tape.scenes:
        where = f" on {scene.market}" if scene.market else ""
        far = f" by {scene.percent}%" if scene.percent else ""
        said.append(f"{scene.kind}{far}{where} for {scene.seconds} s")
    return f"{', then '.join(said)} (seed {tape.seed})"


def glossary(tape: Tape) -> str:
    """What the scenes of a tape are."""
    kinds = dict.fromkeys(scene.kind for scene in tape.scenes)
    return "\n".join(f"  {kind}: {SCENES[kind]}" for kind in kinds)


def facts(done: Searched, small: Small | None, folder: str | None) -> Mapping[str, Any]:
    """For programs; keys are stable, and nothing in it depends on the machine."""
    told: dict[str, Any] = {
        "examples": done.examples,
        "refused_by_strategy": done.refused,
        "simulated_s": done.simulated // 10**9,
        "parameters_varied": dict(sorted(done.varied.items())),
        "situations": dict(sorted(done.scenes.items())),
        "ticks": done.ticks,
        "orders": done.orders,
        "fills": done.fills,
        "refused_by_gate": dict(sorted(done.refusals.items())),
        "interrupted": done.interrupted,
        "failure": None,
    }
    if small is not None and done.found is not None:
        told["failure"] = {
            "code": small.failure.code,
            "what": small.failure.what,
            "time_s": small.failure.at / 1e9,
            "example": done.found.example,
            "file": small.keys,
            "tape": msgspec.to_builtins(small.tape),
            "folder": folder,
        }
    return told


def counts(counter: Mapping[str, int]) -> str:
    """The most frequent first."""
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items(), key=lambda item: (-item[1], item[0])))


def _row(what: str, count: int, details: str = "") -> Row:
    return {"what": what, "count": count, "details": details}


def _params(small: Small) -> str:
    params = small.keys["strategy"].get("params", {})
    return ", ".join(f"{name} {value}" for name, value in params.items()) or "defaults"
