"""Whatever a venue's listings do, an order that exists or may come to exist is never called absent.

The engine searches for one create without an answer. The lister lags (by less than the look-ups are apart), returns
some rows of a full page in any order, ignores filters, bends client ids, mixes in twins and hundreds of other rows,
and fails. What it does not do is hide a row for ever: against that there is no proof.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import cycle

from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from runner.engine.core import Engine
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model import event as events
from runner.model.command import Cancel, Command, Finish, ListOrders, ListTrades, OrderChanged, ReadBalances, ReadOrder
from runner.model.ids import client_id, parse_client_id
from runner.model.market import Market
from runner.model.order import Order, OrderRow, OrderState, Side
from runner.model.settings import MILLISECOND, SECOND, Settings

START = 1_700_000_000 * SECOND
W, D = 5 * SECOND, 20 * SECOND
PAGE = 5
GENERATION = 36  # "10" in an id: cut short by one character it is the name of another order of ours
TAG, EPOCH = "HOSTIL", START // (60 * SECOND)
ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)
ORDER = Order(
    client_id=client_id(TAG, EPOCH, "bid", GENERATION),
    slot="bid",
    generation=GENERATION,
    market=ROGER.symbol,
    side=Side.BUY,
    ticks=4000,
    lots=200,
    state=OrderState.SENT,
    created=START - SECOND,
    changed=START - SECOND,
    event=1,
    sign_before=(START + 4 * SECOND) // MILLISECOND,
    id_floor=100,
)
LAST = START + 4 * SECOND + W + D  # when the order can come into being at the latest


class Idle(Strategy, frozen=True):
    def slots(self) -> Sequence[str]:
        return ("bid",)

    def tick(self, view: View, state: State) -> Decision:
        return Decision((), state, "nothing")


class Lie(Struct, frozen=True):
    """How one listing is answered."""

    lag: int  # ns
    fails: bool
    ignores_times: bool
    ignores_states: bool
    shuffle: int  # which of the rows a full page shows


HONEST = Lie(0, fails=False, ignores_times=False, ignores_states=False, shuffle=0)


def row(order_id: int, at: int, name: str | None = None, ticks: int = 4000, lots: int = 200) -> OrderRow:
    return OrderRow(
        id=order_id,
        market=ROGER.symbol,
        side=Side.BUY,
        state="wait",
        ticks=ticks,
        origin_lots=lots,
        remaining_lots=lots,
        executed_lots=0,
        created_at=at // SECOND,
        updated_at=at // SECOND,
        client_id=name,
    )


class Venue:
    """`rows` with the moment from which each one is there."""

    def __init__(self, rows: Sequence[OrderRow]) -> None:
        self.rows = rows

    def answer(self, command: Command, lie: Lie, now: int) -> events.What:
        match command:
            case ReadBalances(query=query):
                return events.BalancesRead(query, ())
            case ListTrades(query=query):
                return events.TradesListed(query, (), full=False)
            case ReadOrder(query, order_id):
                return events.OrderRead(query, order_id, next((r for r in self.rows if r.id == order_id), None))
            case Cancel(order_id=order_id):
                return events.CancelAnswered(order_id, None, "refused")
            case ListOrders() if lie.fails:
                return events.QueryFailed(command.query, permanent=False, reason="502")
            case ListOrders():
                return self._list(command, lie, now)
        raise AssertionError(command)

    def _list(self, command: ListOrders, lie: Lie, now: int) -> events.OrdersListed:
        since, until = command.time_from or 0, command.time_to or 10**12
        rows = [
            each
            for each in self.rows
            if each.created_at * SECOND <= now - lie.lag
            and (lie.ignores_times or since <= each.created_at < until)
            and (lie.ignores_states or not command.states or each.state in command.states)
        ]
        turn = lie.shuffle % max(1, len(rows))
        rows = rows[turn:] + rows[:turn]
        shown = rows[(command.page - 1) * PAGE :][:PAGE] if command.page > 1 else rows[:PAGE]
        return events.OrdersListed(command.query, tuple(shown), full=len(shown) == PAGE, venue_time=now)


def search(venue: Venue, waits: Iterator[int], lies: Iterator[Lie], steps: int) -> OrderState:
    """Let the engine look for ORDER; how it ended, or UNKNOWN."""
    return look(venue, waits, lies, steps).order.state


class Looked(Struct, frozen=True):
    """What ORDER has become, and which of the venue's orders were to be cancelled on the way."""

    order: Order
    cancelled: frozenset[int]


