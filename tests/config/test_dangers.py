"""Warnings: what is legal and dangerous is told at its place, and nothing else is."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from config_files import GOOD
from config_files import spec as spread_spec
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config import dangers
from runner.config.problems import Problem
from runner.config.read import read
from runner.config.spec import RunSpec, Sandbox, Venue
from runner.model.market import Market
from runner.model.units import Duration

FILE = """\
version: 1
name: maker
connector: {type: altmarkets, venue: sandbox, rate_limit: {requests: 30, per: 12s}}
markets: [ROGER-BTC, LTC-BTC]
strategy:
  use: pure_market_making
  params:
    bid_spread: 40bps
    ask_spread: 40bps
    order_amount: 1000 ROGER
    order_refresh_time: 30s
    order_levels: 1
"""


def market(fee: str = "0.0025", quantity_min: str = "1") -> Market:
    return Market(
        id="rogerbtc",
        base="ROGER",
        quote="BTC",
        price_precision=8,
        amount_precision=2,
        price_min=Decimal("0.00000001"),
        quantity_min=Decimal(quantity_min),
        maker_fee=Decimal(fee),
        taker_fee=Decimal(fee),
    )


def warned(*changes: tuple[str, str], rules: Market | None = None, sets: tuple[str, ...] = ()) -> tuple[Problem, ...]:
    text = FILE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    roger = market() if rules is None else rules

    def known(venue: Venue) -> Mapping[str, Market] | None:
        return {"ROGER-BTC": roger, "LTC-BTC": roger} if venue == Sandbox() else None

    found = read(text, file="maker.yml", overrides=sets, markets=known)
    assert isinstance(found, RunSpec), "\n".join(map(str, found))
    return found.warnings


def codes(found: tuple[Problem, ...]) -> list[str]:
    return [warning.code for warning in found]


def test_a_sound_file_is_warned_of_nothing() -> None:
    assert warned() == ()


PAPER = ("type: altmarkets", "type: altmarkets_paper")


@pytest.mark.parametrize(
    ("block", "what"),
    [
        ("", "begins with a round sum of ROGER and BTC and LTC"),
        (", paper: {balances: {}}", "begins with a round sum of ROGER and BTC and LTC"),
        (", paper: {balances: {BTC: 1}}", "begins without ROGER and LTC"),
        (", paper: {balances: {BTC: 1, LTC: 0, ROGER: 5}}", ""),
    ],
)
def test_what_a_paper_account_begins_with_is_said_where_the_file_does_not(block: str, what: str) -> None:
    found = warned(PAPER, ("{requests: 30, per: 12s}", f"{{requests: 30, per: 12s}}{block}"))
    assert codes(found) == (["paper.balances"] if what else [])
    assert all(what in warning.message and warning.line == 3 for warning in found)


def test_no_paper_account_has_money_to_lose() -> None:
    real = "venue: {rest_url: https://x.example/api/v2, stream_url: wss://x.example/ranger}"
    assert codes(warned(("venue: sandbox", real))) == ["limit.loss"]
    paper = ("rate_limit:", "paper: {balances: {BTC: 1, LTC: 1, ROGER: 1}}, rate_limit:")
    assert codes(warned(PAPER, ("venue: sandbox", real), paper)) == []


# Laws -----------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(bid=st.integers(0, 100), ask=st.integers(0, 100), fee=st.integers(0, 50))
def test_a_round_trip_below_two_fees_is_told_and_no_other(bid: int, ask: int, fee: int) -> None:
    found = warned(
        ("bid_spread: 40bps", f"bid_spread: {bid}bps"),
        ("ask_spread: 40bps", f"ask_spread: {ask}bps"),
        rules=market(fee=str(Decimal(fee).scaleb(-4))),
    )
    assert ("spread.fees" in codes(found)) == (bid + ask < 2 * fee)


@settings(deadline=None)
@given(lots=st.integers(1, 500), least=st.integers(1, 500))
def test_an_amount_below_the_minimum_is_told_and_no_other(lots: int, least: int) -> None:
    amount, quantity_min = Decimal(lots).scaleb(-2), str(Decimal(least).scaleb(-2))
    found = warned(("1000 ROGER", f"{amount} ROGER"), rules=market(quantity_min=quantity_min))
    assert ("amount.minimum" in codes(found)) == (lots < least)


@settings(deadline=None)
@given(levels=st.integers(1, 20), refresh=st.integers(1, 60), requests=st.integers(10, 100), per=st.integers(1, 60))
def test_a_refresh_beyond_the_budget_is_told_and_mended_by_its_fix(
    levels: int, refresh: int, requests: int, per: int
) -> None:
    """An order that moves is a cancel and a create, and 8 requests are for cancels only."""
    changes = (("requests: 30, per: 12s", f"requests: {requests}, per: {per}s"), ("levels: 1", f"levels: {levels}"))
    found = warned(("refresh_time: 30s", f"refresh_time: {refresh}s"), *changes)
    orders_in_a_window = min(requests // 2, requests - 8)
    assert ("refresh.budget" in codes(found)) == (2 * levels * per > orders_in_a_window * refresh)
    for warning in found:
        enough = warning.fix.split()[1]
        assert int(Duration(enough)) > refresh * 10**9
        assert warned(("refresh_time: 30s", f"refresh_time: {enough}"), *changes) == ()


# Places ---------------------------------------------------------------------------------------------------


def test_a_warning_stands_at_the_value_that_it_is_about() -> None:
    (found,) = warned(("1000 ROGER", "0.5 ROGER"))
    assert (found.line, found.column, found.path) == (10, 19, "strategy.params.order_amount")
    assert found.text(kind="warning: ").splitlines() == [
        "maker.yml:10:19: warning: ROGER-BTC takes no order below 1 ROGER: there would never be one",
        "        order_amount: 0.5 ROGER",
        "                      ^",
        "  write 1 ROGER or more",
    ]


def test_a_value_that_the_file_leaves_out_is_told_at_one_that_it_has_or_above() -> None:
    few = ("requests: 30, per: 12s", "requests: 10, per: 10m")
    (found,) = warned(("    order_refresh_time: 30s\n", ""), few)
    assert (found.line, found.path) == (11, "strategy.params.order_levels")
    (found,) = warned(("    order_refresh_time: 30s\n    order_levels: 1\n", ""), few)
    assert (found.line, found.column, found.path) == (7, 3, "strategy.params.order_refresh_time")


def test_a_value_of_an_override_is_told_there() -> None:
    (found,) = warned(sets=("strategy.params.order_amount=0.5 ROGER",))
    assert (found.file, found.line, found.column) == ("--set", 1, 30)


def test_what_is_not_known_is_not_warned_of(folder: Path) -> None:
    elsewhere = "connector.venue=altmarkets"
    nothing = (("bid_spread: 40bps", "bid_spread: 0"), ("ask_spread: 40bps", "ask_spread: 0"))
    assert codes(warned(*nothing)) == ["spread.fees"]
    assert "spread.fees" not in codes(warned(*nothing, sets=(elsewhere,)))
    assert spread_spec(GOOD.replace("40bps", "0bps"), folder).warnings == ()  # it has no traits


# Losses ---------------------------------------------------------------------------------------------------

LIVE = "venue: {rest_url: 'https://x.example/api/v2/peatio', stream_url: 'wss://x.example/api/v2/ranger'}"


@pytest.mark.parametrize(
    ("venue", "told"),
    [
        ("venue: sandbox", False),
        (LIVE, True),
        (LIVE.replace("x.example", "127.0.0.1:8080"), False),
        (LIVE.replace("x.example", "localhost"), False),
        ("venue: altmarkets", True),
    ],
)
def test_real_money_without_a_loss_limit_is_told(venue: str, told: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which keys are loss limits is a list of names; the rule is the same for every limit that is in it."""
    monkeypatch.setattr(dangers, "LOSS_LIMITS", ("max_open_orders", "no_such_limit"))
    change = ("venue: sandbox", venue)
    assert codes(warned(change)) == ["limit.loss"] * told
    for warning in warned(change):
        assert (warning.line, warning.path) == (3, "risk")  # at the venue, for there is no risk to point at
    assert codes(warned(change, sets=("risk.max_open_orders=5",))) == []
    for warning in warned(change, sets=("risk.max_book_age=5s",)):
        assert (warning.file, warning.path, warning.fix) == ("--set", "risk", "add max_open_orders to risk")
