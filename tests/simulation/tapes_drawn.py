"""Draws of any tape: rows of a market whose book is never crossed are not needed where only the columns matter."""

from array import array
from decimal import Decimal
from itertools import accumulate

from hypothesis import strategies as st

from runner.model.market import Market
from runner.simulation.recording import ASK, Gap, Recording, Taint, Touch

MARKET = Market(
    id="ab",
    base="A",
    quote="B",
    price_precision=2,
    amount_precision=3,
    price_min=Decimal("0.01"),
    quantity_min=Decimal("0.001"),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.002"),
)
_rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 6), st.integers(0, 9)), min_size=1)


def tape(rows: list[tuple[int, int, int, int]], start: int = 10**18) -> Recording:
    """From (ns since the row before, kind, ticks, lots)."""
    steps, kinds, ticks, lots = zip(*rows, strict=True)
    return Recording(
        market=MARKET,
        times=array("q", accumulate([start + steps[0], *steps[1:]])),
        kinds=array("q", kinds),
        ticks=array("q", ticks),
        lots=array("q", lots),
        trades=sum(kind > ASK for kind in kinds),
    )


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    made = tape(draw(_rows))
    row = st.integers(0, len(made))
    time = st.integers(made.start, made.end)
    level = st.tuples(st.integers(1, 9), st.integers(1, 9))
    return Recording(
        market=made.market,
        times=made.times,
        kinds=made.kinds,
        ticks=made.ticks,
        lots=made.lots,
        trades=made.trades,
        touches=tuple(draw(st.lists(st.builds(Touch, row, level, level), max_size=3))),
        gaps=tuple(draw(st.lists(st.builds(Gap, row, time, st.text(max_size=5), time), max_size=3))),
        tainted=tuple(
            draw(st.lists(st.builds(Taint, row, time, st.integers(0, 1), st.just(3), st.just("x")), max_size=3))
        ),
        frames=draw(st.integers(0, 9)),
        left_out=draw(st.integers(0, 9)),
    )
