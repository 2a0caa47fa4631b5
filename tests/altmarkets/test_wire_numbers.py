from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from wire_samples import ROGER, decimal_texts, markets, steps_of

from runner.altmarkets.messages import decode
from runner.altmarkets.numbers import SECONDS_MAX, TEXTS_KEPT, WHOLE_MAX, Grid, Unreadable, exact, seconds, shown
from runner.model.market import Market


def by_grid(grid: Grid, text: str) -> tuple[int | None, int | None]:
    found = []
    for steps in (grid.ticks, grid.lots):
        try:
            found.append(steps(text))
        except Unreadable:
            found.append(None)
    return found[0], found[1]


@given(market=markets(), text=decimal_texts())
@example(market=ROGER, text="0.01")
@example(market=ROGER, text="5.00000000000000000001")
@example(market=ROGER, text="0.000000000000001")
@example(market=ROGER, text="1e-400")
@example(market=ROGER, text="9999999999999.99")
@example(market=ROGER, text="1" * 5000)
def test_a_grid_reads_every_text_as_the_market_reads_its_decimal(market: Market, text: str) -> None:
    grid = Grid(market)
    by_decimal = steps_of(market.ticks, text), steps_of(market.lots, text)
    assert by_grid(grid, text) == by_decimal
    assert by_grid(grid, text) == by_decimal, "the same when it is remembered"


@given(market=markets(), ticks=st.integers(1, WHOLE_MAX), lots=st.integers(1, WHOLE_MAX))
def test_what_a_market_prints_is_read_back(market: Market, ticks: int, lots: int) -> None:
    grid = Grid(market)
    assert grid.ticks(format(market.price(ticks), "f")) == ticks
    assert grid.lots(format(market.quantity(lots), "f")) == lots
    assert grid.ticks_of(market.price(ticks)) == ticks
    assert grid.lots_of(market.quantity(lots)) == lots


@given(market=markets(), whole=st.integers(1, 10**16), beyond=st.integers(1, 9), zeros=st.integers(0, 12))
def test_a_digit_beyond_the_grid_is_never_bent(market: Market, whole: int, beyond: int, zeros: int) -> None:
    text = format(market.price(whole), "f")
    text = f"{text}{'' if '.' in text else '.'}{'0' * zeros}{beyond}"
    with pytest.raises(Unreadable):
        Grid(market).ticks(text)


def test_a_grid_does_not_remember_without_end() -> None:
    grid = Grid(ROGER)
    for ticks in range(1, TEXTS_KEPT + 10):
        assert grid.ticks(format(ROGER.price(ticks), "f")) == ticks
    assert len(grid.known_ticks) <= TEXTS_KEPT
    grid.ticks("1." + "0" * 1000)
    assert all(len(text) < 100 for text in grid.known_ticks)


@given(value=st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_a_json_number_keeps_every_digit(value: Decimal) -> None:
    assume(not value or value.adjusted() >= -100)
    assert exact(decode(str(value))) == exact(str(value)) == value


@pytest.mark.parametrize("value", [None, True, False, [], {}, 1.5, b"1", "", "x", "NaN", "inf", "1e41", "1e-200"])
def test_what_is_no_number_is_unreadable(value: object) -> None:
    with pytest.raises(Unreadable):
        exact(value)


@given(
    second=st.integers(86_400, SECONDS_MAX - 2 * 86_400),
    offset=st.integers(-23, 23).map(lambda hours: timezone(timedelta(hours=hours))),
)
def test_times_are_the_same_in_every_form(second: int, offset: timezone) -> None:
    moment = datetime.fromtimestamp(second, UTC)
    iso = moment.astimezone(offset).isoformat()
    for form in (iso, moment.isoformat().replace("+00:00", "Z"), moment.replace(tzinfo=None).isoformat()):
        assert seconds(form) == second
    for form in (second, str(second), Decimal(second), Decimal(second) + Decimal("0.5")):
        assert seconds(form) == second


@pytest.mark.parametrize(
    "value", [None, True, "", "yesterday", -1, 1_700_000_000_000, "1e9x", [1], "0001-01-01T00:00:00+14:00"]
)
def test_what_is_no_time_is_unreadable(value: object) -> None:
    with pytest.raises(Unreadable):
        seconds(value)


def test_anything_can_be_shown() -> None:
    assert shown(10**5000) == "a number of thousands of digits"
    assert len(shown("x" * 1000)) == 80
