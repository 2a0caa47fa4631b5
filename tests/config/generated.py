"""Strategy files drawn from the declared shape: right ones, and near misses whose mistake has a known place.

A file is drawn as a list of lines that know which key or value stands where, so that a mutation can say where the
problem has to be told.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from hypothesis import strategies as st

from runner.config.plugins import load_all
from runner.config.read import read
from runner.config.shape import File
from runner.config.spec import RunSpec
from runner.engine.worth import without_room
from runner.model import parameters
from runner.model.money import plain
from runner.model.parameters import Parameter
from runner.model.settings import TickPolicy
from runner.model.units import Duration, Ratio
from runner.run.fuzz import values
from runner.run.fuzz.values import Usual
from runner.run.markets import known_markets
from runner.simulation.markets import SANDBOX_LISTINGS

LISTINGS = {listing.market.symbol: listing for listing in SANDBOX_LISTINGS}
_MARKETS = {symbol: listing.market for symbol, listing in LISTINGS.items()}
_HIGH = {symbol: 2 * listing.price for symbol, listing in LISTINGS.items()}
STRATEGIES, _ = load_all(bundled=True)
WORDS = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
TYPO = "qx"  # in no key and no word of ours


class Line(NamedTuple):
    """`key: value` at a depth; `value` is empty where a group follows."""

    depth: int
    key: str
    value: str
    row: Parameter | None

    @property
    def text(self) -> str:
        return f"{'  ' * self.depth}{self.key}:{' ' + self.value if self.value else ''}"

    @property
    def key_column(self) -> int:
        return 2 * self.depth + 1

    @property
    def value_column(self) -> int:
        return self.key_column + len(self.key) + 2


class NearMiss(NamedTuple):
    """A file with one mistake, and (line, column) of where it has to be told. `kind` is for the reader."""

    text: str
    kind: str
    line: int
    column: int


class _Drawn(NamedTuple):
    """What the whole file has in common."""

    symbols: list[str]
    usual: Usual
    strategy: str


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    """A file that is right, as lines."""
    symbols = draw(st.lists(st.sampled_from(list(LISTINGS)), min_size=1, max_size=3, unique=True))
    usual = Usual.of([(symbol, LISTINGS[symbol].price, LISTINGS[symbol].quantity) for symbol in symbols])
    drawn = list(_section(draw, File, 0, _Drawn(symbols, usual, draw(st.sampled_from(sorted(STRATEGIES)))), ()))
    return _with_room(_every_at_least_at_most_every(_without(_of_one_mind(drawn), _contradicting(drawn))))


def _of_one_mind(drawn: list[Line]) -> list[Line]:
    """What a bundled strategy refuses by itself: a horizon where the form has none, and none where it needs one."""
    horizon = any(line.key == "horizon" and line.value != "null" for line in drawn)
    fitting = {"finite_horizon": "finite_horizon" if horizon else "hummingbot"}
    fitting["stationary"] = "hummingbot" if horizon else "stationary"
    return [
        line._replace(value=fitting.get(line.value, line.value)) if line.key == "variant" else line for line in drawn
    ]


def _every_at_least_at_most_every(drawn: list[Line]) -> list[Line]:
    """Two durations of which neither is wrong by itself."""
    found = {line.key: Duration(line.value) for line in drawn if line.key in ("every", "at_most_every")}
    most = found.get("at_most_every", Duration.of(TickPolicy().at_most_every))
    if found.get("every", TickPolicy().every) >= most:
        return drawn
    if "every" in found:
        return [line._replace(value=str(most)) if line.key == "every" else line for line in drawn]
    return [line._replace(value="1s") if line.key == "at_most_every" else line for line in drawn]


def _with_room(drawn: list[Line]) -> list[Line]:
    """Without the limits that have no room for all that the strategy may want at once, also at twice the sandbox's
    prices: no run of a file that is right is refused when it sees the first of them."""
    found = read(_text(drawn), file="drawn.yml", markets=known_markets)
    if isinstance(found, RunSpec):
        lack = without_room(found.demands or (), found.settings.limits, _MARKETS, _HIGH, found.settings.markets[0])
        keys = set() if lack is None else {lack.key.split(".")[1]}
    else:
        keys = {problem.path.split(".")[1] for problem in found if problem.code.startswith("bound.")}
    return _with_room(_without(drawn, keys)) if keys else drawn


def _text(drawn: list[Line]) -> str:
    return "".join(f"{line.text}\n" for line in drawn)


def _contradicting(drawn: list[Line]) -> set[str]:
    """Keys that would be wrong beside the others of the file."""
    keys = {line.key for line in drawn}
    wrong = {f"min_{noun}" for noun in ("spread", "position", "order_notional") if f"max_{noun}" in keys}
    if not _says(drawn, "venue", "sandbox"):
        wrong.add("seed")
    if _says(drawn, "type", "altmarkets"):
        wrong.add("paper")
    if "recorded" in keys:
        wrong |= {"order", "cancel", "data"}
    if not (_says(drawn, "resume", "after") and "resume_after" in keys):
        wrong |= {"resume", "resume_after"}
    if "price_collar" not in keys or next(line for line in drawn if line.key == "markets").value.count(","):
        wrong.add("collar_price")
    return wrong


def _without(drawn: list[Line], keys: set[str]) -> list[Line]:
    """The lines without these keys and what stands below them."""
    kept: list[Line] = []
    below: int | None = None
    for line in drawn:
        if below is not None and line.depth > below:
            continue
        below = line.depth if line.key in keys else None
        if below is None:
            kept.append(line)
    return [line for line, after in zip(kept, [*kept[1:], None], strict=True) if not _emptied(line, after)]


def _emptied(line: Line, after: Line | None) -> bool:
    return not line.value and (after is None or after.depth <= line.depth)


files = lines().map(_text)
"""Texts that `check` has to accept."""


@st.composite
def near_misses(draw: st.DrawFn) -> NearMiss:
    """A right file with one mutation."""
    drawn = draw(lines())
    found: NearMiss | None = None
    while found is None:
        mutate = draw(st.sampled_from(MUTATIONS))
        number = draw(st.integers(0, len(drawn) - 1))
        found = mutate(draw, drawn, number)
    return found


# Right values ---------------------------------------------------------------------------------------------


def _section(draw: st.DrawFn, owner: Any, depth: int, file: _Drawn, path: tuple[str, ...]) -> list[Line]:
    made: list[Line] = []
    for row in parameters.parameters(owner):
        here = (*path, row.name)
        if row.required or here == ("strategy", "params") or draw(st.booleans()):
            made += _lines(draw, row, depth, file, here)
    return made


def _lines(draw: st.DrawFn, row: Parameter, depth: int, file: _Drawn, path: tuple[str, ...]) -> list[Line]:
    if path == ("strategy", "params"):
        return _group(Line(depth, row.name, "", row), _section(draw, STRATEGIES[file.strategy], depth + 1, file, path))
    kind, _ = parameters.optional(row.kind)
    members = parameters.union(kind)
    section = next((member for member in members if parameters.is_section(member)), None)
    if section is not None and (len(members) == 1 or draw(st.booleans())):
        return _group(Line(depth, row.name, "", row), _section(draw, section, depth + 1, file, path))
    amount = parameters.amounts(kind)
    if amount is not None:
        currencies = draw(st.lists(st.sampled_from(file.usual.currencies(amount)), unique=True, min_size=1, max_size=2))
        inner = [
            Line(depth + 1, currency, draw(values.amounts(row, currency, file.usual)), row) for currency in currencies
        ]
        return _group(Line(depth, row.name, "", row), inner)
    return [Line(depth, row.name, _value(draw, row, members, file, path), row)]


def _group(head: Line, inner: list[Line]) -> list[Line]:
    return [head, *inner] if inner else []


def _value(draw: st.DrawFn, row: Parameter, members: tuple[Any, ...], file: _Drawn, path: tuple[str, ...]) -> str:
    match path:
        case ("markets",):
            return f"[{', '.join(file.symbols)}]"
        case ("strategy", "use"):
            return file.strategy
        case (*_, "rest_url"):
            return f"https://{draw(WORDS)}.example/api/v2"
        case (*_, "stream_url"):
            return f"wss://{draw(WORDS)}.example/ranger"
    kind = next(member for member in members if not parameters.is_section(member))
    inner = parameters.items(kind)
    if inner is not None:
        words = draw(st.lists(values.scalars(row, inner, file.usual), unique=True, max_size=3))
        return f"[{', '.join(map(str, words))}]"
    value = draw(values.scalars(row, kind, file.usual))
    if isinstance(value, Decimal):
        return plain(value)  # an exponent is no number of a file
    return str(value).lower() if isinstance(value, bool) else str(value)


def _says(drawn: list[Line], key: str, value: str) -> bool:
    return any((line.key, line.value) == (key, value) for line in drawn)


# Mutations: each gives the mistaken file and its place, or None where it cannot be made --------------------


def _joined(drawn: list[Line]) -> str:
    return "".join(f"{line.text}\n" for line in drawn)


def _with(drawn: list[Line], number: int, line: Line) -> str:
    return _joined([*drawn[:number], line, *drawn[number + 1 :]])


def _typo_in_key(draw: st.DrawFn, drawn: list[Line], number: int) -> NearMiss | None:
    line = drawn[number]
    if line.row is None or line.key != line.row.name:
        return None  # a currency is told as one
    at = draw(st.integers(1, len(line.key)))
    key = line.key[:at] + TYPO + line.key[at:]
    return NearMiss(_with(drawn, number, line._replace(key=key)), "typo in key", number + 1, line.key_column)


def _key_twice(_draw: st.DrawFn, drawn: list[Line], number: int) -> NearMiss | None:
    line = drawn[number]
    if not line.value:
        return None
    text = _joined([*drawn[: number + 1], line, *drawn[number + 1 :]])
    return NearMiss(text, "key twice", number + 2, line.key_column)


def _tab(_draw: st.DrawFn, drawn: list[Line], number: int) -> NearMiss | None:
    line = drawn[number]
    if not line.depth:
        return None
    texts = [each.text for each in drawn]
    texts[number] = "\t" * line.depth + line.text.lstrip()
    return NearMiss("\n".join(texts) + "\n", "tab", number + 1, 1)


def _wrong_value(draw: st.DrawFn, drawn: list[Line], number: int) -> NearMiss | None:
    """A list where one value belongs, or one value where a list belongs."""
    line = drawn[number]
    if not line.value or line.key in ("use", "markets"):
        return None
    may_be_group = line.row is not None and any(map(parameters.is_section, parameters.union(line.row.kind)))
    wrong = ["[1, 2]"] if may_be_group else ["[1, 2]", "{a: 1}"]
    value = "17" if line.value.startswith("[") else draw(st.sampled_from(wrong))
    return NearMiss(_with(drawn, number, line._replace(value=value)), "wrong type", number + 1, line.value_column)


def _unknown_word(_draw: st.DrawFn, drawn: list[Line], number: int) -> NearMiss | None:
    line = drawn[number]
    kind = None if line.row is None else parameters.optional(line.row.kind)[0]
    if kind is None or typing.get_origin(kind) is not Literal:
        return None
    wrong = line._replace(value=f"{line.value}{TYPO}")
    return NearMiss(_with(drawn, number, wrong), "unknown word", number + 1, line.value_column)


def _wrong_unit(draw: st.DrawFn, drawn: list[Line], number: int) -> NearMiss | None:
    line = drawn[number]
    kind = None if line.row is None else parameters.element(line.row.kind)
    if not line.value or not parameters.is_unit(kind):
        return None
    units = {Duration: ["5 ROGER", "5", "5 parsecs", "5%"], Ratio: ["5", "5s", "0.4 BTC"]}.get(kind, ["5 XYZ", "5%"])
    wrong = line._replace(value=draw(st.sampled_from(units)))
    return NearMiss(_with(drawn, number, wrong), "wrong unit", number + 1, line.value_column)


def _out_of_bounds(draw: st.DrawFn, drawn: list[Line], number: int) -> NearMiss | None:
    line = drawn[number]
    if line.row is None or not line.value or parameters.element(line.row.kind) is not int:
        return None
    low, high = line.row.bounds
    beyond = [str(bound + step) for bound, step in ((low, -1), (high, 1)) if bound is not None]
    if not beyond:
        return None
    wrong = line._replace(value=draw(st.sampled_from(beyond)))
    return NearMiss(_with(drawn, number, wrong), "out of bounds", number + 1, line.value_column)


def _missing(_draw: st.DrawFn, drawn: list[Line], number: int) -> NearMiss | None:
    """A required key is told at the group that lacks it; one of the file itself at its first line."""
    line = drawn[number]
    if line.row is None or not line.row.required or not line.value or line.key != line.row.name:
        return None
    above = next((n for n in range(number - 1, -1, -1) if drawn[n].depth < line.depth), None)
    rest = [*drawn[:number], *drawn[number + 1 :]]
    if above is not None and (above + 1 == len(rest) or rest[above + 1].depth <= drawn[above].depth):
        return None  # a group without keys is another mistake
    text = _joined(rest)
    if above is None:
        return NearMiss(text, "missing key", 1, 1)
    return NearMiss(text, "missing key", above + 1, drawn[above].key_column)


MUTATIONS: tuple[Callable[[st.DrawFn, list[Line], int], NearMiss | None], ...] = (
    _typo_in_key,
    _key_twice,
    _tab,
    _wrong_value,
    _unknown_word,
    _wrong_unit,
    _out_of_bounds,
    _missing,
)
