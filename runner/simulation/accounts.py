"""Balances: what a member can spend, what open orders lock, and the fees that the house keeps.

Exact `Decimal` in the MONEY context. Nothing is made or lost here but by `deposit`: the sum over all accounts and
the fees of a currency is what was deposited. Source: wire reference 5.3, 5.5.
"""

from decimal import Decimal

from msgspec import Struct

from runner.model.money import MONEY, ZERO


class InsufficientBalance(Exception):
    """The account has less available than was to be locked. Nothing changed."""


class Account(Struct, frozen=True):
    """One currency of one member. What exists is available + locked."""

    available: Decimal = ZERO
    locked: Decimal = ZERO


NO_ACCOUNT = Account()


class Accounts:
    """Accounts by (member, currency); one exists from the first time it held anything."""

    def __init__(self) -> None:
        self._accounts: dict[int, dict[str, Account]] = {}
        self.fees: dict[str, Decimal] = {}

    def of(self, member: int) -> dict[str, Account]:
        """All accounts of a member, by currency; read only."""
        return self._accounts.get(member, {})

    def account(self, member: int, currency: str) -> Account:
        return self.of(member).get(currency, NO_ACCOUNT)

    def total(self, currency: str) -> Decimal:
        """Everything of a currency that is here, collected fees included."""
        total = self.fees.get(currency, ZERO)
        for accounts in self._accounts.values():
            account = accounts.get(currency, NO_ACCOUNT)
            total = MONEY.add(total, MONEY.add(account.available, account.locked))
        return total

    def deposit(self, member: int, currency: str, amount: Decimal) -> None:
        account = self.account(member, currency)
        self._put(member, currency, MONEY.add(account.available, amount), account.locked)

    def lock(self, member: int, currency: str, amount: Decimal) -> None:
        """Set aside what an order may spend. Raises InsufficientBalance."""
        account = self.account(member, currency)
        if account.available < amount:
            raise InsufficientBalance(f"{account.available} {currency} available, {amount} to lock")
        self._put(member, currency, MONEY.subtract(account.available, amount), MONEY.add(account.locked, amount))

    def unlock(self, member: int, currency: str, amount: Decimal) -> None:
        """Give back what an order does not need any more."""
        account = self.account(member, currency)
        self._put(member, currency, MONEY.add(account.available, amount), MONEY.subtract(account.locked, amount))

    def spend(self, member: int, currency: str, amount: Decimal) -> None:
        """Take out of the lock what a fill pays; somebody else receives it."""
        account = self.account(member, currency)
        self._put(member, currency, account.available, MONEY.subtract(account.locked, amount))

    def receive(self, member: int, currency: str, amount: Decimal, fee_rate: Decimal) -> Decimal:
        """Credit what a fill brings, less the fee, which is `fee_rate` of it. Returns the fee."""
        fee = MONEY.multiply(amount, fee_rate)
        account = self.account(member, currency)
        self._put(member, currency, MONEY.add(account.available, MONEY.subtract(amount, fee)), account.locked)
        self.fees[currency] = MONEY.add(self.fees.get(currency, ZERO), fee)
        return fee

    def _put(self, member: int, currency: str, available: Decimal, locked: Decimal) -> None:
        assert available >= 0, f"member {member} would have {available} {currency}"
        assert locked >= 0, f"member {member} would have {locked} {currency} locked"
        self._accounts.setdefault(member, {})[currency] = Account(available, locked)
