"""What must hold whatever goes wrong, held against the exchange's own truth while a run goes on.

Whoever runs the world tells everything that happens: what became durable, what was signed, each row and trade of the
account in the moment it came to be, and what the engine says that its orders may still do. A law that is broken is a
value. Where the rules promise less (a proxy repeated a create, a request took longer than D, the journal is an older
copy), the order is excused by name, and counted. Source: orders.md, Laws.
"""

from collections import deque
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal

from msgspec import Struct, structs

from runner.model.command import Change, FillBooked, OrderChanged
from runner.model.ids import parse_client_id
from runner.model.market import Market
from runner.model.money import MONEY, ZERO
from runner.model.order import Fill, Order, OrderState, Side
from runner.model.settings import MILLISECOND, SECOND, Limits
from runner.simulation.bounds import Truth, passed
from runner.simulation.records import Order as Row
from runner.simulation.records import OrderState as Word
from runner.simulation.records import Trade, Transfer

NONCE_WINDOW = 5 * SECOND  # W of orders.md
STORY_LENGTH = 60
JUST_NOW = 10 * SECOND
BENT_BEFORE = 15 * SECOND
"""A list that was made while names were bent is an answer, and in the journal, no later than that."""
ABSENT_COUNTS = 600 * SECOND
LONG_AGO = 30 * SECOND
QUIET = 115 * SECOND
"""An order that did not move for 120 s may be anybody's who starts with our name (orders.md 25), by clocks that differ
by some seconds.
"""

FORGOTTEN = "the journal lost it"
CONTESTED = "two instances were at work"
LATE = "it took longer than D"
REPEATED = "a proxy repeated it"

LAWS = {
    "name_once": "No client id is sent twice by our doing.",
    "one_per_slot": "Never two live orders in one slot by our doing.",
    "in_journal": "Every order of ours at the venue is in the journal.",
    "fill_once": "Every fill is counted, once, as the venue knows it.",
    "books_balance": "Own ledger and foreign flows are the venue's balances, to the last digit.",
    "drift": "Deposits, fees, manual trades and other bots are never taken for money that the exchange lost.",
    "worst_case": "What our orders did and may still do lies inside what the engine counts.",
    "limits": "No limit is exceeded by our doing.",
    "parent_total": "A parent's total is never exceeded.",
    "absent": "An order that was proven absent never comes to be.",
    "gate": "No create is decided or signed once the gate is closed.",
    "clean_exit": "After exit 0 or 6 nothing of ours is ever live again, or exactly what was listed.",
    "reducing": "With `cancel_opening`, what is left cannot open a position or turn it round.",
    "others": "Nobody else's order is touched.",
    "replay": "The engine's log replays to the same outputs.",
    "ends": "A stop ends, with a code of the table, and nothing fails inside.",
}

ORDERLY = (0, 6)
"""Exit codes that promise that nothing is left: a clean end, and one by a latch."""
UNPROVEN = 7


class Violation(Struct, frozen=True):
    """One law, broken: when (UTC ns), about which client id, what was expected and what was found."""

    law: str
    time: int
    order: str | None
    expected: str
    found: str


class Telling(Struct, frozen=True):
    """One line of an order's story."""

    time: int
    text: str


class Account(Struct, frozen=True):
    """Whose laws these are: the tag of the strategy, the member at the exchange, and what it trades under."""

    tag: str
    member: int
    settle: int  # D of orders.md
    limits: Limits
    initial_position: Mapping[str, Decimal]
    exclusive: bool = False  # declared to be ours alone, whether that is true or not
    only_reducing: bool = False  # what is left at a stop must not open a position


Stated = Callable[[str], int]
"""What an order may come to at most, fills included, by the engine's own count: client id -> lots."""


