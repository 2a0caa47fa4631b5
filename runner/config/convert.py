"""A Hummingbot strategy file to one of ours: every key with its value in our units, or as a comment that says why not.

Nothing is guessed. What their file cannot know (the venue's addresses, the limits) is written as the safe thing, with
a comment. What comes out is read once more by the check, and is no result unless it passes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from runner.config.dangers import LOSS_LIMITS
from runner.config.hummingbot import DIALECTS, Dialect, Lost, Twin, Unit, at_rest, is_null, number, switch
from runner.config.problems import Place, Problem, Source, in_order, nearest, printable, problem, shown
from runner.config.read import read
from runner.config.shape import SYMBOL, VERSION
from runner.config.spec import RunSpec
from runner.config.tree import Items, Keys, Node, Scalar, decoded, tree, typed
from runner.model.money import MONEY, plain
from runner.model.settings import Limits
from runner.model.units import NUMBER

Fate = Literal["converted", "idle", "lost"]
"""`idle`: as it was set it did nothing there, so that nothing is lost. `lost`: this meant something, and is gone."""

_WIDTH = 110
_SECOND_GENERATION = {"controller_name", "controller_type", "script_file_name"}
_FIRST_NAMES = {"maker_market", "primary_market", "bid_place_threshold", "ask_place_threshold"}


class Line(Struct, frozen=True):
    """What became of one key of theirs. `path` and `value` are ours, empty unless `converted`.

    `why` it was not; of a converted key, what a reader should know, mostly nothing.
    """

    key: str
    line: int
    column: int
    source: str
    fate: Fate
    path: str
    value: str
    why: str


class Converted(Struct, frozen=True):
    """A strategy file, and what became of every key in the order of their file."""

    text: str
    lines: tuple[Line, ...]

    def of(self, fate: Fate) -> tuple[Line, ...]:
        return tuple(line for line in self.lines if line.fate == fate)


def convert(text: bytes | str, *, file: str, sandbox_markets: Collection[str]) -> Converted | tuple[Problem, ...]:
    """Convert the text of `file`, which names it and the run. It never raises for any text.

    With a market of the sandbox the result trades there. Otherwise its venue is one that `runner run` refuses until
    somebody has written down where to trade.
    """
    content, problems = decoded(text, file)
    if problems:
        return in_order(problems)
    source = Source.of(file, content)
    root, problems = tree(content, source)
    # They write `key:` for nothing at all, which in a file of ours would be a mistake.
    problems = [each for each in problems if each.code != "value.empty"]
    if problems:
        return in_order(problems)
    if not isinstance(root, Keys) or not root.entries:
        what, fix = "this is no Hummingbot strategy file", "name a file that begins with `strategy: pure_market_making`"
        return (problem(source.place(0, 0), (), "convert.file", what, fix),)
    return _Conversion(root, source, sandbox_markets).result()


class _Conversion:
    """One file on its way. Problems are collected, so that all of them are told at once."""

    def __init__(self, root: Keys, source: Source, sandbox_markets: Collection[str]) -> None:
        self._source = source
        self._sandbox_markets = sandbox_markets
        self._problems: list[Problem] = []
        self._lines: dict[str, Line] = {}
        self._places = _flat(root)
        self._document = {key: node for key, (_, node) in self._places.items()}

    def result(self) -> Converted | tuple[Problem, ...]:
        dialect = self._dialect()
        market = self._market() if dialect is not None else None
        if dialect is None or market is None:
            return in_order(self._problems)
        for key, (at, node) in self._places.items():
            if key not in _HEAD:
                self._lines[key] = self._convert(dialect, key, at, node, market)
        self._missing(dialect)
        if self._problems:
            return in_order(self._problems)
        text = self._text(dialect, market)
        return self._proven(text)

    # What their file is ----------------------------------------------------------------------------------

    def _dialect(self) -> Dialect | None:
        at, node = self._places.get("strategy", (self._source.place(0, 0), None))
        name = node.text if isinstance(node, Scalar) else ""
        early = next((key for key in self._places if key in _FIRST_NAMES), None)
        if early is not None:
            what = f"{shown(early)} is of Hummingbot's first file format, where 0.01 meant 1 %"
            fix = "let a later Hummingbot write the file anew, with bid_spread in per cent, and convert that"
            self._problems.append(problem(self._places[early][0], (early,), "convert.version", what, fix))
        elif node is None and _SECOND_GENERATION & set(self._places):
            what = "this is a file of Hummingbot's second generation of strategies, where 0.01 means 1 %"
            fix = "write the strategy file by hand: `runner strategies` lists what there is"
            self._problems.append(problem(at, (), "convert.version", what, fix))
        elif name not in DIALECTS:
            what = f"strategy {shown(name)} cannot be converted" if name else "there is no `strategy:` in this file"
            near = nearest(name, DIALECTS) if name else None
            fix = f"only {' and '.join(DIALECTS)} can be" + (f"; did you mean {near}?" if near else "")
            self._problems.append(problem(at, ("strategy",), "convert.strategy", what, fix))
        else:
            self._line("strategy", "converted", "strategy.use", DIALECTS[name].use)
            self._exchange()
            return DIALECTS[name]
        return None

    def _exchange(self) -> None:
        name = self._text_of("exchange") if "exchange" in self._places else ""
        if not name:
            self._absent("exchange")
        elif name.startswith("altmarkets"):
            self._line("exchange", "converted", "connector.type", "altmarkets")
        else:
            why = f"this runner trades on OpenDAX exchanges and speaks no other protocol; {name} is none"
            self._line("exchange", "lost", why=why)

    def _market(self) -> str | None:
        if "market" not in self._places:
            self._absent("market")
            return None
        at, node = self._places["market"]
        symbol = self._text_of("market").upper()
        if not re.fullmatch(SYMBOL, symbol):
            what = f"{shown(_written(node))} is no market"
            self._problems.append(problem(at, ("market",), "convert.value", what, "write base and quote: BTC-USDT"))
            return None
        self._line("market", "converted", "markets[0]", symbol)
        return symbol

    def _absent(self, key: str) -> None:
        at, what = self._source.place(0, 0), f"`{key}` is missing"
        self._problems.append(problem(at, (key,), "convert.missing", what, f"add `{key}: …`, as Hummingbot needs it"))

    def _text_of(self, key: str) -> str:
        node = self._document[key]
        return node.text.strip() if isinstance(node, Scalar) and node.value is not None else ""

    # Key by key ------------------------------------------------------------------------------------------

    def _convert(self, dialect: Dialect, key: str, at: Place, node: Node, market: str) -> Line:
        rule = dialect.keys.get(key)
        if rule is None:
            near = nearest(key, dialect.keys)
            hint = f"; was {near} meant?" if near else ""
            return self._made(key, "lost", why=f"the converter knows no such key of this strategy{hint}")
        if isinstance(rule, Lost):
            rest = at_rest(dialect, self._document, key)
            return self._made(key, "idle" if rest else "lost", why=rest or rule.why, withheld=rule.withheld)
        if is_null(node):
            if rule.required:
                what = f"`{key}` has no value, and Hummingbot would not start without it"
                self._problems.append(problem(at, (key,), "convert.missing", what, "give it one"))
            return self._made(key, "idle", why="not set there")
        if rule.unless is not None and rule.unless(node):
            return self._made(key, "lost", why=rule.why)
        value = self._value(rule, key, node, market)
        return self._made(key, "converted", f"strategy.params.{rule.name}", value, rule.note)

    def _value(self, rule: Twin, key: str, node: Node, market: str) -> str:
        """Their number in our unit, exactly; empty, and a problem, for what is no number."""
        if rule.unit == "switch":
            return self._switch(key, node)
        found = number(node)
        if found is None or (rule.unit == "count" and found != int(found)):
            wanted = "a whole number" if rule.unit == "count" else "a number"
            what = f"{shown(_written(node))} is not {wanted}"
            self._problems.append(problem(node.at, (key,), "convert.value", what, f"write {wanted}"))
            return ""
        if not re.fullmatch(NUMBER, plain(found)):
            what, fix = f"{shown(_written(node))} has more than 18 digits on one side of the point", "write fewer"
            self._problems.append(problem(node.at, (key,), "convert.value", what, fix))
            return ""
        return _in_our_unit(found, rule.unit, market)

    def _switch(self, key: str, node: Node) -> str:
        found = switch(node)
        if found is None:
            what = f"{shown(_written(node))} is neither true nor false"
            self._problems.append(problem(node.at, (key,), "convert.value", what, "write true or false"))
        return str(found).lower()

    def _missing(self, dialect: Dialect) -> None:
        for key, rule in dialect.keys.items():
            if isinstance(rule, Twin) and rule.required and key not in self._places:
                self._absent(key)

    def _line(self, key: str, fate: Fate, path: str = "", value: str = "", why: str = "") -> None:
        self._lines[key] = self._made(key, fate, path, value, why)

    def _made(
        self, key: str, fate: Fate, path: str = "", value: str = "", why: str = "", withheld: bool = False
    ) -> Line:
        at, node = self._places[key]
        source = "(not repeated here: it may hold a key)" if withheld else printable(_written(node))
        return Line(printable(key), at.line, at.column, source, fate, path, value, printable(why))

    # The result ------------------------------------------------------------------------------------------

    def _text(self, dialect: Dialect, market: str) -> str:
        exchange = self._lines["exchange"]
        in_sandbox = market in self._sandbox_markets
        params = [line for key, line in self._lines.items() if key not in _HEAD]
        lines = [
            *_comment(f"Made by `runner convert` from {printable(self._source.file)}, a file of Hummingbot.", 0),
            *_comment("Behind a # stands what has no twin here, and why.", 0),
            f"version: {VERSION}",
            f"name: {_as_text(run_name(self._source.file, dialect.use))}",
            "",
            "connector:",
            *(_explained(exchange, 2) if exchange.fate == "lost" else ()),
            "  type: altmarkets",
            *_comment(_IN_THE_SANDBOX if in_sandbox else _NOWHERE, 2),
            *_comment(_ELSEWHERE, 2),
            f"  venue: {'sandbox' if in_sandbox else 'altmarkets'}",
            "",
            f"markets: [{market}]",
            "",
            "strategy:",
            f"  use: {dialect.use}",
            "  params:",
            *(f"    {name}: {value}" for name, value in dialect.fixed.items()),
            *(text for line in params for text in _explained(line, 4)),
            "",
            *self._rest(market, params),
        ]
        return "".join(f"{line}\n" for line in lines)

    def _rest(self, market: str, params: list[Line]) -> Iterator[str]:
        """What every file here needs, and theirs did not have."""
        base, quote = market.split("-")
        values = {line.path.rpartition(".")[2]: line.value for line in params if line.fate == "converted"}
        amount, levels = Decimal(values["order_amount"].partition(" ")[0]), int(values.get("order_levels", "1"))
        yield from _comment("Hummingbot's clock ticked once a second.", 0)
        yield "tick: {every: 1s}"
        yield ""
        yield from _comment("Hummingbot had no such limits. These allow twice what one side of the ladder holds.", 0)
        yield "risk:"
        yield f"  max_position: {{{base}: {plain(MONEY.multiply(amount, Decimal(2 * levels)))}}}"
        yield f"  max_open_orders: {2 * levels + 2}"
        yield from _comment("Yours to add, for only you know how much:", 2)
        for name in ("max_order_notional", *(name for name in LOSS_LIMITS if name in Limits.__struct_fields__)):
            yield from _comment(f"{name}: {{{quote}: …}}", 2)
        yield ""
        yield "run: {on_stop: cancel}"

    def _proven(self, text: str) -> Converted | tuple[Problem, ...]:
        """The result, or what the check has against it, told at the key that it comes from."""
        found = read(text, file=self._source.file)
        if isinstance(found, RunSpec):
            return Converted(text, tuple(self._lines[key] for key in self._places))
        ours = {line.path: (key, line) for key, line in self._lines.items() if line.fate == "converted"}
        told: list[Problem] = []
        for each in found:
            at, what = self._source.place(0, 0), each.message
            if each.path in ours:
                key, line = ours[each.path]
                at, what = self._places[key][1].at, f"{line.key} becomes {line.value} here: {each.message}"
            told.append(problem(at, (), "convert.value", what, f"change it in this file: {each.fix}"))
        return in_order(told)


_HEAD = ("strategy", "exchange", "market")

_IN_THE_SANDBOX = "A local exchange with play money."
_NOWHERE = "No run begins at this venue: Altmarkets has closed its doors, and the local sandbox has no such market."
_ELSEWHERE = (
    "Another OpenDAX exchange is named by its two addresses:\n"
    "venue: {rest_url: https://…/api/v2/peatio, stream_url: wss://…/api/v2/ranger}"
)


def run_name(file: str, default: str) -> str:
    """A name for the run, made of the file's: `conf_PMM 1.yml` becomes `conf-pmm-1`."""
    stem = re.split(r"[/\\]", file)[-1].partition(".")[0]
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:40].strip("-") or default.replace("_", "-")


