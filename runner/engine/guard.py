"""The part of risk that has a memory: losses, failures in a row, rates, and the latches they set.

The gate (`risk.py`) judges one order; this watches the run. What it finds is a latch, with the action the file wants,
or, for `on_breach: reject`, a restraint that lasts as long as its cause.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal

from runner.engine.effects import Effects
from runner.engine.latches import Latches
from runner.engine.ledger import Ledger
from runner.engine.losses import Breach, Kept, Losses, MarketNow, begun_anew, decoded, encoded
from runner.engine.pace import Pace
from runner.engine.risk import Restraint
from runner.model.command import RiskKept
from runner.model.event import Restored
from runner.model.latch import LATE_ORDER, STALE_JOURNAL, Latch
from runner.model.money import plain
from runner.model.order import Order
from runner.model.settings import SECOND, Limits

LOOK_EVERY = SECOND
KEEP_EVERY = 5 * SECOND
PAUSE = 60 * SECOND  # `on_breach: reject` after failures in a row: nothing would ever end the row otherwise


class Guard:
    """One run's watch over its limits."""

    def __init__(self, limits: Limits, ledger: Ledger, restored: Restored, now: int) -> None:
        kept = decoded(restored.risk)
        self.limits = limits
        self.pace = Pace(restored.placed, kept.cancels, kept.rejects, kept.errors)
        self.latches = Latches(limits, restored.latches)
        self.losses = Losses(limits, ledger, kept.equity)
        self.drift: Mapping[str, Decimal] = {}  # balances that nothing explains, by currency (orders.md rule 17)
        self._breaches: list[Breach] = []
        self._paused_until = 0
        self._paused_by = ""
        self._look_at = now
        self._kept = restored.risk
        self._kept_at = now

    def reconfigure(self, limits: Limits, now: int) -> None:
        """Go on under other limits. What is counted and the latches that stand stay; the next look is due at once."""
        before = self.limits
        self.limits = self.latches.limits = limits
        self.losses.reconfigure(limits)
        self._breaches = [each for each in self._breaches if getattr(before, each.limit) == getattr(limits, each.limit)]
        self._look_at = now

    def look_due(self, now: int) -> bool:
        return now >= self._look_at

    def look(self, markets: Iterable[MarketNow], orders: Iterable[Order], now: int, out: Effects) -> None:
        """Value the positions and act on what the limits say."""
        self._look_at = now + LOOK_EVERY
        for name in self.latches.lift_due(now, out):
            self._begin_anew(name, now)
        if self.losses.wanted:
            before = {breach.limit for breach in self._breaches}
            self._breaches = self.losses.look(markets, orders, now)
            for breach in self._breaches:
                self._passed(breach.limit, breach.why, now, out, said=breach.limit in before)
        if now >= self._kept_at + KEEP_EVERY:
            self.keep(now, out)

    def _begin_anew(self, limit: str, now: int) -> None:
        kept = begun_anew(self._remembered(now), limit)
        self.losses.kept, self.pace.rejects, self.pace.errors = kept.equity, kept.rejects, kept.errors

    def _remembered(self, now: int) -> Kept:
        rate = self.limits.max_cancel_rate
        cancels = () if rate is None else self.pace.cancels(rate, now)
        return Kept(self.losses.kept, self.pace.rejects, self.pace.errors, cancels)

    def keep(self, now: int, out: Effects) -> None:
        """Hand what has to be remembered to the journal, if it changed."""
        self._kept_at = now
        kept = self._remembered(now)
        text = encoded(kept)
        if text != self._kept and (self._kept is not None or kept != Kept()):
            self._kept = text
            out.changes.append(RiskKept(text))

    # News -------------------------------------------------------------------------------------------------

    def accepted(self) -> None:
        self.pace.rejects = self.pace.errors = 0

    def answered(self) -> None:
        self.pace.errors = 0

    def rejected(self, now: int, out: Effects) -> None:
        """The venue refused an order."""
        self.pace.rejects += 1
        self._in_a_row("max_consecutive_rejects", self.pace.rejects, self.limits.max_consecutive_rejects, now, out)

    def failed(self, now: int, out: Effects) -> None:
        """A request brought no usable answer."""
        self.pace.errors += 1
        self._in_a_row("max_consecutive_errors", self.pace.errors, self.limits.max_consecutive_errors, now, out)

    def late(self, client_id: str, now: int, out: Effects) -> None:
        """An order came into being after it was proven that it could not (orders.md rule 9)."""
        why = f"order {client_id} turned up although it was proven absent: connector.settle is too short for this venue"
        self.latches.set(LATE_ORDER, "halt_and_cancel", why, now, out, client_id)

    def stale(self, client_id: str, why: str, now: int, out: Effects) -> None:
        """The journal does not know an order of its own epoch. It learns the name now, so that only this remembers."""
        self.latches.set(STALE_JOURNAL, "halt_and_cancel", why, now, out, client_id)

    def _in_a_row(self, name: str, count: int, most: int | None, now: int, out: Effects) -> None:
        if most is None or count < most:
            return
        self._passed(name, f"{count} in a row, {name} is {most}", now, out, said=False)
        if self.limits.on_breach == "reject":
            self._paused_until, self._paused_by = now + PAUSE, name
            self.pace.rejects = self.pace.errors = 0

    def _passed(self, name: str, why: str, now: int, out: Effects, *, said: bool) -> None:
        if self.limits.on_breach != "reject":
            if name not in self.latches:
                self.latches.set(name, self.limits.on_breach, why, now, out)
                self.keep(now, out)
        elif not said:
            out.note("limit.passed", level="error", limit=name, action="reject", why=why)

    # What follows -----------------------------------------------------------------------------------------

    @property
    def halt(self) -> Latch | None:
        """The latch that ends the run."""
        worst = self.latches.worst
        return worst if worst is not None and worst.halts else None

    def restraint(self, now: int) -> Restraint | None:
        """Why only orders that reduce a position pass, None while all may."""
        worst = self.latches.worst
        if worst is not None:
            return Restraint(worst.name, {"latch": worst.name, "why": worst.why})
        for breach in self._breaches:
            numbers = {"currency": breach.currency, "loss": plain(breach.loss), "limit": plain(breach.most)}
            return Restraint(breach.limit, {**numbers})
        if now < self._paused_until:
            return Restraint(self._paused_by, {"for_s": (self._paused_until - now) // SECOND})
        if self.drift:
            return Restraint("drift", {currency: plain(amount) for currency, amount in self.drift.items()})
        unmarked = self.losses.unmarked
        if unmarked is not None:
            age = None if unmarked.age is None else unmarked.age / SECOND
            return Restraint("max_mark_age", {"age_s": age, "limit_s": self.limits.max_mark_age / SECOND})
        return None

    def next_at(self) -> int | None:
        """When to look next; None where nothing is watched by the clock."""
        if self.losses.wanted:
            return self._look_at
        return self.latches.next_at()
