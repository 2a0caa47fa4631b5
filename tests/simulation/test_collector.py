"""Lines of a collector's file, and what is made of them: exactly that, in an order that never crosses the book."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.simulation.collector import read_lines
from runner.simulation.columns import NotATape
from runner.simulation.recording import ASK, BID, BOUGHT, SOLD, Gap, Recording, Touch

Levels = list[tuple[str, str]]
START = 1_700_000_000_000_000_000


def snapshot(time: int, last: int, bids: Levels, asks: Levels) -> bytes:
    return _line(time, {"lastUpdateId": last, "bids": bids, "asks": asks})


def depth(time: int, first: int, last: int, bids: Levels, asks: Levels, name: str = "btcusdt") -> bytes:
    return _frame(time, f"{name}@depth@100ms", {"e": "depthUpdate", "U": first, "u": last, "b": bids, "a": asks})


def trade(time: int, price: str, quantity: str, *, buyer_is_maker: bool) -> bytes:
    return _frame(time, "btcusdt@trade", {"p": price, "q": quantity, "m": buyer_is_maker})


def ticker(time: int, number: int, bid: tuple[str, str], ask: tuple[str, str]) -> bytes:
    return _frame(time, "btcusdt@bookTicker", {"u": number, "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]})


def _frame(time: int, stream: str, data: dict[str, Any]) -> bytes:
    return _line(time, {"stream": stream, "data": data})


def _line(time: int, frame: Any) -> bytes:
    return f"{START + time} {json.dumps(frame)}\n".encode()


def rows(recording: Recording) -> list[tuple[int, int, int, int]]:
    return [
        (time - START, kind, ticks, lots)
        for time, kind, ticks, lots in zip(
            recording.times, recording.kinds, recording.ticks, recording.lots, strict=True
        )
    ]


OPENING = snapshot(5, 10, [("100.0", "2.0"), ("99.5", "1.0")], [("101.0", "3.0")])


def test_frames_wait_for_the_snapshot_and_old_ones_are_dropped() -> None:
    recording = read_lines(
        [
            depth(1, 5, 7, [("90.0", "1.0")], []),
            trade(2, "100.0", "1", buyer_is_maker=True),
            depth(3, 8, 12, [("100.0", "0.50000000")], [("101.0", "0")]),
            OPENING,
            trade(9, "102.0", "0.25", buyer_is_maker=False),
            trade(9, "100.0", "0.25", buyer_is_maker=True),
            depth(11, 13, 13, [("99.5", "1.0")], [("102.0", "4")]),
        ]
    )
    assert rows(recording) == [
        (5, BID, 1000, 200),
        (5, BID, 995, 100),
        (5, ASK, 1010, 300),
        (6, ASK, 1010, 0),  # the waiting frame, in a moment of its own, and what goes goes first
        (6, BID, 1000, 50),
        (9, BOUGHT, 1020, 25),
        (9, SOLD, 1000, 25),
        (11, ASK, 1020, 400),  # the bid did not change
    ]
    assert (recording.frames, recording.trades, recording.left_out, recording.gaps) == (2, 2, 2, ())
    market = recording.market
    assert (market.symbol, market.id) == ("BTC-USDT", "btcusdt")
    assert (market.price_precision, market.amount_precision) == (1, 2)


def test_a_gap_is_told_and_the_book_stands_still_until_the_next_snapshot() -> None:
    recording = read_lines(
        [
            OPENING,
            depth(6, 11, 11, [("99.5", "5")], []),
            depth(7, 14, 15, [("99.5", "6")], []),
            trade(8, "100.0", "1", buyer_is_maker=True),
            depth(9, 16, 16, [("99.5", "7")], []),
            snapshot(10, 15, [("98.0", "2.0"), ("99.5", "6")], [("101.0", "3.0")]),
            depth(12, 17, 17, [("98.0", "0")], []),
        ]
    )
    said = "line 3: 2 depth updates are missing before update 14"
    assert recording.gaps == (Gap(4, START + 7, said, until=START + 10),)
    assert rows(recording)[3:] == [
        (6, BID, 995, 5),
        (10, BID, 1000, 0),
        (10, BID, 980, 2),
        (10, BID, 995, 6),
        (11, BID, 995, 7),
        (12, BID, 980, 0),
    ]
    assert recording.left_out == 2  # the trade, and the frame that the snapshot already had in it


def test_best_prices_belong_to_the_frame_that_their_number_lies_in() -> None:
    best = ("100.0", "2.0"), ("101.0", "3.0")
    recording = read_lines(
        [
            OPENING,
            ticker(6, 12, ("100.0", "9.0"), ("101.0", "9.0")),
            ticker(7, 14, *best),
            ticker(7, 21, ("1.0", "1.0"), ("2.0", "1.0")),
            depth(8, 11, 15, [("90.0", "1.0")], []),
            depth(9, 16, 20, [("91.0", "1.0")], []),
        ]
    )
    assert recording.touches == (Touch(4, (1000, 2), (1010, 3)),)


def test_numbers_are_taken_exactly_and_precisions_may_be_given() -> None:
    lines = [snapshot(1, 1, [("0.00000123", "12300.00000000")], [("0.00000124", "1.00")])]
    recording = read_lines(lines, symbol="PEPE-BTC", amount_precision=2)
    market = recording.market
    assert (market.base, market.price_precision, market.amount_precision) == ("PEPE", 8, 2)
    assert list(recording.lots) == [1_230_000, 100]
    assert read_lines(lines, symbol="PEPE-BTC").market.amount_precision == 0


@pytest.mark.parametrize(
    ("lines", "options", "says"),
    [
        ([], {}, "no snapshot"),
        ([depth(1, 1, 2, [], [])], {}, "no snapshot"),
        ([b"hello"], {}, "line 1 is not of the collector's format"),
        ([b"12 {}"], {}, "line 1 is neither"),
        ([OPENING.replace(b"17", b"17" * 9)], {}, "line 1 is not of the collector's format"),
        ([OPENING, b"\n", b'13 {"stream": "btcusdt@depth", "data": {}}'], {}, "line 3 is not of"),
        ([OPENING, depth(6, 11, 11, [("-1", "1")], [])], {}, "'-1' is not a plain decimal"),
        ([OPENING, depth(6, 11, 11, [("1e3", "1")], [])], {}, "'1e3' is not a plain decimal"),
        ([OPENING, depth(6, 11, 11, [("1.000000001", "1")], [])], {}, "more than 8 decimals"),
        ([OPENING, depth(6, 11, 11, [("99999999999999", "1")], [])], {}, "too large"),
        ([OPENING, depth(6, 11, 11, [("90", "1")], []), depth(7, 1, 1, [], [], "ethusdt")], {}, "line 3 is about ETHU"),
        ([OPENING, depth(6, 11, 11, [("90", "1")], [], "abc")], {}, "cannot be told from its name"),
        ([OPENING], {"symbol": "BTCUSDT"}, "write it as BASE-QUOTE"),
        ([OPENING, depth(6, 11, 11, [("90", "1")], [])], {"symbol": "LTC-USDT"}, "not the market of this tape"),
        ([OPENING], {"symbol": "A-B", "price_precision": 0}, "price precision 0 is not possible: give one of 1 to 8"),
        ([snapshot(1, 1, [("0.00000123", "0.001")], [])], {"symbol": "A-B"}, "8 and its quantities 3 decimals"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(lines: list[bytes], options: dict[str, Any], says: str) -> None:
    with pytest.raises(NotATape, match=says):
        read_lines(lines, **options)


SIDE = st.dictionaries(st.integers(1, 40), st.integers(1, 9), max_size=8)


@given(st.lists(st.tuples(st.integers(2, 40), SIDE, SIDE), min_size=2, max_size=8))
def test_the_rows_are_the_books_and_never_crossed_on_the_way(books: list[tuple[int, Any, Any]]) -> None:
    """Any sequence of books that are not crossed; each frame names every level that changes, in any order."""
    wanted = [
        (
            {t: n for t, n in bids.items() if t < border} | {1: 1},
            {t: n for t, n in asks.items() if t >= border} | {41: 1},
        )
        for border, bids, asks in books
    ]
    lines = [snapshot(0, 0, *(_levels(side) for side in wanted[0]))]
    for number, (before, after) in enumerate(pairwise(wanted), 1):
        changed = [_levels({t: new.get(t, 0) for t in {**new, **old}}) for old, new in zip(before, after, strict=True)]
        lines.append(depth(number, number, number, changed[0], changed[1]))
    recording = read_lines(lines, price_precision=0, amount_precision=0)
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    row = 0
    for number, book in enumerate(wanted):
        while row < len(recording) and recording.times[row] <= START + number:
            kind, ticks, lots = recording.kinds[row], recording.ticks[row], recording.lots[row]
            assert sides[kind].get(ticks, 0) != lots
            if lots:
                sides[kind][ticks] = lots
            else:
                del sides[kind][ticks]
            row += 1
            assert max(sides[BID], default=0) < min(sides[ASK], default=99)
        assert sides == book
    assert row == len(recording)


def _levels(side: dict[int, int]) -> Levels:
    return [(str(ticks), str(lots)) for ticks, lots in side.items()]
