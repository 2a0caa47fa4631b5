"""A limit on losses trips in the middle of a run, on the simulated exchange, for every action there is."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

import pytest
from climates import Count
from msgspec.structs import replace
from test_every_moment import CALM, Moments
from test_faults_in_turn import SETTINGS, nothing_left, ours_agree

from runner.engine.latches import lifting
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model.event import Restored
from runner.model.money import plain
from runner.model.order import OrderState, Quote, Side
from runner.model.settings import SECOND, Limits, OnBreach, TickPolicy
from runner.run.chaos.play import Plan, play
from runner.simulation.markets import SANDBOX_LISTINGS

HALTS: tuple[OnBreach, ...] = ("halt", "halt_and_cancel", "halt_and_flatten")
RISK = 6


class Takes(Strategy, frozen=True):
    """Buys at the ask with a limit order every tick and sells nothing: it loses the spread, and then some. A far bid
    rests all the time."""

    def slots(self) -> Sequence[str]:
        return ("take", "rest")

    def initial_state(self) -> State:
        return Count()

    def tick(self, view: View, state: State) -> Decision:
        assert isinstance(state, Count)
        ask = view.book.best_ask
        if ask is None:
            return Decision((), state, "no ask")
        quotes = (Quote("take", Side.BUY, ask * 1.002, 400), Quote("rest", Side.BUY, 0.00004, 300))
        return Decision(quotes, Count(state.ticks + 1), f"tick {state.ticks}")


def losing(on_breach: OnBreach, **limits: object) -> Moments:
    settings = replace(
        SETTINGS,
        params={},
        strategy="takes",
        tick=TickPolicy(every=SECOND),
        limits=Limits(
            max_drawdown={"BTC": Decimal("0.00005")}, loss_persists=2 * SECOND, on_breach=on_breach, **limits
        ),  # type: ignore[arg-type]
    )
    return Moments("losing", settings, Takes, CALM, listings=SANDBOX_LISTINGS[:1])


def position(world: Moments) -> Decimal:
    return world.engine.account.ledger.position("ROGER")


@pytest.mark.parametrize("action", HALTS)
def test_a_loss_ends_the_run_as_the_file_says_and_stands_until_it_is_lifted(action: OnBreach) -> None:
    world = losing(action)
    world.run_for(300)
    assert world.finish is not None
    assert world.finish.exit_code == RISK
    assert "max_drawdown" in world.finish.reason
    latch = world.journal.latches["max_drawdown"]
    assert (latch.action, latch.since > 0) == (action, True)
    held = position(world)
    if action == "halt":
        assert world.left
    else:
        nothing_left(world)
    if action == "halt_and_flatten":
        assert abs(held) < SANDBOX_LISTINGS[0].market.quantity_min
    else:
        assert held > 0
    # The next start finds it: not a tick, and what was left goes.
    created = len(world.journal.orders)
    world.start_again(5)
    world.finish = None
    world.run_for(120)
    assert world.finish is not None
    assert world.finish.exit_code == RISK
    if action != "halt_and_flatten":
        assert len(world.journal.orders) == created
    # A person lifts it, and the strategy goes on.
    world.journal.commit(lifting(world.journal.restore(world.clock), ["max_drawdown"]))
    world.start_again(5)
    world.finish = None
    world.run_for(20)
    assert world.engine.ticks > 0
    assert world.laws.violations == []


def test_only_reducing_orders_pass_and_none_other_stays() -> None:
    world = losing("reduce_only")
    world.run_for(300)
    assert world.finish is None
    assert "max_drawdown" in world.journal.latches
    held, ticks = position(world), world.engine.ticks
    assert list(world.engine.account.orders.live()) == []
    world.run_for(60)
    assert world.engine.ticks > ticks
    assert position(world) == held
    assert world.laws.violations == []


@pytest.mark.slow
def test_refusing_lasts_as_long_as_the_loss() -> None:
    world = losing("reject")
    world.run_for(300)
    assert world.finish is None
    assert world.journal.latches == {}
    assert world.laws.violations == []
    refused = world.engine.account.guard.restraint(world.clock)
    assert refused is None or refused.code in {"max_drawdown", "max_mark_age"}  # who holds much may find no mark


@pytest.mark.slow
@pytest.mark.parametrize("resume", ["after", "next_day"])
def test_a_latch_goes_when_its_time_has_passed(resume: Literal["after", "next_day"]) -> None:
    world = losing("halt_and_cancel", resume=resume, resume_after=600 * SECOND if resume == "after" else None)
    world.run_for(300)
    latch = world.journal.latches["max_drawdown"]
    guard = world.engine.account.guard
    lifts_at = guard.latches.lifts_at(latch)
    assert lifts_at is not None
    wait = (lifts_at - world.clock) / SECOND
    world.start_again(wait - 120)
    world.finish = None
    world.run_for(wait - 60)
    assert world.finish is not None
    assert world.finish.exit_code == RISK
    world.start_again(120)
    world.finish = None
    world.run_for(130)
    assert world.engine.ticks > 0
    assert world.laws.violations == []


@pytest.mark.slow
def test_a_crash_at_any_moment_of_the_flattening_changes_nothing() -> None:
    """The latch stands: the next start goes on getting out."""
    first = losing("halt_and_flatten")
    first.run_for(300)
    set_at = next(number for number, event in enumerate(first.log) if event.time >= _since(first))
    moments = range(set_at, len(first.log), max(1, (len(first.log) - set_at) // 25))
    for moment in moments:
        world = losing("halt_and_flatten")
        while len(world.log) < moment and world.finish is None:
            world.run_for(0.01)
        world.crash()
        world.run_for(300)
        assert world.finish is not None
        assert world.finish.exit_code == RISK
        nothing_left(world)
        ours_agree(world)
        if "may still turn up" in world.finish.reason:  # then it counts for ten minutes, whatever the wish to get out
            assert OrderState.ABSENT in {order.state for order in world.journal.orders.values()}
        else:
            assert abs(position(world)) < SANDBOX_LISTINGS[0].market.quantity_min, plain(position(world))
        assert world.laws.violations == []


def _since(world: Moments) -> int:
    return world.journal.latches["max_drawdown"].since


@pytest.mark.slow
@pytest.mark.parametrize("action", ["reduce_only", *HALTS])
def test_no_law_is_broken_by_a_breach_in_any_weather(action: OnBreach) -> None:
    settings = losing(action).settings
    for seed in range(6):
        played = play(seed, Plan(settings, Takes, SANDBOX_LISTINGS[:1], 300 * SECOND))
        assert played.tally.found == [], f"{action} {seed}"


def test_what_the_journal_gives_back_is_what_was_kept() -> None:
    world = losing("reduce_only")
    world.run_for(60)
    restored = world.journal.restore(world.clock)
    assert isinstance(restored, Restored)
    assert [latch.name for latch in restored.latches] == ["max_drawdown"]
    assert restored.risk is not None
