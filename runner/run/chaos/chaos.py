"""Many seeds of a user's own file, and what they come to."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct, structs, to_builtins

from runner.config.spec import RunSpec
from runner.run.chaos.storm import Verdict, storm
from runner.run.chaos.weather import Severity
from runner.simulation.markets import SANDBOX_LISTINGS

TAG = "CHAOSA"
HARSH_EVERY = 3


class Chaos(Struct, frozen=True):
    verdicts: tuple[Verdict, ...]

    @property
    def violations(self) -> int:
        return sum(len(verdict.violations) for verdict in self.verdicts)

    def totals(self) -> dict[str, Any]:
        """Sums over all runs; `resolved` and `exit_codes` and `faults` are counts by name."""
        return {
            "runs": len(self.verdicts),
            "hours": round(sum(verdict.hours for verdict in self.verdicts), 3),
            "faults": sum(sum(verdict.faults.values()) for verdict in self.verdicts),
            "crashes": sum(verdict.crashes for verdict in self.verdicts),
            "orders": sum(verdict.orders for verdict in self.verdicts),
            "fills": sum(verdict.fills for verdict in self.verdicts),
            "ambiguous": sum(verdict.ambiguous for verdict in self.verdicts),
            "resolved": _summed(verdict.resolved for verdict in self.verdicts),
            "exit_codes": _summed({str(code): 1} for verdict in self.verdicts for code in verdict.exit_codes),
            "violations": self.violations,
        }

    def facts(self) -> dict[str, Any]:
        """For a program."""
        runs = [to_builtins(verdict) for verdict in self.verdicts]
        return {**self.totals(), "by_fault": _summed(verdict.faults for verdict in self.verdicts), "seeds": runs}

    def lines(self) -> list[str]:
        """For a person."""
        totals = self.totals()
        faults = _summed(verdict.faults for verdict in self.verdicts)
        lines = [f"{count:7d}  {name.removeprefix('fault.')}" for name, count in faults.items()]
        lines = ["  times  fault", *lines, ""]
        resolved = ", ".join(f"{count} {state}" for state, count in totals["resolved"].items()) or "none"
        ends = ", ".join(f"{count} with {code}" for code, count in totals["exit_codes"].items())
        return [
            *lines,
            f"runs        {totals['runs']}, {totals['hours']:g} simulated hours",
            f"faults      {totals['faults']}, and {totals['crashes']} crashes of the process",
            f"orders      {totals['orders']}, {totals['fills']} fills",
            f"ambiguous   {totals['ambiguous']} creates without a clear answer; in the end {resolved}",
            f"ended       {ends}",
            f"violations  {totals['violations']}",
        ]


def cannot(spec: RunSpec) -> str | None:
    """Why a file cannot be simulated; None if it can."""
    known = [listing.market.symbol for listing in SANDBOX_LISTINGS]
    strange = [symbol for symbol in spec.settings.markets if symbol not in known]
    if not strange:
        return None
    return (
        f"{spec.file}: the simulated exchange has {', '.join(known)}, and no {', '.join(strange)}; lay a file with "
        "other markets over it"
    )


def run(
    spec: RunSpec,
    seeds: Iterable[int],
    hours: float,
    severity: Severity | None,
    told: Callable[[int, int | None], None] = lambda done, total: None,
) -> Chaos:
    """Run every seed, telling how many are done. Raises nothing of its own: a broken law is in the verdict."""
    settings = structs.replace(spec.settings, tag=TAG, once=False)
    wanted = list(seeds)
    verdicts = []
    for done, seed in enumerate(wanted):
        told(done, len(wanted))
        weather = severity or ("harsh" if seed % HARSH_EVERY == HARSH_EVERY - 1 else "lawful")
        verdicts.append(storm(str(seed), settings, spec.strategy_type, hours * 3600, weather))
    return Chaos(tuple(verdicts))


def _summed(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
