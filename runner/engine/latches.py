"""Latches: what stands, what a passed limit leads to, and what lifts it.

A latch is written into the journal and stands in every later run, until `runner resume` lifts it or the file's
`resume` says that its time has passed. The worst action of all that stand is what counts.
"""

from collections.abc import Iterable

from runner.engine.effects import Effects
from runner.engine.losses import DAY, begun_anew, decoded, encoded
from runner.engine.times import soonest
from runner.model.command import Change, LatchLifted, LatchSet, RiskKept
from runner.model.event import Restored
from runner.model.latch import FOR_A_PERSON, Latch
from runner.model.settings import Limits, OnBreach

_WORST: tuple[OnBreach, ...] = ("reject", "reduce_only", "halt", "halt_and_cancel", "halt_and_flatten")


def lifting(restored: Restored, names: Iterable[str]) -> tuple[Change, ...]:
    """What the journal takes in when a person lifts these latches. Their limits count anew from there."""
    kept = decoded(restored.risk)
    changes: list[Change] = []
    for name in names:
        changes.append(LatchLifted(name))
        kept = begun_anew(kept, name)
    return (*changes, RiskKept(encoded(kept)))


class Latches:
    """By name; one that stands is not set again."""

    def __init__(self, limits: Limits, standing: Iterable[Latch]) -> None:
        self.limits = limits
        self._standing = {latch.name: latch for latch in standing}

    def __contains__(self, name: str) -> bool:
        return name in self._standing

    @property
    def standing(self) -> tuple[Latch, ...]:
        return tuple(self._standing.values())

    @property
    def worst(self) -> Latch | None:
        """The one whose action counts; None while nothing stands."""
        if not self._standing:
            return None
        return max(self._standing.values(), key=lambda latch: _WORST.index(latch.action))

    def set(self, name: str, action: OnBreach, why: str, now: int, out: Effects, client_id: str | None = None) -> None:
        if name in self._standing:
            return
        latch = self._standing[name] = Latch(name, action, now, why, client_id)
        out.changes.append(LatchSet(latch))
        out.note("latch.set", level="error", client_id=client_id, latch=name, action=action, why=why)

    def lift_due(self, now: int, out: Effects) -> list[str]:
        """Lift what the file says has stood long enough; returns the names."""
        lifted = []
        for latch in list(self._standing.values()):
            lifts_at = self.lifts_at(latch)
            if lifts_at is not None and now >= lifts_at:
                del self._standing[latch.name]
                lifted.append(latch.name)
                out.changes.append(LatchLifted(latch.name))
                out.note("latch.lifted", level="warning", latch=latch.name, by=f"resume: {self.limits.resume}")
        return lifted

    def lifts_at(self, latch: Latch) -> int | None:
        """When it goes by itself; None where only a person lifts it."""
        if latch.name in FOR_A_PERSON:
            return None
        match self.limits.resume:
            case "after" if self.limits.resume_after is not None:
                return latch.since + self.limits.resume_after
            case "next_day":
                start = self.limits.day_start
                return ((latch.since - start) // DAY + 1) * DAY + start
        return None

    def next_at(self) -> int | None:
        return soonest(*map(self.lifts_at, self._standing.values()))
