"""One seed: a strategy on an exchange, the weather of that seed, an end, and a verdict."""

import traceback
from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from runner.edge.budget import Bucket
from runner.engine.latches import lifting
from runner.engine.strategy import Strategy
from runner.model.event import StopRequested
from runner.model.settings import SECOND, Settings
from runner.run.chaos.ending import conclude, digest
from runner.run.chaos.variants import varied
from runner.run.chaos.world import START, Faults, World
from runner.simulation.crowd import Temper
from runner.simulation.dice import Dice, seed_state
from runner.simulation.journal import Memory
from runner.simulation.laws import Telling
from runner.simulation.markets import Listing
from runner.simulation.moments import CannotHappen
from runner.simulation.sandbox import sandbox
from runner.simulation.tally import Found, Tally
from runner.simulation.weather import Happening, forecast

AFTER_S = 90.0  # good weather before the end
STOP_S = 900.0  # far beyond any deadline of a stop
STORY_SHOWN = 14

TEMPER = Temper(rate=1.5, orders=25, takers=0.2)
"""Fewer people than in the sandbox, who trade more often: the hours are for the life of orders."""

_HONEST = {0, 3, 6, 7, 8}
"""How a run may end here: clean, because what it wants would be worth too much, by a latch, with something unproven, or
because of another instance."""


class Plan(Struct, frozen=True):
    """What is played: a strategy, where, and for how long (ns)."""

    settings: Settings
    strategy: type[Strategy]
    listings: tuple[Listing, ...]
    length: int
    without: tuple[str, ...] = ()  # kinds of weather that are left out
    requests: int = 30  # that may be sent in any stretch of `per`, as the file's rate limit says
    per: int = 12 * SECOND


class Played(Struct):
    """One seed's run. `story` is what happened to the run as a whole."""

    tally: Tally
    story: list[Telling]


def play(seed: int, plan: Plan) -> Played:
    """The same seed and plan are the same run."""
    return _Play(seed, plan).to_the_end()


