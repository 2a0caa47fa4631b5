"""What a row may be where its name tells nothing: the venue's own behaviour against what we make of its rows."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from runner.engine.reconcile import Target
from runner.engine.tiers import UNBORN, bent, could_be, obstacle
from runner.model.ids import client_id
from runner.model.order import Order, OrderRow, OrderState, Side
from runner.model.settings import MILLISECOND, SECOND

START = 1_700_000_000 * SECOND
W, D = 5 * SECOND, 30 * SECOND
MARKETS = ("ROGER-BTC", "LTC-BTC")
SLOTS = ("bid-1", "bid-2", "ask-1")

slots = st.sampled_from(SLOTS)
names = st.builds(client_id, st.just("TIERSA"), st.just(28_333_333), slots, st.integers(0, 1300))
orders = st.builds(
    Order,
    client_id=names,
    slot=slots,
    generation=st.just(0),
    market=st.sampled_from(MARKETS),
    side=st.sampled_from(Side),
    ticks=st.sampled_from([None, 4000, 4001]),
    lots=st.sampled_from([100, 200]),
    state=st.sampled_from(OrderState),
    created=st.integers(START, START + 3 * SECOND),
    changed=st.just(START),
    event=st.just(1),
    sign_before=st.integers(START + 3 * SECOND, START + 8 * SECOND).map(lambda ns: ns // MILLISECOND),
    id_floor=st.integers(0, 50),
)


def respelt(name: str) -> st.SearchStrategy[str | None]:
    """Every way in which a venue may show a name."""
    cut = st.integers(0, len(name)).map(lambda length: name[:length])
    return st.none() | st.builds(lambda text, low: text.lower() if low else text, cut, st.booleans())


def row_of(order: Order, order_id: int, created_at: int, told: str | None) -> OrderRow:
    return OrderRow(
        id=order_id,
        market=order.market,
        side=order.side,
        state="wait",
        ticks=order.ticks,
        origin_lots=order.lots,
        remaining_lots=order.lots,
        executed_lots=0,
        created_at=created_at,
        updated_at=created_at,
        client_id=told,
    )


@given(data=st.data(), order=orders, proven=st.booleans())
def test_whatever_an_order_becomes_at_the_venue_it_is_not_overlooked(
    data: st.DataObject, order: Order, proven: bool
) -> None:
    """Signed before its limit, authorised within W of its nonce, a row within D of that, whatever its name looks like;
    clocks may be a minute apart where the nonce is not known any more."""
    nonce = data.draw(st.integers(order.created // MILLISECOND, order.sign_before))
    if data.draw(st.booleans()):
        order = replace(order, nonce=nonce)
    born = nonce * MILLISECOND + data.draw(st.integers(-W, W + D))
    told = data.draw(respelt(order.client_id))
    order_id = order.id_floor + data.draw(st.integers(1, 100))
    assert could_be(row_of(order, order_id, born // SECOND, told), order, D, proven=proven)


@given(data=st.data(), order=orders, proven=st.booleans(), late=st.booleans())
def test_a_row_that_differs_in_what_never_changes_is_another(
    data: st.DataObject, order: Order, proven: bool, late: bool
) -> None:
    row = row_of(order, order.id_floor + 1, START // SECOND, None)
    other = data.draw(
        st.sampled_from(
            [
                {"market": next(symbol for symbol in MARKETS if symbol != order.market)},
                {"side": order.side.opposite},
                {"ticks": 3999},
                {"origin_lots": order.lots + 1},
                {"id": order.id_floor},
                {"created_at": START // SECOND - 70},
            ]
        )
    )
    assert could_be(row, order, D, proven=proven, late=late)
    assert not could_be(replace(row, **other), order, D, proven=proven, late=late)


@given(order=orders, late=st.booleans(), after=st.integers(0, 10**6))
def test_only_one_that_may_be_late_is_looked_for_beyond_its_time(order: Order, late: bool, after: int) -> None:
    latest = (order.sign_before * MILLISECOND + W + D + 61 * SECOND) // SECOND + 1
    row = row_of(order, order.id_floor + 1, latest + after, None)
    assert could_be(row, order, D, proven=False, late=late) is late


@given(order=orders, another=names, told=st.text(max_size=30))
def test_a_name_that_is_whole_and_anothers_is_believed_and_any_other_only_where_names_are(
    order: Order, another: str, told: str
) -> None:
    def may_be(shown: str, *, proven: bool) -> bool:
        row = row_of(order, order.id_floor + 1, START // SECOND, shown)
        return could_be(row, order, D, proven=proven)

    is_beginning = order.client_id.startswith(another)
    assert may_be(another, proven=True) is may_be(another, proven=False) is is_beginning
    assert may_be(f"#{told}", proven=False)
    assert not may_be(f"#{told}", proven=True)


@given(data=st.data(), name=names)
def test_a_bent_name_is_known_again_and_a_longer_or_another_one_is_not(data: st.DataObject, name: str) -> None:
    assert bent(data.draw(respelt(name)) or "", name)
    assert not bent(name + "0", name)
    assert not bent("#", name)


targets = st.builds(
    Target,
    slot=slots,
    market=st.sampled_from(MARKETS),
    side=st.sampled_from(Side),
    ticks=st.sampled_from([None, 4000, 4001]),
    lots=st.sampled_from([100, 200]),
    repeat=st.just(True),
    parent=st.none(),
)


@given(
    wanted=st.lists(targets, max_size=12),
    fates=st.lists(st.sampled_from(OrderState), min_size=12, max_size=12),
)
def test_where_names_prove_nothing_a_row_is_never_two_orders(wanted: Sequence[Target], fates: list[OrderState]) -> None:
    """Each create that nothing holds back leaves, and has become something else when the next one is proposed."""
    gone: list[Order] = []
    for number, (target, fate) in enumerate(zip(wanted, fates, strict=False)):
        if obstacle(target, gone) is not None:
            continue
        gone.append(
            Order(
                client_id=client_id("TIERSA", 28_333_333, target.slot, number),
                slot=target.slot,
                generation=number,
                market=target.market,
                side=target.side,
                ticks=target.ticks,
                lots=target.lots,
                state=fate,
                created=START,
                changed=START,
                event=1,
                sign_before=START // MILLISECOND + 5000,
            )
        )
    for order in gone:
        row = row_of(order, 1, START // SECOND, None)
        assert [each for each in gone if could_be(row, each, D, proven=False)] == [order]
    for target in wanted:  # and nothing is held back without need
        beside = [each for each in gone if (each.market, each.side) == (target.market, target.side)]
        if obstacle(target, gone) is not None:
            equal = any((each.ticks, each.lots) == (target.ticks, target.lots) for each in beside)
            assert equal or any(each.state in UNBORN for each in beside)
