"""A strategy file to a `RunSpec`, or every problem of it at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import msgspec
from msgspec import convert, structs

from runner.config import shape
from runner.config.bounds import broken
from runner.config.dangers import warnings
from runner.config.overlay import laid_over
from runner.config.overrides import overridden
from runner.config.plugins import BadPlugin, check_slots, demands, load, raised_by, traits
from runner.config.problems import Place, Problem, Source, in_order, nearest, problem, shown
from runner.config.sense import contradictions, node
from runner.config.spec import Altmarkets, Connector, Deployment, RateLimit, Recording, RunSpec, Sandbox, Venue
from runner.config.structure import check_structure
from runner.config.tree import Items, Keys, Node, Scalar, as_text, decoded, tree
from runner.config.values import Currencies, check_values
from runner.engine.strategy import Demand, Strategy
from runner.model import parameters, units
from runner.model.market import Market
from runner.model.paper import Latency, PaperModels
from runner.model.settings import SECOND, Limits, QueueModel, Rate, Settings, TickPolicy
from runner.model.units import Amount, Delay, Duration, Ratio

KnownMarkets = Callable[[Venue], Mapping[str, Market] | None]
"""The markets of a venue by symbol, None where they are not known without asking it."""

_NO_ENVIRONMENT: Mapping[str, str] = {}


def read(
    text: bytes | str,
    *,
    file: str,
    overlays: Sequence[tuple[str, bytes | str]] = (),
    overrides: Sequence[str] = (),
    environment: Mapping[str, str] = _NO_ENVIRONMENT,
    markets: KnownMarkets = lambda venue: None,
) -> RunSpec | tuple[Problem, ...]:
    """Read a strategy file. It never raises for any text.

    `file` is its name for problems, and where a strategy in a file beside it is looked for. `overlays` are further
    files, name and text, of which each is laid over the ones before. `overrides` are `key=value` texts, `environment`
    may hold `RUNNER__SECTION__KEY`; the later wins: file, overlays, environment, overrides.
    """
    root: Keys | None = None
    problems: list[Problem] = []
    for name, layer in ((file, text), *overlays):
        keys, found = _keys(layer, name)
        problems += found
        if keys is None:
            return in_order(problems)
        root = keys if root is None else laid_over(root, keys)
    assert root is not None
    root, found = overridden(root, overrides, environment)
    reader = _Reader(root, (file, *(name for name, _ in overlays)), decoded(text, file)[0], markets)
    reader.problems += [*problems, *found]
    return reader.read()


def _keys(text: bytes | str, file: str) -> tuple[Keys | None, list[Problem]]:
    """The tree of one file. None, and why, where it cannot be read or is no group of keys."""
    content, problems = decoded(text, file)
    if problems:
        return None, problems
    source = Source.of(file, content)
    root, problems = tree(content, source)
    if not isinstance(root, Keys):
        return None, problems or [_no_keys(root, source)]
    return root, problems


class _Reader:
    """One file on its way. Every check looks at what it can understand and leaves the rest to the others."""

    def __init__(self, root: Keys, files: Sequence[str], text: str, markets: KnownMarkets) -> None:
        self.problems: list[Problem] = []
        self._root = root
        self._files = files
        self._text = text
        self._markets = markets
        self._demands: tuple[Demand, ...] | None = None

    def read(self) -> RunSpec | tuple[Problem, ...]:
        self.problems += check_structure(parameters.schema(shape.File), self._root, self._root.at)
        currencies = self._check_markets()
        self.problems += check_values(shape.File, self._root, currencies)
        self.problems += contradictions(self._root)
        strategy_type = self._plugin()
        if strategy_type is not None:
            self._check_params(strategy_type, currencies)
        if self.problems or strategy_type is None:
            return in_order(self.problems)
        strategy = self._built(strategy_type)
        if strategy is None:
            return in_order(self.problems)
        spec = self._spec(strategy)
        return in_order(broken(spec)) or spec

    # Markets ---------------------------------------------------------------------------------------------

    def _check_markets(self) -> Currencies:
        """Problems of the list of markets; the currencies are empty if there are any."""
        listed = self._node("markets")
        known = self._known_markets()
        before = len(self.problems)
        symbols: list[str] = []
        for number, item in enumerate(listed.items if isinstance(listed, Items) else ()):
            if isinstance(item, Scalar) and isinstance(item.value, str) and re.fullmatch(shape.SYMBOL, item.text):
                self.problems += _market_problems(item, number, symbols, known)
                symbols.append(item.text)
            else:
                return Currencies()
        return Currencies.of(symbols) if len(self.problems) == before else Currencies()

    def _known_markets(self) -> Mapping[str, Market] | None:
        venue = self._node("connector", "venue")
        if isinstance(venue, Keys):
            return None  # its addresses are checked elsewhere
        name = venue.value if isinstance(venue, Scalar) else "altmarkets"
        return self._markets(Sandbox() if name == "sandbox" else Altmarkets()) if name in _VENUES else None

    # The strategy ----------------------------------------------------------------------------------------

    def _plugin(self) -> type[Strategy] | None:
        use = self._node("strategy", "use")
        if not isinstance(use, Scalar) or not isinstance(use.value, str) or not use.text.isprintable():
            return None  # told by others
        try:
            # A path is relative to the file that names it; one from elsewhere to the first file.
            named_in = use.at.source.file if use.at.source.file in self._files else self._files[0]
            return load(use.text, FilePath(named_in).parent)
        except BadPlugin as bad:
            self.problems.append(problem(use.at, ("strategy", "use"), bad.code, bad.what, bad.fix))
            return None

    def _check_params(self, strategy_type: type[Strategy], currencies: Currencies) -> None:
        section = self._node("strategy")
        assert isinstance(section, Keys)
        at, params = section.entries.get("params", (section.entries["use"][0], Keys(section.at, {})))
        if not isinstance(params, Keys):
            return  # told by the file's own schema
        path = ("strategy", "params")
        self.problems += check_structure(parameters.schema(strategy_type), params, at, path)
        self.problems += check_values(strategy_type, params, currencies, path)

    def _built(self, strategy_type: type[Strategy]) -> Strategy | None:
        at = self._params_place()
        try:
            strategy = parameters.build(strategy_type, self._params())
            check_slots(strategy)
            traits(strategy)
            self._demands = demands(strategy, self._symbols())
        except BadPlugin as bad:
            self.problems.append(problem(at, ("strategy", "params"), bad.code, bad.what, bad.fix))
        except Exception as error:  # noqa: BLE001  # `__post_init__` of a plugin may raise anything
            what = f"{strategy_type.__name__} refuses these parameters: {_told(strategy_type, error)}"
            fix = f"see runner strategies {self._string('strategy', 'use')}"
            self.problems.append(problem(at, ("strategy", "params"), "strategy.params", what, fix))
        else:
            return strategy
        return None

    def _symbols(self) -> tuple[str, ...]:
        listed = self._node("markets")
        return (
            tuple(item.text for item in listed.items if isinstance(item, Scalar)) if isinstance(listed, Items) else ()
        )

    def _params(self) -> dict[str, Any]:
        params = self._node("strategy", "params")
        return {} if params is None else dict(as_text(params))

    def _params_place(self) -> Place:
        section = self._node("strategy")
        assert isinstance(section, Keys)
        return section.entries["params" if "params" in section.entries else "use"][0]

    # The result ------------------------------------------------------------------------------------------

    def _spec(self, strategy: Strategy) -> RunSpec:
        file = parameters.build(shape.File, as_text(self._root))
        spec = RunSpec(
            settings=_settings(file, self._params()),
            connector=_connector(file.connector),
            strategy_type=type(strategy),
            strategy=strategy,
            demands=self._demands,
            run_for=None if file.run.for_ is None else int(file.run.for_),
            recording=_recording(file.recording),
            file=self._files[0],
            text=self._text,
            root=self._root,
        )
        return structs.replace(spec, warnings=warnings(spec, self._markets(spec.connector.venue) or {}))

    # Nodes -----------------------------------------------------------------------------------------------

    def _node(self, *path: str) -> Node | None:
        return node(self._root, *path)

    def _string(self, *path: str) -> str:
        node = self._node(*path)
        return node.text if isinstance(node, Scalar) else ""


_VENUES = ("altmarkets", "sandbox")


def _no_keys(root: Node | None, source: Source) -> Problem:
    fix = "begin with `version: 1`; `runner schema` describes every key"
    if root is None:
        return problem(source.place(0, 0), (), "yaml.empty", "the file is empty", fix)
    return problem(root.at, (), "value.type", "a strategy file is a group of `key: value` lines", fix)


def _market_problems(
    item: Scalar, number: int, before: Sequence[str], known: Mapping[str, Market] | None
) -> Iterator[Problem]:
    path = ("markets", number)
    if item.text in before:
        yield problem(item.at, path, "market.duplicate", f"{item.text} is here twice", "remove one of them")
    elif known is not None and item.text not in known:
        near = nearest(item.text, known)
        fix = f"write {near}" if near else f"write one of {', '.join(known)}"
        yield problem(item.at, path, "market.unknown", f"the venue has no market {shown(item.text)}", fix)


def _told(strategy_type: type[Strategy], error: Exception) -> str:
    """Words of a `__post_init__`: its own ValueError is a sentence for the user, anything else a mistake in it."""
    return str(error) if isinstance(error, msgspec.ValidationError) else raised_by(strategy_type, error)


def _settings(file: shape.File, params: Mapping[str, Any]) -> Settings:
    tick, risk = file.tick, file.risk
    return Settings(
        name=file.name,
        tag="",
        markets=file.markets,
        strategy=file.strategy.use,
        params=dict(params),
        tick=TickPolicy(int(tick.every), tick.when, int(tick.at_most_every)),
        limits=_limits(risk),
        on_stop=file.run.on_stop,
        initial_position=_exact(file.run.initial_position),
        settle=int(file.connector.settle),
        exclusive=file.connector.exclusive,
    )


def _limits(risk: shape.RiskSection) -> Limits:
    """The section with every quantity as the engine counts it: exact amounts, fractions, nanoseconds."""
    values = {name: _plain(getattr(risk, name)) for name in Limits.__struct_fields__}
    hours, minutes = risk.day_start.split(":")
    values["day_start"] = (int(hours) * 60 + int(minutes)) * 60 * SECOND
    return Limits(**values)


def _plain(value: Any) -> Any:
    """A quantity of the file without its spelling."""
    match value:
        case Duration():
            return int(value)
        case Ratio() | Amount():
            return value.exact
        case units.Rate():
            return Rate(value.times, int(value.per))
        case dict():
            return {currency: amount.exact for currency, amount in value.items()}
    return value


def _exact(amounts: Mapping[str, Amount]) -> dict[str, Any]:
    return {currency: amount.exact for currency, amount in amounts.items()}


def _recording(section: shape.RecordingSection) -> Recording:
    return Recording(section.enabled, section.max_run_mb, section.max_total_mb)


def _connector(section: shape.ConnectorSection) -> Connector:
    match section.venue:
        case shape.Deployment(rest_url=rest_url, stream_url=stream_url):
            venue: Venue = Deployment(rest_url.rstrip("/"), stream_url.rstrip("/"))
        case "sandbox":
            venue = Sandbox()
        case _:
            venue = Altmarkets()
    limit = RateLimit(section.rate_limit.requests, int(section.rate_limit.per))
    paper = None if section.type == "altmarkets" else _paper(section.paper or shape.PaperSection())
    return Connector(venue, section.credentials, section.account, section.seed, limit, paper)


def _paper(section: shape.PaperSection) -> PaperModels:
    name, _, n = section.queue.partition(" ")
    latency = section.latency
    return PaperModels(
        balances=_exact(section.balances),
        maker_fee=_plain(section.maker_fee),
        taker_fee=_plain(section.taker_fee),
        order=_latency(latency.order),
        cancel=_latency(latency.cancel),
        data=_latency(latency.data),
        processing=int(latency.processing),
        queue=convert({"name": name, "n": int(n or 1)}, QueueModel),
        seed=section.seed,
        recorded=latency.recorded or "",
    )


def _latency(delay: Delay) -> Latency:
    return Latency(int(delay.least), int(delay.more), delay.shape)
