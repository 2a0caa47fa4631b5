"""The books of one strategy: fills, positions, fees, profit and loss, in exact money.

Fills are a set keyed by (trade id, order id): booking one twice changes nothing, and every number here is a
function of the set alone, not of the order in which its members became known. Amounts are of the currency they
are named with, prices quote per base. Source: orders.md rules 14 to 16.

Profit is that of our own fills, by average cost, in the order of the venue's trade ids. What was held before (the
initial position) counts in positions but has no known cost: selling it opens an own position below zero, whose
average is that of the sales. Fees stay where they were taken: a buy's base fee lowers what was received, and so
raises its average cost; a sell's quote fee lowers its proceeds. A fee in a third currency lowers that currency's
position and touches no profit.

Everything is exact but two divisions. An average price is for the eye (60 digits). A partial close takes its share
of the cost, cut towards zero at 1e-16 quote, as finely as the venue counts money; what it takes from the cost it
gives to the profit, so that `realised + unrealised(mark) == quote flow + own base * mark` holds to the last digit.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct, structs

from runner.model.market import Market
from runner.model.money import MONEY, ZERO, quotient, share
from runner.model.order import Fill

COST_PLACES = 16
"""Decimals of quote at which the share of a partial close is cut. Source: wire reference 5.5."""


class Holding(Struct, frozen=True):
    """What we have in one market. `average_price` is quote per base, None when `own_base` is zero.

    `base` is `own_base` (own fills of this market, net of base fees) plus the initial position of the currency.
    `realised` is in quote.
    """

    base: Decimal
    own_base: Decimal
    average_price: Decimal | None
    realised: Decimal


class Ledger:
    """Own fills and what follows from them.

    `markets` maps symbol -> Market and must name the market of every fill; `initial_position` maps currency -> what
    was held before the first fill. `volume` (base and quote, gross), `fees` and `count` are running totals to read.
    A fill traded before the venue second `since` is known, and part of the initial position: it moves no number but
    `count` and the lots of its order.
    """

    def __init__(
        self, markets: Mapping[str, Market], initial_position: Mapping[str, Decimal], *, since: int = 0
    ) -> None:
        self._accounts = {symbol: _Account(market) for symbol, market in markets.items()}
        self._initial = dict(initial_position)
        self._since = since
        self._positions = dict(initial_position)
        self._fills: dict[tuple[int, int], Fill] = {}
        self._orders: dict[str, list[tuple[int, int]]] = {}
        self._owners: dict[int, str] = {}
        self._filled_lots: dict[str, int] = {}
        self.volume: dict[str, Decimal] = {}
        self.fees: dict[str, Decimal] = {}
        self._provisional: dict[str, Decimal] = {}  # the part of them that nobody has told yet

    # Booking ----------------------------------------------------------------------------------------------

    def book(self, fill: Fill) -> Fill | None:
        """Book a fill once. Returns what now stands in the books, None if it changed nothing.

        A known fill changes in one way only: its provisional fee (with currency and role) gives way to a final
        one. Its price, quantity and side stay what they were at first; a venue's trades never change.
        Raises LookupError, before anything is changed, for a market that the ledger was not given.
        """
        known = self._fills.get(fill.key)
        if known is None:
            self._book_new(fill)
            return fill
        if known.fee_final or not fill.fee_final:
            return None
        return self._settle_fee(known, fill)

    def _book_new(self, fill: Fill) -> None:
        account = self._account(fill.market)
        market = account.market
        self._fills[fill.key] = fill
        self._orders.setdefault(fill.client_id, []).append(fill.key)
        self._owners[fill.order_id] = fill.client_id
        self._filled_lots[fill.client_id] = self._filled_lots.get(fill.client_id, 0) + fill.lots
        if fill.traded_at < self._since:
            return
        account.insert(fill)
        _add(self.volume, market.base, market.quantity(fill.lots))
        _add(self.volume, market.quote, market.notional(fill.ticks, fill.lots))
        _add(self._positions, market.base, market.quantity(fill.lots * fill.side.sign))
        _add(self._positions, market.quote, market.notional(fill.ticks, -fill.lots * fill.side.sign))
        self._book_fee(fill.fee_currency, fill.fee)
        if not fill.fee_final:
            _add(self._provisional, fill.fee_currency, fill.fee)

    def _settle_fee(self, known: Fill, final: Fill) -> Fill:
        settled = structs.replace(
            known, fee=final.fee, fee_currency=final.fee_currency, role=final.role, fee_final=True
        )
        self._fills[settled.key] = settled
        if settled.traded_at < self._since:
            return settled
        self._account(known.market).replace(settled)
        _add(self._provisional, known.fee_currency, MONEY.minus(known.fee))
        if (known.fee, known.fee_currency) != (final.fee, final.fee_currency):
            self._book_fee(known.fee_currency, MONEY.minus(known.fee))
            self._book_fee(final.fee_currency, final.fee)
        return settled

    def _book_fee(self, currency: str, fee: Decimal) -> None:
        _add(self.fees, currency, fee)
        if not self.fees[currency]:  # a provisional fee may have been in another currency: nothing of it stays
            del self.fees[currency]
        _add(self._positions, currency, MONEY.minus(fee))

    # Reading ----------------------------------------------------------------------------------------------

    @property
    def count(self) -> int:
        return len(self._fills)

    def has(self, key: tuple[int, int]) -> bool:
        """Whether the fill (trade id, order id) is booked."""
        return key in self._fills

    def fill(self, key: tuple[int, int]) -> Fill | None:
        """The fill (trade id, order id) as it stands in the books."""
        return self._fills.get(key)

    def filled_lots(self, client_id: str) -> int:
        """Sum of the fills under this client order id, over every venue id it stands for."""
        return self._filled_lots.get(client_id, 0)

    def order_fills(self, client_id: str) -> Sequence[Fill]:
        """The fills under this client order id, by trade id."""
        return tuple(self._fills[key] for key in sorted(self._orders.get(client_id, ())))

    def owner(self, order_id: int) -> str | None:
        """The client order id under which fills of the venue's order are booked."""
        return self._owners.get(order_id)

    def initial(self, currency: str) -> Decimal:
        """What was held before the first fill that counts."""
        return self._initial.get(currency, ZERO)

    def position(self, currency: str) -> Decimal:
        """Own fills of every market net of fees in that currency, plus the initial position (rule 16)."""
        return self._positions.get(currency, ZERO)

    def provisional_fees(self, currency: str) -> Decimal:
        """Fees that are taken from the position, and that may turn out to be less."""
        return self._provisional.get(currency, ZERO)

    def holding(self, symbol: str) -> Holding:
        account = self._account(symbol)
        inventory = account.inventory()
        return Holding(
            base=MONEY.add(inventory.base, self._initial.get(account.market.base, ZERO)),
            own_base=inventory.base,
            average_price=quotient(inventory.cost, inventory.base) if inventory.base else None,
            realised=inventory.realised,
        )

    def unrealised(self, symbol: str, mark: Decimal | None) -> Decimal | None:
        """Profit, in quote, if the own position were closed at `mark` (quote per base) without a fee.

        Zero when there is none; None when there is one and no mark.
        """
        inventory = self._account(symbol).inventory()
        if not inventory.base:
            return ZERO
        if mark is None:
            return None
        return MONEY.subtract(MONEY.multiply(inventory.base, mark), inventory.cost)

    @property
    def realised(self) -> dict[str, Decimal]:
        """Realised profit by quote currency, of every market that has a fill."""
        profits: dict[str, Decimal] = {}
        for account in self._accounts.values():
            if account.fills:
                _add(profits, account.market.quote, account.inventory().realised)
        return profits

    def _account(self, symbol: str) -> "_Account":
        try:
            return self._accounts[symbol]
        except KeyError:
            raise LookupError(
                f"the ledger knows no market {symbol}: give it every market that the journal has fills of"
            ) from None


