"""What can be spent: the venue's available balance less what we asked for and cannot yet see locked there.

A reservation begins with the intent and ends only with a balance read that was *requested* after the order was seen
in `wait` (or ended): an earlier balance may or may not include the lock. Source: orders.md rule 18.
"""

from collections.abc import Iterable
from decimal import Decimal

from msgspec import Struct

from runner.model.market import Market
from runner.model.money import MONEY, ZERO
from runner.model.order import BalanceRow, Side


class _Reservation(Struct):
    currency: str
    amount: Decimal
    seen_at: int | None = None  # engine time at which the order was seen to have locked, or to have ended


class Funds:
    """Balances of the account and our reservations, per currency."""

    def __init__(self) -> None:
        self._balances: dict[str, BalanceRow] = {}
        self._reservations: dict[str, _Reservation] = {}
        self._reserved: dict[str, Decimal] = {}  # their sum by currency: there may be many, and every order asks
        self.read_at: int | None = None  # when the newest complete read was asked for

    def balance(self, currency: str) -> BalanceRow:
        """Zero for a currency that the account never held: the venue does not list it."""
        return self._balances.get(currency) or BalanceRow(currency, ZERO, ZERO)

    def balances(self) -> tuple[BalanceRow, ...]:
        return tuple(self._balances.values())

    def news(self, row: BalanceRow) -> None:
        self._balances[row.currency] = row

    def read(self, rows: Iterable[BalanceRow], asked_at: int) -> None:
        """A complete listing that was asked for at `asked_at` replaces everything known."""
        self._balances = {row.currency: row for row in rows}
        self.read_at = asked_at
        for client_id, reservation in list(self._reservations.items()):
            if reservation.seen_at is not None and reservation.seen_at < asked_at:
                self.release(client_id)

    def reserve(self, client_id: str, currency: str, amount: Decimal) -> None:
        assert client_id not in self._reservations, "a client order id is used once"
        self._reservations[client_id] = _Reservation(currency, amount)
        self._reserved[currency] = MONEY.add(self._reserved.get(currency, ZERO), amount)

    def seen(self, client_id: str, now: int) -> None:
        """The venue has locked the order's funds, or given them back: the next read tells the truth about it."""
        reservation = self._reservations.get(client_id)
        if reservation is not None and reservation.seen_at is None:
            reservation.seen_at = now

    def release(self, client_id: str) -> None:
        """It is in the balances now, or the order is proven never to have come to be."""
        reservation = self._reservations.pop(client_id, None)
        if reservation is not None:
            currency = reservation.currency
            self._reserved[currency] = MONEY.subtract(self._reserved[currency], reservation.amount)

    def spendable(self, currency: str) -> Decimal:
        return MONEY.subtract(self.balance(currency).available, self._reserved.get(currency, ZERO))

    @property
    def read_wanted(self) -> bool:
        """Some reservation could end with a fresh read."""
        return any(reservation.seen_at is not None for reservation in self._reservations.values())


def cost(market: Market, side: Side, ticks: int, lots: int) -> tuple[str, Decimal]:
    """What the venue locks for a limit order: (currency, amount). Source: wire reference 5.3."""
    if side is Side.BUY:
        return market.quote, market.notional(ticks, lots)
    return market.base, market.quantity(lots)
