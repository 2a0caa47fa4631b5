"""Laws of pure market making, on the real book, view and reconciler."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from one_market import MARKET, SYMBOL, Facts, Levels, books, order_of, ticks_of, view_of

from runner.engine.reconcile import difference, targets
from runner.engine.view import View
from runner.model.event import BookGap
from runner.model.ids import valid_slot
from runner.model.order import Order, Quote, Side
from runner.model.settings import SECOND
from runner.model.units import BaseAmount, Duration, Ratio
from strategies.pure_market_making import Memory, PureMarketMaking


def maker(**changes: object) -> PureMarketMaking:
    params: dict[str, object] = {
        "bid_spread": Ratio("40bps"),
        "ask_spread": Ratio("40bps"),
        "order_amount": BaseAmount("1000 ROGER"),
        "order_level_spread": Ratio("20bps"),
    }
    return PureMarketMaking(**{**params, **changes})  # type: ignore[arg-type]


def basis_points(most: int) -> st.SearchStrategy[Ratio]:
    return st.integers(0, most).map(lambda number: Ratio(f"{number}bps"))


makers = st.builds(
    PureMarketMaking,
    bid_spread=basis_points(5000),
    ask_spread=basis_points(5000),
    order_amount=st.integers(1, 10**7).map(lambda lots: BaseAmount(MARKET.quantity(lots))),
    order_levels=st.integers(1, 6),
    order_level_spread=basis_points(5000),
    order_refresh_time=st.integers(1, 60).map(lambda seconds: Duration(f"{seconds}s")),
    order_refresh_tolerance_pct=basis_points(300),
    inventory_skew=basis_points(1000),
)
positions = st.floats(-1e9, 1e9)


# Laws of one tick -------------------------------------------------------------------------------------------


@given(makers, books(), positions)
def test_new_quotes_rest_behind_the_touch_and_never_meet(
    strategy: PureMarketMaking, book: tuple[Levels, Levels], position: float
) -> None:
    decision = strategy.tick(view_of(Facts(*book, position=position)), Memory())
    bids, asks = ticks_of(decision.quotes, Side.BUY), ticks_of(decision.quotes, Side.SELL)
    assert {quote.slot for quote in decision.quotes} <= set(strategy.slots())
    assert len(bids) + len(asks) == len(decision.quotes)
    assert all(ticks >= 1 for ticks in (*bids.values(), *asks.values()))
    assert all(ticks < min(book[1]) for ticks in bids.values())
    assert all(ticks > max(book[0]) for ticks in asks.values())
    assert max(bids.values(), default=0) < min(asks.values())
    assert len(asks) == strategy.order_levels
    assert {quote.quantity for quote in decision.quotes} == {float(strategy.order_amount)}
    in_order = [f"bid-{level}" for level in range(1, strategy.order_levels + 1) if f"bid-{level}" in bids]
    assert [bids[slot] for slot in in_order] == sorted(bids.values(), reverse=True)
    assert list(asks.values()) == sorted(asks.values())


@given(makers)
def test_slots_are_valid_and_fixed(strategy: PureMarketMaking) -> None:
    slots = list(strategy.slots())
    assert len(set(slots)) == len(slots) == 2 * strategy.order_levels
    assert all(valid_slot(slot) for slot in slots)


@given(makers, books(), positions, st.data())
def test_own_orders_in_the_book_do_not_move_the_quotes(
    strategy: PureMarketMaking, book: tuple[Levels, Levels], position: float, data: st.DataObject
) -> None:
    bids, asks = dict(book[0]), dict(book[1])
    orders = []
    for slot in strategy.slots():
        side = Side.BUY if slot.startswith("bid") else Side.SELL
        ticks = data.draw(
            st.integers(max(book[0]), min(book[1]))
            if side is Side.BUY
            else st.integers(max(book[0]) + 1, min(book[1]) + 3)
        )
        lots = data.draw(st.integers(1, 10**6))
        orders.append(order_of(slot, side, ticks, lots))
        levels = bids if side is Side.BUY else asks
        levels[ticks] = levels.get(ticks, 0) + lots
    assume(max(bids) < min(asks))
    alone = strategy.tick(view_of(Facts(*book, position=position)), Memory())
    among = strategy.tick(view_of(Facts(bids, asks, orders, position)), Memory())
    assert list(among.quotes) == list(alone.quotes)


@given(makers, books(), positions)
def test_a_tick_is_a_pure_function_of_values_that_survive_a_journal(
    strategy: PureMarketMaking, book: tuple[Levels, Levels], position: float
) -> None:
    first = strategy.tick(view_of(Facts(*book, position=position)), Memory())
    assert strategy.tick(view_of(Facts(*book, position=position)), Memory()) == first
    restored = msgspec.json.decode(msgspec.json.encode(first.state), type=Memory)
    assert restored == first.state


@given(makers, books())
def test_a_long_position_lowers_prices_and_a_short_one_raises_them(
    strategy: PureMarketMaking, book: tuple[Levels, Levels]
) -> None:
    amount = float(strategy.order_amount)
    sums = []
    for position in (2 * amount, 0.0, -2 * amount):
        quotes = strategy.tick(view_of(Facts(*book, position=position)), Memory()).quotes
        asks, bids = ticks_of(quotes, Side.SELL), ticks_of(quotes, Side.BUY)
        sums.append((asks["ask-1"], bids.get("bid-1", 0)))
    assert sums == sorted(sums)
    assert [bid for _, bid in sums] == sorted(bid for _, bid in sums)


# Examples a reader can check by hand ------------------------------------------------------------------------

AROUND_5000 = ({4990: 100_00, 4980: 100_00}, {5010: 100_00, 5020: 100_00})


def test_spreads_are_parts_of_mid_and_levels_add_up() -> None:
    decision = maker(order_levels=3).tick(view_of(Facts(*AROUND_5000)), Memory())
    assert ticks_of(decision.quotes, Side.BUY) == {"bid-1": 4980, "bid-2": 4970, "bid-3": 4960}
    assert ticks_of(decision.quotes, Side.SELL) == {"ask-1": 5020, "ask-2": 5030, "ask-3": 5040}
    assert decision.reason == "6 new quotes: mid 0.000050000"


def test_skew_moves_all_prices_by_its_part_per_order_amount() -> None:
    strategy = maker(inventory_skew=Ratio("10bps"))
    decision = strategy.tick(view_of(Facts(*AROUND_5000, position=2000.0)), Memory())
    assert ticks_of(decision.quotes, Side.BUY) == {"bid-1": 4970}  # 4990 less 40 bps: down to the tick
    assert ticks_of(decision.quotes, Side.SELL) == {"ask-1": 5010}
    assert "prices moved -0.200% by skew" in decision.reason


def test_a_ladder_that_would_cross_moves_behind_the_touch_as_a_whole() -> None:
    strategy = maker(inventory_skew=Ratio("1%"), order_levels=2)
    decision = strategy.tick(view_of(Facts(*AROUND_5000, position=3000.0)), Memory())
    asks = ticks_of(decision.quotes, Side.SELL)
    assert asks["ask-1"] == 4991
    assert asks["ask-2"] == 4991 + 10  # 20 bps of the centre, 4850


@pytest.mark.parametrize(
    ("bids", "asks", "words"),
    [
        ({}, {}, "the book is empty or has a gap"),
        ({}, {5000: 1}, "nobody else bids"),
        ({5000: 1}, {}, "nobody else asks"),
    ],
)
def test_without_a_mid_nothing_is_quoted(bids: Levels, asks: Levels, words: str) -> None:
    memory = Memory((Quote("bid-1", Side.BUY, 0.00005, 1000.0),), 999 * SECOND)
    decision = maker().tick(view_of(Facts(bids, asks)), memory)
    assert (list(decision.quotes), decision.state) == ([], Memory())
    assert words in decision.reason


def test_a_gap_takes_the_quotes_away() -> None:
    facts = Facts(*AROUND_5000)
    facts.live.apply(BookGap(SYMBOL, "sequence"), 1)
    assert list(maker().tick(view_of(facts), Memory()).quotes) == []


def test_alone_on_a_side_there_is_no_mid() -> None:
    decision = maker().tick(view_of(Facts({4990: 5}, {5010: 7}, [order_of("ask-1", Side.SELL, 5010, 7)])), Memory())
    assert list(decision.quotes) == []
    assert "nobody else asks" in decision.reason


def resting(decision_quotes: Sequence[Quote]) -> list[Order]:
    """The orders that a decision's quotes become."""
    wanted = targets(decision_quotes, frozenset(maker(order_levels=6).slots()), SYMBOL, {SYMBOL: MARKET})
    return [order_of(slot, target.side, target.ticks or 0, target.lots) for slot, target in wanted.items()]


