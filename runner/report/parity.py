"""How far backtests are from what really happened: errors per queue model, and which model comes closest.

A real run and a backtest of the same strategy on the same tape are reduced to `Traded` each. An error is what the
backtest says too much, as a fraction: of the real volume for filled volume, of the real turnover for profit and for
what fills were worth after a while. So the errors of several runs, each on its own market, can be put together.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from statistics import median
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from runner.model.money import MONEY, plain
from runner.model.order import Side
from runner.model.settings import SECOND
from runner.report.backtest import AFTER, Played, adverse_selection, profits
from runner.report.figures import clock, figure, many, span
from runner.report.tables import Column, Row, Table, aligned

BIAS_MAX = 0.05
MEDIAN_MAX = 0.10
"""What a backtest of filled volume is meant to keep to, as fractions."""

TAIL = 0.1
"""The share of runs that lies outside the spread on either side."""

MEASURES = ("volume", "profit", *(f"after_{after // SECOND}s" for after in AFTER))


class Traded(Struct, frozen=True):
    """What one run traded: quantities in base, the rest in quote. `after` are mark-outs of fills, as `AFTER` says."""

    fills: int
    volume: Decimal
    turnover: Decimal
    profit: Decimal
    after: tuple[Decimal, ...]


class Pair(Struct, frozen=True):
    real: Traded
    tested: Traded


class Errors(Struct, frozen=True):
    """Of several runs. `bias` and `total` are sums, signed and absolute, over the sum of what was real; `median` is of
    the absolute errors of single runs, and between `low` and `high` lie all their signed ones but the tails.
    """

    runs: int
    bias: float
    total: float
    median: float
    low: float
    high: float

    @property
    def met(self) -> bool:
        """Whether a model of filled volume is as good as it is meant to be."""
        return abs(self.bias) <= BIAS_MAX and self.median <= MEDIAN_MAX


class Placing(Struct, frozen=True):
    """An order as it was asked for, whatever it was called; and when, UTC ns."""

    time: int
    slot: str
    market: str
    side: Side
    ticks: int | None
    lots: int


class Divergence(Struct, frozen=True):
    """Where two runs first asked for different orders; None where one of them asked for none any more."""

    number: int
    real: Placing | None
    tested: Placing | None


class Rerun(Struct, frozen=True):
    """A real run's backtest with one queue model: by market what was traded, and where it first wanted otherwise."""

    model: str
    pairs: Mapping[str, Pair]
    divergence: Divergence | None


class Parity(Struct, frozen=True, kw_only=True):
    """One real run against its backtests. Times and latencies are ns; `tainted` are levels of the tape of which one
    cannot say how much was ours. `before` counts the fills that the run's journal knew when it began: the backtest
    begins without them.
    """

    run: str
    start: int
    end: int
    order_latency: int
    cancel_latency: int
    placings: int
    before: int
    tainted: int
    gaps: int
    reruns: Sequence[Rerun]

    @property
    def closest(self) -> str | None:
        return closest({each.model: list(each.pairs.values()) for each in self.reruns})


def traded(played: Played) -> Traded:
    """Raises ValueError where the tape has no mid price by then to mark a position at."""
    if played.fills and not played.mids:
        raise ValueError(f"the tape of {played.market.symbol} never had two sides")
    market, fills = played.market, played.fills
    turnover = market.notional(1, sum(fill.ticks * fill.lots for fill in fills))
    profit = profits(played, sorted(played.mids))[-1] if fills else Decimal(0)
    after = tuple(adverse_selection(played, each)[1] for each in AFTER)
    return Traded(len(fills), market.quantity(sum(fill.lots for fill in fills)), turnover, profit, after)


