"""Hummingbot's files become ours: each value in its unit, each key once, and nothing by guess."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from hummingbot_files import hummingbot_files, in_our_measure, text
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.config.convert import Converted, convert, run_name
from runner.config.hummingbot import DIALECTS, Lost, Twin
from runner.config.plugins import installed, load
from runner.config.problems import Problem
from runner.config.read import read
from runner.config.spec import Altmarkets, RunSpec, Sandbox
from runner.model.parameters import parameters
from runner.model.units import BaseAmount, Duration, Ratio
from runner.run.markets import known_markets

SANDBOX = tuple(known_markets(Sandbox()) or ())
HEAD = ("strategy", "exchange", "market")
STRATEGIES = sorted(DIALECTS)

PURE = """\
template_version: 24
strategy: pure_market_making
exchange: altmarkets
market: ROGER-BTC
bid_spread: 1
ask_spread: 0.25
order_refresh_time: 30.0
order_amount: 1e+3
filled_order_delay: 60.0
"""


AVELLANEDA = """\
strategy: avellaneda_market_making
exchange: altmarkets
market: LTC-BTC
execution_timeframe_mode: {}
order_amount: 1.0
order_optimization_enabled: true
risk_factor: 0.5
min_spread: 0.1
order_refresh_time: 60.0
inventory_target_base_pct: 50.0
trading_intensity_buffer_size: 200
order_levels_mode:
  order_levels: 2
  level_distances: 25.0
order_override: null
hanging_orders_mode:
  hanging_orders_cancel_pct: 10.0
