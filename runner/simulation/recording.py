"""A recorded market as values: what its order book held, what traded, when, and on which grid.

The recording is a table of whole numbers, a column each, so that a kernel can walk over it without meeting an object:
`times` are UTC ns of receipt and never decrease, `kinds` say what a row is, `ticks` a price, `lots` a quantity. A row
of the book is the new total of a level, zero where the level is gone; a row of a trade is the traded volume. Rows of
one moment belong together: between them the book may be half changed, but it is never crossed.
"""

from array import array

from msgspec import Struct

from runner.model.market import Market

BID, ASK, SOLD, BOUGHT = range(4)
"""Kinds of rows: a level of either side, and a trade by the side of its taker."""


class Gap(Struct, frozen=True):
    """Changes that the recorder did not get, when the first `row` rows had happened. From there to the next snapshot
    the book stands still."""

    row: int
    time: int
    reason: str

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

    @property
    def start(self) -> int:
        return self.times[0]

    @property
    def end(self) -> int:
        return self.times[-1]
