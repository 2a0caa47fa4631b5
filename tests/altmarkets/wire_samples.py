"""Markets and texts for the tests of the client's side of the wire."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from runner.altmarkets.messages import grids
from runner.model.market import Market

ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)
DOGE = Market(
    id="dogebtc",
    base="DOGE",
    quote="BTC",
    price_precision=6,
    amount_precision=0,
    price_min=Decimal("0.000001"),
    quantity_min=Decimal(1),
)
MARKETS = {market.symbol: market for market in (ROGER, DOGE)}
GRIDS = grids(MARKETS.values())


def markets() -> st.SearchStrategy[Market]:
    """Any grid the venue can have."""
    precisions = st.tuples(st.integers(0, 10), st.integers(0, 10)).filter(lambda pair: sum(pair) <= 10)
    return precisions.map(
        lambda pair: Market(
            id="abcdef",
            base="ABC",
            quote="DEF",
            price_precision=pair[0],
            amount_precision=pair[1],
            price_min=Decimal(1),
            quantity_min=Decimal(1),
        )
    )


ODD_TEXTS = (
    *("", ".", "NaN", "-inf", "Infinity", "sNaN", "None", "0x1F", "²", "١٢.٣"),
    *("1_000", "1__0", "_1", "1.5_0", "1 ", "\t1\n", "-0", "-0.0", "+1"),
    *("1e400000000", "0e999999", "1e-400", "9223372036854775807", "9223372036854775808"),
)


def decimal_texts() -> st.SearchStrategy[str]:
    """Texts that look like decimals, from well-formed to hardly."""
    digits = st.text("0123456789", max_size=20)
    plain = st.builds(lambda whole, point, part: whole + point + part, digits, st.sampled_from(["", ".", "."]), digits)
    signed = st.builds(lambda sign, text: sign + text, st.sampled_from(["", "", "", "-", "+", " ", "--"]), plain)
    exponents = st.builds(lambda text, power: f"{text}e{power}", signed, st.integers(-500, 500))
    odd = st.sampled_from(ODD_TEXTS)
    return st.one_of(signed, exponents, odd, st.text(max_size=12))


def steps_of(steps: Callable[[Decimal], int], text: str) -> int | None:
    """Whole ticks or lots of a text by the long way, through its Decimal; None where there are none in 64 bits."""
    try:
        value = Decimal(text) or Decimal(0)
        # 10^100000 as an int, only to see that it is too much, takes longer than all the tests.
        whole = steps(value) if value.is_finite() and value < 10**100 else None
    except (ValueError, ArithmeticError):
        return None
    return whole if whole is not None and -(2**63) < whole < 2**63 else None


def frame(name: str, body: Any) -> str:
    return json.dumps({name: body}, separators=(",", ":"))


ORDER: dict[str, Any] = {
    "id": 9401,
    "market": "rogerbtc",
    "kind": "ask",
    "side": "sell",
    "ord_type": "limit",
    "price": "0.00000099",
    "avg_price": "0.00000099",
    "state": "wait",
    "origin_volume": "7000.0",
    "remaining_volume": "2810.1",
    "executed_volume": "4189.9",
    "at": 1596481983,
    "created_at": 1596481983,
    "updated_at": 1596553643,
    "trades_count": 272,
}
"""Captured from the exchange's private stream (reference 6.4)."""

TRADE: dict[str, Any] = {
    "amount": "300.0",
    "created_at": 1700000001,
    "id": 9001,
    "market": "rogerbtc",
    "order_id": 5003,
    "price": "0.000001",
    "side": "buy",
    "taker_type": "buy",
    "total": "0.0003",
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8) | decimal_texts(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
"""Whatever JSON can say."""


def mutated(sample: dict[str, Any]) -> st.SearchStrategy[Any]:
    """An object of the wire with some fields gone or replaced by anything."""
    changes = st.dictionaries(st.sampled_from(sorted(sample)), json_values, max_size=3)
    gone = st.sets(st.sampled_from(sorted(sample)), max_size=2)
    return st.builds(lambda new, lost: {k: v for k, v in (sample | new).items() if k not in lost}, changes, gone)