should_wait_order_cancel_confirmation: true
"""


def converted(source: str | bytes, file: str = "conf_pure_mm_1.yml") -> Converted:
    found = convert(source, file=file, sandbox_markets=SANDBOX)
    assert isinstance(found, Converted), "\n".join(map(str, found))
    return found


def problems(source: str | bytes) -> tuple[Problem, ...]:
    found = convert(source, file="conf_pure_mm_1.yml", sandbox_markets=SANDBOX)
    assert not isinstance(found, Converted)
    return found


def spec(result: Converted) -> RunSpec:
    found = read(result.text, file="mine.yml", markets=known_markets)
    assert isinstance(found, RunSpec), "\n".join(map(str, found))
    return found


# Laws -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_result_passes_the_check_and_each_value_is_the_same_in_its_unit(strategy: str, data: st.DataObject) -> None:
    lines = data.draw(hummingbot_files(strategy))
    result = converted(text(lines))
    run = spec(result)
    theirs = dict(lines)
    rules = DIALECTS[strategy].keys
    assert run.settings.markets == (theirs["market"],)
    assert run.connector.venue == (Sandbox() if theirs["market"] in SANDBOX else Altmarkets())
    for line in result.of("converted"):
        rule = rules.get(line.key)
        if isinstance(rule, Twin):
            ours = getattr(run.strategy, rule.name)
            meant = in_our_measure(rule, theirs[line.key])
            if isinstance(ours, Ratio | BaseAmount):
                assert ours.exact == meant, line
            else:
                assert ours == (float(meant) if rule.unit == "number" else meant), line


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_key_is_converted_or_commented_once_in_their_order(strategy: str, data: st.DataObject) -> None:
    lines = data.draw(hummingbot_files(strategy))
    result = converted(text(lines))
    assert [line.key for line in result.lines] == [key for key, _ in lines]
    params = result.text.partition("  params:\n")[2].partition("\n\n")[0]
    told = re.findall(r"^    (?:# )?([a-z_.]+): ", params, re.MULTILINE)
    fixed = list(DIALECTS[strategy].fixed)
    assert told[: len(fixed)] == fixed
    ours = {line.key: line.path.rpartition(".")[2] or line.key for line in result.lines}
    assert told[len(fixed) :] == [ours[key] for key, _ in lines if key not in HEAD]
    commented = re.findall(r"^    # ([a-z_.]+): ", params, re.MULTILINE)
    assert commented == [line.key for line in result.lines if line.fate != "converted" and line.key not in HEAD]
    assert all(line.why for line in result.lines if line.fate != "converted")
    assert all(line.path and line.value for line in result.of("converted"))


NOISE = st.text("{}[]:-,&*!|>'\"#% \t\n\x00\ufeff\u2028abyn019.e+", max_size=200)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(noise=NOISE, at=st.integers(0, len(PURE)), cut=st.integers(0, 60))
def test_any_text_is_a_result_or_problems(noise: str, at: int, cut: int) -> None:
    found = convert(PURE[:at] + noise + PURE[at + cut :], file="x.yml", sandbox_markets=SANDBOX)
    if isinstance(found, Converted):
        spec(found)
    else:
        assert found
        assert all(problem.line >= 1 and problem.column >= 1 and problem.fix for problem in found)


# The table of keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_twin_is_a_parameter_of_ours_with_that_unit(strategy: str) -> None:
    dialect = DIALECTS[strategy]
    assert dialect.use in installed()
    ours = {row.name: row.kind for row in parameters(load(dialect.use, Path()))}
    kinds = {"percent": Ratio, "seconds": Duration, "base": BaseAmount, "count": int, "number": float, "switch": bool}
    for key, rule in dialect.keys.items():
        if isinstance(rule, Twin):
            assert ours[rule.name] is kinds[rule.unit], key


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_key_without_a_twin_says_why_and_belongs_to_a_key_that_there_is(strategy: str) -> None:
    keys = DIALECTS[strategy].keys
    for key, rule in keys.items():
        if isinstance(rule, Lost):
            assert rule.why or rule.rest, key
            assert rule.of is None or rule.of in keys, key


def test_avellaneda_becomes_its_own_strategy_in_hummingbots_form() -> None:
    result = converted(AVELLANEDA)
    run = spec(result)
    assert run.settings.strategy == "avellaneda_stoikov"
    assert run.settings.params == {
        "variant": "hummingbot",
        "order_amount": "1 LTC",
        "order_optimization_enabled": True,
        "risk_factor": "0.5",
        "min_spread": "0.1%",
        "order_refresh_time": "60s",
        "inventory_target_base_pct": "50%",
        "trading_intensity_buffer_size": 200,
        "order_levels": 2,
        "level_distances": "25%",
    }
    assert run.settings.limits.max_position == {"LTC": Decimal(4)}
    assert [line.key for line in result.of("lost")] == ["hanging_orders_mode.hanging_orders_cancel_pct"]
    assert "    # Here it counts takers' orders in the public trades" in result.text


# One by one -----------------------------------------------------------------------------------------------


def test_units_are_written_out() -> None:
    text = converted(PURE).text
    for line in ("bid_spread: 1%", "ask_spread: 0.25%", "order_refresh_time: 30s", "order_amount: 1000 ROGER"):
        assert f"\n    {line}\n" in text


def test_limits_are_there_that_hummingbot_had_not() -> None:
    limits = spec(converted(PURE + "order_levels: 3\norder_level_spread: 1\n")).settings.limits
    assert (limits.max_position, limits.max_open_orders) == ({"ROGER": Decimal(6000)}, 8)


def test_what_was_off_is_not_lost_and_what_was_on_is() -> None:
    source = PURE + "ping_pong_enabled: {}\nhanging_orders_enabled: {}\nhanging_orders_cancel_pct: 10\n"
    off = converted(source.format("false", "false"))
    assert [line.key for line in off.of("lost")] == ["filled_order_delay"]
    on = converted(source.format("true", "True"))
    assert [line.key for line in on.of("lost")][1:] == [
        "ping_pong_enabled",
        "hanging_orders_enabled",
        "hanging_orders_cancel_pct",
    ]


def test_a_value_without_a_meaning_here_is_not_bent_into_one() -> None:
    """Below zero Hummingbot's tolerance is a switch; ours begins at zero."""
    result = converted(PURE + "order_refresh_tolerance_pct: -1\norder_level_spread: null\n")
    assert [(line.fate, line.value) for line in result.lines[-2:]] == [("lost", ""), ("idle", "")]
    assert spec(result).settings.params.keys().isdisjoint({"order_refresh_tolerance_pct", "order_level_spread"})
    assert "the default, 0, comes closest" in " ".join(result.text.replace("#", "").split())


def test_a_switch_is_yes_or_no() -> None:
    source = AVELLANEDA.replace("order_optimization_enabled: true", "order_optimization_enabled: {}")
    assert (
        spec(converted(source.replace("{}\nrisk", "No\nrisk"))).settings.params["order_optimization_enabled"] is False
    )
    (found,) = problems(source.replace("{}\nrisk", "maybe\nrisk"))
    assert (found.line, found.column, found.message) == (6, 29, "`maybe` is neither true nor false")


