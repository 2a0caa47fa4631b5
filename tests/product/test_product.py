"""The whole product over a simulated network, crashes included: one seed, one universe, and the laws hold in it."""

import sys

import pytest

from tests.product.many import MINUTES, SEEDS, many
from tests.product.universe import folder, universe


def test_the_same_seed_is_the_same_run_to_the_last_row_of_the_journal() -> None:
    outcomes = []
    for _ in range(2):
        with folder() as fresh:
            outcomes.append(universe("twice", fresh, minutes=1.5))
    first, second = outcomes
    assert first.crashes > 0
    assert first.fills > 0
    assert first == second


def test_another_seed_is_another_run() -> None:
    with folder() as one, folder() as other:
        assert universe("one", one, minutes=0.5).digest != universe("other", other, minutes=0.5).digest


@pytest.mark.slow
def test_the_laws_hold_in_many_universes(capsys: pytest.CaptureFixture[str]) -> None:
    totals = many(range(SEEDS), minutes=MINUTES)
    with capsys.disabled():
        sys.stdout.write(f"\n{totals.line()}\n")
    assert totals.violations == {}
    # A universe in which nothing goes wrong shows nothing.
    assert totals.crashes > SEEDS
    assert totals.ambiguous > SEEDS
    assert totals.fills > SEEDS
