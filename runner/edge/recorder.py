"""Writes a run's record to disk while the run goes on, and never stands in its way.

A record is a folder, its parts are files (`simulation/record.py`). What is taken waits in memory until it makes a
block, until a second has passed, or until somebody asks for a flush: before a request leaves, what led to it is with
the operating system, so that a killed process has lost nothing that was sent. (A power failure may take the last
seconds; what must survive that is the journal's.) A disk that is full, or anything else that keeps the recorder from
writing, ends the record and not the run: it is told once, and from then on nothing is recorded.

A file that is full is followed by the next, which begins with a snapshot of the engine; so the oldest ones can go when
the record has grown to its cap, and the rest can still be replayed. Without snapshots it ends at its cap and says so.
"""

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec
from msgspec import structs

from runner.model.command import Output
from runner.model.event import Event
from runner.model.settings import SECOND
from runner.simulation.record import Header, Snapshot, beginning, block, end, opening, packed

MEGABYTE = 1_000_000
PART_MAX = 16 * MEGABYTE
BLOCK = 1 << 16
"""Bytes of entries that make a block: half a thousand book changes, packed in half a millisecond."""
FLUSH_EVERY = SECOND
SUFFIX = ".record"


class Recorder:
    """One record being written. Without a folder, and after a failure, it takes everything and keeps nothing."""

    def __init__(
        self,
        folder: Path | None = None,
        header: Header | None = None,
        *,
        bytes_max: int = 64 * MEGABYTE,
        part_max: int = PART_MAX,
        snapshot: Callable[[Event], Snapshot] | None = None,
        told: Callable[[str], None] = lambda _problem: None,
    ) -> None:
        """`bytes_max` is for all parts together. `snapshot` is of the engine after the event that it gets.

        `told` hears, at most once, why the record ends before the run.
        """
        self.folder = folder
        self._header = header
        self._bytes_max = bytes_max
        self._part_max = min(part_max, bytes_max // 4)
        self._snapshot = snapshot
        self._parts: list[tuple[Path, int]] = []  # those that are complete, and their bytes, oldest first
        self._told = told
        self._file: BinaryIO | None = None
        self._waiting = bytearray()
        self._flushed_at = 0
        self._number = 0  # of the part
        self._written = self._head = 0  # bytes of this part, and of what comes before its entries
        if folder is not None:
            self._safely(self._begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def recording(self) -> bool:
        return self._file is not None

    def take(self, event: Event, output: Output | None) -> None:
        """What the engine was told and what it said; None where it failed."""
        if self._file is None:
            return
        try:
            self._waiting += packed(event, output)
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as problem:
            reason = f"event {event.number} cannot be written down: {problem}"
            self.close(reason)
            self._told(f"the record ends here, the run goes on: {reason}")
            return
        if len(self._waiting) >= BLOCK or event.time - self._flushed_at >= FLUSH_EVERY:
            self._flushed_at = event.time
            self.flush()
        if self._full and output is not None:
            self.flush()
            self._safely(lambda: self._next_part(event))

    def flush(self) -> None:
        """Whatever was taken is with the operating system."""
        if self._file is not None and self._waiting:
            self._safely(self._write)

    def close(self, reason: str = "") -> None:
        self.flush()
        if self._file is not None:
            self._safely(lambda: self._end(reason))

    # Files ------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        assert self.folder is not None
        assert self._header is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        self._written = 0
        self._file = self._path(self._number).open("xb", buffering=0)
        self._put(opening(structs.replace(self._header, part=self._number)))
        self._head = self._written

    @property
    def _full(self) -> bool:
        """A file holds more entries than snapshot, so a large state costs at most as much again as its events."""
        return self._written - self._head > max(self._part_max, self._head)

    def _path(self, number: int) -> Path:
        assert self.folder is not None
        return self.folder / f"{number:04d}{SUFFIX}"

    def _next_part(self, event: Event) -> None:
        """Begin another file behind `event`, with a snapshot if there can be one."""
        if self._file is None:  # the last of the file before did not fit
            return
        start = self._snapshot_after(event)
        self._end("")
        self._parts.append((self._path(self._number), self._written))
        self._begin()
        if start is not None:
            self._put(start)
            self._head = self._written

    def _has_room(self, size: int) -> bool:
        """Whether so many bytes fit under the cap, if need be without the oldest files, where others do without."""
        while sum(bytes_ for _, bytes_ in self._parts) + self._written + size > self._bytes_max:
            if self._snapshot is None or not self._parts:
                return False
            oldest, _ = self._parts.pop(0)
            oldest.unlink(missing_ok=True)
        return True

    def _snapshot_after(self, event: Event) -> bytes | None:
        if self._snapshot is None:
            return None
        try:
            return beginning(self._snapshot(event))
        except Exception:  # noqa: BLE001 - a strategy's own structures may refuse anything
            self._snapshot = None  # the record is whole from its oldest file on, and ends at its cap
            return None

    def _write(self) -> None:
        data = block(self._waiting)
        self._waiting.clear()
        if not self._has_room(len(data)):
            reason = f"its cap of {self._bytes_max / MEGABYTE:g} MB"
            self._end(reason)
            self._told(f"the record ends at {reason}, the run goes on")
            return
        self._put(data)

    def _put(self, data: bytes) -> None:
        assert self._file is not None
        left = memoryview(data)
        while left:  # a disk that fills up takes a part of it first
            left = left[self._file.write(left) :]
        self._written += len(data)

    def _end(self, reason: str) -> None:
        assert self._file is not None
        self._put(end(reason))
        self._file.close()
        self._file = None

    def _safely(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OSError as problem:
            self._fail(problem.strerror or str(problem))

    def _fail(self, problem: str) -> None:
        file, self._file = self._file, None
        self._waiting.clear()
        if file is not None:
            file.close()
        self._told(f"the record ends here, the run goes on: {problem}")