def errors(pairs: Sequence[Pair], measure: str) -> Errors | None:
    """None where nothing was really traded, so that there is nothing to compare with."""
    value, scale = _MEASURE[measure], _volume if measure == "volume" else _turnover
    differences = [float(MONEY.subtract(value(pair.tested), value(pair.real))) for pair in pairs]
    scales = [float(scale(pair.real)) for pair in pairs]
    single = sorted(difference / size for difference, size in zip(differences, scales, strict=True) if size)
    if not single:
        return None
    tail = int(TAIL * len(single))
    return Errors(
        runs=len(single),
        bias=sum(differences) / sum(scales),
        total=sum(map(abs, differences)) / sum(scales),
        median=median(map(abs, single)),
        low=single[tail],
        high=single[-1 - tail],
    )


def closest(by_model: Mapping[str, Sequence[Pair]]) -> str | None:
    """The model whose filled volume is least wrong in all; None where nothing was really traded."""
    totals = {model: found.total for model, pairs in by_model.items() if (found := errors(pairs, "volume"))}
    return min(totals, key=lambda model: totals[model]) if totals else None


def divergence(real: Sequence[Placing], tested: Sequence[Placing], apart: int = 0) -> Divergence | None:
    """The first difference between the orders of two runs; times that differ by up to `apart` ns are the same."""
    for number in range(max(len(real), len(tested))):
        one = real[number] if number < len(real) else None
        other = tested[number] if number < len(tested) else None
        if one is None or other is None or not _same(one, other, apart):
            return Divergence(number, one, other)
    return None


def table(by_model: Mapping[str, Sequence[Pair]]) -> Table:
    """A row for each model and measure; errors of volume in per cent of it, those of money in bps of the turnover."""
    rows: list[Row] = []
    for model, pairs in by_model.items():
        for measure in MEASURES:
            found = errors(pairs, measure)
            if found is not None:
                met = ("yes" if found.met else "no") if measure == "volume" else ""
                unit, shown = ("%", 100) if measure == "volume" else ("bps", 10_000)
                row: Row = {"model": model, "measure": f"{measure}, {unit}", "runs": found.runs, "met": met}
                rows.append({**row, **_scaled(found, shown)})
    return Table(_COLUMNS, tuple(rows), "nothing was traded")


def facts(parity: Parity) -> dict[str, Any]:
    """The object that `runner parity --json` prints; amounts are exact and in base and quote."""
    return {
        "run": parity.run,
        "start": parity.start,
        "end": parity.end,
        "latency_ms": {"order": parity.order_latency / 1e6, "cancel": parity.cancel_latency / 1e6},
        "orders": parity.placings,
        "fills_before": parity.before,
        "tainted_levels": parity.tainted,
        "gaps": parity.gaps,
        "closest": parity.closest,
        "models": {
            each.model: {
                "markets": {symbol: _compared(pair) for symbol, pair in each.pairs.items()},
                "first_difference": None if each.divergence is None else _difference(each.divergence),
            }
            for each in parity.reruns
        },
    }


def text(parity: Parity) -> str:
    """The same for people."""
    doubts = [many(parity.tainted, "tainted level"), many(parity.gaps, "gap")]
    rows = [
        ("run", f"{parity.run}, {span(parity.end - parity.start)}, {many(parity.placings, 'order')}"),
        ("tape", f"public data of that run without what was ours: {', '.join(doubts)}"),
        ("latency", f"{_ms(parity.order_latency)} for orders, {_ms(parity.cancel_latency)} for cancels"),
    ]
    if parity.before:
        rows.append(("before", f"the run began with {many(parity.before, 'fill')} that the backtest does not know"))
    rows.append(("closest", parity.closest or "none: the run filled nothing"))
    lines = [f"{label:<8} {value}" for label, value in rows]
    lines += ["", aligned(_reruns(parity))]
    lines += [f"{each.model}: {_first(each.divergence)}" for each in parity.reruns if each.divergence is not None] or [
        "every order was wanted again, at its time"
    ]
    return "\n".join(lines)


