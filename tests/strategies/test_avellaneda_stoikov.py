"""Laws of Avellaneda and Stoikov's market maker: the formulas, what it learns from, and what it quotes."""

import math
from collections.abc import Sequence
from decimal import Decimal
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from one_market import MARKET, SYMBOL, Facts, Levels, books, order_of, ticks_of, view_of

from runner.engine.view import Balance
from runner.model.event import PublicTrade
from runner.model.ids import valid_slot
from runner.model.order import Order, Quote, Side
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.model.units import BaseAmount, Duration, Ratio
from runner.run.chaos.ending import conclude
from runner.run.chaos.world import World
from runner.simulation.markets import SANDBOX_BALANCES
from strategies.avellaneda_stoikov import (
    GAP,
    AvellanedaStoikov,
    Learnt,
    Memory,
    decay,
    finite_horizon,
    hummingbot,
    stationary,
)

TICK = MARKET.price_float(1)
NOW = 1000 * SECOND

gammas = st.floats(1e-4, 100)
inventories = st.floats(-5, 5)
learnt = st.builds(
    lambda volatility, kappa: Learnt(volatility**2, volatility, kappa), st.floats(0, 100), st.floats(1e-3, 10)
)


# The formulas ---------------------------------------------------------------------------------------------


@given(inventories, gammas, learnt, st.floats(0, 3600))
def test_the_finite_horizon_is_the_paper(q: float, gamma: float, seen: Learnt, seconds: float) -> None:
    found = finite_horizon(5000.0, q, gamma, seen, seconds)
    risk = Decimal(gamma) * Decimal(seen.variance) * Decimal(seconds)
    reservation = 5000 - Decimal(q) * risk
    spread = risk + 2 / Decimal(gamma) * (1 + Decimal(gamma) / Decimal(seen.decay)).ln()
    assert found.bid == pytest.approx(float(reservation - spread / 2), rel=1e-9, abs=1e-6)
    assert found.ask == pytest.approx(float(reservation + spread / 2), rel=1e-9, abs=1e-6)


@given(learnt)
def test_without_aversion_and_time_the_spread_is_what_takers_bear(seen: Learnt) -> None:
    found = finite_horizon(5000.0, 3.0, 1e-9, seen, 0.0)
    assert found.ask - found.bid == pytest.approx(2 / seen.decay, rel=1e-5)
    assert found.ask + found.bid == pytest.approx(10_000)


@given(st.integers(-10, 10), gammas, learnt, st.floats(0.01, 1e6))
def test_the_stationary_form_is_the_paper_in_which_volatility_cancels(
    q: int, gamma: float, seen: Learnt, variance: float
) -> None:
    found = stationary(5000.0, q, gamma, seen, 10)
    square = Decimal(gamma) ** 2 * Decimal(variance)
    omega = square * (10 + 1) ** 2 / 2
    room = 2 * omega - square * q**2
    premium = (1 + Decimal(gamma) / Decimal(seen.decay)).ln() / Decimal(gamma)
    ask = 5000 + (1 + (1 - 2 * q) * square / room).ln() / Decimal(gamma) + premium
    assert found.ask == pytest.approx(float(ask), rel=1e-9)
    if q == 10:
        assert found.bid == -math.inf  # the next one bought would be the eleventh
    else:
        bid = 5000 + (1 + (-1 - 2 * q) * square / room).ln() / Decimal(gamma) - premium
        assert found.bid == pytest.approx(float(bid), rel=1e-9)


@given(inventories, gammas, learnt, st.floats(0, 1))
def test_hummingbots_form_has_volatility_once_and_is_in_the_quote_currency(
    q: float, gamma: float, seen: Learnt, time_left: float
) -> None:
    found = hummingbot(5000.0, q, gamma, seen, time_left, TICK)
    volatility, kappa = Decimal(seen.volatility) * Decimal(TICK), Decimal(seen.decay) / Decimal(TICK)
    risk = Decimal(gamma) * volatility * Decimal(time_left)
    reservation = Decimal(5000) * Decimal(TICK) - Decimal(q) * risk
    spread = risk + 2 * (1 + Decimal(gamma) / kappa).ln() / Decimal(gamma)
    assert found.bid * TICK == pytest.approx(float(reservation - spread / 2), rel=1e-7, abs=1e-13)
    assert found.ask * TICK == pytest.approx(float(reservation + spread / 2), rel=1e-7, abs=1e-13)


