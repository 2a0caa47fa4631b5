"""A record on disk as one sequence of entries, whatever files it is kept in."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.edge.recorder import SUFFIX
from runner.model.event import Event
from runner.simulation.record import Entry, NotARecord, Part


class Record:
    """The parts of a record, one after the other. `damage` and `ended` are of the last one that was read."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)
        self.damage: str | None = None
        self.ended: str | None = None
        first = self._part(self._files[0])
        self.header = first.header
        self.snapshot = first.snapshot
        """What the record begins with where its first files are gone; None where it has all of them."""

    def __iter__(self) -> Iterator[Entry]:
        number = 0 if self.snapshot is None else self.snapshot.number  # of the last event
        if self.header.part > 1 and self.snapshot is None:
            self.damage = f"what was before {self._files[0].name} is missing, and it has no snapshot"
            return
        for file in self._files:
            part = self._part(file)
            self.damage, self.ended = None, None
            if part.header.run != self.header.run:
                self.damage = f"{file.name} is of another run"
                return
            for entry in part:
                if entry.event.number != number + 1:
                    self.damage = f"events {number + 1} to {entry.event.number - 1} are missing before {file.name}"
                    return
                number = entry.event.number
                yield entry
            self.damage, self.ended = part.damage, part.ended
            if self.damage is not None:
                self.damage = f"{file.name}: {self.damage}"
                return

    def heard(self) -> Iterator[Event]:
        """Its events, behind those that make what its snapshot knows known."""
        if self.snapshot is not None:
            yield from (Event(self.snapshot.number, self.snapshot.time, what) for what in self.snapshot.known)
        yield from (entry.event for entry in self)

    def _part(self, file: Path) -> Part:
        try:
            return Part(file.read_bytes())
        except NotARecord as problem:
            raise NotARecord(f"{file}: {problem}") from None


def parts(record: Path) -> list[Path]:
    """The files of a record, in order."""
    return [record] if record.is_file() else sorted(record.glob(f"*{SUFFIX}"))
