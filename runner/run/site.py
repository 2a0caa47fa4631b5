"""Where a file trades: the venue and its rules, the key, the request budget, and the folder of the journal.

What goes wrong is `CannotRun` with an exit code and a sentence. Nothing is written here: who wants to keep a journal
makes the folder.
"""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from runner.config.problems import nearest
from runner.config.spec import Altmarkets, Deployment, RunSpec
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.places import sandbox_path, state_folder
from runner.edge.rest import Rest
from runner.edge.secrets import CredentialsProblem
from runner.engine.core import CLOCK_OFFSET_MAX
from runner.model.credentials import Credentials
from runner.model.exits import Exit
from runner.model.ids import account_fingerprint
from runner.model.settings import SECOND
from runner.run.ends import CannotRun
from runner.run.keys import budget, find_key, missing_key
from runner.run.machine import Machine
from runner.run.sandbox import embedded
from runner.run.venue import Knowledge, Unreachable, learn

SEEDS = 1_000_000  # as many sandboxes there are when the file names none: `connector.seed` brings one of them back

Ask = Callable[[str], str]
"""Asks a person for the passphrase of a stored key."""


class Site(Struct, frozen=True):
    """`folder` is where the journal is or would be; it need not exist."""

    label: str
    rest_url: str
    stream_url: str
    credentials: Credentials
    fingerprint: str
    folder: Path
    embedded: bool


@asynccontextmanager
async def site_of(
    spec: RunSpec, environment: Mapping[str, str], clock: Clock, run_id: str, ask: Ask | None, dice: random.Random
) -> AsyncIterator[Site]:
    """The venue of the file: the embedded sandbox, which lasts as long as this does, or addresses."""
    venue = spec.connector.venue
    if isinstance(venue, Deployment):
        yield _deployment(spec, venue, environment, ask)
        return
    if isinstance(venue, Altmarkets):  # and nobody should send a key to whoever holds that name today
        raise CannotRun(
            Exit.UNREACHABLE,
            f"{spec.file}: the public hosts of Altmarkets are gone; use `venue: sandbox`, or give the rest_url and "
            "stream_url of another OpenDAX deployment",
        )
    seed = spec.connector.seed if spec.connector.seed is not None else dice.randrange(SEEDS)
    async with embedded(str(seed), clock) as (venue_up, key):
        yield Site(
            f"sandbox (seed {seed})",
            venue_up.rest_url,
            venue_up.stream_url,
            key,
            account_fingerprint(f"sandbox:{run_id}", key.access_key),
            sandbox_path(environment, run_id),
            embedded=True,
        )


def _deployment(spec: RunSpec, venue: Deployment, environment: Mapping[str, str], ask: Ask | None) -> Site:
    name = spec.connector.credentials
    try:
        key = find_key(name, venue.rest_url, environment, account=spec.connector.account, ask=ask)
    except CredentialsProblem as problem:
        raise CannotRun(Exit.CREDENTIALS, str(problem)) from problem
    if key is None:
        raise CannotRun(Exit.CREDENTIALS, missing_key(name, venue.rest_url))
    return Site(
        venue.rest_url,
        venue.rest_url.rstrip("/"),
        venue.stream_url.rstrip("/"),
        key.credentials,
        key.account,
        state_folder(environment, key.account, spec.settings.name),
        embedded=False,
    )


def request_budget(spec: RunSpec, site: Site, environment: Mapping[str, str], machine: Machine) -> Bucket:
    limit = spec.connector.rate_limit
    if site.embedded:  # nobody else has its key
        return Bucket(limit.requests, limit.per_ns)
    return budget(limit, site.credentials, site.rest_url, environment, machine.monotonic)


async def rules_of(spec: RunSpec, site: Site, rest: Rest, clock: Clock, bucket: Bucket) -> Knowledge:
    """What the venue says of itself; it has the file's markets, and sets the clock for signing."""
    try:
        known = await learn(rest, clock, bucket)
    except Unreachable as error:
        raise CannotRun(Exit.UNREACHABLE, f"the venue at {site.rest_url} cannot be reached: {error}") from error
    clock.offset_ns = known.offset
    if abs(known.offset) > CLOCK_OFFSET_MAX:
        raise CannotRun(
            Exit.UNREACHABLE,
            f"this machine's clock differs from the venue's by {known.offset / SECOND:+.1f} s: set it (NTP)",
        )
    symbols = {market.symbol for market in known.markets}
    for symbol in spec.settings.markets:
        if symbol not in symbols:
            guess = nearest(symbol, symbols)
            hint = f"; did you mean {guess}?" if guess else ""
            raise CannotRun(Exit.CONFIG, f"{spec.file}: the venue has no market {symbol}{hint}")
    return known


def new_run_id(now: int, dice: random.Random) -> str:
    """Sorts by time, and two runs begun together still differ."""
    return f"{datetime.fromtimestamp(now // SECOND, UTC):%Y%m%d-%H%M%S}-{dice.randrange(36**3):03d}"