def look(
    venue: Venue, waits: Iterator[int], lies: Iterator[Lie], steps: int, *, exclusive: bool = False, stop: bool = False
) -> Looked:
    """The same, on an account of our own or not, and with a stop when the search has begun."""
    engine = Engine(Idle)
    number, now, state, order = 0, START, OrderState.UNKNOWN, ORDER

    def tell(what: events.What) -> None:
        nonlocal number, state, order
        number += 1
        output = engine.handle(events.Event(number, now, what))
        for change in output.changes:
            if isinstance(change, OrderChanged) and change.order.client_id == ORDER.client_id:
                order = change.order
                state = order.state
        cancelled.update(command.order_id for command in output.commands if isinstance(command, Cancel))
        asked.extend(command for command in output.commands if not isinstance(command, Finish))

    asked: list[Command] = []
    cancelled: set[int] = set()
    settings = Settings(
        name="hostile", tag=TAG, markets=(ROGER.symbol,), strategy="idle", settle=D, exclusive=exclusive
    )
    tell(events.Configured(settings))
    tell(events.Restored(EPOCH, orders=(ORDER,), generations={"bid": GENERATION, "ask": 0}))
    tell(events.MarketsRead((ROGER,)))
    tell(events.NonceWindowProbed(enforced=True))
    tell(events.StreamUp("private", ("order", "trade", "balance")))
    if stop:
        tell(events.StopRequested("signal"))
    for _ in range(steps):
        tell(events.Budget(30, now))
        while asked and state is OrderState.UNKNOWN and engine.phase != "stopped":
            tell(venue.answer(asked.pop(0), next(lies), now))
        if state is not OrderState.UNKNOWN or engine.phase == "stopped":
            break
        now += next(waits)
        tell(events.Wake())
    return Looked(order, frozenset(cancelled))


# Each lie that destroys the evidence is rare enough for a verdict to be reached in most runs.
now_and_then = st.integers(0, 7).map(lambda drawn: drawn == 7)
lies = st.builds(
    Lie,
    lag=st.integers(0, 5 * SECOND - 1),
    fails=now_and_then,
    ignores_times=now_and_then,
    ignores_states=st.booleans(),
    shuffle=st.integers(0, 50),
)
echoes = st.sampled_from(
    [ORDER.client_id, None, ORDER.client_id[:-1], ORDER.client_id[:-2], ORDER.client_id.lower(), "RHOSTIL", ""]
)
others = st.builds(
    row,
    st.integers(200, 10_000),
    st.integers(START - 200 * SECOND, LAST + 100 * SECOND),
    st.sampled_from([None, "somebody's", client_id(TAG, EPOCH, "ask", 0)]),
    st.integers(3990, 4010),
    st.sampled_from([100, 200]),
)


@given(
    born=st.integers(START, LAST),
    echo=echoes,
    others=st.lists(others, max_size=12, unique_by=lambda each: each.id),
    waits=st.lists(st.integers(SECOND, 7 * SECOND), min_size=1, max_size=6),
    lies=st.lists(lies, min_size=1, max_size=8),
)
@example(  # a venue that ignored the times once: pages that shift between each other hid the same row twice
    born=START,
    echo=None,
    others=[
        row(200, START + 74 * SECOND, None, 3990, 100),
        *(row(number, START - 200 * SECOND, None, 3990, 100) for number in (203, 204, 205)),
        row(202, START - 200 * SECOND, client_id(TAG, EPOCH, "ask", 0), 3990, 100),
        row(201, START - 200 * SECOND, None, 3990, 100),
    ],
    waits=[SECOND, 3_285_714_286],
    lies=[*[HONEST] * 3, replace(HONEST, shuffle=4), *[HONEST] * 3, replace(HONEST, ignores_times=True)],
)
@settings(max_examples=200)
def test_an_order_that_exists_is_never_called_absent(
    born: int, echo: str | None, others: list[OrderRow], waits: list[int], lies: list[Lie]
) -> None:
    venue = Venue([*others, row(20_000, born, echo)])
    assert search(venue, cycle(waits), cycle(lies), 40) is not OrderState.ABSENT


@given(
    others=st.lists(others, max_size=3, unique_by=lambda each: each.id),
    waits=st.lists(st.integers(SECOND, 7 * SECOND), min_size=1, max_size=6),
    lies=st.lists(st.builds(replace, st.just(HONEST), lag=st.integers(0, 4 * SECOND)), min_size=1, max_size=4),
)
def test_an_order_that_never_comes_is_called_absent_when_no_row_could_be_it(
    others: list[OrderRow], waits: list[int], lies: list[Lie]
) -> None:
    """The other half, or the law above would hold for an engine that never says anything."""
    venue = Venue([replace(each, origin_lots=300, client_id=None) for each in others])
    assert search(venue, cycle(waits), cycle(lies), 200) is OrderState.ABSENT


