"""Our account at the venue: answers and news folded into orders, fills and balances; and what to ask for next."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from runner.engine.drift import Drift
from runner.engine.effects import Effects
from runner.engine.funds import Funds
from runner.engine.guard import Guard
from runner.engine.ledger import Ledger
from runner.engine.orders import Adoption, Orders
from runner.engine.past import Inheritance, Past
from runner.engine.tiers import NONCE_WINDOW
from runner.engine.times import soonest
from runner.engine.watch import Watch
from runner.model import event as events
from runner.model.beginning import Beginning
from runner.model.command import Began, ReadOrder
from runner.model.exits import Exit
from runner.model.market import Market
from runner.model.money import plain
from runner.model.order import Order, OrderState
from runner.model.settings import MILLISECOND, SECOND, Settings

FORGET_EVERY = 60 * SECOND
BALANCES_APART = 2 * SECOND


class Trouble(Struct, frozen=True):
    """Why the run cannot go on."""

    exit_code: int
    reason: str


class Missing(Struct, frozen=True):
    """A condition of the first tick that does not hold. `exit_code`: how a run ends that waits for it in vain."""

    exit_code: int
    what: str


class Numbers:
    """Numbers for questions, each used once: -1, -2, …"""

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> int:
        self._last -= 1
        return self._last


class Account:
    """One strategy's part of an account, and what it must know of the rest."""

    def __init__(self, settings: Settings, restored: events.Restored, markets: dict[str, Market], now: int) -> None:
        self.began = restored.began
        if self.began is None and settings.position is not None:
            self.began = Beginning("stated", settings.position, now // SECOND)
        stated = self.began if self.began is not None and self.began.how == "stated" else Beginning("first")
        self.ledger = Ledger(markets, {**settings.initial_position, **stated.position}, since=stated.since)
        self.funds = Funds()
        self.orders = Orders(
            settings.tag,
            restored.epoch,
            settings.settle,
            markets,
            self.ledger,
            self.funds,
            now,
            take_over=settings.take_over,
            exclusive=settings.exclusive,
        )
        self.markets: Mapping[str, Market] = markets
        self.watch = Watch(settings.settle, now, self.orders.created)
        self.guard = Guard(settings.limits, self.ledger, restored, now)
        self.heard_at: int | None = None  # the last sign of life of our own account
        # Questions beside the watch's are numbered downwards: no answer is taken for another's.
        queries = Numbers()
        known = self.began is not None
        wait = NONCE_WINDOW + settings.settle
        self.past = Past(settings.tag, restored.epoch, now, wait, queries.next, known=known)
        self.checks = Drift(markets, settings.markets, queries.next, self.orders.known)
        self.guard.drift = self.checks.drift  # it grows there, and restrains here
        self._stopping = False
        self.trouble: Trouble | None = None
        self.doubt_until = 0  # venue time until which a create of unknown fate could still make a row
        self.longest_doubt = NONCE_WINDOW + settings.settle  # W + D of orders.md
        self.due_at: int | None = None  # when there is something to ask next, as of the latest `ask`
        self._reserve = settings.cancel_reserve
        self._forget_at = now + FORGET_EVERY
        self._balances_at = 0
        self._failing: dict[str, str] = {}  # what is asked for in vain at present -> why

    def take_over(self, restored: events.Restored, now: int, out: Effects) -> None:
        """Continue from the journal. The first tick waits until the venue has confirmed or corrected this."""
        for fill in restored.fills:
            self.ledger.book(fill)
            self.orders.highest_id = max(self.orders.highest_id, fill.order_id)
            if fill.parent is not None:
                self.orders.parents[fill.parent] = self.orders.parents.get(fill.parent, 0) + fill.lots
        if restored.fills:
            self.watch.trades_known_to(max(fill.traded_at for fill in restored.fills))
            self.orders.fees.restore(restored.fills, now)
            self.watch.sweep_from(self.orders.fees.sought_from(now))
        if restored.began is None and self.began is not None:
            out.changes.append(Began(self.began))
        self.checks.remember(restored.fills)
        self.orders.used_slots.update(restored.used_slots)
        self.orders.restore(restored.orders, restored.generations, now, out)
        for order in self.orders.never_answered():
            self._doubt(order, now)

    @property
    def known(self) -> bool:
        """Nothing is `missing`."""
        return self.watch.synced and self.past.known and not self.orders.unheard()

    def missing(self) -> Iterator[Missing]:
        """What of the account is not known yet (orders.md rule 24)."""
        for lack in self.watch.lacks:
            yield Missing(Exit.UNREACHABLE, lack)
        if not self.past.known:
            yield Missing(Exit.UNPROVEN, "what was before the new journal is being put together")
        for name in self.orders.unheard():
            yield Missing(Exit.UNPROVEN, f"the exchange has not said what became of {name}")

    def handlers(self) -> dict[type, Callable[..., None]]:
        return {
            events.OrderNews: self._order_news,
            events.TradeNews: self._trade_news,
            events.BalanceNews: self._balance_news,
            events.Sent: self._sent,
            events.Accepted: self._accepted,
            events.Rejected: self._rejected,
            events.NotSent: self._not_sent,
            events.Unknown: self._unknown,
            events.CancelAnswered: self._cancel_answered,
            events.OrdersListed: self._orders_listed,
            events.OrderRead: self._order_read,
            events.TradesListed: self._trades_listed,
            events.BalancesRead: self._balances_read,
            events.TransfersListed: self._transfers_listed,
            events.QueryFailed: self._query_failed,
            events.NonceWindowProbed: self._probed,
        }

    @property
    def drift(self) -> Mapping[str, Decimal]:
        """By currency, what the venue has lost (below zero) or invented in this run (orders.md 17)."""
        return self.checks.drift

    # Asking -----------------------------------------------------------------------------------------------

    def ask(self, free: int, *, stopping: bool, now: int, out: Effects) -> int:
        """Cancels, then look-ups, as far as `free` requests go; returns how many were used.

        Only cancels may use the reserve, unless the run is stopping and nothing else needs it.
        """
        self._stopping, used = stopping, 0
        self.due_at = self._next_at()
        if (self.due_at is None or self.due_at > now) and now < self._forget_at:
            return 0
        for order_id, name in list(self.orders.cancels.due(now)):
            if used < free:
                self.orders.cancel_posted(order_id, name, now, out)
                self.guard.pace.cancel(now)
                used += 1
        most = free - used - (0 if stopping else self._reserve)
        requests = self.watch.requests(now, self.orders.reads.due(now), most) if most > 0 else []
        if not stopping and len(requests) < most:
            question = self.past.request(now) or self.checks.request(now)
            requests += [] if question is None else [question]
        for request in requests:
            if isinstance(request, ReadOrder):
                self.orders.reads.taken(request.order_id)
        out.commands.extend(requests)
        if now >= self._forget_at:
            self.orders.forget(now)
            self._forget_at = now + FORGET_EVERY
        self.due_at = self._next_at()
        return used + len(requests)

    def funds_short(self, now: int) -> None:
        """Something waits for funds: read the balances, if a read could free a reservation."""
        if self.funds.read_wanted:
            self._balances_at = max(now, self._balances_at + BALANCES_APART)
            self.watch.want("balances", self._balances_at)

    def _next_at(self) -> int | None:
        first = soonest(self.orders.next_at(), self.watch.next_at())
        return first if self._stopping else soonest(first, self.past.next_at(), self.checks.next_at())

    # News -------------------------------------------------------------------------------------------------

    def _order_news(self, what: events.OrderNews, now: int, out: Effects) -> None:
        self.heard_at = now
        self._row_taken(self.orders.row(what.row, now, out, streamed=True), now, out)

    def _trade_news(self, what: events.TradeNews, now: int, out: Effects) -> None:
        self.heard_at = now
        self.checks.told((what.row,), now)
        self.orders.trade(what.row, now, out)

    def _balance_news(self, what: events.BalanceNews, now: int, _out: Effects) -> None:
        self.heard_at = now
        self.funds.news(what.row)

    def _probed(self, what: events.NonceWindowProbed, _now: int, _out: Effects) -> None:
        self.watch.nonce_enforced = what.enforced

    def _row_taken(self, adoption: Adoption | None, now: int, out: Effects) -> None:
        if adoption is None:
            return
        order, why = adoption.order, adoption.why
        level = "error" if why == "late" else "warning"
        out.note("order.adopted", level=level, market=order.market, client_id=order.client_id, why=why)
        if why == "late":
            self.orders.late(order.client_id, now)
        elif why == "stale_journal":
            self._in_trouble(Exit.UNPROVEN, _stale(order.client_id))
            self.guard.stale(order.client_id, _stale(order.client_id), now, out)
        elif why == "other_instance":
            self._in_trouble(
                Exit.LOCKED,
                f"another instance of this strategy placed order {order.client_id}; stop it, or if there is none (the "
                "journal was lost) wait two minutes or start with --take-over",
            )

    def _in_trouble(self, exit_code: int, reason: str) -> None:
        if self.trouble is None:
            self.trouble = Trouble(exit_code, reason)

    # Before the journal -----------------------------------------------------------------------------------

    def _past_asked(self, now: int, out: Effects) -> None:
        """Earlier journals' orders: take them over once they are all known, or end if that cannot be."""
        if self.past.stale is not None:
            self._in_trouble(Exit.UNPROVEN, _stale(self.past.stale))
        elif self.past.lacking is not None:
            self._in_trouble(Exit.UNPROVEN, _to_be_stated(self.past.lacking))
        elif self.past.inheritance is not None and not self.past.known:
            self._inherit(self.past.inheritance, now, out)

    def _inherit(self, found: Inheritance, now: int, out: Effects) -> None:
        for name, row, trades in found.orders:
            adoption = self.orders.inherit(name, row, trades, now, out)
            if adoption is not None and adoption.why == "other_instance":
                self._row_taken(adoption, now, out)
                return
        self.past.known = True
        self.began = Beginning("rebuilt" if found.orders else "first")
        out.changes.append(Began(self.began))
        if found.nameless:
            out.note("past.nameless", orders=found.nameless, held_for="somebody else's")
        if found.orders:
            markets = {row.market for _, row, _ in found.orders}
            out.note(
                "position.rebuilt",
                level="warning",
                journals=len(found.epochs),
                orders=len(found.orders),
                fills=sum(len(trades) for _, _, trades in found.orders),
                **{base: plain(self.ledger.position(base)) for base in sorted({m.split("-")[0] for m in markets})},
            )

    # Answers ----------------------------------------------------------------------------------------------

    def _sent(self, what: events.Sent, now: int, out: Effects) -> None:
        self.orders.sent(what.client_id, what.nonce, now, out)

    def _accepted(self, what: events.Accepted, now: int, out: Effects) -> None:
        self.heard_at = now
        self.guard.accepted()
        self.orders.accepted(what.client_id, what.row, now, out)

    def _rejected(self, what: events.Rejected, now: int, out: Effects) -> None:
        reason = " ".join((str(what.status), *what.codes))
        self.orders.refused(what.client_id, reason, now, out)
        self.heard_at = now
        self.guard.rejected(now, out)
        if what.status == 401 and "authz.nonce_expired" not in what.codes:
            self._in_trouble(Exit.CREDENTIALS, f"the venue refused the credentials: {reason}")
        self.watch.want("balances", now + SECOND)  # most refusals are about money

    def _not_sent(self, what: events.NotSent, now: int, out: Effects) -> None:
        self.orders.refused(what.client_id, f"not sent: {what.reason}", now, out)

    def _unknown(self, what: events.Unknown, now: int, out: Effects) -> None:
        self.orders.unknown_outcome(what.client_id, what.reason, now, out)
        self.guard.failed(now, out)
        order = self.orders.get(what.client_id)
        if order is not None:
            self._doubt(order, now)

    def _doubt(self, order: Order, now: int) -> None:
        self.doubt_until = max(self.doubt_until, order.sign_before * MILLISECOND + self.longest_doubt)
        if order.state is OrderState.UNKNOWN:
            self.watch.look_for(order, now)

    def _cancel_answered(self, what: events.CancelAnswered, now: int, out: Effects) -> None:
        if what.row is not None:
            self.orders.row(what.row, now, out)
            return
        out.note("cancel.unanswered", level="warning", order_id=what.order_id, reason=what.reason)
        self.orders.cancel_unanswered(what.order_id, now)

    def _answered(self, query: int, now: int) -> None:
        self.heard_at = now
        self.guard.answered()
        self._failing.pop(self.watch.asked(query), None)

    def _orders_listed(self, what: events.OrdersListed, now: int, out: Effects) -> None:
        if self.past.orders_listed(what, now):
            self._past_asked(now, out)
            return
        if self.checks.orders_listed(what, now):
            self._compare(now, out)
            return
        self._answered(what.query, now)
        name = self.watch.searching(what.query)
        listed = self.watch.orders_listed(what, now)
        for adoption in self.orders.rows(what.rows, now, out):
            self._row_taken(adoption, now, out)
        if listed is not None:
            self.orders.listed(listed.rows, listed.asked_at, now)
        if name is None:
            return
        order = self.orders.get(name)
        if order is not None and order.state is OrderState.UNKNOWN:
            candidates = [row for row in what.rows if self.orders.could_be(row, order)]
            finding = self.watch.looked_up(what, order, candidates, now)
            if finding is None:
                return
            if finding.absent:
                self.orders.absent(name, now, out)
            else:
                self.orders.matched(order, finding.candidates, now, out)
            order = self.orders.get(name)
        if order is None or order.state is not OrderState.UNKNOWN:
            self.watch.found(name)

    def _order_read(self, what: events.OrderRead, now: int, out: Effects) -> None:
        if self.past.order_read(what, now):
            self._past_asked(now, out)
            return
        if what.row is not None:
            its_trades = what.row.trades or ()
            self.checks.told((replace(trade, order_id=what.order_id) for trade in its_trades), now)
        if self.checks.order_read(what, now):
            self._compare(now, out)
            return
        self._answered(what.query, now)
        self.watch.read_answered(what.query)
        if what.row is None:
            self.orders.missing(what.order_id, now, out)
        else:
            self._row_taken(self.orders.read(what.row, now, out), now, out)

    def _trades_listed(self, what: events.TradesListed, now: int, out: Effects) -> None:
        if self.past.trades_listed(what, now):
            self._past_asked(now, out)
            return
        self._answered(what.query, now)
        self.checks.told(what.rows, now)
        for row in what.rows:
            self.orders.trade(row, now, out)
        self.watch.trades_listed(what, now)
        self._compare(now, out)
        self.watch.sweep_from(self.orders.fees.sought_from(now))

    def _balances_read(self, what: events.BalancesRead, now: int, _out: Effects) -> None:
        self._answered(what.query, now)
        everything = self.watch.balances_read(what, now)
        if everything is not None:
            self.funds.read(everything.rows, everything.asked_at)
            if self.watch.synced and self.past.known:
                self.checks.read(everything.rows, everything.asked_at, now, self.watch.venue_ahead)

    def _transfers_listed(self, what: events.TransfersListed, now: int, out: Effects) -> None:
        if self.checks.transfers_listed(what, now):
            self._compare(now, out)

    def _compare(self, now: int, out: Effects) -> None:
        """Hold the balances against what is known to have moved them."""
        self.checks.compare(self.watch.swept_at, now, out)
        wanted = self.checks.take_wanted()
        if wanted is not None:
            self.watch.want("balances", wanted)
            self.watch.want("trades", wanted + 2 * SECOND)

    def _query_failed(self, what: events.QueryFailed, now: int, out: Effects) -> None:
        self.guard.failed(now, out)
        asked = self.watch.asked(what.query)
        if self.past.failed(what.query, now):
            asked = "earlier orders"
        elif self.checks.failed(what.query, now):
            asked = "what moved the balances"
        order_id = self.watch.failed(what.query, now)
        if self._failing.get(asked) != what.reason:  # said once, and again when it works again or fails otherwise
            self._failing[asked] = what.reason
            out.note("query.failed", level="warning", asked=asked, reason=what.reason)
        if order_id is not None:
            self.orders.cancel_unanswered(order_id, now)
        if what.permanent:
            self._in_trouble(Exit.CREDENTIALS, f"the venue refused the credentials: {what.reason}")


def _stale(name: str) -> str:
    return (
        f"the journal is an older copy: it does not know order {name}. Bring the newest copy back; if there is none, "
        "move it away: the next start rebuilds the position from the exchange; runner resume goes on with this one"
    )


def _to_be_stated(lacking: str) -> str:
    return (
        "the journal is new, and the venue shows orders of an earlier one whose fills cannot be put together: "
        f'{lacking}. Find out what the strategy holds, and say it once: runner run FILE --position "1500 ROGER", with '
        "one --position for each currency (a currency that is not named counts as run.initial_position says)"
    )