def shifted(ticks: int) -> tuple[Levels, Levels]:
    return tuple({level + ticks: lots for level, lots in side.items()} for side in AROUND_5000)  # type: ignore[return-value]


def test_within_the_refresh_time_quotes_stay_whatever_the_market_does() -> None:
    strategy = maker(order_levels=2)
    first = strategy.tick(view_of(Facts(*AROUND_5000), time=1000 * SECOND), Memory())
    later = strategy.tick(view_of(Facts(*shifted(15), resting(first.quotes)), time=1029 * SECOND), first.state)
    assert list(later.quotes) == list(first.quotes)
    assert later.state == first.state
    due = strategy.tick(view_of(Facts(*shifted(15), resting(first.quotes)), time=1030 * SECOND), later.state)
    assert ticks_of(due.quotes, Side.BUY)["bid-1"] == 4994  # 5015 less 40 bps


def test_prices_within_tolerance_stay_and_are_weighed_again_a_refresh_later() -> None:
    strategy = maker(order_refresh_tolerance_pct=Ratio("20bps"))
    first = strategy.tick(view_of(Facts(*AROUND_5000), time=1000 * SECOND), Memory())
    orders = resting(first.quotes)
    near = strategy.tick(view_of(Facts(*shifted(9), orders), time=1030 * SECOND), first.state)
    assert list(near.quotes) == list(first.quotes)
    assert near.state == Memory(tuple(first.quotes), 1030 * SECOND)
    far = strategy.tick(view_of(Facts(*shifted(12), orders), time=1031 * SECOND), near.state)
    assert list(far.quotes) == list(first.quotes)  # far off, but not due
    due = strategy.tick(view_of(Facts(*shifted(12), orders), time=1060 * SECOND), far.state)
    assert ticks_of(due.quotes, Side.BUY) == {"bid-1": 4991}


