"""The one gate that every order of every mode passes: Approved, or Refused with a stable code and the numbers.

Counting is worst case and per side: a buy is judged against the position plus every buy that may exist, a sell
against the position minus every sell that may exist; they are never netted, and an order whose fate is unknown
counts in full. Source: orders.md rules 8, 19, 20 and 23. A limit that cannot be evaluated refuses.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct, structs

from runner.engine.depth import LEVELS, Depth
from runner.engine.funds import Funds, cost
from runner.engine.pace import Pace
from runner.engine.reconcile import Target
from runner.engine.view import MarketData
from runner.model.market import Market
from runner.model.money import MONEY, ZERO, plain
from runner.model.order import Order, OrderRow, OrderState, Side
from runner.model.settings import SECOND, Limits

MARKET_BUY_LOCK = Decimal("1.1")  # of the cost; the buffer is the venue's only price protection (reference 5.3)


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


class InTheWay(Struct, frozen=True):
    """Nothing is wrong with it: it would trade with `orders` of ours, which come first. They may be none, where it
    waits for another order to go by itself."""

    target: Target
    orders: tuple[Order, ...] = ()


Numbers = dict[str, str | int | float | None]


class Restraint(Struct, frozen=True):
    """Why only orders that reduce a position pass now: the code and numbers that a refusal tells."""

    code: str
    numbers: Numbers


class Situation(Struct, frozen=True, kw_only=True):
    """What a tick's verdicts rest on.

    `orders`: every order of ours that exists or may exist. `foreign`: other live orders of the account, read only.
    `heard_at`: when each book was last proven fresh, `account_heard_at` the same of the account, ns. `last_trades`:
    ticks of the last public trade, where one was seen. `clock_offset`: venue clock minus ours, ns. `parents`: lots
    filled so far, by parent. `names_used_up`: whether a slot has no client order id left.
    """

    now: int
    markets: Mapping[str, Market]
    books: Mapping[str, MarketData]
    heard_at: Mapping[str, int]
    orders: Sequence[Order]
    foreign: Sequence[OrderRow]
    position: Callable[[str], Decimal]
    parents: Mapping[str, int]
    funds: Funds
    names_used_up: Callable[[str], bool] = lambda _slot: False
    provisional_fees: Callable[[str], Decimal] = lambda _currency: ZERO
    last_trades: Mapping[str, int] = {}
    account_heard_at: int | None = None
    clock_offset: int = 0
    pace: Pace = Pace()
    restraint: Restraint | None = None


_Refusal = tuple[str, Numbers]


class Gate:
    """Judges the proposals of one tick, in their order: what it approved counts against what follows."""

    def __init__(self, limits: Limits, situation: Situation) -> None:
        self._limits = limits
        self._at = situation
        self._worth = bool(limits.max_position or limits.min_position or limits.max_open_notional or limits.allocation)
        self._open = 0
        self._received: dict[str, Decimal] = {}  # by currency, if every order that may exist trades in full
        self._paid: dict[str, Decimal] = {}
        self._notional: dict[tuple[str, Side], Decimal] = {}  # of every order that may exist, by quote currency
        self._quantity: dict[tuple[str, Side], Decimal] = {}  # the same of base, by base currency
        self._spent: dict[str, Decimal] = {}  # by what was approved in this tick
        self._parents = dict(situation.parents)
        self._bids: dict[str, int] = {}  # the account's highest bid and lowest ask, by market
        self._asks: dict[str, int] = {}
        self._states: dict[str, _Refusal | None] = {}  # what the state of a market says to every order in it
        self._general = self._generally()
        for order in situation.orders:
            self._count(order.market, order.side, order.ticks, order.unbooked_lots, order.parent)
        for row in situation.foreign:
            self._reach(row.market, row.side, row.ticks)

    def judge(self, target: Target) -> Approved | Refused | Waiting | InTheWay:
        market = self._at.markets[target.market]
        refusal = self._rules(target, market) or self._book(target) or self._general or self._state(market)
        if refusal is not None:
            return Refused(target, *refusal)
        # A market order is judged as the limit order that the visible depth makes of it.
        ticks = self._reaches(target.market, target.side, target.lots) if target.ticks is None else target.ticks
        if ticks is None:
            return Refused(target, "insufficient_market_liquidity", {"quantity": plain(market.quantity(target.lots))})
        for check in _CHECKS:
            refusal = check(self, target, market, ticks)
            if refusal is not None:
                return Refused(target, *refusal)
        if self._limits.self_trade != "allow" and self._crosses(target.market, target.side, ticks):
            return self._prevent_self_trade(target, market, ticks)
        return self._fund(target, market, ticks)

    def keeps(self, order: Order) -> bool:
        """Whether an order that rests already has room under the limits on size and exposure; it then counts."""
        assert order.ticks is not None
        market, lots = self._at.markets[order.market], order.unbooked_lots
        target = Target(order.slot, order.market, order.side, order.ticks, lots, repeat=True, parent=None)
        for check in _STANDING:
            refusal = check(self, target, market, order.ticks)
            # What cannot be evaluated lets no new risk pass; that is no reason to give up a place in the queue.
            if refusal is not None and refusal[1].get("worst", "") is not None:
                return False
        self._count(order.market, order.side, order.ticks, lots, None)
        return True

    def _fund(self, target: Target, market: Market, ticks: int) -> Approved | Refused | Waiting:
        currency, needs = cost(market, target.side, ticks, target.lots)
        spent = self._spent.get(currency, ZERO)
        spendable = MONEY.subtract(self._at.funds.spendable(currency), spent)
        share = self._allotted(currency)
        if share is not None:
            if needs > share:
                return Refused(
                    target, "allocation", {"currency": currency, "needs": plain(needs), "limit": plain(share)}
                )
            spendable = min(spendable, MONEY.subtract(share, self._paid.get(currency, ZERO)))
        if needs > spendable:
            return Waiting(target, currency, needs, spendable)
        locks = needs
        if target.ticks is None and target.side is Side.BUY:
            locks = min(MONEY.multiply(needs, MARKET_BUY_LOCK), spendable)
        floor = self._limits.balance_floor.get(currency)
        if floor is not None and MONEY.subtract(spendable, locks) < floor:
            left = MONEY.subtract(spendable, locks)
            return Refused(target, "balance_floor", {"currency": currency, "left": plain(left), "limit": plain(floor)})
        self._spent[currency] = MONEY.add(spent, locks)
        self._count(target.market, target.side, ticks, target.lots, target.parent and target.parent[0])
        return Approved(target, currency, locks, self._compared(target, market, ticks, locks, spendable))

    def _allotted(self, currency: str) -> Decimal | None:
        """What our orders may lock of a currency in all; None where no allocation binds."""
        if self._limits.allocation is None:
            return None
        balance = self._at.funds.balance(currency)
        return MONEY.multiply(MONEY.add(balance.available, balance.locked), self._limits.allocation)

    # What every order meets -------------------------------------------------------------------------------

    def _generally(self) -> _Refusal | None:
        """Refusals that rest on no market."""
        at, limits = self._at, self._limits
        if abs(at.clock_offset) > limits.max_clock_skew:
            skew, most = at.clock_offset / SECOND, limits.max_clock_skew / SECOND
            return "max_clock_skew", {"skew_s": skew, "limit_s": most}
        if limits.max_account_age is not None:
            if at.account_heard_at is None:
                return "max_account_age", {"age_s": None, "limit_s": limits.max_account_age / SECOND}
            age = at.now - at.account_heard_at
            if age > limits.max_account_age:
                return "max_account_age", {"age_s": age / SECOND, "limit_s": limits.max_account_age / SECOND}
        if limits.max_cancel_rate is not None:
            cancels = at.pace.cancelled(limits.max_cancel_rate, at.now)
            if cancels >= limits.max_cancel_rate.times:
                return "max_cancel_rate", {"cancels": cancels, "limit": str(limits.max_cancel_rate)}
        return None

    def _state(self, market: Market) -> _Refusal | None:
        """What the state of a market says to every order in it."""
        if self._limits.max_spread is None and self._limits.min_spread is None:
            return None
        if market.symbol not in self._states:
            self._states[market.symbol] = self._spread(market)
        return self._states[market.symbol]

    def _spread(self, market: Market) -> _Refusal | None:
        limits = self._limits
        spread = Depth(market, self._at.books[market.symbol], self._at.orders).spread()
        shown = None if spread is None else f"{spread:.6f}"
        most, least = limits.max_spread, limits.min_spread
        if most is not None and (spread is None or spread > most):
            return "max_spread", {"spread": shown, "limit": plain(most)}
        if least is not None and (spread is None or spread < least):
            return "min_spread", {"spread": shown, "limit": plain(least)}
        return None

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

    def _reduces(self, target: Target, market: Market, _ticks: int) -> _Refusal | None:
        """Under a restraint a sell may at most sell what is held, a buy at most buy back what is short, every order of
        that side counted."""
        restraint = self._at.restraint
        if restraint is None:
            return None
        others = self._quantity.get((market.base, target.side), ZERO)
        held = MONEY.multiply(self._at.position(market.base), Decimal(-target.side.sign))
        if MONEY.add(others, market.quantity(target.lots)) <= held:
            return None
        return restraint.code, restraint.numbers

    def _how_many(self, _target: Target, _market: Market, _ticks: int) -> _Refusal | None:
        most, rate = self._limits.max_open_orders, self._limits.max_order_rate
        if most is not None and self._open >= most:
            return "max_open_orders", {"open": self._open, "limit": most}
        if rate is not None:
            orders = self._at.pace.placed(rate, self._at.now)  # those of this tick included
            if orders >= rate.times:
                return "max_order_rate", {"orders": orders, "limit": str(rate)}
        return None

    def _size(self, target: Target, market: Market, ticks: int) -> _Refusal | None:
        limits = self._limits
        most = limits.max_order_amount.get(market.base)
        if most is not None:
            quantity = market.quantity(target.lots)
            if quantity > most:
                return "max_order_amount", {"quantity": plain(quantity), "limit": plain(most)}
        most, least = limits.max_order_notional.get(market.quote), limits.min_order_notional.get(market.quote)
        if most is not None or least is not None:
            notional = market.notional(ticks, target.lots)
            if most is not None and notional > most:
                return "max_order_notional", {"notional": plain(notional), "limit": plain(most)}
            if least is not None and notional < least:
                return "min_order_notional", {"notional": plain(notional), "limit": plain(least)}
        return None

    def _collar(self, _target: Target, market: Market, ticks: int) -> _Refusal | None:
        """The furthest the order may trade from the reference, on either side of it."""
        collar = self._limits.price_collar
        if collar is None:
            return None
        price, reference = market.price(ticks), self._reference(market)
        numbers: Numbers = {"price": plain(price), "reference": None, "limit": plain(collar)}
        if reference is None:
            return "price_collar", numbers
        if abs(MONEY.subtract(price, reference)) <= MONEY.multiply(collar, reference):
            return None
        return "price_collar", numbers | {"reference": plain(reference)}

    def _reference(self, market: Market) -> Decimal | None:
        if self._limits.collar_price is not None:
            return self._limits.collar_price
        if self._limits.collar_reference == "last":
            last = self._at.last_trades.get(market.symbol)
            return None if last is None else market.price(last)
        book = self._at.books[market.symbol]
        bid, ask = book.best_bid(), book.best_ask()
        if bid is None or ask is None:
            return None
        return MONEY.multiply(market.price(bid[0] + ask[0]), _HALF)

    def _exposure(self, target: Target, market: Market, ticks: int) -> _Refusal | None:
        if not self._worth:
            return None
        limits = self._limits
        (gained, received), (given, paid) = self._flows(target.market, target.side, ticks, target.lots)
        most = limits.max_position.get(gained)
        if most is not None:
            worst = MONEY.add(self.highest(gained), received)
            if worst > most:
                return "max_position", {"currency": gained, "worst": plain(worst), "limit": plain(most)}
        least = limits.least_position(given)
        if least is not None:
            worst = MONEY.subtract(self.lowest(given), paid)
            if worst < least:
                code = "min_position" if given in limits.min_position else "max_position"
                return code, {"currency": given, "worst": plain(worst), "limit": plain(least)}
        most = limits.max_open_notional.get(market.quote)
        return None if most is None else self._open_notional(target, market, ticks, most)

    def _open_notional(self, target: Target, market: Market, ticks: int, most: Decimal) -> _Refusal | None:
        there, unpriced = self.open_notional(market.quote, target.side)
        if unpriced is not None:
            return "max_open_notional", {"worst": None, "limit": plain(most), "unpriced": unpriced}
        worth = MONEY.add(there, market.notional(ticks, target.lots))
        return None if worth <= most else ("max_open_notional", {"worst": plain(worth), "limit": plain(most)})

    def _parent(self, target: Target, market: Market, _ticks: int) -> _Refusal | None:
        if target.parent is None:
            return None
        name, total = target.parent
        would_be = self._parents.get(name, 0) + target.lots
        if would_be <= total:
            return None
        numbers = {"would_be": plain(market.quantity(would_be)), "limit": plain(market.quantity(total))}
        return "parent_total", {"parent": name, **numbers}

    # Self-trades: the venue lets an account trade with itself and charges both fees -----------------------

    def _crosses(self, symbol: str, side: Side, ticks: int) -> bool:
        own = self._asks.get(symbol) if side is Side.BUY else self._bids.get(symbol)
        return own is not None and (ticks - own) * side.sign >= 0

    def _prevent_self_trade(self, target: Target, market: Market, ticks: int) -> Refused | InTheWay:
        met = tuple(
            order
            for order in self._at.orders
            if order.market == target.market
            and order.side is not target.side
            and order.ticks is not None
            and (ticks - order.ticks) * target.side.sign >= 0
        )
        match self._limits.self_trade:
            case "cancel_newest":
                return InTheWay(target)
            case "cancel_oldest" if met:
                return InTheWay(target, met)
        own = self._asks[target.market] if target.side is Side.BUY else self._bids[target.market]
        return Refused(target, "self_trade", {"price": plain(market.price(ticks)), "own": plain(market.price(own))})

    # Worst case -------------------------------------------------------------------------------------------

    @property
    def open_orders(self) -> int:
        return self._open

    def highest(self, currency: str) -> Decimal:
        """The most that may be held: the position and all that orders may still bring."""
        # A fee that nobody has told may turn out to be less, and the position more.
        held = MONEY.add(self._at.position(currency), self._at.provisional_fees(currency))
        return MONEY.add(held, self._received.get(currency, ZERO))

    def lowest(self, currency: str) -> Decimal:
        """The least that may be held: the position less all that orders may still take."""
        return MONEY.subtract(self._at.position(currency), self._paid.get(currency, ZERO))

    def open_notional(self, quote: str, side: Side) -> tuple[Decimal, str | None]:
        """What is held on a side, at the best ask, and every order of that side at its price; and the market whose
        position has no price now, where there is one."""
        worth = self._notional.get((quote, side), ZERO)
        for symbol, book in self._at.books.items():
            market = self._at.markets[symbol]
            held = MONEY.multiply(self._at.position(market.base), Decimal(side.sign))
            if market.quote != quote or held <= 0:
                continue
            best = book.best_ask() or book.best_bid()
            if best is None:
                return worth, symbol
            worth = MONEY.add(worth, MONEY.multiply(held, market.price(best[0])))
        return worth, None

    def _count(self, symbol: str, side: Side, ticks: int | None, lots: int, parent: str | None) -> None:
        self._open += 1
        market = self._at.markets[symbol]
        if self._worth:
            price = self._reaches(symbol, side, lots) if ticks is None else ticks
            (gained, received), (given, paid) = self._flows(symbol, side, price or 0, lots)
            self._received[gained] = MONEY.add(self._received.get(gained, ZERO), received)
            self._paid[given] = MONEY.add(self._paid.get(given, ZERO), paid)
            worth = (market.quote, side)
            self._notional[worth] = MONEY.add(self._notional.get(worth, ZERO), market.notional(price or 0, lots))
        if self._at.restraint is not None:
            each = (market.base, side)
            self._quantity[each] = MONEY.add(self._quantity.get(each, ZERO), market.quantity(lots))
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
        for ticks, there in book.asks(LEVELS) if side is Side.BUY else book.bids(LEVELS):
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
        most = limits.max_position.get(base) if buys else limits.least_position(base)
        if most is not None:
            worst = self.highest(base) if buys else self.lowest(base)
            bound = "max_position" if buys or base not in limits.min_position else "min_position"
            numbers[bound] = f"{plain(worst)} of {plain(most)} {base}"
        most = limits.max_order_amount.get(base)
        if most is not None:
            numbers["max_order_amount"] = f"{plain(market.quantity(target.lots))} of {plain(most)} {base}"
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


def without_room(changed: Collection[str], limits: Limits, situation: Situation) -> list[Order]:
    """Resting orders for which the limits named in `changed` have no room any more: the oldest stay in their place.

    What is on its way or of unknown fate cannot be taken back now, so it counts first. A limit that is as it was binds
    nothing here: the market may have moved since it let these orders pass.
    """
    stricter = {name: getattr(limits, name) for name in STANDING_LIMITS if name in changed}
    if not stricter:
        return []
    resting = [order for order in situation.orders if _rests(order)]
    others = [order for order in situation.orders if not _rests(order)]
    gate = Gate(Limits(**stricter), structs.replace(situation, orders=others, restraint=None))
    return [order for order in sorted(resting, key=lambda order: order.created) if not gate.keeps(order)]


def _rests(order: Order) -> bool:
    return order.ticks is not None and order.state in (OrderState.ACCEPTED, OrderState.OPEN)


STANDING_LIMITS = (
    "max_order_amount",
    "max_order_notional",
    "max_position",
    "min_position",
    "max_open_orders",
    "max_open_notional",
)
"""Those that an order must keep to as long as it rests; the others judge the moment in which it is placed."""

_HALF = Decimal("0.5")
_STANDING = (Gate._how_many, Gate._size, Gate._exposure)
_CHECKS = (
    Gate._post_only,
    Gate._reduces,
    Gate._how_many,
    Gate._size,
    Gate._collar,
    Gate._exposure,
    Gate._parent,
)
