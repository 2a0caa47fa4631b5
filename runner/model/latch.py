"""A latch: something happened that a person has to look at. It stands, across restarts, until it is lifted."""

from msgspec import Struct

from runner.model.settings import OnBreach

LATE_ORDER = "late_order"
"""An order turned up that was proven never to have come into being (orders.md rule 9)."""

STALE_JOURNAL = "stale_journal"
"""The journal is an older copy of itself: names, fills and positions in it are behind (orders.md rule 25)."""

FOR_A_PERSON = (LATE_ORDER, STALE_JOURNAL)
"""What no time mends, and no `resume` of the file lifts."""


class Latch(Struct, frozen=True):
    """`name` is the limit that was passed, or one of the above; `action` what it does; `why` the numbers, in words.

    `since`: engine time, ns. `client_id`: of the order it is about, where there is one.
    """

    name: str
    action: OnBreach
    since: int
    why: str
    client_id: str | None = None

    @property
    def halts(self) -> bool:
        """It ends the run, and every later one until it is lifted."""
        return self.action.startswith("halt")