def test_a_filled_slot_is_quoted_at_the_prices_of_now_and_the_others_stay() -> None:
    strategy = maker(order_levels=2)
    first = strategy.tick(view_of(Facts(*AROUND_5000), time=1000 * SECOND), Memory())
    left = [order for order in resting(first.quotes) if order.slot != "bid-1"]
    next_tick = strategy.tick(view_of(Facts(*shifted(-15), left), time=1001 * SECOND), first.state)
    assert ticks_of(next_tick.quotes, Side.BUY) == {"bid-1": 4965, "bid-2": 4970}
    assert ticks_of(next_tick.quotes, Side.SELL) == ticks_of(first.quotes, Side.SELL)
    assert next_tick.reason.startswith("bid-1 quoted anew")
    assert next_tick.state == Memory(tuple(next_tick.quotes), 1000 * SECOND)  # the others' time runs on


def test_a_new_quote_does_not_meet_an_order_that_stays() -> None:
    """The market rose from 5000 to 5105, the ask at 5020 is not due yet, and the bid's slot has become free."""
    strategy = maker()
    first = strategy.tick(view_of(Facts(*AROUND_5000)), Memory())
    ask = order_of("ask-1", Side.SELL, 5020, 1000_00)
    rose = Facts({5010: 100_00}, {5020: ask.lots, 5200: 100_00}, [ask])
    second = strategy.tick(view_of(rose, time=1001 * SECOND), first.state)
    assert ticks_of(second.quotes, Side.SELL) == {"ask-1": 5020}
    assert ticks_of(second.quotes, Side.BUY) == {"bid-1": 5019}  # and not 5084


def test_the_same_with_sides_changed() -> None:
    strategy = maker()
    first = strategy.tick(view_of(Facts(*AROUND_5000)), Memory())
    bid = order_of("bid-1", Side.BUY, 4980, 1000_00)
    fell = Facts({4980: bid.lots, 4800: 100_00}, {4990: 100_00}, [bid])
    second = strategy.tick(view_of(fell, time=1001 * SECOND), first.state)
    assert ticks_of(second.quotes, Side.BUY) == {"bid-1": 4980}
    assert ticks_of(second.quotes, Side.SELL) == {"ask-1": 4981}  # and not 4915


def test_a_changed_order_amount_is_quoted_at_once() -> None:
    first = maker().tick(view_of(Facts(*AROUND_5000)), Memory())
    changed = maker(order_amount=BaseAmount("500 ROGER"))
    second = changed.tick(view_of(Facts(*AROUND_5000, resting(first.quotes)), time=1001 * SECOND), first.state)
    assert {quote.quantity for quote in second.quotes} == {500.0}


