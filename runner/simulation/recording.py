"""A recorded market as values: what its order book held, what traded, when, and on which grid.

The recording is a table of whole numbers, a column each, so that a kernel can walk over it without meeting an object:
`times` are UTC ns of receipt and never decrease, `kinds` say what a row is, `ticks` a price, `lots` a quantity. A row
of the book is the new total of a level, zero where the level is gone; a row of a trade is the traded volume. Rows of
one moment belong together: between them the book may be half changed, but it is never crossed.
"""

from array import array
from bisect import bisect_right

from msgspec import Struct

from runner.model.market import Market

NEVER = 2**62
"""A time (ns) that does not come."""

BID, ASK, SOLD, BOUGHT, SOLD_TO_OWN, BOUGHT_FROM_OWN = range(6)
"""Kinds of rows: a level of either side, and a trade by the side of its taker, which a trade's odd number says is a
buy. The last two hit an order of whoever recorded, who is not on the tape: no level shrinks by them.
"""


class SequenceGap(Struct, frozen=True):
    """Depth updates that the recorder did not get. From here to the next snapshot (`until`) the book stands still."""

    line: int
    time: int
    expected: int
    found: int
    until: int = NEVER

    def __str__(self) -> str:
        return f"line {self.line}: {self.found - self.expected} depth updates are missing before update {self.found}"


class Touch(Struct, frozen=True, gc=False):
    """What the venue itself said was best when the first `rows` rows had happened: (ticks, lots)."""

    rows: int
    bid: tuple[int, int]
    ask: tuple[int, int]


class Recording(Struct, frozen=True, eq=False, kw_only=True):
    """One market's tape. It begins with the rows of a snapshot, all of one moment.

    `touches` are there to check the book with; nothing is replayed from them. `frames` counts the depth frames that
    are in it, `left_out` the lines that came before the first snapshot or after a gap and could not be used.
    """

    market: Market
    times: "array[int]"
    kinds: "array[int]"
    ticks: "array[int]"
    lots: "array[int]"
    touches: tuple[Touch, ...] = ()
    gaps: tuple[SequenceGap, ...] = ()
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