# Average cost -----------------------------------------------------------------------------------------------


class _Inventory(Struct, frozen=True):
    """Own base, what it cost, and what was made so far. `cost` has the sign of `base`: below zero, proceeds."""

    base: Decimal = ZERO
    cost: Decimal = ZERO
    realised: Decimal = ZERO

    def after(self, base: Decimal, quote: Decimal) -> "_Inventory":
        """The inventory after receiving `base` and `quote` (negative: giving)."""
        if not base:  # a fee ate all that was bought: nothing to average
            return _Inventory(self.base, self.cost, MONEY.add(self.realised, quote))
        total = MONEY.add(self.base, base)
        if not self.base or (self.base > 0) == (base > 0):
            return _Inventory(total, MONEY.subtract(self.cost, quote), self.realised)
        if total and (total > 0) != (self.base > 0):
            # Through zero: the part of the fill that closes ends the old cost, the rest opens the new side.
            closing = share(quote, MONEY.minus(self.base), base, COST_PLACES)
            gain = MONEY.subtract(closing, self.cost)
            return _Inventory(total, MONEY.subtract(closing, quote), MONEY.add(self.realised, gain))
        released = share(self.cost, MONEY.minus(base), self.base, COST_PLACES) if total else self.cost
        gain = MONEY.subtract(quote, released)
        return _Inventory(total, MONEY.subtract(self.cost, released), MONEY.add(self.realised, gain))


