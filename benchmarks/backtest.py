"""Backtests: pure market making with one level a side on a million recorded events, one core, the engine in Python.

Twice on a synthetic L2 tape: with a tick every 100 ms (a hundred thousand of them), and with a tick at every change of
a best price or its size; then on the real recordings where they are. Orders are requoted when the touch has moved.
Compilation is cached and not counted. `parts` says where the time went, in per cent: the kernel, the venue, the
strategy's own tick, the rest of the engine, and the loop with everything else.
"""

import random
import resource
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from decimal import Decimal
from time import perf_counter, process_time
from typing import Any

from msgspec import structs

from benchmarks.engine import MARKET, START
from benchmarks.recorded import DATA
from runner.edge.budget import Bucket
from runner.edge.tape_file import read_tape
from runner.engine.core import Engine
from runner.engine.strategy import Decision, State
from runner.engine.view import View
from runner.model.market import Market
from runner.model.paper import PaperModels
from runner.model.settings import MILLISECOND, SECOND, Settings, TickPolicy
from runner.run.tape_loop import TapeLoop
from runner.simulation.kernel import Kernel
from runner.simulation.paper import PaperVenue
from runner.simulation.recording import ASK, BID, BOUGHT, NEVER, SOLD, Recording
from runner.simulation.taped_market import TapedMarket
from strategies.pure_market_making import PureMarketMaking

EVENTS = 1_000_000
APART = 10 * MILLISECOND  # between two events
LEVELS = 50  # a side, about
LOTS = 10_000  # of a level, at most
MIDDLE = 100_000  # ticks
TRADES = 0.04  # share of moments in which somebody takes from the best level
NEAR = 0.12  # of changes, as a rate per tick away from the best price
FOLLOWS = 0.05  # of changes, those that narrow a wide spread
MODELS = PaperModels().folded()
EVERY_100_MS = TickPolicy(100 * MILLISECOND, (), 0)
EVERY_TOUCH = TickPolicy(SECOND, ("book",), 0)


def figures() -> Iterator[dict[str, Any]]:
    """Events and ticks a second of the whole backtest, and the most memory that the process ever took."""
    tape = synthetic(EVENTS)
    for name, policy, unit, budget in (
        ("100_ms", EVERY_100_MS, "events/s", 250_000),
        ("every_touch", EVERY_TOUCH, "ticks/s", 25_000),
    ):
        yield _figure(f"backtest_{name}", tape, policy, unit, budget)
    for path in sorted(DATA.glob("binance-spot-*.gz")):
        recording, name = read_tape(path), path.name.split("-")[2]
        yield _figure(f"backtest_{name}_every_touch", recording, EVERY_TOUCH, "ticks/s", None)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    yield {"figure": "backtest_memory", "value": rss, "unit": "MB", "budget": 400}


def _figure(name: str, tape: Recording, policy: TickPolicy, unit: str, budget: int | None) -> dict[str, Any]:
    backtest(_head(tape), policy)  # compiles what is not cached, and warms up
    seconds, loop = backtest(tape, policy)
    rates = {"events/s": len(tape) / seconds, "ticks/s": loop.engine.ticks / seconds}
    figure = {"figure": name, "unit": unit, "value": round(rates[unit]), "budget": budget}
    figure |= {"events": len(tape), "ticks": loop.engine.ticks, "seconds": round(seconds, 2)}
    figure |= {"us_per_tick": round(seconds / loop.engine.ticks * 1e6, 1), "parts": parts(_head(tape, 100_000), policy)}
    return figure


def backtest(tape: Recording, policy: TickPolicy) -> tuple[float, TapeLoop]:
    """Seconds that a backtest takes, importing the tape aside, and the loop as it was at the end."""
    market = tape.market
    began = process_time()
    taped = TapedMarket(tape, Kernel(compiled=True))
    balances = {market.base: Decimal(10**6), market.quote: Decimal(10**6)}
    venue = PaperVenue(
        [market], balances, models=MODELS, seed="1", now=tape.start, kernels={market.symbol: taped.kernel}
    )
    loop = TapeLoop(
        _settings(market, policy), Maker, [taped], venue, Bucket(10_000, SECOND), lambda event, output: None
    )
    loop.begin()
    loop.run(tape.end)
    seconds = process_time() - began
    loop.stop("tape")
    loop.run(NEVER)
    return seconds, loop


