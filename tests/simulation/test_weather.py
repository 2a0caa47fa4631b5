"""The weather of a seed: the same again, with nothing in it that was to be left out."""

from collections import Counter

import pytest

from runner.model.settings import SECOND
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.weather import CALM, Happening, forecast

LENGTH = 1800 * SECOND
SEEDS = [str(number) for number in range(90)]


def happenings(seed: str, *without: str) -> tuple[Happening, ...]:
    return forecast(seed, LENGTH, SANDBOX_LISTINGS[0], without).happenings


def test_a_seed_has_one_weather_in_the_order_of_time_that_begins_after_a_calm() -> None:
    for seed in SEEDS:
        found = happenings(seed)
        assert found == happenings(seed)
        assert [each.at for each in found] == sorted(each.at for each in found)
        assert all(each.at >= CALM for each in found)


@pytest.mark.parametrize("kind", ["blackout", "reload"])
def test_what_has_dice_of_its_own_comes_in_every_third_seed_and_leaves_the_rest_as_it_is(kind: str) -> None:
    more = {seed: Counter(happenings(seed)) - Counter(happenings(seed, kind)) for seed in SEEDS}
    assert all(not Counter(happenings(seed, kind)) - Counter(happenings(seed)) for seed in SEEDS)
    assert len(SEEDS) / 5 < sum(map(bool, more.values())) < len(SEEDS) / 2
    names = {str(each).partition("=")[0].partition(" ")[0] for found in more.values() for each in found}
    assert names == ({"reload"} if kind == "reload" else {"lose_private", "answer", "act_delay", "human_cancel"})


@pytest.mark.parametrize("kind", ["lose_private", "act_delay=20s", "human_cancel", "crash", "reload"])
def test_what_is_left_out_is_nowhere(kind: str) -> None:
    assert any(str(each).startswith(kind) for seed in SEEDS for each in happenings(seed))
    assert not any(str(each).startswith(kind) for seed in SEEDS for each in happenings(seed, kind))


def test_without_everything_the_weather_is_good() -> None:
    assert not any(happenings(seed, "") for seed in SEEDS)
