"""The counter where a person or a script asks a venue: address, key and budget from a file or from flags."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, structs

from runner.altmarkets import catalogue
from runner.altmarkets.errors import VenueError
from runner.altmarkets.messages import Grids, grids
from runner.altmarkets.numbers import Unreadable
from runner.config.spec import Altmarkets, Deployment, RateLimit, RunSpec
from runner.edge.asking import Asking
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.journal import Journal, JournalError
from runner.edge.journal_file import JournalUnusable
from runner.edge.places import JOURNAL_FILE, private_files, state_folder
from runner.edge.rest import Rest
from runner.edge.secrets import CredentialsProblem
from runner.model.credentials import Credentials
from runner.model.exits import Exit
from runner.model.ids import account_fingerprint, account_tag
from runner.model.market import Market
from runner.model.order import OrderRow
from runner.model.settings import SECOND
from runner.run.ends import CannotRun, exit_code_of, only_cause
from runner.run.keys import Key, budget, find_key, missing_key
from runner.run.sandbox import embedded
from runner.run.venue import clock_offset

OFFSET_MAX = 4 * SECOND  # the nonce window is 5 s: beyond this, requests begin to be refused
HOSTS_GONE = (
    "the public hosts of Altmarkets are gone; name another OpenDAX deployment with --rest-url, or in a strategy file "
    "with rest_url and stream_url"
)
PAPER_ENDS = "a paper account lives in its run alone, and the venue knows nothing of it: see runner status and explain"

T = TypeVar("T")


class Target(Struct, frozen=True, kw_only=True):
    """Which venue is meant, and as whom. Without `rest_url` it is a fresh sandbox of our own.

    `name` is the strategy's, None without a file: then nobody knows which orders are its.
    """

    rest_url: str | None
    stream_url: str | None = None
    credentials: str | None = None
    account: str | None = None
    limit: RateLimit = RateLimit()
    name: str | None = None
    markets: tuple[str, ...] = ()
    seed: str = "1"
    paper: bool = False  # an account that no venue knows


def target_of(spec: RunSpec, name: str | None = None) -> Target:
    """The venue of a file; `name` is another credential than the file's. Raises CannotRun for a venue that is gone."""
    connector, venue = spec.connector, spec.connector.venue
    if isinstance(venue, Altmarkets):
        raise CannotRun(Exit.UNREACHABLE, f"{spec.file}: {HOSTS_GONE}")
    return Target(
        rest_url=venue.rest_url if isinstance(venue, Deployment) else None,
        stream_url=venue.stream_url if isinstance(venue, Deployment) else None,
        credentials=name or connector.credentials,
        account=connector.account,
        limit=connector.rate_limit,
        name=spec.settings.name,
        markets=spec.settings.markets,
        seed=str(connector.seed if connector.seed is not None else 1),
        paper=connector.paper is not None,
    )


class Counter:
    """An open line to a venue, for as long as a command lasts."""

    def __init__(
        self,
        target: Target,
        label: str,
        rest: Rest,
        key: Key | None,
        bucket: Bucket,
        clock: Clock,
        environment: Mapping[str, str],
    ) -> None:
        self.target = target
        self.label = label
        self.rest = rest
        self.key = key
        self.bucket = bucket
        self.clock = clock
        self.asking = Asking(rest, bucket, clock)
        self._environment = environment

    async def markets(self) -> dict[str, Market]:
        """All of the venue's markets by symbol, with fees."""
        fees = await self.asking.all(catalogue.trading_fees())
        found = await self.asking.all(catalogue.markets(fees.rows))
        return {market.symbol: market for market in found.rows}

    async def grids(self) -> Grids:
        return grids((await self.markets()).values())

    async def market(self, symbol: str) -> Market:
        """By symbol or by the venue's own id. Raises CannotRun if the venue has no such market."""
        markets = await self.markets()
        for market in markets.values():
            if symbol.upper().replace("/", "-") == market.symbol or symbol.lower() == market.id:
                return market
        some = ", ".join(sorted(markets)[:8])
        raise CannotRun(Exit.USAGE, f"{self.label} has no market {symbol}; it has {some}")

    async def set_clock(self) -> int:
        """Measure the venue's clock; returns its lead in ns. Raises CannotRun if signatures would not be accepted."""
        asked_at = self.clock.now()
        offset, _ = clock_offset(asked_at, self.clock.now(), await self.asking.ask(catalogue.timestamp()))
        self.clock.offset_ns = offset
        if abs(offset) > OFFSET_MAX:
            raise CannotRun(Exit.UNREACHABLE, skewed(offset))
        return offset

    def ownership(self) -> Callable[[OrderRow], bool] | None:
        """Tells this strategy's orders from others (orders.md rule 3); None if the strategy is not known.

        By its name, whatever journal's life it is from; by the journal only where the venue does not tell names: a
        sandbox that was begun anew gives the same ids to other orders.
        """
        if self.key is None or self.target.name is None:
            return None
        tag = account_tag(self.key.account, self.target.name)
        known = journal_ids(state_folder(self._environment, self.key.account, self.target.name) / JOURNAL_FILE)

        def owns(row: OrderRow) -> bool:
            return row.id in known if row.client_id is None else row.client_id.upper().startswith(f"R{tag}")

        return owns