def test_a_market_that_the_sandbox_has_not_gets_a_venue_where_no_run_begins() -> None:
    run = spec(converted(PURE.replace("ROGER-BTC", "ETH-EUR")))
    assert run.connector.venue == Altmarkets()


def test_an_exchange_of_another_kind_is_told() -> None:
    result = converted(PURE.replace("altmarkets", "binance"))
    assert result.lines[2].fate == "lost"
    assert "  # exchange: binance\n" in result.text


def test_a_key_of_somebodys_api_is_not_repeated() -> None:
    source = (
        "price_source: custom_api\nprice_source_custom_api: https://x/?k=hunter2\nheader_custom_api: {T: hunter2}\n"
    )
    result = converted(PURE + source)
    assert "hunter2" not in f"{result.text} {result.lines}"
    assert [line.key for line in result.of("lost")][1:] == [
        "price_source",
        "price_source_custom_api",
        "header_custom_api",
    ]


def test_an_unknown_key_is_told_and_not_dropped() -> None:
    result = converted(PURE + "leverage: 5\nfilled_orders_delay: 5\n")
    assert [line.fate for line in result.lines[-2:]] == ["lost", "lost"]
    assert "    # leverage: 5\n    #   The converter knows no such key of this strategy.\n" in result.text
    assert result.lines[-1].why.endswith("; was filled_order_delay meant?")


@pytest.mark.parametrize(
    ("old", "new", "where", "code"),
    [
        ("filled_order_delay: 60.0", "order_levels: two", "9:15", "convert.value"),
        ("bid_spread: 1\n", "", "1:1", "convert.missing"),
        ("bid_spread: 1", "bid_spread: null", "5:1", "convert.missing"),
        ("bid_spread: 1", "bid_spread:", "5:1", "convert.missing"),
        ("market: ROGER-BTC\n", "", "1:1", "convert.missing"),
        ("exchange: altmarkets\n", "", "1:1", "convert.missing"),
        ("ROGER-BTC", "ETH-USD-PERP", "4:1", "convert.value"),
        ("bid_spread: 1", "bid_spread: wide", "5:13", "convert.value"),
        ("bid_spread: 1", "bid_spread: 60", "5:13", "convert.value"),
        ("bid_spread: 1", "bid_spread: -0.1", "5:13", "convert.value"),
        ("1e+3", "1e+30", "8:15", "convert.value"),
        ("30.0", "0.5", "7:21", "convert.value"),
        ("filled_order_delay: 60.0", "order_levels: 2.5", "9:15", "convert.value"),
        ("filled_order_delay: 60.0", "order_levels: 900000000000000000000", "9:15", "convert.value"),
        ("strategy: pure_market_making", "strategy: cross_exchange_market_making", "2:1", "convert.strategy"),
        ("strategy: pure_market_making\n", "", "1:1", "convert.strategy"),
        ("strategy: pure_market_making", "controller_name: pmm_simple", "1:1", "convert.version"),
        ("bid_spread: 1", "bid_place_threshold: 0.01", "5:1", "convert.version"),
        ("bid_spread: 1", "ask_spread: 1", "6:1", "key.duplicate"),
        ("bid_spread: 1", "bid_spread: [", "7:19", "yaml.syntax"),
    ],
)
def test_what_cannot_be_converted_is_told_at_its_place(old: str, new: str, where: str, code: str) -> None:
    assert (where, code) in [(f"{item.line}:{item.column}", item.code) for item in problems(PURE.replace(old, new))]


@pytest.mark.parametrize("source", ["", "# nothing\n", "- a\n", "7", b"\xff\xfe", "{}"])
def test_what_is_no_strategy_file_is_told(source: str | bytes) -> None:
    assert problems(source)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("conf/strategies/conf_PMM 1.yml", "conf-pmm-1"),
        ("C:\\hb\\Mine.yml", "mine"),
        ("<stdin>", "stdin"),
        ("2024.yml", "2024"),
        ("null.yml", "null"),
        ("---.yml", "pure-market-making"),
        (f"{'x' * 50}.yml", "x" * 40),
    ],
)
def test_the_run_is_named_after_the_file(file: str, name: str) -> None:
    assert run_name(file, "pure_market_making") == name
    assert spec(converted(PURE, file)).settings.name == name
