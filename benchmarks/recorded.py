"""Recordings: how fast they are imported, and how fast the fill kernel goes over them with orders of ours in the book.

Over the real recordings where they are (`RUNNER_TEST_DATA`, by default ../shared/data beside the project); without
them there is nothing to measure, and no figure.
"""

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import Any

from runner.edge.tape_file import read_tape
from runner.simulation.kernel import BUY, SELL, Kernel
from runner.simulation.recording import BOUGHT, Recording

DATA = Path(os.environ.get("RUNNER_TEST_DATA", Path(__file__).parents[1] / "../shared/data"))
ROUNDS = 5
REQUOTE_EVERY = 500  # events
LEVELS = 3  # orders a side
APART, LOTS = 600, 20_000  # ticks between them, and their size


def figures() -> Iterator[dict[str, Any]]:
    """Events (level changes and trades) a second of CPU time, median of five rounds."""
    for path in sorted(DATA.glob("binance-spot-*.gz")):
        name = path.name.split("-")[2]
        spent = []
        for _ in range(ROUNDS):
            before = process_time_ns()
            recording = read_tape(path)
            spent.append(process_time_ns() - before)
        events = len(recording)
        rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        yield {"figure": f"import_{name}", "value": _rate(events, spent), "unit": "events/s", "peak_rss_mb": rss}
        for quoting in (False, True):
            rounds = [replay(recording, quoting=quoting) for _ in range(ROUNDS)]
            yield {
                "figure": f"kernel_{name}" + ("_quoting" if quoting else ""),
                "value": _rate(events, [took for took, _ in rounds]),
                "unit": "events/s",
                "events": events,
                "fills": rounds[0][1],
            }


def replay(recording: Recording, *, quoting: bool) -> tuple[int, int]:
    """Go over a recording once. Returns ns of CPU time and the number of fills."""
    kernel, fills, last = Kernel(), 0, 0
    times, kinds, ticks, lots = recording.times, recording.kinds, recording.ticks, recording.lots
    before = process_time_ns()
    for row in range(len(recording)):
        kind = kinds[row]
        if kind <= SELL:
            kernel.level(kind, ticks[row], lots[row], times[row])
        else:
            kernel.trade(BUY if kind == BOUGHT else SELL, ticks[row], lots[row], times[row])
        if kernel.touched:
            kernel.touched.clear()
        if kernel.fills:
            fills += len(kernel.fills)
            kernel.fills.clear()
        if quoting and row % REQUOTE_EVERY == REQUOTE_EVERY - 1:
            last = _requote(kernel, last)
    return process_time_ns() - before, fills


def _requote(kernel: Kernel, last: int) -> int:
    """Orders at and behind the best prices, in the place of those before. Returns the latest order's id."""
    for side in (BUY, SELL):
        for own in list(kernel.own(side)):
            kernel.cancel(own.order, side)
        for best, _ in kernel.visible(side, 1):
            for level in range(LEVELS):
                last += 1
                kernel.place(last, side, best + (APART if side == SELL else -APART) * level, LOTS, -1)
    return last


def _rate(events: int, spent: list[int]) -> int:
    return round(events / (median(spent) / 1e9))
