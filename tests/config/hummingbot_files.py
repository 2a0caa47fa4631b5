"""Hummingbot strategy files, drawn: every key that there is, in any order, with values as Hummingbot writes them."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from hypothesis import strategies as st

from runner.config.hummingbot import DIALECTS, Dialect, Lost, Twin
from runner.config.plugins import load
from runner.model.parameters import Parameter, parameters
from runner.model.units import Duration, Ratio

Line = tuple[str, str]
"""Key and value; a key in a group is `group.key`."""

MARKETS = ("ROGER-BTC", "BTC-USDT", "ETH-USDT", "ROGER-USDT")
EXCHANGES = ("altmarkets", "altmarkets_paper_trade", "binance", "kucoin")

_SWITCH = st.sampled_from(["true", "false", "True", "False"])
_OTHERS = st.one_of(
    st.just("null"),
    _SWITCH,
    st.integers(-100, 100).map(str),
    st.sampled_from(["current_market", "mid_price", "{}", "'1, 2.5'", "{order_1: [buy, 0.5, 100]}", "infinite"]),
)

_MODES = st.sampled_from(["null", "{}", "infinite", "single_order_level", "multi_order_level", "ignore_hanging_orders"])


@st.composite
def numbers(draw: st.DrawFn, low: Decimal, high: Decimal) -> str:
    """One number in one of the many ways in which it may be written."""
    value = draw(st.decimals(low, high, places=8))
    return draw(st.sampled_from([format(value, "f"), format(value.normalize(), "f"), format(value, "e")]))


def value(rule: Twin | Lost, ours: dict[str, Parameter]) -> st.SearchStrategy[str]:
    """A value of a key, within the bounds of our parameter if it has a twin."""
    if isinstance(rule, Lost):
        return _OTHERS
    if rule.unit == "switch":
        return _SWITCH
    low, high = ours[rule.name].bounds
    if rule.unit == "count":
        return st.integers(low, high).map(str)
    if isinstance(low, Ratio):
        return numbers(low.exact * 100, high.exact * 100)
    if isinstance(low, Duration):
        return numbers(Decimal(int(low)) / 10**9, Decimal(int(high)) / 10**9)
    least = low if isinstance(low, Decimal) else low.exact
    return numbers(least, Decimal(100_000) if high is None else high)


@st.composite
def hummingbot_files(draw: st.DrawFn, strategy: str) -> list[Line]:
    """Line by line; always with what Hummingbot needs to start."""
    dialect: Dialect = DIALECTS[strategy]
    ours = {row.name: row for row in parameters(load(dialect.use, Path()))}
    groups = {key.partition(".")[0] for key in dialect.keys if "." in key}
    needed = [key for key, rule in dialect.keys.items() if isinstance(rule, Twin) and rule.required]
    chosen = draw(st.lists(st.sampled_from([key for key in dialect.keys if key not in needed]), unique=True))
    blocks: list[list[Line]] = [[(name, text)] for name, text in draw(_head(strategy))]
    for key in [*needed, *(key for key in chosen if "." not in key)]:
        inner = [each for each in chosen if each.startswith(f"{key}.")] if key in groups else []
        drawn = [(each, draw(value(dialect.keys[each], ours))) for each in inner or [key]]
        blocks.append([(key, draw(_MODES))] if key in groups and not inner else drawn)
    written = [line for block in draw(st.permutations(blocks)) for line in block]
    # Of two spellings of one parameter a file has one.
    twins: dict[str, str] = {}
    for key, _ in written:
        rule = dialect.keys.get(key)
        if isinstance(rule, Twin):
            twins.setdefault(rule.name, key)
    return [(key, text) for key, text in written if not _spelt_otherwise(dialect, twins, key)]


def _head(strategy: str) -> st.SearchStrategy[list[Line]]:
    return st.tuples(st.sampled_from(EXCHANGES), st.sampled_from(MARKETS)).map(
        lambda drawn: [("strategy", strategy), ("exchange", drawn[0]), ("market", drawn[1])]
    )


def _spelt_otherwise(dialect: Dialect, twins: dict[str, str], key: str) -> bool:
    rule = dialect.keys.get(key)
    return isinstance(rule, Twin) and twins[rule.name] != key


def text(lines: list[Line]) -> str:
    made, open_ = "", ""
    for key, written in lines:
        group, _, name = key.rpartition(".")
        if group and group != open_:
            made += f"{group}:\n"
        made += f"# as in their template\n{'  ' if group else ''}{name}: {written}\n\n"
        open_ = group
    return made


def in_our_measure(rule: Twin, written: str) -> Decimal | bool:
    """What theirs means: ratios as a fraction, times in ns, everything else as it is."""
    if rule.unit == "switch":
        return written.lower() == "true"
    scale = {"percent": Decimal("0.01"), "seconds": Decimal(10**9)}.get(rule.unit, Decimal(1))
    return Decimal(written) * scale
