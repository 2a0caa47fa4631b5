"""The life of our orders: intents, answers, news in any order, copies, cancels, and how an order ends.

The venue is believed by id. A client id names a *set* of venue orders, because the venue does not de-duplicate and a
proxy may repeat a create. An order ends only when every copy of it has ended and the fills booked equal what the
venue says was executed. Source: orders.md rules 1-8, 12 and 13; wire reference 5.2 and 5.7.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct

from runner.engine.cancels import RETRY_LAST, Cancels
from runner.engine.copies import MISSING, Copies, Copy
from runner.engine.effects import Effects
from runner.engine.fees import Fees
from runner.engine.funds import Funds
from runner.engine.ledger import Ledger
from runner.engine.reads import Reads
from runner.engine.reconcile import Target
from runner.engine.risk import Approved
from runner.engine.strangers import Strangers
from runner.engine.tiers import NONCE_WINDOW, UNBORN, Tier, bent, could_be, fits
from runner.engine.times import soonest
from runner.model.command import Cancel, FillBooked, OrderChanged, Place
from runner.model.ids import FLATTEN, GENERATION_MAX, client_id, parse_client_id
from runner.model.market import Market
from runner.model.money import MONEY
from runner.model.order import Fill, Order, OrderRow, OrderState, Role, Side, TradeRow
from runner.model.settings import SECOND

STRANGER_GRACE = 2 * SECOND  # how long an answer may take to name an order that the stream told of
FILLS_GRACE = SECOND  # how long the stream's own events may take before the order is read
MARKET_POLL = 3 * SECOND // 2
SIGN_WITHIN = 5 * SECOND  # from the intent to the signature; after that it is proven not sent
ABSENT_COUNTS = 600 * SECOND
INSTANCE_ACTIVE = 120 * SECOND  # an order of another journal that moved so shortly before our start has a live owner
PRIVATE_NEWS_WITHIN = 2 * SECOND  # of a public trade that should have been with us
FORGET_AFTER = 900 * SECOND  # an ended order; should it turn up later, its name still tells whose it is


class Adoption(Struct, frozen=True):
    """An order with our tag that the journal did not know. `why`: `late` | `older_epoch` | `stale_journal` |
    `other_instance` (a name of another journal, created while we run or at work just before). The last is reported
    and not taken: it has an owner, and only our own journal's orders are ours to cancel then (orders.md rule 25).
    So is a stale journal's where the name is known, but another order bears it.
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
        exclusive: bool = False,
    ) -> None:
        self._tag = tag
        self._epoch = epoch
        self._settle_time = settle  # D of orders.md
        # From here on an order of another journal is a second instance's. Source: orders.md rule 25.
        self._alone_since = now
        self._take_over = take_over
        self._exclusive = exclusive  # nobody else trades on the account
        self._markets = markets
        self._ledger = ledger
        self._funds = funds
        self._orders: dict[str, Order] = {}
        self._live: dict[str, Order] = {}  # those of _orders that are not terminal
        self._copies = Copies()
        self.reads = Reads()
        self.cancels = Cancels(self._copies, self.reads)
        self._owned_epochs: set[int] = set()  # of other journals that a second instance is at work with
        self._generations: dict[str, int] = {}
        self.strangers = Strangers()
        self.tier = Tier()
        self._suspected: set[tuple[str, int]] = set()  # what was said of rows that may be ours
        self._listed: set[int] = set()  # what the newest complete listing showed to be at work
        self.fees = Fees(ledger)
        self.highest_id = 0
        self._tombstones: dict[str, int] = {}  # ended orders that a copy might outlive -> until when they count
        self.parents: dict[str, int] = {}  # lots filled so far
        self.used_slots: set[str] = set()  # slots of repeat=False quotes that had a fill
        self.new_fills: list[Fill] = []  # for whoever asks next
        self.came_late: list[str] = []  # orders that had been proven absent, for whoever asks next
        self.slot_freed = False
        self.unanswered: set[str] = set()  # creates of this process whose answer is still to come
        self.intended = 0  # orders asked for by this engine
        self._untold: list[str] = []  # restored orders of which the venue has not told yet: they only become fewer

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

    def never_answered(self) -> list[Order]:
        """Orders whose own create told nothing of what became of it, whatever is known of them by now."""
        return [order for order in self._orders.values() if not order.answered]

    def unheard(self) -> list[str]:
        """Client ids of orders from before the start that the venue has not told of yet."""
        if self._untold:
            self._untold = [
                name
                for name in self._untold
                if name in self._live and any(not copy.state for copy in self._copies.of(name).values())
            ]
        return self._untold

    def missing_there(self, name: str) -> bool:
        """The venue does not know the numbers under which it once told of this order."""
        copies = self._copies.of(name).values()
        return bool(copies) and all(copy.state == MISSING for copy in copies)

    def all_listed(self) -> bool:
        """Every live order was in the newest complete listing."""
        return all(order.venue_ids and self._listed.issuperset(order.venue_ids) for order in self._live.values())

    def known(self, order_id: int) -> bool:
        """The venue's order is known to be one of ours."""
        return self._owner(order_id) is not None

    def created(self, since: int, until: int | None) -> frozenset[int]:
        """Venue ids of our orders that are known to have been created in this time, in venue seconds."""
        return self._copies.created(since, until)

    def names_used_up(self, slot: str) -> bool:
        """The slot has no name left for another order (orders.md rule 1)."""
        return self._generations.get(slot, -1) >= GENERATION_MAX

    def could_be(self, row: OrderRow, order: Order) -> bool:
        """Whether a listed row that is not known to be ours may be this order (orders.md rule 11)."""
        if self._owner(row.id) is not None:
            return False
        return could_be(row, order, self._settle_time, proven=self.tier.proven)

    def holds(self, target: Target, now: int, out: Effects) -> bool:
        """Whether a proposal has to wait because the venue's names are not proven."""
        return not self.tier.proven and self.tier.holds(target, self.may_exist(now), out)

    # Beginning --------------------------------------------------------------------------------------------

    def restore(self, orders: Iterable[Order], generations: dict[str, int], now: int, out: Effects) -> None:
        """Take over what the journal remembers. Whatever was on its way when the process died is Unknown."""
        self._generations.update(generations)
        for remembered in orders:
            order = remembered
            self.highest_id = max(self.highest_id, order.id_floor, *order.venue_ids)
            self._store(order)
            filled = self._ledger.filled_lots(order.client_id)
            if filled > order.filled_lots:  # the disk was full between the two: fills are what counts
                order = self._change(order, out, now, filled_lots=filled)
            if order.state.terminal:
                self._copies.add_ended(order)
                self._bury(order)
            if order.state in {OrderState.INTENDED, OrderState.SENT}:
                self._change(order, out, now, state=OrderState.UNKNOWN, reason="restart")
            if not order.state.terminal:
                self._untold.append(order.client_id)
                for venue_id in order.venue_ids:
                    self._copies.add(order.client_id, venue_id)
                    self.reads.want(venue_id, now)
            if order.state is OrderState.CANCELLING:
                self.want_gone(order, "it was to go before the restart", now)  # whether the cancel arrived or not

    def intend(self, approved: Approved, reason: str, event: int, now: int, sign_before: int, out: Effects) -> Order:
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
        self.unanswered.add(order.client_id)
        self._store(order)
        self._funds.reserve(order.client_id, approved.currency, approved.locks)
        out.changes.append(OrderChanged(order))
        out.commands.append(
            Place(
                order.client_id,
                order.market,
                order.side,
                order.ticks,
                order.lots,
                order.sign_before,
                flattens=order.slot == FLATTEN,
            )
        )
        return order

    # Answers to a create ----------------------------------------------------------------------------------

    def sent(self, name: str, nonce: int, now: int, out: Effects) -> None:
        order = self._orders[name]
        if order.state is OrderState.INTENDED:
            self._change(order, out, now, state=OrderState.SENT, nonce=nonce)

    def accepted(self, name: str, row: OrderRow, now: int, out: Effects) -> Adoption | None:
        """The venue answered a create with its order."""
        self._answered(name, now, out)
        return self.row(row, now, out, name=name)

    def _answered(self, name: str, now: int, out: Effects) -> None:
        """What became of a create is known from its own answer; without one, no stop and no later run may rely on there
        being no copy of it (orders.md rule 26).
        """
        self.unanswered.discard(name)
        self._change(self._orders[name], out, now, answered=True)

    def refused(self, name: str, why: str, now: int, out: Effects) -> None:
        """Proven not created: by the venue's word, or because nothing left."""
        self._answered(name, now, out)
        order = self._orders[name]
        if order.state not in UNBORN:
            return  # a copy of it lives: the refusal speaks only of its own
        self._funds.release(name)
        order = self._change(order, out, now, state=OrderState.REJECTED, reason=why)
        self._bury(order)
        self._end(order, out)

    def unknown_outcome(self, name: str, why: str, now: int, out: Effects) -> None:
        self.unanswered.discard(name)
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
            self._bury(order)
            self._end(order, out)

    def _bury(self, order: Order) -> None:
        """Count an order that should not exist for as long as a copy of it may still come (rules 7 and 9)."""
        if order.state is OrderState.ABSENT:
            self._tombstones[order.client_id] = order.changed + ABSENT_COUNTS
        elif order.state is OrderState.REJECTED and order.nonce is not None and not order.venue_ids:
            # It left: a proxy may have sent it twice, and one refusal proves one copy.
            self._tombstones[order.client_id] = order.changed + NONCE_WINDOW + self._settle_time

    # News of rows and trades, in any order ----------------------------------------------------------------

    def rows(self, rows: Sequence[OrderRow], now: int, out: Effects) -> Iterator[Adoption | None]:
        """The rows of one answer. Any of them can tell that another instance is at work, so all are looked at first."""
        self._watch_out(rows)
        for row in rows:
            adoption = self.row(row, now, out)
            if adoption is None and row.client_id is not None and self._misnamed(row, row.client_id):
                adoption = Adoption(self._orders[row.client_id], "stale_journal")
            yield adoption

    def row(
        self, row: OrderRow, now: int, out: Effects, *, name: str | None = None, streamed: bool = False
    ) -> Adoption | None:
        """An order of the account as the venue tells it now: from an answer, the stream, a list or a GET.

        `name` is the client id where it is known otherwise; the stream (`streamed`) tells no client ids.
        """
        self.highest_id = max(self.highest_id, row.id)
        name = name or self._owner(row.id) or self._ours(row)
        if name is None and not streamed:
            name = self._buried(row, now, out)
        if name is None:
            if not streamed:
                self.strangers.disown(row)
            elif self.strangers.keep(row.id, row):
                self.reads.want(row.id, now + STRANGER_GRACE)
            return None
        adoption = None
        if name not in self._orders:
            adoption = self._adopt(row, name, now)
            if adoption is not None and adoption.why == "other_instance":
                self.strangers.disown(row)
                return adoption
            if adoption is None:
                self.strangers.disown(row)
                return None
        elif row.client_id is not None or not streamed:
            self._echoed(self._orders[name], row, out)
        ended = self._orders[name].state.terminal
        self._link(row.id, name, now, out)
        self._apply(row, name, now, out)
        if row.trades is None and row.executed_lots and self._orders[name].state.terminal and not ended:
            self.reads.want(row.id, now + FILLS_GRACE)
        return adoption

    def inherit(self, name: str, row: OrderRow, trades: Iterable[TradeRow], now: int, out: Effects) -> Adoption | None:
        """An executed order of an older journal and its trades: booked as what they are, and no news to anybody."""
        quiet, news = Effects(), list(self.new_fills)
        adoption = self.row(row, now, quiet, name=name)
        if adoption is None or adoption.why != "other_instance":
            for trade in trades:
                self.trade(msgspec.structs.replace(trade, order_id=row.id), now, quiet, of_read=True)
        self.new_fills = news
        out.changes.extend(quiet.changes)
        return adoption

    def late(self, name: str, now: int) -> None:
        """An order that should not exist any more does: it goes at once (rule 9)."""
        self.want_gone(self._orders[name], "late order", now)

    def traded(self, market: str, ticks: int, now: int) -> int | None:
        """A public trade. If one of our resting orders should have been in it, the order is read unless the private
        stream tells of it in time; returns when. Source: orders.md rule 14.
        """
        at = None
        for order in self._live.values():
            if order.market == market and order.ticks is not None and (ticks - order.ticks) * order.side.sign <= 0:
                at = now + PRIVATE_NEWS_WITHIN
                for order_id, copy in self._copies.alive(order.client_id):
                    if copy.state == "wait":
                        self.reads.want_unless_told(order_id, at)
        return at

    def trade(self, row: TradeRow, now: int, out: Effects, *, of_read: bool = False) -> None:
        """A trade of the account. The same trade may be told by the stream, a list and a GET.

        Every match that was not told by a GET of its order (`of_read`) leads to one: of a self-trade, a list shows
        one side only.
        """
        self.highest_id = max(self.highest_id, row.order_id or 0)
        name = self._copies.name_of(row.order_id) if row.order_id is not None else None
        if name is None:
            known = None if row.order_id is None else self._ledger.fill((row.id, row.order_id))
            if known is not None:
                self._confirm(known, row, now, out)
            elif row.order_id is not None and self.strangers.keep(row.order_id, row):
                self.reads.want(row.order_id, now + STRANGER_GRACE)
            return
        order = self._orders[name]
        fill = self._fill(row, order, now)
        known = self._ledger.fill(fill.key)
        booked = self._ledger.book(fill)
        if booked is None:
            return
        fill = booked
        out.changes.append(FillBooked(fill))
        self.fees.booked(known, fill, now, out)
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
        if not of_read:
            self.reads.want(fill.order_id, now + FILLS_GRACE)

    def _confirm(self, known: Fill, row: TradeRow, now: int, out: Effects) -> None:
        """A trade that is booked, told again after its order was forgotten: all it can bring is the final fee."""
        if row.fee is None:
            return
        currency = row.fee_currency or known.fee_currency
        told = msgspec.structs.replace(known, fee=row.fee, fee_currency=currency, fee_final=True)
        settled = self._ledger.book(told)
        if settled is not None:
            out.changes.append(FillBooked(settled))
            self.fees.booked(known, settled, now, out)

    def missing(self, order_id: int, now: int, out: Effects) -> None:
        """A GET says there is no such order. It was there: this proves nothing, and is asked about for ever."""
        name = self._copies.name_of(order_id)
        if name is None or name not in self._live:
            self.strangers.drop(order_id)
            return
        out.note("order.missing", level="error", client_id=name, order_id=order_id)
        self._copies.of(name)[order_id].state = MISSING
        self.reads.put_off(order_id, now + RETRY_LAST)

    def listed(self, rows: Iterable[OrderRow], asked_at: int, now: int) -> None:
        """A complete listing of what is at work ended. Known orders that it lacks are read one by one."""
        seen = self._listed = {row.id for row in rows}
        self.strangers.listed(seen)
        for name, order in self._live.items():
            for venue_id, copy in self._copies.of(name).items():
                if venue_id not in seen and not copy.ended and order.changed < asked_at:
                    self.reads.want(venue_id, now)

    def forget(self, now: int) -> None:
        """Drop what ended long ago from memory; the journal keeps it."""
        self._tombstones = {
            name: until
            for name, until in self._tombstones.items()
            if now < until or self._orders[name].state is OrderState.ABSENT  # recognised for ever
        }
        for name, order in list(self._orders.items()):
            if order.state.terminal and name not in self._tombstones and now - order.changed > FORGET_AFTER:
                del self._orders[name]
                self._copies.forget(name, order.venue_ids)

    # Cancelling -------------------------------------------------------------------------------------------

    def want_gone(self, order: Order, reason: str, now: int) -> None:
        """Cancel as soon as the venue can: it drops cancels of orders its engine has not seen."""
        if not order.state.terminal:
            self.cancels.want(order.client_id, reason, now)

    def cancel_posted(self, order_id: int, name: str, now: int, out: Effects) -> None:
        out.commands.append(Cancel(order_id, name))
        self.cancels.posted(name, now)
        order = self._orders[name]
        if order.state is not OrderState.CANCELLING:
            self._change(order, out, now, state=OrderState.CANCELLING)

    def cancel_unanswered(self, order_id: int, now: int) -> None:
        """The cancel was refused or its answer lost: the order itself tells."""
        if self._copies.name_of(order_id) in self._live or self.strangers.asked_for(order_id):
            self.reads.want(order_id, now + SECOND)

    def next_at(self) -> int | None:
        """When something of the above is due."""
        return soonest(self.cancels.next_at(), self.reads.next_at())

    # Inside -----------------------------------------------------------------------------------------------

    def _owner(self, order_id: int) -> str | None:
        """The client id that an order of the venue is known to belong to, if it is ours: an order that ended long ago
        is forgotten but for its fills. What the venue shows as its name today is no match for that (rule 4).
        """
        return self._copies.name_of(order_id) or self._ledger.owner(order_id)

    def _ours(self, row: OrderRow) -> str | None:
        """The name that a row of no known owner bears, if it is one of ours and can be believed (orders.md 11)."""
        told = row.client_id
        if told is None:
            return None
        parsed = parse_client_id(told)
        ours = parsed is not None and parsed.tag == self._tag
        longer = self._cut_from(told, parsed.slot, row) if parsed is not None and ours else None
        if longer is not None:
            # Which of the two it is, only the whole name proves; one that lives or ended already can have a copy.
            return None if longer.state in UNBORN else longer.client_id
        order = self._orders.get(told)
        if order is not None and not fits(row, order):
            return None
        ended = order is None or order.state.terminal
        if ended and any(claimant.client_id != told for claimant in self._claimants(row)):
            return None  # a name that was cut short may be the whole name of an earlier order
        return told if ours else None

    def _cut_from(self, told: str, slot: str, row: OrderRow) -> Order | None:
        """The order whose name may be cut short to the whole name of an earlier one: `...-1Z` to `...-1`.

        The earlier one had ended before the later was decided, and may be forgotten; a row that came after that
        is the later one's, or a copy held back beyond all that we assume. Of one that was called absent the row may be
        the first; of one that was there, it is a second.
        """
        later = [
            order
            for order in self._orders.values()
            if order.slot == slot
            and order.client_id != told
            and order.client_id.startswith(told)
            and row.id > order.id_floor
            and fits(row, order)
        ]
        return min(
            later, key=lambda order: (order.state not in UNBORN, bool(order.venue_ids), -order.generation), default=None
        )

    def _claimants(self, row: OrderRow) -> list[Order]:
        """Orders of which no row is known, and which this one may be. One that was called absent is looked for for
        ever, but where another is in question it is long gone.
        """
        unborn = [order for order in self._live.values() if order.state in UNBORN]
        tombstones = [self._orders[name] for name in self._tombstones if name not in self._live]
        buried = [order for order in tombstones if not order.venue_ids]
        in_time = [order for order in unborn + buried if self.could_be(row, order)]
        if in_time or self.tier.proven:
            return in_time
        absent = (order for order in buried if order.state is OrderState.ABSENT)
        return [order for order in absent if could_be(row, order, self._settle_time, proven=False, late=True)]

    def _buried(self, row: OrderRow, now: int, out: Effects) -> str | None:
        """A row whose name tells nothing may be of an order that should not exist. Each that it may be counts as long
        as such rows are seen; on an account that is ours alone it is the only one that it may be.
        """
        if not self._tombstones or (row.terminal and not row.executed_lots):
            return None
        claimants = self._claimants(row)
        buried = [order for order in claimants if order.state.terminal]
        for order in buried:
            self._tombstones[order.client_id] = max(self._tombstones[order.client_id], now + ABSENT_COUNTS)
        self._suspect(row, buried, out)
        sole = self._exclusive and len(buried) == len(claimants) == 1 and bent(row.client_id or "", buried[0].client_id)
        return buried[0].client_id if sole else None

    def matched(self, order: Order, candidates: Sequence[OrderRow], now: int, out: Effects) -> None:
        """A complete look-up for an order found no row with its name, but these that it may be (rule 11).

        It counts in full as it is. It is one of them for certain only if it is the only one, which no other order may
        be, on an account that is ours alone.
        """
        for row in candidates:
            self._suspect(row, [order], out)
        if not self._exclusive or len(candidates) != 1 or order.state is not OrderState.UNKNOWN:
            return
        (row,) = candidates
        if bent(row.client_id or "", order.client_id) and len(self._claimants(row)) == 1:
            out.note("order.matched", level="warning", market=row.market, client_id=order.client_id, order_id=row.id)
            self.row(row, now, out, name=order.client_id)

    def _suspect(self, row: OrderRow, orders: Iterable[Order], out: Effects) -> None:
        """Say once that a row may be one of our orders."""
        for order in orders:
            if (order.client_id, row.id) not in self._suspected:
                self._suspected.add((order.client_id, row.id))
                out.note(
                    "order.candidate",
                    level="warning",
                    market=order.market,
                    client_id=order.client_id,
                    order_id=row.id,
                    shown=row.client_id,
                )

    def _echoed(self, order: Order, row: OrderRow, out: Effects) -> None:
        """What the venue shows as the name of a row that is known to be of an order of ours."""
        if self.tier.echoed(order, row, out):
            self.slot_freed = True

    def _adopt(self, row: OrderRow, name: str, now: int) -> Adoption | None:
        """A row with our tag that we hold no order for. One that ended with no more fills than are booked needs none:
        it was ours and is forgotten, or nothing came of it.
        """
        parsed = parse_client_id(name)
        assert parsed is not None
        if parsed.epoch == self._epoch:
            why = "late" if parsed.generation <= self._generations.get(parsed.slot, -1) else "stale_journal"
        else:
            self._watch_out((row,))
            why = "other_instance" if parsed.epoch in self._owned_epochs else "older_epoch"
        past = Counter[int]()  # what earlier orders of this name filled, by venue id: they ended, and are forgotten
        for fill in self._ledger.order_fills(name):
            past[fill.order_id] += fill.lots
        if row.terminal and row.executed_lots <= past[row.id] and why in {"late", "older_epoch"}:
            return None
        if why != "other_instance":
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
            id_floor=row.id - 1,
            filled_lots=past.total(),
            executed_lots=past.total(),
            venue_ids=tuple(sorted(past)),
            reason=f"adopted: {why}",
        )
        if why != "other_instance":
            self._store(order)
            for order_id, lots in past.items():
                self._copies.add(name, order_id, Copy("" if order_id == row.id else "cancel", lots))
        return Adoption(order, why)

    def _misnamed(self, row: OrderRow, told: str) -> bool:
        """An order at work bears the name of one of ours and is another: a copy of our journal was used (rule 25).

        While an order of ours is looked for, it may be that one, its name cut short.
        """
        if row.terminal or told not in self._orders or self._owner(row.id) is not None:
            return False
        sought = (order for order in self._live.values() if not order.venue_ids)
        return not any(order.market == row.market and order.side is row.side for order in sought)

    def _watch_out(self, rows: Iterable[OrderRow]) -> None:
        """One order that a second instance moved tells of all under its epoch: they have an owner (rule 25).

        Of those that our journal took over, it is we who move them.
        """
        for row in rows:
            parsed = parse_client_id(row.client_id or "")
            if parsed is None or parsed.tag != self._tag or parsed.epoch == self._epoch:
                continue
            if self._owner(row.id) is None and self._of_another(row):
                self._owned_epochs.add(parsed.epoch)

    def _of_another(self, row: OrderRow) -> bool:
        """A second instance is behind this order of another journal, not a predecessor (rule 25)."""
        if row.created_at * SECOND >= self._alone_since:
            return True
        return not self._take_over and row.updated_at * SECOND >= self._alone_since - INSTANCE_ACTIVE

    def _link(self, order_id: int, name: str, now: int, out: Effects) -> None:
        """Add a venue id to an order. A second one is a copy: counted, cancelled, and said aloud."""
        if self._copies.name_of(order_id) == name:
            return
        self._copies.add(name, order_id)
        self.reads.drop(order_id)  # its owner is known
        order = self._orders[name]
        ids = tuple(sorted({*order.venue_ids, order_id}))
        order = self._change(order, out, now, venue_ids=ids)
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
            absent = order.state is OrderState.ABSENT
            order = self._change(order, out, now, state=OrderState.OPEN, reason="a late copy of it is at work")
            if absent:
                self.late(order.client_id, now)
                self.came_late.append(order.client_id)
        self.want_gone(order, "duplicate", now)

    def _apply(self, row: OrderRow, name: str, now: int, out: Effects) -> None:
        moved = self._copies.of(name)[row.id].take(row)
        if moved is None:
            return
        if moved and row.state == "wait":
            self.cancels.moved_to_wait(name, now)
        order = self._orders[name]
        executed = max(order.executed_lots, self._copies.executed_lots(name))
        if order.state.terminal and (not row.terminal or executed > order.executed_lots):
            self._reopen(order, now, out)
            order = self._orders[name]
        if row.state != "pending":
            self._funds.seen(name, now)
        state = _alive_as(order, row)
        if executed != order.executed_lots or state is not order.state:
            order = self._change(order, out, now, executed_lots=executed, state=state)
        if order.ticks is None and not row.terminal:
            # A market order is silent unless it is filled whole: it is asked about until it ends.
            self.reads.want(row.id, now + MARKET_POLL)
        for trade in row.trades or ():
            self.trade(msgspec.structs.replace(trade, order_id=row.id), now, out, of_read=True)
        self._settle(self._orders[name], now, out)

    def read(self, row: OrderRow, now: int, out: Effects) -> Adoption | None:
        """A GET answered. If a posted cancel shows no effect on an order in `wait`, it is posted again."""
        adoption = self.row(row, now, out)
        name = self._copies.name_of(row.id)
        if name is not None and row.state == "wait":
            self.cancels.still_waits(name, now)
        return adoption

    def _settle(self, order: Order, now: int, out: Effects) -> None:
        """End the order if all its copies ended and its fills are complete; else see to what is missing."""
        copies = self._copies.of(order.client_id)
        if order.state.terminal or not copies:
            return
        if order.filled_lots != order.executed_lots:
            for venue_id in copies:
                self.reads.want_unless_told(venue_id, now + FILLS_GRACE)
            return
        for venue_id in copies:
            self.reads.told(venue_id)
        state = self._copies.end(order.client_id)
        if state is not None:
            reason = self.cancels.reason(order.client_id) if state is OrderState.CANCELLED else None
            self._end(self._change(order, out, now, state=state, reason=reason or f"venue: {state.value}"), out)

    def _end(self, order: Order, out: Effects) -> None:
        self.slot_freed = True
        self.cancels.ended(order.client_id)
        for venue_id in order.venue_ids:
            self.reads.taken(venue_id)
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
            if order.state in UNBORN and state not in UNBORN and self.tier.held:
                self.slot_freed = True  # of its market and side, for a proposal that waits
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
    if row.state == "pending" and order.state in UNBORN:
        return OrderState.ACCEPTED
    if row.state == "wait" and (order.state in UNBORN or order.state is OrderState.ACCEPTED):
        return OrderState.OPEN
    if order.state in UNBORN:
        # It ended before we heard of it, or the venue uses a word we do not know: it exists, so it is not unknown.
        return OrderState.ACCEPTED
    return order.state