class Laws:
    """Everything that was told, and which laws it broke."""

    def __init__(self, account: Account) -> None:
        self.violations: list[Violation] = []
        self.stories: dict[str, deque[Telling]] = {}
        self.excused: dict[str, str] = {}  # client id -> why less is promised of it
        self.memory_lost = False  # the journal is a new one, or an older copy
        self._fills_found = False  # a new one knows all fills of those before it
        self.sent: dict[str, int] = {}  # client id -> nonce, venue ms
        self.absent: dict[str, int] = {}
        self.doubted: dict[str, str] = {}  # orders whose create had no clear answer: `open`, `found` or `absent`
        self.stated: Stated | None = None  # while a runner is up
        self._account = account
        self._rows: dict[str, dict[int, Row]] = {}
        self._names: dict[int, str] = {}
        self._live: dict[int, str] = {}
        self._moved: dict[int, int] = {}  # when a row last changed, true time
        self._trades: dict[tuple[int, int], Trade] = {}  # of the account, by (trade, order)
        self._parents: dict[str, tuple[str, int]] = {}
        self._intended: dict[str, int] = {}  # client id -> when the newest intent under it was written down
        self._written: dict[str, Order] = {}  # as the journal has them
        self._calm = False  # good weather has lasted long enough for everything to be put right
        self._late: set[str] = set()  # came to be later than D
        self._nameless: set[int] = set()  # came to be while the venue showed no client ids
        self._bent_at: int | None = None  # when it last did, or bent them
        self._taken: dict[int, set[str]] = {}  # other names that an order may have been taken for
        self._received: dict[str, Decimal] = {}  # by currency, of our own fills at the venue
        self._finished_at: int | None = None
        self._strangers: dict[int, Row] = {}  # the account's other orders, as they came to be
        self._rivals_since: int | None = None
        self._senders: dict[str, set[str]] = {}  # who sent a name, while there were two
        self._eased: Limits | None = None  # what binds until the limits of a reload are kept for the first time
        self._limits_since = 0

    # Being told -------------------------------------------------------------------------------------------

    def excuse(self, name: str, why: str) -> None:
        if self.excused.get(name, LATE) == LATE:  # of a late one the most is promised
            self.excused[name] = why

    def decided(self, name: str, slot_parent: tuple[str, int] | None, now: int, *, stopping: bool) -> None:
        """A create left the engine. `slot_parent`: name and total lots of its parent."""
        self.tell(name, now, "decided")
        if slot_parent is not None:
            self._parents[name] = slot_parent
        if stopping:
            self._broken("gate", now, name, "no create once the run is stopping", "the engine decided one")

    def committed(self, changes: Collection[Change], now: int, *, nameless: bool = False) -> None:
        """What has become durable. `nameless`: the venue shows no client ids now, or bends them."""
        if nameless:
            self._bent_at = now
        for change in changes:
            match change:
                case OrderChanged(order):
                    self._order_written(order, now)
                case FillBooked(fill):
                    self._fill_written(fill, now)

    def rivals_begin(self, now: int) -> None:
        """A second instance with the same past begins: of what both create now, less is promised."""
        self._rivals_since = now
        for name in self.sent:
            if name not in self._rows:
                self.excuse(name, CONTESTED)

    def rivals_end(self) -> None:
        self._rivals_since = None

    def signed(
        self, name: str, nonce: int, now: int, *, in_journal: bool, gate_open: bool, sender: str = "first"
    ) -> None:
        """A create is about to leave. `nonce` is venue ms."""
        if self._rivals_since is not None:
            self._senders.setdefault(name, set()).add(sender)
            self.excuse(name, CONTESTED)
        self.tell(name, now, f"signed with nonce {nonce}")
        if name in self.sent and name not in self.excused:
            self._broken("name_once", now, name, "a name is sent once", f"sent before, nonce {self.sent[name]}")
        if not in_journal:
            self._broken("in_journal", now, name, "the intent is durable before the request", "it is not there")
        if not gate_open:
            self._broken("gate", now, name, "nothing is signed after the gate", "it was signed")
        self.sent[name] = nonce

    def cancelling(self, order_id: int, client_id: str | None, now: int, sender: str, epoch: int) -> None:
        """A cancel arrived. `client_id` is what the order truly bears, `epoch` that of the sender's journal."""
        name = self._ours(client_id)
        if name is None:
            if self._taken_for_ours(order_id):
                return
            self._broken("others", now, client_id, "only our own orders are cancelled", f"a cancel of {order_id}")
            return
        self.tell(name, now, f"cancel of {order_id} arrived")
        senders = self._senders.get(name)
        # One with our epoch is ours by every rule, whoever sent it: that journal is a copy of this one.
        theirs = senders is not None and sender not in senders and _epoch(name) != epoch
        quiet = now - self._moved.get(order_id, now) >= QUIET
        if self._rivals_since is not None and theirs and not quiet:
            self._broken("others", now, name, "the other instance's orders are left alone", f"a cancel of {order_id}")

    def heard(self, record: Row | Trade, now: int, known: Collection[str], *, nameless: bool) -> None:
        """A row of the account changed, or a trade of it was written down. `known`: the journal's client ids."""
        if nameless:
            self._bent_at = now
        if isinstance(record, Trade):
            for order in (record.maker, record.taker):
                if order.member == self._account.member:
                    self._traded(record, order, now)
            return
        name = self._ours(record.client_id)
        if record.member != self._account.member:
            return
        if name is None:
            self._strangers.setdefault(record.id, record)
            return
        self.tell(name, now, f"venue: order {record.id} is {record.state.value}, executed {record.executed}")
        new = record.id not in self._names
        if new:
            self._came_to_be(record, name, now, known, nameless=nameless)
        self._rows.setdefault(name, {})[record.id] = record
        self._moved[record.id] = now
        if record.state.terminal:
            self._live.pop(record.id, None)
        else:
            self._live[record.id] = name
        self.inside(name, now)
        self._limits(record if new and name not in self.excused else None, now)
        self._parent(name, now)

    def reconfigured(self, limits: Limits, now: int) -> None:
        """The file has other limits now. What a stricter one has no room for cannot vanish at once, and what is on its
        way may still come: until it is kept for the first time after that, the old one binds."""
        self._eased = looser(self._eased or self._account.limits, limits)
        self._limits_since = now
        self._account = structs.replace(self._account, limits=limits)

    def clock_jumped(self) -> None:
        """The venue's clock is the measure of absence: where it lies, orders that are on their way are excused."""
        for name in self.sent:
            if name not in self._rows:
                self.excuse(name, "the venue's clock jumped")

    def lost_memory(self, remembered: Mapping[str, Order]) -> None:
        """The journal is replaced by one that knows less, or whose time went on otherwise: between two copies a name
        can have been given to two intents.
        """
        self.memory_lost, self._fills_found = True, False
        self._written = dict(remembered)
        for name in self.sent:
            order = remembered.get(name)
            if order is None or (not order.venue_ids and order.created != self._intended.get(name)):
                self.excuse(name, FORGOTTEN)
        for name in list(self.absent):
            order = remembered.get(name)
            if order is None or order.state is not OrderState.ABSENT:
                del self.absent[name]  # the verdict is lost, and the name may be given again

    def rebuilt(self) -> None:
        """A new journal has put together what was before it: of fills, as much is promised again as ever."""
        self.memory_lost = False
        self._fills_found = True

    def calmed(self, now: int) -> None:
        """Good weather has lasted for so long that whoever runs must have put right all that went wrong."""
        self._calm = True
        for name, rows in self._rows.items():
            waiting = sum(self._waits(order_id, name, now) for order_id in rows)
            if waiting > 1:
                self._broken("name_once", now, name, "all but one of its copies are cancelled", f"{waiting} wait")

    def tell(self, name: str, now: int, text: str) -> None:
        self.stories.setdefault(name, deque(maxlen=STORY_LENGTH)).append(Telling(now, text))

    # The end ----------------------------------------------------------------------------------------------

    def finished(self, now: int, exit_code: int, left: Collection[int] | None) -> None:
        """The run is over. `left`: the venue ids that it says it leaves; None if it was to leave nothing."""
        self._finished_at = now
        listed = frozenset(left or ())
        if self._calm and exit_code in (*ORDERLY, UNPROVEN):
            self._all_put_right(now, listed)
        if exit_code not in ORDERLY:
            return
        for order_id, name in self._live.items():
            if order_id not in listed and not self._may_be_missed(order_id, name, now):
                row = self._rows[name][order_id]
                self._broken(
                    "clean_exit", now, name, "nothing else of ours is at work", f"{order_id} {row.state.value}"
                )
        if self._account.only_reducing and exit_code == 0 and not self.memory_lost:
            self._only_reducing(now, listed)
        for order_id in sorted(listed - self._live.keys()):
            its_name = self._names.get(order_id)
            if its_name is not None and self._rows[its_name][order_id].updated < now - JUST_NOW:
                self._broken("clean_exit", now, its_name, "what is listed as left is at work", f"{order_id} has ended")

    def alone(self, now: int, exit_code: int, left: Collection[int] | None) -> None:
        """A day later."""
        assert self._finished_at is not None
        if exit_code not in ORDERLY:
            return
        for order_id, name in self._live.items():
            if order_id not in (left or ()) and name not in self.excused:
                self._broken("clean_exit", now, name, "nothing of ours is ever live again", f"{order_id} is live")

    def books(
        self,
        now: int,
        fills: Mapping[tuple[int, int], Fill],
        moved: Mapping[str, Decimal],
        transfers: Collection[Transfer],
        markets: Mapping[str, Market],
        left: Collection[int] | None = None,
    ) -> None:
        """Hold a journal's fills against the venue when all is quiet. `moved`: by how much each balance changed.

        What was `left` at work goes on trading: a trade of it after the last listing is the next run's to find.
        """
        ours = {key for key in self._trades if key[1] in self._names}
        for key in sorted(ours - fills.keys()):
            name = self._names[key[1]]
            why = self.excused.get(name, LATE)
            # What came later than D after a lost journal is nobody's to find.
            promised = why == LATE or (why == FORGOTTEN and self._fills_found and name not in self._late)
            just_now = key[1] in (left or ()) and self._trades[key].time > now - JUST_NOW
            if promised and not just_now and key[1] not in self._nameless:
                self._broken("fill_once", now, name, f"fill {key} is in the journal", "it is not")
        if self.memory_lost:
            return  # what an older journal had booked is known to nobody
        for currency, change in moved.items():
            expected = sum((t.amount for t in transfers if t.currency == currency), ZERO)
            for key, fill in fills.items():
                trade = self._trades.get(key)
                if trade is not None and trade.hides(key[1]) and not fill.fee_final:
                    expected = MONEY.add(expected, _trade_flow(trade, key[1], currency))
                else:
                    expected = MONEY.add(expected, _flow(fill, markets[fill.market], currency))
            for (trade_id, order_id), trade in self._trades.items():
                if (trade_id, order_id) not in fills:
                    expected = MONEY.add(expected, _trade_flow(trade, order_id, currency))
            if expected != change:
                self._broken("books_balance", now, None, f"{currency} moved by {expected}", f"by {change}")

    def failed(self, law: str, now: int, expected: str, found: str) -> None:
        """A law that others checked."""
        self._broken(law, now, None, expected, found)

    # What the truth is ------------------------------------------------------------------------------------

    @property
    def orders(self) -> int:
        """Rows of ours at the venue."""
        return len(self._names)

    @property
    def fills(self) -> int:
        return sum(1 for _, order_id in self._trades if order_id in self._names)

    @property
    def extras(self) -> int:
        """Rows beyond the first under one name, and orders that came though they were excused."""
        copies = sum(len(rows) - 1 for rows in self._rows.values())
        return copies + sum(1 for name in self._rows if self.excused.get(name) == LATE)

    # ------------------------------------------------------------------------------------------------------

    def inside(self, name: str, now: int) -> None:
        """What an order did and may still do, against what the engine says of it now."""
        rows = self._rows.get(name)
        if self.stated is None or rows is None or not (self._counts(name, now) or self._all_copies_known(name, rows)):
            return
        truth = sum(row.executed + (0 if row.state.terminal else row.left) for row in rows.values())
        stated = self.stated(name)
        if truth > stated:
            self._broken("worst_case", now, name, f"at most {stated} lots, as the engine counts", f"{truth} lots")

    def all_inside(self, now: int) -> None:
        """A runner has begun: what it remembers must hold all that there is."""
        for name in self._rows:
            self.inside(name, now)

    def _taken_for_ours(self, order_id: int) -> bool:
        """The account was declared to be ours alone, so a nameless order that is like one of ours may be taken for it
        (orders.md 11): whoever placed it broke his word.
        """
        stranger = self._strangers.get(order_id)
        if not self._account.exclusive or stranger is None or stranger.client_id is not None:
            return False
        ours = (row for rows in self._rows.values() for row in rows.values())
        return any(_alike(row, stranger) for row in ours)

    def _misread(self, order_id: int, as_name: str, now: int) -> bool:
        """An order of ours of which less is promised may bear any of our names while the venue bends them: where the
        journal never knew it, or holds it to be over, no name that is cut short tells it from others of its slot.
        """
        taken = self._taken.setdefault(order_id, set())
        bent = self._bent_at is not None and now < self._bent_at + BENT_BEFORE
        if bent and self._names.get(order_id) in self.excused:
            taken.add(as_name)
        return as_name in taken

    def _ours(self, client_id: str | None) -> str | None:
        parsed = parse_client_id(client_id) if client_id is not None else None
        return client_id if parsed is not None and parsed.tag == self._account.tag else None

    def _counts(self, name: str, now: int) -> bool:
        """An order that took longer than D may come though its slot is taken, but for ten minutes after it was called
        absent every limit has room for it (orders.md 9).
        """
        if name not in self.excused:
            return True
        return self.excused[name] == LATE and now < self.absent.get(name, now) + ABSENT_COUNTS

    def _all_put_right(self, now: int, listed: Collection[int]) -> None:
        """In good weather what can be cancelled is, and what has ended is known to have."""
        for order_id, name in self._live.items():
            if order_id not in listed and self._waits(order_id, name, now):
                self._broken("clean_exit", now, name, "in good weather what waits goes", f"{order_id} waits")
        misread = set().union(*self._taken.values())
        for name, order in self._written.items():
            rows = [self._rows[name][id_] for id_ in order.venue_ids if id_ in self._rows.get(name, ())]
            ended = bool(rows) and all(row.state.terminal and row.updated < now - LONG_AGO for row in rows)
            if ended and not order.state.terminal and name not in misread:
                self._broken("clean_exit", now, name, "what has ended is known to have ended", f"it is {order.state}")

    def _all_copies_known(self, name: str, rows: Collection[int]) -> bool:
        """A proxy may repeat a create, but once the journal has every copy, each is counted in full."""
        order = self._written.get(name)
        return self.excused.get(name) == REPEATED and order is not None and {*rows} <= {*order.venue_ids}

    def _may_be_missed(self, order_id: int, name: str, now: int) -> bool:
        """The run cannot have known of it: it bears no name, or came in the last moment though it never should."""
        if order_id in self._nameless and name in self.excused:
            return True
        row = self._rows[name][order_id]
        return name in self.excused and row.created > now - NONCE_WINDOW - self._account.settle - JUST_NOW

    def _waits(self, order_id: int, name: str, now: int) -> bool:
        """An order of ours is in the book, and whoever runs must know of it."""
        if name in self.excused and self.excused[name] in {FORGOTTEN, CONTESTED}:
            return False
        return self._rows[name][order_id].state is Word.WAIT and not self._may_be_missed(order_id, name, now)

    def _order_written(self, order: Order, now: int) -> None:
        self.tell(order.client_id, now, f"journal: {order.state.value} ({order.reason})")
        if order.state is OrderState.INTENDED:
            self._intended[order.client_id] = order.created
        if order.state is OrderState.UNKNOWN:
            self.doubted[order.client_id] = "open"
        elif self.doubted.get(order.client_id) == "open":
            self.doubted[order.client_id] = "absent" if order.state is OrderState.ABSENT else "found"
        if order.state is OrderState.ABSENT:
            self.absent[order.client_id] = now
            if order.client_id in self._rows and order.client_id not in self.excused:
                self._broken("absent", now, order.client_id, "it is not at the venue", "it is")
        before = self._written.get(order.client_id)
        if before is not None and order.event:  # else it ended long ago, and a late copy of it was adopted
            for order_id in sorted({*before.venue_ids} - {*order.venue_ids}):
                self._broken(
                    "in_journal", now, order.client_id, "an order keeps all its numbers", f"{order_id} is lost"
                )
        self._written[order.client_id] = order
        for order_id in order.venue_ids:
            mistaken = self._names.get(order_id) != order.client_id
            if mistaken and not self._taken_for_ours(order_id) and not self._misread(order_id, order.client_id, now):
                bears = self._names.get(order_id, "another name or none")
                self._broken("others", now, order.client_id, f"order {order_id} is this one", f"it bears {bears}")
        self.inside(order.client_id, now)

    def _fill_written(self, fill: Fill, now: int) -> None:
        self.tell(fill.client_id, now, f"journal: fill {fill.trade_id} of {fill.lots} lots at {fill.ticks}")
        trade = self._trades.get(fill.key)
        name = self._names.get(fill.order_id)
        if fill.client_id in self._taken.get(fill.order_id, ()):
            name = fill.client_id
        found = None if trade is None else (trade.ticks, trade.lots, name)
        if found == (fill.ticks, fill.lots, None) and self._taken_for_ours(fill.order_id):
            return
        if found != (fill.ticks, fill.lots, fill.client_id):
            booked = f"trade {fill.trade_id} of order {fill.order_id}: {fill.lots} lots at {fill.ticks}"
            self._broken("fill_once", now, fill.client_id, "a fill is the venue's trade", f"{booked}; venue: {found}")

    def _traded(self, trade: Trade, order: Row, now: int) -> None:
        self._trades[trade.id, order.id] = trade
        name = self._ours(order.client_id)
        if name is None:
            return
        self.tell(name, now, f"venue: trade {trade.id} of {trade.lots} lots at {trade.ticks} with order {order.id}")
        for currency in (order.market.base, order.market.quote):
            flow = _trade_flow(trade, order.id, currency)
            self._received[currency] = MONEY.add(self._received.get(currency, ZERO), flow)

    def _came_to_be(self, row: Row, name: str, now: int, known: Collection[str], *, nameless: bool) -> None:
        self._names[row.id] = name
        if nameless:
            self._nameless.add(row.id)
        nonce = self.sent.get(name)
        if nonce is not None and row.created - nonce * MILLISECOND > NONCE_WINDOW + self._account.settle:
            self._late.add(name)
            self.excuse(name, LATE)
        if name in self.excused:
            return
        if name in self._rows:
            self._broken("name_once", now, name, "one order at the venue", f"also order {row.id}")
        if name not in known:
            self._broken("in_journal", now, name, "every order of ours is in the journal", f"order {row.id} is not")
        if name in self.absent:
            self._broken("absent", now, name, "an absent order never comes to be", f"order {row.id} came to be")
        slot = _slot(name)
        for order_id, other in self._live.items():
            if other != name and other not in self.excused and _slot(other) == slot:
                self._broken("one_per_slot", now, name, f"one live order in slot {slot}", f"also {order_id} ({other})")

    def _limits(self, new: Row | None, now: int) -> None:
        live = [self._rows[name][id_] for id_, name in self._live.items() if self._counts(name, now)]
        # Where an extra order was filled, or may be, the position is not by our doing alone.
        by_us = all(self._counts(name, now) for name in self._rows)
        truth = Truth(now, live, new, self._position if by_us else None)
        broken = list(passed(self._account.limits, truth))
        if self._eased is not None:
            if broken or now <= self._limits_since + NONCE_WINDOW + self._account.settle + JUST_NOW:
                broken = list(passed(self._eased, truth))
            else:
                self._eased = None
        for expected, found in broken:
            self._broken("limits", now, None, expected, found)

    def _position(self, currency: str) -> Decimal:
        return MONEY.add(self._account.initial_position.get(currency, ZERO), self._received.get(currency, ZERO))

    def _only_reducing(self, now: int, listed: Collection[int]) -> None:
        """Held against the exchange's own count of what our orders brought and may still bring."""
        reach: dict[tuple[str, Side], Decimal] = {}
        for order_id in listed:
            name = self._live.get(order_id)
            if name is not None and name not in self.excused:
                row = self._rows[name][order_id]
                key = (row.market.base, row.side)
                reach[key] = MONEY.add(reach.get(key, ZERO), row.market.quantity(row.left))
        if not all(self._counts(name, now) for name in self._rows):
            return  # the position is not by our doing alone
        for (currency, side), quantity in reach.items():
            held = MONEY.add(self._account.initial_position.get(currency, ZERO), self._received.get(currency, ZERO))
            if quantity > held * -side.sign:
                self._broken(
                    "reducing", now, None, f"no more than the {currency} position {held}", f"{side} {quantity}"
                )

    def _parent(self, name: str, now: int) -> None:
        if name not in self._parents or not self._counts(name, now):
            return
        parent, total = self._parents[name]
        whole = 0
        for other, (its_parent, _) in self._parents.items():
            if its_parent == parent and self._counts(other, now):
                rows = self._rows.get(other, {}).values()
                whole += sum(row.executed + (0 if row.state.terminal else row.left) for row in rows)
        if whole > total:
            self._broken("parent_total", now, name, f"{parent} comes to {total} lots at most", f"{whole}")

    def _broken(self, law: str, now: int, name: str | None, expected: str, found: str) -> None:
        assert law in LAWS, law
        if not any(v.law == law and v.order == name for v in self.violations):  # said once
            self.violations.append(Violation(law, now, name, expected, found))