@given(st.lists(inventories, min_size=2, max_size=2, unique=True), gammas, learnt)
def test_more_inventory_never_raises_a_price(two: list[float], gamma: float, seen: Learnt) -> None:
    less, more = sorted(two)
    for low, high in (
        (finite_horizon(5000.0, more, gamma, seen, 60.0), finite_horizon(5000.0, less, gamma, seen, 60.0)),
        (stationary(5000.0, more, gamma, seen, 10), stationary(5000.0, less, gamma, seen, 10)),
        (hummingbot(5000.0, more, gamma, seen, 1.0, TICK), hummingbot(5000.0, less, gamma, seen, 1.0, TICK)),
    ):
        assert low.bid <= high.bid + 1e-9
        assert low.ask <= high.ask + 1e-9
        assert low.bid < low.ask


# What it learns from --------------------------------------------------------------------------------------


@given(st.floats(0.001, 10), st.integers(20, 300))
def test_the_decay_of_depths_as_the_model_has_them_is_found(kappa: float, count: int) -> None:
    depths = [-math.log(1 - (number + 0.5) / count) / kappa for number in range(count)]
    assert decay(depths) == pytest.approx(kappa, rel=0.15)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=60), st.integers(1, 64), st.randoms())
def test_decay_falls_is_per_distance_and_knows_no_order(depths: list[int], scale: int, dice: Random) -> None:
    found = decay([float(depth) for depth in depths])
    assert found > 0
    shuffled = sorted(map(float, depths), key=lambda _: dice.random())
    assert decay(shuffled) == found
    assert decay([depth * scale for depth in shuffled]) == pytest.approx(found / scale, rel=1e-9)


@pytest.mark.parametrize("depths", [[5.0], [5.0, 5.0, 5.0], [4.0, 6.0]])
def test_too_few_for_a_line_tell_their_mean(depths: list[float]) -> None:
    assert decay(depths) == pytest.approx(0.2)


# What it quotes -------------------------------------------------------------------------------------------


def maker(**changes: object) -> AvellanedaStoikov:
    params: dict[str, object] = {
        "variant": "hummingbot",
        "risk_factor": 1.0,
        "order_amount": BaseAmount("1000 ROGER"),
        "volatility_buffer_size": 3,
        "trading_intensity_buffer_size": 4,
    }
    return AvellanedaStoikov(**{**params, **changes})  # type: ignore[arg-type]


def basis_points(most: int) -> st.SearchStrategy[Ratio]:
    return st.integers(0, most).map(lambda number: Ratio(f"{number}bps"))


@st.composite
def makers(draw: st.DrawFn) -> AvellanedaStoikov:
    variant = draw(st.sampled_from(["hummingbot", "finite_horizon", "stationary"]))
    times = st.integers(1, 10_000).map(lambda seconds: Duration(f"{seconds}s"))
    horizon = {"finite_horizon": times, "stationary": st.none()}.get(variant, st.none() | times)
    return maker(
        variant=variant,
        horizon=draw(horizon),
        risk_factor=draw(st.floats(1e-6, 1e6)),
        order_amount=BaseAmount(MARKET.quantity(draw(st.integers(100, 10**7)))),
        min_spread=draw(basis_points(5000)),
        order_amount_shape_factor=draw(st.floats(0, 1)),
        inventory_target_base_pct=draw(basis_points(10_000)),
        max_inventory=draw(st.integers(1, 20)),
        order_levels=draw(st.integers(1, 5)),
        level_distances=draw(basis_points(20_000)),
        order_optimization_enabled=draw(st.booleans()),
        order_refresh_time=draw(times),
        order_refresh_tolerance_pct=draw(basis_points(300)),
    )


def trades_at(side: Side, *prices: int) -> list[PublicTrade]:
    return [
        PublicTrade(market=SYMBOL, id=number, ticks=price, lots=100, taker_side=side, traded_at=0)
        for number, price in enumerate(prices)
    ]


