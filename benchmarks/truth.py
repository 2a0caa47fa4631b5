"""Ground truth for backtests: market making on the sandbox's own matching engine, against backtests on its public tape.

A seed and a kind of crowd are a market of ten minutes in which one maker trades at the touch, wired to the engine in
values. What the public saw of it, the maker's own doing taken out, is a tape; the same strategy is backtested on it
with every queue model. Engine, loop, account and latencies are the same ones in both: only the fills differ in where
they come from, a real queue or a model of it. The model is chosen on the first half of the seeds and judged on the
second.

The market is one in which the queue decides: its ticks are wide (10 bps) and its price is slow, so that some ten
orders wait at each price and a level lives for seconds. With the sandbox's usual ticks of 2 bps nearly every trade
sweeps whole levels, and all models are right.

What this judges is the queue, the loop and the account, not what our presence changes: trades that came for the
maker's quotes are on its tape as demand. So one more backtest is told beside the models, on the tape of the same crowd
without the maker. It is held to nothing: the crowd trades against whoever quotes on the wrong side of its fair price,
and where nobody did, nobody came.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from runner.edge.budget import Bucket
from runner.model.event import PublicTrade
from runner.model.market import Market
from runner.model.order import Side
from runner.model.paper import PaperModels
from runner.model.settings import SECOND, QueueModel, Settings, TickPolicy
from runner.report.parity import BIAS_MAX, MEASURES, MEDIAN_MAX, Pair, Traded, closest, errors, table, traded
from runner.report.tables import aligned
from runner.run.parity import QUEUES, Kept, play, played_of, rerun
from runner.run.tape_loop import TapeLoop
from runner.simulation.client import Client
from runner.simulation.crowd import BPS, CROWDS, Temper
from runner.simulation.exchange import Exchange
from runner.simulation.markets import SANDBOX_LISTINGS
from runner.simulation.recording import NEVER, Recording
from runner.simulation.sandbox import sandbox
from runner.simulation.taped_market import Level
from runner.simulation.witness import Witness
from strategies.pure_market_making import PureMarketMaking

START = 1_700_000_000 * SECOND
LENGTH = 600 * SECOND
SEEDS = 50

LISTING = replace(SANDBOX_LISTINGS[0], price=Decimal("0.00001"))
MARKET = LISTING.market
BALANCES = {MARKET.base: Decimal(1_000_000), MARKET.quote: Decimal(100)}
SETTINGS = Settings(
    name="truth",
    tag="TRUTHS",
    markets=(MARKET.symbol,),
    strategy="pure_market_making",
    params={
        "bid_spread": "5bps",
        "ask_spread": "5bps",
        "order_amount": "300 ROGER",
        "order_levels": 1,
        "order_refresh_time": "10s",
        "order_refresh_tolerance_pct": "4bps",
    },
    tick=TickPolicy(every=SECOND, when=("fill",)),
)
MODELS = PaperModels().folded()


def crowd(kind: str, *, reacts: bool) -> Temper:
    return replace(CROWDS[kind], volatility=3 * BPS, reach=12 * BPS, reaction=0.5 if reacts else 0.0)


class LiveMarket:
    """A market of the sandbox in the place of a tape: its book is the matching engine's, our orders in it.

    The venue moves the exchange, so there is nothing to play.
    """

    state: Literal["live"] = "live"
    reason = ""
    next_time = next_trade = NEVER
    filled = False

    def __init__(self, exchange: Exchange, market: Market) -> None:
        self.market = market
        self.time = exchange.now
        self._exchange = exchange
        self._book = exchange.book(market.id)

    @property
    def heard_at(self) -> int:
        return self.time

    changed_at = heard_at

    def play(self, until: int, *, stop_on_touch: bool) -> None:
        self.time = until

    @property
    def touch(self) -> tuple[Level | None, Level | None]:
        return self.best_bid(), self.best_ask()

    def best_bid(self) -> Level | None:
        return next(iter(self.bids(1)), None)

    def best_ask(self) -> Level | None:
        return next(iter(self.asks(1)), None)

    def bids(self, count: int) -> Sequence[Level]:
        return self._book.levels(Side.BUY, count)

    def asks(self, count: int) -> Sequence[Level]:
        return self._book.levels(Side.SELL, count)

    traded = 0

    def trades(self, first: int, last: int) -> Sequence[PublicTrade]:
        return ()


class LiveVenue(Client):
    """The maker at the sandbox: its fills come from there, and not from a market that is played."""

    def moved(self, symbol: str, now: int) -> None:
        raise AssertionError(f"{symbol} fills nobody by itself")


class Case(Struct, frozen=True):
    """What really happened: the public tape, and what the maker traded."""

    recording: Recording
    real: Traded


ALONE = f"{QUEUES[0]}, tape without the maker"


class Outcome(Struct, frozen=True):
    """A market that was traded on and backtested with one queue model, or `ALONE`."""

    seed: int
    crowd: str
    model: str
    pair: Pair


def really(seed: str, temper: Temper, length: int = LENGTH) -> Case:
    """Let the maker trade with a crowd for `length` ns."""
    venue, witness = _opened(seed, temper)
    kept, market = Kept(), LiveMarket(venue.exchange, MARKET)
    play(TapeLoop(SETTINGS, PureMarketMaking, [market], venue, Bucket(), kept), START + length)
    recording = witness.recording()
    return Case(recording, traded(played_of(recording, kept, START, START + length)))


def alone(seed: str, temper: Temper, length: int = LENGTH) -> Recording:
    """The tape of that crowd without the maker, a little longer, for fills to be looked at after a while."""
    venue, witness = _opened(seed, temper)
    venue.advance(START + length + 10 * SECOND)
    return witness.recording()


def _opened(seed: str, temper: Temper) -> tuple[LiveVenue, Witness]:
    grown = sandbox(seed, START, listings=[LISTING], balances=BALANCES, temper=temper)
    witness = Witness(MARKET, grown.trader.id)
    venue = LiveVenue(grown.exchange, grown.trader, MODELS, seed=seed, now=START, heard=witness.hear)
    grown.exchange.show_books()
    venue.listen()
    return venue, witness


def backtested(case: Case, queue: QueueModel, length: int = LENGTH) -> Pair:
    """The same maker on the tape of that market."""
    end, models = START + length, replace(MODELS, queue=queue)
    tested = rerun([case.recording], SETTINGS, PureMarketMaking, models, BALANCES, START, end)
    return Pair(case.real, traded(played_of(case.recording, tested, START, end)))


def outcomes(seeds: Iterable[int], length: int = LENGTH) -> Iterator[Outcome]:
    """Every seed with every crowd and every model."""
    for seed in seeds:
        for kind in CROWDS:
            for reacts in (False, True):
                name, told = f"truth {seed}", f"{kind}, reacting" if reacts else kind
                temper = crowd(kind, reacts=reacts)
                case = really(name, temper, length)
                for queue in QUEUES:
                    yield Outcome(seed, told, str(queue), backtested(case, queue, length))
                unmet = replace(case, recording=alone(name, temper, length))
                yield Outcome(seed, told, ALONE, backtested(unmet, QUEUES[0], length))


def by_model(found: Iterable[Outcome]) -> dict[str, list[Pair]]:
    pairs: dict[str, list[Pair]] = {}
    for outcome in found:
        pairs.setdefault(outcome.model, []).append(outcome.pair)
    return pairs


def figures(seeds: int = SEEDS) -> Iterator[dict[str, Any]]:
    """The model is chosen on the first half of the seeds; the figures are of the second. A table goes to stderr."""
    half = seeds // 2
    found: list[Outcome] = []
    for seed in range(1, seeds + 1):
        found += outcomes([seed])
        print(f"truth: seed {seed} of {seeds}", file=sys.stderr, flush=True)
    chosen = closest(by_model(outcome for outcome in found if outcome.seed <= half and outcome.model != ALONE))
    judged = [outcome for outcome in found if outcome.seed > half]
    for crowds in ("all crowds", *dict.fromkeys(outcome.crowd for outcome in judged)):
        models = by_model(outcome for outcome in judged if crowds in ("all crowds", outcome.crowd))
        print(f"\n{crowds}, seeds {half + 1} to {seeds}\n{aligned(table(models))}", file=sys.stderr, flush=True)
        for model, pairs in models.items():
            yield from _figures(crowds, model, pairs, chosen=model == chosen)
    print(f"\nchosen on seeds 1 to {half}: {chosen}", file=sys.stderr)


def _figures(crowds: str, model: str, pairs: Sequence[Pair], *, chosen: bool) -> Iterator[dict[str, Any]]:
    for measure in MEASURES:
        wrong = errors(pairs, measure)
        if wrong is not None:
            what = {"crowd": crowds, "model": model, "chosen": chosen, "unit": "of what was real", "runs": wrong.runs}
            spread = {"total": wrong.total, "low": wrong.low, "high": wrong.high}
            name = f"truth_{measure}"
            held = measure == "volume" and model != ALONE
            bias, middle = ({"budget": each} if held else {} for each in (BIAS_MAX, MEDIAN_MAX))
            yield {"figure": f"{name}_bias", **what, **spread, "value": wrong.bias, **bias}  # on either side of zero
            yield {"figure": f"{name}_median", **what, "value": wrong.median, **middle}
