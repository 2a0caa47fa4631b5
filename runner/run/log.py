"""Log lines: one event name with fields per note, to stderr; text for people, JSON lines for programs."""

import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog

from runner.model.command import Note
from runner.model.settings import SECOND

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

Format = Literal["text", "json"]


class Log:
    """Writes notes of at least `level`. Every line carries the run's id, the market and the client order id."""

    def __init__(self, run: str, level: str, form: Format, stream: TextIO | None = None) -> None:
        stream = stream or sys.stderr
        self._least = LEVELS[level]
        self._stream = stream
        renderer: Any = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if form == "json"
            else structlog.dev.ConsoleRenderer(colors=_colour(stream), pad_event_to=22, sort_keys=False)
        )
        self._logger = structlog.wrap_logger(
            structlog.PrintLogger(stream), processors=[renderer], wrapper_class=structlog.BoundLogger
        ).bind()
        self._run = run

    def __call__(self, time: int, note: Note) -> None:
        if LEVELS[note.level] < self._least:
            return
        fields: dict[str, Any] = {"timestamp": _timestamp(time), "level": note.level, "run": self._run}
        if note.market is not None:
            fields["market"] = note.market
        if note.client_id is not None:
            fields["client_id"] = note.client_id
        try:
            self._logger.msg(note.what, **fields, **note.facts)
        except OSError:
            # Whoever read the log has gone, or the terminal was closed: trading goes on without a reader. What is left
            # in the stream's buffer must not fail again when the process ends, for that would change its exit code.
            self._least = 100
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())


def _timestamp(time: int) -> str:
    seconds, rest = divmod(time, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest // 1000:06d}Z"


def _colour(stream: TextIO) -> bool:
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
