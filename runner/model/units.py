"""Quantities with a unit, as a person writes them: `40bps`, `0.4%`, `1000 ROGER`, `50 USDT`, `30s`.

A text is read exactly (`Decimal`) and kept exactly (`exact`); a strategy calculates with it as the number it is:
`Ratio`, `Amount` and `Price` are floats, `Duration` is an int of nanoseconds. Zero needs no unit.

An amount may be made without its currency (`BaseAmount("1000")`: of whatever the base is), which suits a default in
a plugin; a file has to name it (`runner/config/values.py`). Two amounts compare as numbers, currencies aside.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, ClassVar, Literal, Self

from runner.model.money import MONEY, ZERO, plain

Role = Literal["any", "base", "quote"]

NUMBER = r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?"
"""A plain decimal: at most 18 digits on either side of the point, so that every sum of ours stays exact."""

CURRENCY = r"[A-Z0-9]{1,20}"
DURATION_MAX = 36_500 * 86_400 * 10**9
"""A hundred years, in ns: everything above is a typing error."""

RATE_PER_MAX = 86_400 * 10**9
"""A day, in ns: what happened longer ago is not counted by any rate."""

_NUMBER = re.compile(NUMBER)
_MEASURE = re.compile(rf"({NUMBER})(?:([^0-9.,_' ].*)| +([^ ].*))?", re.DOTALL)
_OTHER_NUMBER = re.compile(r"([+-])?([0-9_]*)(?:\.([0-9]*))?( ?[%a-z]+| +[A-Za-z0-9]+)?")
_DELAY = re.compile(r"(.*?)(?: (to|\+) (.*))?", re.DOTALL)
_DIGIT = re.compile("[0-9]")
_RATE = re.compile(r"([1-9][0-9]{0,5}) ?/ ?([0-9][^/]*)")
_NANOSECONDS = {"ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_UNIT_NAMES = {
    "sec": "s", "secs": "s", "second": "s", "seconds": "s", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "hr": "h", "hrs": "h", "hour": "h", "hours": "h", "day": "d", "days": "d", "msec": "ms", "millis": "ms",
    "bp": "bps", "bips": "bps", "basis points": "bps", "pct": "%", "percent": "%", "per cent": "%",
}  # fmt: skip


class BadQuantity(ValueError):
    """A text that is no quantity of the wanted kind. `what` is wrong with it, and how to `fix` it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}: {fix}")
        self.what = what
        self.fix = fix


class Ratio(float):
    """A part of something: `0.4%`, `40bps` (a bps is a hundredth of a per cent). The float is the fraction, 0.004."""

    __slots__ = ("exact",)
    exact: Decimal

    noun: ClassVar[str] = "a ratio"
    pattern: ClassVar[str] = rf"^{NUMBER} ?(%|bps)$"
    examples: ClassVar[tuple[str, ...]] = ("40bps", "0.4%")

    def __new__(cls, text: str | int | Decimal) -> Self:
        number, unit = _split(cls, text)
        match unit:
            case "%":
                exact = number.scaleb(-2, MONEY)
            case "bps":
                exact = number.scaleb(-4, MONEY)
            case "" if number == ZERO:
                exact = number
            case "":
                raise BadQuantity(f"{_shown(text)} has no unit", f"write {plain(number)}% or {plain(number)}bps")
            case _:
                raise _unknown_unit(text, number, unit, ("%", "bps"))
        self = super().__new__(cls, exact)
        self.exact = exact
        return self

    def __str__(self) -> str:
        return f"{plain(self.exact.scaleb(2, MONEY))}%"

    def __repr__(self) -> str:
        return f"Ratio({str(self)!r})"

    def __getnewargs__(self) -> tuple[Any]:
        return (str(self),)


