"""A record on disk as one sequence of entries, whatever files it is kept in."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from runner.edge.recorder import SUFFIX
from runner.simulation.record import Entry, NotARecord, Part


class Record:
    """The parts of a record, one after the other. `damage` and `ended` are of the last one that was read."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._files = list(files)
        self.damage: str | None = None
        self.ended: str | None = None
        self.header = self._part(self._files[0]).header

    def __iter__(self) -> Iterator[Entry]:
        number = 0  # of the last event
        for file in self._files:
            part = self._part(file)
            self.damage, self.ended = None, None
            if part.header.run != self.header.run:
                self.damage = f"{file.name} is of another run"
                return
            for entry in part:
                if number and entry.event.number != number + 1:
                    self.damage = f"events {number + 1} to {entry.event.number - 1} are missing before {file.name}"
                    return
                number = entry.event.number
                yield entry
            self.damage, self.ended = part.damage, part.ended
            if self.damage is not None:
                self.damage = f"{file.name}: {self.damage}"
                return

    def _part(self, file: Path) -> Part:
        try:
            return Part(file.read_bytes())
        except NotARecord as problem:
            raise NotARecord(f"{file}: {problem}") from None


def parts(record: Path) -> list[Path]:
    """The files of a record, in order."""
    return [record] if record.is_file() else sorted(record.glob(f"*{SUFFIX}"))
