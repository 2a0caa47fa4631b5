"""The files beside the strategies: they pass the check, and they trade on the sandbox's crowd."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec import structs

from runner.config.read import read
from runner.config.spec import RunSpec, Sandbox
from runner.engine.book import Book
from runner.engine.ledger import Ledger
from runner.engine.reconcile import difference, targets
from runner.engine.view import Balance, MarketData, Position, View
from runner.model.event import BookSnapshot, PublicTrade
from runner.model.order import Fill, Order, OrderState, Role, Side
from runner.model.paper import PaperModels
from runner.model.settings import MILLISECOND, SECOND
from runner.run.markets import known_markets
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.sandbox import sandbox
from strategies.avellaneda_stoikov import AvellanedaStoikov
from strategies.pure_market_making import PureMarketMaking

FOLDER = Path(__file__).parents[2] / "strategies"
FILES = sorted(FOLDER.glob("*.yml"), key=lambda path: path.name)


def spec_of(path: Path) -> RunSpec:
    spec = read(path.read_bytes(), file=str(path), markets=known_markets)
    assert isinstance(spec, RunSpec), "\n".join(map(str, spec))
    return spec


def test_every_strategy_has_a_file_beside_it() -> None:
    named = {path.stem for path in FILES}
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} <= named
    assert "quickstart" in named


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_bundled_file_runs_as_it_is(path: Path) -> None:
    spec = spec_of(path)
    assert path.read_text().startswith("# yaml-language-server: $schema=../schemas/strategy.schema.json\n")
    assert spec.settings.name == path.stem.replace("_", "-")
    assert spec.connector.venue == Sandbox()
    assert spec.settings.on_stop == "cancel"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_overlay_makes_a_paper_account_of_it_that_can_pay(path: Path) -> None:
    overlay = FOLDER / "overlays" / "paper.yml"
    layers = [(str(overlay), overlay.read_bytes())]
    spec = read(path.read_bytes(), file=str(path), overlays=layers, markets=known_markets)
    assert isinstance(spec, RunSpec)
    paper = spec.connector.paper
    assert paper is not None
    assert spec.warnings == spec_of(path).warnings
    assert paper == structs.replace(PaperModels(), balances=paper.balances)  # the models that are written out
    listing = next(one for one in SANDBOX_LISTINGS if one.market.symbol == spec.settings.markets[0])
    assert spec.demands is not None
    assert paper.balances[listing.market.base] >= sum(each.quantity for each in spec.demands if each.side is Side.SELL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_limits_let_all_its_orders_through(path: Path) -> None:
    spec = spec_of(path)
    strategy, limits = spec.strategy, spec.settings.limits
    assert isinstance(strategy, PureMarketMaking | AvellanedaStoikov)
    listing = next(one for one in SANDBOX_LISTINGS if one.market.symbol == spec.settings.markets[0])
    amount, price = strategy.order_amount.exact, listing.price * 2  # however far the crowd's fair price wanders
    assert limits.max_open_orders is not None
    assert limits.max_open_orders >= len(strategy.slots())
    assert limits.max_order_notional[listing.market.quote] >= amount * price
    assert limits.max_position[listing.market.base] >= amount * strategy.order_levels * 2


class Desk:
    """A trader at the sandbox without a network: its view of the market, its orders, its books."""

    def __init__(self, seed: str, start: int) -> None:
        opened = sandbox(seed, start)
        self.exchange, self.member = opened.exchange, opened.trader.id
        self.market = next(market for market in self.exchange.markets if market.symbol == "ROGER-BTC")
        self.ledger = Ledger({self.market.symbol: self.market}, {})
        self.trades: Sequence[PublicTrade] = ()
        self.heard_at = start
        self.requests: list[int] = []
        self.book: MarketData = Book()
        self._orders: dict[str, Order] = {}

    def go_on(self, now: int) -> None:
        self.exchange.advance(now)
        self.exchange.feed.clear()
        self.heard_at = now
        levels = self.exchange.book(self.market.id).levels
        book = Book()
        book.apply(BookSnapshot(self.market.symbol, 1, tuple(levels(Side.BUY, 50)), tuple(levels(Side.SELL, 50))), now)
        self.book = book
        for trade in self.exchange.database.trades_of(self.member):
            order = trade.order_of(self.member)
            _, fee, currency = trade.fee(order)
            fill = Fill(
                trade_id=trade.id,
                order_id=order.id,
                client_id=str(order.id),
                market=self.market.symbol,
                side=order.side,
                ticks=trade.ticks,
                lots=trade.lots,
                role=Role.MAKER,
                fee=fee,
                fee_currency=currency,
                time=now,
                traded_at=trade.time // SECOND,
            )
            if self.ledger.book(fill) is not None:
                self.requests.append(now)  # each match is looked up once
        for ours in list(self._orders.values()):
            row = self.exchange.database.order(ours.venue_ids[0])
            assert row is not None
            if row.state.terminal:
                del self._orders[ours.slot]

    def want(self, strategy: PureMarketMaking, quotes: Sequence[object], now: int) -> None:
        symbol = self.market.symbol
        wanted = targets(quotes, frozenset(strategy.slots()), symbol, {symbol: self.market})  # type: ignore[arg-type]
        todo = difference(wanted, self._orders.values(), frozenset())
        for order in todo.cancels:
            row = self.exchange.database.order(order.venue_ids[0])
            assert row is not None
            self.exchange.cancel(row)
        for target in todo.proposals:
            assert target.ticks is not None
            price, quantity = self.market.price(target.ticks), self.market.quantity(target.lots)
            row = self.exchange.create(self.member, self.market, target.side, quantity, price)
            self._orders[target.slot] = Order(
                client_id=str(row.id),
                slot=target.slot,
                generation=1,
                market=symbol,
                side=target.side,
                ticks=target.ticks,
                lots=target.lots,
                state=OrderState.OPEN,
                created=now,
                changed=now,
                event=1,
                sign_before=0,
                venue_ids=(row.id,),
            )
        self.requests += [now] * (len(todo.cancels) + len(todo.proposals))

    # What a view asks for -------------------------------------------------------------------------------------

    def orders(self) -> Sequence[Order]:
        return list(self._orders.values())

    def fills(self) -> Sequence[tuple[str, Fill]]:
        return ()

    def position(self) -> Position:
        return Position(float(self.ledger.position(self.market.base)), None, 0.0, None)

    def balance(self, currency: str) -> Balance:
        return Balance(0.0, 0.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_the_quickstart_trades_within_its_first_minute_and_within_the_budget(seed: str) -> None:
    """30 requests in 12 s are the account's; a third of them is kept for cancels and look-ups."""
    strategy = spec_of(FOLDER / "quickstart.yml").strategy
    assert isinstance(strategy, PureMarketMaking)
    now = 1_700_000_000 * SECOND
    desk, state = Desk(seed, now), strategy.initial_state()
    for _ in range(240):
        now += 250 * MILLISECOND
        desk.go_on(now)
        decision = strategy.tick(View(now, desk.market.symbol, {desk.market.symbol: desk}), state)
        desk.want(strategy, decision.quotes, now)
        assert isinstance(decision.state, type(state))
        state = decision.state
    busiest = max(sum(start <= at < start + 12 * SECOND for at in desk.requests) for start in desk.requests)
    assert desk.ledger.count >= 3
    assert busiest <= 24
    assert desk.ledger.volume["BTC"] > Decimal("0.1")