# A maker's life ---------------------------------------------------------------------------------------------


class MakerMachine(RuleBasedStateMachine):
    """A market that walks, fills and loses orders, around one maker whose decisions the real reconciler carries out."""

    @initialize(strategy=makers, bid=st.integers(100, 10_000), gap=st.integers(2, 60))
    def begin(self, strategy: PureMarketMaking, bid: int, gap: int) -> None:
        self.strategy = strategy
        self.bid, self.ask = bid, bid + gap
        self.time = 1000 * SECOND
        self.memory = Memory()
        self.orders: dict[str, Order] = {}
        self.position = 0.0

    # The market ---------------------------------------------------------------------------------------------

    @rule(bid=st.integers(-40, 40), gap=st.integers(1, 60))
    def market_moves(self, bid: int, gap: int) -> None:
        self.bid = max(1, self.bid + bid)
        self.ask = self.bid + gap
        for order in list(self.orders.values()):
            assert order.ticks is not None
            if (order.ticks >= self.ask) if order.side is Side.BUY else (order.ticks <= self.bid):
                self.fills(order.slot)

    @rule(data=st.data())
    def somebody_trades_with_us(self, data: st.DataObject) -> None:
        if self.orders:
            self.fills(data.draw(st.sampled_from(sorted(self.orders))))

    @rule(data=st.data())
    def an_order_vanishes(self, data: st.DataObject) -> None:
        if self.orders:
            del self.orders[data.draw(st.sampled_from(sorted(self.orders)))]

    def fills(self, slot: str) -> None:
        order = self.orders.pop(slot)
        self.position += order.side.sign * MARKET.quantity_float(order.lots)

    # The maker ----------------------------------------------------------------------------------------------

    @rule()
    def restart(self) -> None:
        self.memory = msgspec.json.decode(msgspec.json.encode(self.memory), type=Memory)

    @rule(seconds=st.integers(0, 70))
    def tick(self, seconds: int) -> None:
        self.time += seconds * SECOND
        due = self.time - self.memory.weighed_at >= self.strategy.order_refresh_time
        before = {quote.slot: quote for quote in self.memory.quotes}
        decision = self.strategy.tick(self.view(), self.memory)
        assert isinstance(decision.state, Memory)
        assert tuple(decision.quotes) == decision.state.quotes
        self.memory = decision.state
        wanted = targets(decision.quotes, frozenset(self.strategy.slots()), SYMBOL, {SYMBOL: MARKET})
        todo = difference(wanted, self.orders.values(), frozenset())
        assert not todo.cancels or due
        if todo.cancels:
            self.some_price_had_moved(before)
        elif due:
            assert self.memory.weighed_at == self.time
        for target in todo.proposals:
            assert target.ticks is not None
            self.orders[target.slot] = order_of(target.slot, target.side, target.ticks, target.lots)
        for order in todo.cancels:
            del self.orders[order.slot]

    def view(self) -> View:
        bids, asks = {self.bid: 500, max(1, self.bid - 7): 900}, {self.ask: 500, self.ask + 7: 900}
        for order in self.orders.values():
            assert order.ticks is not None
            levels = bids if order.side is Side.BUY else asks
            levels[order.ticks] = levels.get(order.ticks, 0) + order.lots
        return view_of(Facts(bids, asks, list(self.orders.values()), self.position), self.time)

    def some_price_had_moved(self, before: Mapping[str, Quote]) -> None:
        """Orders were taken away, so one of them was off by more than tolerated, at the prices of now."""
        fresh = {quote.slot: quote for quote in self.strategy.tick(self.view(), Memory()).quotes}
        tolerance = self.strategy.order_refresh_tolerance_pct
        moved = []
        for slot in self.orders:
            old, new = before[slot].price, fresh[slot].price if slot in fresh else None
            assert isinstance(old, float)
            moved.append(new is None or new == "market" or abs(new - old) > tolerance * old)
        assert any(moved)

    @invariant()
    def orders_rest_and_never_meet(self) -> None:
        orders = getattr(self, "orders", {}).values()
        bids = [order.ticks for order in orders if order.side is Side.BUY]
        asks = [order.ticks for order in orders if order.side is Side.SELL]
        if orders:
            assert max(bids, default=0) < min([*asks, self.ask])
            assert min(asks, default=self.ask) > max([*bids, self.bid])


TestMakerMachine = MakerMachine.TestCase
TestMakerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
