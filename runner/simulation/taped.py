"""A whole exchange from recordings: a market for each of them, its tape in the place of a crowd, and one trader."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import ROUND_UP, Decimal

from msgspec import Struct

from runner.model.market import Market
from runner.model.money import MONEY, quotient
from runner.model.order import Side
from runner.simulation.dice import seed_bytes
from runner.simulation.exchange import Behaviour, Exchange
from runner.simulation.house import House
from runner.simulation.player import AtEnd, Player
from runner.simulation.recording import Recording
from runner.simulation.records import ApiKey
from runner.simulation.sandbox import Sandbox, open_account
from runner.simulation.tape_book import TapeBook

DOLLARS = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "BUSD", "DAI", "USD", "EUR", "GBP"})
START_DOLLARS, START_COINS = Decimal(100_000), Decimal(10)
"""What the trader begins with of a quote currency: of something like a dollar, and of anything else."""


class Taped(Struct, frozen=True):
    sandbox: Sandbox
    players: tuple[Player, ...]


def taped_sandbox(
    seed: str,
    now: int,
    recordings: Sequence[Recording],
    *,
    speed: float = 1.0,
    at_end: AtEnd = "hold",
    balances: Mapping[str, Decimal] | None = None,
    behaviour: Behaviour | None = None,
    accounts: Sequence[str] = (),
) -> Taped:
    """Open an exchange at `now` (UTC ns), when the tapes begin. The same arguments give the same exchange.

    `balances` are the trader's, by currency, and those of each of the named `accounts` besides it; by default some
    quote currency and as much worth of each base. Raises ValueError where two recordings are of one market.
    """
    markets = [recording.market for recording in recordings]
    books = {market.id: TapeBook() for market in markets}
    if len(books) < len(markets):
        raise ValueError("two tapes of one market: give each market once")
    exchange = Exchange(markets, seed=seed, now=now, behaviour=behaviour, books=books)
    house = exchange.admit("the tape")
    players = []
    for recording in recordings:
        stands = House(exchange, house, recording.market, books[recording.market.id])
        players.append(Player(recording, stands, now=now, speed=speed, at_end=at_end))
    for player in players:
        exchange.settle_in(player)
    trader = exchange.admit("trader")
    key = ApiKey(seed_bytes(8, seed, "access key").hex(), seed_bytes(16, seed, "secret key").hex(), trader.id)
    exchange.give_key(key)
    asks = ((player.recording.market, player.book.best(Side.SELL)) for player in players)
    balances = balances or start_balances(asks)
    for currency, amount in balances.items():
        exchange.deposit(trader.id, currency, amount)
    others = {name: open_account(exchange, seed, name, balances) for name in accounts}
    exchange.feed.clear()  # nobody was listening
    exchange.show_books()
    return Taped(Sandbox(exchange, trader, key, others), tuple(players))


def start_balances(asks: Iterable[tuple[Market, int | None]]) -> dict[str, Decimal]:
    """Of every quote currency a round sum, and of every other base what that is worth, in one digit, rounded up.

    With each market comes its best ask, ticks.
    """
    asked = list(asks)
    quotes = {market.quote for market, _ in asked}
    balances = {quote: START_DOLLARS if quote in DOLLARS else START_COINS for quote in sorted(quotes)}
    for market, best in asked:
        if market.base not in balances and best is not None:
            balances[market.base] = _one_digit_up(quotient(balances[market.quote], market.price(best)))
    return balances


def _one_digit_up(amount: Decimal) -> Decimal:
    digit = Decimal(1).scaleb(amount.adjusted(), MONEY)
    return amount.quantize(digit, ROUND_UP)
