"""What everybody needs who trades a strategy on recorded markets: the venue under them, and what was played of them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal

from runner.model.order import Fill
from runner.model.paper import PaperModels
from runner.report.backtest import Played
from runner.simulation.kernel import Kernel
from runner.simulation.paper import PaperVenue
from runner.simulation.recording import Recording
from runner.simulation.taped_market import TapedMarket, twice_mids


def venue_of(tapes: Sequence[TapedMarket], balances: Mapping[str, Decimal], models: PaperModels) -> PaperVenue:
    """The account on these markets, from the moment on that they have been played to; fees are the markets'."""
    return PaperVenue(
        [tape.market for tape in tapes],
        balances,
        models=models,
        seed=str(models.seed),
        now=tapes[0].time,
        kernels={tape.market.symbol: tape.kernel for tape in tapes},
    )


def played(
    recording: Recording,
    start: int,
    end: int,
    *,
    fills: Sequence[Fill],
    ordered_lots: int,
    marks: Iterable[int],
    kernel: Callable[[], Kernel] = Kernel,
) -> Played:
    """One market from `start` to `end` (ns), with the tape's own mid prices at these `marks`, ascending."""
    return Played(
        market=recording.market,
        start=start,
        end=end,
        events=recording.rows_until(end) - recording.rows_until(start),
        gaps=sum(gap.time < end and gap.until > start for gap in recording.gaps),
        tainted=sum(start <= each.time <= end for each in recording.tainted),
        ordered_lots=ordered_lots,
        fills=fills,
        mids=twice_mids(TapedMarket(recording, kernel()), marks),
    )
