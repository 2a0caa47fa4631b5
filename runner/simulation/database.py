"""What an exchange has written down: orders and trades. It lags behind the engine by the time of execution.

Orders and trades of keyholders are kept for ever; of all others only what is open, or a day of the crowd would fill
the memory. For a minute keyholders' rows can be seen as they were.
"""

from collections import deque
from collections.abc import Callable, Sequence

from runner.model.order import Side
from runner.simulation.dice import seed_bytes
from runner.simulation.records import Order, OrderState, Trade

TAPE_LEVELS = 1000
"""Levels of a tape that depth holds, on each side."""

MEMORY = 60_000_000_000
"""How long (ns) it is known what a keyholder's row was before."""


class Database:
    """Rows by id. `seed` makes the uuids."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._orders: dict[int, Order] = {}
        self._waiting: dict[str, dict[int, None]] = {}  # market id -> limit orders in state `wait`
        self._own_orders: dict[int, dict[int, None]] = {}  # by keyholder
        self._own_trades: dict[int, list[Trade]] = {}  # by keyholder
        self._order_trades: dict[int, list[Trade]] = {}  # by order of a keyholder
        self._uuids: dict[str, int] = {}
        self._tapes: dict[str, Callable[[Side, int], Sequence[tuple[int, int]]]] = {}  # by market id
        self.overheard: list[Order | Trade] | None = None
        """Keyholders' rows and trades as they are written, for a witness, who puts a list here and empties it."""
        self._before: deque[tuple[int, int, Order | None]] = deque()  # when a row changed, its id, what it was

    # Writing ---------------------------------------------------------------------------------------------

    def keep(self, member: int) -> None:
        """This member is a keyholder from now on."""
        self._own_orders.setdefault(member, {})
        self._own_trades.setdefault(member, [])

    def store(self, order: Order, now: int) -> None:
        """Insert a row, or replace the one with its id. `now` is UTC ns, never less than the last time."""
        waiting = self._waiting.setdefault(order.market.id, {})
        if order.state is OrderState.WAIT and order.ticks is not None:
            waiting[order.id] = None
        else:
            waiting.pop(order.id, None)
        if order.member in self._own_orders:
            if self.overheard is not None:
                self.overheard.append(order)
            self._before.append((now, order.id, self._orders.get(order.id)))
            while self._before[0][0] < now - MEMORY:
                self._before.popleft()
            if order.id not in self._orders:
                self._own_orders[order.member][order.id] = None
                self._uuids[self.uuid(order.id)] = order.id
        elif order.state.terminal:
            self._orders.pop(order.id, None)
            return
        self._orders[order.id] = order

    def record(self, trade: Trade) -> None:
        if self.overheard is not None and not self._own_orders.keys().isdisjoint(trade.members):
            self.overheard.append(trade)
        for member in dict.fromkeys(trade.members):
            if member in self._own_trades:
                self._own_trades[member].append(trade)
        for order in (trade.maker, trade.taker):
            if order.member in self._own_orders:
                self._order_trades.setdefault(order.id, []).append(trade)

    def stand_beside(self, market_id: str, levels: Callable[[Side, int], Sequence[tuple[int, int]]]) -> None:
        """From now on a market's depth holds these levels too, `levels(side, count)`: volume without orders."""
        self._tapes[market_id] = levels

    # Reading ---------------------------------------------------------------------------------------------

    def order(self, order_id: int) -> Order | None:
        return self._orders.get(order_id)

    def order_by_uuid(self, uuid: str) -> Order | None:
        """Knows the uuids of keyholders' orders."""
        return self._orders.get(self._uuids.get(uuid.lower(), 0))

    def orders_of(self, member: int) -> list[Order]:
        """Every order of a keyholder, by id."""
        return [self._orders[order_id] for order_id in self._own_orders.get(member, ())]

    def orders_then(self, member: int, then: int) -> list[Order]:
        """The same as they were at a time (UTC ns), a minute ago at most."""
        rows: dict[int, Order | None] = {}
        for changed, order_id, before in reversed(self._before):
            if changed <= then:
                break
            rows[order_id] = before
        now = [(order.id, order) for order in self.orders_of(member)]
        return [row for order_id, order in now if (row := rows.get(order_id, order)) is not None]

    def trades_of(self, member: int) -> list[Trade]:
        """Every trade of a keyholder, by id; a self-trade once."""
        return list(self._own_trades.get(member, ()))

    def trades_in(self, order_id: int) -> list[Trade]:
        """Every trade of a keyholder's order, by id."""
        return list(self._order_trades.get(order_id, ()))

    def resting(self, market_id: str, side: Side) -> list[Order]:
        """Limit orders in state `wait`, best price first, then by id."""
        orders = (self._orders[order_id] for order_id in self._waiting.get(market_id, ()))
        keyed = [(-side.sign * order.ticks, order.id, order) for order in orders if order.side is side and order.ticks]
        return [order for _, _, order in sorted(keyed)]

    def depth(self, market_id: str, side: Side) -> list[tuple[int, int]]:
        """Levels (ticks, lots), best first: behind the engine, and for a moment perhaps crossed."""
        tape = self._tapes.get(market_id)
        levels: dict[int, int] = {} if tape is None else dict(tape(side, TAPE_LEVELS))
        for order in self.resting(market_id, side):
            assert order.ticks is not None
            levels[order.ticks] = levels.get(order.ticks, 0) + order.left
        return list(levels.items()) if tape is None else sorted(levels.items(), reverse=side is Side.BUY)

    def uuid(self, order_id: int) -> str:
        text = seed_bytes(16, self._seed, "uuid", order_id).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
