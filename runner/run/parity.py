"""What a backtest says of a run that really happened: the same strategy again, on the public tape of that run.

What was asked for and filled then is in the run's record. None of it is on the tape, so all that is filled again was
filled by a queue model. What a live run asks for besides its orders, at its start and after trades through its prices,
a backtest has no need to ask for: where a run came to the end of its request budget, orders that had to wait are
wanted sooner by the backtest.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from runner.edge.budget import Bucket
from runner.edge.places import Environment
from runner.engine.strategy import Strategy
from runner.model.command import FillBooked, Output, Place
from runner.model.event import BalancesRead, Configured, Event, Restored, StopRequested
from runner.model.exits import Exit
from runner.model.ids import parse_client_id
from runner.model.money import MONEY
from runner.model.order import Fill
from runner.model.paper import Latency, PaperModels
from runner.model.settings import SECOND, QueueModel, Settings
from runner.report.backtest import Played, marks
from runner.report.parity import Pair, Parity, Placing, Rerun, divergence, traded
from runner.report.parity import facts as facts
from runner.report.parity import text as text
from runner.run.ends import CannotRun
from runner.run.on_tapes import played, venue_of
from runner.run.replay import open_record, strategy_of
from runner.run.tape_loop import TapeLoop
from runner.simulation.heard import tapes
from runner.simulation.kernel import Kernel
from runner.simulation.record import steps
from runner.simulation.recording import NEVER, Recording
from runner.simulation.round_trips import round_trips
from runner.simulation.taped_market import TapedMarket

QUEUES = (
    QueueModel("risk_averse"),
    QueueModel("proportional"),
    QueueModel("power", 2),
)
"""The models that are compared."""


APART = SECOND
"""ns by which an order of the backtest may be earlier or later than the real one and still be the same."""


Step = tuple[Event, Output]
"""What an engine was told, and what it said to that."""


def parity_of(name: str, environment: Environment, strategy: type[Strategy] | None = None) -> Parity:
    """Judge the recorded run of that name, with the strategy of its record or another. Raises CannotRun."""
    record = open_record(name, environment)
    if record.snapshot is not None:
        what = f"the record of {record.header.run} has lost its oldest files, and how the run began with them"
        raise CannotRun(Exit.USAGE, f"{what}: record with a larger recording.max_run_mb")
    told = list(steps(record))
    recordings = tapes(event for event, _ in told)
    return parity(record.header.run, told, strategy or strategy_of(record.header), list(recordings.values()))


def parity(name: str, told: Sequence[Step], strategy: type[Strategy], recordings: Sequence[Recording]) -> Parity:
    """Judge a run by backtests on the public tapes of its markets. Raises CannotRun."""
    real = _lived(told)
    if not real.kept.placings:
        raise CannotRun(Exit.USAGE, f"run {name} placed no order: there is nothing to compare")
    used = [each for each in recordings if each.market.symbol in real.settings.markets]
    lacking = sorted(set(real.settings.markets) - {each.market.symbol for each in used})
    if lacking:
        raise CannotRun(Exit.USAGE, f"run {name} heard nothing of the book of {', '.join(lacking)}")
    models = PaperModels(order=Latency(real.order_latency), cancel=Latency(real.cancel_latency), data=Latency())
    start = _aligned(real, used, strategy, models)
    reruns = []
    for queue in QUEUES:
        kept = rerun(used, real.settings, strategy, replace(models, queue=queue), real.balances, start, real.end)
        pairs = {
            tape.market.symbol: Pair(*(traded(played_of(tape, each, start, real.end)) for each in (real.kept, kept)))
            for tape in used
        }
        reruns.append(Rerun(str(queue), pairs, divergence(real.kept.placings, kept.placings, APART)))
    return Parity(
        run=name,
        start=start,
        end=real.end,
        order_latency=real.order_latency,
        cancel_latency=real.cancel_latency,
        placings=len(real.kept.placings),
        before=real.before,
        tainted=sum(len(tape.tainted) for tape in used),
        gaps=sum(len(tape.gaps) for tape in used),
        reruns=reruns,
    )


class Kept:
    """What a run asked for and what it traded, as its engine's outputs tell it."""

    def __init__(self) -> None:
        self.placings: list[Placing] = []
        self._fills: dict[tuple[int, int], Fill] = {}

    def __call__(self, event: Event, output: Output) -> None:
        for command in output.commands:
            if isinstance(command, Place):
                self.placings.append(_placing(event.time, command))
        for change in output.changes:
            if isinstance(change, FillBooked):
                self._fills[change.fill.key] = change.fill

    def fills(self, symbol: str, until: int) -> list[Fill]:
        """Those of a market that were learnt up to a time (ns), in this order."""
        return [fill for fill in self._fills.values() if fill.market == symbol and fill.time <= until]


