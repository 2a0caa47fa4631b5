"""The decision maker: `Engine.handle(event) -> Output`, a synchronous value machine.

It has no clock, no chance, no I/O and no log. What it learns is an event, what it wants is a command; the same events
give the same outputs, byte for byte. For every event the parts are asked in this order: what is known takes the event
in; a tick runs if one is due; what is wanted is compared with what exists and passes the gate; a stop goes on; cancels
and look-ups share what is left of the request budget. Source: design sections 2, 4 and 5.
"""

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Literal

import msgspec

from runner.engine import worth
from runner.engine.account import Account, Missing
from runner.engine.effects import Effects
from runner.engine.feeds import Feed, Feeds, LiveFeed, Tape, TapedFeed
from runner.engine.flatten import Flatten
from runner.engine.losses import MarketNow
from runner.engine.orders import SIGN_WITHIN
from runner.engine.parameters import build
from runner.engine.reconcile import BadQuote, Target, difference, targets
from runner.engine.reducing import opening
from runner.engine.risk import (
    STANDING_LIMITS,
    Approved,
    Gate,
    InTheWay,
    Refused,
    Restraint,
    Situation,
    Waiting,
    without_room,
)
from runner.engine.stop import Leaves, Stop
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.times import soonest
from runner.engine.view import View
from runner.model import event as events
from runner.model.command import APPROVED, Decided, Note, Output, StateChanged
from runner.model.event import Event
from runner.model.exits import Exit
from runner.model.market import Market
from runner.model.money import MONEY
from runner.model.order import OrderState
from runner.model.settings import MILLISECOND, SECOND, OnBreach, Settings

Phase = Literal["starting", "trading", "stopping", "stopped"]

_HALF = Decimal("0.5")
CLOCK_OFFSET_MAX = 4 * SECOND  # the venue's nonce window is 5 s either way
ONCE_WITHIN = 30 * SECOND
RETRY_BLOCKED = 50 * MILLISECOND

_OFTEN_NOTHING = frozenset(
    {events.BalanceNews, events.Budget, events.BookDelta, events.PublicTrade, events.StreamAlive, events.Advanced}
)
_LEAVES: Mapping[str, Leaves] = {"cancel": "nothing", "cancel_opening": "reducing", "leave": "all"}
_ON_ITS_WAY = frozenset({OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN})
_UNRESOLVED = frozenset({OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN, OrderState.CANCELLING})


