"""A record gives back what was put in, and of a damaged one what was whole, with a word about the rest."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_values import EVENTS, OUTPUTS

from runner.model.command import Finish, Output, Place
from runner.model.event import Event, StreamDown, Wake
from runner.model.order import Side
from runner.simulation.record import (
    BODY_MAX,
    MAGIC,
    Header,
    NotARecord,
    Part,
    block,
    decoded,
    encoded,
    end,
    opening,
    packed,
)

HEADER = Header(
    run="a-run", part=1, began=5, name="n", venue="v", version="1", python="3", platform="p", code={"a.py": "0"}
)
STEPS = [
    (Event(number, number * 10, StreamDown("public", f"reason {number}")), Output(wake_at=number))
    for number in range(1, 8)
]
BLOCKS = [STEPS[:3], STEPS[3:4], STEPS[4:]]
RECORD = opening(HEADER) + b"".join(block(b"".join(packed(*step) for step in steps)) for steps in BLOCKS) + end("over")


def read(data: bytes) -> tuple[list[tuple[Event, Output]], Part]:
    part = Part(data)
    steps = []
    for event, output in part:
        assert output is not None
        steps.append((event, decoded(output)))
    return steps, part


@given(st.lists(st.tuples(EVENTS, st.none() | OUTPUTS), max_size=5), st.text(max_size=5))
@settings(max_examples=100)
def test_any_events_and_outputs_come_back(steps: list[tuple[Event, Output | None]], reason: str) -> None:
    part = Part(opening(HEADER) + block(b"".join(packed(*step) for step in steps)) + end(reason))
    entries = list(part)
    assert part.header == HEADER
    assert [entry.event for entry in entries] == [event for event, _ in steps]
    assert [entry.output for entry in entries] == [None if output is None else encoded(output) for _, output in steps]
    assert [None if entry.output is None else decoded(entry.output) for entry in entries] == [
        output for _, output in steps
    ]
    assert (part.damage, part.ended) == (None, reason)


def test_a_record_cut_off_anywhere_gives_what_was_whole_and_says_so() -> None:
    begun = len(opening(HEADER))
    for at in range(begun):
        with pytest.raises(NotARecord):
            Part(RECORD[:at])
    for at in range(begun, len(RECORD)):
        steps, part = read(RECORD[:at])
        whole, expected = begun, []
        for steps_of_block in BLOCKS:
            whole += len(block(b"".join(packed(*step) for step in steps_of_block)))
            if whole <= at:
                expected += steps_of_block
        assert steps == expected
        assert part.ended is None
        assert part.damage is not None
        assert "byte" in part.damage


@given(st.integers(0, len(RECORD) - 1), st.integers(1, 255))
@settings(max_examples=200)
def test_a_record_garbled_anywhere_gives_a_beginning_and_says_so(at: int, flip: int) -> None:
    garbled = bytearray(RECORD)
    garbled[at] ^= flip
    try:
        steps, part = read(bytes(garbled))
    except NotARecord:
        assert at < len(opening(HEADER))
        return
    assert steps == STEPS[: len(steps)]
    assert part.damage is not None
    assert part.ended is None


@given(st.binary(max_size=60))
def test_what_is_no_record_is_refused_in_words(data: bytes) -> None:
    with pytest.raises(NotARecord):
        Part(data)
    with pytest.raises(NotARecord, match="header"):
        Part(MAGIC + data)


def test_what_comes_behind_an_end_is_damage() -> None:
    steps, part = read(RECORD + end())
    assert steps == STEPS
    assert part.damage is not None


def test_no_block_asks_for_more_memory_than_it_may() -> None:
    part = Part(opening(HEADER) + block(bytes(BODY_MAX + 1)) + end())
    assert list(part) == []
    assert part.damage is not None
    assert "too large" in part.damage


def test_an_output_is_kept_as_it_was_said() -> None:
    said = Output((Place("A-1", "ROGER-BTC", Side.BUY, 5, 7, 9), Finish(0, "done")), (), (), wake_at=None)
    part = Part(opening(HEADER) + block(packed(Event(1, 2, Wake()), said)) + end())
    (entry,) = part
    assert entry.output is not None
    assert decoded(entry.output) == said
