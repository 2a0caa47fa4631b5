"""One case: parameters and a tape of scenes, played on a simulated exchange, and everything that was wrong with it."""

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Struct, structs

from runner.config.plugins import BadPlugin, check_slots
from runner.config.problems import Problem
from runner.config.read import read
from runner.config.spec import RunSpec
from runner.config.tree import Keys, builtin
from runner.edge.budget import Bucket
from runner.engine.parameters import build
from runner.engine.strategy import Strategy
from runner.model.command import Note, Output
from runner.model.settings import SECOND
from runner.run.chaos.ending import conclude
from runner.run.chaos.plan import plan_for
from runner.run.chaos.play import Plan
from runner.run.chaos.world import START, World
from runner.run.fuzz.witness import Failure, Witness, watched
from runner.run.markets import known_markets
from runner.simulation.scenes import OF_THE_LINE, Scene, crossed_snapshot, length, scripted

STOP_S = 900.0  # far beyond any deadline of a stop
OPENING, CLOSING = 10 * SECOND, 10 * SECOND
TICKS_MIN = 5  # that fit into the opening, of a file that ticks slowly
OPENING_MAX = 600 * SECOND

HONEST, HONEST_AFTER_A_CRASH = {0, 3, 6}, {0, 3, 6, 7}
"""Exit codes of a run that ended well: clean, by a latch of its limits, or refused at the first book because the limits
have no room for what the strategy wants. On a good line nothing stays unproven."""


class Tape(Struct, frozen=True):
    """What the market does: scenes, one after the other, and the seed of everything small."""

    seed: int = 0
    scenes: tuple[Scene, ...] = ()


class Case(Struct, frozen=True):
    """`params` are the strategy's, as the file's reader takes them."""

    params: Mapping[str, Any]
    tape: Tape


class Refused(Exception):
    """The strategy will not have these parameters, and says so: nothing to play, nothing wrong."""


class Outcome(Struct):
    """`refusals`: by code, what the gate would not let out. `slowest`: seconds of the machine's time, of one tick."""

    failure: Failure | None = None
    ticks: int = 0
    orders: int = 0
    fills: int = 0
    simulated: int = 0  # ns
    refusals: Counter[str] = msgspec.field(default_factory=Counter)
    slowest: float = 0.0


def play(spec: RunSpec, case: Case) -> Outcome:
    """The same case is the same run. Raises Refused."""
    strategy_type = spec.strategy_type
    params = {name: format(value, "f") if isinstance(value, Decimal) else value for name, value in case.params.items()}
    try:
        check_slots(build(strategy_type, params))
    except BadPlugin as bad:
        return Outcome(Failure("slots", bad.what))
    except msgspec.ValidationError as refused:  # its own ValueError is a sentence for the user
        raise Refused(str(refused)) from refused
    except Exception as problem:  # noqa: BLE001 - anything else is a mistake in it
        return Outcome(Failure("params", f"{type(problem).__name__}: {problem}"))
    plan = plan_for(spec, 0)
    return _Play(structs.replace(plan, settings=structs.replace(plan.settings, params=params)), case.tape).to_the_end()


def play_text(text: str | bytes, file: str, tape: Tape) -> Outcome | tuple[Problem, ...]:
    """Play a file as it stands, or say why that cannot be done. Raises Refused."""
    spec = read(text, file=file, markets=known_markets)
    if isinstance(spec, RunSpec):
        return play(spec, Case(file_params(spec), tape))
    # What `check` says of a strategy that breaks on its parameters is what was found here.
    broken = {"strategy.slots": "slots", "strategy.params": "params"}
    if all(problem.code in broken for problem in spec):
        return Outcome(Failure(broken[spec[0].code], spec[0].message))
    return spec


def file_params(spec: RunSpec) -> dict[str, Any]:
    """The strategy's parameters as they stand in the file, as its reader takes them."""
    section = spec.root.entries["strategy"][1]
    assert isinstance(section, Keys)
    return dict(builtin(section.entries["params"][1])) if "params" in section.entries else {}


