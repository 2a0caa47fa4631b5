"""The one gate that every order of every mode passes: Approved, or Refused with a stable code and the numbers.

Counting is worst case and per side: a buy is judged against the position plus every buy that may exist, a sell
against the position minus every sell that may exist; they are never netted, and an order whose fate is unknown
counts in full. Source: orders.md rules 8, 19, 20 and 23. A limit that cannot be evaluated refuses.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

from msgspec import Struct

from runner.engine.funds import Funds, cost
from runner.engine.reconcile import Target
from runner.engine.view import MarketData
from runner.model.market import Market
from runner.model.money import MONEY, ZERO, plain
from runner.model.order import Order, OrderRow, Side
from runner.model.settings import SECOND, Limits

MARKET_BUY_LOCK = Decimal("1.1")  # of the cost; the buffer is the venue's only price protection (reference 5.3)
DEPTH = 300  # levels a side, as many as the venue's snapshot has


class Approved(Struct, frozen=True):
    """A target that may become an order now. Only the gate makes one; only from one can a `Place` be made.

    `locks` of `currency` is what the venue will set aside for it. `numbers` are what was compared, this order counted:
    by the name of each limit that is set, used of allowed.
    """

    target: Target
    currency: str
    locks: Decimal
    numbers: dict[str, str] = {}


class Refused(Struct, frozen=True):
    """`code` is stable; `numbers` are what was compared, as text."""

    target: Target
    code: str
    numbers: dict[str, str | int | float | None]


class Waiting(Struct, frozen=True):
    """Nothing is wrong with it: its funds are not free yet. `wanted` and `spendable` are in `currency`."""

    target: Target
    currency: str
    wanted: Decimal
    spendable: Decimal


class Situation(Struct, frozen=True):
    """What a tick's verdicts rest on.

    `orders`: every order of ours that exists or may exist. `foreign`: other live orders of the account, read only.
    `parents`: lots filled so far, by parent. `names_used_up`: whether a slot has no client order id left.
    """

    now: int
    markets: Mapping[str, Market]
    books: Mapping[str, MarketData]
    heard_at: Mapping[str, int]
    orders: Iterable[Order]
    foreign: Iterable[OrderRow]
    position: Callable[[str], Decimal]
    parents: Mapping[str, int]
    funds: Funds
    names_used_up: Callable[[str], bool] = lambda _slot: False


_Refusal = tuple[str, dict[str, str | int | float | None]]


class Gate:
    """Judges the proposals of one tick, in their order: what it approved counts against what follows."""

    def __init__(self, limits: Limits, situation: Situation) -> None:
        self._limits = limits
        self._at = situation
        self._open = 0
        self._received: dict[str, Decimal] = {}  # by currency, if every order that may exist trades in full
        self._paid: dict[str, Decimal] = {}
        self._spent: dict[str, Decimal] = {}  # by what was approved in this tick
        self._parents = dict(situation.parents)
        self._bids: dict[str, int] = {}  # own highest bid and lowest ask, by market
        self._asks: dict[str, int] = {}
        for order in situation.orders:
            self._count(order.market, order.side, order.ticks, order.unbooked_lots, order.parent)
        for row in situation.foreign:
            self._reach(row.market, row.side, row.ticks)

    def judge(self, target: Target) -> Approved | Refused | Waiting:
        market = self._at.markets[target.market]
        refusal = self._rules(target, market) or self._book(target)
        if refusal is not None:
            return Refused(target, *refusal)
        # A market order is judged as the limit order that the visible depth makes of it.
        ticks = self._reaches(target.market, target.side, target.lots) if target.ticks is None else target.ticks
        if ticks is None:
            return Refused(target, "insufficient_market_liquidity", {"quantity": plain(market.quantity(target.lots))})
        for check in (self._post_only, self._size, self._exposure, self._parent, self._self_trade):
            refusal = check(target, market, ticks)
            if refusal is not None:
                return Refused(target, *refusal)
        return self._fund(target, market, ticks)

    def _fund(self, target: Target, market: Market, ticks: int) -> Approved | Waiting:
        currency, needs = cost(market, target.side, ticks, target.lots)
        spent = self._spent.get(currency, ZERO)
        spendable = MONEY.subtract(self._at.funds.spendable(currency), spent)
        if needs > spendable:
            return Waiting(target, currency, needs, spendable)
        locks = needs
        if target.ticks is None and target.side is Side.BUY:
            locks = min(MONEY.multiply(needs, MARKET_BUY_LOCK), spendable)
        self._spent[currency] = MONEY.add(spent, locks)
        self._count(target.market, target.side, ticks, target.lots, target.parent and target.parent[0])
        return Approved(target, currency, locks, self._compared(target, market, ticks, locks, spendable))

    # The checks -------------------------------------------------------------------------------------------

    def _rules(self, target: Target, market: Market) -> _Refusal | None:
        if self._at.names_used_up(target.slot):
            return "names_used_up", {"slot": target.slot}
        if not market.enabled:
            return "market_disabled", {"market": market.symbol}
        quantity = market.quantity(target.lots)
        if target.lots <= 0 or quantity < market.quantity_min:
            return "quantity_min", {"quantity": plain(quantity), "limit": plain(market.quantity_min)}
        if target.ticks is None:
            return None
        price = market.price(target.ticks)
        if target.ticks <= 0 or price < market.price_min:
            return "price_min", {"price": plain(price), "limit": plain(market.price_min)}
        if market.price_max is not None and price > market.price_max:
            return "price_max", {"price": plain(price), "limit": plain(market.price_max)}
        return None

    def _book(self, target: Target) -> _Refusal | None:
        book = self._at.books[target.market]
        if book.state != "live":
            return "book_not_live", {"state": book.state}
        age, limit = self._at.now - self._at.heard_at[target.market], self._limits.max_book_age
        if age > limit:
            return "max_book_age", {"age_s": age / SECOND, "limit_s": limit / SECOND}
        return None

    def _post_only(self, target: Target, market: Market, ticks: int) -> _Refusal | None:
        """The venue has no such order, so this is a promise about the book as we see it, not about the fill."""
        book = self._at.books[target.market]
        touch = book.best_ask() if target.side is Side.BUY else book.best_bid()
        if not target.post_only or touch is None or (ticks - touch[0]) * target.side.sign < 0:
            return None
        return "post_only", {"price": plain(market.price(ticks)), "touch": plain(market.price(touch[0]))}

    def _size(self, target: Target, market: Market, ticks: int) -> _Refusal | None:
        most = self._limits.max_open_orders
        if most is not None and self._open >= most:
            return "max_open_orders", {"open": self._open, "limit": most}
        limit = self._limits.max_order_notional.get(market.quote)
        if limit is not None:
            notional = market.notional(ticks, target.lots)
            if notional > limit:
                return "max_order_notional", {"notional": plain(notional), "limit": plain(limit)}
        return None

    def _exposure(self, target: Target, market: Market, ticks: int) -> _Refusal | None:
        (gained, received), (given, paid) = self._flows(target.market, target.side, ticks, target.lots)
        limit = self._limits.max_position.get(gained)
        if limit is not None:
            worst = MONEY.add(self._at.position(gained), MONEY.add(received, self._received.get(gained, ZERO)))
            if worst > limit:
                return "max_position", {"currency": gained, "worst": plain(worst), "limit": plain(limit)}
        limit = self._limits.max_position.get(given)
        if limit is not None:
            worst = MONEY.subtract(self._at.position(given), MONEY.add(paid, self._paid.get(given, ZERO)))
            if worst < MONEY.minus(limit):
                return "max_position", {"currency": given, "worst": plain(worst), "limit": f"-{plain(limit)}"}
        return None

    def _parent(self, target: Target, market: Market, _ticks: int) -> _Refusal | None:
        if target.parent is None:
            return None
        name, total = target.parent
        would_be = self._parents.get(name, 0) + target.lots
        if would_be <= total:
            return None
        numbers = {"would_be": plain(market.quantity(would_be)), "limit": plain(market.quantity(total))}
        return "parent_total", {"parent": name, **numbers}

    def _self_trade(self, target: Target, market: Market, ticks: int) -> _Refusal | None:
        """The venue lets an account trade with itself and charges both fees."""
        own = self._asks.get(target.market) if target.side is Side.BUY else self._bids.get(target.market)
        if own is None or (ticks - own) * target.side.sign < 0:
            return None
        return "self_trade", {"price": plain(market.price(ticks)), "own": plain(market.price(own))}

    # Worst case -------------------------------------------------------------------------------------------

    def _count(self, symbol: str, side: Side, ticks: int | None, lots: int, parent: str | None) -> None:
        self._open += 1
        if self._limits.max_position:
            price = self._reaches(symbol, side, lots) if ticks is None else ticks
            (gained, received), (given, paid) = self._flows(symbol, side, price or 0, lots)
            self._received[gained] = MONEY.add(self._received.get(gained, ZERO), received)
            self._paid[given] = MONEY.add(self._paid.get(given, ZERO), paid)
        if parent is not None:
            self._parents[parent] = self._parents.get(parent, 0) + lots
        self._reach(symbol, side, ticks)

    def _reach(self, symbol: str, side: Side, ticks: int | None) -> None:
        if ticks is None:
            return
        if side is Side.BUY:
            self._bids[symbol] = max(ticks, self._bids.get(symbol, ticks))
        else:
            self._asks[symbol] = min(ticks, self._asks.get(symbol, ticks))

    def _reaches(self, symbol: str, side: Side, lots: int) -> int | None:
        """The last price a market order would trade at on the visible depth; None where that is too little."""
        book = self._at.books[symbol]
        for ticks, there in book.asks(DEPTH) if side is Side.BUY else book.bids(DEPTH):
            lots -= there
            if lots <= 0:
                return ticks
        return None

    def _compared(
        self, target: Target, market: Market, ticks: int, locks: Decimal, spendable: Decimal
    ) -> dict[str, str]:
        """For whoever asks later why this order was let through; it is counted already."""
        limits, numbers = self._limits, {}
        base, quote, buys = market.base, market.quote, target.side is Side.BUY
        most = limits.max_position.get(base)
        if most is not None:
            moves = (self._received if buys else self._paid).get(base, ZERO)
            combine = MONEY.add if buys else MONEY.subtract
            worst, limit = combine(self._at.position(base), moves), combine(ZERO, most)
            numbers["max_position"] = f"{plain(worst)} of {plain(limit)} {base}"
        most = limits.max_order_notional.get(quote)
        if most is not None:
            numbers["max_order_notional"] = f"{plain(market.notional(ticks, target.lots))} of {plain(most)} {quote}"
        if limits.max_open_orders is not None:
            numbers["max_open_orders"] = f"{self._open} of {limits.max_open_orders}"
        if target.parent is not None:
            name, total = target.parent
            sums = (plain(market.quantity(lots)) for lots in (self._parents[name], total))
            numbers["parent_total"] = f"{' of '.join(sums)} {base}"
        numbers["funds"] = f"{plain(locks)} of {plain(spendable)} {quote if buys else base}"
        return numbers

    def _flows(self, symbol: str, side: Side, ticks: int, lots: int) -> tuple[tuple[str, Decimal], tuple[str, Decimal]]:
        """What the order receives and what it pays at most: ((currency, amount), (currency, amount)).

        Fees are taken from what is received, so leaving them out errs on the safe side.
        """
        market = self._at.markets[symbol]
        base = (market.base, market.quantity(lots))
        if side is Side.BUY:
            return base, (market.quote, market.notional(ticks, lots))
        best = self._at.books[symbol].best_bid()  # a sell that crosses receives the better price
        ticks = ticks if best is None else max(ticks, best[0])
        return (market.quote, market.notional(ticks, lots)), base
