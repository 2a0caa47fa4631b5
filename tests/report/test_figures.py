"""Numbers for the eye."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.report.figures import amounts, clock, facts, figure, many, span

SECOND = 10**9


@given(st.decimals(-(10**20), 10**20, allow_nan=False))
def test_a_figure_is_within_half_a_satoshi_and_plain(value: Decimal) -> None:
    told = figure(value)
    assert abs(Decimal(told) - value) <= Decimal("0.000000005")
    assert "E" not in told
    assert told == "0" or not told.startswith("-0" * 2)
    assert "." not in told or not told.endswith("0")


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        ("1000.00", "1000", "+1000"),
        ("-2.50", "-2.5", "-2.5"),
        ("-1E-9", "0", "0"),
        ("0.00000101", *["0.00000101", "+0.00000101"]),
    ],
)
def test_figures(value: str, plain: str, signed: str) -> None:
    assert (figure(Decimal(value)), figure(Decimal(value), signed=True)) == (plain, signed)


@pytest.mark.parametrize(
    ("nanoseconds", "told"),
    [
        (-5, "0.0 s"),
        (300_000_000, "0.3 s"),
        (42 * SECOND, "42 s"),
        (60 * SECOND, "1 m 0 s"),
        (312 * SECOND, "5 m 12 s"),
        (3 * 3600 * SECOND, "3 h 0 m"),
        (187_200 * SECOND, "2 d 4 h"),
    ],
)
def test_spans(nanoseconds: int, told: str) -> None:
    assert span(nanoseconds) == told


def test_words() -> None:
    assert amounts({}) == "none"
    assert amounts({"ROGER": Decimal(5), "BTC": Decimal("-0.1")}, signed=True) == "+5 ROGER, -0.1 BTC"
    assert [many(number, "tick") for number in (0, 1, 2)] == ["0 ticks", "1 tick", "2 ticks"]
    assert clock(1_700_000_007 * SECOND) == "22:13:27"
    assert facts({"worst": "10500", "age_s": 1 / 3, "own": None}) == "worst=10500 age_s=0.333333 own=-"
