"""Getting out: after every own order is proven gone, sell what is held (or buy back what is short), and nothing more.

One order at a time, in the slot `flatten`: a limit at the best opposite price of others, less the slippage that the
file allows (the venue has no immediate-or-cancel). What is left of it after five seconds is cancelled, proven gone,
and priced anew; attempts and time are bounded. It is exempt from the limits on rates and numbers of orders, never from
the collar nor from any other. In a book that is stale, has one side only, or is ours alone, nothing is placed: the
residual is told, and a person decides. Source: issue "One gate and one strict file", Risk.
"""

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from msgspec import structs

from runner.engine.account import Account
from runner.engine.depth import Depth, lots_of
from runner.engine.effects import Effects
from runner.engine.feeds import Feeds
from runner.engine.orders import SIGN_WITHIN
from runner.engine.reconcile import Target
from runner.engine.risk import Approved, Gate, Refused, Restraint, Situation, Waiting
from runner.model.ids import FLATTEN
from runner.model.market import Market
from runner.model.money import MONEY, ONE, ZERO, plain, quotient
from runner.model.order import Order, Side
from runner.model.settings import MILLISECOND, SECOND, Limits

REST_FOR = 5 * SECOND  # before what is left of an order is cancelled and priced anew
ATTEMPTS = 20  # of each market
BOOK_WITHIN = 10 * SECOND  # a book that cannot be used may come back for so long


