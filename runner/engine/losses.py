"""What the strategy has made or lost, marked to the market, and when that is too much.

Profit of a quote currency is what own fills have realised there plus what the open positions would bring now. Only
own fills count, so deposits, withdrawals, manual trades and other bots touch neither profit nor peak nor the day's
beginning. A position is worth what others in the book would pay for all of it at once (cost, if it is short), our own
orders left out, and never more than the median of the last public trades says: a quote is cheap to place, a trade is
not. Source: issue "One gate and one strict file", Marks; the field's complaints in ../shared/reference/field.md 2, 15.

A loss counts when it has lasted (`loss_persists`) or is realised. A peak counts when the book had two sides within
`max_spread` for 30 s and the profit was never below it in between. Where the book gives no mark, the last one holds
for `max_mark_age`; after that nobody knows, and only orders that reduce a position pass.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from statistics import median_high, median_low
from typing import Literal

import msgspec
from msgspec import Struct, structs

from runner.engine.depth import Depth, lots_of
from runner.engine.ledger import Ledger
from runner.engine.view import MarketData
from runner.model.market import Market
from runner.model.money import MONEY, ZERO, plain
from runner.model.order import Order, Side
from runner.model.settings import SECOND, Limits

PEAK_HELD = 30 * SECOND
LAST_TRADES = 15
DAY = 86_400 * SECOND

Limit = Literal["max_daily_loss", "max_drawdown"]


class Equity(Struct):
    """Profit of one quote currency as it is kept in the journal. `day` is that of `day_start`, counted from 1970."""

    day: int
    day_start: Decimal  # profit when the day began
    peak: Decimal
    last: Decimal


class Breach(Struct, frozen=True):
    """A loss limit was passed. All amounts are in `currency`."""

    limit: Limit
    currency: str
    loss: Decimal
    most: Decimal

    @property
    def why(self) -> str:
        since = "today" if self.limit == "max_daily_loss" else "since the peak"
        return f"{plain(self.loss)} {self.currency} lost {since}, {self.limit} is {plain(self.most)}"


class Unmarked(Struct, frozen=True):
    """A position whose value nobody knows. `age`: of its last mark in ns, None where there never was one."""

    market: str
    age: int | None


class MarketNow(Struct, frozen=True):
    """What a mark is made of: one market of the file."""

    market: Market
    book: MarketData
    fresh: bool  # live, and heard of within max_book_age
    trades: Sequence[int] = ()  # ticks of the last public trades, `LAST_TRADES` of them


class _Mark(Struct):
    price: Decimal | None = None  # quote per base
    at: int = 0


class Losses:
    """Profit by quote currency, its peak and its day, and the limits on both."""

    def __init__(self, limits: Limits, ledger: Ledger, kept: Mapping[str, Equity]) -> None:
        self.limits = limits
        self.kept = dict(kept)
        self.unmarked: Unmarked | None = None
        self._ledger = ledger
        self._marks: dict[str, _Mark] = {}
        self._lost_since: dict[tuple[Limit, str], int] = {}
        self._rising: dict[str, tuple[Decimal, int]] = {}  # lowest profit above the peak -> since when it is above

    @property
    def wanted(self) -> bool:
        return bool(self.limits.max_daily_loss or self.limits.max_drawdown)

    def reconfigure(self, limits: Limits) -> None:
        """Go on under other limits: a loss has to last under each of them, and a peak under its `max_spread`."""
        before, self.limits = self.limits, limits
        for limit, currency in list(self._lost_since):
            if getattr(before, limit).get(currency) != getattr(limits, limit).get(currency):
                del self._lost_since[limit, currency]
        if before.max_spread != limits.max_spread:
            self._rising.clear()
        if not self.wanted:
            self.unmarked = None  # nobody looks any more, so nobody would take it back

    def look(self, markets: Iterable[MarketNow], orders: Iterable[Order], now: int) -> list[Breach]:
        """Value everything at `now`; the limits that are passed. `unmarked` tells what could not be valued."""
        self.unmarked = None
        breaches: list[Breach] = []
        for currency, value in self._values(list(markets), list(orders), now).items():
            equity = self._equity(currency, value, now)
            if equity is None or value.profit is None:
                continue
            equity.last = value.profit
            self._rise(currency, equity, value, now)
            breaches += self._judge(currency, equity, value, now)
        return breaches

    def profit(self, currency: str) -> Decimal | None:
        """The latest known, in that currency; None before the first look."""
        equity = self.kept.get(currency)
        return None if equity is None else equity.last

    # Marks ------------------------------------------------------------------------------------------------

    def _values(self, markets: list[MarketNow], orders: list[Order], now: int) -> dict[str, "_Value"]:
        """By quote currency."""
        realised = self._ledger.realised
        values: dict[str, _Value] = {}
        for at in markets:
            made = realised.get(at.market.quote, ZERO)
            value = values.setdefault(at.market.quote, _Value(made, made))
            price, current, sound = self._mark(at, orders, now)
            unrealised = self._ledger.unrealised(at.market.symbol, price)
            if value.profit is not None:
                value.profit = None if unrealised is None else MONEY.add(value.profit, unrealised)
            value.current, value.sound = value.current and current, value.sound and sound
        return values

    def _mark(self, at: MarketNow, orders: list[Order], now: int) -> tuple[Decimal | None, bool, bool]:
        """The price of one market's own position, whether it is of this moment, and whether it may make a peak."""
        symbol = at.market.symbol
        own = self._ledger.holding(symbol).own_base
        if not own:
            self._marks.pop(symbol, None)
            return None, True, True
        mark = self._marks.setdefault(symbol, _Mark())
        if at.fresh:
            depth = Depth(at.market, at.book, orders)
            price = self._executable(at, depth, own)
            if price is not None:
                mark.price, mark.at = price, now
                spread, most = depth.spread(), self.limits.max_spread
                return price, True, spread is not None and (most is None or spread <= most)
        if mark.price is None or now - mark.at > self.limits.max_mark_age:
            self.unmarked = Unmarked(symbol, None if mark.price is None else now - mark.at)
        return mark.price, False, False

    def _executable(self, at: MarketNow, depth: Depth, own: Decimal) -> Decimal | None:
        """What the position would bring a unit, on the book and by the last trades, whichever is worse for us."""
        lots = lots_of(at.market, abs(own), up=True)
        side = Side.SELL if own > 0 else Side.BUY
        price = depth.average(side, lots)
        if price is None or not at.trades:
            return price
        if side is Side.SELL:
            return min(price, at.market.price(median_low(at.trades)))
        return max(price, at.market.price(median_high(at.trades)))

    # Days and peaks ---------------------------------------------------------------------------------------

    def _equity(self, currency: str, value: "_Value", now: int) -> Equity | None:
        """The equity as of today; None before anything is known. A day that began while nobody looked begins with
        what was known last."""
        today = self.day(now)
        equity = self.kept.get(currency)
        if equity is None and value.profit is not None:
            # Nobody counted before: fills of earlier runs are no loss of today, nor a peak.
            equity = self.kept[currency] = Equity(today, value.profit, value.profit, value.profit)
        elif equity is not None and equity.day != today:
            equity.day, equity.day_start = today, equity.last
        return equity

    def day(self, now: int) -> int:
        return (now - self.limits.day_start) // DAY

    def _rise(self, currency: str, equity: Equity, value: "_Value", now: int) -> None:
        profit = value.profit
        if not value.sound or profit is None or profit <= equity.peak:
            self._rising.pop(currency, None)
            return
        lowest, since = self._rising.get(currency, (profit, now))
        lowest = min(lowest, profit)
        self._rising[currency] = (lowest, since)
        if now - since >= PEAK_HELD:
            equity.peak = lowest
            del self._rising[currency]

    # Limits -----------------------------------------------------------------------------------------------

    def _judge(self, currency: str, equity: Equity, value: "_Value", now: int) -> Iterator[Breach]:
        assert value.profit is not None
        checks: tuple[tuple[Limit, Mapping[str, Decimal], Decimal], ...] = (
            ("max_daily_loss", self.limits.max_daily_loss, equity.day_start),
            ("max_drawdown", self.limits.max_drawdown, equity.peak),
        )
        for limit, mosts, high in checks:
            most = mosts.get(currency)
            loss = MONEY.subtract(high, value.profit)
            if most is None or loss <= most:
                self._lost_since.pop((limit, currency), None)
                continue
            realised = MONEY.subtract(high, value.realised) > most
            if not (value.current or realised):
                continue  # an old mark is no evidence that the loss lasts
            since = self._lost_since.setdefault((limit, currency), now)
            if realised or now - since >= self.limits.loss_persists:
                yield Breach(limit, currency, loss, most)