def _as_text(word: str) -> str:
    """With quotes where YAML, or our reading of it, would take it for a number or for nothing."""
    return word if isinstance(typed(word), str) else f'"{word}"'


def _flat(root: Keys) -> dict[str, tuple[Place, Node]]:
    """Every key with its place. Groups named `…_mode` hold keys of the strategy, written `group.key` here."""
    flat: dict[str, tuple[Place, Node]] = {}
    for key, (at, node) in root.entries.items():
        if key.endswith("_mode") and isinstance(node, Keys) and node.entries:
            flat |= {f"{key}.{inner}": found for inner, found in node.entries.items()}
        else:
            flat[key] = (at, node)
    return flat


def _in_our_unit(value: Decimal, unit: Unit, market: str) -> str:
    match unit:
        case "percent":
            return f"{plain(value)}%"
        case "seconds":
            return f"{plain(value)}s"
        case "base":
            return f"{plain(value)} {market.split('-')[0]}"
        case "count":
            return str(int(value))
        case _:
            return plain(value)


def _explained(line: Line, indent: int) -> list[str]:
    """One key of theirs: a line of ours, or a comment."""
    if line.fate == "converted":
        note = _comment(line.why, indent) if line.why else []
        return [*note, f"{' ' * indent}{line.path.rpartition('.')[2]}: {line.value}"]
    head = f"{line.key}: {line.source}"
    if line.fate == "idle":
        return _comment(f"{head} ({line.why})", indent)
    return [*_comment(head, indent), *_comment(f"{line.why[0].upper()}{line.why[1:]}.", indent, hanging=2)]


def _comment(text: str, indent: int, hanging: int = 0) -> list[str]:
    start = f"{' ' * indent}# {' ' * hanging}"
    return [
        f"{start}{piece}"
        for line in text.split("\n")
        for piece in textwrap.wrap(line, max(40, _WIDTH - len(start)), break_on_hyphens=False) or [""]
    ]


def _written(node: Node) -> str:
    """A value on one line, as flow style would have it."""
    match node:
        case Scalar():
            return node.text or "null"
        case Items():
            return f"[{', '.join(map(_written, node.items))}]"
        case Keys():
            return f"{{{', '.join(f'{key}: {_written(item)}' for key, (_, item) in node.entries.items())}}}"
