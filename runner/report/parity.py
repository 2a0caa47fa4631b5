"""How far backtests are from what really happened: errors per queue model, and which model comes closest.

A real run and a backtest of the same strategy on the same tape are reduced to `Traded` each. An error is what the
backtest says too much, as a fraction: of the real volume for filled volume, of the real turnover for profit and for
what fills were worth after a while. So the errors of several runs, each on its own market, can be put together.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from statistics import median

from msgspec import Struct

from runner.model.money import MONEY
from runner.model.order import Side
from runner.model.settings import SECOND
from runner.report.backtest import AFTER, Played, adverse_selection, profits
from runner.report.tables import Column, Row, Table

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
    """A row for each model and measure; errors in per cent."""
    rows: list[Row] = []
    for model, pairs in by_model.items():
        for measure in MEASURES:
            found = errors(pairs, measure)
            if found is not None:
                met = ("yes" if found.met else "no") if measure == "volume" else ""
                rows.append({"model": model, "measure": measure, "runs": found.runs, **_percent(found), "met": met})
    return Table(_COLUMNS, tuple(rows), "nothing was traded")


_COLUMNS = (
    Column("model", "queue model"),
    Column("measure", "error of"),
    Column("runs", "runs", right=True),
    Column("bias", "bias %", right=True),
    Column("total", "total %", right=True),
    Column("median", "median %", right=True),
    Column("low", "10th %", right=True),
    Column("high", "90th %", right=True),
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


def _percent(found: Errors) -> dict[str, str]:
    return {
        "bias": f"{found.bias:+.2%}".rstrip("%"),
        "total": f"{found.total:.2%}".rstrip("%"),
        "median": f"{found.median:.2%}".rstrip("%"),
        "low": f"{found.low:+.2%}".rstrip("%"),
        "high": f"{found.high:+.2%}".rstrip("%"),
    }
