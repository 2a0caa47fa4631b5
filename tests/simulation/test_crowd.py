"""The sandbox's crowd: always two sides, a price that moves, and the same from the same seed."""

from decimal import Decimal
from statistics import mean, median

import pytest
from msgspec.structs import replace

from runner.model.order import Side
from runner.simulation.crowd import CROWDS, Temper
from runner.simulation.exchange import CATCH_UP, SECOND, Exchange
from runner.simulation.feed import BookChanged, OrderChanged, Traded
from runner.simulation.markets import SANDBOX_BALANCES, SANDBOX_LISTINGS, SANDBOX_MARKETS
from runner.simulation.records import OrderState
from runner.simulation.sandbox import WARM_UP, Sandbox, sandbox

START = 1_700_000_000 * SECOND
MINUTE = 60


def opened(seed: str = "crowd", temper: Temper | None = None) -> Sandbox:
    return sandbox(seed, START, temper=temper)


def test_the_markets_keep_the_venues_own_rules() -> None:
    for market in SANDBOX_MARKETS:
        assert market.price_precision <= 10
        assert market.amount_precision + market.price_precision <= 10
        assert market.price_min >= market.tick_size
        assert market.quantity_min >= market.lot_size
        assert market.base in SANDBOX_BALANCES
        assert market.quote in SANDBOX_BALANCES
    assert len({market.id for market in SANDBOX_MARKETS}) == len(SANDBOX_MARKETS)


def test_a_fresh_sandbox_is_open_for_business() -> None:
    world = opened()
    exchange = world.exchange
    assert exchange.now == START
    assert {market.id for market in SANDBOX_MARKETS} == {event.market.id for event in exchange.feed}
    for market in SANDBOX_MARKETS:
        assert exchange.tape(market.id).trades
        assert all(15 <= exchange.book(market.id).level_count(side) <= 100 for side in Side)
    owned = exchange.accounts.of(world.trader.id)
    assert {currency: account.available for currency, account in owned.items()} == SANDBOX_BALANCES


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["one", "two"])
def test_a_market_stays_two_sided_and_moves(seed: str) -> None:
    exchange = opened(seed).exchange
    mids: dict[str, list[float]] = {market.id: [] for market in SANDBOX_MARKETS}
    spreads: list[float] = []
    for second in range(5 * MINUTE):
        exchange.advance(START + second * SECOND)
        for market_id, seen in mids.items():
            bid, ask = (exchange.book(market_id).best(side) for side in Side)
            assert bid is not None
            assert ask is not None
            assert bid < ask < bid * 1.03
            seen.append((bid + ask) / 2)
            spreads.append(ask / bid - 1)
    assert median(spreads) < 0.0025
    for seen in mids.values():
        assert max(seen) / min(seen) > 1.001
        assert max(seen) / min(seen) < 1.2


def test_an_eaten_side_grows_again() -> None:
    exchange = opened().exchange
    market = SANDBOX_MARKETS[0]
    taker = exchange.admit("whale").id
    exchange.deposit(taker, market.base, Decimal(10**9))
    bids = exchange.book(market.id).lots(Side.BUY)
    exchange.create(taker, market, Side.SELL, market.quantity(bids), None, at_once=True)
    exchange.advance(START)
    exchange.advance(START + SECOND)
    assert exchange.book(market.id).level_count(Side.BUY) >= Temper().sides_min


def test_whoever_quotes_near_the_middle_is_traded_with() -> None:
    """A maker 20 basis points off the middle who quotes anew every five seconds."""
    world = opened()
    exchange, market = world.exchange, SANDBOX_MARKETS[0]
    for second in range(0, 2 * MINUTE, 5):
        exchange.advance(START + second * SECOND)
        for order in exchange.database.orders_of(world.trader.id):
            exchange.cancel(order, at_once=True)
        exchange.advance(START + second * SECOND)
        bid, ask = (exchange.book(market.id).best(side) for side in Side)
        assert bid is not None
        assert ask is not None
        for side in Side:
            price = market.price(round((bid + ask) / 2 * (1 - side.sign * 0.002)))
            exchange.create(world.trader.id, market, side, Decimal(500), price, at_once=True)
    trades = exchange.database.trades_of(world.trader.id)
    assert len(trades) >= 8
    assert {trade.order_of(world.trader.id).side for trade in trades} == set(Side)


