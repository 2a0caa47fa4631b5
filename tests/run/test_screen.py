"""The live view: it fits every terminal, tells what it must, and leaves nothing behind."""

import io
import os
import pty
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from rich.cells import cell_len
from rich.console import Console

from runner.model.command import Note
from runner.model.order import Side
from runner.model.paper import PaperModels
from runner.report.status import MarketStatus, OrderCounts, OrderStatus, Status
from runner.run.screen import Screen, view

SECOND = 10**9
MARKET = MarketStatus(
    symbol="ROGER-BTC",
    book="live",
    age=SECOND // 5,
    best_bid=Decimal("0.00004998"),
    best_ask=Decimal("0.00005004"),
    position=Decimal("1497.5"),
    average_price=Decimal("0.00004980935036"),
    realised=Decimal("0.00004123"),
    unrealised=Decimal("-0.00000123"),
)


def ladder(levels: int) -> tuple[OrderStatus, ...]:
    """Bids and asks, the bids first: not in the order of the view."""
    return tuple(
        OrderStatus(
            slot=f"{'bid' if side is Side.BUY else 'ask'}-{level}",
            market="ROGER-BTC",
            side=side,
            price=Decimal("0.00005000") - side.sign * level * Decimal("0.00000010"),
            quantity=Decimal("1000.00"),
            remaining=Decimal("412.50"),
            state="unknown" if level == 2 else "open",
            age=12 * SECOND,
        )
        for side in Side
        for level in range(1, levels + 1)
    )


STATUS = Status(
    run="20231123T001733-7fa2",
    name="pure-market-making",
    venue="sandbox",
    phase="trading",
    started_at=1_700_000_000 * SECOND,
    time=1_700_000_042 * SECOND,
    markets=(MARKET,),
    orders=ladder(3),
    counts=OrderCounts(placed=14, filled=6, cancelled=8, refused=2),
    ticks=42,
    fills=9,
    volume={"ROGER": Decimal("4500.00"), "BTC": Decimal("0.22513456")},
    fees={"ROGER": Decimal("5.625"), "BTC": Decimal("0.00028142")},
    position={"ROGER": Decimal("1497.5"), "BTC": Decimal("-0.0749")},
    realised={"BTC": Decimal("0.00004123")},
    unrealised={"BTC": Decimal("-0.00000123")},
    reason="6 orders kept: mid 0.000050010, prices moved -0.030% by skew",
    notes=(
        (1_700_000_040 * SECOND, Note("book.gap", level="error", market="ROGER-BTC", facts={"reason": "sequence"})),
        (1_700_000_041 * SECOND, Note("fill.booked", client_id="RABCDEF1ABCD-BID-1-2E", facts={"quantity": "587.5"})),
    ),
)
EMPTY = Status(run="1", name="quickstart", venue="sandbox", phase="starting", started_at=0, time=0)


