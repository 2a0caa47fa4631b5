"""An exchange as values: members, accounts, order books, and the asynchronous life of every order.

Nothing here reads a clock: each call is told the time, work that is due later waits in a queue, and everything the
world should hear is appended to `feed` in the order in which it happened. What `advance` does depends only on what
was asked and when, not on how often it is called. Source: wire reference, section 5.
"""

import heapq
from collections import deque
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from runner.model.market import Market
from runner.model.money import MONEY, ZERO
from runner.model.order import Side
from runner.simulation.accounts import Accounts, InsufficientBalance
from runner.simulation.admission import OrderRefused, market_buy_lock, on_grid, required
from runner.simulation.database import Database
from runner.simulation.feed import BalanceChanged, BookPublisher, FeedEvent, OrderChanged, Traded
from runner.simulation.matching import Arrival, LevelChange, Match, MatchingBook, OrderBook
from runner.simulation.records import ApiKey, Member, Order, OrderState, Trade, Transfer
from runner.simulation.switchboard import Switchboard
from runner.simulation.tape import Tape

MILLISECOND = 1_000_000
SECOND = 1_000_000_000

CATCH_UP = 60 * SECOND
"""A resident who was not called for longer than this (a suspended laptop) goes on now and leaves out the gap."""


class Behaviour(Struct, frozen=True):
    """How slow the exchange is, in ns, and which of its known faults it has."""

    pending_delay: int = 50 * MILLISECOND  # from the 201 until the worker locks the funds
    execution_delay: int = 0  # from a match until it is in the database
    cancel_delay: int = 50 * MILLISECOND  # from a cancel's 201 until the engine looks for the order
    loses_pending_cancels: bool = False  # a cancel that comes before the engine knows the order is forgotten
    market_buy_needs_cost: bool = True  # until Peatio 2.4; later a poor account locks what it has


class Resident(Protocol):
    """Somebody who acts on the exchange by himself, at his own times."""

    due: int

    def act(self, exchange: "Exchange") -> None:
        """Act at `exchange.now`, which is `due`, and set the next `due`, which is later."""


class _Submit(NamedTuple):
    """The worker locks the funds and hands the order to the engine."""

    order: int


class _Execute(NamedTuple):
    """The executor writes a match down."""

    market: str
    match: Match


class _Remove(NamedTuple):
    """The engine takes an order out of the book."""

    order: int


class _Close(NamedTuple):
    """The worker cancels what the engine has taken out."""

    order: int


_Job = _Submit | _Execute | _Remove | _Close


class _Desk:
    """What belongs to one market."""

    def __init__(self, market: Market, book: OrderBook) -> None:
        self.market = market
        self.book = book
        self.publisher = BookPublisher(market)
        self.tape = Tape()

    def restart(self) -> None:
        """A new engine for this market: a book without members' orders, and numbers from 1."""
        self.book = self.book.restarted()
        self.publisher = BookPublisher(self.market)


