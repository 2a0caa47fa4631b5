"""Tables for the eye: what may be cut for want of room, and what never is."""

from hypothesis import given
from hypothesis import strategies as st

from runner.report.tables import CUT_TO, Column, Table, aligned

COLUMNS = (
    Column("price", "price", right=True),
    Column("time", "time (UTC)", cut=True),
    Column("id", "client order id"),
)
TABLE = Table(COLUMNS, ({"price": "0.00004981", "time": "2026-11-25T06:05:29Z", "id": "R3EU24GHTFE5-BID-1-0"},))


def test_with_room_everything_is_shown() -> None:
    assert aligned(TABLE).split("\n") == [
        "     price  time (UTC)            client order id",
        "0.00004981  2026-11-25T06:05:29Z  R3EU24GHTFE5-BID-1-0",
    ]
    assert aligned(TABLE, 54) == aligned(TABLE)


@given(room=st.integers(0, 60))
def test_in_want_of_room_only_what_may_be_cut_is_cut(room: int) -> None:
    _, line = aligned(TABLE, room).split("\n")
    price, time, name = line.split()
    assert (price, name) == ("0.00004981", "R3EU24GHTFE5-BID-1-0")
    assert len(line) <= max(room, len(price) + CUT_TO + len(name) + 4)
    assert len(time) >= CUT_TO
    assert time == "2026-11-25T06:05:29Z" or time.endswith("…")


def test_an_empty_table_says_so() -> None:
    assert aligned(Table(COLUMNS, (), "no orders"), 10) == "no orders"
