"""What a backtest tells beyond the summary of a run: how well it traded, and against what it was measured.

Mid prices are the tape's own, without our orders. Ratios are fractions; amounts are exact and printed as text.

* Fill ratio: what was filled of all that was ordered, by quantity. Maker share: of what was filled.
* Adverse selection: the mid price a while after a fill against the fill's price, counted for our side and before fees.
  Below zero the market went against us. Fills so late that the tape ends before that are left out.
* Drawdown: the most that profit, fees in it and open positions at mid, was ever below its best before.
* Turnover: what was traded, in quote, and how many times that is what the account was worth at the start.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import accumulate
from typing import Any

from msgspec import Struct

from runner.model.market import Market
from runner.model.money import MONEY, ZERO, plain, quotient
from runner.model.order import Fill, Role, Side
from runner.model.settings import SECOND
from runner.report.figures import figure, many, span
from runner.report.summary import Summary
from runner.report.summary import text as summary_text

AFTER = (SECOND, 10 * SECOND)
"""How long after a fill the mid price is looked at, ns."""

_HALF = Decimal("0.5")

Mids = Mapping[int, int]
"""Twice the mid price (ticks) by time (ns)."""


class Played(Struct, frozen=True, kw_only=True):
    """One market of a backtest. `start` and `end` are what was played of its tape, in which there were `events` rows,
    `gaps`, and `tainted` levels of which nobody can say how much was an order of whoever recorded it.

    `mids` has those moments of `marks` at which the tape had two sides.
    """

    market: Market
    start: int
    end: int
    events: int
    gaps: int
    ordered_lots: int
    fills: Sequence[Fill]
    mids: Mids
    tainted: int = 0


class Pace(Struct, frozen=True):
    """How fast it went: seconds of the machine's time, for so many events of all tapes and so many ticks."""

    seconds: float
    events: int
    ticks: int


def marks(fills: Sequence[Fill], start: int, end: int, apart: int) -> list[int]:
    """The moments at which a mid price is needed, ascending: of the fills, a while after each, and every `apart` ns."""
    times = {fill.time + after for fill in fills for after in (0, *AFTER)}
    return sorted(times.union(range(start, end, apart), [end]))


def facts(markets: Sequence[Played], worth: Mapping[str, Decimal], pace: Pace) -> dict[str, Any]:
    """The object that `runner backtest --json` adds to the summary. `worth`: of the account at the start, by quote."""
    return {
        "markets": {played.market.symbol: _of_market(played) for played in markets},
        "drawdown": {quote: plain(amount) for quote, amount in drawdowns(markets).items()},
        "turnover": _turnover(markets, worth),
        "speed": {
            "seconds": round(pace.seconds, 3),
            "events_per_s": round(pace.events / pace.seconds),
            "ticks_per_s": round(pace.ticks / pace.seconds),
        },
    }


def text(summary: Summary) -> str:
    """The summary of a backtest for people; `facts` are under `backtest`."""
    told = summary["backtest"]
    rows: list[tuple[str, str]] = []
    for symbol, market in told["markets"].items():
        rows.append(("tape", _tape(symbol, market)))
        rows.append(("filled", _filled(market)))
        rows += [(f"after {name}", _after(one)) for name, one in market["adverse_selection"].items() if one["fills"]]
    rows += [("drawdown", f"{figure(Decimal(amount))} {quote}") for quote, amount in told["drawdown"].items()]
    for quote, one in told["turnover"].items():
        times = "" if one["times"] is None else f", {one['times']:.3g} times the account"
        rows.append(("turnover", f"{figure(Decimal(one['amount']))} {quote}{times}"))
    speed = told["speed"]
    rows.append(("speed", f"{speed['events_per_s']:,} events/s, {speed['ticks_per_s']:,} ticks/s"))
    return "\n".join([summary_text(summary), *(f"{label:<10} {value}" for label, value in rows)])


# Measures ------------------------------------------------------------------------------------------------


def fill_ratio(played: Played) -> float | None:
    """None where nothing was ordered."""
    return sum(fill.lots for fill in played.fills) / played.ordered_lots if played.ordered_lots else None


def maker_share(fills: Sequence[Fill]) -> float | None:
    """By quantity; None where nothing was filled."""
    total = sum(fill.lots for fill in fills)
    return sum(fill.lots for fill in fills if fill.role is Role.MAKER) / total if total else None


