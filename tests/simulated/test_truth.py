"""Backtests against the sandbox's own matching engine: a small form of `python -m benchmarks truth`."""

import pytest

from benchmarks.truth import ALONE, LENGTH, MARKET, crowd, outcomes, really
from runner.model.settings import SECOND
from runner.report.parity import Pair, errors
from runner.run.parity import QUEUES
from runner.simulation.crowd import CROWDS

pytestmark = pytest.mark.slow


def test_backtests_come_close_to_what_really_was_filled() -> None:
    """Four minutes for each crowd. Single short runs may be off by an order or two; together they are not."""
    pairs: dict[str, list[Pair]] = {}
    for outcome in outcomes([7], LENGTH * 2 // 5):
        pairs.setdefault(outcome.model, []).append(outcome.pair)
    assert set(pairs) == {*(str(queue) for queue in QUEUES), ALONE}
    unmet = errors(pairs.pop(ALONE), "volume")
    assert unmet is not None
    assert unmet.runs == 2 * len(CROWDS)
    for found in pairs.values():
        assert len(found) == 2 * len(CROWDS)
        assert all(pair.real.fills > 10 for pair in found)
        volume, profit = errors(found, "volume"), errors(found, "profit")
        assert volume is not None
        assert profit is not None
        assert volume.met
        assert volume.total < 0.1
        assert profit.total < 0.001  # 10 bps of what was traded


def test_a_seed_is_a_case() -> None:
    once, again = (really("again", crowd("informed", reacts=True), 30 * SECOND) for _ in range(2))
    assert once.real == again.real
    assert once.recording.market == MARKET
    for column in ("times", "kinds", "ticks", "lots"):
        assert getattr(once.recording, column) == getattr(again.recording, column)
