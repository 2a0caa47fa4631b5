"""What earlier journals of this strategy did, put together from what the venue shows.

A new journal is a first start, or the old one was lost. Orders bear our tag and the epoch of the journal that named
them (orders.md rule 2), so one look at the account's orders tells: whole, by the time of creation, in windows of at
most a page. An account with less than a thousand orders costs one request; thereafter the answer is in the journal.
If there are orders of older epochs, the last ones are looked at again when nothing that was signed before our start
can still become a row; then their trades are listed from the oldest epoch's minute on and have to come to what
the venue says was executed; the side of a self-trade that the list hides is in its order's GET. What cannot be put
together is not guessed: `lacking` says why, and a person has to say what is held. Source: orders.md rules 10 and 16.
"""

from collections.abc import Callable, Iterable
from statistics import median_low

from msgspec import Struct

from runner.model.command import Command, ListOrders, ListTrades, ReadOrder
from runner.model.event import OrderRead, OrdersListed, TradesListed
from runner.model.ids import ClientId, parse_client_id
from runner.model.order import OrderRow, TradeRow
from runner.model.settings import SECOND

MINUTE_S = 60
MARGIN_S = 3600  # beyond our clock: an order of this second must not hide behind the venue's
RETRY_FIRST, RETRY_LAST = SECOND, 30 * SECOND
READS_OF_ONE = 3
"""How often an order is read whose trades do not come to what was executed: rows may be committed late."""
READS_APART = 10 * SECOND


class Inheritance(Struct, frozen=True):
    """Every order of older epochs that was executed: client id, row and trades. `nameless`: executed orders of the
    account that bear no name at all, and so are held to be somebody else's.
    """

    orders: tuple[tuple[str, OrderRow, tuple[TradeRow, ...]], ...]
    epochs: tuple[int, ...]
    nameless: int


