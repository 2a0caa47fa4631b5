"""A recorded market as values: what its order book held, what traded, when, and on which grid.

The recording is a table of whole numbers, a column each, so that a kernel can walk over it without meeting an object:
`times` are UTC ns of receipt and never decrease, `kinds` say what a row is, `ticks` a price, `lots` a quantity. A row
of the book is the new total of a level, zero where the level is gone; a row of a trade is the traded volume. Rows of
one moment belong together: between them the book may be half changed, but it is never crossed.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from itertools import chain

from msgspec import Struct, structs

from runner.model.market import Market

NEVER = 2**62
"""A time (ns) that does not come."""

BID, ASK, SOLD, BOUGHT, SOLD_TO_OWN, BOUGHT_FROM_OWN = range(6)
"""Kinds of rows: a level of either side, and a trade by the side of its taker, which a trade's odd number says is a
buy. The last two hit an order of whoever recorded, who is not on the tape: no level shrinks by them.
"""


class Gap(Struct, frozen=True):
    """Changes that the recorder did not get, when the first `row` rows had happened. From there to the next snapshot
    (`until`) the book stands still."""

    row: int
    time: int
    reason: str
    until: int = NEVER

    def __str__(self) -> str:
        return self.reason


class Taint(Struct, frozen=True):
    """A level (`kind`, `ticks`) of which one cannot say how much was ours, from about row `row` on, and why."""

    row: int
    time: int
    kind: int
    ticks: int
    reason: str


class Touch(Struct, frozen=True, gc=False):
    """What the venue itself said was best when the first `rows` rows had happened: (ticks, lots)."""

    rows: int
    bid: tuple[int, int]
    ask: tuple[int, int]


class Recording(Struct, frozen=True, eq=False, kw_only=True):
    """One market's tape. It begins with the rows of a snapshot, all of one moment.

    `touches` are there to check the book with; nothing is replayed from them. `frames` counts the depth frames that
    are in it, `left_out` what came before the first snapshot or after a gap and could not be used. `tainted` are levels
    of a tape that was recorded while we traded ourselves.
    """

    market: Market
    times: "array[int]"
    kinds: "array[int]"
    ticks: "array[int]"
    lots: "array[int]"
    touches: tuple[Touch, ...] = ()
    gaps: tuple[Gap, ...] = ()
    tainted: tuple[Taint, ...] = ()
    frames: int = 0
    trades: int = 0
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.times)

    def rows_until(self, time: int) -> int:
        """How many rows have happened at `time` (ns)."""
        return bisect_right(self.times, time)

    @property
    def start(self) -> int:
        return self.times[0]

    @property
    def end(self) -> int:
        return self.times[-1]


def cut(tape: Recording, start: int, end: int) -> Recording:
    """What happened from `start` to before `end` (UTC ns), on the book as it was when `start` came.

    That book is its first moment. Raises ValueError where nothing is in between.
    """
    first, last = bisect_right(tape.times, start), bisect_left(tape.times, end)
    if last <= first:
        raise ValueError("the tape has nothing between these times")
    levels: dict[tuple[int, int], int] = {}
    for kind, ticks, lots in zip(tape.kinds[:first], tape.ticks[:first], tape.lots[:first], strict=True):
        if kind <= ASK:
            levels[kind, ticks] = lots
    opening = [(kind, ticks, lots) for (kind, ticks), lots in levels.items() if lots]
    moved = len(opening) - first

    def column(values: Iterable[int], rows: "array[int]") -> "array[int]":
        return array("q", chain(values, rows[first:last]))

    kinds = column((kind for kind, _, _ in opening), tape.kinds)
    return structs.replace(
        tape,
        times=column((max(start, tape.start) for _ in opening), tape.times),
        kinds=kinds,
        ticks=column((ticks for _, ticks, _ in opening), tape.ticks),
        lots=column((lots for _, _, lots in opening), tape.lots),
        touches=tuple(structs.replace(t, rows=t.rows + moved) for t in tape.touches if first < t.rows <= last),
        gaps=tuple(
            structs.replace(gap, row=max(0, gap.row + moved))
            for gap in tape.gaps
            if gap.time < end and gap.until > start
        ),
        # A level that was tainted before stays so.
        tainted=tuple(structs.replace(one, row=max(0, one.row + moved)) for one in tape.tainted if one.time < end),
        frames=0,
        trades=sum(kind > ASK for kind in kinds),
        left_out=0,
    )