def adverse_selection(played: Played, after: int) -> tuple[int, Decimal, Decimal]:
    """Fills that could be judged, what they were worth more by then than what was paid (quote), and what was paid."""
    market, judged = played.market, [fill for fill in played.fills if fill.time + after in played.mids]
    gained = sum(fill.side.sign * (played.mids[fill.time + after] - 2 * fill.ticks) * fill.lots for fill in judged)
    paid = sum(fill.ticks * fill.lots for fill in judged)
    return len(judged), MONEY.multiply(market.notional(1, gained), _HALF), market.notional(1, paid)


def drawdowns(markets: Sequence[Played]) -> dict[str, Decimal]:
    """By quote currency, zero where profit never fell."""
    found = {}
    for quote in dict.fromkeys(played.market.quote for played in markets):
        of_quote = [played for played in markets if played.market.quote == quote]
        times = sorted({time for played in of_quote for time in played.mids})
        curves = [profits(played, times) for played in of_quote]
        curve = [_sum(at) for at in zip(*curves, strict=True)]
        best = accumulate(curve, max, initial=ZERO)  # it began with nothing
        next(best)
        found[quote] = max([ZERO, *(MONEY.subtract(most, now) for most, now in zip(best, curve, strict=True))])
    return found


def profits(played: Played, times: Sequence[int]) -> list[Decimal]:
    """Profit (quote) of one market's own fills at each of these moments, positions at the latest mid there was."""
    market, fills = played.market, iter(sorted(played.fills, key=lambda fill: fill.time))
    fill, base, quote, mid = next(fills, None), ZERO, ZERO, 0
    curve = []
    for time in times:
        while fill is not None and fill.time <= time:
            base, quote = _after_fill(market, fill, base, quote)
            fill = next(fills, None)
        mid = played.mids.get(time, mid)
        curve.append(MONEY.add(quote, MONEY.multiply(base, MONEY.multiply(market.price(mid), _HALF))))
    return curve


def _after_fill(market: Market, fill: Fill, base: Decimal, quote: Decimal) -> tuple[Decimal, Decimal]:
    quantity, notional = market.quantity(fill.lots), market.notional(fill.ticks, fill.lots)
    if fill.side is Side.BUY:
        base, quote = MONEY.add(base, quantity), MONEY.subtract(quote, notional)
    else:
        base, quote = MONEY.subtract(base, quantity), MONEY.add(quote, notional)
    if fill.fee_currency == market.base:
        return MONEY.subtract(base, fill.fee), quote
    return base, MONEY.subtract(quote, fill.fee)


# Words ---------------------------------------------------------------------------------------------------


def _of_market(played: Played) -> dict[str, Any]:
    return {
        "start": played.start,
        "end": played.end,
        "events": played.events,
        "gaps": played.gaps,
        "tainted": played.tainted,
        "fill_ratio": fill_ratio(played),
        "maker_share": maker_share(played.fills),
        "adverse_selection": {f"{after // SECOND}s": _judged(played, after) for after in AFTER},
    }


def _judged(played: Played, after: int) -> dict[str, Any]:
    count, gained, paid = adverse_selection(played, after)
    bps = float(quotient(gained, paid)) * 10_000 if paid else None
    return {"fills": count, "amount": plain(gained), "currency": played.market.quote, "bps": bps}


def _turnover(markets: Sequence[Played], worth: Mapping[str, Decimal]) -> dict[str, Any]:
    traded: dict[str, Decimal] = {}
    for played in markets:
        notional = played.market.notional(1, sum(fill.ticks * fill.lots for fill in played.fills))
        traded[played.market.quote] = MONEY.add(traded.get(played.market.quote, ZERO), notional)
    return {
        quote: {"amount": plain(amount), "times": float(quotient(amount, worth[quote])) if worth.get(quote) else None}
        for quote, amount in traded.items()
    }


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    total = ZERO
    for amount in amounts:
        total = MONEY.add(total, amount)
    return total


def _tape(symbol: str, market: Mapping[str, Any]) -> str:
    flaws = [many(market[key], noun) for key, noun in (("gaps", "gap"), ("tainted", "tainted level")) if market[key]]
    return ", ".join([symbol, span(market["end"] - market["start"]), many(market["events"], "event"), *flaws])


def _filled(market: Mapping[str, Any]) -> str:
    ratio, share = market["fill_ratio"], market["maker_share"]
    if ratio is None:
        return "nothing was ordered"
    return f"{ratio:.2%} of what was ordered" + ("" if share is None else f", {share:.1%} of it as maker")


def _after(judged: Mapping[str, Any]) -> str:
    amount = figure(Decimal(judged["amount"]), signed=True)
    return f"{amount} {judged['currency']} ({judged['bps']:+.2f} bps) by mid, {many(judged['fills'], 'fill')}"