def test_everything_is_paid_for() -> None:
    exchange = opened().exchange
    before = {currency: exchange.accounts.total(currency) for currency in exchange.currencies}
    exchange.advance(START + MINUTE * SECOND)
    assert {currency: exchange.accounts.total(currency) for currency in exchange.currencies} == before
    assert all(fee > 0 for fee in exchange.accounts.fees.values())


@pytest.mark.slow
def test_the_crowd_is_not_remembered_for_ever() -> None:
    exchange = opened().exchange
    for second in range(0, 2 * MINUTE, 10):
        exchange.advance(START + second * SECOND)
    open_orders = sum(len(exchange.database.resting(market.id, side)) for market in SANDBOX_MARKETS for side in Side)
    rows = sum(exchange.database.order(number) is not None for number in range(1, 100_000))
    assert rows == open_orders
    assert rows < 1500


def heard(exchange: Exchange, stops: list[int]) -> list[str]:
    exchange.feed.clear()
    for stop in stops:
        exchange.advance(START + stop * SECOND // 10)
    return [repr(event) for event in exchange.feed]


@pytest.mark.slow
def test_a_seed_is_a_world() -> None:
    once, again = (heard(opened().exchange, [0, 100]) for _ in range(2))
    assert once == again
    assert heard(opened().exchange, list(range(101))) == once  # however often the time is told
    assert heard(opened("another").exchange, [0, 100]) != once
    assert opened().key == opened().key
    assert opened("another").key.access != opened().key.access


def test_a_sleep_is_not_lived_through() -> None:
    exchange = opened().exchange
    exchange.feed.clear()
    exchange.advance(START + 8 * 3600 * SECOND)
    # Everybody acts once, and once more than that where the dice say so at the same moment.
    assert sum(isinstance(event, Traded | BookChanged) for event in exchange.feed) < 500
    assert exchange.next_due() is not None
    assert exchange.next_due() > exchange.now
    assert CATCH_UP > WARM_UP


def test_a_rate_of_zero_is_an_empty_exchange() -> None:
    exchange = opened(temper=Temper(rate=0)).exchange
    assert exchange.next_due() is None
    assert all(exchange.book(market.id).best(side) is None for market in SANDBOX_MARKETS for side in Side)


def test_listings_are_the_markets() -> None:
    for listing in SANDBOX_LISTINGS:
        assert listing.market.ticks(listing.price) >= 5000  # a tick is two basis points or less
        assert listing.market.lots(listing.quantity) > 10 * listing.market.lots(listing.market.quantity_min)


# Kinds of crowds ------------------------------------------------------------------------------------------


def one_market(kind: str, seed: str, reaction: float = 0.0) -> Sandbox:
    return sandbox(seed, START, listings=SANDBOX_LISTINGS[:1], temper=replace(CROWDS[kind], reaction=reaction))


def places_in_the_queue(kind: str) -> list[float]:
    """Of each cancelled order among those at its price: 0 is the front, 1 the back."""
    exchange = one_market(kind, "queue").exchange
    places = []
    resting = {row.id: row for side in Side for row in exchange.database.resting(SANDBOX_MARKETS[0].id, side)}
    for second in range(3 * MINUTE):
        exchange.feed.clear()
        exchange.advance(START + second * SECOND)
        for event in exchange.feed:
            if not isinstance(event, OrderChanged):
                continue
            row = event.order
            if row.state is OrderState.CANCEL and row.id in resting:
                peers = sorted(n for n, peer in resting.items() if (peer.side, peer.ticks) == (row.side, row.ticks))
                if len(peers) > 1:
                    places.append(peers.index(row.id) / (len(peers) - 1))
            if row.state is OrderState.WAIT:
                resting[row.id] = row
            else:
                resting.pop(row.id, None)
    return places


@pytest.mark.slow
def test_a_front_heavy_crowd_cancels_near_the_front() -> None:
    uniform, front_heavy = places_in_the_queue("uniform"), places_in_the_queue("front_heavy")
    assert min(len(uniform), len(front_heavy)) > 100
    assert abs(mean(uniform) - 0.5) < 0.1
    assert mean(front_heavy) < 0.35


def moves_after_trades(kind: str) -> list[float]:
    """How far (bps) the mid price goes the taker's way, from just before its order to three seconds later."""
    exchange, market = one_market(kind, "moves").exchange, SANDBOX_MARKETS[0].id
    step = SECOND // 10
    mids: list[float] = []
    taken: list[tuple[int, int]] = []
    for number in range(10 * 5 * MINUTE):
        exchange.feed.clear()
        exchange.advance(START + number * step)
        bid, ask = (exchange.book(market).best(side) for side in Side)
        assert bid is not None
        assert ask is not None
        mids.append((bid + ask) / 2)
        signs = {event.trade.taker.side.sign for event in exchange.feed if isinstance(event, Traded)}
        taken += [(number, sign) for sign in signs]
    return [
        10_000 * sign * (mids[number + 30] - mids[number - 1]) / mids[number - 1]
        for number, sign in taken
        if 0 < number < len(mids) - 30
    ]


@pytest.mark.slow
def test_trades_of_informed_takers_come_before_the_move() -> None:
    assert mean(moves_after_trades("informed")) > mean(moves_after_trades("uniform")) + 1


def answers(reaction: float) -> tuple[int, int]:
    """A stranger improves the bid every second. How often the next act was an answer, by joining or outbidding, or by
    leaving the old best price."""
    world = one_market("uniform", "answers", reaction)
    exchange, market = world.exchange, SANDBOX_MARKETS[0]
    joined = left = 0
    for second in range(2 * MINUTE):
        exchange.advance(START + second * SECOND)
        book = exchange.book(market.id)
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert bid is not None
        assert ask is not None
        if ask - bid < 3:
            continue
        order = exchange.create(world.trader.id, market, Side.BUY, Decimal(300), market.price(bid + 1), at_once=True)
        exchange.feed.clear()
        due = exchange.next_due()
        assert due is not None
        exchange.advance(due)
        for event in exchange.feed:
            if isinstance(event, OrderChanged) and event.order.member != world.trader.id:
                row = event.order
                joined += row.state is OrderState.WAIT and row.side is Side.BUY and (row.ticks or 0) >= bid + 1
                left += row.state is OrderState.CANCEL and row.side is Side.BUY and row.ticks == bid
        exchange.cancel(order, at_once=True)
    return joined, left


def test_a_crowd_may_answer_to_whoever_improves_the_touch() -> None:
    (joined, left), (joined_always, left_always) = answers(0.0), answers(1.0)
    assert joined_always > joined + 20
    assert left_always > left + 10


@pytest.mark.parametrize("kind", CROWDS)
def test_every_crowd_keeps_its_market_alive(kind: str) -> None:
    world = one_market(kind, "alive", reaction=0.5)
    market = SANDBOX_MARKETS[0]
    for second in range(0, 5 * MINUTE, 5):
        world.exchange.advance(START + second * SECOND)
        bid, ask = (world.exchange.book(market.id).best(side) for side in Side)
        assert bid is not None
        assert ask is not None
        assert bid < ask < bid * 1.03
        assert all(world.exchange.book(market.id).level_count(side) >= Temper().sides_min // 2 for side in Side)
