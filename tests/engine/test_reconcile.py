"""Wanted against existing: nothing that is right is touched, nothing unresolved is doubled."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.engine.reconcile import BadQuote, Target, difference, targets
from runner.model.market import Market
from runner.model.order import Order, OrderState, Quote, Side

ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)
MARKETS = {ROGER.symbol: ROGER}
SLOTS = ("a", "b", "c")


def order(slot: str, side: Side, ticks: int, lots: int, state: OrderState, copies: int = 1) -> Order:
    return Order(
        client_id=f"{slot}{side}{ticks}",
        slot=slot,
        generation=0,
        market=ROGER.symbol,
        side=side,
        ticks=ticks,
        lots=lots,
        state=state,
        created=0,
        changed=0,
        event=1,
        sign_before=0,
        venue_ids=tuple(range(copies)),
    )


sides = st.sampled_from(Side)
alive = st.sampled_from([state for state in OrderState if not state.terminal])
wanted_maps = st.dictionaries(
    st.sampled_from(SLOTS), st.tuples(sides, st.integers(1, 3), st.integers(1, 2), st.booleans())
).map(
    lambda drawn: {
        slot: Target(slot, ROGER.symbol, side, ticks, lots, repeat, None)
        for slot, (side, ticks, lots, repeat) in drawn.items()
    }
)
existing_lists = st.lists(
    st.builds(order, st.sampled_from(SLOTS), sides, st.integers(1, 3), st.integers(1, 2), alive, st.integers(1, 2)),
    max_size=4,
)


@given(wanted=wanted_maps, existing=existing_lists, used=st.frozensets(st.sampled_from(SLOTS)))
def test_a_slot_with_an_order_that_may_exist_never_proposes(
    wanted: dict[str, Target], existing: list[Order], used: frozenset[str]
) -> None:
    apart = difference(wanted, existing, used)
    occupied = {each.slot for each in existing}
    assert not occupied & {target.slot for target in apart.proposals}
    assert {target.slot for target in apart.proposals} == {
        slot for slot, target in wanted.items() if slot not in occupied and (target.repeat or slot not in used)
    }


@given(wanted=wanted_maps, existing=existing_lists)
def test_exactly_what_is_not_wanted_and_not_on_its_way_already_is_cancelled(
    wanted: dict[str, Target], existing: list[Order]
) -> None:
    apart = difference(wanted, existing, frozenset())
    for each in existing:
        target = wanted.get(each.slot)
        as_wanted = (
            target is not None
            and (each.side, each.ticks, each.lots) == (target.side, target.ticks, target.lots)
            and len(each.venue_ids) == 1
        )
        resting = each.state in {OrderState.ACCEPTED, OrderState.OPEN}
        assert (each in apart.cancels) == (resting and not as_wanted)


@given(wanted=wanted_maps)
def test_once_everything_wanted_exists_there_is_no_difference(wanted: dict[str, Target]) -> None:
    existing = [order(t.slot, t.side, t.ticks or 0, t.lots, OrderState.OPEN) for t in wanted.values()]
    apart = difference(wanted, existing, frozenset())
    assert apart.cancels == ()
    assert apart.proposals == ()


def test_quotes_go_on_the_grid_away_from_the_market() -> None:
    quotes = [
        Quote("a", Side.BUY, 0.000050019, 10.009),
        Quote("b", Side.SELL, 0.000050011, 10.0),
        Quote("c", Side.SELL, "market", 5),
    ]
    wanted = targets(quotes, frozenset(SLOTS), ROGER.symbol, MARKETS)
    assert (wanted["a"].ticks, wanted["a"].lots) == (5001, 1000)
    assert wanted["b"].ticks == 5002
    assert wanted["c"].ticks is None
    assert not wanted["c"].repeat


@pytest.mark.parametrize(
    ("quote", "words"),
    [
        (Quote("z", Side.BUY, 1.0, 1.0), "was not declared"),
        (Quote("a", Side.BUY, float("nan"), 1.0), "not a finite number"),
        (Quote("a", Side.BUY, 1.0, float("inf")), "not a finite number"),
        (Quote("a", Side.BUY, 1.0, 1.0, market="LTC-BTC"), "not among the file's markets"),
    ],
)
def test_what_is_not_an_order_is_a_mistake_of_the_strategy(quote: Quote, words: str) -> None:
    with pytest.raises(BadQuote, match=words):
        targets([quote], frozenset(SLOTS), ROGER.symbol, MARKETS)


def test_a_slot_quoted_twice_is_a_mistake() -> None:
    with pytest.raises(BadQuote, match="twice"):
        targets([Quote("a", Side.BUY, 1.0, 1.0)] * 2, frozenset(SLOTS), ROGER.symbol, MARKETS)
