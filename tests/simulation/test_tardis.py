"""CSV with Tardis' column names becomes the tape that the rows tell."""

import pytest

from runner.simulation.columns import NotATape
from runner.simulation.recording import ASK, BID, BOUGHT, SOLD, Recording
from runner.simulation.tardis import read_csv

BOOK = "exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount"
TRADES = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"
MICROSECONDS = 1_700_000_000_000_000
OPENING = [
    BOOK,
    "x,BTCUSDT,0,{5},true,bid,100.0,2",
    "x,BTCUSDT,0,{5},true,ask,100.5,1.25",
]


def lines(*rows: str) -> list[str]:
    """`{n}` is n µs after the beginning."""
    made = []
    for row in rows:
        head, brace, rest = row.partition("{")
        number, _, tail = rest.partition("}")
        made.append(head + (str(MICROSECONDS + int(number)) + tail if brace else ""))
    return made


def rows(tape: Recording) -> list[tuple[int, ...]]:
    times = [(time - MICROSECONDS * 1000) // 1000 for time in tape.times]
    return list(zip(times, tape.kinds, tape.ticks, tape.lots, strict=True))


def test_books_and_trades_are_merged_by_the_time_of_receipt() -> None:
    tape = read_csv(
        lines(
            BOOK,
            "x,BTCUSDT,0,{1},false,bid,99,1",  # before any snapshot
            *OPENING[1:],
            "x,BTCUSDT,0,{9},false,ask,100.5,0",
            "x,BTCUSDT,0,{9},false,ask,101,3",
            "x,BTCUSDT,0,{11},false,bid,100.0,1.5",
        ),
        lines(
            TRADES,
            "x,BTCUSDT,0,{2},1,buy,100,1",
            "x,BTCUSDT,0,{9},2,buy,100.5,1.25",
            "x,BTCUSDT,0,{10},3,sell,100.0,0.5",
        ),
    )
    market = tape.market
    assert (market.symbol, market.price_precision, market.amount_precision) == ("BTC-USDT", 1, 2)
    assert rows(tape) == [
        (5, BID, 1000, 200),
        (5, ASK, 1005, 125),
        (9, ASK, 1005, 0),
        (9, ASK, 1010, 300),
        (9, BOUGHT, 1005, 125),
        (10, SOLD, 1000, 50),
        (11, BID, 1000, 150),
    ]
    assert (tape.frames, tape.trades, tape.left_out, tape.gaps) == (3, 2, 2, ())


def test_a_new_snapshot_is_a_gap_and_replaces_the_book() -> None:
    tape = read_csv(
        lines(
            *OPENING,
            "x,BTCUSDT,0,{6},true,bid,99.5,1",  # the same snapshot goes on
            "x,BTCUSDT,0,{7},false,bid,99.0,1",
            "x,BTCUSDT,0,{9},true,bid,99.5,4",
        )
    )
    assert rows(tape)[2:] == [
        (6, BID, 995, 100),
        (7, BID, 990, 100),
        (9, BID, 1000, 0),
        (9, BID, 990, 0),
        (9, ASK, 1005, 0),
        (9, BID, 995, 400),
    ]
    (gap,) = tape.gaps
    assert (gap.row, gap.time, gap.until) == (4, (MICROSECONDS + 7) * 1000, (MICROSECONDS + 9) * 1000)
    assert "line 6" in gap.reason


def test_small_numbers_may_have_an_exponent() -> None:
    tape = read_csv(lines(*OPENING, "x,BTCUSDT,0,{9},false,bid,99,5e-7"))
    assert (tape.market.amount_precision, rows(tape)[-1]) == (7, (9, BID, 990, 5))


def test_names_of_other_venues_need_a_market() -> None:
    made = lines(*(line.replace("BTCUSDT", "XBT/EUROS") for line in OPENING))
    with pytest.raises(NotATape, match="BASE-QUOTE"):
        read_csv(made)
    assert read_csv(made, symbol="XBT-EUROS", price_precision=3).market.symbol == "XBT-EUROS"


@pytest.mark.parametrize(
    ("book", "trades", "said"),
    [
        ([], [], "no snapshot"),
        ([BOOK], [], "no snapshot"),
        (["exchange,symbol,side"], [], "no column local_timestamp"),
        ([*OPENING, "x,BTCUSDT,0,soon,false,bid,1,1"], [], "line 4"),
        ([*OPENING, "x,BTCUSDT,0"], [], "line 4"),
        ([*OPENING, "x,BTCUSDT,0,{1},false,bid,1,1"], [], "line 4 is older"),
        ([*OPENING, "x,BTCUSDT,0,{8},false,buy,1,1"], [], "side 'buy'"),
        ([*OPENING, "x,BTCUSDT,0,{8},false,bid,1,1e-9"], [], "more than 8 decimals"),
        ([*OPENING, "x,BTCUSDT,0,{8},false,bid,1,one"], [], "'one' is not a number"),
        ([*OPENING, "x,ETHUSDT,0,{8},false,bid,1,1"], [], "about ETHUSDT"),
        (OPENING, [TRADES, "x,ETHUSDT,0,{8},1,buy,1,1"], "about ETHUSDT"),
        (OPENING, [TRADES, "x,BTCUSDT,0,{8},1,unknown,1,1"], "side 'unknown'"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(book: list[str], trades: list[str], said: str) -> None:
    with pytest.raises(NotATape, match=said):
        read_csv(lines(*book), lines(*trades))
