"""Dice throw the same for the same seed, and about evenly."""

from copy import copy
from statistics import fmean, pstdev

from hypothesis import given
from hypothesis import strategies as st

from runner.simulation.dice import Dice, seed_state

SEEDS = st.integers(0, 2**64 - 1)


def test_the_generator_is_splitmix64() -> None:
    dice = Dice(1234567)  # the reference sequence of the algorithm's authors
    assert [dice.bits() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@given(SEEDS)
def test_a_copy_throws_the_same(seed: int) -> None:
    dice = Dice(seed)
    dice.bits()
    twin = copy(dice)
    assert [(dice.bits(), dice.bell(), dice.exponential()) for _ in range(5)] == [
        (twin.bits(), twin.bell(), twin.exponential()) for _ in range(5)
    ]


@given(SEEDS, st.integers(1, 1000))
def test_throws_stay_in_their_bounds(seed: int, count: int) -> None:
    dice = Dice(seed)
    assert 0 <= dice.uniform() < 1
    assert 0 <= dice.below(count) < count
    assert dice.exponential() >= 0
    assert -6 <= dice.bell() <= 6
    assert 2 <= dice.between(2, 3) < 3
    assert dice.choice("abc") in "abc"


def test_throws_have_the_moments_they_promise() -> None:
    dice = Dice(seed_state("moments"))
    for throw, mean, deviation in ((dice.uniform, 0.5, 12**-0.5), (dice.exponential, 1, 1), (dice.bell, 0, 1)):
        throws = [throw() for _ in range(20_000)]
        assert abs(fmean(throws) - mean) < 0.03
        assert abs(pstdev(throws) - deviation) < 0.03


def test_every_part_of_a_seed_counts() -> None:
    assert len({seed_state("a", "b"), seed_state("ab"), seed_state("b", "a"), seed_state("a", "b", 0)}) == 4
