"""Connecting an account: try a key against the venue, say exactly what is wrong with it, keep it if nothing is.

Source: wire reference 2.3 (what each refusal means); design section 7 (where keys are kept).
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from msgspec import Struct

from runner.altmarkets import account
from runner.altmarkets.errors import FixRequest, VenueError
from runner.altmarkets.numbers import Unreadable
from runner.config.spec import RateLimit
from runner.edge.asking import Asking
from runner.edge.clock import Clock
from runner.edge.places import private_files
from runner.edge.rest import Rest
from runner.edge.secrets import CredentialsProblem, credentials, key_pair
from runner.edge.store import Entry, Store, checked_name
from runner.model.credentials import Credentials
from runner.model.exits import Exit
from runner.model.ids import account_fingerprint
from runner.run.counter import Counter, Target
from runner.run.ends import CannotRun, exit_code_of
from runner.run.keys import budget, origin

Ask = Callable[[str], str]


class Connected(Struct, frozen=True):
    """`rotated`: the name had a key of this venue before, and stays the same account."""

    entry: Entry
    rotated: bool
    currencies: int


async def connect(
    venue: str, name: str | None, rest_url: str, key: Credentials, environment: Mapping[str, str], ask: Ask | None
) -> Connected:
    """Verify a key and store it. Raises CannotRun with the exact reason if either does not work."""
    with private_files():
        try:
            currencies = await verify(rest_url, key, environment)
            store = Store(environment, ask)
            before = store.entry(name)
            rotated = before is not None and origin(before.rest_url) == origin(rest_url)
            entry = Entry(
                name=checked_name(name),
                venue=venue,
                rest_url=rest_url,
                account=before.account
                if before is not None and rotated
                else account_fingerprint(origin(rest_url), key.access_key),
                key_hint=key.access_key[-4:],
                stored_at=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
                store="file",
            )
            return Connected(store.save(entry, key), rotated, currencies)
        except CredentialsProblem as problem:
            raise CannotRun(Exit.CREDENTIALS, str(problem)) from problem


async def verify(rest_url: str, key: Credentials, environment: Mapping[str, str]) -> int:
    """Whether the key may look and trade; returns how many currencies the account holds. Nothing is placed.

    Raises CannotRun: 5 if the venue cannot be reached or the clocks differ, 4 if it is the key.
    """
    clock = Clock()
    try:
        rest = Rest(rest_url, key, clock)
    except ValueError as error:
        raise CannotRun(Exit.USAGE, str(error)) from error
    async with rest:
        target = Target(rest_url=rest_url)
        counter = Counter(
            target, rest_url, rest, None, budget(RateLimit(), key, rest_url, environment), clock, environment
        )
        try:
            offset = await counter.set_clock()
        except (VenueError, Unreadable) as error:
            raise CannotRun(Exit.UNREACHABLE, f"no exchange answers at {rest_url}: {error}") from error
        try:
            found = await counter.asking.all(account.balances())
            await may_trade(counter.asking)
        except VenueError as error:
            told = f" (measured: {offset / 1e9:+.0f} s)" if "authz.nonce_expired" in error.codes else ""
            raise CannotRun(exit_code_of(error), f"{rest_url}: {error}{told}") from error
        except Unreadable as error:
            raise CannotRun(
                Exit.UNREACHABLE, f"{rest_url} does not answer like an OpenDAX exchange: {error}"
            ) from error
    return len(found.rows)


async def may_trade(asking: Asking) -> None:
    """Raises StopTrading if the key may not place and cancel. It asks to cancel an order that cannot exist."""
    await asking.ask(account.orders({}, states=("wait",)).page(1))
    try:
        await asking.ask(account.cancel(account.NOBODYS_ORDER, {}))
    except FixRequest as error:
        if "record.not_found" not in error.codes:
            raise


def stored(environment: Mapping[str, str]) -> list[Entry]:
    return Store(environment).entries()


def remove(name: str | None, environment: Mapping[str, str]) -> bool:
    try:
        return Store(environment).remove(name)
    except CredentialsProblem as problem:
        raise CannotRun(Exit.CREDENTIALS, str(problem)) from problem


def given_key(
    name: str | None, environment: Mapping[str, str], ask: Ask | None, read_line: Callable[[], str] | None
) -> Credentials:
    """The key to store: typed on a terminal, else from the environment, else two lines of stdin. Raises CannotRun."""
    try:
        if ask is not None:
            return key_pair(ask("API key"), ask("Secret"))
        found = credentials(name, environment)
        if found is None and read_line is not None:
            found = key_pair(read_line(), read_line())
    except CredentialsProblem as problem:
        raise CannotRun(Exit.CREDENTIALS, str(problem)) from problem
    if found is None:
        raise CannotRun(Exit.CREDENTIALS, "no key: there is no terminal to ask on, no environment and no stdin")
    return found
