"""A tape comes back from its bytes as it was, and damaged bytes never come back as another tape."""

from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace
from tapes_drawn import recordings, tape

from runner.simulation.columns import NotATape
from runner.simulation.recording import ASK, Recording, cut
from runner.simulation.tape_format import MAGIC, read, written

SMALL = b"".join(written(tape([(1, 0, 5, 9), (0, 1, 6, 4), (7, 3, 6, 2)])))


@given(recordings())
def test_any_tape_comes_back(recording: Recording) -> None:
    assert asdict(read(b"".join(written(recording)))) == asdict(recording)


def test_a_tape_cut_off_anywhere_is_refused() -> None:
    for at in range(len(SMALL)):
        with pytest.raises(NotATape):
            read(SMALL[:at])
    with pytest.raises(NotATape, match="behind its end"):
        read(SMALL + b"x")


@given(st.integers(0, len(SMALL) - 1), st.integers(1, 255))
@settings(max_examples=300)
def test_a_tape_garbled_anywhere_is_refused(at: int, flip: int) -> None:
    garbled = bytearray(SMALL)
    garbled[at] ^= flip
    with pytest.raises(NotATape):
        read(bytes(garbled))


@given(st.binary(max_size=40))
def test_what_is_no_tape_is_refused(data: bytes) -> None:
    for each in (data, MAGIC + data):
        with pytest.raises(NotATape):
            read(each)


@pytest.mark.parametrize(
    ("column", "numbers", "said"),
    [
        ("times", [5, 4, 6], "rows"),
        ("kinds", [0, 1, 6], "rows"),
        ("ticks", [5, 0, 6], "rows"),
        ("lots", [9, -1, 2], "rows"),
        ("lots", [9, 2**62, 2], "64 bits"),
    ],
)
def test_rows_that_no_market_has_are_refused(column: str, numbers: list[int], said: str) -> None:
    wrong = replace(tape([(1, 0, 5, 9), (0, 1, 6, 4), (7, 3, 6, 2)]), **{column: array("q", numbers)})
    with pytest.raises(NotATape, match=said):
        read(b"".join(written(wrong)))


# A part of a tape -----------------------------------------------------------------------------------------


def book(recording: Recording, until: int) -> dict[tuple[int, int], int]:
    levels = {}
    for time, kind, ticks, lots in zip(recording.times, recording.kinds, recording.ticks, recording.lots, strict=True):
        if time <= until and kind <= ASK:
            levels[kind, ticks] = lots
    return {level: lots for level, lots in levels.items() if lots}


def trades(recording: Recording, since: int, until: int) -> list[tuple[int, ...]]:
    rows = zip(recording.times, recording.kinds, recording.ticks, recording.lots, strict=True)
    return [row for row in rows if row[1] > ASK and since < row[0] < until]


@given(recordings(), st.integers(-2, 20), st.integers(0, 20))
def test_a_part_shows_the_same_books_and_trades(recording: Recording, offset: int, length: int) -> None:
    start = recording.start + offset
    end = start + length
    inside = [time for time in recording.times if start < time < end]
    if not inside:
        with pytest.raises(ValueError, match="nothing"):
            cut(recording, start, end)
        return
    part = cut(recording, start, end)
    assert start <= part.start
    assert part.end < end
    assert list(part.times) == sorted(part.times)
    for moment in range(part.start, end):
        assert book(part, moment) == book(recording, moment)
    assert trades(part, 0, end) == trades(recording, start, end)
    assert part.trades == len(trades(part, 0, end))
    assert [gap.time for gap in part.gaps] == [
        gap.time for gap in recording.gaps if gap.time < end and gap.until > start
    ]
    assert {(one.kind, one.ticks) for one in part.tainted} == {
        (one.kind, one.ticks) for one in recording.tainted if one.time < end
    }
    read(b"".join(written(part)))