def knowing(book: tuple[Levels, Levels], **changes: object) -> Memory:
    """As after a minute of watching this book."""
    twice_mid = max(book[0]) + min(book[1])
    known: dict[str, object] = {
        "began": NOW - 60 * SECOND,
        "mid": twice_mid,
        "sample": twice_mid,
        "sampled_at": NOW - SECOND,
        "moves": ((4, SECOND), (-3, SECOND)),
        "depths": (1.0, 2.0, 2.0, 4.0),
    }
    return Memory(**{**known, **changes})  # type: ignore[arg-type]


def facts_with(book: tuple[Levels, Levels], position: float, roger: float, btc: float) -> Facts:
    facts = Facts(*book, position=position)
    facts.balances = {"ROGER": Balance(roger, 0.0), "BTC": Balance(btc, 0.0)}
    return facts


amounts = st.floats(0, 1e9)


@settings(max_examples=300)
@given(makers(), books(), st.floats(-1e9, 1e9), amounts, amounts)
def test_quotes_rest_behind_the_touch_as_far_apart_as_wanted(
    strategy: AvellanedaStoikov, book: tuple[Levels, Levels], position: float, roger: float, btc: float
) -> None:
    decision = strategy.tick(view_of(facts_with(book, position, roger, btc)), knowing(book))
    bids, asks = ticks_of(decision.quotes, Side.BUY), ticks_of(decision.quotes, Side.SELL)
    assert {quote.slot for quote in decision.quotes} <= set(strategy.slots())
    assert len(bids) + len(asks) == len(decision.quotes)
    assert all(1 <= ticks < min(book[1]) for ticks in bids.values())
    assert all(ticks > max(book[0]) for ticks in asks.values())
    assert list(bids.values()) == sorted(bids.values(), reverse=True)
    assert list(asks.values()) == sorted(asks.values())
    mid = (max(book[0]) + min(book[1])) / 2
    if bids and asks:
        assert asks["ask-1"] - bids["bid-1"] >= strategy.min_spread * mid - 1e-5 * mid
    for quote in decision.quotes:
        assert 1 <= MARKET.lots_for(quote.quantity) <= MARKET.lots_for(strategy.order_amount)


@given(makers(), books(), st.floats(-1e9, 1e9), amounts, amounts)
def test_a_tick_is_a_pure_function_of_values_that_survive_a_journal(
    strategy: AvellanedaStoikov, book: tuple[Levels, Levels], position: float, roger: float, btc: float
) -> None:
    first = strategy.tick(view_of(facts_with(book, position, roger, btc)), knowing(book))
    assert strategy.tick(view_of(facts_with(book, position, roger, btc)), knowing(book)) == first
    assert msgspec.json.decode(msgspec.json.encode(first.state), type=Memory) == first.state


@given(makers())
def test_slots_are_valid_and_fixed(strategy: AvellanedaStoikov) -> None:
    slots = list(strategy.slots())
    assert len(set(slots)) == len(slots) == 2 * strategy.order_levels
    assert all(valid_slot(slot) for slot in slots)


AROUND_5000 = ({4990: 100_00, 4980: 100_00}, {5010: 100_00, 5020: 100_00})


@given(st.lists(st.tuples(st.integers(1, 70), st.integers(0, 3)), max_size=60))
def test_what_is_remembered_has_an_end_and_comes_once_a_second(steps: list[tuple[int, int]]) -> None:
    strategy, memory, now = maker(), Memory(), NOW
    for ticks_of_250_ms, trades in steps:
        now += ticks_of_250_ms * SECOND // 4
        facts = Facts(*AROUND_5000)
        facts.trades = trades_at(Side.BUY, *[5010 + number for number in range(trades)])
        decision = strategy.tick(view_of(facts, now), memory)
        assert isinstance(decision.state, Memory)
        memory = decision.state
        assert len(memory.moves) <= 2
        assert len(memory.depths) <= 4
        assert all(elapsed >= SECOND for _, elapsed in memory.moves)
        learnt_enough = len(memory.moves) == 2 and len(memory.depths) == 4
        assert bool(decision.quotes) <= learnt_enough


