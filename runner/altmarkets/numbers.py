"""Numbers and times as the wire writes them, read exactly.

A decimal comes as text (`"0.00000101"`) or as a JSON number, a time as ISO 8601 text or as unix seconds. What is
not one of those, or not on the market's grid, is `Unreadable`: nothing here rounds. Source: wire reference 1.1, 1.2.
"""

import datetime
from collections.abc import Callable
from decimal import Decimal, Inexact

from runner.model.market import POWERS_OF_TEN, Market, OffGrid
from runner.model.money import ZERO

WHOLE_MAX = 2**63 - 1
"""The most ticks or lots there can be: tapes and kernels keep them in 64 bits."""

SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999; milliseconds taken for seconds lie far above."""

SHORT_WHOLE = 10**15
SHORT_TEXT = 15
"""A decimal of up to 15 digits has a float of its own, and a whole number below 10^15 divided by a power of ten is the
float of that decimal. So for a text of up to 15 characters and a `whole` in (0, 10^15): `float(text)` equals
`whole / unit` exactly if the text is that many steps of the grid."""

TEXTS_KEPT = 16_384
"""Texts of prices that a grid remembers; then it forgets them and begins again."""

_TEXT_KEPT_MAX = 40  # longer texts are not remembered: a bound on their count should be one on memory


class Unreadable(ValueError):
    """The venue wrote something that this place cannot hold. The message says what, and where if that is known."""


class OffTheMap(Unreadable):
    """Readable, but off the grid of its market, or of a market that the venue does not list."""


class Grid:
    """Reads prices and quantities of one market into whole ticks and lots.

    Promise, for every text: the same number as `Market.ticks(Decimal(text))` and `Market.lots(Decimal(text))` as
    long as it fits in 64 bits, and Unreadable where those raise.

    The texts of a book's prices come again and again, so what they meant is remembered, up to a bound. Quantities
    repeat too (52 and 74 % in two recorded markets), yet looking those up first cost more than it saved.
    """

    __slots__ = ("known_ticks", "lots_in_unit", "market", "symbol", "ticks_in_unit")

    def __init__(self, market: Market) -> None:
        self.market = market
        self.symbol = market.symbol
        self.ticks_in_unit = POWERS_OF_TEN[market.price_precision]
        self.lots_in_unit = POWERS_OF_TEN[market.amount_precision]
        self.known_ticks: dict[str, int] = {}
        """Ticks, above zero, of the texts remembered."""

    def ticks(self, text: str) -> int:
        """Whole ticks of a price written as text. Raises Unreadable."""
        known = self.known_ticks.get(text)
        if known is not None:
            return known
        ticks = _short(text, self.ticks_in_unit)
        if ticks is None:
            ticks = self.ticks_of(text)
        if len(self.known_ticks) >= TEXTS_KEPT:
            self.known_ticks.clear()
        if ticks > 0 and len(text) <= _TEXT_KEPT_MAX:
            self.known_ticks[text] = ticks
        return ticks

    def lots(self, text: str) -> int:
        """Whole lots of a quantity written as text. Raises Unreadable."""
        lots = _short(text, self.lots_in_unit)
        return self.lots_of(text) if lots is None else lots

    def ticks_of(self, price: object) -> int:
        """Whole ticks of a price, text or number. Raises Unreadable."""
        return self._whole(price, self.market.ticks)

    def lots_of(self, quantity: object) -> int:
        """Whole lots of a quantity, text or number. Raises Unreadable."""
        return self._whole(quantity, self.market.lots)

    def _whole(self, value: object, steps: Callable[[Decimal], int]) -> int:
        decimal = exact(value)
        try:
            whole = steps(decimal)
        except (OffGrid, Inexact) as error:  # Inexact: more digits than money has
            raise OffTheMap(f"{self.market.id}: {error or decimal}") from None
        if not -WHOLE_MAX <= whole <= WHOLE_MAX:
            raise OffTheMap(f"{self.market.id}: {shown(value)} does not fit in 64 bits")
        return whole


def exact(value: object) -> Decimal:
    """The decimal that a text or a JSON number stands for, to the last digit.

    Raises Unreadable for anything else, NaN, infinity and magnitudes no market has.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Unreadable(f"{shown(value)} is not a decimal")
    try:
        decimal = Decimal(value)
    except ArithmeticError:
        raise Unreadable(f"{shown(value)} is not a decimal") from None
    if not decimal:
        return ZERO
    # Refused before any arithmetic: 1e900000 is a short text and a very long calculation.
    if not decimal.is_finite() or not -100 <= decimal.adjusted() <= 40:
        raise Unreadable(f"{shown(value)} is not a number that a market can have")
    return decimal


def seconds(value: object) -> int:
    """Whole seconds since 1970 of an ISO 8601 text (UTC if it names no zone) or of unix seconds; fractions go."""
    if isinstance(value, str) and not value.isdecimal():
        try:
            moment = datetime.datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            raise Unreadable(f"{shown(value)} is not a time") from None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=datetime.UTC)
        found = int(moment.timestamp())
    else:
        found = int(exact(value))
    if not 0 <= found <= SECONDS_MAX:
        raise Unreadable(f"{shown(value)} is not a time in seconds")
    return found


def shown(value: object) -> str:
    """A foreign value in a message: short, on one line, whatever it is."""
    if isinstance(value, bytes):
        value = value[:100].decode(errors="replace")
    try:
        text = repr(value)
    except ValueError:  # an int of more digits than Python is willing to print
        return "a number of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _short(text: str, unit: int) -> int | None:
    """Whole steps of a grid that has `unit` of them in one, by float where that is exact (see SHORT_TEXT), else None.

    Three times as fast as Decimal.
    """
    try:
        value = float(text)
        whole = int(value * unit + 0.5)
    except (ValueError, OverflowError):
        return None
    return whole if 0 < whole < SHORT_WHOLE and whole / unit == value and len(text) <= SHORT_TEXT else None
