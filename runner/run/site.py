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
from runner.edge.places import passing_path, state_folder
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
    """`folder` is where the journal is or would be; it need not exist.

    `passing`: the account is of this run alone and ends with it, as on the embedded sandbox, and nothing of it is real.
    Without `credentials` it is a paper account, and the venue only shows what happens there.
    """

    label: str
    rest_url: str
    stream_url: str
    credentials: Credentials | None
    fingerprint: str
    folder: Path
    passing: bool


@asynccontextmanager
async def site_of(
    spec: RunSpec, environment: Mapping[str, str], clock: Clock, run_id: str, ask: Ask | None, dice: random.Random
) -> AsyncIterator[Site]:
    """The venue of the file: the embedded sandbox, which lasts as long as this does, or addresses."""
    connector, venue = spec.connector, spec.connector.venue
    folder = passing_path(environment, "sandbox" if connector.paper is None else "paper", run_id)
    if isinstance(venue, Deployment):
        rest_url, stream_url = venue.rest_url.rstrip("/"), venue.stream_url.rstrip("/")
        if connector.paper is None:
            yield _deployment(spec, venue, environment, ask)
        else:
            yield _paper(venue.rest_url, rest_url, stream_url, folder)
        return
    if isinstance(venue, Altmarkets):  # and nobody should send a key to whoever holds that name today
        raise CannotRun(
            Exit.UNREACHABLE,
            f"{spec.file}: the public hosts of Altmarkets are gone; use `venue: sandbox`, or give the rest_url and "
            "stream_url of another OpenDAX deployment",
        )
    seed = connector.seed if connector.seed is not None else dice.randrange(SEEDS)
    label = f"sandbox (seed {seed})"
    async with embedded(str(seed), clock) as (venue_up, key):
        if connector.paper is not None:
            yield _paper(label, venue_up.rest_url, venue_up.stream_url, folder)
            return
        fingerprint = account_fingerprint(f"sandbox:{run_id}", key.access_key)
        yield Site(label, venue_up.rest_url, venue_up.stream_url, key, fingerprint, folder, passing=True)


def _paper(label: str, rest_url: str, stream_url: str, folder: Path) -> Site:
    fingerprint = account_fingerprint(f"paper:{folder.name}", rest_url)
    return Site(f"paper account at {label}", rest_url, stream_url, None, fingerprint, folder, passing=True)


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
        passing=False,
    )


def request_budget(spec: RunSpec, site: Site, environment: Mapping[str, str], machine: Machine) -> Bucket:
    limit = spec.connector.rate_limit
    if site.passing or site.credentials is None:  # nobody else has its key
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
