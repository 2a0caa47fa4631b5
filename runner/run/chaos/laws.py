"""The laws of orders.md, held against the exchange's own truth: at every event of a run, and after its end.

`Judged` is a world that is watched. A broken law is a value; the run goes on, so that the first one explains itself.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, cast

from msgspec import Struct

from runner.engine.core import Engine
from runner.model.command import FillBooked, OrderChanged, Output
from runner.model.event import BookDelta, Budget, PublicTrade, StreamAlive, Wake
from runner.model.ids import parse_client_id
from runner.model.money import MONEY, ZERO
from runner.model.order import Fill, OrderState, Side
from runner.model.settings import SECOND
from runner.run.chaos.world import CrashPoint, World
from runner.simulation.database import Database
from runner.simulation.records import Order as Row

_NO_NEWS = frozenset({BookDelta, PublicTrade, StreamAlive, Budget, Wake})


class Violation(Struct, frozen=True):
    """`time` in seconds from the beginning; `name` is a client order id where the law is about one."""

    law: str
    time: float
    what: str
    name: str = ""


class Truth:
    """Our orders as the exchange has them, read no oftener than needed: what has ended does not change any more."""

    def __init__(self, database: Database, member: int, tag: str) -> None:
        self._database = database
        self._member = member
        self._tag = tag
        self._seen = 0
        self.ours: dict[int, Row] = {}
        self.live: set[int] = set()
        self.by_name: dict[str, list[int]] = {}

    def refresh(self) -> None:
        for row in reversed(self._database.orders_after(self._member, self._seen)):
            self._seen = row.id
            if self.is_ours(row):
                assert row.client_id is not None
                self.ours[row.id] = row
                self.live.add(row.id)
                self.by_name.setdefault(row.client_id, []).append(row.id)
        for id_ in list(self.live):
            row = self.ours[id_] = self._database.order(id_) or self.ours[id_]
            if row.state.terminal:
                self.live.discard(id_)

    def is_ours(self, row: Row) -> bool:
        parsed = parse_client_id(row.client_id or "")
        return parsed is not None and parsed.tag == self._tag


class Judged(World):
    """A world whose every step is held against the laws.

    `weaker`: a delay above D, or worse, was possible; `proxied`: a proxy may have repeated a create.
    """

    violations: list[Violation]
    weaker: bool
    proxied: bool

    def start(self) -> None:
        """Begin, or begin again."""
        if not hasattr(self, "violations"):
            self.violations, self.weaker, self.proxied = [], False, False
            self.truth = Truth(self.grown.exchange.database, self.grown.trader.id, self.settings.tag)
            self.began = self.now
            self._booked: dict[tuple[int, int], Fill] = {}
            self._absent: set[str] = set()
            self.unclear: set[str] = set()  # names whose create had no clear answer
            self.exit_codes: list[int] = []
            self.stopped_at = self.now
            self.skew_next = 0
            self._back_after = 1.0
            self._story: dict[str, list[str]] = {}
        self._booked = dict(self.journal.fills)
        self.skew = self.skew_next
        super().start()

    def crash_soon(self, point: str, back_after: float) -> None:
        """Die now, or at a point of the next output that has an order in it."""
        self._back_after = back_after
        if point == "now":
            self.crash()
        else:
            self.crash_at = cast(CrashPoint, point)

    def crash(self, back_after: float | None = None) -> None:
        super().crash(self._back_after if back_after is None else back_after)

    def disk_full_for(self, seconds: float) -> None:
        self.disk_full = True
        self._at(self.now + int(seconds * SECOND), self._disk_is_free, None)

    def _disk_is_free(self) -> None:
        self.disk_full = False

    def note_exit(self) -> None:
        if self.finish is not None:
            self.exit_codes.append(self.finish.exit_code)

    def broken(self, law: str, what: str, name: str = "") -> None:
        seen = [one for one in self.violations if (one.law, one.name) == (law, name)]
        if not seen:
            self.violations.append(Violation(law, round((self.now - self.began) / 10**9, 3), what, name))

    # At every event ---------------------------------------------------------------------------------------

    def deliver(self, what: Any) -> None:
        self._tell(what)
        super().deliver(what)
        if type(what) not in _NO_NEWS and self.engine.markets:
            self.judge()

    def _write(self, output: Output) -> str | None:
        for change in output.changes:
            if isinstance(change, FillBooked):  # the engine counts with it, whether or not it can be written down
                self._booked[change.fill.key] = change.fill
            elif isinstance(change, OrderChanged):
                order = change.order
                self._note(order.client_id, f"for the engine it is {order.state.value}: {order.reason}")
                if order.state is OrderState.ABSENT:
                    self._absent.add(order.client_id)
                elif order.state is OrderState.UNKNOWN:
                    self.unclear.add(order.client_id)
        return super()._write(output)

    def _leave(self, command: Any) -> None:
        self._note(getattr(command, "client_id", None), f"{type(command).__name__.lower()} leaves the runner")
        super()._leave(command)

    def _arrive(self, command: Any, nonce: int, life: int) -> None:
        self._note(getattr(command, "client_id", None), f"{type(command).__name__.lower()} arrives at the exchange")
        super()._arrive(command, nonce, life)
        self.judge()

    def judge(self) -> None:
        """Hold this moment against the laws, if there is a runner to be judged."""
        if not self.alive() or self.finish is not None:
            return
        self.truth.refresh()
        self._one_live_order_in_a_slot()
        self._inside_the_worst_case()
        for name, count in self.signed.items():
            if count > 1:
                self.broken("a name is signed once", f"signed {count} times", name)
        for name in self.after_gate:
            self.broken("nothing is signed after the gate has closed", "signed", name)

    def _one_live_order_in_a_slot(self) -> None:
        slots: dict[str, str] = {}
        for id_ in self.truth.live:
            name = self.truth.ours[id_].client_id or ""
            parsed = parse_client_id(name)
            assert parsed is not None
            if self._may_come_late(name):
                continue
            other = slots.setdefault(parsed.slot, name)
            if other != name:
                self.broken("one live order in a slot", f"{other} and {name} are both live", name)

    def _may_come_late(self, name: str) -> bool:
        """A copy made by a proxy of what was refused, or what was held up longer than we assume (rules 7 and 9)."""
        order = self.journal.orders.get(name)
        if order is None:
            return False
        late = {OrderState.REJECTED} if self.proxied else set()
        late |= {OrderState.ABSENT} if self.weaker else set()
        history = self.engine.account.orders.get(name)
        return order.state in late or (history is not None and (self.weaker or self.proxied) and name in self._late)

    @property
    def _late(self) -> set[str]:
        """Names that were once proven not to be, and turned up."""
        return self._absent | {name for name, ids in self.truth.by_name.items() if len(ids) > 1}

    def _inside_the_worst_case(self) -> None:
        """The true position, were everything of ours to trade, is inside what the engine counts with (rules 8, 19)."""
        symbol = self.settings.markets[0]
        net = most = least = 0
        for id_, row in self.truth.ours.items():
            if row.market.symbol != symbol or self._unheard_copy(id_, row):
                continue
            net += row.side.sign * row.executed
            if id_ in self.truth.live:
                most += row.left if row.side is Side.BUY else 0
                least += row.left if row.side is Side.SELL else 0
        counted = stated_most = stated_least = 0
        for fill in self._booked.values():
            counted += fill.side.sign * fill.lots if fill.market == symbol else 0
        for order in self.engine.account.orders.may_exist(self.clock()):
            if order.market == symbol:
                stated_most += order.unbooked_lots if order.side is Side.BUY else 0
                stated_least += order.unbooked_lots if order.side is Side.SELL else 0
        if net + most > counted + stated_most:
            self.broken("inside the worst case", f"up to {net + most} lots, stated {counted + stated_most}")
        if net - least < counted - stated_least:
            self.broken("inside the worst case", f"down to {net - least} lots, stated {counted - stated_least}")
        self._within_the_limit(net + most, net - least)

    def _within_the_limit(self, most: int, least: int) -> None:
        """`max_position` holds whatever trades. Fees are taken from what is bought, so the position is a little less
        than the lots; they widen the bounds by what they can be."""
        market = self.markets[self.settings.markets[0]]
        limit = self.settings.limits.max_position.get(market.base)
        if limit is None or self.weaker or self.proxied:
            return
        bought = sum(fill.lots for fill in self._booked.values() if fill.side is Side.BUY)
        fees = MONEY.multiply(market.quantity(bought + max(0, most)), Decimal("0.003"))
        initial = self.settings.initial_position.get(market.base, ZERO)
        high, low = (MONEY.add(initial, market.quantity(lots)) for lots in (most, least))
        if high > MONEY.add(limit, fees) or low < MONEY.subtract(-limit, fees):
            self.broken("no limit is breached", f"position from {low} to {high} {market.base}, limit {limit}")

    def _unheard_copy(self, id_: int, row: Row) -> bool:
        """A second copy of a create that nobody has told us of: no engine could count it."""
        name = row.client_id or ""
        ids = self.truth.by_name[name]
        order = self.engine.account.orders.get(name) or self.journal.orders.get(name)
        known = () if order is None else order.venue_ids
        if self.weaker and name in self._absent and id_ not in known:
            return True
        return len(ids) > 1 and id_ not in known and (bool(known) or id_ != ids[0])

    # The story --------------------------------------------------------------------------------------------

    def story(self, name: str) -> tuple[str, ...]:
        """What befell one order, oldest first."""
        return tuple(self._story.get(name, ()))

    def _note(self, name: str | None, what: str) -> None:
        if name is not None:
            line = f"{(self.now - self.began) / SECOND:10.3f} s  {what}"
            lines = self._story.setdefault(name, [])
            if not lines or lines[-1] != line:
                lines.append(line)

    def _tell(self, what: Any) -> None:
        kind = type(what).__name__
        for row in getattr(what, "rows", None) or [getattr(what, "row", None)]:
            order_id = getattr(row, "order_id", None) or getattr(row, "id", None)
            venue = self.truth.ours.get(order_id or 0)
            if venue is not None:
                state = getattr(row, "state", None)
                facts = f"{state}, {row.executed_lots} lots executed" if state else f"trade {row.id}, {row.lots} lots"
                self._note(venue.client_id, f"{kind} tells of {order_id}: {facts}")
        self._note(getattr(what, "client_id", None), f"{kind} {getattr(what, 'reason', '')}".rstrip())

    def judge_a_clean_end(self, seconds: float) -> None:
        """Exit 0 in the middle of the weather: nothing of ours is live, and nothing comes to be."""
        self.truth.refresh()
        before = set(self.truth.ours)
        self.let_pass(seconds)
        self.truth.refresh()
        for id_ in sorted(self.truth.live | (set(self.truth.ours) - before)):
            row = self.truth.ours[id_]
            if not (self.weaker or self.proxied):  # a late copy that a proxy made is found by the next start (rule 26)
                self.broken("exit 0 tells the truth", f"order {id_} is {row.state.value}", row.client_id or "")

    # At the end -------------------------------------------------------------------------------------------

    def judge_the_end(self) -> None:
        """The run has ended, the venue has gone on alone, and all is known."""
        self.truth.refresh()
        for law in (self._all_in_the_journal, self._names_at_the_venue, self._absent_for_ever, self._others_untouched):
            for what, name in law():
                self.broken(law.__name__.strip("_").replace("_", " "), what, name)
        if self._clean:
            for what, name in (*self._nothing_is_live(), *self._every_fill_once(), *self._to_the_last_digit()):
                self.broken("exit 0 tells the truth", what, name)

    @property
    def _clean(self) -> bool:
        return self.finish is not None and self.finish.exit_code == 0

    def _all_in_the_journal(self) -> Iterator[tuple[str, str]]:
        for id_, row in self.truth.ours.items():
            order = self.journal.orders.get(row.client_id or "")
            if order is None:
                yield "is at the venue and not in the journal", row.client_id or ""
            elif id_ not in order.venue_ids and self._clean and (row.executed or not row.state.terminal):
                yield f"has a copy {id_} that is not in the journal", row.client_id or ""

    def _names_at_the_venue(self) -> Iterator[tuple[str, str]]:
        for name, ids in self.truth.by_name.items():
            if len(ids) > 1 and not self.proxied:
                yield f"is at the venue {len(ids)} times", name

    def _absent_for_ever(self) -> Iterator[tuple[str, str]]:
        for name in self._absent:
            if name in self.truth.by_name and not self.weaker:
                yield "was called absent, and is at the venue", name

    def _others_untouched(self) -> Iterator[tuple[str, str]]:
        database = self.grown.exchange.database
        for id_ in self.cancelled:
            row = database.order(id_)
            if row is not None and not self.truth.is_ours(row):
                yield f"order {id_} is somebody else's and a cancel was asked for", ""

    def _nothing_is_live(self) -> Iterator[tuple[str, str]]:
        if self.settings.on_stop == "leave":
            return
        for id_ in self.truth.live:
            yield f"order {id_} is {self.truth.ours[id_].state.value}", self.truth.ours[id_].client_id or ""

    def _every_fill_once(self) -> Iterator[tuple[str, str]]:
        database = self.grown.exchange.database
        true = {(trade.id, id_) for id_ in self.truth.ours for trade in database.trades_in(id_)}
        booked = set(self.journal.fills)
        for trade_id, order_id in sorted(true - booked):
            yield f"trade {trade_id} of order {order_id} was not booked", self.truth.ours[order_id].client_id or ""
        for key in sorted(booked - true):
            yield f"fill {key} was booked and never happened", self.journal.fills[key].client_id

    def _to_the_last_digit(self) -> Iterator[tuple[str, str]]:
        """The ledger is what the exchange moved for our orders, fees included."""
        flows: dict[str, Decimal] = {}

        def moved(currency: str, amount: Decimal) -> None:
            flows[currency] = MONEY.add(flows.get(currency, ZERO), amount)

        for id_, row in self.truth.ours.items():
            for trade in self.grown.exchange.database.trades_in(id_):
                base, quote = trade.market.quantity(trade.lots), trade.market.notional(trade.ticks, trade.lots)
                _, fee, currency = trade.fee(row)
                moved(trade.market.base, base if row.side is Side.BUY else -base)
                moved(trade.market.quote, -quote if row.side is Side.BUY else quote)
                moved(currency, -fee)
        for currency, amount in flows.items():
            stated = self.engine.account.ledger.position(currency)
            initial = self.settings.initial_position.get(currency, ZERO)
            if stated != MONEY.add(amount, initial):
                yield f"{currency}: the ledger says {stated}, the exchange {MONEY.add(amount, initial)}", ""

    def replay(self) -> None:
        """The log of the last life, given to another engine, leads to the same outputs."""
        again = Engine(self.strategy)
        for event, output in zip(self.log, self.outputs, strict=True):
            if again.handle(event) != output:
                self.broken("the log replays", f"event {event.number}, {type(event.what).__name__}, differs")
                return