def _settings(market: Market, policy: TickPolicy) -> Settings:
    params = {
        "bid_spread": "1bps",
        "ask_spread": "1bps",
        "order_amount": f"{10 * market.quantity_min} {market.base}",
        "order_refresh_time": "1ms",  # every tick weighs its orders
    }
    return Settings(name="bench", tag="ABCDEF", markets=(market.symbol,), strategy="pmm", params=params, tick=policy)


class Maker(PureMarketMaking, frozen=True, kw_only=True):
    """Its tick can be measured without measuring any other."""

    def tick(self, view: View, state: State) -> Decision:
        return super().tick(view, state)


PARTS: Mapping[str, Sequence[tuple[type, str]]] = {
    "kernel": ((TapedMarket, "play"),),
    "venue": ((PaperVenue, "submit"), (PaperVenue, "advance"), (PaperVenue, "moved")),
    "strategy": ((Maker, "tick"),),
    "engine": ((Engine, "handle"),),
}


def parts(tape: Recording, policy: TickPolicy) -> dict[str, float]:
    """Per cent of a backtest's time by part; what one part calls of another is the other's."""
    spent = dict.fromkeys(PARTS, 0.0)
    running: list[float] = []  # seconds that those called from each running part took

    def measured(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            running.append(0.0)
            began = perf_counter()
            found = function(*arguments, **named)
            took = perf_counter() - began
            spent[part] += took - running.pop()
            if running:
                running[-1] += took
            return found

        return call

    with ExitStack() as stack:
        for part, methods in PARTS.items():
            for owner, name in methods:
                original = getattr(owner, name)
                setattr(owner, name, measured(part, original))
                stack.callback(setattr, owner, name, original)
        began = perf_counter()
        backtest(tape, policy)
        seconds = perf_counter() - began
    spent["loop"] = seconds - sum(spent.values())
    return {part: round(100 * took / seconds, 1) for part, took in spent.items()}


def synthetic(events: int, seed: int = 1) -> Recording:
    """An L2 tape: dense levels that come, change and go, takers that eat the best one, and quotes that follow.

    As on the real recordings about one change of the touch in ten moves a price; the others are of sizes.
    """
    dice = random.Random(seed)
    sides = [{MIDDLE + sign * far: dice.randint(1, LOTS) for far in range(1, LEVELS + 1)} for sign in (-1, 1)]
    best = [MIDDLE - 1, MIDDLE + 1]
    times, kinds, ticks, lots = (array("q") for _ in range(4))

    def row(kind: int, at: int, amount: int) -> None:
        times.append(time)
        kinds.append(kind)
        ticks.append(at)
        lots.append(amount)
        if kind <= ASK:
            if amount:
                sides[kind][at] = amount
            else:
                del sides[kind][at]
            best[kind] = max(sides[BID]) if kind == BID else min(sides[ASK])

    time = START
    for side in (BID, ASK):
        for at, amount in list(sides[side].items()):
            row(side, at, amount)
    while len(times) < events:
        time += APART
        side = dice.randrange(2)
        sign = -1 if side == BID else 1
        if dice.random() < TRADES:
            amount = min(sides[side][best[side]], dice.randint(1, LOTS // 2))
            row(SOLD if side == BID else BOUGHT, best[side], amount)
            row(side, best[side], sides[side][best[side]] - amount)
            continue
        inside = abs(best[ASK] - best[BID]) > 2 and dice.random() < FOLLOWS
        at = best[side] - sign if inside else best[side] + sign * int(dice.expovariate(NEAR))
        goes = at in sides[side] and at != best[side] and len(sides[side]) > LEVELS and dice.random() < 0.9
        row(side, at, 0 if goes else dice.randint(1, LOTS))
    return Recording(market=MARKET, times=times, kinds=kinds, ticks=ticks, lots=lots)


def _head(tape: Recording, rows: int = 20_000) -> Recording:
    columns = {name: getattr(tape, name)[:rows] for name in ("times", "kinds", "ticks", "lots")}
    return structs.replace(tape, **columns, gaps=(), touches=())