class _Value(Struct):
    """Profit of one quote currency now. `current`: every mark behind it is of this moment; `sound`: may make a peak."""

    profit: Decimal | None
    realised: Decimal
    current: bool = True
    sound: bool = True


def begun_anew(kept: "Kept", limit: str) -> "Kept":
    """What is remembered once a latch of `limit` was lifted: from here on it counts anew, or it would fall again at
    once."""
    match limit:
        case "max_drawdown":
            equity = {name: structs.replace(each, peak=each.last) for name, each in kept.equity.items()}
            return structs.replace(kept, equity=equity)
        case "max_daily_loss":
            equity = {name: structs.replace(each, day_start=each.last) for name, each in kept.equity.items()}
            return structs.replace(kept, equity=equity)
        case "max_consecutive_rejects":
            return structs.replace(kept, rejects=0)
        case "max_consecutive_errors":
            return structs.replace(kept, errors=0)
    return kept


# In the journal -----------------------------------------------------------------------------------------------


class Kept(Struct, frozen=True):
    """What the limits on losses and failures remember across runs."""

    equity: dict[str, Equity] = {}
    rejects: int = 0
    errors: int = 0
    cancels: tuple[int, ...] = ()  # moments (ns) that the limit on their rate still counts


def encoded(kept: Kept) -> str:
    return msgspec.json.encode(kept).decode()


def decoded(text: str | None) -> Kept:
    """Raises msgspec.MsgspecError for what was not written by `encoded`."""
    return Kept() if text is None else msgspec.json.decode(text, type=Kept)
