"""Decision time: from a frame's text to the commands it led to, the engine's own work and nothing else.

Pure market making against a moving book, every order accepted at once, ticks on every change of the best price.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from time import perf_counter_ns
from typing import Any

from runner.altmarkets.stream import PublicStream
from runner.engine.core import Engine
from runner.model.command import Cancel, Command, ListOrders, ListTrades, Place, ReadBalances
from runner.model.event import (
    Accepted,
    BalancesRead,
    Budget,
    CancelAnswered,
    ClockRead,
    Configured,
    Event,
    MarketsRead,
    OrderNews,
    OrdersListed,
    Restored,
    Sent,
    StreamUp,
    TradesListed,
    What,
)
from runner.model.market import Market
from runner.model.order import BalanceRow, OrderRow
from runner.model.settings import MILLISECOND, SECOND, Settings, TickPolicy
from strategies.pure_market_making import PureMarketMaking

MARKET = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
    maker_fee=Decimal("0.0025"),
    taker_fee=Decimal("0.0025"),
)
START = 1_700_000_000 * SECOND
FRAMES = 4_000


class Loop:
    """The engine and a venue that grants everything, without a wire."""

    def __init__(self, levels: int) -> None:
        self.engine = Engine(PureMarketMaking)
        self.stream = PublicStream([MARKET], [MARKET.symbol])
        self.number, self.now, self.order_id = 0, START, 0
        self.rows: dict[int, OrderRow] = {}
        params = {
            "bid_spread": "40bps",
            "ask_spread": "40bps",
            "order_amount": "1000 ROGER",
            "order_levels": levels,
            "order_level_spread": "10bps",
            "order_refresh_time": "1ms",
            "order_refresh_tolerance_pct": "0",
        }
        policy = TickPolicy(every=SECOND, when=("book",), at_most_every=0)
        settings = Settings(
            name="bench", tag="ABCDEF", markets=(MARKET.symbol,), strategy="pmm", params=params, tick=policy
        )
        for what in (Configured(settings), Restored(1000), MarketsRead((MARKET,)), ClockRead(0, 0)):
            self.give(what)
        self.give(StreamUp("private", ("order", "trade", "balance")))

    def give(self, what: What) -> None:
        """One event, and everything that the venue answers to what it led to."""
        self.handle(Budget(30, self.now))
        self.follow(self.handle(what))

    def follow(self, commands: Iterable[Command]) -> None:
        while commands := [each for c in commands for answer in self.answers(c) for each in self.handle(answer)]:
            pass

    def handle(self, what: What) -> tuple[Command, ...]:
        self.number += 1
        return self.engine.handle(Event(self.number, self.now, what)).commands

    def answers(self, command: Command) -> Iterator[What]:
        match command:
            case Place():
                self.order_id += 1
                row = OrderRow(
                    id=self.order_id,
                    market=command.market,
                    side=command.side,
                    state="wait",
                    ticks=command.ticks,
                    origin_lots=command.lots,
                    remaining_lots=command.lots,
                    executed_lots=0,
                    created_at=self.now // SECOND,
                    updated_at=self.now // SECOND,
                    client_id=command.client_id,
                )
                self.rows[row.id] = row
                yield Sent(command.client_id, self.now // MILLISECOND)
                yield Accepted(command.client_id, row)
            case Cancel():
                row = self.rows.pop(command.order_id)
                yield CancelAnswered(row.id, row)
                yield OrderNews(_with(row, state="cancel"))
            case ReadBalances():
                rows = (BalanceRow("ROGER", Decimal(10**9), Decimal(0)), BalanceRow("BTC", Decimal(10**6), Decimal(0)))
                yield BalancesRead(command.query, rows)
            case ListOrders():
                yield OrdersListed(command.query, (), full=False, venue_time=self.now)
            case ListTrades():
                yield TradesListed(command.query, (), full=False)


def decision_times(levels: int) -> list[int]:
    """Nanoseconds from the text of a frame that moves the touch to the commands it led to, sorted."""
    loop = Loop(levels)
    loop.give(StreamUp("public", ()))
    for what in loop.stream.receive(_snapshot(5000)):
        loop.give(what)
    spent = []
    for step in range(FRAMES):
        loop.now += 20 * MILLISECOND
        text = _moved(step)
        loop.handle(Budget(30, loop.now))
        began = perf_counter_ns()
        commands: list[Command] = []
        for what in loop.stream.receive(text):
            commands += loop.handle(what)
        spent.append(perf_counter_ns() - began)
        loop.follow(commands)
    return sorted(spent[FRAMES // 10 :])


def figures() -> Iterator[dict[str, Any]]:
    for levels, median, p99 in ((3, 100, 500), (1, 35, None)):
        spent = decision_times(levels)
        figure = {"figure": f"decision_{levels}_levels", "unit": "us", "frames": len(spent)}
        yield {**figure, "quantile": "median", "value": spent[len(spent) // 2] / 1000, "budget": median}
        yield {**figure, "quantile": "p99", "value": spent[len(spent) * 99 // 100] / 1000, "budget": p99}


def _snapshot(mid: int) -> str:
    bids = ",".join(f'["{MARKET.price(mid - n)}","{100 + n}.0"]' for n in range(1, 51))
    asks = ",".join(f'["{MARKET.price(mid + n)}","{100 + n}.0"]' for n in range(1, 51))
    return f'{{"rogerbtc.ob-snap":{{"asks":[{asks}],"bids":[{bids}],"sequence":1}}}}'


def _moved(step: int) -> str:
    """A bid that goes one tick up, and away again: every frame moves the touch by one tick."""
    amount = "50.0" if step % 2 == 0 else ""
    return f'{{"rogerbtc.ob-inc":{{"bids":["0.00005000","{amount}"],"sequence":{step + 2}}}}}'


def _with(row: OrderRow, state: str) -> OrderRow:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return OrderRow(**{**fields, "state": state})
