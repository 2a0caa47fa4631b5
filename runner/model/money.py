"""Exact money. Balances, fees and profit are `Decimal` in one context that refuses to round silently.

The context is passed explicitly (`MONEY.add(a, b)`), because the operators of `Decimal` use a
thread-wide context that anybody may have changed and that rounds to 28 digits without a word.
"""

from decimal import (
    ROUND_CEILING,
    ROUND_FLOOR,
    ROUND_HALF_EVEN,
    Context,
    Decimal,
    DivisionByZero,
    FloatOperation,
    Inexact,
    InvalidOperation,
    Overflow,
)

ZERO = Decimal(0)
ONE = Decimal(1)

MONEY = Context(
    prec=60,
    rounding=ROUND_HALF_EVEN,
    traps=[DivisionByZero, FloatOperation, Inexact, InvalidOperation, Overflow],
)
"""60 digits; a result that would need rounding raises `decimal.Inexact`."""

_ROUNDED = {
    rounding: Context(prec=60, rounding=rounding, traps=[DivisionByZero, FloatOperation, InvalidOperation, Overflow])
    for rounding in (ROUND_FLOOR, ROUND_HALF_EVEN, ROUND_CEILING)
}


def quotient(dividend: Decimal, divisor: Decimal, rounding: str = ROUND_HALF_EVEN) -> Decimal:
    """Divide to 60 digits: the one operation on money that cannot be exact, so the rounding has a name."""
    return _ROUNDED[rounding].divide(dividend, divisor)


_PRODUCT = Context(
    prec=200, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, FloatOperation, Inexact, InvalidOperation, Overflow]
)


def share(whole: Decimal, part: Decimal, total: Decimal, places: int) -> Decimal:
    """The part of `whole` that falls to `part` of `total`: whole * part / total, cut towards zero after `places`.

    Cut once, from the exact product: a share of everything (`part` equal to `total`) loses nothing but digits of
    `whole` beyond `places`, and what is left of `whole` is exact because it is a difference.
    """
    scaled = _PRODUCT.multiply(whole, part).scaleb(places, _PRODUCT)
    return MONEY.divide_int(scaled, total).scaleb(-places, MONEY)


def plain(value: Decimal) -> str:
    """Print without exponent and without trailing zeros: `1000`, `0.00000101`, `0`."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
