"""What a journal began with: how the position of its strategy was known when the file was new (orders.md rule 16).

A new file is a first start or a lost journal, and only the venue can tell which: it shows the orders of earlier
journals by their names. Once it is known it is written down, so it is found out once in a journal's life.
"""

from decimal import Decimal
from typing import Literal

from msgspec import Struct


class Beginning(Struct, frozen=True):
    """`first`: there was nothing of ours before. `rebuilt`: the fills of earlier journals were taken over, and count
    like its own. `stated`: a person said what is held, with `runner run --position`; `position` (by currency) stands
    in for `run.initial_position`, and a fill traded before the venue second `since` is part of it.
    """

    how: Literal["first", "rebuilt", "stated"]
    position: dict[str, Decimal] = {}
    since: int = 0
