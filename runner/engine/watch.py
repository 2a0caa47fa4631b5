"""What to ask the venue, and when, so that our picture of the account is the venue's.

After every (re)connect of the private stream: balances, what is at work, trades since the last one known. Then the
same now and then, more often while the stream is down. Orders whose create had no answer are looked up by the time
they can have been created in. Source: orders.md rules 8-10 and 14; wire reference section 13.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from runner.engine.tiers import NONCE_WINDOW, Span, span
from runner.model.command import Command, ListOrders, ListTrades, ReadBalances, ReadOrder
from runner.model.event import BalancesRead, OrdersListed, TradesListed
from runner.model.order import BalanceRow, Order, OrderRow
from runner.model.settings import MILLISECOND, SECOND

LOOK_UPS_APART = 5 * SECOND
OVERLAP_S = 60  # sweeps of trades reach back: rows may be committed late
POLL_CALM = 60 * SECOND
POLL_BLIND = 10 * SECOND  # while the private stream is down
RETRY_FIRST = SECOND
RETRY_LAST = 30 * SECOND
LOOK_UP_AFTER_S = (1, 2, 5, 12, 25, 60)  # seconds from one look-up to the next; the last one repeats
LATE_LOOK_UPS = 8  # once the order could no longer come into being: so often at short intervals, then rarely

# An order moves from pending to wait and never back: asked for in this order, none can slip between two answers.
_AT_WORK = ("pending", "wait")
_WORDS = {"balances": "balances", "at_work": "open orders", "trades": "trades"}


class _Chore(Struct):
    """Something asked again and again."""

    due: int
    retry: int = RETRY_FIRST
    query: int | None = None  # of the request that is out
    began: int = 0


class _Listing(Struct):
    """What is at work, page by page."""

    stage: int = 0
    page: int = 1
    rows: list[OrderRow] = []


Created = Callable[[int, int | None], frozenset[int]]
"""Venue ids of our known orders that were created from the one venue second up to, but without, the other."""


class _LookUp(Struct):
    """The search for one order. It is complete when every window was answered by less than a full page.

    `expected`: orders that were known before a round began. A round that does not show all of them shows the account as
    it was some time ago, and what it lacks may be there.
    `whole`: the venue does not filter by time. Then everything is listed, and only a listing counts that fits into one
    page and agrees with the one before.
    """

    name: str
    due: int
    span: Span
    windows: list[Span] = []
    rounds: int = 0
    query: int | None = None
    began: int = 0
    evidence: bool = True  # whether this round shows all that there is
    expected: frozenset[int] = frozenset()
    candidates: dict[int, OrderRow] = {}  # of this round, by venue id
    late_rounds: int = 0
    lacked: int = 0  # complete rounds, late enough, that found no candidate
    lacked_at: int = 0
    whole: bool = False
    page: int = 1
    seen: frozenset[int] = frozenset()
    seen_before: frozenset[int] | None = None


class Finding(Struct, frozen=True):
    """What a complete round of look-ups came to: `absent` is proven; `candidates` may be the order that is missed."""

    absent: bool
    candidates: tuple[OrderRow, ...]


class _Balances(Struct):
    """What the account holds, page by page."""

    page: int = 1
    rows: list[BalanceRow] = []


class AllBalances(Struct, frozen=True):
    """Every balance of the account, asked for from `asked_at` on."""

    rows: tuple[BalanceRow, ...]
    asked_at: int


class Listed(Struct, frozen=True):
    """A complete listing of what is at work, asked for from `asked_at` on."""

    rows: tuple[OrderRow, ...]
    asked_at: int


class Watch:
    """Hands out requests when they are due, and takes their answers apart."""

    def __init__(self, settle: int, now: int, created: Created) -> None:
        self._settle = settle
        self._created = created
        # Nothing is read before the private stream listens: what changed in between would be missed.
        self._chores = {name: _Chore(now + POLL_BLIND) for name in ("balances", "at_work", "trades")}
        self._listing = _Listing()
        self._balances = _Balances()
        self._trades_page = 1
        self._newest_trade = now // SECOND
        self._trades_from = self._newest_trade - OVERLAP_S
        self._reads: dict[int, int] = {}  # query -> venue id
        self._look_ups: dict[str, _LookUp] = {}
        self._last_query = 0
        self._unsynced: set[str] = set()
        self._up = False
        self._balance_stream = False
        self.venue_clock = 0  # the latest time the venue itself told, ns
        self._venue_ahead = 0  # venue clock minus ours when it was told
        self.nonce_enforced = False
        self.listed_at = 0  # when the newest complete listing was asked for
        self.swept_at = 0  # the same of the trades

    # State ------------------------------------------------------------------------------------------------

    @property
    def venue_ahead(self) -> int:
        """The venue's clock minus ours, ns, by its latest word; its seconds are whole ones."""
        return self._venue_ahead

    @property
    def synced(self) -> bool:
        """The private stream is up and everything was read since it came up."""
        return self._up and not self._unsynced

    @property
    def lacks(self) -> list[str]:
        """What stands between us and `synced`, for the reader."""
        if not self._up:
            return ["the private stream is not up"]
        return [f"not read yet: {_WORDS[name]}" for name in self._chores if name in self._unsynced]

    def up(self, names: Iterable[str], now: int) -> None:
        self._up = True
        self._balance_stream = "balance" in names
        self._unsynced = set(self._chores)
        self._listing = _Listing()
        self._balances = _Balances()
        self._trades_page = 1
        for name in self._chores:
            self._chores[name] = _Chore(now)

    def down(self, now: int) -> None:
        self._up = False
        for chore in self._chores.values():
            chore.due = min(chore.due, now + POLL_BLIND)

    def trades_known_to(self, traded_at: int) -> None:
        """The newest trade already booked, whole venue seconds: sweeps begin a minute before it."""
        self._newest_trade = traded_at
        self._trades_from = min(self._trades_from, traded_at - OVERLAP_S)

    def sweep_from(self, traded_at: int | None) -> None:
        """Let the next sweep of trades begin no later than this venue second; one that is under way goes on."""
        if traded_at is not None and self._trades_page == 1 and self._chores["trades"].query is None:
            self._trades_from = min(self._trades_from, traded_at)

    def want(self, name: str, at: int) -> None:
        """Ask for `balances`, `at_work` or `trades` no later than `at`."""
        chore = self._chores[name]
        chore.due = min(chore.due, at)

    def look_for(self, order: Order, now: int) -> None:
        """Search for an order whose create had no answer, until it is found or proven absent."""
        if order.client_id in self._look_ups:
            return
        due = now + LOOK_UP_AFTER_S[0] * SECOND
        self._look_ups[order.client_id] = _LookUp(order.client_id, due, span(order, self._settle))

    def found(self, name: str) -> None:
        self._look_ups.pop(name, None)

    def next_at(self) -> int | None:
        times = [chore.due for chore in self._chores.values() if chore.query is None]
        if self._look_ups:
            times += [search.due for search in self._look_ups.values() if search.query is None]
        return min(times) if times else None

    # Asking -----------------------------------------------------------------------------------------------

    def requests(self, now: int, reads: Iterable[int], most: int) -> list[Command]:
        """Up to `most` requests that are due. `reads`: venue ids of orders to read.

        Reads come last: a strategy that trades much wants more of them than the budget has, and behind them nothing
        would be listed, swept or looked up any more.
        """
        commands: list[Command] = []
        for name, chore in self._chores.items():
            if len(commands) < most and chore.query is None and chore.due <= now:
                commands.append(self._ask(name, chore, now))
        for search in self._look_ups.values():
            if len(commands) < most and search.query is None and search.due <= now:
                commands.append(self._search(search))
        busy = set(self._reads.values())
        for order_id in dict.fromkeys(reads):
            if len(commands) < most and order_id not in busy:
                query = self._query()
                self._reads[query] = order_id
                commands.append(ReadOrder(query, order_id))
        return commands

    def _query(self) -> int:
        self._last_query += 1
        return self._last_query

    def _ask(self, name: str, chore: _Chore, now: int) -> Command:
        query = chore.query = self._query()
        if name == "balances":
            if self._balances.page == 1:
                chore.began = now
            return ReadBalances(query, self._balances.page)
        if name == "trades":
            if self._trades_page == 1:
                chore.began = now
            return ListTrades(query, self._trades_from, self._trades_page)
        if self._listing.stage == 0 and self._listing.page == 1:
            chore.began = now
            self._listing = _Listing(rows=[])
        return ListOrders(query, (_AT_WORK[self._listing.stage],), None, None, self._listing.page)

    def _search(self, search: _LookUp) -> Command:
        if search.whole:
            if search.page == 1:
                self._begin_round(search, None)
            search.query = self._query()
            return ListOrders(search.query, (), None, None, search.page)
        if not search.windows:
            search.windows = [search.span]
            self._begin_round(search, search.span[1])
        time_from, time_to = search.windows[-1]
        search.query = self._query()
        return ListOrders(search.query, (), time_from, time_to)

    def _begin_round(self, search: _LookUp, until: int | None) -> None:
        search.began, search.evidence = self.venue_clock, True
        search.seen, search.candidates = frozenset(), {}
        search.expected = self._created(search.span[0], until)

    # Answers ----------------------------------------------------------------------------------------------

    def balances_read(self, what: BalancesRead, now: int) -> AllBalances | None:
        """Everything the account holds when this page was the last; None before, and for an earlier question."""
        chore = self._chores["balances"]
        if chore.query != what.query:
            return None
        rows = [*self._balances.rows, *what.rows]
        if what.full:
            self._balances = _Balances(self._balances.page + 1, rows)
            chore.query, chore.due = None, now
            return None
        self._balances = _Balances()
        self._done("balances", now)
        return AllBalances(tuple(rows), chore.began)

    def trades_listed(self, what: TradesListed, now: int) -> None:
        chore = self._chores["trades"]
        if chore.query != what.query:
            return
        self._newest_trade = max([self._newest_trade, *(row.created_at for row in what.rows)])
        if what.full:
            self._trades_page += 1
            chore.query, chore.due = None, now
            return
        self._trades_page = 1
        self._trades_from = self._newest_trade - OVERLAP_S
        self.swept_at = chore.began
        self._done("trades", now)

    def orders_listed(self, what: OrdersListed, now: int) -> Listed | None:
        """The whole listing of what is at work when this page was its last."""
        if what.venue_time is not None:
            self.venue_clock = max(self.venue_clock, what.venue_time)
            self._venue_ahead = what.venue_time - now
        chore = self._chores["at_work"]
        if chore.query != what.query:
            return None
        listing = self._listing
        listing.rows.extend(what.rows)
        chore.query, chore.due = None, now
        if what.full:
            listing.page += 1
            return None
        if listing.stage + 1 < len(_AT_WORK):
            listing.stage, listing.page = listing.stage + 1, 1
            return None
        self._listing = _Listing(rows=[])
        self._done("at_work", now)
        self.listed_at = chore.began
        return Listed(tuple(listing.rows), chore.began)

    def looked_up(self, what: OrdersListed, order: Order, candidates: Iterable[OrderRow], now: int) -> Finding | None:
        """One page of a search was answered: what the round came to if it was the last, and the round is complete.

        `order` is the one searched for (see `searching`), `candidates` those of the rows that may be it.
        """
        search = self._look_ups[order.client_id]
        search.query = None
        search.seen |= {row.id for row in what.rows}
        search.candidates |= {row.id: row for row in candidates}
        if search.whole:
            return self._page_listed(search, what, order, now)
        time_from, time_to = search.windows.pop()
        if any(not time_from <= row.created_at < time_to for row in what.rows):
            # The venue does not filter by time: what is not here proves nothing.
            search.evidence, search.whole, search.windows = False, True, []
            return self._round_ended(search, order, now)
        if what.full:
            middle = (time_from + time_to) // 2
            if middle == time_from:
                search.evidence = False
            else:
                search.windows += [(time_from, middle), (middle, time_to)]
        search.due = now
        return None if search.windows else self._round_ended(search, order, now)

    def _page_listed(self, search: _LookUp, what: OrdersListed, order: Order, now: int) -> Finding | None:
        if what.full:
            # Its rows are still looked at, but pages in the order of the last change prove nothing: rows move between
            # them, and the same one can be missed twice.
            search.evidence = False
            search.page, search.due = search.page + 1, now
            return None
        search.page = 1
        search.evidence = search.evidence and search.seen == search.seen_before
        search.seen_before = search.seen
        return self._round_ended(search, order, now)

    def asked(self, query: int) -> str:
        """What a request that is out is about, for the reader."""
        for name, chore in self._chores.items():
            if chore.query == query:
                return name
        if query in self._reads:
            return "order"
        return "look-up" if self.searching(query) is not None else "an earlier question"

    def searching(self, query: int) -> str | None:
        """The client id that a look-up's query is about."""
        return next((search.name for search in self._look_ups.values() if search.query == query), None)

    def read_answered(self, query: int) -> None:
        self._reads.pop(query, None)

    def failed(self, query: int, now: int) -> int | None:
        """A request brought nothing. Returns the venue id if it was the read of an order, to be wanted again."""
        for chore in self._chores.values():
            if chore.query == query:
                chore.query, chore.due = None, now + chore.retry
                chore.retry = min(2 * chore.retry, RETRY_LAST)
        for search in self._look_ups.values():
            if search.query == query:
                search.query, search.due = None, now + LOOK_UPS_APART
                search.windows, search.page = [], 1
        return self._reads.pop(query, None)

    def _round_ended(self, search: _LookUp, order: Order, now: int) -> Finding | None:
        candidates = tuple(search.candidates.values())
        current = search.expected <= search.seen
        too_late = order.sign_before * MILLISECOND + NONCE_WINDOW + self._settle  # venue time
        if candidates or not (search.evidence and current) or not self.nonce_enforced or search.began < too_late:
            search.lacked = 0
        elif search.lacked == 0 or now - search.lacked_at >= LOOK_UPS_APART:
            search.lacked += 1
            search.lacked_at = now
        search.rounds += 1
        search.due = now + LOOK_UP_AFTER_S[min(search.rounds, len(LOOK_UP_AFTER_S) - 1)] * SECOND
        too_late_here = too_late - self._venue_ahead + SECOND
        if now < too_late_here:
            search.due = min(search.due, too_late_here)
        elif search.late_rounds < LATE_LOOK_UPS:
            search.late_rounds += 1
            search.due = now + LOOK_UPS_APART
        return Finding(search.lacked >= 2, candidates) if search.evidence else None

    def _done(self, name: str, now: int) -> None:
        chore = self._chores[name]
        chore.query = None
        chore.retry = RETRY_FIRST
        blind = not self._up or (name == "balances" and not self._balance_stream)
        chore.due = now + (POLL_BLIND if blind else POLL_CALM)
        self._unsynced.discard(name)