def _reruns(parity: Parity) -> Table:
    rows: list[Row] = []
    for each in parity.reruns:
        for symbol, pair in each.pairs.items():
            volume, profit = (errors([pair], measure) for measure in ("volume", "profit"))
            rows.append(
                {
                    "model": each.model,
                    "market": symbol,
                    "fills": f"{pair.tested.fills} of {pair.real.fills}",
                    "volume": f"{figure(pair.tested.volume)} of {figure(pair.real.volume)}",
                    "volume_error": None if volume is None else f"{volume.bias:+.1%}",
                    "profit": f"{figure(pair.tested.profit, True)} for {figure(pair.real.profit, True)}",
                    "profit_error": None if profit is None else f"{profit.bias * 10_000:+.1f} bps",
                }
            )
    return Table(_RERUNS, tuple(rows))


_RERUNS = (
    Column("model", "queue model"),
    Column("market", "market"),
    Column("fills", "fills", right=True),
    Column("volume", "volume", right=True),
    Column("volume_error", "error", right=True),
    Column("profit", "profit", right=True),
    Column("profit_error", "of turnover", right=True),
)


def _compared(pair: Pair) -> dict[str, Any]:
    wrong = {measure: found.bias for measure in MEASURES if (found := errors([pair], measure)) is not None}
    return {"real": _plain(pair.real), "tested": _plain(pair.tested), "errors": wrong}


def _plain(run: Traded) -> dict[str, Any]:
    after = {name: plain(each) for name, each in zip(MEASURES[2:], run.after, strict=True)}
    amounts = {"volume": plain(run.volume), "turnover": plain(run.turnover), "profit": plain(run.profit)}
    return {"fills": run.fills, **amounts, **after}


def _difference(found: Divergence) -> dict[str, Any]:
    return {
        "order": found.number + 1,
        "real": None if found.real is None else asdict(found.real),
        "tested": None if found.tested is None else asdict(found.tested),
    }


def _first(found: Divergence) -> str:
    real, tested = (_told(each) for each in (found.real, found.tested))
    return f"order {found.number + 1} is the first that differs: {real} in the run, {tested} in the backtest"


def _told(placing: Placing | None) -> str:
    if placing is None:
        return "none"
    price = "market" if placing.ticks is None else f"tick {placing.ticks}"
    return f"{placing.slot} {placing.market} {placing.lots} lots at {price} in the tick of {_clock(placing.time)}"


def _ms(time: int) -> str:
    return f"{time / 1_000_000:.1f} ms"


def _clock(time: int) -> str:
    """To the millisecond."""
    return f"{clock(time)}.{time // 1_000_000 % 1000:03}"


_COLUMNS = (
    Column("model", "queue model"),
    Column("measure", "error of"),
    Column("runs", "runs", right=True),
    Column("bias", "bias", right=True),
    Column("total", "total", right=True),
    Column("median", "median", right=True),
    Column("low", "10th", right=True),
    Column("high", "90th", right=True),
    Column("met", "met"),
)


def _volume(run: Traded) -> Decimal:
    return run.volume


def _turnover(run: Traded) -> Decimal:
    return run.turnover


def _profit(run: Traded) -> Decimal:
    return run.profit


def _after(number: int) -> Callable[[Traded], Decimal]:
    return lambda run: run.after[number]


_MEASURE: Mapping[str, Callable[[Traded], Decimal]] = {
    "volume": _volume,
    "profit": _profit,
    **{name: _after(number) for number, name in enumerate(MEASURES[2:])},
}


def _same(one: Placing, other: Placing, apart: int) -> bool:
    what = (one.slot, one.market, one.side, one.ticks, one.lots)
    return abs(one.time - other.time) <= apart and what == (
        other.slot,
        other.market,
        other.side,
        other.ticks,
        other.lots,
    )


def _scaled(found: Errors, times: int) -> dict[str, str]:
    return {
        "bias": f"{found.bias * times:+.2f}",
        "total": f"{found.total * times:.2f}",
        "median": f"{found.median * times:.2f}",
        "low": f"{found.low * times:+.2f}",
        "high": f"{found.high * times:+.2f}",
    }