def rerun(
    recordings: Sequence[Recording],
    settings: Settings,
    strategy: type[Strategy],
    models: PaperModels,
    balances: Mapping[str, Decimal],
    start: int,
    until: int,
) -> Kept:
    """Backtest a strategy from `start` on, and end it in order at `until`, ns.

    `models` without latency of data: in a backtest it is folded into that of requests.
    """
    markets = [TapedMarket(recording, Kernel(models.queue)) for recording in recordings]
    for tape in markets:
        tape.play(start, stop_on_touch=False)
    kept = Kept()
    play(TapeLoop(settings, strategy, markets, venue_of(markets, balances, models), Bucket(), kept), until)
    return kept


def play(loop: TapeLoop, until: int) -> None:
    """From the first event to the end of a run that is stopped at `until`, ns."""
    loop.begin()
    loop.run(until)
    if loop.finish is None:
        loop.stop("time")
        loop.run(NEVER)


def played_of(recording: Recording, kept: Kept, start: int, until: int) -> Played:
    """What was traded on one market, with the tape's mid prices: every second, and where a fill is looked at."""
    fills = kept.fills(recording.market.symbol, until)
    return played(
        recording,
        start,
        until,
        fills=fills,
        ordered_lots=sum(each.lots for each in kept.placings if each.market == recording.market.symbol),
        marks=[time for time in marks(fills, start, until, SECOND) if time <= until],
    )


def _placing(time: int, command: Place) -> Placing:
    named = parse_client_id(command.client_id)
    slot = command.client_id if named is None else named.slot
    return Placing(time, slot, command.market, command.side, command.ticks, command.lots)


# The real run -------------------------------------------------------------------------------------------------


class _Real(Struct, frozen=True):
    """What happened, from what the engine was told. `end` is when it was asked to stop, or heard the last."""

    settings: Settings
    kept: Kept
    balances: dict[str, Decimal]
    end: int
    order_latency: int
    cancel_latency: int
    before: int


def _lived(told: Sequence[Step]) -> _Real:
    """Raises CannotRun for a record without its beginning."""
    kept, trips = Kept(), round_trips(told)
    settings: Settings | None = None
    balances: dict[str, Decimal] = {}
    end = before = 0
    stopping = False
    for event, output in told:
        kept(event, output)
        match event.what:
            case BalancesRead(_, rows) if not kept.placings:
                balances |= {row.currency: MONEY.add(row.available, row.locked) for row in rows}
            case Configured():
                settings = event.what.settings
            case Restored():
                before = len(event.what.fills)
            case StopRequested():
                stopping = True
                end = event.time
        if not stopping:
            end = event.time
    if settings is None:
        raise CannotRun(Exit.USAGE, "this is no record of a run from its beginning: nobody was configured in it")
    order, cancel = _one_way(trips.creates or trips.cancels), _one_way(trips.cancels or trips.creates)
    return _Real(settings, kept, balances, end, order, cancel, before)


def _one_way(trips: Sequence[int]) -> int:
    """ns; half of what passed until an answer came, and 0 where none did."""
    return int(median(trips) / 2) if trips else 0


def _aligned(real: _Real, recordings: Sequence[Recording], strategy: type[Strategy], models: PaperModels) -> int:
    """When a backtest has to begin for its first order to be asked for when the first real one was: a strategy with
    a clock of its own would otherwise be asked between the real run's ticks.
    """
    first, start = real.kept.placings[0].time, max(each.start for each in recordings)
    tried = rerun(recordings, real.settings, strategy, models, real.balances, start, first)
    if not tried.placings:
        return start
    return max(start, start + first - tried.placings[0].time)