class _Play:
    def __init__(self, seed: int, plan: Plan) -> None:
        self._seed = seed
        self._plan = plan
        first = next(listing for listing in plan.listings if listing.market.symbol == plan.settings.markets[0])
        weather = forecast(str(seed), plan.length, first, plan.without)
        line = Faults(**structs.asdict(weather.line))
        grown = sandbox(f"chaos {seed}", START, listings=plan.listings, temper=TEMPER)
        currencies = {code for listing in plan.listings for code in (listing.market.base, listing.market.quote)}
        member, accounts = grown.trader.id, grown.exchange.accounts
        self._before = {code: accounts.account(member, code).available for code in sorted(currencies)}
        self._story: list[Telling] = []
        self._faults: Counter[str] = Counter()
        self._copy: Memory | None = None
        self._second: World | None = None
        bucket = Bucket(plan.requests, plan.per)
        self.world = World(f"chaos {seed}", plan.settings, plan.strategy, line, grown=grown, bucket=bucket)
        self._copy_of_nothing = self.world.journal.copy()
        self._happenings = weather.happenings

    def to_the_end(self) -> Played:
        world, laws = self.world, self.world.laws
        try:
            self._live_through()
            if Dice(seed_state(self._seed, "end")).below(2):  # every other stop comes in the middle of it all
                self._calm()
            self._stop()
            conclude(world, self._before)
        except Exception as problem:  # noqa: BLE001 - whatever fails in there is a finding, and has a seed
            frame = traceback.extract_tb(problem.__traceback__)[-1]
            where = f"{type(problem).__name__}: {problem} at {frame.filename.rpartition('/')[2]}:{frame.lineno}"
            laws.failed("ends", world.now, "nothing fails inside", where)
        return Played(self._tally(), self._story)

    # The weather ------------------------------------------------------------------------------------------

    def _live_through(self) -> None:
        for happening in self._happenings:
            self._until(START + happening.at)
            self._befall(happening)
        self._until(START + self._plan.length)

    def _until(self, time: int) -> None:
        """Time passes; whoever ends before is started again, as a service manager would."""
        world = self.world
        while world.now < time:
            world.run_for((time - world.now) / SECOND)
            if world.finish is not None:
                self._note_end()
                restored = world.journal.restore(world.clock)  # somebody has looked, and said `runner resume`
                world.journal.commit(lifting(restored, [latch.name for latch in restored.latches]))
                world.start_again(10 + 50 * world.dice.uniform())
                world.venue.run_until(min(time, world.now + 70 * SECOND), lambda: world.up)
                world.finish = None

    def _note_end(self) -> None:
        finish = self.world.finish
        assert finish is not None
        self._tell(f"run ended with {finish.exit_code}: {finish.reason}")
        if finish.exit_code not in _HONEST:
            self.world.laws.failed("ends", self.world.now, f"a code of {sorted(_HONEST)}", f"{finish}")

    def _befall(self, happening: Happening) -> None:
        if happening.act == "switch":
            try:
                self.world.switch(happening.value)
            except CannotHappen:
                return
            if happening.value.startswith("clock_jump"):
                self.world.laws.clock_jumped()
        else:
            _ACTS[happening.act](self, happening.value)
        name = happening.value.partition(",")[0].partition("=")[0] if happening.act == "switch" else happening.act
        self._faults[name] += 1
        self._tell(str(happening))

    def _crash(self, value: str) -> None:
        if self.world.up and self.world.finish is None:
            self.world.crash(float(value))

    def _doom(self, value: str) -> None:
        self.world.doom = value  # type: ignore[assignment]

    def _keep_copy(self, _value: str) -> None:
        self._copy = self.world.journal.copy()

    def _rollback(self, _value: str) -> None:
        older = self._copy or self._copy_of_nothing
        self._replace_journal(lambda: older.copy(), 30)

    def _gone(self, _value: str) -> None:
        # After a minute: its epoch names the minute in which a journal began.
        self._replace_journal(lambda: Memory.begun(self.world.clock), 70)

    def _replace_journal(self, new: Callable[[], Memory], away: float) -> None:
        world = self.world

        def replace() -> None:
            world.journal = new()
            world.laws.lost_memory(world.journal.orders)

        if world.up and world.finish is None:
            world.replaced = replace
            world.crash(away)

    def _disk_full(self, value: str) -> None:
        self.world.disk_full_until = self.world.now + int(value) * SECOND

    def _second_host(self, value: str) -> None:
        first = self.world
        if self._second is None or self._second.finish is not None:
            first.laws.rivals_begin(first.now)
            second = World(
                f"second {self._seed} {first.now}",
                first.settings,
                first.strategy,
                first.faults,
                venue=first.venue,
                journal=first.journal.copy() if value == "past" else Memory.begun(first.clock),
            )
            self._second = second

    def _skew(self, value: str) -> None:
        world = self.world

        def jump() -> None:
            world.skew = int(float(value) * SECOND)

        if world.up and world.finish is None:
            world.replaced = jump
            world.crash(5)

    def _restart(self, _value: str) -> None:
        self.world.deliver(StopRequested("signal"))

    def _reload(self, value: str) -> None:
        self.world.reload(*varied(self._plan.settings, self._plan.strategy, value))

    # The end ----------------------------------------------------------------------------------------------

    def _calm(self) -> None:
        world, faults = self.world, self.world.server.exchange.faults
        faults.switch_off()
        world.doom = None
        if self._faults["engine_misses"]:
            world.switch("engine_restart")  # or what it never heard of stays for ever
        world.venue.exchange.clock_offset = min(3 * SECOND, max(-3 * SECOND, world.venue.exchange.clock_offset))
        if self._second is not None and self._second.finish is None:
            self._second.stop()
        self._until(world.now + int(AFTER_S * SECOND))
        if world.up and world.finish is None:
            world.laws.calmed(world.now)

    def _stop(self) -> None:
        world = self.world
        while world.finish is None:  # whoever dies in the middle of its stop is asked again when it is back
            while not world.up:
                self._until(world.now + 60 * SECOND)
            if self._second is not None and self._second.finish is None:
                self._second.stop()
            world.stop()
            world.venue.run_until(world.now + int(STOP_S * SECOND), lambda: world.finish is not None or not world.up)
            if world.finish is None and world.up:
                raise AssertionError(f"the stop did not end within {STOP_S:.0f} s")
        self._note_end()

    def _tally(self) -> Tally:
        world, laws = self.world, self.world.laws
        found = [
            Found(self._seed, violation, tuple(laws.stories.get(violation.order or "", ()))[-STORY_SHOWN:])
            for violation in laws.violations
        ]
        return Tally(
            seeds=1,
            simulated=self._plan.length,
            orders=laws.orders,
            fills=laws.fills,
            extras=laws.extras,
            crashes=world.crashes,
            starts=len(world.lives),
            faults=self._faults,
            doubts=Counter(laws.doubted.values()),
            exits=Counter(finish.exit_code for finish in world.finishes),
            found=found,
            digests={self._seed: digest(world.lives)},
        )

    def _tell(self, text: str) -> None:
        self._story.append(Telling(self.world.now, text))


_ACTS: dict[str, Callable[[_Play, str], None]] = {
    "crash": _Play._crash,
    "doom": _Play._doom,
    "copy": _Play._keep_copy,
    "rollback": _Play._rollback,
    "gone": _Play._gone,
    "disk_full": _Play._disk_full,
    "second_host": _Play._second_host,
    "skew": _Play._skew,
    "restart": _Play._restart,
    "reload": _Play._reload,
}


def chaos(seeds: Sequence[int], plan: Plan, told: Callable[[int, int], None]) -> Tally:
    """Many seeds, one after the other; `told` hears how many of how many are done."""
    tally = Tally()
    for done, seed in enumerate(seeds, 1):
        tally.add(play(seed, plan).tally)
        told(done, len(seeds))
    return tally
