"""Which orders may stay when the position is only to be reduced: laws beside the definition, spelt out."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.engine.reducing import reducing
from runner.model.market import Market
from runner.model.money import ZERO
from runner.model.order import Order, OrderState, Side


def market(quote: str) -> Market:
    return Market(
        id=f"roger{quote.lower()}",
        base="ROGER",
        quote=quote,
        price_precision=8,
        amount_precision=2,
        price_min=Decimal("0.00000010"),
        quantity_min=Decimal(1),
        maker_fee=Decimal("0.001"),
        taker_fee=Decimal("0.002"),
    )


MARKETS = {each.symbol: each for each in (market("BTC"), market("USDT"))}


@st.composite
def books(draw: st.DrawFn) -> list[Order]:
    orders = []
    for number in range(draw(st.integers(0, 7))):
        lots = draw(st.integers(1, 4000))
        orders.append(
            Order(
                client_id=f"R{number}",
                slot=f"s{number}",
                generation=0,
                market=draw(st.sampled_from(sorted(MARKETS))),
                side=draw(st.sampled_from(Side)),
                ticks=draw(st.one_of(st.none(), st.integers(1, 9))),
                lots=lots,
                state=draw(st.sampled_from([OrderState.OPEN, OrderState.OPEN, OrderState.ACCEPTED, *OrderState])),
                created=0,
                changed=0,
                event=0,
                sign_before=0,
                venue_ids=draw(st.sampled_from([(number,), (number,), (), (number, 100 + number)])),
                filled_lots=draw(st.integers(0, lots)),
            )
        )
    return orders


positions = st.decimals(min_value=-100, max_value=100, places=2)


@given(books(), positions)
def test_what_stays_brings_the_position_nearer_to_zero_and_not_beyond(orders: list[Order], held: Decimal) -> None:
    kept = reducing(orders, {"ROGER": held}.__getitem__, MARKETS)
    staying = [order for order in orders if order.client_id in kept]
    assert all(order.side is (Side.SELL if held > 0 else Side.BUY) for order in staying)
    reach = sum((MARKETS[order.market].quantity(order.unbooked_lots) for order in staying), ZERO)
    assert reach <= abs(held)
    assert all(order.state in {OrderState.OPEN, OrderState.ACCEPTED} for order in staying)
    assert all(order.ticks is not None and len(order.venue_ids) == 1 for order in staying)


@given(books(), positions, st.data())
def test_a_fill_of_what_stays_sends_nothing_else_away(orders: list[Order], held: Decimal, data: st.DataObject) -> None:
    kept = reducing(orders, {"ROGER": held}.__getitem__, MARKETS)
    staying = [order for order in orders if order.client_id in kept]
    if not staying:
        return
    chosen = data.draw(st.sampled_from(staying))
    lots = data.draw(st.integers(1, chosen.unbooked_lots))
    filled = replace(chosen, filled_lots=chosen.filled_lots + lots)
    after = [filled if order is chosen else order for order in staying]
    moved = held + chosen.side.sign * MARKETS[chosen.market].quantity(lots)
    left = reducing(after, {"ROGER": moved}.__getitem__, MARKETS)
    assert left == {order.client_id for order in after if order.unbooked_lots}


@given(st.lists(st.integers(1, 500), min_size=1, max_size=6), positions.filter(bool))
def test_the_best_price_stays_first(prices: list[int], held: Decimal) -> None:
    side = Side.SELL if held > 0 else Side.BUY
    orders = [
        Order(
            client_id=f"R{number}",
            slot=f"s{number}",
            generation=0,
            market="ROGER-BTC",
            side=side,
            ticks=ticks,
            lots=1000,
            state=OrderState.OPEN,
            created=0,
            changed=0,
            event=0,
            sign_before=0,
            venue_ids=(number,),
        )
        for number, ticks in enumerate(prices)
    ]
    kept = reducing(orders, {"ROGER": held}.__getitem__, MARKETS)
    assert len(kept) == min(len(orders), int(abs(held) / 10))
    ranked = sorted(prices, reverse=side is Side.BUY)
    best = ranked[: len(kept)]
    assert sorted(prices[int(name[1:])] for name in kept) == sorted(best)