class _Account:
    """The fills of one market in the order of their keys, and the inventory they lead to.

    Average cost depends on that order, so a late fill or a corrected fee means folding again from there on. Fees
    are corrected within seconds and fills come nearly in order: checkpoints make that a few dozen steps.
    """

    __slots__ = ("_checkpoints", "_folded", "_inventory", "fills", "market")

    STRIDE = 64

    def __init__(self, market: Market) -> None:
        self.market = market
        self.fills: list[Fill] = []
        self._inventory = _Inventory()
        self._folded = 0  # how many fills are in the inventory
        self._checkpoints = [_Inventory()]  # before fill 0, 64, 128 …

    def insert(self, fill: Fill) -> None:
        if not self.fills or fill.key > self.fills[-1].key:
            self.fills.append(fill)
        else:
            index = bisect_left(self.fills, fill.key, key=_key)
            self.fills.insert(index, fill)
            self._unfold(index)

    def replace(self, fill: Fill) -> None:
        """Put a fill in the place of the one with the same key."""
        index = bisect_left(self.fills, fill.key, key=_key)
        known, self.fills[index] = self.fills[index], fill
        if (known.fee, known.fee_currency) != (fill.fee, fill.fee_currency):
            self._unfold(index)

    def inventory(self) -> _Inventory:
        while self._folded < len(self.fills):
            self._inventory = self._inventory.after(*self._received(self.fills[self._folded]))
            self._folded += 1
            if self._folded % self.STRIDE == 0:
                self._checkpoints.append(self._inventory)
        return self._inventory

    def _unfold(self, index: int) -> None:
        """Forget the inventory from the fill at `index` on."""
        if index < self._folded:
            del self._checkpoints[index // self.STRIDE + 1 :]
            self._inventory = self._checkpoints[-1]
            self._folded = index // self.STRIDE * self.STRIDE

    def _received(self, fill: Fill) -> tuple[Decimal, Decimal]:
        """Base and quote that a fill brought in, net of its fee; negative where it went out."""
        base = self.market.quantity(fill.lots * fill.side.sign)
        quote = self.market.notional(fill.ticks, -fill.lots * fill.side.sign)
        if fill.fee_currency == self.market.base:
            return MONEY.subtract(base, fill.fee), quote
        if fill.fee_currency == self.market.quote:
            return base, MONEY.subtract(quote, fill.fee)
        return base, quote


def _key(fill: Fill) -> tuple[int, int]:
    return fill.key


def _add(amounts: dict[str, Decimal], currency: str, amount: Decimal) -> None:
    amounts[currency] = MONEY.add(amounts.get(currency, ZERO), amount)
