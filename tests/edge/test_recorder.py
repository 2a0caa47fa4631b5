"""The recorder on a real disk: what is taken can be read, and nothing that happens to the disk reaches the run."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.edge.recorder import BLOCK, Recorder
from runner.model.command import Note, Output
from runner.model.event import Event, StreamDown
from runner.model.settings import MILLISECOND, SECOND
from runner.simulation.record import Header, Part, decoded

HEADER = Header(run="a-run", part=1, began=0, name="n", venue="v", version="1", python="3", platform="p")
QUIET = Output()


def event(number: int, time: int | None = None, text: str = "news") -> Event:
    return Event(number, number * MILLISECOND if time is None else time, StreamDown("public", text))


def parts(folder: Path) -> list[Part]:
    return [Part(file.read_bytes()) for file in sorted(folder.iterdir())]


def numbers(folder: Path) -> list[int]:
    return [entry.event.number for part in parts(folder) for entry in part]


def noise(number: int) -> str:
    """Text that does not pack well."""
    return "".join(chr(33 + pow(number + 2, at + 3, 8191) % 90) for at in range(400))


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The system refuses to let a file grow further, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_is_taken_can_be_read(tmp_path: Path) -> None:
    said = Output(notes=(Note("a.note", facts={"x": 1.5}),), wake_at=7)
    with Recorder(tmp_path / "r", HEADER) as recorder:
        recorder.take(event(1), said)
        recorder.take(event(2), None)
    (part,) = parts(tmp_path / "r")
    first, second = part
    assert part.header == HEADER
    assert (first.event, second.event) == (event(1), event(2))
    assert first.output is not None
    assert decoded(first.output) == said
    assert second.output is None
    assert (part.damage, part.ended) == (None, "")


def test_a_flush_leaves_nothing_in_the_process(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", HEADER) as recorder:
        recorder.take(event(1, 100 * SECOND), QUIET)  # a second or more after nothing at all
        recorder.take(event(2, 100 * SECOND), QUIET)
        assert numbers(tmp_path / "r") == [1]  # read while it is being written, as after a kill
        recorder.flush()
        assert numbers(tmp_path / "r") == [1, 2]
        assert "killed" in _damage(tmp_path / "r")


def test_it_flushes_by_itself_after_a_second_and_when_a_block_is_full(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", HEADER) as recorder:
        recorder.take(event(1, 100 * SECOND), QUIET)
        recorder.take(event(2, 101 * SECOND - 1), QUIET)
        assert numbers(tmp_path / "r") == [1]
        recorder.take(event(3, 101 * SECOND), QUIET)
        assert numbers(tmp_path / "r") == [1, 2, 3]
        recorder.take(event(4, 101 * SECOND, "x" * BLOCK), QUIET)
        assert numbers(tmp_path / "r") == [1, 2, 3, 4]


def test_a_long_record_is_several_files_that_follow_each_other(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", HEADER, part_max=4_000) as recorder:
        for number in range(1, 101):
            recorder.take(event(number, text=noise(number)), QUIET)
            recorder.flush()
    found = parts(tmp_path / "r")
    assert len(found) > 3
    assert numbers(tmp_path / "r") == list(range(1, 101))
    assert [part.header.part for part in found] == list(range(1, len(found) + 1))
    assert all(file.stat().st_size < 5_000 for file in (tmp_path / "r").iterdir())
    for part in found:
        assert list(part)
        assert (part.damage, part.ended) == (None, "")


def test_a_record_ends_at_its_cap_and_says_so_once(tmp_path: Path) -> None:
    told: list[str] = []
    with Recorder(tmp_path / "r", HEADER, bytes_max=20_000, part_max=4_000, told=told.append) as recorder:
        for number in range(1, 201):
            recorder.take(event(number, text=noise(number)), QUIET)
            recorder.flush()
        assert not recorder.recording
    kept = numbers(tmp_path / "r")
    assert kept == list(range(1, len(kept) + 1))
    assert 10 < len(kept) < 200
    assert sum(file.stat().st_size for file in (tmp_path / "r").iterdir()) < 20_500
    (problem,) = told
    assert "cap of 0.02 MB" in problem
    last = parts(tmp_path / "r")[-1]
    assert list(last)
    assert last.damage is None
    assert last.ended is not None
    assert "cap" in last.ended


def test_a_disk_that_fills_up_ends_the_record_and_not_the_run(tmp_path: Path) -> None:
    told: list[str] = []
    with Recorder(tmp_path / "r", HEADER, told=told.append) as recorder, files_no_larger_than(10_000):
        for number in range(1, 201):
            recorder.take(event(number, text=noise(number)), QUIET)
            recorder.flush()
        assert not recorder.recording
    assert len(told) == 1
    kept = numbers(tmp_path / "r")
    assert kept == list(range(1, len(kept) + 1))
    assert 10 < len(kept) < 200
    assert "cut off" in _damage(tmp_path / "r")


def test_a_folder_that_cannot_be_made_ends_the_record_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("in the way")
    told: list[str] = []
    with Recorder(tmp_path / "r" / "deeper", HEADER, told=told.append) as recorder:
        recorder.take(event(1), QUIET)
        assert not recorder.recording
    assert len(told) == 1


def test_what_no_record_can_hold_ends_it_and_not_the_run(tmp_path: Path) -> None:
    told: list[str] = []
    with Recorder(tmp_path / "r", HEADER, told=told.append) as recorder:
        recorder.take(event(1), QUIET)
        recorder.take(event(2**70), QUIET)
        recorder.take(event(3), QUIET)
    assert len(told) == 1
    assert numbers(tmp_path / "r") == [1]


def test_without_a_folder_everything_is_taken_and_nothing_kept(tmp_path: Path) -> None:
    with Recorder() as recorder:
        recorder.take(event(1), QUIET)
        recorder.flush()
    assert list(tmp_path.iterdir()) == []


def test_an_older_record_is_never_written_over(tmp_path: Path) -> None:
    with Recorder(tmp_path / "r", HEADER) as recorder:
        recorder.take(event(1), QUIET)
    told: list[str] = []
    with Recorder(tmp_path / "r", HEADER, told=told.append) as recorder:
        recorder.take(event(2), QUIET)
    assert numbers(tmp_path / "r") == [1]
    assert told == ["the record ends here, the run goes on: File exists"]


def _damage(folder: Path) -> str:
    part = parts(folder)[-1]
    assert list(part) is not None
    assert part.damage is not None
    return part.damage


@pytest.fixture(autouse=True)
def _limits_stay_as_they_were() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