class _Play:
    def __init__(self, plan: Plan, tape: Tape) -> None:
        self._plan = plan
        self._tape = tape
        self._opening = min(OPENING_MAX, max(OPENING, TICKS_MIN * plan.settings.tick.every))
        seed = f"fuzz {tape.seed}"
        grown = scripted(seed, START, plan.listings, tape.scenes, self._opening)
        codes = {code for listing in plan.listings for code in (listing.market.base, listing.market.quote)}
        member, accounts = grown.trader.id, grown.exchange.accounts
        self._before = {code: accounts.account(member, code).available for code in sorted(codes)}
        self._witness = Witness(plan.strategy, lambda: self._world.now - START)
        strategy: type[Strategy] = watched(plan.strategy, self._witness)
        bucket = Bucket(plan.requests, plan.per)
        self._world = World(seed, plan.settings, strategy, grown=grown, bucket=bucket)

    def to_the_end(self) -> Outcome:
        world, laws = self._world, self._world.laws
        try:
            self._live_through()
            self._stop()
            self._witness.watching = False
            conclude(world, self._before)
        except Exception as problem:  # noqa: BLE001 - whatever fails in there is a finding
            frame = traceback.extract_tb(problem.__traceback__)[-1]
            where = f"{type(problem).__name__}: {problem} at {frame.filename.rpartition('/')[2]}:{frame.lineno}"
            laws.failed("ends", world.now, "nothing fails inside", where)
        self._witness.see_whether_it_grows(self._plan.settings.tick.every)
        outputs = [output for life in world.lives for output in life.outputs]
        return Outcome(
            failure=self._failure(outputs),
            ticks=self._witness.ticks,
            orders=laws.orders,
            fills=laws.fills,
            simulated=self._opening + length(self._tape.scenes) + CLOSING,
            refusals=Counter(str(note.facts["code"]) for note in _notes(outputs, "order.refused")),
            slowest=self._witness.slowest,
        )

    # What happens -----------------------------------------------------------------------------------------

    def _live_through(self) -> None:
        at = START + self._opening
        for scene in self._tape.scenes:
            self._until(at)
            if scene.kind in OF_THE_LINE:
                _BEFALLS[scene.kind](self, scene)
            at += scene.seconds * SECOND
        self._until(at + CLOSING)

    def _until(self, time: int) -> None:
        if self._world.finish is None:
            self._world.run_for((time - self._world.now) / SECOND)

    def _gap(self, _scene: Scene) -> None:
        self._world.switch("sequence_gap")

    def _crossed(self, scene: Scene) -> None:
        for listing in self._plan.listings:
            if scene.market in ("", listing.market.symbol):
                body = crossed_snapshot(listing)
                self._world.overhear("public", msgspec.json.encode({f"{listing.market.id}.ob-snap": body}).decode())

    def _stale(self, scene: Scene) -> None:
        world = self._world
        world.pause("public")
        world.venue.at(world.now + scene.seconds * SECOND, lambda: world.resume("public"))

    def _cut(self, _scene: Scene) -> None:
        self._world.drop("public")

    def _private_cut(self, _scene: Scene) -> None:
        self._world.drop("private")

    def _crash(self, _scene: Scene) -> None:
        if self._world.up and self._world.finish is None:
            self._world.crash(1.0)

    def _stop(self) -> None:
        world = self._world
        end = world.now + int(STOP_S * SECOND)
        while world.finish is None and world.now < end:
            if world.up and world.engine.stop is None:
                world.stop()
            world.run_for(1.0)
        if world.finish is None:
            raise AssertionError(f"the stop did not end within {STOP_S:.0f} s")

    # What was wrong ---------------------------------------------------------------------------------------

    def _failure(self, outputs: list[Output]) -> Failure | None:
        """The nearest to the cause: what the strategy did, then what became of it."""
        world = self._world
        if self._witness.failure is not None:
            return self._witness.failure
        for note in _notes(outputs, "strategy.failed"):
            return Failure("bad_quote", str(note.facts["problem"]), world.now - START)
        for violation in world.laws.violations:
            what = f"expected {violation.expected}, found {violation.found}"
            return Failure(f"law {violation.law}", what, violation.time - START)
        crashed = any(scene.kind == "crash" for scene in self._tape.scenes)
        honest = HONEST_AFTER_A_CRASH if crashed else HONEST
        if world.finish is not None and world.finish.exit_code not in honest:
            what = f"exit code {world.finish.exit_code}: {world.finish.reason}"
            return Failure("stop", what, world.now - START)
        return None


def _notes(outputs: list[Output], what: str) -> Iterator[Note]:
    return (note for output in outputs for note in output.notes if note.what == what)


_BEFALLS: Mapping[str, Callable[[_Play, Scene], None]] = {
    "gap": _Play._gap,
    "crossed": _Play._crossed,
    "stale": _Play._stale,
    "cut": _Play._cut,
    "private_cut": _Play._private_cut,
    "crash": _Play._crash,
}
