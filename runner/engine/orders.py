"""The life of our orders: intents, answers, news in any order, copies, cancels, and how an order ends.

The venue is believed by id. A client id names a *set* of venue orders, because the venue does not de-duplicate and a
proxy may repeat a create. An order ends only when every copy of it has ended and the fills booked equal what the
venue says was executed. Source: orders.md rules 1-8, 12 and 13; wire reference 5.2 and 5.7.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from runner.engine.effects import Effects
from runner.engine.funds import Funds
from runner.engine.ledger import Ledger
from runner.engine.risk import Approved
from runner.engine.strangers import Strangers
from runner.model.command import Cancel, FillBooked, OrderChanged, Place
from runner.model.ids import client_id, parse_client_id
from runner.model.market import Market
from runner.model.money import MONEY
from runner.model.order import Fill, Order, OrderRow, OrderState, Role, Side, TradeRow
from runner.model.settings import SECOND

CANCEL_RETRY_FIRST = 5 * SECOND
CANCEL_RETRY_LAST = 60 * SECOND
STRANGER_GRACE = 2 * SECOND  # how long an answer may take to name an order that the stream told of
FILLS_GRACE = SECOND  # how long the stream's own events may take before the order is read
MARKET_POLL = 3 * SECOND // 2
NONCE_WINDOW = 5 * SECOND  # W of orders.md
ABSENT_COUNTS = 600 * SECOND
ACTIVE_WITHIN = 120 * SECOND  # before our start: so lately, and somebody else may be at work still
FORGET_AFTER = 900 * SECOND  # an ended order; should it turn up later, its name still tells whose it is

_UNBORN = frozenset({OrderState.INTENDED, OrderState.SENT, OrderState.UNKNOWN})
_ENDED_AS = {"done": OrderState.FILLED, "cancel": OrderState.CANCELLED, "reject": OrderState.REJECTED}


class _Copy(Struct):
    """One order of the venue under a client id of ours. `state` is the venue's word."""

    state: str
    executed_lots: int


class _Cancel(Struct):
    """A cancel that is wanted until the venue shows a terminal state."""

    reason: str
    ask_at: int  # when to post, or to look whether the last post had an effect
    retry: int = CANCEL_RETRY_FIRST
    posted: bool = False  # since the order was last seen in `wait`


class Adoption(Struct, frozen=True):
    """An order with our tag that the journal did not know. `why`: `late` | `older_epoch` | `stale_journal` |
    `other_instance` (a name of another journal, created while we run or active just before; it is not kept).
    """

    order: Order
    why: str


