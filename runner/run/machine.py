"""What a run stands on besides its file: a network, two clocks, chance, and somebody who may send it signals.

A simulated universe brings its own; then nothing of the machine below is left in a run but the files of its journal.
"""

import random
import time
from collections.abc import Callable

from msgspec import Struct, field

from runner.edge.network import Connect, connect_tcp


class Machine(Struct, frozen=True, kw_only=True):
    """`wall` is UTC ns, read once at the start. `monotonic` is ns, the same for all processes of the machine."""

    connect: Connect = connect_tcp
    wall: Callable[[], int] = time.time_ns
    monotonic: Callable[[], int] = time.monotonic_ns
    dice: random.Random = field(default_factory=random.SystemRandom)
    signals: bool = True