def _alike(one: Row, other: Row) -> bool:
    return (one.market, one.side, one.ticks, one.lots) == (other.market, other.side, other.ticks, other.lots)


def looser(one: Limits, other: Limits) -> Limits:
    """`other` with every limit on what may exist at once as loose as in either; where one has none, none binds."""
    maps = ("max_order_amount", "max_order_notional", "max_position", "max_open_notional")
    both = {name: (getattr(one, name), getattr(other, name)) for name in maps}
    highest = {name: {each: max(a[each], b[each]) for each in a.keys() & b.keys()} for name, (a, b) in both.items()}
    lowest: dict[str, Decimal] = {}
    for currency in {*one.max_position, *one.min_position, *other.max_position, *other.min_position}:
        a, b = one.least_position(currency), other.least_position(currency)
        if a is not None and b is not None:
            lowest[currency] = min(a, b)
    counts = (one.max_open_orders, other.max_open_orders)
    orders = None if None in counts else max(count for count in counts if count is not None)
    return structs.replace(other, **highest, min_position=lowest, max_open_orders=orders)


def _epoch(name: str) -> int:
    parsed = parse_client_id(name)
    assert parsed is not None
    return parsed.epoch


def _slot(name: str) -> str:
    parsed = parse_client_id(name)
    assert parsed is not None
    return parsed.slot


def _flow(fill: Fill, market: Market, currency: str) -> Decimal:
    """By how much a fill of ours moved a balance, as the journal has it."""
    flow = ZERO
    if currency == market.base:
        flow = fill.side.sign * market.quantity(fill.lots)
    elif currency == market.quote:
        flow = -fill.side.sign * market.notional(fill.ticks, fill.lots)
    return MONEY.subtract(flow, fill.fee) if fill.fee_currency == currency else flow


def _trade_flow(trade: Trade, order_id: int, currency: str) -> Decimal:
    """By how much one side of a trade moved a balance, as the venue has it."""
    order = trade.maker if trade.maker.id == order_id else trade.taker
    _, fee, fee_currency = trade.fee(order)
    flow = ZERO
    if currency == trade.market.base:
        flow = order.side.sign * trade.market.quantity(trade.lots)
    elif currency == trade.market.quote:
        flow = -order.side.sign * trade.market.notional(trade.ticks, trade.lots)
    return MONEY.subtract(flow, fee) if fee_currency == currency else flow