def test_it_says_what_it_still_has_to_learn() -> None:
    decision = maker().tick(view_of(Facts(*AROUND_5000)), Memory())
    assert list(decision.quotes) == []
    assert decision.reason == "no quotes: learning, 1 of 3 prices and 0 of 4 takers' orders seen"


def test_a_sweep_counts_once_by_how_far_it_reached() -> None:
    facts = Facts(*AROUND_5000)
    facts.trades = [*trades_at(Side.BUY, 5010, 5013), *trades_at(Side.SELL, 4990), *trades_at(Side.BUY, 5010)]
    state = maker().tick(view_of(facts), knowing(AROUND_5000, depths=())).state
    assert isinstance(state, Memory)
    assert state.depths == (13.0, 10.0, 10.0)


def test_after_a_pause_it_learns_anew() -> None:
    memory = knowing(AROUND_5000)
    on_time = maker().tick(view_of(Facts(*AROUND_5000), memory.sampled_at + GAP), memory)
    late = maker().tick(view_of(Facts(*AROUND_5000), memory.sampled_at + GAP + 1), memory)
    assert len(on_time.quotes) == 2
    assert (len(late.quotes), late.reason.split(",")[0]) == (0, "no quotes: learning")


def test_without_a_mid_nothing_is_quoted_and_nothing_is_forgotten() -> None:
    memory = knowing(AROUND_5000, quotes=(Quote("bid-1", Side.BUY, 0.00005, 1000.0),))
    decision = maker().tick(view_of(Facts({4990: 5}, {})), memory)
    assert list(decision.quotes) == []
    assert decision.state == msgspec.structs.replace(memory, quotes=())


def test_where_all_reach_alike_the_mean_tells_how_far() -> None:
    strategy = maker(risk_factor=0.001, order_optimization_enabled=False)
    decision = strategy.tick(view_of(Facts(*AROUND_5000)), knowing(AROUND_5000, depths=(15.0,) * 4))
    assert ticks_of(decision.quotes, Side.BUY) == {"bid-1": 4984}  # 1/κ below mid, and a little for the risk
    assert ticks_of(decision.quotes, Side.SELL) == {"ask-1": 5016}


def test_numbers_that_a_reader_can_check() -> None:
    """Depths 1, 2, 2, 4 are reached by 4, 3, 3 and 1: of these only 1 and 2 by two or more. κ = ln(4/3) a tick."""
    strategy = maker(
        variant="finite_horizon", horizon=Duration("60s"), risk_factor=0.01, order_optimization_enabled=False
    )
    decision = strategy.tick(view_of(Facts(*AROUND_5000, position=2000.0)), knowing(AROUND_5000, began=NOW))
    variance = (9 + 0) / 4 / 2  # two moves are kept, of 3 and 0 half ticks, in two seconds
    risk = 0.01 * variance * 60
    half = risk / 2 + math.log1p(0.01 / math.log(4 / 3)) / 0.01
    assert ticks_of(decision.quotes, Side.BUY) == {"bid-1": math.floor(5000 - 2 * risk - half)}
    assert ticks_of(decision.quotes, Side.SELL) == {"ask-1": math.ceil(5000 - 2 * risk + half)}


def test_orders_that_add_to_the_inventory_shrink_with_it() -> None:
    facts = facts_with(AROUND_5000, 0.0, 20_000.0, 0.0)  # all of it in ROGER: q = 1 - 0.5
    decision = maker(order_amount_shape_factor=1.0).tick(view_of(facts), knowing(AROUND_5000))
    sizes = {quote.slot: quote.quantity for quote in decision.quotes}
    assert sizes == {"bid-1": pytest.approx(1000 * math.exp(-0.5)), "ask-1": 1000.0}


