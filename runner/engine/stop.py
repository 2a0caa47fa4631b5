"""A stop: one-way, and clean only by evidence.

The gate is closed from the first moment. Orders are cancelled (or left, if the file says so), and the run ends with
exit code 0 only after a complete listing, asked for when nothing of ours was known to be at work any more, showed
nothing of ours. If the fate of a create is still open, that listing must come after the last moment at which it could
have made a row. Otherwise the deadline ends the run with exit code 7. Source: orders.md rule 26.
"""

from runner.engine.account import Account
from runner.engine.effects import Effects
from runner.engine.flatten import Flatten
from runner.model.command import Finish
from runner.model.order import OrderState
from runner.model.settings import SECOND

EXIT_CLEAN, EXIT_ERROR, EXIT_CONFIG, EXIT_RISK, EXIT_UNPROVEN = 0, 1, 3, 6, 7

STOP_WITHIN = 20 * SECOND
STOP_PER_CANCEL = SECOND
SETTLE_WITHIN = 600 * SECOND  # nobody waits for `runner settle` but the one who asked for it
LISTINGS_APART = 2 * SECOND
STOP_AFTER_DOUBT = 10 * SECOND

_ORDERLY = (EXIT_CLEAN, EXIT_RISK)
"""Endings that promise by evidence that nothing of ours is left, or exactly what was listed."""

_LISTED = frozenset({OrderState.ACCEPTED, OrderState.OPEN})


class Stop:
    """How the run is ending. `by` and `reason` are for the summary, `exit_code` for the shell.

    `leaves`: orders stay in the book.
    """

    def __init__(
        self, by: str, exit_code: int, reason: str, *, leave: bool, now: int, flatten: Flatten | None = None
    ) -> None:
        self.by = by
        self.exit_code = exit_code
        self.reason = reason
        self.finished = False
        self._flatten = flatten
        self.leaves = leave
        self._since = now
        self._quiet_at: int | None = None  # since when nothing of ours is known to be at work
        self._cancels = 0

    def worsen(self, exit_code: int, reason: str) -> bool:
        """Take over a worse ending; an orderly stop that meets an error is no longer orderly."""
        if self.exit_code not in _ORDERLY or exit_code in (self.exit_code, EXIT_CLEAN):
            return False
        self.exit_code, self.reason, self.leaves = exit_code, reason, False
        self._flatten = None  # whatever went wrong, this is no time to place anything
        return True

    def go_on(self, account: Account, event: int, now: int, offset: int, free: int, out: Effects) -> int:
        """Do what the stop still needs; returns how many of the `free` requests that took.

        `event`: its number; `offset`: venue clock minus ours, ns.
        """
        used = 0
        flatten = self._flatten
        live = [order for order in account.orders.live() if flatten is None or not flatten.rests(order, now)]
        self._cancels = max(self._cancels, len(live))
        if not self.leaves:
            for order in live:
                account.orders.want_gone(order, "stop", now)
        if self._quiet(account):
            if flatten is not None and not flatten.done:
                used = flatten.go_on(event, now, offset, free, out)
            if flatten is None or flatten.done:
                self._gather(account, now, offset, out)
        else:
            self._quiet_at = None
        if not self.finished and now >= self._deadline(account, offset):
            self._give_up(account, out)
        return used

    def next_at(self, account: Account, now: int, offset: int) -> int:
        flattens_at = None if self._flatten is None else self._flatten.next_at(now)
        if flattens_at is not None:
            return min(flattens_at, self._deadline(account, offset))
        doubt = account.doubt_until - offset
        if self._quiet_at is not None and doubt > now:
            return min(doubt, self._deadline(account, offset))
        return self._deadline(account, offset)

    def _quiet(self, account: Account) -> bool:
        if account.orders.strangers.waiting():
            return False  # it may be a copy of ours
        if self.leaves:
            return all(order.state in _LISTED for order in account.orders.live())
        return not any(True for _ in account.orders.live())

    def _gather(self, account: Account, now: int, offset: int, out: Effects) -> None:
        """Nothing of ours is known to be at work: let the venue say so too."""
        if self.exit_code not in _ORDERLY and not account.orders.intended and not self.leaves:
            self._finish(out)  # this run never asked for an order, so there is nothing to prove
            return
        doubt = account.doubt_until - offset
        if self._quiet_at is None:
            self._quiet_at = now
            if doubt > now:
                out.note("run.waiting", reason="a create had no clear answer", for_s=round((doubt - now) / SECOND))
        after = max(self._quiet_at, doubt)
        if now < after:
            return
        # Fees are told with the trades alone: a last sweep makes the books of this run final.
        # Orders that are left may trade while we wait, so it has to begin after the last fill, not after the quiet.
        swept = account.watch.swept_at >= max(account.orders.unconfirmed.values(), default=0)
        listed = account.watch.listed_at >= after and account.orders.all_listed()
        if listed and swept:
            self._finish(out)
            return
        if not listed:
            account.watch.want("at_work", max(now, account.watch.listed_at + LISTINGS_APART))
        if not swept:
            account.watch.want("trades", now)

    def _deadline(self, account: Account, offset: int) -> int:
        if self.by == "settle":
            return self._since + SETTLE_WITHIN
        began = self._since if self._flatten is None else max(self._since, self._flatten.give_up_at)
        deadline = began + STOP_WITHIN + self._cancels * STOP_PER_CANCEL
        if account.doubt_until - offset > self._since:
            return deadline + account.longest_doubt + STOP_AFTER_DOUBT
        return deadline

    def _finish(self, out: Effects) -> None:
        self.finished = True
        if self._flatten is not None and self._flatten.residual:
            self.reason += "; not flattened: " + "; ".join(self._flatten.residual.values())
        out.commands.append(Finish(self.exit_code, self.reason))

    def _give_up(self, account: Account, out: Effects) -> None:
        left = ", ".join(f"{order.client_id} ({order.state.value})" for order in account.orders.live())
        self.exit_code = EXIT_UNPROVEN
        if left:
            self.reason += f"; not proven gone: {left}. runner settle finishes this, and so does "
            self.reason += "the next run of this file"
        else:
            self.reason += (
                "; the venue did not confirm in time that nothing is left: look there, or run this file again"
            )
        out.note("run.unproven", level="error", orders=left)
        self._finish(out)
