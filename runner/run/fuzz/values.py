"""Values of declared parameters, drawn from types and bounds: a new parameter is drawn without a word here.

Numbers are drawn by order of magnitude: what breaks at a millionth is not found by even draws up to a million.
A value is what the file's reader would make of its text: a text with a unit, int, Decimal, bool, or a list of these.
"""

import typing
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from runner.config.tree import typed
from runner.model import parameters
from runner.model.money import MONEY, ZERO, plain
from runner.model.parameters import Parameter
from runner.model.units import Amount, Delay, Duration, Rate, Ratio

_MILLISECOND, _DAY = 10**6, 86_400 * 10**9
_ONE = Decimal(1)
_SMALLEST = Decimal("0.00000001")
_BPS_SMALLEST = Decimal("0.01")
_EITHER_WAY = Decimal(10_000)  # of a usual amount, where nothing bounds it
_ITEMS_MAX = 4
_WORD = r"^[a-z][a-z0-9-]{0,20}$"


class Usual(typing.NamedTuple):
    """What amounts are measured by: a usual order in each currency, by the role that an amount may have."""

    amounts: Mapping[str, Decimal]
    roles: Mapping[str, Sequence[str]]

    @classmethod
    def of(cls, markets: Sequence[tuple[str, Decimal, Decimal]]) -> "Usual":
        """`markets`: symbol, price, and a usual quantity in base."""
        amounts: dict[str, Decimal] = {}
        roles: dict[str, list[str]] = {"base": [], "quote": []}
        for symbol, price, quantity in markets:
            base, quote = symbol.split("-")
            amounts.setdefault(base, quantity)
            amounts.setdefault(quote, MONEY.multiply(price, quantity))
            roles["base"] += [base] if base not in roles["base"] else []
            roles["quote"] += [quote] if quote not in roles["quote"] else []
        return cls(amounts, {**roles, "any": list(dict.fromkeys(roles["base"] + roles["quote"]))})

    def currencies(self, kind: type[Amount]) -> Sequence[str]:
        return self.roles[kind.role]


def values(row: Parameter, usual: Usual) -> SearchStrategy[Any]:
    """Values within the bounds of a parameter. `None` is among them where the file may write `null`."""
    kind, may_be_null = parameters.optional(row.kind)
    members = [member for member in parameters.union(kind) if not parameters.is_section(member)]
    drawn = st.one_of([_of_kind(member, row, usual) for member in members])
    return st.one_of(drawn, st.none()) if may_be_null else drawn


def scalars(row: Parameter, kind: Any, usual: Usual) -> SearchStrategy[Any]:
    """Values of one of a parameter's types that is no list and no map."""
    kind = parameters.bare(kind)
    low, high = row.bounds
    if typing.get_origin(kind) is Literal:
        return st.sampled_from(typing.get_args(kind))
    if kind is bool:
        return st.booleans()
    if kind is Duration:
        return _durations(low, high)
    if kind is Ratio:
        return _ratios(low, high)
    if kind is Rate:
        return st.builds(lambda times, seconds: f"{times}/{seconds}s", _integers(1, 10_000), _integers(1, 86_400))
    if kind is Delay:
        return st.builds("{}ms{}".format, _integers(0, 1000), st.sampled_from(["", " + 20ms", " to 1s"]))
    if isinstance(kind, type) and issubclass(kind, Amount):
        return st.sampled_from(usual.currencies(kind)).flatmap(lambda currency: amounts(row, currency, usual))
    if kind is int:
        return _integers(0 if low is None else low, 10**6 if high is None else high)
    if kind is float:
        return _magnitudes(ZERO if low is None else low, Decimal(10**6) if high is None else high, _SMALLEST)
    pattern = getattr(row.meta, "pattern", None) or _WORD
    # What the reader would take for a number, for nothing or for a list is no text without quotes.
    return st.from_regex(pattern, fullmatch=True).filter(lambda text: typed(text) == text and text[0].isalnum())


def amounts(row: Parameter, currency: str, usual: Usual) -> SearchStrategy[str]:
    """Around a usual order, within the bounds."""
    low, high = (None if bound is None else bound.exact for bound in row.bounds)
    measure = usual.amounts[currency]
    least = max(_SMALLEST, measure / _EITHER_WAY) if low is None else low
    most = max(least, MONEY.multiply(measure, _EITHER_WAY)) if high is None else high
    return _magnitudes(least, most, _SMALLEST).map(lambda number: f"{plain(number)} {currency}")


def _of_kind(kind: Any, row: Parameter, usual: Usual) -> SearchStrategy[Any]:
    inner = parameters.items(kind)
    if inner is not None:
        fewest, most = getattr(row.meta, "min_length", None), getattr(row.meta, "max_length", None)
        most = _ITEMS_MAX if most is None else min(most, _ITEMS_MAX)
        return st.lists(scalars(row, inner, usual), min_size=fewest or 0, max_size=max(most, fewest or 0))
    amount = parameters.amounts(kind)
    if amount is not None:
        chosen = {currency: amounts(row, currency, usual) for currency in usual.currencies(amount)}
        return st.fixed_dictionaries({}, optional=chosen)
    return scalars(row, kind, usual)


def _durations(low: int | None, high: int | None) -> SearchStrategy[str]:
    least = 1 if low is None else max(1, -(-int(low) // _MILLISECOND))
    most = (_DAY if high is None else int(high)) // _MILLISECOND
    return _integers(least, most).map(lambda milliseconds: str(Duration.of(milliseconds * _MILLISECOND)))


def _ratios(low: Ratio | None, high: Ratio | None) -> SearchStrategy[str]:
    least, most = (bound and bound.exact.scaleb(4, MONEY) for bound in (low, high))
    least, most = ZERO if low is None else least, Decimal(10_000) if high is None else most
    return _magnitudes(least or ZERO, most or ZERO, _BPS_SMALLEST).map(lambda bps: f"{plain(bps)}bps")


def _integers(low: int, high: int) -> SearchStrategy[int]:
    return st.one_of(st.integers(low, high), _magnitudes(Decimal(low), Decimal(high), _ONE).map(int))


def _magnitudes(low: Decimal, high: Decimal, smallest: Decimal) -> SearchStrategy[Decimal]:
    """Two digits times a power of ten between the bounds, and the bounds themselves; simple ones first."""
    if low < 0:
        below = _magnitudes(max(ZERO, -high), -low, smallest).map(lambda number: -number)
        return below if high <= 0 else st.one_of(_magnitudes(ZERO, high, smallest), below)
    least = max(low, smallest)
    if least >= high:
        return st.sampled_from(sorted({low, high}))
    powers = st.integers(least.adjusted(), high.adjusted())
    digits = st.integers(10, 99).map(lambda two: Decimal(two).scaleb(-1, MONEY))
    inner = st.builds(lambda power, digit: _whole(digit.scaleb(power, MONEY), smallest), powers, digits)
    return st.one_of(inner.map(lambda number: min(max(number, low), high)), st.sampled_from([low, high]))


def _whole(number: Decimal, smallest: Decimal) -> Decimal:
    """Down to a multiple of the smallest."""
    return number // smallest * smallest
