"""Seeds that found something: each stays a test, in the kinds of weather that there were then."""

import pytest
from climates import plan

from runner.run.chaos.plan import explained
from runner.run.chaos.play import play


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seed", "minutes"),
    [
        pytest.param(356, 5, id="a cut client id books a fill on an older order of the slot"),
        pytest.param(54, 4, id="a second host with a journal of its own starts while we run"),
        pytest.param(146, 4, id="an order that is left trades after the last sweep, and its fee stays provisional"),
        pytest.param(84, 4, id="a second host after a rollback"),
        pytest.param(20117, 12, id="the exchange lists currencies and hands some out"),
        pytest.param(20208, 12, id="slow lists and a slow create: called absent by a list older than the order"),
        pytest.param(20093, 12, id="an order called absent is filled, and the journal goes back to before that"),
        pytest.param(3310, 30, id="a process that dies in the middle of its last stop"),
        pytest.param(60033, 30, id="one that ended long ago, shown under the cut name of another"),
        pytest.param(60397, 30, id="one that was called absent comes, its name cut to what two may bear"),
        pytest.param(60568, 30, id="a journal that is lost while the venue cuts names"),
        pytest.param(21582, 12, id="a second host on a copy of the journal while the venue cuts names"),
    ],
)
def test_a_seed_that_found_something(seed: int, minutes: float) -> None:
    found = play(seed, plan(seed, minutes, without=("blackout",))).tally.found
    assert not found, "\n\n".join(explained(each, "play it") for each in found[:3])
