"""A whole exchange from a seed: markets, a crowd in each of them, and one trader with an API key."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from runner.model.money import MONEY
from runner.simulation.crowd import Crowd, Temper
from runner.simulation.dice import seed_bytes
from runner.simulation.exchange import SECOND, Behaviour, Exchange
from runner.simulation.markets import SANDBOX_BALANCES, SANDBOX_LISTINGS, Listing
from runner.simulation.records import ApiKey, Member

CROWD_MEMBERS = 6
CROWD_ORDERS = 1_000_000
"""A member of the crowd begins with the means for this many usual orders: much, but not without end."""

WARM_UP = 30 * SECOND
"""The crowd has traded for this long when the doors open: there are trades and a candle to look at."""


class Sandbox(Struct, frozen=True):
    """`key` is that of the trader; `others` are those of the accounts that were asked for by name."""

    exchange: Exchange
    trader: Member
    key: ApiKey
    others: dict[str, ApiKey] = {}


def sandbox(
    seed: str,
    now: int,
    *,
    listings: Sequence[Listing] = SANDBOX_LISTINGS,
    balances: Mapping[str, Decimal] = SANDBOX_BALANCES,
    behaviour: Behaviour | None = None,
    temper: Temper | None = None,
    accounts: Sequence[str] = (),
) -> Sandbox:
    """Open an exchange at `now` (UTC ns). The same arguments give the same exchange, keys included.

    `balances` are the trader's, by currency, and those of each of the named `accounts` besides it. `temper` with a
    rate of zero: no crowd at all, and empty books.
    """
    temper = temper or Temper()
    exchange = Exchange([listing.market for listing in listings], seed=seed, now=now - WARM_UP, behaviour=behaviour)
    trader = exchange.admit("trader")
    key = ApiKey(seed_bytes(8, seed, "access key").hex(), seed_bytes(16, seed, "secret key").hex(), trader.id)
    exchange.give_key(key)
    for currency, amount in balances.items():
        exchange.deposit(trader.id, currency, amount)
    if temper.rate > 0:
        _bring_crowd(exchange, listings, seed, temper)
    # After the crowd: a further account changes nothing for those who were there without it.
    others = {name: open_account(exchange, seed, name, balances) for name in accounts}
    exchange.advance(now)
    exchange.feed.clear()  # nobody was listening
    exchange.show_books()
    return Sandbox(exchange, trader, key, others)


def open_account(exchange: Exchange, seed: str, name: str, balances: Mapping[str, Decimal]) -> ApiKey:
    """Admit a further keyholder, whose key is grown from `seed` and `name`."""
    member = exchange.admit(name)
    access, secret = seed_bytes(8, seed, name, "access key"), seed_bytes(16, seed, name, "secret key")
    key = ApiKey(access.hex(), secret.hex(), member.id)
    exchange.give_key(key)
    for currency, amount in balances.items():
        exchange.deposit(member.id, currency, amount)
    return key


def _bring_crowd(exchange: Exchange, listings: Sequence[Listing], seed: str, temper: Temper) -> None:
    members = [exchange.admit(f"crowd {number}") for number in range(1, CROWD_MEMBERS + 1)]
    for listing in listings:
        base = MONEY.multiply(listing.quantity, Decimal(CROWD_ORDERS))
        for member in members:
            exchange.deposit(member.id, listing.market.base, base)
            exchange.deposit(member.id, listing.market.quote, MONEY.multiply(base, listing.price))
    for listing in listings:
        crowd = Crowd(listing, members, seed=seed, now=exchange.now, temper=temper)
        crowd.quote_all(exchange)
        exchange.settle_in(crowd)
