"""Trades that hit whoever recorded a tape: they fill us as any other, and no level shrinks by them."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.model.settings import QueueModel
from runner.simulation.kernel import BUY, SELL, Fill, Kernel
from runner.simulation.queues import HOLD
from runner.simulation.recording import BID, BOUGHT, BOUGHT_FROM_OWN, SOLD, SOLD_TO_OWN

NOW = 1_700_000_000 * 10**9
MODELS = [QueueModel(), QueueModel("proportional"), QueueModel("power", 3)]


def opened(queue: QueueModel) -> Kernel:
    kernel = Kernel(queue)
    kernel.level(BUY, 100, 50, NOW)
    kernel.level(SELL, 102, 50, NOW)
    return kernel


@pytest.mark.parametrize("queue", MODELS, ids=str)
def test_nobody_waits_for_its_decrease(queue: QueueModel) -> None:
    kernel = opened(queue)
    kernel.trade(SELL, 100, 20, NOW, unseen=True)
    kernel.place(1, BUY, 100, 5, -1)
    kernel.level(BUY, 100, 80, NOW + 1)  # somebody joins behind us
    assert kernel.own(BUY)[0].ahead == 50
    other = opened(queue)
    other.trade(SELL, 100, 20, NOW)
    other.place(1, BUY, 100, 5, -1)
    other.level(BUY, 100, 30, NOW + 1)  # it comes a moment later: the twenty were ahead of nobody
    assert other.own(BUY)[0].ahead == 30


@pytest.mark.parametrize("queue", MODELS, ids=str)
def test_it_explains_no_decrease_of_others(queue: QueueModel) -> None:
    """Twenty lots go by themselves while the recorder is hit: they are spread by the model, whatever was traded."""
    ahead = []
    for unseen in (True, None):
        kernel = opened(queue)
        kernel.place(1, BUY, 100, 5, -1)
        kernel.level(BUY, 100, 90, NOW)
        kernel.level(BUY, 100, 70, NOW + 1)
        if unseen is not None:
            kernel.trade(SELL, 100, 3, NOW + 2, unseen=unseen)
        kernel.level(SELL, 102, 51, NOW + 1 + HOLD)
        ahead.append(kernel.own(BUY)[0].ahead)
    hit, alone = ahead
    assert alone - 3 <= hit <= alone


@given(
    hits=st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=8),
    queue=st.sampled_from(MODELS),
    lots=st.integers(1, 60),
)
def test_its_volume_is_demand_for_us(hits: list[tuple[int, bool]], queue: QueueModel, lots: int) -> None:
    """Behind fifty lots: what is traded beyond them is ours, whoever else it hit when it was recorded."""
    kernel = opened(queue)
    kernel.place(1, BUY, 100, lots, -1)
    for volume, unseen in hits:
        kernel.trade(SELL, 100, volume, NOW, unseen=unseen)
    expected = min(lots, max(0, sum(volume for volume, _ in hits) - 50))
    assert sum(fill.lots for fill in kernel.fills) == expected


rows = st.lists(
    st.tuples(st.integers(0, HOLD // 3), st.integers(BID, BOUGHT_FROM_OWN), st.integers(95, 107), st.integers(0, 30)),
    max_size=40,
)


@given(rows=rows, queue=st.sampled_from(MODELS))
def test_a_tape_with_such_trades_plays_as_if_told_row_by_row(
    rows: list[tuple[int, int, int, int]], queue: QueueModel
) -> None:
    time, tape = NOW, []
    for later, kind, ticks, lots in rows:
        time += later + 1
        # Bids stay below asks.
        ticks = min(ticks, 100) if kind % 2 == 0 else max(ticks, 101)
        tape.append((time, kind, ticks, lots if kind < SOLD else lots + 1))
    played, told = opened(queue), opened(queue)
    for kernel in (played, told):
        kernel.place(1, BUY, 100, 40, -1)
        kernel.place(2, SELL, 101, 40, -1)
    columns = [array("q", column) for column in zip(*tape, strict=True)] or [array("q") for _ in range(4)]
    played.load(*columns)
    fills: list[Fill] = []
    for now, kind, ticks, lots in tape:
        played.run(now, stop_on_touch=False)
        if kind < SOLD:
            told.level(kind, ticks, lots, now)
        else:
            told.trade(BUY if kind in (BOUGHT, BOUGHT_FROM_OWN) else SELL, ticks, lots, now, unseen=kind >= SOLD_TO_OWN)
        assert played.fills == told.fills
        fills += told.fills
        played.fills, told.fills = [], []
    for side in (BUY, SELL):
        assert played.own(side) == told.own(side)
    assert sum(fill.lots for fill in fills) <= 80
