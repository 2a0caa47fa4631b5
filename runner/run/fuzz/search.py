"""The search: Hypothesis draws cases, and makes the first that fails small; then the file itself is made small.

The same spec, seed and number of examples are the same search. The parameters of the file stand for "not varied", so a
failure shrinks towards the file as it is, and towards a market where nothing happens.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from hypothesis import seed as with_seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy
from msgspec import Struct, field

from runner.config.spec import RunSpec
from runner.model import parameters
from runner.run.chaos.plan import plan_for
from runner.run.fuzz.case import Case, Outcome, Refused, Tape, file_params, play
from runner.run.fuzz.values import Usual, values
from runner.run.fuzz.witness import Failure
from runner.simulation.scenes import SCENES, Scene

SCENES_MAX = 6
SECONDS_MAX = 40
SPIKES = (5, 50, 300, 2_000, 100_000)  # per cent
UNCHANGED = "unchanged"


class Found(Struct, frozen=True):
    """A failure, and the smallest case that still has it."""

    case: Case
    failure: Failure
    example: int  # the first that failed


class Searched(Struct):
    """What was tried. `interrupted`: somebody had seen enough."""

    examples: int = 0
    refused: int = 0
    shrinks: int = 0  # cases tried to make a failure small
    ticks: int = 0
    orders: int = 0
    fills: int = 0
    simulated: int = 0  # ns
    scenes: Counter[str] = field(default_factory=Counter)
    varied: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0  # s
    found: Found | None = None
    interrupted: bool = False

    def add(self, case: Case, outcome: Outcome, file_params: dict[str, Any]) -> None:
        self.ticks += outcome.ticks
        self.orders += outcome.orders
        self.fills += outcome.fills
        self.simulated += outcome.simulated
        self.slowest = max(self.slowest, outcome.slowest)
        self.refusals.update(outcome.refusals)
        self.scenes.update(scene.kind for scene in case.tape.scenes)
        self.varied.update(changed(case, file_params))


class _Fails(Exception):
    """A case failed. Hypothesis keeps failures apart by their type: each code has one of its own."""


def changed(case: Case, of_file: dict[str, Any]) -> list[str]:
    """Names of the parameters that are not what the file says."""
    return [name for name in {**of_file, **case.params} if case.params.get(name) != of_file.get(name)]


def search(spec: RunSpec, examples: int, seed: int, told: Callable[[Searched], None]) -> Searched:
    """Try so many cases. `told` hears how far it is after each. An interruption ends it with what there is."""
    of_file, done = file_params(spec), Searched()
    kinds: dict[str, type[_Fails]] = {}
    last: dict[str, tuple[Case, Failure]] = {}

    def one(case: Case) -> None:
        shrinking = bool(last)
        try:
            outcome = play(spec, case)
        except Refused:
            done.refused += not shrinking
            return
        if shrinking:
            done.shrinks += 1
        else:
            done.examples += 1
            done.add(case, outcome, of_file)
        told(done)
        if outcome.failure is not None:
            code = outcome.failure.code
            last[code] = case, outcome.failure
            raise kinds.setdefault(code, type(code, (_Fails,), {}))(code)

    run = with_seed(seed)(_configured(examples)(given(cases(spec))(one)))
    try:
        run()
    except _Fails as failed:
        case, failure = last[str(failed)]
        done.found = Found(case, failure, done.examples)
    except (Flaky, KeyboardInterrupt) as ended:
        # A failure that does not come every time is one all the same: that of a tick that is not pure.
        done.interrupted = isinstance(ended, KeyboardInterrupt)
        if last:
            done.found = Found(*list(last.values())[-1], done.examples)
    return done


def _configured(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,  # a failure is kept in a folder that people can read
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )


def cases(spec: RunSpec) -> SearchStrategy[Case]:
    """Parameters within their bounds, and up to some scenes."""
    return st.builds(Case, _params(spec), tapes(spec.settings.markets))


def _params(spec: RunSpec) -> SearchStrategy[dict[str, Any]]:
    of_file = file_params(spec)
    usual = Usual.of([(each.market.symbol, each.price, each.quantity) for each in plan_for(spec, 0).listings])
    drawn = {}
    for row in parameters.parameters(spec.strategy_type):
        as_in_file = st.just(of_file.get(row.name, UNCHANGED))
        drawn[row.name] = st.one_of(as_in_file, values(row, usual))
    return st.fixed_dictionaries(drawn).map(_without_defaults)


def _without_defaults(params: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not UNCHANGED}


def tapes(symbols: Sequence[str]) -> SearchStrategy[Tape]:
    """Up to some scenes, in all markets or in one of several."""
    market = st.sampled_from(("", *symbols)) if len(symbols) > 1 else st.just("")
    scene = st.builds(
        lambda kind, seconds, percent, market: Scene(
            kind=kind, seconds=seconds, percent=percent if kind.startswith("spike") else 0, market=market
        ),
        st.sampled_from(list(SCENES)),
        st.integers(1, SECONDS_MAX),
        st.sampled_from(SPIKES),
        market,
    )
    return st.builds(Tape, st.integers(0, 2**16), st.lists(scene, max_size=SCENES_MAX).map(tuple))
