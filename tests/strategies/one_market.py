"""One market as a strategy sees it, on the real book and view: its levels, own orders, position and balances."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import strategies as st

from runner.engine.book import Book
from runner.engine.view import Balance, MarketData, Position, View
from runner.model.event import BookSnapshot, PublicTrade
from runner.model.market import Market
from runner.model.money import ONE
from runner.model.order import Fill, Order, OrderState, Quote, Side
from runner.model.settings import SECOND

MARKET = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=ONE,
)
SYMBOL = MARKET.symbol
Levels = dict[int, int]


class Facts:
    """One market's state as the engine would hand it to a view."""

    def __init__(self, bids: Levels, asks: Levels, orders: Sequence[Order] = (), position: float = 0.0) -> None:
        self.market = MARKET
        self.live = Book()
        self.book: MarketData = self.live
        self.live.apply(BookSnapshot(SYMBOL, 1, tuple(bids.items()), tuple(asks.items())), 0)
        self.trades: Sequence[PublicTrade] = ()
        self.heard_at = 0
        self._orders = orders
        self._position = Position(position, None, 0.0, None)
        self.balances: dict[str, Balance] = {}

    def orders(self) -> Sequence[Order]:
        return self._orders

    def fills(self) -> Sequence[tuple[str, Fill]]:
        return ()

    def position(self) -> Position:
        return self._position

    def balance(self, currency: str) -> Balance:
        return self.balances.get(currency, Balance(0.0, 0.0))


def view_of(facts: Facts, time: int = 1000 * SECOND) -> View:
    return View(time, SYMBOL, {SYMBOL: facts})


def order_of(slot: str, side: Side, ticks: int, lots: int, state: OrderState = OrderState.OPEN) -> Order:
    return Order(
        client_id=slot,
        slot=slot,
        generation=1,
        market=SYMBOL,
        side=side,
        ticks=ticks,
        lots=lots,
        state=state,
        created=0,
        changed=0,
        event=1,
        sign_before=0,
    )


def ticks_of(quotes: Sequence[Quote], side: Side) -> dict[str, int]:
    """Ticks by slot; every price is a whole number of them already."""
    found = {}
    for quote in quotes:
        if quote.side is side:
            assert isinstance(quote.price, float)
            found[quote.slot] = MARKET.ticks_for(side, quote.price)
            assert MARKET.price_float(found[quote.slot]) == quote.price
    return found


@st.composite
def books(draw: st.DrawFn) -> tuple[Levels, Levels]:
    """Bids and asks of others, from prices of one tick up."""
    bid = draw(st.integers(1, 50) | st.integers(1, 10**7))
    ask = bid + draw(st.integers(1, 20) | st.integers(1, 10**5))
    lots = st.integers(1, 10**6)
    bids = {max(1, bid - gap): draw(lots) for gap in range(draw(st.integers(1, 4)))}
    asks = {ask + gap: draw(lots) for gap in range(draw(st.integers(1, 4)))}
    return bids, asks