class Amount(float):
    """So much of a currency: `1000 ROGER`. `currency` is empty where the text named none."""

    __slots__ = ("currency", "exact")
    exact: Decimal
    currency: str

    noun: ClassVar[str] = "an amount"
    role: ClassVar[Role] = "any"
    pattern: ClassVar[str] = rf"^{NUMBER} +{CURRENCY}$"
    examples: ClassVar[tuple[str, ...]] = ("1000 ROGER", "0.01 BTC")

    def __new__(cls, text: str | int | Decimal) -> Self:
        exact, currency = _split(cls, text)
        if currency:
            if not re.fullmatch(CURRENCY, currency.upper()):
                raise BadQuantity(f"{_shown(currency)} is not a currency", _as_in(cls))
            if not re.fullmatch(rf"{NUMBER} +{CURRENCY}", str(text)):
                raise BadQuantity(f"{_shown(text)} is misspelt", f"write {plain(exact)} {currency.upper()}")
        self = super().__new__(cls, exact)
        self.exact = exact
        self.currency = currency
        return self

    def __str__(self) -> str:
        return f"{plain(self.exact)} {self.currency}".rstrip()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __getnewargs__(self) -> tuple[Any]:
        return (str(self),)


class BaseAmount(Amount):
    """So much of a market's base currency: `1000 ROGER` on ROGER-BTC."""

    __slots__ = ()
    noun = "an amount of the base currency"
    role = "base"
    examples = ("1000 ROGER",)


class QuoteAmount(Amount):
    """So much of a market's quote currency: `0.01 BTC` on ROGER-BTC."""

    __slots__ = ()
    noun = "an amount of the quote currency"
    role = "quote"
    examples = ("0.01 BTC", "50 USDT")


class Price(Amount):
    """Quote currency per one unit of base: `0.000051 BTC` on ROGER-BTC."""

    __slots__ = ()
    noun = "a price in the quote currency"
    role = "quote"
    examples = ("0.000051 BTC",)


class Duration(int):
    """A length of time in whole nanoseconds, not negative: `500ms`, `30s`, `55m`, `2h`, `1d`."""

    noun: ClassVar[str] = "a duration"
    pattern: ClassVar[str] = r"^(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})? ?(ms|s|m|h|d)$"
    examples: ClassVar[tuple[str, ...]] = ("30s", "500ms", "55m", "2h", "1d")

    def __new__(cls, text: str | int | Decimal) -> Self:
        number, unit = _split(cls, text)
        if unit not in _NANOSECONDS and (unit or number != ZERO):
            if not unit:
                raise BadQuantity(f"{_shown(text)} has no unit", f"write {plain(number)}s or {plain(number)}m")
            raise _unknown_unit(text, number, unit, tuple(_NANOSECONDS))
        exact = MONEY.multiply(number, Decimal(_NANOSECONDS.get(unit, 1)))
        if not 0 <= exact <= DURATION_MAX:
            raise BadQuantity(f"{_shown(text)} is not a duration between 0 and 36500d", "write a shorter one")
        if exact != int(exact):
            raise BadQuantity(f"{_shown(text)} is not a whole number of nanoseconds", "write fewer decimals")
        return super().__new__(cls, exact)

    @classmethod
    def of(cls, nanoseconds: int) -> Self:
        return cls(f"{plain(Decimal(nanoseconds).scaleb(-6, MONEY))}ms")

    @property
    def seconds(self) -> float:
        return self / 10**9

    def __str__(self) -> str:
        if self == 0:
            return "0s"
        for unit in ("d", "h", "m", "s"):
            if self % _NANOSECONDS[unit] == 0:
                return f"{self // _NANOSECONDS[unit]}{unit}"
        return f"{plain(Decimal(int(self)).scaleb(-6, MONEY))}ms"

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"

    def __getnewargs__(self) -> tuple[Any]:
        return (str(self),)


class Rate(str):
    """So often in any stretch of time: `20/10s` is at most twenty in ten seconds, `1/1m` one a minute."""

    __slots__ = ("per", "times")
    times: int
    per: Duration

    noun: ClassVar[str] = "a rate"
    pattern: ClassVar[str] = r"^[1-9][0-9]{0,5} ?/ ?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})? ?(ms|s|m|h|d)$"
    examples: ClassVar[tuple[str, ...]] = ("20/10s", "100/1m")

    def __new__(cls, text: str) -> Self:
        match = _RATE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise BadQuantity(f"{_shown(text)} is not a rate", _as_in(cls))
        per = Duration(match[2])
        if not 0 < per <= RATE_PER_MAX:
            raise BadQuantity(f"{_shown(text)} counts over {per}", f"write a time of up to {Duration.of(RATE_PER_MAX)}")
        self = super().__new__(cls, f"{match[1]}/{per}")
        self.times, self.per = int(match[1]), per
        return self

    def __repr__(self) -> str:
        return f"Rate({str(self)!r})"