def drawn(status: Status, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(view(status, width, height))
    return capture.get().splitlines()


def test_what_a_paper_account_assumes_is_on_every_picture() -> None:
    status = structs.replace(STATUS, model=str(PaperModels()))
    wide, narrow = drawn(status, 160, 24), drawn(status, 40, 12)
    assert wide[1].rstrip() == status.model
    assert narrow[1].startswith("paper: queue risk_averse")
    assert (len(wide), len(narrow)) <= (24, 12)
    assert not any("paper: queue" in line for line in drawn(STATUS, 160, 24))


def test_all_of_it_is_there_at_eighty_by_twenty_four() -> None:
    lines = drawn(STATUS, 80, 24)
    picture = "\n".join(lines)
    assert len(lines) <= 24
    for told in (
        *("pure-market-making", "trading", "42 s", "sandbox", "20231123T001733-7fa2"),
        *("ROGER-BTC", "0.00004998", "0.00005004", "12.0 bps", "live", "0.2 s"),
        *("bid-1", "ask-3", "0.00005030", "412.5", "unknown"),
        "1497.5 ROGER at 0.00004981 BTC",
        "realised +0.00004123 BTC, unrealised -0.00000123 BTC",
        "volume 4500 ROGER, 0.22513456 BTC, fees 5.625 ROGER, 0.00028142 BTC",
        "14 placed, 6 filled, 8 cancelled, 2 refused, 42 ticks",
        "6 orders kept: mid 0.000050010, prices moved -0.030% by skew",
        "fill.booked  RABCDEF1ABCD-BID-1-2E quantity=587.5",
        "book.gap  ROGER-BTC reason=sequence",
    ):
        assert told in picture, told
    assert "…" not in picture


def test_orders_stand_as_in_a_book() -> None:
    slots = [line.split()[0] for line in drawn(STATUS, 80, 24) if re.match(r"(bid|ask)-", line)]
    assert slots == ["ask-3", "ask-2", "ask-1", "bid-1", "bid-2", "bid-3"]


def test_without_room_the_orders_nearest_to_the_market_are_shown() -> None:
    lines = drawn(structs.replace(STATUS, orders=ladder(20), notes=()), 80, 24)
    slots = [line.split()[0] for line in lines if re.match(r"(bid|ask)-", line)]
    assert len(lines) == 24
    asks, bids = [slot for slot in slots if slot[0] == "a"], [slot for slot in slots if slot[0] == "b"]
    assert slots == [*asks, *bids]
    assert asks == [f"ask-{level}" for level in range(len(asks), 0, -1)]
    assert bids == [f"bid-{level}" for level in range(1, len(bids) + 1)]
    assert abs(len(asks) - len(bids)) <= 1
    assert f"… {40 - len(slots)} more" in lines


def test_a_run_that_has_seen_nothing_yet() -> None:
    picture = "\n".join(drawn(EMPTY, 80, 24))
    assert "starting" in picture
    assert "no tick yet" in picture
    assert "realised -, unrealised -" in picture


amounts = st.decimals(-(10**14), 10**14, places=10)
money = st.dictionaries(st.sampled_from(["ROGER", "BTC", "USDT", "LONGCURRENCYNAME"]), amounts, max_size=4)
words = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=200)
statuses = st.builds(
    lambda orders, notes, markets, **rest: structs.replace(
        STATUS,
        orders=ladder(orders),
        markets=(MARKET, *(MarketStatus(symbol=f"LTC{number}-BTC", book="gap") for number in range(markets))),
        notes=STATUS.notes * notes,
        **rest,
    ),
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(0, 3),
    volume=money,
    fees=money,
    realised=money,
    unrealised=money,
    reason=words,
    name=words,
    ticks=st.integers(0, 10**9),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(statuses, st.integers(30, 200), st.integers(10, 60))
def test_it_fits(status: Status, width: int, height: int) -> None:
    lines = drawn(status, width, height)
    assert all(cell_len(line) <= width for line in lines)
    bare = drawn(structs.replace(status, orders=status.orders[:1], notes=status.notes[:2]), width, 1)
    assert len(lines) <= max(height, len(bare) + 1)  # what has to be there may need more than a low terminal has


def test_text_of_others_is_not_markup() -> None:
    odd = structs.replace(STATUS, reason="[red]mid[/] [bold", name="[link=x]n[/link]")
    picture = "\n".join(drawn(odd, 80, 24))
    assert "[red]mid[/] [bold" in picture
    assert "[link=x]n[/link]" in picture


# On a terminal ------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}.items():
        monkeypatch.setenv(name, value)


@contextmanager
def terminal() -> Iterator[tuple[TextIO, int]]:
    """A terminal as a program sees it, and the other end of it."""
    ours, theirs = pty.openpty()
    try:
        with os.fdopen(theirs, "w", encoding="utf-8") as file:
            yield file, ours
    finally:
        os.close(ours)


def read_all(descriptor: int) -> str:
    os.set_blocking(descriptor, False)
    written = b""
    with suppress(BlockingIOError):
        while True:
            written += os.read(descriptor, 65_536)
    return written.decode()


def shown() -> str:
    """Everything that is written to a terminal by a screen that shows one status."""
    with terminal() as (file, other_end):
        with Screen(file) as screen:
            screen.show(STATUS)
        return read_all(other_end)


@pytest.mark.usefixtures("plain_environment")
def test_the_terminal_is_given_back_as_it_was() -> None:
    written = shown()
    assert "ROGER-BTC" in written
    for on, off in (("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?25l", "\x1b[?25h")):  # second page, cursor
        assert written.count(on) == written.count(off) == 1
        assert written.index(on) < written.index("ROGER-BTC") < written.index(off)


@pytest.mark.usefixtures("plain_environment")
def test_colour_is_left_out_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = re.compile(r"\x1b\[[0-9;]*3[0-7]m")
    assert colour.search(shown())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colour.search(shown())


@pytest.mark.usefixtures("plain_environment")
def test_where_a_screen_is_of_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Screen(io.StringIO()).usable
    with Path(os.devnull).open("w") as file:
        assert not Screen(file).usable
    with terminal() as (file, _):
        assert Screen(file).usable
        monkeypatch.setenv("TERM", "dumb")
        assert not Screen(file).usable


@pytest.mark.usefixtures("plain_environment")
def test_a_terminal_that_takes_nothing_is_not_waited_for() -> None:
    """Nobody reads the other end, as on a dead ssh line; then somebody does, and the last picture is whole."""
    with terminal() as (file, other_end):
        with Screen(file) as screen:
            for number in range(100):  # far more than a terminal buffers
                screen.show(structs.replace(STATUS, ticks=1000 + number))
            before = read_all(other_end)
            assert "1000 ticks" in before
            assert "1099 ticks" not in before
            screen.show(structs.replace(STATUS, ticks=2000))
            assert "2000 ticks" in read_all(other_end)
        assert os.get_blocking(file.fileno())  # what the shell goes on with


@pytest.mark.usefixtures("plain_environment")
def test_a_terminal_that_is_hung_up_harms_nobody() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as file, Screen(file) as screen:
        screen.show(STATUS)
        os.close(ours)
        screen.show(STATUS)
