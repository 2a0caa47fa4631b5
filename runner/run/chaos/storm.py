"""One seed: a run through its weather, its stop, a day of the venue alone, and the verdict."""

from collections import Counter

from msgspec import Struct

from runner.engine.strategy import Strategy
from runner.model.settings import SECOND, Settings
from runner.run.chaos.laws import Judged, Violation
from runner.run.chaos.weather import Act, Severity, plan
from runner.run.chaos.world import START
from runner.simulation.crowd import Temper
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.moments import CannotHappen
from runner.simulation.sandbox import sandbox

CALM_CROWD = Temper(rate=2.0, orders=30, takers=0.12)
"""An exchange of few traders: the same life of an order in a sixth of the time."""

STOP_WITHIN = 400.0  # s
ALONE = 24 * 3600.0
STORY_MAX = 40
AFTER_CLEAN = 90.0  # longer than W + D
AGAIN_AFTER = 15.0  # a run that ended with 7 is started again, as its message says
ABOVE_D = "act_delay=45s"
"""Held up for longer than `settle` allows for: the one fault under which `Absent` may be wrong."""


class Verdict(Struct, frozen=True):
    """What came of a seed. `hours` are simulated ones, without the day of the venue alone."""

    seed: str
    severity: Severity
    hours: float
    exit_codes: tuple[int, ...]
    faults: dict[str, int]
    orders: int
    fills: int
    crashes: int
    ambiguous: int  # creates whose answer was none, or said nothing for certain
    resolved: dict[str, int]  # how the orders whose create had no clear answer ended
    violations: tuple[Violation, ...]
    story: tuple[str, ...]  # of the order that the first violation is about, or of the weather before it


def storm(seed: str, settings: Settings, strategy: type[Strategy], seconds: float, severity: Severity) -> Verdict:
    """Run one seed to its verdict."""
    return judged(weathered(seed, settings, strategy, seconds, severity), seed, severity)


def weathered(seed: str, settings: Settings, strategy: type[Strategy], seconds: float, severity: Severity) -> Judged:
    """A run through all of its weather, to its end and a day longer."""
    listings = [listing for listing in SANDBOX_LISTINGS if listing.market.symbol in settings.markets]
    grown = sandbox(seed, START, listings=listings, temper=CALM_CROWD)
    world = Judged(seed, settings, strategy, grown=grown)
    until = 0.0
    for act in plan(seed, seconds, severity):
        _run_for(world, act.at - until)
        until = act.at
        _do(world, act)
    _run_for(world, seconds - until)
    world.disk_full, world.crash_at = False, None
    _end(world, severity)
    return world


def judged(world: Judged, seed: str, severity: Severity) -> Verdict:
    world.judge_the_end()
    world.replay()
    orders = world.journal.orders.values()
    resolved = Counter(order.state.value for order in orders if order.client_id in world.unclear)
    return Verdict(
        seed,
        severity,
        round((world.stopped_at - world.began) / SECOND / 3600, 4),
        tuple(world.exit_codes),
        {name: count for name, count in world.tally.items() if name.startswith("fault.")},
        len(orders),
        len(world.journal.fills),
        world.crashes,
        len(world.unclear),
        dict(resolved),
        tuple(world.violations),
        _story(world, seed, severity),
    )


def _story(world: Judged, seed: str, severity: Severity) -> tuple[str, ...]:
    """The shortest explanation there is: the order's own story, or else the faults that came just before."""
    if not world.violations:
        return ()
    first = world.violations[0]
    if first.name:
        return world.story(first.name)[-STORY_MAX:]
    acts = plan(seed, (world.stopped_at - world.began) / SECOND, severity)
    before = [act for act in acts if act.at <= first.time]
    return tuple(f"{act.at:10.3f} s  {act.what}" for act in before[-STORY_MAX:])


def _run_for(world: Judged, seconds: float) -> None:
    """Time passes. A run that ends by itself is started again after a while."""
    end = world.now + int(seconds * SECOND)
    while world.now < end:
        world.run_for((end - world.now) / SECOND)
        if world.finish is not None:
            _again(world)


def _again(world: Judged) -> None:
    """The run has ended; what a clean end says has to be true for as long as a create may take to come."""
    world.note_exit()
    world.leave()
    if world.finish is not None and world.finish.exit_code == 0:
        world.judge_a_clean_end(AFTER_CLEAN)
    else:
        world.let_pass(AGAIN_AFTER)
    world.disk_full = False
    world.start()


def _do(world: Judged, act: Act) -> None:
    kind, _, rest = act.what.partition(":")
    match kind:
        case "crash":
            point, _, back_after = rest.partition(":")
            world.tally[f"fault.crash {point}"] += 1
            world.crash_soon(point, float(back_after))
        case "skew":
            world.skew_next = int(float(rest) * SECOND)
        case "stop":
            world.tally["fault.stop"] += 1
            world.stop()
        case "disk":
            world.tally["fault.disk full"] += 1
            world.disk_full_for(float(rest))
        case _:
            name = act.what.partition("=")[0].partition(",")[0]
            world.weaker = world.weaker or act.what.startswith(ABOVE_D)
            world.proxied = world.proxied or name == "twice"
            try:
                world.switch(act.what)
                world.tally[f"fault.{name}"] += 1
            except CannotHappen:
                world.tally["could not happen"] += 1


def _end(world: Judged, severity: Severity) -> None:
    """Stop, by evidence. What a stop leaves with exit code 7, the next start and stop finish."""
    world.stop()
    world.run_for(STOP_WITHIN)
    world.note_exit()
    if world.finish is None:
        world.broken("a stop has an end", f"none within {STOP_WITHIN:g} s")
    elif severity != "harsh" and world.finish.exit_code != 0:
        world.broken("a stop in good weather is clean", f"exit {world.finish.exit_code}: {world.finish.reason}")
    elif world.finish.exit_code not in {0, 7}:
        world.broken("a stop ends with 0 or 7", f"exit {world.finish.exit_code}: {world.finish.reason}")
    world.stopped_at = world.now
    world.leave()
    world.let_pass(ALONE)
