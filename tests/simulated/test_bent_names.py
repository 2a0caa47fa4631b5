"""The venue stops showing our names in the middle of a run, and answers to creates are lost: orders.md rule 11.

Names stay bent until after the end, so what is missed can only be told by what it is.
"""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from test_faults_in_turn import SETTINGS, ours_agree

from runner.model.command import Cancel
from runner.model.ids import parse_client_id
from runner.model.order import OrderState
from runner.run.chaos.world import Faults, World
from runner.simulation.markets import SANDBOX_LISTINGS
from strategies.pure_market_making import PureMarketMaking

BENT = ("null", "cut", "upper", "lower")
SEEDS = 3


def run_through(how: str, seed: int, *, exclusive: bool, twins: bool) -> World:
    settings = replace(SETTINGS, exclusive=exclusive)
    each = World(f"bent {seed}", settings, PureMarketMaking, Faults(), listings=SANDBOX_LISTINGS[:1])
    each.run_for(12)
    assert each.engine.account.orders.tier.proven
    each.switch(f"client_id={how}")
    if twins:
        each.switch("human_twin,chance=0.5")
    each.run_for(20)
    each.switch("answer=cut,chance=0.3")
    each.run_for(60)
    each.stop()
    each.run_for(300)
    assert each.finish is not None, "the stop has no end"
    each.server.exchange.faults.switch_off()
    return each


def alive(each: World) -> Iterator[str | None]:
    """What those orders bear that are still at work."""
    return (row["client_id"] for row in each.venue_orders().values() if row["state"] in {"pending", "wait"})


def missed(each: World) -> set[str]:
    """Orders whose create had no answer and that were never told of by name."""
    return {order.client_id for order in each.journal.orders.values() if order.state is OrderState.UNKNOWN}


def cancelled(each: World) -> set[int]:
    return {command.order_id for output in each.outputs for command in output.commands if isinstance(command, Cancel)}


def ours(each: World) -> set[int]:
    rows = each.venue_orders()
    return {id_ for id_, row in rows.items() if row["client_id"] and parse_client_id(row["client_id"])}


def notes(each: World, what: str) -> int:
    return sum(note.what == what for output in each.outputs for note in output.notes)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("how", [how for how in BENT if how != "upper"])  # our names are in capitals as they are
def test_on_an_account_of_our_own_no_order_is_left_behind(how: str, seed: int) -> None:
    each = run_through(how, seed, exclusive=True, twins=False)
    assert notes(each, "tier.lost") == 1
    assert notes(each, "order.matched") > 0
    assert not missed(each)
    assert each.finish is not None
    assert each.finish.exit_code == 0, each.finish
    assert list(alive(each)) == []
    assert cancelled(each) <= ours(each)
    ours_agree(each)


@pytest.mark.slow
@pytest.mark.parametrize("twins", [True, False])
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("how", BENT)
def test_on_a_shared_account_nobody_elses_order_is_touched(how: str, seed: int, twins: bool) -> None:
    each = run_through(how, seed, exclusive=False, twins=twins)
    assert cancelled(each) <= ours(each)
    assert notes(each, "order.matched") == 0
    assert each.finish is not None
    left = {name for name in alive(each) if name is not None}
    assert left <= missed(each)  # and those are said
    assert each.finish.exit_code == (7 if missed(each) else 0)
    assert all(name in each.finish.reason for name in missed(each))
    assert bool(missed(each)) is (how != "upper")
    ours_agree_but_for(each, left)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("how", BENT)
def test_which_of_two_alike_is_ours_is_not_guessed(how: str, seed: int) -> None:
    """Their human broke the word that was given: what is left behind then is said, and no twin is taken for it."""
    each = run_through(how, seed, exclusive=True, twins=True)
    assert each.finish is not None
    assert each.finish.exit_code == (7 if missed(each) else 0)
    assert {name for name in alive(each) if name is not None} <= missed(each)
    assert cancelled(each) <= ours(each)


@pytest.mark.slow
def test_a_venue_that_never_shows_a_name_is_traded_on_all_the_same() -> None:
    """One create a side at a time, and each order known by the id in its answer."""
    each = World("nameless", SETTINGS, PureMarketMaking, Faults(), listings=SANDBOX_LISTINGS[:1])
    each.switch("client_id=null")
    each.run_for(60)
    assert not each.engine.account.orders.tier.proven
    assert len(each.journal.orders) > 8
    assert {order.slot for order in each.journal.orders.values()} == set(each.engine.strategy.slots())
    each.stop()
    each.run_for(60)
    assert each.finish is not None
    assert each.finish.exit_code == 0, each.finish


def ours_agree_but_for(each: World, names: set[str]) -> None:
    rows = each.venue_orders()
    known = {id_ for order in each.journal.orders.values() for id_ in order.venue_ids}
    unknown = {row["client_id"] for id_, row in rows.items() if id_ in ours(each) - known}
    assert unknown <= missed(each)
    assert names <= unknown