class Past:
    """One question at a time, until `inheritance` or `lacking` is there. `query` numbers the questions."""

    def __init__(self, tag: str, epoch: int, now: int, wait: int, query: Callable[[], int], *, known: bool) -> None:
        """`wait`: how long a create that was signed before `now` may take to become a row, ns."""
        self.known = known
        self.inheritance: Inheritance | None = None
        self.lacking: str | None = None
        self.stale: str | None = None
        """A client id of this very journal at the venue, which has named none: it is an older copy, or a new one of
        the minute in which the lost one began. Its names would be used twice."""
        self.answers = 0
        self._tag, self._epoch = tag, epoch
        self._next = query
        self._query: int | None = None
        self._due, self._retry = now, RETRY_FIRST
        self._windows = [(0, now // SECOND + MARGIN_S)]
        self._settled = now + wait
        self._recent: tuple[int, int] | None = ((now - wait) // SECOND - MINUTE_S, now // SECOND + MARGIN_S)
        self._filtered = True  # whether the venue minds the times that were asked for
        self._seen: set[int] = set()  # every order of the account
        self._newest = 0
        self._oldest_at: int | None = None
        self._nameless = 0
        self._names: dict[int, ClientId] = {}
        self._rows: dict[int, OrderRow] = {}  # executed, of older epochs
        self._trades: dict[int, dict[int, TradeRow]] = {}
        self._page = 1
        self._swept = False
        self._reads: dict[int, int] = {}  # order -> how often it was read

    # Asking -----------------------------------------------------------------------------------------------

    @property
    def _over(self) -> bool:
        return self.known or not (self.inheritance is None and self.lacking is None and self.stale is None)

    def next_at(self) -> int | None:
        return None if self._over or self._query is not None else self._due

    def request(self, now: int) -> Command | None:
        """The next question, if one is due."""
        if self._over or self._query is not None or now < self._due:
            return None
        query = self._query = self._next()
        if self._windows:
            return ListOrders(query, (), *self._windows[-1])
        if not self._swept:
            return ListTrades(query, min(self._epochs()) * MINUTE_S - MINUTE_S, self._page)
        return ReadOrder(query, self._incomplete()[0])

    def failed(self, query: int, now: int) -> bool:
        """Whether it was our question that brought nothing; it is asked again."""
        if query != self._query:
            return False
        self._query, self._due = None, now + self._retry
        self._retry = min(2 * self._retry, RETRY_LAST)
        return True

    def _answered(self, query: int, now: int) -> bool:
        if query != self._query:
            return False
        self._query, self._due, self._retry = None, now, RETRY_FIRST
        self.answers += 1
        return True

    # Answers ----------------------------------------------------------------------------------------------

    def orders_listed(self, what: OrdersListed, now: int) -> bool:
        """Whether it answers our question."""
        if not self._answered(what.query, now):
            return False
        time_from, time_to = self._windows.pop()
        if any(not time_from <= row.created_at < time_to for row in what.rows):
            self._filtered = False
        if what.full and not self._filtered:
            self.lacking = "the venue does not filter orders by time, and shows more of them than fit on one page"
        elif what.full:
            self._split(time_from, time_to, [row.created_at for row in what.rows])
        self._take(what.rows)
        if not self._windows:
            self._orders_known()
        return True

    def _split(self, time_from: int, time_to: int, times: list[int]) -> None:
        """In two windows of about as many orders; what the page did not show is as likely here as there."""
        middle = median_low(times)
        if not time_from < middle < time_to:
            middle = (time_from + time_to) // 2
        if middle == time_from:
            self.lacking = "more orders were created in one second than the venue shows on a page"
        else:
            self._windows += [(time_from, middle), (middle, time_to)]

    def _take(self, rows: Iterable[OrderRow]) -> None:
        for row in rows:
            new = row.id not in self._seen
            self._seen.add(row.id)
            self._newest = max(self._newest, row.id)
            self._oldest_at = min(row.created_at, self._oldest_at or row.created_at)
            name = parse_client_id(row.client_id) if row.client_id is not None else None
            if name is not None and name.tag == self._tag and name.epoch == self._epoch:
                self.stale = row.client_id
            elif name is not None and name.tag == self._tag:
                self._names[row.id] = name
                if row.executed_lots:
                    self._rows[row.id] = row
            elif not row.client_id and row.executed_lots:
                self._nameless += new

    def _orders_known(self) -> None:
        if self.lacking is not None:
            return
        if self._names and self._recent is not None:
            self._windows, self._recent, self._due = [self._recent], None, self._settled
        elif not self._names:
            self.inheritance = Inheritance((), (), self._nameless)
        elif not self._reaches_back():
            self.lacking = (
                "the venue's history seems to begin in the middle of it: of the oldest journal that it shows, no "
                "slot's first order is there, and nothing older either"
            )
        elif not self._rows:
            self._finish()

    def _reaches_back(self) -> bool:
        """What the venue shows begins before our oldest order, or with the first order of a slot."""
        oldest = min(self._epochs())
        if self._oldest_at is not None and self._oldest_at < oldest * MINUTE_S:
            return True
        return any(name.epoch == oldest and name.generation == 0 for name in self._names.values())

    def trades_listed(self, what: TradesListed, now: int) -> bool:
        """Whether it answers our question."""
        if not self._answered(what.query, now):
            return False
        for row in what.rows:
            if row.order_id in self._rows:
                self._trades.setdefault(row.order_id, {})[row.id] = row
            elif row.order_id is not None and row.order_id not in self._seen and row.order_id <= self._newest:
                self.lacking = f"the venue shows trade {row.id} and no longer order {row.order_id}, which it belongs to"
        if what.full:
            self._page += 1
        else:
            self._swept = True
            self._complete()
        return True

    def order_read(self, what: OrderRead, now: int) -> bool:
        """Whether it answers our question."""
        if not self._answered(what.query, now):
            return False
        self._reads[what.order_id] = self._reads.get(what.order_id, 0) + 1
        if what.row is None:
            self.lacking = f"the venue lists order {what.order_id} and does not know it when asked"
            return True
        # What is listed may lag behind; the order itself tells what was executed, and its name is known.
        self._rows[what.order_id] = what.row
        trades = self._trades.setdefault(what.order_id, {})
        for row in what.row.trades or ():
            trades.setdefault(row.id, row)
        if not self._whole(what.order_id) and self._reads[what.order_id] >= READS_OF_ONE:
            found = sum(row.lots for row in trades.values())
            self.lacking = (
                f"of order {what.order_id} {what.row.executed_lots} lots were executed, and its trades come to {found}"
            )
        elif not self._whole(what.order_id):
            self._due = now + READS_APART
        self._complete()
        return True

    def _complete(self) -> None:
        if self.lacking is None and not self._incomplete():
            self._finish()

    def _incomplete(self) -> list[int]:
        """Ended orders whose trades are not all known; the others are at work, and read as such."""
        return [id_ for id_, row in self._rows.items() if row.terminal and not self._whole(id_)]

    def _whole(self, order_id: int) -> bool:
        trades = self._trades.get(order_id, {}).values()
        return sum(row.lots for row in trades) == self._rows[order_id].executed_lots

    def _finish(self) -> None:
        orders = tuple(
            (str(self._names[id_]), row, tuple(self._trades.get(id_, {}).values()))
            for id_, row in sorted(self._rows.items())
        )
        self.inheritance = Inheritance(orders, tuple(sorted(self._epochs())), self._nameless)

    def _epochs(self) -> set[int]:
        return {name.epoch for name in self._names.values()}
