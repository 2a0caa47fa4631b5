"""Hummingbot strategy files, drawn: every key that its template has, in any order, with values as it writes them."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from runner.config.hummingbot import DIALECTS, Dialect, Lost, Twin

MARKETS = ("ROGER-BTC", "BTC-USDT", "ETH-USDT", "ROGER-USDT")
EXCHANGES = ("altmarkets", "altmarkets_paper_trade", "binance", "kucoin")

_SWITCH = st.sampled_from(["true", "false", "True", "False"])
_OTHERS = st.one_of(
    st.just("null"),
    _SWITCH,
    st.integers(-100, 100).map(str),
    st.sampled_from(["current_market", "mid_price", "{}", "'1, 2.5'", "{order_1: [buy, 0.5, 100]}", "binance"]),
)
# Within the bounds of our parameters, in the many ways in which the same number may be written.
_RANGES: dict[str, tuple[str, str]] = {
    "percent": ("0.0001", "50"),
    "seconds": ("1", "86400"),
    "base": ("0.00000001", "100000"),
}


@st.composite
def numbers(draw: st.DrawFn, low: str, high: str) -> str:
    value = draw(st.decimals(low, high, places=8))
    return draw(st.sampled_from([format(value, "f"), format(value.normalize(), "f"), format(value, "e")]))


def value(rule: Twin | Lost) -> st.SearchStrategy[str]:
    """A value of a key, as the file would have it."""
    if isinstance(rule, Lost):
        return _OTHERS
    return st.integers(1, 20).map(str) if rule.unit == "count" else numbers(*_RANGES[rule.unit])


@st.composite
def hummingbot_files(draw: st.DrawFn, strategy: str) -> list[tuple[str, str]]:
    """Key and value, line by line; always with what Hummingbot needs to start."""
    dialect: Dialect = DIALECTS[strategy]
    needed = [key for key, rule in dialect.keys.items() if isinstance(rule, Twin) and rule.required]
    free = [key for key in dialect.keys if key not in needed and "." not in key]
    keys = draw(st.permutations(needed + draw(st.lists(st.sampled_from(free), unique=True))))
    lines = [(key, draw(value(dialect.keys[key]))) for key in keys]
    head = [("strategy", strategy), ("exchange", draw(st.sampled_from(EXCHANGES)))]
    head.append(("market", draw(st.sampled_from(MARKETS))))
    at = draw(st.integers(0, len(lines)))
    return [*lines[:at], *head, *lines[at:]]


def text(lines: list[tuple[str, str]]) -> str:
    return "".join(f"# as in their template\n{key}: {value}\n\n" for key, value in lines)


def in_our_measure(rule: Twin, written: str) -> Decimal:
    """What their number means: ratios as a fraction, times in ns, everything else as it is."""
    scale = {"percent": Decimal("0.01"), "seconds": Decimal(10**9)}.get(rule.unit, Decimal(1))
    return Decimal(written) * scale