class Delay(str):
    """How long something takes that chance has a part in: `50ms` always, `40ms to 80ms` evenly between the two,
    `40ms + 20ms` at least the first and the second more on average, seldom several times as much.
    """

    __slots__ = ("least", "more", "shape")
    least: Duration
    more: Duration
    shape: Literal["uniform", "exponential"]

    noun: ClassVar[str] = "a delay"
    pattern: ClassVar[str] = rf"{Duration.pattern[:-1]}(?: (to|\+) {Duration.pattern[1:-1]})?$"
    examples: ClassVar[tuple[str, ...]] = ("50ms", "40ms to 80ms", "40ms + 20ms")

    def __new__(cls, text: str | int) -> Self:
        if isinstance(text, bool) or not isinstance(text, str | int):
            raise BadQuantity(f"{_shown(text)} is not {cls.noun}", _as_in(cls))
        first, word, second = _DELAY.fullmatch(str(text)).groups(default="")  # type: ignore[union-attr]  # fits any
        if not _DIGIT.match(first):
            raise BadQuantity(f"{_shown(text)} is not {cls.noun}", _as_in(cls))
        least, other = Duration(first), Duration(second) if word else Duration(0)
        if word and not re.fullmatch(cls.pattern, str(text)):
            raise BadQuantity(f"{_shown(text)} is misspelt", f"write {least} {word} {other}")
        if word == "to" and other < least:
            raise BadQuantity(f"{_shown(text)} ends before it begins", f"write {other} to {least}")
        self = super().__new__(cls, f"{least} {word} {other}" if word else str(least))
        self.least = least
        self.more = Duration.of(other - least) if word == "to" else other
        self.shape = "exponential" if word == "+" else "uniform"
        return self

    def __repr__(self) -> str:
        return f"Delay({str(self)!r})"


Unit = Ratio | Amount | Duration | Rate | Delay
UNITS: tuple[type[Unit], ...] = (Ratio, Amount, BaseAmount, QuoteAmount, Price, Duration, Rate, Delay)


def decode(kind: type, value: Any) -> Any:
    """`dec_hook` of msgspec: make a quantity of the text that the file has. Raises BadQuantity (a ValueError)."""
    if kind in UNITS:
        return kind(value)
    raise NotImplementedError(f"no parameter can be a {kind.__name__}")


def encode(value: Any) -> str:
    """`enc_hook` of msgspec, the way back."""
    if isinstance(value, UNITS):
        return str(value)
    raise NotImplementedError(f"{type(value).__name__} is no quantity")


def _split(kind: type[Unit], text: object) -> tuple[Decimal, str]:
    """A number and what stands behind it."""
    if isinstance(text, bool) or not isinstance(text, str | int | Decimal):
        raise BadQuantity(f"{_shown(text)} is not {kind.noun}", _as_in(kind))
    written = format(text, "f") if isinstance(text, Decimal) else str(text)
    match = _MEASURE.fullmatch(written)
    if match is None:
        raise BadQuantity(f"{_shown(text)} is not {kind.noun}", _respelt(written) or _as_in(kind))
    return Decimal(match[1]), match[2] or match[3] or ""


def _unknown_unit(text: object, number: Decimal, unit: str, units: tuple[str, ...]) -> BadQuantity:
    meant = unit.strip().lower()
    meant = _UNIT_NAMES.get(meant, meant)
    fix = f"write {plain(number)}{meant}" if meant in units else f"the units are {', '.join(units)}"
    return BadQuantity(f"{_shown(text)} has an unknown unit", fix)


def _respelt(text: str) -> str | None:
    """How to write a number that is written in another tradition: `1_000`, `.5`, `+3`, `007`.

    Never a comma: `1,500` is fifteen hundred to some and one and a half to others.
    """
    match = _OTHER_NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    sign, whole, decimals, unit = match.groups(default="")
    whole = whole.replace("_", "").lstrip("0") or "0"
    number = f"{sign.replace('+', '')}{whole}{'.' if decimals else ''}{decimals}"
    return f"write {number}{unit}" if _NUMBER.fullmatch(number) else None


def _as_in(kind: type[Unit]) -> str:
    return f"write it as in {' or '.join(kind.examples[:3])}"


def _shown(text: object) -> str:
    written = str(text)
    return f"`{written if len(written) <= 60 else written[:59] + '…'}`"