class Engine:
    """One strategy on one account.

    The first three events are `Configured`, `Restored` and `MarketsRead`, in this order; then whatever happens.
    `wake_at` of the latest output is when the next `Wake` is wanted.

    `tapes` are recorded markets, by symbol: they are read where they are, and `Advanced` tells that one has moved.
    """

    settings: Settings
    strategy: Strategy
    account: Account
    feeds: Feeds

    def __init__(self, strategy_type: type[Strategy], tapes: Mapping[str, Tape] | None = None) -> None:
        self._strategy_type = strategy_type
        self._tapes = tapes or {}
        self.markets: dict[str, Market] = {}
        self.phase: Phase = "starting"
        self.ticks = 0
        self.reason = ""  # of the latest decision
        self.held: set[str] = set()  # slots whose proposals waited for the venue's names to be proven (rule 11)
        self.verdicts: list[Approved | Refused | Waiting | InTheWay] = []  # on its proposals, in their order
        self.stop: Stop | None = None
        self._restored: events.Restored | None = None
        self._slots: frozenset[str] = frozenset()
        self._state = State()
        self._state_text = ""
        self._wanted: dict[str, Target] = {}
        self._began = 0
        self._tick_at = 0
        self._ticked_at: int | None = None
        self._caused = False  # something happened that the file wants a tick for
        self._was_ready = False
        self._wake_at: int | None = None
        self._idle = Output()
        self._once_by: int | None = None
        self._once_placed: set[str] = set()
        self._free = 0
        self._refill_at = 0
        self._offset = 0
        self._new_limits = frozenset(STANDING_LIMITS)  # that what already exists has not been held to
        self._awaited: frozenset[str] | None = None  # orders that were on their way then, and still are
        self._restrained = False  # only orders that reduce a position pass
        self._said: dict[str, str] = {}  # slot -> last refusal noted: a standing one is said once
        self._handlers: dict[type, Callable[..., None]] = {
            events.Configured: self._configured,
            events.Restored: self._take_restored,
            events.MarketsRead: self._markets_read,
            events.ClockRead: self._clock_read,
            events.StreamUp: self._stream_up,
            events.StreamDown: self._stream_down,
            events.VenueFault: self._fault,
            events.Budget: self._budget,
            events.Wake: self._wake,
            events.JournalFailed: self._journal_failed,
            events.StopRequested: self._stop_requested,
            events.Reconfigured: self._reconfigured,
            events.ReloadRefused: self._reload_refused,
        }

    @property
    def wanted(self) -> Mapping[str, Target]:
        """What the newest decision wants, by slot."""
        return self._wanted

    def handle(self, event: Event) -> Output:
        """Take one event; everything it leads to, and when to wake next."""
        now, out, kind = event.time, Effects(), type(event.what)
        if self.phase == "stopped":
            return Output()
        self._handlers[kind](event.what, now, out)
        if not self.markets:
            return out.output(None)
        if kind in _OFTEN_NOTHING and self._nothing_follows(now, out):
            return self._idle
        self._wake_at = self._step(event.number, now, out)
        self._idle = Output(wake_at=self._wake_at)
        return out.output(self._wake_at)

    def _nothing_follows(self, now: int, out: Effects) -> bool:
        """Most of these events change no decision: no tick is due by them, and nothing else is due yet."""
        if out.notes or not self._was_ready or self._wake_at is None or now >= self._wake_at:
            return False
        caused = self._caused
        self._causes()
        return self._caused == caused

    def _step(self, number: int, now: int, out: Effects) -> int | None:
        """Everything that follows from an event, whatever it was; returns when to wake next."""
        account = self.account
        self._causes()
        mend_at = self.feeds.mend(now, out) if self.stop is None else None
        if account.trouble is not None:
            self._begin_stop("error", account.trouble.exit_code, account.trouble.reason, now, out)
            account.trouble = None
        for name in account.orders.came_late:
            account.guard.late(name, now, out)
        account.orders.came_late.clear()
        if account.watch.synced:
            self._watch_limits(now, out)
        self._was_ready = self._ready(now)  # nothing below makes it otherwise: only what the venue says does
        if self.stop is None and self._tick_due(now):
            self._tick(number, now, out)
        if self.stop is None and self._once_by is not None:
            self._see_through(number, now, out)
        if self.stop is None:
            self._protect(now, out)
        else:
            self._free -= self.stop.go_on(account, number, now, self._offset, self._free, out)
        self._free -= account.ask(self._free, stopping=self.stop is not None, now=now, out=out)
        if self.stop is not None and self.stop.finished:
            account.guard.keep(now, out)
            self.phase = "stopped"
            return None
        return self._next_wake(now, mend_at)

    # Beginning --------------------------------------------------------------------------------------------

    def _configured(self, what: events.Configured, now: int, _out: Effects) -> None:
        self._state = self._use(what.settings)
        self._tick_at = self._began = now

    def _use(self, settings: Settings) -> State:
        """Go by these settings from here on; returns the state that a strategy begins with under them."""
        strategy = build(self._strategy_type, settings.params)
        slots, state = frozenset(strategy.slots()), strategy.initial_state()
        self.settings, self.strategy, self._slots = settings, strategy, slots
        return state

    def _reconfigured(self, what: events.Reconfigured, now: int, out: Effects) -> None:
        """An event is a boundary between ticks, so the change takes hold at once and as a whole; a tick follows as soon
        as one may. Orders are left to that tick, but for those that a stricter limit has no room for.
        """
        if self.stop is not None:
            out.note("config.refused", level="warning", problem="the run is stopping")
            return
        if not what.changes:
            out.note("config.unchanged")
            return
        before = self.settings
        try:
            state = self._use(what.settings)
        except Exception as problem:  # noqa: BLE001 - a plugin may raise anything, and nothing has been changed yet
            said = f"the strategy cannot begin with it: {type(problem).__name__}: {problem}"
            out.note("config.refused", level="warning", problem=said)
            return
        if type(state) is not type(self._state):
            self._state = state
        out.notes.append(Note("config.reloaded", "info", None, None, {**what.changes}))
        self._caused = True
        self._tick_at = min(self._tick_at, now + self.settings.tick.every)
        if self.markets:
            limits = self.settings.limits
            self.account.guard.reconfigure(limits, now)
            self._new_limits |= {
                name for name in STANDING_LIMITS if getattr(before.limits, name) != getattr(limits, name)
            }
            self._awaited = None

    def _reload_refused(self, what: events.ReloadRefused, _now: int, out: Effects) -> None:
        out.notes += [Note("config.refused", "warning", None, None, {**facts}) for facts in what.problems]

    def _take_restored(self, what: events.Restored, _now: int, out: Effects) -> None:
        self._restored = what
        for latch in what.latches:
            out.note("latch.stands", level="error", latch=latch.name, action=latch.action, why=latch.why)
        if what.strategy_state is None:
            return
        try:
            self._state = msgspec.json.decode(what.strategy_state, type=type(self._state))
            self._state_text = what.strategy_state
        except (msgspec.DecodeError, msgspec.ValidationError) as problem:
            out.note("strategy.state_discarded", level="warning", problem=str(problem))

    def _markets_read(self, what: events.MarketsRead, now: int, out: Effects) -> None:
        begun = bool(self.markets)
        self.markets.update({market.symbol: market for market in what.markets})
        if begun:
            for symbol, feed in self.feeds.by_symbol.items():
                feed.market = self.markets[symbol]
            return
        assert self._restored is not None, "Restored comes before MarketsRead"
        account = self.account = Account(self.settings, self._restored, self.markets, now)
        self.feeds = Feeds({symbol: self._feed(self.markets[symbol]) for symbol in self.settings.markets})
        self._handlers |= account.handlers() | self.feeds.handlers()
        self._handlers[events.PublicTrade] = self._traded
        self._handlers[events.StreamAlive] = self._alive
        account.take_over(self._restored, now, out)
        self._restored = None

    def _feed(self, market: Market) -> Feed:
        account, tape = self.account, self._tapes.get(market.symbol)
        parts = (account.orders, account.ledger, account.funds, account.ledger.initial(market.base))
        return LiveFeed(market, *parts) if tape is None else TapedFeed(market, tape, *parts)

    # What belongs to no part ------------------------------------------------------------------------------

    def _clock_read(self, what: events.ClockRead, _now: int, out: Effects) -> None:
        """Requests are signed with the venue's time, so a difference is no harm in itself; a large one is a clock that
        cannot be trusted to stay where it is."""
        self._offset = what.offset
        if abs(what.offset) > CLOCK_OFFSET_MAX:
            out.note("clock.skewed", level="error", offset_s=what.offset / SECOND, limit_s=CLOCK_OFFSET_MAX / SECOND)

    def _stream_up(self, what: events.StreamUp, now: int, out: Effects) -> None:
        out.note("stream.up", stream=what.stream)
        if what.stream == "private":
            self.account.watch.up(what.names, now)
        else:
            self.feeds.stream_up(what, now)

    def _stream_down(self, what: events.StreamDown, now: int, out: Effects) -> None:
        out.note("stream.down", level="warning", stream=what.stream, reason=what.reason)
        if what.stream == "private":
            self.account.watch.down(now)
        else:
            self.feeds.stream_down(what, now)

    def _fault(self, what: events.VenueFault, _now: int, out: Effects) -> None:
        out.note("venue.fault", level="warning", source=what.source, problem=what.what)
        if what.source == "trades":
            self.account.checks.begin_again()  # something moved the balances that cannot be read

    def _alive(self, what: events.StreamAlive, now: int, _out: Effects) -> None:
        self.feeds.alive(what, now)
        if what.stream == "private":
            self.account.heard_at = now

    def _traded(self, what: events.PublicTrade, now: int, out: Effects) -> None:
        self.feeds.trade(what)
        due = self.account.orders.traded(what.market, what.ticks, now)
        if due is not None and self._wake_at is not None:
            self._wake_at = min(self._wake_at, due)
            self._idle = Output(wake_at=self._wake_at)

    def _budget(self, what: events.Budget, _now: int, _out: Effects) -> None:
        self._free, self._refill_at = what.free, what.refill_at

    def _wake(self, _what: events.Wake, _now: int, _out: Effects) -> None:
        """Whatever is due is done after every event."""

    def _journal_failed(self, what: events.JournalFailed, now: int, out: Effects) -> None:
        self._begin_stop("error", Exit.UNPROVEN, f"the journal cannot be written: {what.reason}", now, out)

    def _stop_requested(self, what: events.StopRequested, now: int, out: Effects) -> None:
        self._begin_stop(what.by, what.exit_code, what.reason or what.by, now, out)

    def _begin_stop(
        self, by: str, exit_code: int, reason: str, now: int, out: Effects, *, action: OnBreach | None = None
    ) -> None:
        """Close the gate. It does not open again; a worse reason only changes how the run ends.

        `action`: of the latch that ends the run. After a `halt` orders stay in the book, as they do after a clean end
        where the file says so.
        """
        if self.stop is None:
            self.phase = "stopping"
            leaves: Leaves = "all" if action == "halt" else "nothing"
            if exit_code == Exit.CLEAN:
                leaves = _LEAVES[self.settings.on_stop]
            flatten = self._flatten(now) if action == "halt_and_flatten" else None
            if self.markets:
                self.account.guard.keep(now, out)
            self.stop = Stop(by, exit_code, reason, leaves=leaves, now=now, flatten=flatten)
        elif not self.stop.worsen(exit_code, reason):
            return
        out.note("run.stopping", level="info" if exit_code == 0 else "error", by=by, reason=reason)

    def _flatten(self, now: int) -> Flatten:
        limits = self.settings.limits
        return Flatten(limits, self.markets, self.feeds, self.account, self.situation, now)

    # Ticks ------------------------------------------------------------------------------------------------

    def _causes(self) -> None:
        """What happened that the file wants a tick for. A slot that became free is always a cause: the order that
        replaces it comes from the newest intent, not a full interval later."""
        when, orders, feeds = self.settings.tick.when, self.account.orders, self.feeds
        for fill in orders.new_fills:
            feeds.by_symbol[fill.market].own_fills.append(fill)
            self._caused = self._caused or "fill" in when
        orders.new_fills.clear()
        if orders.slot_freed or (feeds.moved and "book" in when) or (feeds.traded and "trade" in when):
            self._caused = True
        orders.slot_freed = False

    def missing(self, now: int) -> Iterator[Missing]:
        """What the picture lacks for a tick: a fresh book, and the account read since the private stream came up.

        Source: orders.md rule 24.
        """
        lack = self.feeds.lacks(self.settings.markets[0], now, self.settings.limits.max_book_age)
        if lack is not None:
            yield Missing(Exit.UNREACHABLE, lack)
        if abs(self._offset) > CLOCK_OFFSET_MAX:
            yield Missing(Exit.UNREACHABLE, f"the venue's clock is {self._offset / SECOND:+.1f} s from ours")
        yield from self.account.missing()

    def _ready(self, now: int) -> bool:
        """Nothing is `missing`, found out without putting it into words."""
        symbol, limits = self.settings.markets[0], self.settings.limits
        return (
            self.feeds.lacks(symbol, now, limits.max_book_age) is None
            and abs(self._offset) <= CLOCK_OFFSET_MAX
            and self.account.known
        )

    def _tick_due(self, now: int) -> bool:
        if self._once_by is not None:
            return False
        policy = self.settings.tick
        due = now >= self._tick_at
        if not due and self._caused and self._ticked_at is not None:
            due = now >= self._ticked_at + policy.at_most_every
        return due and self._was_ready

    def _tick(self, number: int, now: int, out: Effects) -> None:
        if self.phase == "starting":
            if not self._room_for_all(now, out):
                return
            self.phase = "trading"
            out.note("run.trading", market=self.settings.markets[0])
        try:
            decision = self._ask_strategy(now)
        except Exception as problem:  # noqa: BLE001 - whatever a plugin raises ends in one place: no new orders
            self._strategy_failed(problem, now, out)
            return
        self.ticks += 1
        self.reason = decision.reason
        self._ticked_at, self._caused = now, False
        self._tick_at = now + self.settings.tick.every
        self.feeds.seen_by_tick()
        if self.settings.once:
            self._once_by = now + ONCE_WITHIN
        self._reconcile(number, now, out)

    def _strategy_failed(self, problem: Exception, now: int, out: Effects) -> None:
        where = _where(problem, type(self.strategy))
        out.note("strategy.failed", level="error", where=where, problem=f"{type(problem).__name__}: {problem}")
        reason = f"strategy failed at {where}: {type(problem).__name__}: {problem}"
        self._begin_stop("error", Exit.INTERNAL, reason, now, out)

    def _room_for_all(self, now: int, out: Effects) -> bool:
        """Before the first order: whether the limits on worth have room for all that the strategy may want at once."""
        mids = {symbol: mid for symbol, feed in self.feeds.by_symbol.items() if (mid := _mid(feed)) is not None}
        settings = self.settings
        try:
            demands = self.strategy.demands() or ()
            lack = worth.without_room(demands, settings.limits, self.markets, mids, settings.markets[0])
        except Exception as problem:  # noqa: BLE001 - as above
            self._strategy_failed(problem, now, out)
            return False
        if lack is not None:
            self._begin_stop("error", Exit.CONFIG, f"{lack.key}: {lack.why}", now, out)
        return lack is None

    def _ask_strategy(self, now: int) -> Decision:
        """One pure call; nothing of it is kept unless all of it is sound."""
        default = self.settings.markets[0]
        decision = self.strategy.tick(View(now, default, self.feeds.by_symbol), self._state)
        if not isinstance(decision, Decision):
            raise TypeError(f"tick returned {type(decision).__name__}, not a Decision")
        wanted = targets(decision.quotes, self._slots, default, self.markets)
        if type(decision.state) is not type(self._state):
            raise TypeError(f"the next state is {type(decision.state).__name__}, not {type(self._state).__name__}")
        self._wanted, self._state = wanted, decision.state
        return decision

    def _reconcile(self, number: int, now: int, out: Effects) -> None:
        """From what is wanted to intents, cancels and refusals."""
        orders = self.account.orders
        self.verdicts = []
        self.held = set()
        used = frozenset(orders.used_slots | self._once_placed)
        apart = difference(self._wanted, orders.live(), used)
        for order in apart.cancels:
            orders.want_gone(order, "repriced" if order.slot in self._wanted else "not wanted", now)
        placed = self._place(apart.proposals, number, now, out) if apart.proposals else 0
        state_text = msgspec.json.encode(self._state).decode()
        if state_text != self._state_text:
            self._state_text = state_text
            out.changes.append(StateChanged(state_text))
        if placed or apart.cancels:
            out.changes.append(Decided(self.reason))
            # What the decision rests on, for whoever asks later why.
            market = self.markets[self.settings.markets[0]]
            book = self.feeds.by_symbol[market.symbol].book
            bid, ask = book.best_bid(), book.best_ask()
            out.note(
                "tick.decided",
                market=market.symbol,
                placed=placed,
                cancelling=len(apart.cancels),
                reason=self.reason,
                bid_ticks=None if bid is None else bid[0],
                ask_ticks=None if ask is None else ask[0],
                position=str(self.account.ledger.position(market.base)),
                **{f"{APPROVED}{v.target.slot}": _words(v.numbers) for v in self.verdicts if isinstance(v, Approved)},
            )

    def _place(self, proposals: Iterable[Target], number: int, now: int, out: Effects) -> int:
        account = self.account
        gate = Gate(self.settings.limits, self.situation(now))
        cancels = sum(1 for _ in account.orders.cancels.due(now))
        room = self._free - max(self.settings.cancel_reserve, cancels)
        placed = 0
        for target in proposals:
            if room <= 0:
                break  # no request left: the next tick states the whole intent again
            if account.orders.holds(target, now, out):
                self.held.add(target.slot)
                continue
            verdict = gate.judge(target)
            self.verdicts.append(verdict)
            match verdict:
                case Approved() as approved:
                    account.guard.pace.place(now)
                    sign_before = (now + self._offset + SIGN_WITHIN) // MILLISECOND
                    account.orders.intend(approved, self.reason, number, now, sign_before, out)
                    self._said.pop(target.slot, None)
                    placed, room, self._free = placed + 1, room - 1, self._free - 1
                    if self.settings.once:
                        self._once_placed.add(target.slot)
                case Refused() as refused:
                    self._say_refused(refused, out)
                case Waiting():
                    account.funds_short(now)
                case InTheWay(orders=ours):
                    for order in ours:
                        account.orders.want_gone(order, "self-trade", now)
        return placed

    def situation(self, now: int) -> Situation:
        account, feeds = self.account, self.feeds.by_symbol
        return Situation(
            now=now,
            markets=self.markets,
            books={symbol: feed.book for symbol, feed in feeds.items()},
            heard_at={symbol: feed.heard_at for symbol, feed in feeds.items()},
            orders=account.orders.may_exist(now),
            foreign=tuple(account.orders.strangers.live.values()),
            position=account.ledger.position,
            provisional_fees=account.ledger.provisional_fees,
            parents=account.orders.parents,
            funds=account.funds,
            names_used_up=account.orders.names_used_up,
            last_trades={symbol: feed.last_trade for symbol, feed in feeds.items() if feed.last_trade is not None},
            account_heard_at=account.heard_at,
            clock_offset=self._offset,
            pace=account.guard.pace,
            restraint=account.guard.restraint(now),
        )

    def _say_refused(self, refused: Refused, out: Effects) -> None:
        target = refused.target
        if self._said.get(target.slot) != refused.code:
            self._said[target.slot] = refused.code
            facts = {"slot": target.slot, "side": target.side.value, "code": refused.code, **refused.numbers}
            out.notes.append(Note("order.refused", "warning", target.market, None, facts))

    def _see_through(self, number: int, now: int, out: Effects) -> None:
        """`--once`: follow the one tick's orders to acceptance, the second step of a repricing included."""
        assert self._once_by is not None
        if now < self._once_by:
            before = len(out.commands)
            self._reconcile(number, now, out)
            busy = any(order.state in _UNRESOLVED for order in self.account.orders.live())
            if busy or self.account.orders.cancels or len(out.commands) > before:
                return
        self._begin_stop("once", 0, "once", now, out)

    def _protect(self, now: int, out: Effects) -> None:
        """A quote against a book that may be frozen is a gift to whoever sees the real one; and what may only reduce
        leaves no order in the book that would do more."""
        orders = self.account.orders
        if self._new_limits and self._was_ready:
            self._make_room(now)
        restraint = self.account.guard.restraint(now)
        if restraint is not None:
            self._hold_back(restraint, now, out)
        self._restrained = restraint is not None
        stale = [symbol for symbol in self.feeds.by_symbol if now > self._fresh_until(symbol)]
        for order in [order for order in orders.live() if order.market in stale] if stale else ():
            orders.want_gone(order, "book too old", now)

    def _make_room(self, now: int) -> None:
        """A limit that is new here binds what the run found, or what rests since before a reload, as well; and what was
        on its way by then, as soon as it rests."""
        orders = self.account.orders
        on_their_way = frozenset(order.client_id for order in orders.live() if order.state in _ON_ITS_WAY)
        awaited = on_their_way if self._awaited is None else on_their_way & self._awaited
        if awaited == self._awaited:
            return
        for order in without_room(self._new_limits, self.settings.limits, self.situation(now)):
            orders.want_gone(order, "no room under the limits", now)
        self._awaited = awaited
        if not awaited:
            self._new_limits = frozenset()

    def _hold_back(self, restraint: Restraint, now: int, out: Effects) -> None:
        if not self._restrained:
            facts = {"code": restraint.code, **restraint.numbers}
            out.notes.append(Note("risk.reduce_only", "warning", None, None, facts))
        account = self.account
        for order in opening(account.orders.live(), account.ledger.position, self.markets):
            account.orders.want_gone(order, f"only reducing orders: {restraint.code}", now)

    def _fresh_until(self, symbol: str) -> int:
        """A book that was never heard of is as old as the run: orders left by the last one get that long."""
        return max(self.feeds.by_symbol[symbol].heard_at, self._began) + self.settings.limits.max_book_age

    def _watch_limits(self, now: int, out: Effects) -> None:
        """What the limits on losses and failures say, and the latches that stand: the worst of them acts."""
        guard, age_max = self.account.guard, self.settings.limits.max_book_age
        if guard.look_due(now) or self.account.orders.new_fills:
            feeds = self.feeds.by_symbol.items()
            markets = [
                MarketNow(f.market, f.book, self.feeds.lacks(symbol, now, age_max) is None, f.last_trades)
                for symbol, f in feeds
            ]
            guard.look(markets, self.account.orders.live(), now, out)
        latch = guard.halt
        if latch is not None and self.stop is None:
            reason = f"{latch.name}: {latch.why}; runner resume lifts it"
            self._begin_stop("risk", Exit.RISK, reason, now, out, action=latch.action)

    # When next --------------------------------------------------------------------------------------------

    def _next_wake(self, now: int, mend_at: int | None) -> int | None:
        at = soonest(self.account.due_at, mend_at)
        if self.stop is not None:
            at = soonest(at, self.stop.next_at(self.account, now, self._offset))
        else:
            at = soonest(at, self._next_while_running(now))
        if at is None or at > now:
            return at
        # It is due and could not be done, for want of a request.
        return max(now + RETRY_BLOCKED, self._refill_at)

    def _next_while_running(self, now: int) -> int | None:
        """When the run itself, which is not stopping, has something to do: a tick, a look at losses, an old book."""
        account = self.account
        at = account.guard.next_at() if account.watch.synced else None
        if self._once_by is not None:
            at = soonest(at, self._once_by)
        elif self._was_ready:
            caused_at = None
            if self._caused and self._ticked_at is not None:
                caused_at = self._ticked_at + self.settings.tick.at_most_every
            at = soonest(at, self._tick_at, caused_at)
        for symbol in {order.market for order in account.orders.live()}:
            if (until := self._fresh_until(symbol)) >= now:
                at = soonest(at, until + 1)
        return at


def _words(numbers: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {compared}" for name, compared in numbers.items())


def _mid(feed: Feed) -> Decimal | None:
    bid, ask = feed.book.best_bid(), feed.book.best_ask()
    return None if bid is None or ask is None else MONEY.multiply(feed.market.price(bid[0] + ask[0]), _HALF)


def _where(problem: Exception, strategy_type: type[Strategy]) -> str:
    """File and line of the strategy that the problem comes from."""
    code = strategy_type.tick.__code__
    if isinstance(problem, BadQuote):
        return f"{code.co_filename}:{code.co_firstlineno}"
    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if frame.filename == code.co_filename]
    return f"{own[-1].filename}:{own[-1].lineno}" if own else f"{code.co_filename}:{code.co_firstlineno}"
