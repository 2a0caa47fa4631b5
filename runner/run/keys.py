"""With which key, as which account and within which request budget somebody deals with a venue.

A key in the environment goes before a stored one. A stored key is sent to no other exchange than the one it was
verified at.
"""

import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from runner.config.spec import RateLimit
from runner.edge.budget import Bucket
from runner.edge.places import budget_file
from runner.edge.secrets import CredentialsProblem, credentials, variables
from runner.edge.shared_budget import SharedBucket
from runner.edge.store import Store
from runner.model.credentials import Credentials
from runner.model.ids import account_fingerprint

NO_KEY = "no key"


class Key(Struct, frozen=True):
    """`account` is the fingerprint of the account: the origin and the first key known by that name.

    `source` is for people: where the key was found.
    """

    credentials: Credentials
    account: str
    source: str


def find_key(
    name: str | None,
    rest_url: str,
    environment: Mapping[str, str],
    *,
    account: str | None = None,
    ask: Callable[[str], str] | None = None,
) -> Key | None:
    """The key of a credential; None if there is none. `account` names the account instead of the key.

    Raises CredentialsProblem for one that is there and cannot be used.
    """
    found = credentials(name, environment)
    if found is not None:
        fingerprint = account_fingerprint(origin(rest_url), account or found.access_key)
        return Key(found, fingerprint, f"environment ({variables(name)[0]})")
    store = Store(environment, ask)
    entry = store.entry(name)
    if entry is None:
        return None
    if origin(entry.rest_url) != origin(rest_url):
        raise CredentialsProblem(
            f"the stored key {entry.name} belongs to {origin(entry.rest_url)} and is not sent to {origin(rest_url)}: "
            f"store one for it with runner connect altmarkets --name OTHER --rest-url {rest_url}"
        )
    stored = store.load(name)
    assert stored is not None
    fingerprint = account_fingerprint(origin(rest_url), account) if account else entry.account
    return Key(stored, fingerprint, f"store ({entry.name}, {entry.store})")


def missing_key(name: str | None, rest_url: str) -> str:
    """What to do about it."""
    first, second = variables(name)
    named = f" --name {name}" if name else ""
    return (
        f"no credentials for {rest_url}: run runner connect altmarkets{named} --rest-url {rest_url}, "
        f"or set {first} and {second}"
    )


def budget(
    limit: RateLimit,
    key: Credentials | None,
    rest_url: str,
    environment: Mapping[str, str],
    monotonic: Callable[[], int] = time.monotonic_ns,
) -> Bucket:
    """The bucket that all our processes with this key share; one of our own where no file can be had."""
    access_key = NO_KEY if key is None else key.access_key
    try:
        # By the key, not by the account: it is the key whose requests the venue counts.
        path = budget_file(environment, account_fingerprint(origin(rest_url), access_key))
        return SharedBucket(path, limit.requests, limit.per_ns, monotonic=monotonic)
    except OSError:
        return Bucket(limit.requests, limit.per_ns)


def origin(url: str) -> str:
    """Scheme, host and port: what an account belongs to, whatever path its API has."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