class Orders:
    """Every order of ours that exists or may exist, and those that ended in this run."""

    def __init__(
        self,
        tag: str,
        epoch: int,
        settle: int,
        markets: dict[str, Market],
        ledger: Ledger,
        funds: Funds,
        now: int,
        *,
        take_over: bool = False,
    ) -> None:
        self._take_over = take_over
        self._tag = tag
        self._epoch = epoch
        self._settle_time = settle  # D of orders.md
        self._began = now
        self._markets = markets
        self._ledger = ledger
        self._funds = funds
        self._orders: dict[str, Order] = {}
        self._live: dict[str, Order] = {}  # those of _orders that are not terminal
        self._by_venue: dict[int, str] = {}
        self._copies: dict[str, dict[int, _Copy]] = {}
        self._cancels: dict[str, _Cancel] = {}
        self._generations: dict[str, int] = {}
        self.strangers = Strangers()
        self._listed: set[int] = set()  # what the newest complete listing showed to be at work
        self.unconfirmed: set[tuple[int, int]] = set()  # fills whose fee no `/market/trades` row has told yet
        self.highest_id = 0
        self._reads: dict[int, int] = {}  # venue id -> when to read that order
        self._incomplete: dict[int, int] = {}  # the same, unless the missing fill or event comes by itself
        self._tombstones: dict[str, int] = {}  # ended orders that a copy might outlive -> until when they count
        self.parents: dict[str, int] = {}  # lots filled so far
        self.used_slots: set[str] = set()  # slots of repeat=False quotes that had a fill
        self.new_fills: list[Fill] = []  # for whoever asks next
        self.slot_freed = False
        self.intended = 0  # orders asked for by this engine

    # Reading ----------------------------------------------------------------------------------------------

    def live(self) -> Iterable[Order]:
        return self._live.values()

    def may_exist(self, now: int) -> list[Order]:
        """What every limit counts: live orders, and refused or absent ones whose late copy is still possible."""
        late = (
            self._orders[name] for name, until in self._tombstones.items() if now < until and name not in self._live
        )
        return [*self._live.values(), *late]

    def get(self, client_id: str) -> Order | None:
        return self._orders.get(client_id)

    def unknown(self) -> Iterator[Order]:
        return (order for order in self._live.values() if order.state is OrderState.UNKNOWN)

    def unheard(self) -> bool:
        """Some order from before the start has not been told of by the venue yet."""
        return any(not copy.state for name in self._live for copy in self._copies.get(name, {}).values())

    def all_listed(self) -> bool:
        """Every live order was in the newest complete listing."""
        return all(order.venue_ids and self._listed.issuperset(order.venue_ids) for order in self._live.values())

    def known(self, order_id: int) -> bool:
        return order_id in self._by_venue

    # Beginning --------------------------------------------------------------------------------------------

    def restore(self, orders: Iterable[Order], generations: dict[str, int], now: int, out: Effects) -> None:
        """Take over what the journal remembers. Whatever was on its way when the process died is Unknown."""
        self._generations.update(generations)
        for remembered in orders:
            order = remembered
            self._store(order)
            filled = self._ledger.filled_lots(order.client_id)
            if filled > order.filled_lots:  # the disk was full between the two: fills are what counts
                order = self._change(order, out, now, filled_lots=filled)
            for venue_id in order.venue_ids:
                self._by_venue[venue_id] = order.client_id
            if order.state in {OrderState.INTENDED, OrderState.SENT}:
                self._change(order, out, now, state=OrderState.UNKNOWN, reason="restart")
            if order.state.terminal:
                self._restore_ended(order)
                continue
            for venue_id in order.venue_ids:
                self._copies.setdefault(order.client_id, {})[venue_id] = _Copy("", 0)
                self._reads[venue_id] = now

    def _restore_ended(self, order: Order) -> None:
        """It may be listed again, and what a late copy of it could do counts as long as before the restart."""
        word = next((word for word, state in _ENDED_AS.items() if state is order.state), "cancel")
        executed = order.executed_lots if len(order.venue_ids) == 1 else 0
        if order.venue_ids:
            self._copies[order.client_id] = {venue_id: _Copy(word, executed) for venue_id in order.venue_ids}
        self._bury(order, order.changed)

    def intend(self, approved: Approved, reason: str, event: int, now: int, sign_before: int, out: Effects) -> None:
        """Burn a generation, write the intent down and ask for the order."""
        target = approved.target
        generation = self._generations.get(target.slot, -1) + 1
        order = Order(
            client_id=client_id(self._tag, self._epoch, target.slot, generation),
            slot=target.slot,
            generation=generation,
            market=target.market,
            side=target.side,
            ticks=target.ticks,
            lots=target.lots,
            state=OrderState.INTENDED,
            created=now,
            changed=now,
            event=event,
            sign_before=sign_before,
            id_floor=self.highest_id,
            repeat=target.repeat,
            parent=target.parent and target.parent[0],
            reason=reason,
        )
        self._generations[target.slot] = generation
        self.intended += 1
        self._store(order)
        self._funds.reserve(order.client_id, approved.currency, approved.locks)
        out.changes.append(OrderChanged(order))
        out.commands.append(
            Place(order.client_id, order.market, order.side, order.ticks, order.lots, order.sign_before)
        )

    # Answers to a create ----------------------------------------------------------------------------------

    def sent(self, name: str, nonce: int, now: int, out: Effects) -> None:
        order = self._orders[name]
        if order.state is OrderState.INTENDED:
            self._change(order, out, now, state=OrderState.SENT, nonce=nonce)

    def refused(self, name: str, why: str, now: int, out: Effects) -> None:
        """Proven not created: by the venue's word, or because nothing left."""
        order = self._orders[name]
        if order.state not in _UNBORN:
            return  # a copy of it lives: the refusal speaks only of its own
        self._funds.release(name)
        order = self._change(order, out, now, state=OrderState.REJECTED, reason=why)
        self._bury(order, now)
        self._end(order, out)

    def unknown_outcome(self, name: str, why: str, now: int, out: Effects) -> None:
        order = self._orders[name]
        if order.state in {OrderState.INTENDED, OrderState.SENT}:
            self._change(order, out, now, state=OrderState.UNKNOWN, reason=why)
            out.note("order.unknown", level="warning", market=order.market, client_id=name, reason=why)

    def absent(self, name: str, now: int, out: Effects) -> None:
        """Proven never created (orders.md rule 9)."""
        order = self._orders[name]
        if order.state is OrderState.UNKNOWN:
            self._funds.release(name)
            order = self._change(order, out, now, state=OrderState.ABSENT, reason="proven absent")
            self._bury(order, now)
            self._end(order, out)

    def _bury(self, order: Order, since: int) -> None:
        """An order that never was, as far as we know, counts in every limit for a while (orders.md 7 and 9)."""
        if order.state is OrderState.ABSENT:
            self._tombstones[order.client_id] = since + ABSENT_COUNTS
        elif order.state is OrderState.REJECTED and order.nonce is not None:
            # It left: a proxy may have sent it twice, and one refusal proves one copy.
            self._tombstones[order.client_id] = since + NONCE_WINDOW + self._settle_time

    # News of rows and trades, in any order ----------------------------------------------------------------

    def row(
        self, row: OrderRow, now: int, out: Effects, *, name: str | None = None, streamed: bool = False
    ) -> Adoption | None:
        """An order of the account as the venue tells it now: from an answer, the stream, a list or a GET.

        `name` is the client id when the row answers a create of ours; the stream (`streamed`) tells no client ids.
        """
        self.highest_id = max(self.highest_id, row.id)
        name = name or self._by_venue.get(row.id) or self._ours(row)
        if name is None:
            if not streamed:
                self.strangers.disown(row)
            elif self.strangers.keep(row.id, row):
                self._reads.setdefault(row.id, now + STRANGER_GRACE)
            return None
        adoption = None
        if name not in self._orders:
            adoption = self._adopt(row, name, now)
            if adoption is None or adoption.why == "other_instance":
                self.strangers.disown(row)  # never cancelled or counted by us (orders.md 25)
                return adoption
            self._store(adoption.order)
        self._link(row.id, name, now, out)
        self._apply(row, name, now, out)
        return adoption

    def trade(self, row: TradeRow, now: int, out: Effects) -> None:
        """A trade of the account. The same trade may be told by the stream, a list and a GET."""
        name = self._by_venue.get(row.order_id) if row.order_id is not None else None
        if name is None:
            if row.order_id is not None and self.strangers.keep(row.order_id, row):
                self._reads.setdefault(row.order_id, now + STRANGER_GRACE)
            return
        order = self._orders[name]
        fill = self._ledger.book(self._fill(row, order, now))
        if fill is None:
            return
        out.changes.append(FillBooked(fill))
        (self.unconfirmed.discard if fill.fee_final else self.unconfirmed.add)(fill.key)
        filled = self._ledger.filled_lots(name)
        grown = filled - order.filled_lots
        if not grown:
            return  # only its fee became final
        if order.parent is not None:
            self.parents[order.parent] = self.parents.get(order.parent, 0) + grown
        if not order.repeat:
            self.used_slots.add(order.slot)
        self.new_fills.append(fill)
        order = self._change(order, out, now, filled_lots=filled)
        market = self._markets[order.market]
        out.note(
            "fill.booked",
            market=order.market,
            client_id=name,
            side=order.side.value,
            price=str(market.price(fill.ticks)),
            quantity=str(market.quantity(fill.lots)),
            role=fill.role.value,
            trade=fill.trade_id,
        )
        self._settle(order, now, out)

    def missing(self, order_id: int, now: int, out: Effects) -> None:
        """A GET says there is no such order. It was there: this proves nothing, and is asked about for ever."""
        name = self._by_venue.get(order_id)
        if name is None or name not in self._live:
            self.strangers.drop(order_id)
            return
        out.note("order.missing", level="error", client_id=name, order_id=order_id)
        self._copies[name][order_id].state = "missing"
        self._reads[order_id] = now + CANCEL_RETRY_LAST

    def listed(self, rows: Iterable[OrderRow], asked_at: int, now: int) -> None:
        """A complete listing of what is at work ended. Known orders that it lacks are read one by one."""
        seen = self._listed = {row.id for row in rows}
        self.strangers.listed(seen)
        for name, order in self._live.items():
            for venue_id, copy in self._copies.get(name, {}).items():
                if venue_id not in seen and copy.state not in _ENDED_AS and order.changed < asked_at:
                    self._reads.setdefault(venue_id, now)

    def forget(self, now: int) -> None:
        """Drop what ended long ago from memory; the journal keeps it."""
        self._tombstones = {name: until for name, until in self._tombstones.items() if now < until}
        for name, order in list(self._orders.items()):
            if order.state.terminal and name not in self._tombstones and now - order.changed > FORGET_AFTER:
                del self._orders[name]
                self._copies.pop(name, None)
                for venue_id in order.venue_ids:
                    self._by_venue.pop(venue_id, None)

    def reads_due(self, now: int) -> list[int]:
        """Venue ids of the orders to read now. Each stays due until `reading` says that it is being read."""
        return [id_ for reads in (self._reads, self._incomplete) for id_, at in reads.items() if at <= now]

    def reading(self, order_id: int) -> None:
        self._reads.pop(order_id, None)
        self._incomplete.pop(order_id, None)

    # Cancelling -------------------------------------------------------------------------------------------

    def want_gone(self, order: Order, reason: str, now: int) -> None:
        """Cancel as soon as the venue can: it drops cancels of orders its engine has not seen."""
        if order.client_id not in self._cancels and not order.state.terminal:
            self._cancels[order.client_id] = _Cancel(reason, now)

    def cancels_due(self, now: int) -> list[tuple[int, str]]:
        """(venue id, client id) of each cancel to post now; what must be looked at first becomes a due read."""
        due = []
        for name, cancel in self._cancels.items():
            if cancel.ask_at > now:
                continue
            alive = [(id_, copy) for id_, copy in self._copies.get(name, {}).items() if copy.state not in _ENDED_AS]
            waiting = [(venue_id, name) for venue_id, copy in alive if copy.state == "wait"]
            if waiting and not cancel.posted:
                due += waiting
                continue
            # Posted without effect so far, or not in the book yet: look before anything is said again.
            for venue_id, _ in alive:
                self._reads.setdefault(venue_id, now)
            cancel.ask_at = now + cancel.retry
        return due

    def cancel_posted(self, order_id: int, name: str, now: int, out: Effects) -> None:
        cancel, order = self._cancels[name], self._orders[name]
        out.commands.append(Cancel(order_id, name))
        cancel.posted = True
        cancel.ask_at = now + cancel.retry
        cancel.retry = min(2 * cancel.retry, CANCEL_RETRY_LAST)
        if order.state is not OrderState.CANCELLING:
            self._change(order, out, now, state=OrderState.CANCELLING)

    def cancelling(self) -> bool:
        return bool(self._cancels)

    def cancel_unanswered(self, order_id: int, now: int) -> None:
        """The cancel was refused or its answer lost: the order itself tells."""
        if self._by_venue.get(order_id) in self._live or self.strangers.asked_for(order_id):
            self._reads.setdefault(order_id, now + SECOND)

    def next_at(self) -> int | None:
        """When something of the above is due."""
        times = [cancel.ask_at for cancel in self._cancels.values()]
        times += self._reads.values()
        times += self._incomplete.values()
        return min(times, default=None)

    # Inside -----------------------------------------------------------------------------------------------

    def _ours(self, row: OrderRow) -> str | None:
        if row.client_id is None:
            return None
        if row.client_id in self._orders:
            return row.client_id
        parsed = parse_client_id(row.client_id)
        return row.client_id if parsed is not None and parsed.tag == self._tag else None

    def _adopt(self, row: OrderRow, name: str, now: int) -> Adoption | None:
        """A row with our tag that we hold no order for. One that has ended without a fill needs no owner."""
        parsed = parse_client_id(name)
        assert parsed is not None
        if row.terminal and not row.executed_lots:
            return None
        if parsed.epoch == self._epoch:
            why = "late" if parsed.generation <= self._generations.get(parsed.slot, -1) else "stale_journal"
        else:
            why = "older_epoch" if self._left_behind(row) else "other_instance"
        self._generations[parsed.slot] = max(parsed.generation, self._generations.get(parsed.slot, -1))
        order = Order(
            client_id=name,
            slot=parsed.slot,
            generation=parsed.generation,
            market=row.market,
            side=row.side,
            ticks=row.ticks,
            lots=row.origin_lots,
            state=OrderState.UNKNOWN,
            created=row.created_at * SECOND,
            changed=now,
            event=0,
            sign_before=0,
            filled_lots=self._ledger.filled_lots(name),
            reason=f"adopted: {why}",
        )
        return Adoption(order, why)

    def _left_behind(self, row: OrderRow) -> bool:
        """Whether an order of another epoch is what an earlier life left, and not another instance at work."""
        if row.created_at * SECOND >= self._began:
            return False
        return self._take_over or max(row.created_at, row.updated_at) * SECOND < self._began - ACTIVE_WITHIN

    def _link(self, order_id: int, name: str, now: int, out: Effects) -> None:
        """Add a venue id to an order. A second one is a copy: counted, cancelled, and said aloud."""
        if self._by_venue.get(order_id) == name:
            return
        self._by_venue[order_id] = name
        self._reads.pop(order_id, None)  # its owner is known
        order = self._orders[name]
        ids = tuple(sorted({*order.venue_ids, order_id}))
        order = self._change(order, out, now, venue_ids=ids)
        self._copies.setdefault(name, {})[order_id] = _Copy("", 0)
        if len(ids) > 1:
            out.note("order.duplicate", level="error", market=order.market, client_id=name, copies=len(ids))
            self._reopen(order, now, out)
        for row in self.strangers.claim(order_id):
            if isinstance(row, OrderRow):
                self._apply(row, name, now, out)
            else:
                self.trade(row, now, out)

    def _reopen(self, order: Order, now: int, out: Effects) -> None:
        if order.state.terminal:
            order = self._change(order, out, now, state=OrderState.OPEN, reason="a late copy of it is at work")
        self.want_gone(order, "duplicate", now)

    def _apply(self, row: OrderRow, name: str, now: int, out: Effects) -> None:
        copy = self._copies[name][row.id]
        if row.executed_lots < copy.executed_lots or (copy.state in _ENDED_AS and not row.terminal):
            return  # older news than what we have
        moved = copy.state != row.state or copy.executed_lots != row.executed_lots
        copy.state, copy.executed_lots = row.state, row.executed_lots
        cancel = self._cancels.get(name)
        if cancel is not None and row.state == "wait" and moved:
            cancel.ask_at = min(cancel.ask_at, now) if not cancel.posted else cancel.ask_at
        order = self._orders[name]
        if order.state.terminal and not row.terminal:
            self._reopen(order, now, out)
            order = self._orders[name]
        if row.state != "pending":
            self._funds.seen(name, now)
        # Not every copy has told its part since a restart; what was executed stays executed.
        executed = max(order.executed_lots, sum(each.executed_lots for each in self._copies[name].values()))
        state = _alive_as(order, row)
        if executed != order.executed_lots or state is not order.state:
            order = self._change(order, out, now, executed_lots=executed, state=state)
        if order.ticks is None and not row.terminal:
            # A market order is silent unless it is filled whole: it is asked about until it ends.
            self._reads.setdefault(row.id, now + MARKET_POLL)
        for trade in row.trades or ():
            self.trade(msgspec.structs.replace(trade, order_id=row.id), now, out)
        self._settle(self._orders[name], now, out)

    def read(self, row: OrderRow, now: int, out: Effects) -> Adoption | None:
        """A GET answered. If a posted cancel shows no effect on an order in `wait`, it is posted again."""
        adoption = self.row(row, now, out)
        name = self._by_venue.get(row.id)
        cancel = self._cancels.get(name) if name is not None else None
        if cancel is not None and row.state == "wait" and cancel.posted:
            cancel.posted = False
            cancel.ask_at = now
        return adoption

    def _settle(self, order: Order, now: int, out: Effects) -> None:
        """End the order if all its copies ended and its fills are complete; else see to what is missing."""
        copies = self._copies.get(order.client_id, {})
        if order.state.terminal or not copies:
            return
        if order.filled_lots != order.executed_lots:
            for venue_id in copies:
                self._incomplete.setdefault(venue_id, now + FILLS_GRACE)
            return
        for venue_id in copies:
            self._incomplete.pop(venue_id, None)
        if not all(copy.state in _ENDED_AS for copy in copies.values()):
            return
        states = {_ENDED_AS[copy.state] for copy in copies.values()}
        for state in (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED):
            if state in states:
                cancel = self._cancels.get(order.client_id)
                why = cancel.reason if cancel is not None and state is OrderState.CANCELLED else f"venue: {state.value}"
                self._end(self._change(order, out, now, state=state, reason=why), out)
                return

    def _end(self, order: Order, out: Effects) -> None:
        self.slot_freed = True
        self._cancels.pop(order.client_id, None)
        for venue_id in order.venue_ids:
            self.reading(venue_id)
        market = self._markets[order.market]
        out.note(
            f"order.{order.state.value}",
            level="warning" if order.state is OrderState.REJECTED else "info",
            market=order.market,
            client_id=order.client_id,
            filled=str(market.quantity(order.filled_lots)),
            reason=order.reason,
        )

    def _fill(self, row: TradeRow, order: Order, now: int) -> Fill:
        assert row.order_id is not None
        market = self._markets[order.market]
        role = Role.TAKER if row.taker_side is order.side else Role.MAKER
        rate = market.taker_fee if role is Role.TAKER else market.maker_fee
        if order.side is Side.BUY:
            received, currency = market.quantity(row.lots), market.base
        else:
            received, currency = market.notional(row.ticks, row.lots), market.quote
        fee: Decimal = MONEY.multiply(received, rate) if row.fee is None else row.fee
        return Fill(
            trade_id=row.id,
            order_id=row.order_id,
            client_id=order.client_id,
            market=order.market,
            side=order.side,
            ticks=row.ticks,
            lots=row.lots,
            role=role,
            fee=fee,
            fee_currency=row.fee_currency or currency,
            time=now,
            traded_at=row.created_at,
            fee_final=row.fee is not None,
            parent=order.parent,
        )

    def _change(self, order: Order, out: Effects, now: int, **fields: Any) -> Order:
        """Replace an order by its next value. `changed` moves only with the state."""
        state = fields.get("state", order.state)
        if state is not order.state:
            fields["changed"] = now
        order = msgspec.structs.replace(order, **fields)
        self._store(order)
        # One event can move an order several times; the journal needs only where it ended up.
        for index, change in enumerate(out.changes):
            if isinstance(change, OrderChanged) and change.order.client_id == order.client_id:
                out.changes[index] = OrderChanged(order)
                return order
        out.changes.append(OrderChanged(order))
        return order

    def _store(self, order: Order) -> None:
        self._orders[order.client_id] = order
        if order.state.terminal:
            self._live.pop(order.client_id, None)
        else:
            self._live[order.client_id] = order


def _alive_as(order: Order, row: OrderRow) -> OrderState:
    """Our state while the venue's copy lives; the end is decided by `_settle`."""
    if row.state == "pending" and order.state in _UNBORN:
        return OrderState.ACCEPTED
    if row.state == "wait" and (order.state in _UNBORN or order.state is OrderState.ACCEPTED):
        return OrderState.OPEN
    if order.state in _UNBORN:
        # It ended before we heard of it, or the venue uses a word we do not know: it exists, so it is not unknown.
        return OrderState.ACCEPTED
    return order.state
