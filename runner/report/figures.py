"""Numbers and times for the eye. What a program reads is exact and printed by `money.plain` instead."""

from collections.abc import Mapping
from decimal import Decimal

PLACES = 8
"""Decimals that people get to see: a satoshi."""


def figure(value: Decimal, signed: bool = False) -> str:
    """`1000`, `0.00000101`, `+2.5`: rounded to eight decimals, without trailing zeros."""
    text = format(value, f"+.{PLACES}f" if signed else f".{PLACES}f").rstrip("0").rstrip(".")
    return "0" if text in {"-0", "+0"} else text


def amounts(by_currency: Mapping[str, Decimal], signed: bool = False) -> str:
    """`4500 ROGER, 0.225 BTC`; `none` for an empty map."""
    return ", ".join(f"{figure(value, signed)} {currency}" for currency, value in by_currency.items()) or "none"


def many(number: int, noun: str) -> str:
    """`1 tick`, `61 ticks`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def span(nanoseconds: int) -> str:
    """A length of time in its two largest units: `0.3 s`, `42 s`, `5 m 12 s`, `3 h 20 m`, `2 d 4 h`."""
    seconds = max(0, nanoseconds) / 10**9
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    for size, unit, smaller_size, smaller in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller_size} {smaller}"
    return f"{whole} s"


def clock(time: int) -> str:
    """The UTC time of day of an engine time: `14:03:27`."""
    seconds = time // 10**9 % 86_400
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def facts(values: Mapping[str, object]) -> str:
    """`worst=10500 limit=10000`, with `-` for what is not known."""
    return " ".join(f"{name}={_fact(value)}" for name, value in values.items())


def _fact(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
