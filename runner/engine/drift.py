"""Whether the account's money moves only as its trades and transfers say (orders.md rule 17).

Drift is the change of the balances less all trades of the account, whoever placed them, less deposits and withdrawals.
Two complete readings of the balances are compared when everything that happened between them is known: the trades were
swept after the second one, and every fee was told. A trade that happened about the time of a reading, and was learnt
after it, may be on either side of it: it is taken as lying where the sum comes out, and where there are too many of
those the reading was not a quiet one and is passed over. What a reading and everything before it agree on becomes the
base of the next comparison.

A difference is not believed at once. It leads to what is not asked for otherwise: the account's orders, because a
self-trade of others is listed from one side only, and its transfers. If it then stands through three readings and two
minutes, the venue has lost or invented money: `drift` holds it by currency (below zero: lost), and does not forget it.

Where the venue does not tell transfers (403, 404), a gain is held to be a deposit, and a loss a withdrawal as long as
all such losses come to less than a hundredth of what was held. Amounts are of the currency they are named with.

Only what the strategy trades is watched: what else the account holds is its owner's business, and no bound of the run
hangs on it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import combinations

from msgspec import Struct

from runner.engine.effects import Effects
from runner.model.command import Command, ListOrders, ListTransfers, Note, ReadOrder
from runner.model.event import OrderRead, OrdersListed, TransfersListed
from runner.model.market import Market
from runner.model.money import MONEY, ZERO, plain
from runner.model.order import BalanceRow, Fill, OrderRow, Side, TradeRow, TransferKind, TransferRow
from runner.model.settings import SECOND

BEFORE_S, AFTER_S = 60, 5
"""Trades stamped by the venue so long before or after a reading are surely before or after it."""
OPEN_MAX = 10  # trades that may lie on either side; more of them are not a quiet moment
FLOWS_MAX = 5000  # since the base; an account that is never quiet begins again
FEE_WITHIN = 150 * SECOND  # by then sweeps have told every fee that is told at all
FEE_MAX = Decimal("0.5")  # of what is received, whatever the role (wire reference 5.5)
STANDS_FOR, STANDS_READINGS = 120 * SECOND, 3
LOOK_AGAIN = 20 * SECOND
RETRY = 5 * SECOND
REFUSED_FOR = 600 * SECOND  # a list of transfers that cannot be had for so long is not to be had
TRANSFERS_TRIED = 12  # the newest of a currency
TRANSFER_AGE_S = 86_400  # from its creation to its booking
ASSUMED_LOSS = Decimal("0.01")  # of what was held, while transfers are not told

_KINDS: tuple[TransferKind, ...] = ("deposits", "withdraws")
Amounts = dict[str, Decimal]


class _Flow(Struct):
    """A trade of the account: what it moved. `unsure`: received, of which a fee that nobody told may be missing."""

    key: tuple[int, int]
    lots: int
    amounts: Amounts
    unsure: tuple[str, Decimal] | None
    learnt: int
    traded_at: int
    open: bool  # may lie before the base


class _Reading(Struct, frozen=True):
    """All balances, with what is locked. Times are the engine's, `_s` the venue's seconds."""

    totals: Amounts
    asked_at: int
    read_at: int
    asked_s: int
    read_s: int


class _Sum(Struct, frozen=True):
    """One way of placing the open trades: what is left over by currency, and how far a fee may explain it."""

    left: Amounts
    slack: Amounts
    inside: frozenset[tuple[int, int]]

    def explains(self, currency: str, amount: Decimal) -> bool:
        return MONEY.minus(self.slack.get(currency, ZERO)) <= amount <= 0


class Drift:
    """Fed with every trade of the account and every reading of its balances; asks one question at a time."""

    def __init__(
        self,
        markets: Mapping[str, Market],
        traded: Collection[str],
        query: Callable[[], int],
        ours: Callable[[int], bool],
    ) -> None:
        """`markets`: all there are, since a trade in any of them may move a currency of the markets in `traded`.

        `query` numbers questions; `ours` tells whether an order is read by others anyway (orders.md 14).
        """
        self.drift: Amounts = {}
        self._ours = ours
        self._markets = markets
        self._watched = {currency for symbol in traded for currency in _pair(markets[symbol])}
        self._next = query
        self._base: _Reading | None = None
        self._later: _Reading | None = None
        self._flows: dict[tuple[int, int], _Flow] = {}
        self._done: dict[tuple[int, int], int] = {}  # trades that the base contains -> venue second
        self._spent: set[TransferRow] = set()  # transfers that it contains
        self._evidence: Evidence | None = None  # gathered for `_later`
        self._stands_since: int | None = None
        self._stands = 0
        self._assumed: Amounts = {}
        self._wanted_at: int | None = None  # the next reading, where the usual one would be late

    # Being told -------------------------------------------------------------------------------------------

    def told(self, rows: Iterable[TradeRow], now: int) -> None:
        """Trades of the account, from wherever; the same may come often, with a fee at last."""
        for row in rows:
            if row.order_id is not None and self._concerned(row.market):
                self._take(row, (row.id, row.order_id), now)

    def _concerned(self, symbol: str) -> bool:
        """A trade in this market moves what is watched."""
        market = self._markets.get(symbol)
        return market is not None and not self._watched.isdisjoint(_pair(market))

    def _take(self, row: TradeRow, key: tuple[int, int], now: int) -> None:
        base = self._base
        if key in self._done or (base is not None and row.created_at < base.asked_s - BEFORE_S):
            return
        known = self._flows.get(key)
        if known is not None and (known.unsure is None or row.fee is None):
            return
        moved, unsure = self._moved(row)
        amounts = {currency: amount for currency, amount in moved.items() if currency in self._watched}
        if unsure is not None and unsure[0] not in self._watched:
            unsure = None
        learnt = now if known is None else known.learnt
        may_be_in = base is not None and row.created_at <= base.read_s + AFTER_S
        self._flows[key] = _Flow(key, row.lots, amounts, unsure, learnt, row.created_at, may_be_in)
        if len(self._flows) > FLOWS_MAX:
            self.begin_again()
            self._flows.clear()

    def _moved(self, row: TradeRow) -> tuple[Amounts, tuple[str, Decimal] | None]:
        market = self._markets[row.market]
        quantity, notional = market.quantity(row.lots), market.notional(row.ticks, row.lots)
        amounts = {
            market.base: quantity if row.side is Side.BUY else MONEY.minus(quantity),
            market.quote: MONEY.minus(notional) if row.side is Side.BUY else notional,
        }
        received = market.base if row.side is Side.BUY else market.quote
        if row.fee is None:
            return amounts, (received, amounts[received])
        currency = row.fee_currency or received
        amounts[currency] = MONEY.subtract(amounts.get(currency, ZERO), row.fee)
        return amounts, None

    def remember(self, fills: Iterable[Fill]) -> None:
        """What the journal knew at the start is in whatever is read from now on."""
        self._done.update((fill.key, fill.traded_at) for fill in fills)

    def begin_again(self) -> None:
        """What is known has a hole: the next reading is a new base."""
        self._base = self._later = self._evidence = None
        self._stands_since, self._stands = None, 0

    def read(self, rows: Sequence[BalanceRow], asked_at: int, now: int, ahead: int) -> None:
        """All balances, asked for at `asked_at`. `ahead`: the venue's clock minus ours, ns."""
        totals = {row.currency: MONEY.add(row.available, row.locked) for row in rows if row.currency in self._watched}
        asked_s, read_s = ((at + ahead) // SECOND for at in (asked_at, now))
        reading = _Reading(totals, asked_at, now, asked_s, read_s)
        if self._base is None:
            self._begin(reading)
        elif self._later is None:
            self._later = reading

    def _begin(self, base: _Reading) -> None:
        self._base = base
        flows, self._flows = self._flows, {}
        for key, flow in flows.items():
            if _surely_in(flow, base):
                self._done[key] = flow.traded_at
            else:
                flow.open = flow.traded_at <= base.read_s + AFTER_S
                self._flows[key] = flow
        self._forget()

    def _forget(self) -> None:
        """Trades of before are taken for known by their time alone."""
        assert self._base is not None
        since = self._base.asked_s - BEFORE_S
        self._done = {key: at for key, at in self._done.items() if at >= since}

    # Asking -----------------------------------------------------------------------------------------------

    def take_wanted(self) -> int | None:
        """When the balances have to be read, and the trades swept after them; said once."""
        wanted, self._wanted_at = self._wanted_at, None
        return wanted

    def next_at(self) -> int | None:
        return None if self._evidence is None else self._evidence.next_at()

    def request(self, now: int) -> Command | None:
        return None if self._evidence is None else self._evidence.request(now, self._next)

    def failed(self, query: int, now: int) -> bool:
        return self._evidence is not None and self._evidence.failed(query, now)

    def orders_listed(self, what: OrdersListed, now: int) -> bool:
        """Whether it answers our question; so the next two."""
        return self._evidence is not None and self._evidence.orders_listed(what, now)

    def order_read(self, what: OrderRead, now: int) -> bool:
        """The trades of the row have still to be told."""
        return self._evidence is not None and self._evidence.order_read(what, now)

    def transfers_listed(self, what: TransfersListed, now: int) -> bool:
        return self._evidence is not None and self._evidence.transfers_listed(what, now)

    # Comparing --------------------------------------------------------------------------------------------

    def compare(self, swept_at: int, now: int, out: Effects) -> None:
        """Something new is known. `swept_at`: when the newest complete sweep of trades was asked for."""
        base, later = self._base, self._later
        if base is None or later is None or swept_at < later.read_at:
            return
        if self._evidence is not None and not self._evidence.complete:
            return
        fixed, open_ = self._between(later, now)
        if len(open_) > OPEN_MAX or any(flow.unsure and now - flow.learnt < FEE_WITHIN for flow in (*fixed, *open_)):
            self._later = self._evidence = None  # not a quiet moment, or a fee is still to come: the next one may be
            return
        transfers = () if self._evidence is None else self._evidence.transfers
        least: _Sum | None = None
        for placed in self._placements(later, fixed, open_):
            spent = self._explained(placed, transfers)
            if spent is not None:
                self._spent.update(spent)
                self._agree(placed, now)
                return
            if least is None or self._unexplained(placed) < self._unexplained(least):
                least = placed
        assert least is not None
        if self._evidence is None:
            self._evidence = Evidence(base.asked_s - BEFORE_S, now, self._lots_by_order(), self._to_be_read)
        else:
            self._stand(least, now, out)

    def _to_be_read(self, row: OrderRow) -> bool:
        """Its trades matter, and nobody else reads it."""
        return self._concerned(row.market) and not self._ours(row.id)

    def _lots_by_order(self) -> dict[int, int]:
        lots: dict[int, int] = {}
        for (_, order_id), flow in self._flows.items():
            lots[order_id] = lots.get(order_id, 0) + flow.lots
        return lots

    def _between(self, later: _Reading, now: int) -> tuple[list[_Flow], list[_Flow]]:
        """Trades that surely lie between the two readings, and those that may."""
        fixed: list[_Flow] = []
        open_: list[_Flow] = []
        for flow in self._flows.values():
            if flow.learnt >= later.asked_at and flow.traded_at > later.read_s + AFTER_S:
                continue
            (fixed if not flow.open and _surely_in(flow, later) else open_).append(flow)
        return fixed, open_

    def _placements(self, later: _Reading, fixed: Sequence[_Flow], open_: Sequence[_Flow]) -> Iterator[_Sum]:
        """Every way in which the open trades can lie. First all of them between the readings, then all but one, and
        so on: a trade that was learnt after a reading mostly is.
        """
        assert self._base is not None
        before, after = self._base.totals, later.totals
        moved = {
            currency: MONEY.subtract(after.get(currency, ZERO), before.get(currency, ZERO))
            for currency in sorted(before.keys() | after.keys())
        }
        surely = _less(_Sum(moved, {}, frozenset()), fixed)
        for size in range(len(open_), -1, -1):
            for part in combinations(open_, size):
                yield _less(surely, part)

    def _unexplained(self, placed: _Sum) -> int:
        return sum(not placed.explains(currency, amount) for currency, amount in placed.left.items())

    def _explained(self, placed: _Sum, transfers: Sequence[TransferRow]) -> list[TransferRow] | None:
        """The transfers that make the sum come out; None if none do."""
        spent: list[TransferRow] = []
        for currency, amount in placed.left.items():
            if placed.explains(currency, amount):
                continue
            found = self._transfers_for(placed, currency, amount, transfers)
            if found is None:
                return None
            spent += found
        return spent

    def _transfers_for(
        self, placed: _Sum, currency: str, amount: Decimal, transfers: Sequence[TransferRow]
    ) -> Sequence[TransferRow] | None:
        ways = self._ways(currency, transfers)
        return next((part for total, part in ways if placed.explains(currency, MONEY.subtract(amount, total))), None)

    def _ways(self, currency: str, transfers: Sequence[TransferRow]) -> list[tuple[Decimal, tuple[TransferRow, ...]]]:
        """What transfers of a currency may have moved: any of them or none, for they are booked in their own time."""
        assert self._later is not None
        until = self._later.read_s + AFTER_S
        unspent = [
            each
            for each in transfers
            if each.currency == currency and each.created_at <= until and each not in self._spent
        ]
        newest = sorted(unspent, key=lambda each: each.created_at, reverse=True)[:TRANSFERS_TRIED]
        ways: list[tuple[Decimal, tuple[TransferRow, ...]]] = [(ZERO, ())]
        for transfer in newest:
            booked = _booked_as(transfer)
            ways += [(MONEY.add(total, one), (*part, transfer)) for total, part in ways for one in booked]
        return ways

    # What follows -----------------------------------------------------------------------------------------

    def _agree(self, placed: _Sum, now: int) -> None:
        """The later reading, with the trades in `placed` before it, is the next base."""
        later = self._later
        assert later is not None
        flows = {}
        for key, flow in self._flows.items():
            if key in placed.inside or (flow.open and _surely_in(flow, later)):
                self._done[key] = flow.traded_at
            else:  # one that could lie before the base as well as after the reading may still be either
                flow.open = flow.open and flow.traded_at <= later.read_s + AFTER_S
                flows[key] = flow
        self._flows = flows
        self._base, self._later, self._evidence = later, None, None
        self._forget()
        self._stands_since, self._stands = None, 0

    def _stand(self, placed: _Sum, now: int, out: Effects) -> None:
        """A difference that nothing explains: look again, and judge when it has stood long enough."""
        self._stands += 1
        self._stands_since = now if self._stands_since is None else self._stands_since
        if self._stands < STANDS_READINGS or now - self._stands_since < STANDS_FOR:
            self._later = self._evidence = None
            self._wanted_at = now + LOOK_AGAIN
            return
        for currency, amount in placed.left.items():
            if not placed.explains(currency, amount):
                self._judge(placed, currency, amount, out)
        self._agree(placed, now)

    def _judge(self, placed: _Sum, currency: str, amount: Decimal, out: Effects) -> None:
        """A difference that stood."""
        base, later, evidence = self._base, self._later, self._evidence
        assert base is not None
        assert later is not None
        assert evidence is not None
        # What was carried in or out between the readings is part of it, and what was under way may be.
        ways = self._ways(currency, evidence.transfers)
        since = {each for each in ways[-1][1] if base.read_s + AFTER_S < each.created_at < later.asked_s - AFTER_S}
        nearest, spent = min(
            (way for way in ways if since.issubset(way[1])), key=lambda way: abs(MONEY.subtract(amount, way[0]))
        )
        amount = MONEY.subtract(amount, nearest)
        self._spent.update(spent)
        if placed.explains(currency, amount):
            return
        before, after = base.totals.get(currency, ZERO), later.totals.get(currency, ZERO)
        facts: dict[str, str | int | float | None] = {
            "currency": currency,
            "amount": plain(amount),
            "before": plain(before),
            "after": plain(after),
            "explained": plain(MONEY.subtract(MONEY.subtract(after, before), amount)),
            "for_s": (later.read_at - base.read_at) // SECOND,
        }
        if ("deposits" if amount > 0 else "withdraws") in evidence.untold and self._assume(currency, amount, before):
            out.notes.append(Note("account.transfer_assumed", "warning", facts=facts))
            return
        self.drift[currency] = MONEY.add(self.drift.get(currency, ZERO), amount)
        out.notes.append(Note("account.drift", "error", facts=facts))

    def _assume(self, currency: str, amount: Decimal, before: Decimal) -> bool:
        """Whether it may be a transfer, where the venue does not tell them."""
        if amount > 0:
            return True
        lost = MONEY.add(self._assumed.get(currency, ZERO), amount)
        if MONEY.minus(lost) > MONEY.multiply(before, ASSUMED_LOSS):
            return False
        self._assumed[currency] = lost
        return True


def _pair(market: Market) -> tuple[str, str]:
    return market.base, market.quote


def _surely_in(flow: _Flow, reading: _Reading) -> bool:
    """What was learnt before the question left is in the answer."""
    return flow.learnt < reading.asked_at or flow.traded_at < reading.asked_s - BEFORE_S


def _less(of: _Sum, flows: Iterable[_Flow]) -> _Sum:
    """What is left when these trades are taken out as well."""
    left, slack, inside = dict(of.left), dict(of.slack), set(of.inside)
    for flow in flows:
        inside.add(flow.key)
        for currency, amount in flow.amounts.items():
            left[currency] = MONEY.subtract(left.get(currency, ZERO), amount)
        if flow.unsure is not None:
            currency, received = flow.unsure
            slack[currency] = MONEY.add(slack.get(currency, ZERO), MONEY.multiply(received, FEE_MAX))
    return _Sum(left, slack, frozenset(inside))


def _booked_as(transfer: TransferRow) -> set[Decimal]:
    """What a transfer may have moved: its fee may be in its amount or beside it."""
    if transfer.kind == "deposits":
        return {transfer.amount, MONEY.subtract(transfer.amount, transfer.fee)}
    return {MONEY.minus(transfer.amount), MONEY.minus(MONEY.add(transfer.amount, transfer.fee))}


# What is asked for once there is a difference ---------------------------------------------------------------


class Evidence:
    """The orders that changed since the base, those with trades that nobody listed, and the transfers."""

    def __init__(self, since_s: int, now: int, lots: Mapping[int, int], matters: Callable[[OrderRow], bool]) -> None:
        """`lots`: what is known to have been traded since then, by order. `matters`: the order may have to be read."""
        self.transfers: tuple[TransferRow, ...] = ()
        self.untold: set[TransferKind] = set()
        self._since_s = since_s
        self._lots, self._matters = lots, matters
        self._page: int | None = 1
        self._reads: dict[int, None] = {}
        self._kinds = list(_KINDS)
        self._due = now
        self._query: int | None = None
        self._refused_since: int | None = None

    @property
    def complete(self) -> bool:
        return self._query is None and self._page is None and not self._reads and not self._kinds

    def next_at(self) -> int | None:
        return None if self.complete or self._query is not None else self._due

    def request(self, now: int, query: Callable[[], int]) -> Command | None:
        if self.complete or self._query is not None or now < self._due:
            return None
        self._query = query()
        if self._page is not None:
            return ListOrders(self._query, (), None, None, self._page)
        if self._reads:
            return ReadOrder(self._query, next(iter(self._reads)))
        return ListTransfers(self._query, self._kinds[0])

    def failed(self, query: int, now: int) -> bool:
        if query != self._query:
            return False
        self._query, self._due = None, now + RETRY
        if self._page is None and not self._reads:
            self._refused_since = now if self._refused_since is None else self._refused_since
            if now - self._refused_since >= REFUSED_FOR:
                self.untold.add(self._kinds.pop(0))
        return True

    def _answered(self, query: int, now: int) -> bool:
        if query != self._query:
            return False
        self._query, self._due, self._refused_since = None, now, None
        return True

    def orders_listed(self, what: OrdersListed, now: int) -> bool:
        if not self._answered(what.query, now):
            return False
        assert self._page is not None
        for row in what.rows:
            changed = row.updated_at >= self._since_s and row.executed_lots != self._lots.get(row.id, 0)
            if changed and self._matters(row):
                self._reads[row.id] = None
        # The last changed come first: what follows an older one is older still.
        older = any(row.updated_at < self._since_s for row in what.rows)
        self._page = self._page + 1 if what.full and not older else None
        return True

    def order_read(self, what: OrderRead, now: int) -> bool:
        if not self._answered(what.query, now):
            return False
        self._reads.pop(what.order_id, None)
        return True

    def transfers_listed(self, what: TransfersListed, now: int) -> bool:
        if not self._answered(what.query, now):
            return False
        self._kinds.remove(what.kind)
        if what.rows is None:
            self.untold.add(what.kind)
        else:
            since = self._since_s - TRANSFER_AGE_S
            self.transfers += tuple(row for row in what.rows if row.created_at >= since)
        return True