def test_a_name_cut_short_to_another_of_ours_is_no_proof() -> None:
    cut = row(20_000, START, ORDER.client_id[:-1])
    assert search(Venue([cut]), cycle([3 * SECOND]), cycle([HONEST]), 40) is not OrderState.ABSENT


class Mends(Venue):
    """Shows the whole name from `LAST` on."""

    def __init__(self, whole: OrderRow) -> None:
        super().__init__([replace(whole, client_id=ORDER.client_id[:-1])])
        self._whole = whole

    def answer(self, command: Command, lie: Lie, now: int) -> events.What:
        if now >= LAST:
            self.rows = [self._whole]
        return super().answer(command, lie, now)


def test_an_order_whose_name_was_cut_short_at_first_is_found_by_its_whole_name() -> None:
    whole = row(20_000, START, ORDER.client_id)
    assert search(Mends(whole), cycle([3 * SECOND]), cycle([HONEST]), 40) is OrderState.CANCELLING  # nobody wants it


bent_echoes = st.sampled_from([None, "", ORDER.client_id[:-1], ORDER.client_id[:-2], ORDER.client_id.lower()])


@given(
    born=st.integers(START, LAST),
    echo=bent_echoes,
    others=st.lists(others, max_size=12, unique_by=lambda each: each.id),
    waits=st.lists(st.integers(SECOND, 7 * SECOND), min_size=1, max_size=6),
    lies=st.lists(lies, min_size=1, max_size=8),
    stop=st.booleans(),
)
def test_on_a_shared_account_no_row_without_our_name_is_touched(
    born: int, echo: str | None, others: list[OrderRow], waits: list[int], lies: list[Lie], stop: bool
) -> None:
    strangers = [each for each in others if each.client_id is None or parse_client_id(each.client_id) is None]
    venue = Venue([*strangers, row(20_000, born, echo)])
    looked = look(venue, cycle(waits), cycle(lies), 40, stop=stop)
    assert looked.cancelled == frozenset()
    assert looked.order.venue_ids == ()


@given(
    born=st.integers(START, LAST),
    echo=bent_echoes,
    others=st.lists(others, max_size=12, unique_by=lambda each: each.id),
    waits=st.lists(st.integers(SECOND, 7 * SECOND), min_size=1, max_size=6),
    lies=st.lists(lies, min_size=1, max_size=8),
    stop=st.booleans(),
)
def test_on_an_account_of_our_own_nothing_is_taken_but_the_order_itself(
    born: int, echo: str | None, others: list[OrderRow], waits: list[int], lies: list[Lie], stop: bool
) -> None:
    different = [replace(each, origin_lots=300, client_id=None) for each in others]
    looked = look(
        Venue([*different, row(20_000, born, echo)]), cycle(waits), cycle(lies), 40, exclusive=True, stop=stop
    )
    assert looked.order.venue_ids in {(), (20_000,)}
    assert looked.cancelled <= {20_000}


@given(
    born=st.integers(START, LAST),
    echo=bent_echoes,
    others=st.lists(others, max_size=3, unique_by=lambda each: each.id),
    twin=st.booleans(),
    waits=st.lists(st.integers(SECOND, 7 * SECOND), min_size=1, max_size=6),
    lies=st.lists(st.builds(replace, st.just(HONEST), lag=st.integers(0, 4 * SECOND)), min_size=1, max_size=4),
)
def test_on_an_account_of_our_own_the_order_is_found_unless_another_could_be_it(
    born: int, echo: str | None, others: list[OrderRow], twin: bool, waits: list[int], lies: list[Lie]
) -> None:
    """The other half. A twin that is there when the order comes leaves the question open."""
    rows = [replace(each, origin_lots=300, client_id=None) for each in others]
    rows += [row(19_999, START - SECOND, None)] if twin else []
    looked = look(Venue([*rows, row(20_000, born, echo)]), cycle(waits), cycle(lies), 100, exclusive=True)
    if not twin:
        assert looked.order.venue_ids == (20_000,)
    elif looked.order.venue_ids:
        slowest = max(each.lag for each in lies)
        assert born + slowest > START + SECOND, "they were seen together from the first look-up on"