def journal_ids(path: Path) -> frozenset[int]:
    """Ids of all orders that a journal knows; nothing where there is no journal that can be read."""
    if not path.exists():
        return frozenset()
    try:
        with Journal.read_only(path) as journal:
            return frozenset(venue_id for order in journal.orders() for venue_id in order.venue_ids)
    except (JournalError, JournalUnusable):
        return frozenset()


def skewed(offset: int) -> str:
    return f"this machine's clock differs from the venue's by {offset / SECOND:+.1f} s: set it (NTP)"


@asynccontextmanager
async def opened(
    target: Target, environment: Mapping[str, str], *, private: bool, ask: Callable[[str], str] | None = None
) -> AsyncIterator[Counter]:
    """`private`: with a key, or CannotRun."""
    if private and target.paper:
        raise CannotRun(Exit.USAGE, PAPER_ENDS)
    clock = Clock()
    async with AsyncExitStack() as stack:
        if target.rest_url is None:
            venue, credentials = await stack.enter_async_context(embedded(target.seed, clock))
            key: Key | None = None if target.paper else _play_key(target.seed, credentials)
            bucket = Bucket(target.limit.requests, target.limit.per_ns)
            rest_url, label = venue.rest_url, f"sandbox (seed {target.seed})"
            target = _with_urls(target, venue.rest_url, venue.stream_url)
        else:
            rest_url = label = target.rest_url.rstrip("/")
            key = _key(target, rest_url, environment, ask) if private else None
            bucket = budget(target.limit, _credentials(key), rest_url, environment)
        try:
            rest = Rest(rest_url, _credentials(key), clock)
        except ValueError as error:
            raise CannotRun(Exit.USAGE, str(error)) from error
        await stack.enter_async_context(rest)
        yield Counter(target, label, rest, key, bucket, clock, environment)


async def asked(
    target: Target,
    environment: Mapping[str, str],
    work: Callable[[Counter], Awaitable[T]],
    *,
    private: bool,
    ask: Callable[[str], str] | None = None,
) -> T:
    """Do some work at the counter. Whatever the venue does to it becomes CannotRun."""
    try:
        with private_files():
            async with opened(target, environment, private=private, ask=ask) as counter:
                if private:
                    await counter.set_clock()
                return await work(counter)
    except (BaseExceptionGroup, VenueError, Unreadable) as error:
        cause = only_cause(error)
        if isinstance(cause, VenueError):
            raise CannotRun(exit_code_of(cause), f"{target.rest_url or 'sandbox'}: {cause}") from None
        if isinstance(cause, Unreadable):
            raise CannotRun(Exit.UNREACHABLE, f"an answer cannot be read: {cause}") from None
        raise cause from None


def _key(target: Target, rest_url: str, environment: Mapping[str, str], ask: Callable[[str], str] | None) -> Key:
    try:
        key = find_key(target.credentials, rest_url, environment, account=target.account, ask=ask)
    except CredentialsProblem as problem:
        raise CannotRun(Exit.CREDENTIALS, str(problem)) from problem
    if key is None:
        raise CannotRun(Exit.CREDENTIALS, missing_key(target.credentials, rest_url))
    return key


def _credentials(key: Key | None) -> Credentials | None:
    return None if key is None else key.credentials


def _play_key(seed: str, credentials: Credentials) -> Key:
    return Key(credentials, account_fingerprint(f"sandbox:{seed}", credentials.access_key), "sandbox")


def _with_urls(target: Target, rest_url: str, stream_url: str) -> Target:
    return structs.replace(target, rest_url=rest_url, stream_url=stream_url)
