"""The strategy file changes in the middle of a run, on the simulated exchange: what stays, goes, and is refused."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from climates import MAKER, Churn, plan
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_latches import losing

from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model.command import Cancel, Note, Place
from runner.model.event import Reconfigured, ReloadRefused
from runner.model.order import Order, Quote, Side
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.ending import recorded
from runner.run.chaos.play import play
from runner.run.chaos.variants import varied
from runner.run.chaos.world import Faults, World
from runner.run.replay import first_difference
from runner.simulation.laws import looser
from strategies.pure_market_making import PureMarketMaking

CALM = Faults(latency=(0.01, 0.01))
FAR = {
    "bid_spread": "5%",
    "ask_spread": "5%",
    "order_amount": "500 ROGER",
    "order_levels": 3,
    "order_refresh_time": "1h",
    "order_refresh_tolerance_pct": "20%",
}
"""Six orders that nobody trades with, and that stay as they are for an hour."""


def maker(params: dict[str, Any] = FAR, **limits: Any) -> World:
    first = Settings(
        name="reload",
        tag="RELOAD",
        markets=("ROGER-BTC",),
        strategy="pure_market_making",
        params=params,
        tick=TickPolicy(every=SECOND),
        limits=Limits(max_open_orders=8, **limits),
    )
    world = World("reload", first, PureMarketMaking, CALM)
    world.run_for(5)
    return world


def reload(world: World, **changed: Any) -> None:
    """Settings with `changed` in them; `params` and limits are laid over those there are."""
    now = world.settings
    params = {**now.params, **changed.pop("params", {})}
    limits = replace(now.limits, **changed.pop("limits", {}))
    world.reload(replace(now, params=params, limits=limits, **changed), {"what": "old -> new"})


def live(world: World) -> dict[str, Order]:
    return {order.slot: order for order in world.engine.account.orders.live()}


def commands(world: World, kind: type, since: int = 0) -> list[Any]:
    return [command for output in world.outputs[since:] for command in output.commands if isinstance(command, kind)]


def said(world: World, what: str) -> list[Note]:
    return [note for output in world.outputs for note in output.notes if note.what == what]


def ids(world: World) -> dict[str, tuple[int, ...]]:
    return {slot: order.venue_ids for slot, order in live(world).items()}


# What stays -----------------------------------------------------------------------------------------------


def test_orders_that_are_still_wanted_keep_their_place() -> None:
    world = maker()
    before = ids(world)
    assert len(before) == 6
    at = len(world.outputs)
    reload(world, limits={"max_open_orders": 7, "max_position": {"ROGER": Decimal(1500)}}, tick=TickPolicy(2 * SECOND))
    reload(world, params={"bid_spread": "5.1%", "order_refresh_tolerance_pct": "19%", "inventory_skew": "1bps"})
    world.run_for(30)
    assert ids(world) == before
    assert commands(world, Cancel, at) == commands(world, Place, at) == []
    assert len(said(world, "config.reloaded")) == 2


def test_memory_limits_and_losses_go_on() -> None:
    """A strategy that is built anew has the state of the old one, and what the limits count is not forgotten."""
    world = maker()
    state = world.engine._state
    guard = world.engine.account.guard
    guard.pace.rejects = 3
    reload(world, params={"order_level_spread": "2%"}, limits={"max_consecutive_rejects": 4})
    assert world.engine._state == state
    assert (guard.pace.rejects, guard.limits.max_consecutive_rejects) == (3, 4)
    assert guard.latches.limits is guard.losses.limits is world.settings.limits


@pytest.mark.parametrize("most", [{}, {"BTC": Decimal(1)}])
def test_a_limit_that_is_lifted_holds_nothing_back_any_more(most: dict[str, Decimal]) -> None:
    """`on_breach: reject` refuses for as long as a loss is too large, and no longer."""
    world = losing("reject")
    world.run_for(120)
    assert said(world, "limit.passed")
    while world.engine.account.guard.restraint(world.clock) is None:  # a loss may have gone by itself
        world.run_for(1)
    equity = dict(world.engine.account.guard.losses.kept)
    reload(world, limits={"max_drawdown": most})
    at = len(world.outputs)
    world.run_for(20)
    assert [place for place in commands(world, Place, at) if place.side is Side.BUY]
    assert world.engine.account.guard.losses.kept.keys() == equity.keys()


def test_a_loss_has_to_last_under_the_new_limit_too() -> None:
    world = losing("halt_and_cancel")
    persists = world.settings.limits.loss_persists
    while not world.engine.account.guard.losses._lost_since:
        world.run_for(0.2)
    world.run_for(persists / SECOND / 2)
    since = world.now
    reload(world, limits={"max_drawdown": {"BTC": Decimal("0.00004")}})
    world.run_for(60)
    (latch,) = said(world, "latch.set")
    when = next(event.time for event, output in zip(world.log, world.outputs, strict=True) if latch in output.notes)
    assert when >= since + persists


def test_a_file_that_says_the_same_changes_nothing() -> None:
    world = maker()
    before, at = ids(world), len(world.outputs)
    world.reload(world.settings, {})
    assert [note.what for output in world.outputs[at:] for note in output.notes] == ["config.unchanged"]
    world.run_for(10)
    assert ids(world) == before


# What goes ------------------------------------------------------------------------------------------------


def test_orders_of_slots_that_are_gone_are_not_wanted_any_more() -> None:
    world = maker()
    before = ids(world)
    reload(world, params={"order_levels": 1})
    world.run_for(10)
    assert ids(world) == {slot: before[slot] for slot in ("bid-1", "ask-1")}
    assert {order.reason for order in world.journal.orders.values() if order.state.terminal} == {"not wanted"}
    reload(world, params={"order_levels": 2})
    world.run_for(10)
    assert sorted(ids(world)) == ["ask-1", "ask-2", "bid-1", "bid-2"]
    assert ids(world)["bid-1"] == before["bid-1"]


def test_another_quantity_replaces_the_orders_at_the_next_tick() -> None:
    world = maker()
    reload(world, params={"order_amount": "250 ROGER"})
    world.run_for(10)
    assert {order.lots for order in live(world).values()} == {world.markets["ROGER-BTC"].lots(Decimal(250))}


@pytest.mark.parametrize(
    ("limits", "stay"),
    [
        ({"max_open_orders": 4}, ["bid-1", "bid-2", "bid-3", "ask-1"]),
        ({"max_position": {"ROGER": Decimal(600)}}, ["ask-1", "bid-1"]),
        ({"max_order_amount": {"ROGER": Decimal(499)}}, []),
        ({"max_order_notional": {"BTC": Decimal("0.025")}}, ["bid-1", "bid-2", "bid-3"]),
    ],
)
def test_a_stricter_limit_binds_what_rests_already(limits: dict[str, Any], stay: Sequence[str]) -> None:
    """Those that were wanted first stay, and the ticks that follow do not bring back what had to go."""
    world = maker()
    before = ids(world)
    reload(world, limits=limits)
    world.run_for(20)
    assert ids(world) == {slot: before[slot] for slot in stay}


def test_a_stricter_limit_binds_what_was_on_its_way_as_well() -> None:
    world = maker(FAR | {"order_levels": 1})
    reload(world, params={"order_levels": 3})
    while not any(order.state.value in ("intended", "sent") for order in live(world).values()):
        world.run_for(0.001)
    reload(world, limits={"max_open_orders": 2})
    world.run_for(20)
    assert len(live(world)) == 2


def test_a_start_holds_what_it_finds_to_its_limits() -> None:
    world = maker()
    world.crash(5)
    world.settings = replace(world.settings, limits=replace(world.settings.limits, max_open_orders=2))
    world.laws.reconfigured(world.settings.limits, world.now)
    world.run_for(30)
    assert len(live(world)) == 2


# What is refused ------------------------------------------------------------------------------------------


def test_a_file_that_is_wrong_changes_nothing_and_is_told() -> None:
    world = maker()
    before, settings_before = ids(world), world.engine.settings
    facts: dict[str, str | int] = {"file": "a.yml", "line": 3, "column": 7, "message": "no", "fix": "yes"}
    world.deliver(ReloadRefused((facts, {**facts, "line": 4})))
    world.run_for(10)
    assert [note.facts for note in said(world, "config.refused")] == [facts, {**facts, "line": 4}]
    assert ids(world) == before
    assert world.engine.settings is settings_before


class Refuses(Churn, frozen=True):
    def initial_state(self) -> State:
        if self.away > 0.05:
            raise LookupError("so far away I forget where I was")
        return super().initial_state()


def test_a_strategy_that_cannot_begin_anew_goes_on_as_it_was() -> None:
    first = replace(plan(1, 1).settings, params={"away": 0.01})
    world = World("refuses", first, Refuses, CALM)
    world.run_for(5)
    world.deliver(Reconfigured(replace(first, params={"away": 0.09}), {"strategy.params.away": "0.01 -> 0.09"}))
    (note,) = said(world, "config.refused")
    assert "so far away" in str(note.facts["problem"])
    assert world.engine.settings == first
    assert world.engine.strategy == Refuses(away=0.01)
    world.run_for(5)
    assert world.finish is None


def test_a_run_that_stops_goes_by_the_limits_it_had() -> None:
    world = maker()
    world.stop()
    reload(world, on_stop="leave")
    world.run_for(60)
    assert said(world, "config.refused")
    assert world.finish is not None
    assert world.finish.exit_code == 0
    assert live(world) == {}


class Other(State, frozen=True):
    seen: int = 0


class TwoMinds(Strategy, frozen=True):
    """Its parameters decide what it remembers."""

    away: float = 0.0

    def slots(self) -> Sequence[str]:
        return ("bid",)

    def initial_state(self) -> State:
        return Other() if self.away else State()

    def tick(self, view: View, state: State) -> Decision:
        assert type(state) is type(self.initial_state())
        return Decision((Quote("bid", Side.BUY, 0.00004, 300),), state, "as ever")


def test_a_state_of_another_type_begins_anew() -> None:
    first = replace(plan(1, 1).settings, params={})
    world = World("two minds", first, TwoMinds, CALM)
    world.run_for(5)
    world.reload(replace(first, params={"away": 1.0}), {"strategy.params.away": "0 -> 1"})
    world.run_for(5)
    assert world.finish is None
    assert world.engine._state == Other()


# Laws -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 8), st.integers(0, 10**6)), min_size=1, max_size=3), st.booleans())
def test_a_run_with_reloads_replays_to_the_same_outputs(reloads: list[tuple[float, int]], churn: bool) -> None:
    played = plan(1 if churn else 0, 1)
    world = World("replays", played.settings, played.strategy, Faults(answer_lost=0.05))
    for wait, seed in reloads:
        world.run_for(wait)
        world.reload(*varied(played.settings, played.strategy, str(seed)))
    world.run_for(5)
    assert sum(isinstance(event.what, Reconfigured) for event in world.log) == len(reloads)
    assert first_difference(played.strategy, recorded(world.lives[0])) is None
    assert world.laws.violations == []


@pytest.mark.slow
def test_no_law_is_broken_by_somebody_who_tunes_all_the_time() -> None:
    """Seeds in whose weather there are reloads."""
    reloads, found = 0, []
    for seed in range(400, 460):
        tally = play(seed, plan(seed, 3)).tally
        reloads += tally.faults["reload"]
        found += tally.found
    assert found == []
    assert reloads > 40


def test_variants_stay_within_the_bounds_of_their_parameters() -> None:
    first = replace(plan(0, 1).settings, params=MAKER)
    seen = {str(varied(first, PureMarketMaking, str(seed))[0]) for seed in range(60)}
    assert len(seen) > 50


amounts = st.dictionaries(st.just("ROGER"), st.integers(-5, 5).map(Decimal))


@given(amounts, amounts, amounts, amounts, st.none() | st.integers(0, 3), st.none() | st.integers(0, 3))
def test_what_binds_while_limits_change_allows_what_either_allows(
    high: dict[str, Decimal],
    low: dict[str, Decimal],
    high2: dict[str, Decimal],
    low2: dict[str, Decimal],
    orders: int | None,
    orders2: int | None,
) -> None:
    old = Limits(max_position=high, min_position=low, max_open_orders=orders)
    new = Limits(max_position=high2, min_position=low2, max_open_orders=orders2)
    both = looser(old, new)

    def allows(limits: Limits, position: int) -> bool:
        least = limits.least_position("ROGER")
        most = limits.max_position.get("ROGER")
        return (most is None or position <= most) and (least is None or position >= least)

    for position in range(-7, 8):
        if allows(old, position) or allows(new, position):
            assert allows(both, position)
    for count in range(5):
        may = [limits.max_open_orders is None or count <= limits.max_open_orders for limits in (old, new, both)]
        assert may[2] == (may[0] or may[1])