class Flatten:
    """The way from a position to none, or to a residual with its reason. One market after the other."""

    def __init__(
        self,
        limits: Limits,
        markets: Mapping[str, Market],
        feeds: Feeds,
        account: Account,
        situation: Callable[[int], Situation],
        now: int,
    ) -> None:
        # Of the gate everything holds but what would keep us in: rates, and how many orders there are.
        self._limits = structs.replace(limits, max_order_rate=None, max_cancel_rate=None, max_open_orders=None)
        self._markets = markets
        self._feeds = feeds
        self._account = account
        self._situation = situation
        self._left = list(feeds.by_symbol)
        self._attempts = 0
        self._order: str | None = None  # client id of the one that is out
        self._gone_at = now  # since when nothing of ours is at work
        self._look_at = now
        self._waits_since: int | None = None  # for a book that can be used
        self._why = ""  # why the latest look placed nothing
        self._hopeless = False  # and whether waiting would change it
        self.give_up_at = now + limits.flatten_within
        self.residual: dict[str, str] = {}  # by market: what is left, and why

    @property
    def done(self) -> bool:
        return not self._left

    def rests(self, order: Order, now: int) -> bool:
        """It may go on working: it is ours, and its time is not over."""
        return order.client_id == self._order and now < order.created + REST_FOR

    def next_at(self, now: int) -> int | None:
        """When to look again, beside the news of orders and balances that come by themselves."""
        if self.done:
            return None
        order = None if self._order is None else self._account.orders.get(self._order)
        if order is not None and not order.state.terminal:
            return max(now, order.created + REST_FOR)
        return min(self._look_at, self.give_up_at)

    def go_on(self, event: int, now: int, offset: int, free: int, out: Effects) -> int:
        """Nothing of ours is at work: place what is missing, or find that this market is done.

        Returns how many of the `free` requests that took.
        """
        if self._order is not None:
            self._order, self._gone_at = None, now
        self._look_at = now + SECOND
        while self._left:
            symbol = self._left[0]
            if self._placed(symbol, event, now, offset, free, out):
                return 1
            if not self._finished(symbol, now, out):
                return 0  # it waits: for a balance, a book, a request
            self._left.pop(0)
            self._attempts, self._waits_since = 0, None
        return 0

    # One market -------------------------------------------------------------------------------------------

    def _finished(self, symbol: str, now: int, out: Effects) -> bool:
        """Whether this market needs no more looks. `residual` then tells why something is left there."""
        market = self._markets[symbol]
        held = self._account.ledger.position(market.base)
        lots = lots_of(market, abs(held), up=False)
        why = self._why
        if lots == 0 or market.quantity(lots) < market.quantity_min:
            why = "less than the market's minimum" if held else ""
        elif self._attempts >= ATTEMPTS:
            why = f"{ATTEMPTS} attempts"
        elif now >= self.give_up_at:
            why = f"no more time ({why})" if why else "no more time"
        elif not why or not self._hopeless:
            return False
        if held:
            self.residual[symbol] = f"{plain(held)} {market.base} left: {why}"
            out.note("flatten.residual", level="error", market=symbol, left=plain(held), currency=market.base, why=why)
        return True

    def _placed(self, symbol: str, event: int, now: int, offset: int, free: int, out: Effects) -> bool:
        self._why, self._hopeless = "", False
        if now >= self.give_up_at or self._attempts >= ATTEMPTS:
            return False
        funds = self._account.funds
        if funds.read_at is None or funds.read_at < self._gone_at:
            self._account.watch.want("balances", now)  # what our own orders had locked is free again, or it is not
            return False
        target = self._target(symbol, now)
        if target is None or free < 1:
            return False
        restraint = Restraint("flatten", {"market": symbol})
        verdict = Gate(self._limits, structs.replace(self._situation(now), restraint=restraint)).judge(target)
        match verdict:
            case Approved():
                sign_before = (now + offset + SIGN_WITHIN) // MILLISECOND
                reason = f"flatten {symbol}"
                order = self._account.orders.intend(verdict, reason, event, now, sign_before, out)
                self._order = order.client_id
                self._attempts += 1
                return True
            case Refused(code=restraint.code):
                # Sold once more, and the late one filled as well, it would be turned round (orders.md rules 9 and 19).
                self._why, self._hopeless = "an order that is gone may still turn up, and counts for it", True
            case Refused(code=code, numbers=numbers):
                self._why = f"{code} " + ", ".join(f"{name} {value}" for name, value in numbers.items())
                self._hopeless = code not in ("book_not_live", "max_book_age", "max_account_age", "max_clock_skew")
            case Waiting():
                self._account.funds_short(now)
        return False

    def _target(self, symbol: str, now: int) -> Target | None:
        """The next order; None where there is nothing to do, or no book to do it in."""
        market, feed = self._markets[symbol], self._feeds.by_symbol[symbol]
        held = self._account.ledger.position(market.base)
        if not held:
            return None
        side = Side.SELL if held > 0 else Side.BUY
        depth = Depth(market, feed.book, self._account.orders.live())
        best, usable = depth.best(side.opposite), self._feeds.lacks(symbol, now, self._limits.max_book_age) is None
        if best is None or depth.best(side) is None or not usable:
            self._waits_since = now if self._waits_since is None else self._waits_since
            self._why = "the book is stale, or has not two sides of others"
            self._hopeless = now - self._waits_since >= BOOK_WITHIN
            return None
        self._waits_since = None
        ticks = self._ticks(side, best)
        lots = min(lots_of(market, abs(held), up=False), self._most(market, side, ticks))
        if lots <= 0 or market.quantity(lots) < market.quantity_min:
            self._why, self._hopeless = "the account has not enough available", True
            return None
        price = ticks if self._limits.flatten_with == "limit" else None
        return Target(FLATTEN, symbol, side, price, lots, repeat=True, parent=None)

    def _ticks(self, side: Side, best: int) -> int:
        """The best opposite price and the slippage allowed, on the grid, never beyond."""
        slippage = MONEY.multiply(self._limits.flatten_slippage, Decimal(side.sign))
        exact = MONEY.multiply(Decimal(best), MONEY.add(ONE, slippage))
        return max(1, int(exact.to_integral_value(ROUND_CEILING if side is Side.SELL else ROUND_FLOOR)))

    def _most(self, market: Market, side: Side, ticks: int) -> int:
        """Lots that are available for it and that the limits on one order allow."""
        funds, limits, price = self._account.funds, self._limits, market.price(ticks)
        if side is Side.SELL:
            bounds = [funds.spendable(market.base)]
        else:
            bounds = [quotient(funds.spendable(market.quote), price, ROUND_FLOOR)]
        amount, notional = limits.max_order_amount.get(market.base), limits.max_order_notional.get(market.quote)
        if amount is not None:
            bounds.append(amount)
        if notional is not None:
            bounds.append(quotient(notional, price, ROUND_FLOOR))
        return lots_of(market, max(ZERO, min(bounds)), up=False)
