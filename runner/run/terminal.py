"""What a person or a log collector sees of a run while it lasts: the live view, or log lines."""

import os
from typing import Literal

import anyio
from msgspec import Struct

from runner.edge.clock import Clock
from runner.run.audit import Audit
from runner.run.log import Log
from runner.run.screen import Screen

PICTURES_APART_S = 0.25


class LogLines(Struct, frozen=True):
    """Log lines on stderr, from `level` on."""

    level: str = "info"
    as_json: bool = True


View = LogLines | Literal["screen", "none"]


def screen_usable() -> bool:
    """Whether there is a terminal that can show the live view."""
    return Screen().usable


def has_terminal() -> bool:
    """Whether the process still belongs to a terminal: one that was closed takes that away."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


def listen(view: View, audit: Audit) -> None:
    if isinstance(view, LogLines):
        audit.tell(Log(audit.run, view.level, "json" if view.as_json else "text"))


async def show(audit: Audit, clock: Clock) -> None:
    """The live view, until cancelled."""
    with Screen() as screen:
        while True:
            screen.show(audit.status(clock.now()))
            await anyio.sleep(PICTURES_APART_S)