class Exchange:
    """`seed` names the exchange. Times are UTC ns; one that is earlier than `now` means `now`.

    `feed` grows until its owner empties it. `clock_offset` is what the exchange's own clock is ahead: it shows in
    everything it writes, and in nothing it does. `books` are those of markets, by id, that do not begin with an empty
    book of our own matching.
    """

    def __init__(
        self,
        markets: Iterable[Market],
        *,
        seed: str,
        now: int,
        behaviour: Behaviour | None = None,
        books: Mapping[str, OrderBook] | None = None,
    ) -> None:
        self.opened = self.now = now
        self.behaviour = behaviour or Behaviour()
        self.faults = Switchboard(seed)
        self.clock_offset = 0
        self.transfers: list[Transfer] = []
        self.accounts = Accounts()
        self.hidden: set[str] = set()  # ids of markets that trade, and that the venue's own pages do not show
        self.members: dict[int, Member] = {}
        self.keys: dict[str, ApiKey] = {}
        self.feed: deque[FeedEvent] = deque()
        self.database = Database(seed)
        books = books or {}
        self._desks = {market.id: _Desk(market, books.get(market.id) or MatchingBook()) for market in markets}
        self._last_order = 0
        self._last_trade = 0
        self._residents: list[Resident] = []
        self._queue: list[tuple[int, int, _Job]] = []
        self._queued = 0
        self._submits: dict[int, int] = {}  # pending orders, and when the worker submits them
        self.show_books()

    # Who is here -----------------------------------------------------------------------------------------

    def admit(self, name: str, *, level: int = 3) -> Member:
        member = Member(id=len(self.members) + 1, name=name, level=level)
        self.members[member.id] = member
        return member

    def give_key(self, key: ApiKey) -> None:
        """Let a member trade from outside; what such a member does is kept for ever."""
        self.keys[key.access] = key
        self.database.keep(key.member)

    def settle_in(self, resident: Resident) -> None:
        self._residents.append(resident)

    def deposit(self, member: int, currency: str, amount: Decimal) -> None:
        self.accounts.deposit(member, currency, amount)
        self._tell_balances({(member, currency): None})

    def transfer(self, member: int, currency: str, amount: Decimal) -> None:
        """A deposit, or below zero a withdrawal, that the member's lists show. Raises InsufficientBalance."""
        if self.accounts.account(member, currency).available + amount < 0:
            raise InsufficientBalance(f"less than {-amount} {currency} available")
        self.transfers.append(Transfer(len(self.transfers) + 1, member, currency, amount, self.time))
        self.deposit(member, currency, amount)

    # What there is ---------------------------------------------------------------------------------------

    @property
    def time(self) -> int:
        """What the exchange's clock shows."""
        return self.now + self.clock_offset

    @property
    def markets(self) -> list[Market]:
        return [desk.market for desk in self._desks.values()]

    @property
    def currencies(self) -> list[str]:
        return list(dict.fromkeys(code for market in self.markets for code in (market.base, market.quote)))

    def market(self, market_id: str) -> Market | None:
        desk = self._desks.get(market_id)
        return None if desk is None else desk.market

    def book(self, market_id: str) -> OrderBook:
        """The engine's book; the database may lag behind it."""
        return self._desks[market_id].book

    def sequence(self, market_id: str) -> int:
        """Number of the latest change of a book."""
        return self._desks[market_id].publisher.sequence

    def tape(self, market_id: str) -> Tape:
        return self._desks[market_id].tape

    # What can be asked for -------------------------------------------------------------------------------

    def create(
        self,
        member: int,
        market: Market,
        side: Side,
        volume: Decimal,
        price: Decimal | None,
        *,
        client_id: str | None = None,
        at_once: bool = False,
    ) -> Order:
        """Record an order; volume and price are above zero, no price is a market order. The worker submits it later.

        `at_once`: in this step, the way of those who live here. Raises OrderRefused; checked in the venue's order:
        depth, balance, grid and minima (reference 4.5).
        """
        opposite = () if price is not None else self.database.depth(market.id, side.opposite)
        locked = required(market, side, volume, price, opposite)
        available = self.accounts.account(member, market.quote if side is Side.BUY else market.base).available
        takes_what_there_is = price is None and side is Side.BUY and not self.behaviour.market_buy_needs_cost
        if locked > available and not (takes_what_there_is and available):
            raise OrderRefused("market.account.insufficient_balance")
        lots, ticks = on_grid(market, volume, price)
        if ticks is None and side is Side.BUY:
            locked = market_buy_lock(locked, available)
        order = self._record(member, market, side, lots, ticks, locked, client_id)
        if at_once:
            self._submit(order.id)
        else:
            stuck = self.faults.strikes("pending_stuck", self.now)
            delay = self.behaviour.pending_delay if stuck is None else stuck.value
            self._submits[order.id] = self.now + delay
            self._later(delay, _Submit(order.id))
        return order

    def cancel(self, order: Order, *, at_once: bool = False) -> None:
        """Ask for an order to be cancelled. This never fails, and on a closed order it changes nothing."""
        if at_once:
            self._remove(order.id)
        elif not self.faults.strikes("cancels_lost", self.now):
            slow = self.faults.strikes("cancel_delay", self.now)
            self._later(self.behaviour.cancel_delay if slow is None else slow.value, _Remove(order.id))

    def show_books(self) -> None:
        """Publish a snapshot of every book now, due or not."""
        for market_id in self._desks:
            self.show_book(market_id)

    def show_book(self, market_id: str) -> None:
        desk = self._desks[market_id]
        self.feed.append(desk.publisher.show(desk.book, self.now))

    # What comes from a tape ------------------------------------------------------------------------------

    def stand(self, member: int, market: Market, side: Side, lots: int, locked: Decimal) -> Order:
        """A row that is at work and in no book, with its funds: one side of trades whose orders nobody recorded."""
        order = self._record(member, market, side, lots, None, locked, None)
        self.accounts.lock(member, order.pays, locked)
        return self._change(order, OrderState.WAIT)

    def report(self, market_id: str, changes: Iterable[LevelChange], matches: Iterable[Match]) -> None:
        """A book changed by itself: tell it, and have the matches executed."""
        self._publish(self._desks[market_id], changes)
        for match in matches:
            self._later(self.behaviour.execution_delay, _Execute(market_id, match))

    def print_trade(self, maker: Order, taker: Order, ticks: int, lots: int) -> None:
        """A trade in which no member had a part: the public hears of it, and no account is touched."""
        self._last_trade += 1
        trade = Trade(
            id=self._last_trade, market=maker.market, ticks=ticks, lots=lots, maker=maker, taker=taker, time=self.time
        )
        self._desks[maker.market.id].tape.record(trade)
        self.feed.append(Traded(trade))

    # What an administrator, or a crash, can do --------------------------------------------------------------

    def list_market(self, market: Market) -> None:
        """Open a new market, with an empty book."""
        desk = self._desks[market.id] = _Desk(market, MatchingBook())
        self.feed.append(desk.publisher.show(desk.book, self.now))

    def edit_market(self, market: Market) -> None:
        """Change the rules of a market for orders from now on; the engine keeps running."""
        self._desks[market.id].market = market

    def restart_engine(self, market_id: str) -> None:
        """Matching starts anew: numbers from 1, waiting cancels lost, open orders from the database, by id.

        Source: wire reference 5.2, 5.4, 6.3.
        """
        desk = self._desks[market_id]
        jobs = [entry for entry in self._queue if not self._waits_for_engine(entry[2], market_id)]
        # What was matched or taken out already is in another queue, and will be written down.
        closing = {job.order for _, _, job in jobs if isinstance(job, _Close)}
        matched: dict[int, int] = {}
        for _, _, job in jobs:
            if isinstance(job, _Execute):
                for order_id in (job.match.resting, job.match.arriving):
                    matched[order_id] = matched.get(order_id, 0) + job.match.lots
        heapq.heapify(jobs)
        self._queue = jobs
        desk.restart()
        resting = [order for side in Side for order in self.database.resting(market_id, side)]
        for order in sorted(resting, key=lambda order: order.id):
            lots = order.left - matched.get(order.id, 0)
            if lots > 0 and order.id not in closing:
                outcome = desk.book.submit(Arrival(order.id, order.side, order.ticks, lots, None))
                for match in outcome.matches:  # with an order that the engine had never heard of
                    self._later(self.behaviour.execution_delay, _Execute(market_id, match))

    def _waits_for_engine(self, job: _Job, market_id: str) -> bool:
        order = self.database.order(job.order) if isinstance(job, _Remove) else None
        return order is not None and order.market.id == market_id

    # Time ------------------------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        """When there is something to do next; None if nothing is waiting."""
        due = [resident.due for resident in self._residents]
        if self._queue:
            due.append(self._queue[0][0])
        return min(due, default=None)

    def advance(self, now: int) -> None:
        """Do everything that is due up to `now`, each thing at its own time."""
        for resident in self._residents:
            if now - resident.due > CATCH_UP:
                resident.due = now
        while (due := self.next_due()) is not None and due <= now:
            self.now = max(self.now, due)
            if self._queue and self._queue[0][0] == due:
                self._do(heapq.heappop(self._queue)[2])
            else:
                min(self._residents, key=lambda resident: resident.due).act(self)
        self.now = max(self.now, now)

    def _later(self, delay: int, job: _Job) -> None:
        self._queued += 1  # jobs of the same moment are done in the order in which they were asked for
        heapq.heappush(self._queue, (self.now + delay, self._queued, job))

    def _do(self, job: _Job) -> None:
        match job:
            case _Submit(order_id):
                self._submit_arrived(order_id)
            case _Execute(market_id, match):
                self._execute(self._desks[market_id], match)
            case _Remove(order_id):
                self._remove(order_id)
            case _Close(order_id):
                self._close(order_id)

    # The life of an order --------------------------------------------------------------------------------

    def _record(
        self,
        member: int,
        market: Market,
        side: Side,
        lots: int,
        ticks: int | None,
        locked: Decimal,
        client_id: str | None,
    ) -> Order:
        self._last_order += 1
        order = Order(
            id=self._last_order,
            member=member,
            market=market,
            side=side,
            ticks=ticks,
            lots=lots,
            left=lots,
            state=OrderState.PENDING,
            locked=locked,
            created=self.time,
            updated=self.time,
            client_id=client_id,
        )
        self.database.store(order, self.now)
        self._tell_order(order)
        return order

    def _submit_arrived(self, order_id: int) -> None:
        """Submit an order that came in by the API, unless something goes wrong with it."""
        self._submits.pop(order_id, None)
        if self.faults.strikes("reject", self.now):
            self._change(self._row(order_id), OrderState.REJECT)
        else:
            self._submit(order_id, reaches_engine=not self.faults.strikes("engine_misses", self.now))

    def _submit(self, order_id: int, *, reaches_engine: bool = True) -> None:
        order = self._row(order_id)
        try:
            self.accounts.lock(order.member, order.pays, order.locked)
        except InsufficientBalance:  # gone since the row was written
            self._change(order, OrderState.REJECT)
            return
        self._tell_balances({(order.member, order.pays): None})
        order = self._change(order, OrderState.WAIT)
        if not reaches_engine:
            return
        desk = self._desks[order.market.id]
        outcome = desk.book.submit(Arrival(order.id, order.side, order.ticks, order.lots, _funds(order)))
        self._publish(desk, outcome.changes)
        for match in outcome.matches:
            self._later(self.behaviour.execution_delay, _Execute(desk.market.id, match))
        if outcome.left and order.ticks is None:
            self._later(self.behaviour.execution_delay, _Close(order.id))

    def _execute(self, desk: _Desk, match: Match) -> None:
        """Write a trade down: balances, then rows, then the news of it in the order of reference 5.2."""
        first, second = sorted((match.resting, match.arriving))  # the lower id is the maker
        touched: dict[tuple[int, str], None] = {}
        maker = self._fill(self._row(first), match, is_maker=True, touched=touched)
        taker = self._fill(self._row(second), match, is_maker=False, touched=touched)
        self._last_trade += 1
        trade = Trade(
            id=self._last_trade,
            market=desk.market,
            ticks=match.ticks,
            lots=match.lots,
            maker=maker,
            taker=taker,
            time=self.time,
        )
        desk.tape.record(trade)
        self.database.record(trade)
        self.feed.append(Traded(trade))
        self._tell_balances(touched)
        for order in (maker, taker):
            self.database.store(order, self.now)
            self._tell_order(order)

    def _fill(self, order: Order, match: Match, *, is_maker: bool, touched: dict[tuple[int, str], None]) -> Order:
        """Pay for one side of a match. Returns the order as it is then; unspent funds of a filled one are free."""
        market, member = order.market, order.member
        quantity, total = market.quantity(match.lots), market.notional(match.ticks, match.lots)
        paid, received, currency = (
            (total, quantity, market.base) if order.side is Side.BUY else (quantity, total, market.quote)
        )
        left, locked = order.left - match.lots, MONEY.subtract(order.locked, paid)
        self.accounts.spend(member, order.pays, paid)
        self.accounts.receive(member, currency, received, market.maker_fee if is_maker else market.taker_fee)
        if not left:
            self.accounts.unlock(member, order.pays, locked)
            locked = ZERO
        touched[member, order.pays] = touched[member, currency] = None
        return replace(
            order,
            left=left,
            locked=locked,
            total=order.total + match.ticks * match.lots,
            trades_count=order.trades_count + 1,
            state=order.state if left else OrderState.DONE,
            updated=self.time,
        )

    def _remove(self, order_id: int) -> None:
        order = self.database.order(order_id)
        if order is None or order.ticks is None:  # a market order never rests
            return
        if order.state is OrderState.PENDING:
            lost = self.behaviour.loses_pending_cancels or self.faults.strikes("pending_cancels_lost", self.now)
            if not lost:
                self._later(max(0, self._submits[order_id] - self.now), _Remove(order_id))
                return
        desk = self._desks[order.market.id]
        found, change = desk.book.cancel(order_id, order.side, order.ticks)
        self._publish(desk, (change,))  # also where there was nothing to remove
        if found:
            self._later(self.behaviour.execution_delay, _Close(order_id))

    def _close(self, order_id: int) -> None:
        order = self._row(order_id)
        self.accounts.unlock(order.member, order.pays, order.locked)
        self._tell_balances({(order.member, order.pays): None})
        self._change(replace(order, locked=ZERO), OrderState.CANCEL)

    # Rows and news ---------------------------------------------------------------------------------------

    def _row(self, order_id: int) -> Order:
        """An order that is at work, and so has a row."""
        order = self.database.order(order_id)
        assert order is not None
        return order

    def _change(self, order: Order, state: OrderState) -> Order:
        order = replace(order, state=state, updated=self.time)
        self.database.store(order, self.now)
        self._tell_order(order)
        return order

    def _tell_order(self, order: Order) -> None:
        # A market order is silent until it is done: it may be cancelled without a word (reference 5.2).
        if order.ticks is not None or order.state is OrderState.DONE:
            self.feed.append(OrderChanged(order))

    def _tell_balances(self, accounts: Iterable[tuple[int, str]]) -> None:
        for member, currency in accounts:
            account = self.accounts.account(member, currency)
            self.feed.append(BalanceChanged(member, currency, account.available, account.locked))

    def _publish(self, desk: _Desk, changes: Iterable[LevelChange]) -> None:
        self.feed.extend(desk.publisher.publish(desk.book, changes, self.now))


def _funds(order: Order) -> int | None:
    """What a market buy may spend, in ticks x lots; less than one of them buys nothing."""
    if order.ticks is not None or order.side is Side.SELL:
        return None
    return int(order.locked.scaleb(order.market.price_precision + order.market.amount_precision, MONEY))