def test_at_its_most_the_stationary_form_sells_only() -> None:
    strategy = maker(variant="stationary", max_inventory=2, order_levels=2, level_distances=Ratio("50%"))
    decision = strategy.tick(view_of(Facts(*AROUND_5000, position=2000.0)), knowing(AROUND_5000))
    assert [quote.slot for quote in decision.quotes] == ["ask-1", "ask-2"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"variant": "finite_horizon"}, "needs a horizon"),
        ({"variant": "stationary", "horizon": Duration("1h")}, "has no horizon"),
    ],
)
def test_a_horizon_is_for_forms_that_have_one(changes: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        maker(**changes)


def resting(quotes: Sequence[Quote]) -> list[Order]:
    return [
        order_of(quote.slot, quote.side, ticks_of([quote], quote.side)[quote.slot], MARKET.lots_for(quote.quantity))
        for quote in quotes
    ]


def moved(by: int) -> tuple[Levels, Levels]:
    bids, asks = ({level + by: lots for level, lots in side.items()} for side in AROUND_5000)
    return bids, asks


def test_orders_stay_until_they_are_weighed_and_a_filled_one_comes_back() -> None:
    strategy = maker(order_levels=2, level_distances=Ratio("100%"), order_refresh_time=Duration("30s"))
    first = strategy.tick(view_of(Facts(*AROUND_5000)), knowing(AROUND_5000))
    assert len(first.quotes) == 4
    orders = resting(first.quotes)
    later = strategy.tick(view_of(Facts(*moved(3), orders), NOW + 29 * SECOND), first.state)
    assert (list(later.quotes), later.reason) == (list(first.quotes), "4 orders kept")
    left = [order for order in orders if order.slot != "ask-1"]
    again = strategy.tick(view_of(Facts(*moved(3), left), NOW + 29 * SECOND), first.state)
    assert [new.slot for new, old in zip(again.quotes, first.quotes, strict=True) if new != old] == ["ask-1"]
    due = strategy.tick(view_of(Facts(*moved(3), orders), NOW + 30 * SECOND), later.state)
    assert ticks_of(due.quotes, Side.BUY)["bid-1"] > ticks_of(first.quotes, Side.BUY)["bid-1"]


def test_other_parameters_are_quoted_at_the_next_weighing_and_slots_that_are_gone_at_once() -> None:
    """As after a restart with a changed file."""
    first = maker(order_levels=2, level_distances=Ratio("100%")).tick(
        view_of(Facts(*AROUND_5000)), knowing(AROUND_5000)
    )
    facts = Facts(*AROUND_5000, resting(first.quotes))
    fewer = maker(order_amount=BaseAmount("500 ROGER"))
    soon = fewer.tick(view_of(facts, NOW + SECOND), first.state)
    assert [quote.slot for quote in soon.quotes] == ["bid-1", "ask-1"]
    due = fewer.tick(view_of(facts, NOW + 30 * SECOND), soon.state)
    assert [(quote.slot, quote.quantity) for quote in due.quotes] == [("bid-1", 500.0), ("ask-1", 500.0)]


# In the sandbox's market ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "gamma"), [("hummingbot", 5), ("finite_horizon", 0.0005), ("stationary", 0.01)])
def test_it_trades_in_the_sandboxs_market_and_leaves_nothing(variant: str, gamma: float) -> None:
    params = {
        "variant": variant,
        "risk_factor": gamma,
        "order_amount": "500 ROGER",
        "min_spread": "50bps",
        "order_levels": 2,
        "level_distances": "50%",
        "order_refresh_time": "10s",
        "volatility_buffer_size": 20,
        "trading_intensity_buffer_size": 10,
    }
    world = World(
        variant,
        Settings(
            name="simulated",
            tag="ABCDEF",
            markets=("ROGER-BTC",),
            strategy="avellaneda_stoikov",
            params={**params, **({"horizon": "10m"} if variant == "finite_horizon" else {})},
            tick=TickPolicy(every=SECOND, when=("book", "fill"), at_most_every=SECOND // 4),
            limits=Limits(max_open_orders=8),
        ),
        AvellanedaStoikov,
        None,
    )
    world.run_for(600)
    assert len(world.journal.fills) > 3
    world.stop()
    world.run_for(200)
    assert conclude(world, {currency: SANDBOX_BALANCES[currency] for currency in ("ROGER", "BTC")}) == []
    assert world.finish is not None
    assert world.finish.exit_code == 0, world.finish
