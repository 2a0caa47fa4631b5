"""Every state of several small worlds, and proof that the search finds what is wrong when something is."""

from collections.abc import Callable

import pytest

from runner.engine.core import Engine

from .explorer import explore
from .small_world import FAULTS, BothSides, Bounds, Journal, SmallWorld, TwoBids, W
from .wrong_parts import BelievesTwoLooks, ForgetsGenerations, ForgetsIntents, KnowsNoDoubt, SendsAgain


def kinds(*names: str) -> frozenset[str]:
    assert FAULTS.issuperset(names)
    return frozenset(names)


WORLDS = {
    "a stop at any moment of two orders' lives": Bounds(creates=2, steps=3, moves=1),
    "a stop that leaves": Bounds(steps=3, fills=1, on_stop="leave"),
    "two orders under one limit": Bounds(TwoBids, creates=3, steps=3, fills=1, moves=1, stops=0, max_position=2),
    "a bid and an ask": Bounds(BothSides, creates=2, steps=2, fills=1, stops=0),
    "an answer lost for long": Bounds(creates=2, steps=8, faults=1, kinds=kinds("cut"), stops=0, slow=2),
    "an answer lost, then a stop": Bounds(steps=4, faults=1, kinds=kinds("cut"), slow=2),
    "an order lost, then a crash": Bounds(steps=6, faults=2, kinds=kinds("lost", "crash"), stops=0, slow=1),
    "an answer lost and a crash": Bounds(steps=2, faults=2, kinds=kinds("cut", "crash"), fills=1, stops=0, slow=1),
    "a crash around a stop": Bounds(steps=2, faults=1, kinds=kinds("crash")),
    "a repeated create": Bounds(steps=2, faults=1, kinds=kinds("twice"), stops=0, slow=1),
    "a silent stream": Bounds(steps=3, faults=1, kinds=kinds("unheard", "lag"), fills=1, stops=0),
    "a cut stream": Bounds(steps=3, faults=1, kinds=kinds("down"), stops=0, slow=1),
    "late and missing look-ups": Bounds(steps=3, faults=1, kinds=kinds("late", "failed"), fills=1, moves=1, stops=0),
    "a cancel that does nothing": Bounds(steps=3, faults=1, kinds=kinds("ignored"), fills=1),
    "refusals": Bounds(creates=2, steps=3, faults=2, kinds=kinds("refused", "rejected"), moves=1, stops=0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_the_laws_hold_in_every_state_of(name: str, say_at_the_end: Callable[[str], None]) -> None:
    report = explore(lambda: SmallWorld(WORLDS[name]))
    say_at_the_end(str(report).partition("\n")[0])
    assert report.broken is None, report.broken
    assert report.whole
    assert report.states > 100, "there is nothing to see in such a world"


def test_every_fault_has_its_world() -> None:
    assert set().union(*(bounds.kinds for bounds in WORLDS.values())) == FAULTS


LOST = Bounds(creates=1, steps=5, faults=1, kinds=kinds("cut"), stops=0, slow=3)


@pytest.mark.parametrize(
    ("engine", "journal", "bounds", "law"),
    [
        (SendsAgain, Journal, LOST, "asked for twice"),
        (BelievesTwoLooks, Journal, LOST, "is called absent"),
        (KnowsNoDoubt, Journal, Bounds(steps=3, faults=1, kinds=kinds("cut"), slow=1), "exit 0, and"),
        (Engine, ForgetsGenerations, Bounds(steps=2, faults=1, kinds=kinds("crash"), fills=1, stops=0), "twice"),
        (Engine, ForgetsIntents, Bounds(steps=2, faults=1, kinds=kinds("crash"), stops=0), "the engine counts with"),
    ],
)
def test_a_wrong_part_is_found_out(engine: type[Engine], journal: type[Journal], bounds: Bounds, law: str) -> None:
    report = explore(lambda: SmallWorld(bounds, engine, journal), most=5_000)
    assert report.broken is not None, report
    assert law in report.broken.splitlines()[0]
    assert "serve ListOrders" in report.broken, "the way there is told"


def test_an_exchange_slower_than_the_engine_was_told_is_found_out() -> None:
    """The verdict of absence rests on D, so a wrong D must be seen."""
    bounds = Bounds(steps=7, faults=1, kinds=kinds("cut"), stops=0, slow=6, settle=4 * W, told_settle=0)
    report = explore(lambda: SmallWorld(bounds), most=10_000)
    assert report.broken is not None, report
    assert "is called absent" in report.broken


def test_the_way_to_a_broken_law_is_the_shortest() -> None:
    report = explore(lambda: SmallWorld(LOST, SendsAgain))
    assert report.broken is not None
    steps = [line.split()[1] for line in report.broken.splitlines()[1:]]
    assert steps == ["serve", "serve", "sign", "cut"]


@pytest.mark.slow
def test_the_search_is_the_same_every_time() -> None:
    bounds = Bounds(steps=3, faults=1, kinds=kinds("cut"), stops=0, slow=2)
    first, second = (explore(lambda: SmallWorld(bounds)) for _ in range(2))
    assert first == second
    assert first.whole
