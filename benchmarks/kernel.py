"""The fill kernel alone, tape in, book and fills out: a synthetic L2 tape of a million events, and the recordings.

A few orders of ours rest at and behind the best prices of both sides; they are put there anew ten times. Events
are level changes and trades, a second of CPU time; the columns are loaded and compilation is done.
`fills` are those of the compiled kernel; it raises AssertionError where the plain one has others.
"""

from collections.abc import Iterator
from statistics import median
from time import process_time
from typing import Any

from benchmarks.backtest import EVENTS, synthetic
from benchmarks.recorded import DATA
from runner.edge.tape_file import read_tape
from runner.simulation.kernel import BUY, SELL, Fill, Kernel
from runner.simulation.recording import NEVER, Recording

ROUNDS = 5
LEVELS = 3  # orders a side
QUOTED = 10  # times
BUDGET = 10_000_000


def figures() -> Iterator[dict[str, Any]]:
    tapes = {"synthetic": synthetic(EVENTS)}
    for path in sorted(DATA.glob("binance-spot-*.gz")):
        tapes[path.name.split("-")[2]] = read_tape(path)
    for name, tape in tapes.items():
        rounds = [play(tape, compiled=True) for _ in range(ROUNDS)]
        plain, fills = play(tape, compiled=False)
        assert all(found == fills for _, found in rounds), f"{name}: the compiled kernel has other fills"
        for figure, seconds, budget in (
            (f"kernel_compiled_{name}", median(spent for spent, _ in rounds), BUDGET),
            (f"kernel_plain_{name}", plain, None),
        ):
            rate = round(len(tape) / seconds)
            yield {"figure": figure, "value": rate, "unit": "events/s", "budget": budget, "fills": len(fills)}


def play(tape: Recording, *, compiled: bool) -> tuple[float, list[Fill]]:
    """Seconds of CPU time, and all fills."""
    kernel, last = Kernel(compiled=compiled), 0
    kernel.load(tape.times, tape.kinds, tape.ticks, tape.lots)
    row, before = kernel.run(tape.start, stop_on_touch=False), process_time()
    for until in tape.times[:: len(tape) // QUOTED]:
        last = _quote(kernel, last)
        while row < (row := kernel.run(until, stop_on_touch=False)):
            pass
    while row < (row := kernel.run(NEVER, stop_on_touch=False)):
        pass
    return process_time() - before, kernel.fills


def _quote(kernel: Kernel, last: int) -> int:
    """Orders at and behind the best prices in the place of those before. Returns the latest order's id."""
    for side in (BUY, SELL):
        for own in kernel.own(side):
            kernel.cancel(own.order, side)
        for ticks, lots in kernel.visible(side, LEVELS):
            last += 1
            kernel.place(last, side, ticks, lots, -1)
    kernel.touched.clear()
    return last
