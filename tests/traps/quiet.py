"""An exchange without a crowd: nothing happens there but what the runner, a neighbour and the test itself do.

The runner wants the quotes that the test names. Fees differ by role, so that a wrong role shows.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from runner.altmarkets.server import Reply
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model.command import Change, Command, Note
from runner.model.event import What
from runner.model.market import Market
from runner.model.order import Fill, Order, Quote, Side
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.world import START, Faults, World
from runner.simulation.crowd import Temper
from runner.simulation.exchange import Behaviour
from runner.simulation.markets import Listing
from runner.simulation.records import Order as VenueOrder
from runner.simulation.sandbox import sandbox

ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.0025"),
)
SLOTS = ("bid", "bid-2", "ask", "ask-2")
CALM = Faults(latency=(0.01, 0.01))
DAY = 86_400 * SECOND

C = TypeVar("C", bound=Command)


def buy(quantity: float, ticks: int, slot: str = "bid", **more: Any) -> Quote:
    return Quote(slot, Side.BUY, ticks / 10**8, quantity, **more)


def sell(quantity: float, ticks: int, slot: str = "ask", **more: Any) -> Quote:
    return Quote(slot, Side.SELL, ticks / 10**8, quantity, **more)


class Quiet(World):
    """`quotes` is what the strategy wants from its next tick on; `behaviour` and `faults` slow exchange and line.

    `tamper` may replace the answer to a command, `frames` what a socket delivers, and a stream that is `blocked`
    finds no connection. `commands` are those given so far, with their times.
    """

    def __init__(
        self,
        *quotes: Quote,
        market: Market = ROGER,
        behaviour: Behaviour | None = None,
        faults: Faults = CALM,
    ) -> None:
        self.quotes = list(quotes)
        self.tamper: Callable[[Command, Reply], Reply] = lambda _command, reply: reply
        self.frames: Callable[[str, list[str]], list[str]] = lambda _stream, texts: texts
        self.blocked: set[str] = set()
        self.commands: list[tuple[int, Command]] = []
        self.market = market
        wanted = self.quotes

        class Wanting(Strategy, frozen=True):
            def slots(self) -> Sequence[str]:
                return SLOTS

            def tick(self, view: View, state: State) -> Decision:
                return Decision(tuple(wanted), state, "as the test says")

        settings = Settings(
            name="quiet",
            tag="QUIETA",
            markets=(market.symbol,),
            strategy="wanting",
            tick=TickPolicy(every=SECOND),
            limits=Limits(max_book_age=DAY),  # a market where nothing happens is not a frozen one
        )
        listing = Listing(market, Decimal("0.000001"), Decimal(300))
        grown = sandbox("quiet", START, listings=(listing,), behaviour=behaviour, temper=Temper(rate=0))
        self.exchange = grown.exchange
        self.neighbour = self.exchange.admit("neighbour").id
        for currency in (market.base, market.quote):
            self.exchange.deposit(self.neighbour, currency, Decimal(1_000_000))
        super().__init__("quiet", settings, Wanting, faults, grown=grown)
        self.before = self.balances()

    # The line ---------------------------------------------------------------------------------------------

    def _connect(self, stream: str) -> None:
        if stream in self.blocked:
            self._later(1.0, lambda: self._connect(stream))
        else:
            super()._connect(stream)

    def _receive(self, stream: str, codec: Any, texts: list[str]) -> None:
        super()._receive(stream, codec, self.frames(stream, texts))

    def _answer(self, command: Command, reply: Reply) -> None:
        super()._answer(command, self.tamper(command, reply))

    def _take(self, command: Command) -> None:
        self.commands.append((self.now, command))
        super()._take(command)

    # The neighbour ----------------------------------------------------------

    def trade(self, side: Side, quantity: int, ticks: int) -> VenueOrder:
        """Place an order of somebody else at once; what it crosses is traded."""
        order = self.exchange.create(
            self.neighbour, self.market, side, Decimal(quantity), self.market.price(ticks), at_once=True
        )
        self._move(self.now)
        return order

    def offer(self, *levels: tuple[int, int]) -> list[VenueOrder]:
        """Asks of the neighbour: (quantity, ticks)."""
        return [self.trade(Side.SELL, quantity, ticks) for quantity, ticks in levels]

    # What came of it ----------------------------------------------------------------------------------------

    def until(self, met: Callable[[], object], seconds: float = 60) -> None:
        """Let time pass until something is so."""
        end = self.now + int(seconds * SECOND)
        while not met():
            assert self.now < end, f"not within {seconds} s"
            self.run_for(0.005)

    def asked(self, kind: type[C]) -> list[C]:
        return [command for _, command in self.commands if isinstance(command, kind)]

    def order(self, slot: str = "bid") -> Order:
        """The newest order of a slot, live or ended."""
        return max((o for o in self.journal.orders.values() if o.slot == slot), key=lambda o: o.generation)

    def has_order(self, slot: str = "bid") -> bool:
        return any(order.slot == slot for order in self.journal.orders.values())

    @property
    def fills(self) -> list[Fill]:
        return [self.journal.fills[key] for key in sorted(self.journal.fills)]

    @property
    def notes(self) -> list[Note]:
        return [note for output in self.outputs for note in output.notes]

    def said(self, what: str) -> list[Note]:
        return [note for note in self.notes if note.what == what]

    def changes_after(self, kind: type[What]) -> list[tuple[Change, ...]]:
        """What each event of a kind wrote into the journal."""
        pairs = zip(self.log, self.outputs, strict=True)
        return [output.changes for event, output in pairs if isinstance(event.what, kind)]

    def books_agree(self) -> None:
        """Fills are the venue's, and our positions what the balances moved by, to the last digit."""
        assert set(self.journal.fills) == self.venue_fills()
        after, ledger = self.balances(), self.engine.account.ledger
        for currency in (self.market.base, self.market.quote):
            assert ledger.position(currency) == after[currency] - self.before[currency]
