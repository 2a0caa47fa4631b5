"""Order book of one market, built from a snapshot and numbered deltas.

Prices are ticks, quantities lots. Nothing here waits, reads a clock or mends a hole: after a gap, or when the book
crosses itself, there is no book until the next snapshot. The stream has already checked the sequence.
"""

from collections.abc import Sequence
from heapq import heappop, heappush

from runner.engine.view import BookState
from runner.model.event import BookDelta, BookGap, BookSnapshot, Levels

Level = tuple[int, int]
"""(ticks, lots)"""

KEYS_SPARE = 1_000
"""Keys of levels that have gone which a heap may hold, besides two for each level there is."""

_NO_BID = 0  # below every price
_NO_ASK = 2**63  # above every price


class Book:
    """What `MarketData` asks for, kept up to date message by message.

    Each side is a dictionary from ticks to lots, its best level, and a heap that finds the next best when the best
    one goes. A heap holds the key of every level there is (ticks; for bids negative, so that the lowest key is the
    best price), and of levels that have gone, which are passed over when they come up.
    """

    __slots__ = (
        "_ask",
        "_ask_keys",
        "_asks",
        "_best_ask",
        "_best_bid",
        "_bid",
        "_bid_keys",
        "_bids",
        "_changed_at",
        "_keys_max",
        "_reason",
        "_state",
    )

    def __init__(self) -> None:
        self._state: BookState = "empty"
        self._reason = "no snapshot yet"
        self._changed_at = 0
        self._bid, self._ask = _NO_BID, _NO_ASK
        self._best_bid: Level | None = None
        self._best_ask: Level | None = None
        self._fill((), ())

    @property
    def state(self) -> BookState:
        """`empty` before the first snapshot, `gap` while what we hold cannot be trusted."""
        return self._state

    @property
    def reason(self) -> str:
        """Why the book is not live; empty while it is."""
        return self._reason

    @property
    def changed_at(self) -> int:
        """Engine time (ns) of the last message that was applied; 0 before the first."""
        return self._changed_at

    def best_bid(self) -> Level | None:
        """Highest bid; None when there is none or the book is not live."""
        return self._best_bid

    def best_ask(self) -> Level | None:
        """Lowest ask; None when there is none or the book is not live."""
        return self._best_ask

    def bids(self, count: int) -> Sequence[Level]:
        """Up to `count` levels, highest first; none while the book is not live."""
        return sorted(self._bids.items(), reverse=True)[:count]

    def asks(self, count: int) -> Sequence[Level]:
        """Up to `count` levels, lowest first; none while the book is not live."""
        return sorted(self._asks.items())[:count]

    def apply(self, what: BookSnapshot | BookDelta | BookGap, time: int) -> None:  # noqa: C901 - see the comment
        """Take in one message of the stream at engine time `time` (ns).

        A delta outside a live book is ignored: its totals belong to levels that we do not know. Deleting a level
        that is not there is legal (reference 6.3).
        """
        # This runs for every frame there is, and a call costs as much as the change itself: both sides in one piece.
        if isinstance(what, BookDelta):
            if self._state != "live":
                return
            for ticks, lots in what.bids:
                levels = self._bids
                if lots:
                    if ticks not in levels:
                        if len(self._bid_keys) > self._keys_max:
                            self._sweep()
                        heappush(self._bid_keys, -ticks)
                    levels[ticks] = lots
                    if ticks >= self._bid:
                        self._bid, self._best_bid = ticks, (ticks, lots)
                elif levels.pop(ticks, 0) and ticks == self._bid:
                    self._find_bid()
            for ticks, lots in what.asks:
                levels = self._asks
                if lots:
                    if ticks not in levels:
                        if len(self._ask_keys) > self._keys_max:
                            self._sweep()
                        heappush(self._ask_keys, ticks)
                    levels[ticks] = lots
                    if ticks <= self._ask:
                        self._ask, self._best_ask = ticks, (ticks, lots)
                elif levels.pop(ticks, 0) and ticks == self._ask:
                    self._find_ask()
        elif isinstance(what, BookSnapshot):
            self._state, self._reason = "live", ""
            self._fill(what.bids, what.asks)
        else:
            self._close(what.reason)
            return
        self._changed_at = time
        if self._bid >= self._ask:
            self._close(f"crossed: bid at {self._bid} ticks, ask at {self._ask}")

    def _close(self, reason: str) -> None:
        self._state, self._reason = "gap", reason
        self._fill((), ())

    def _fill(self, bids: Levels, asks: Levels) -> None:
        self._bids = {ticks: lots for ticks, lots in dict(bids).items() if lots}
        self._asks = {ticks: lots for ticks, lots in dict(asks).items() if lots}
        self._sweep()
        self._find_bid()
        self._find_ask()

    def _sweep(self) -> None:
        """Forget keys of levels that have gone: one that comes and goes far from the best leaves a key each time."""
        self._bid_keys = sorted(-ticks for ticks in self._bids)
        self._ask_keys = sorted(self._asks)
        self._keys_max = 2 * max(len(self._bids), len(self._asks)) + KEYS_SPARE

    def _find_bid(self) -> None:
        keys, levels = self._bid_keys, self._bids
        while keys and -keys[0] not in levels:
            heappop(keys)
        self._bid = -keys[0] if keys else _NO_BID
        self._best_bid = (self._bid, levels[self._bid]) if keys else None

    def _find_ask(self) -> None:
        keys, levels = self._ask_keys, self._asks
        while keys and keys[0] not in levels:
            heappop(keys)
        self._ask = keys[0] if keys else _NO_ASK
        self._best_ask = (self._ask, levels[self._ask]) if keys else None
