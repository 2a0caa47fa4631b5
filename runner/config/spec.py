"""What a file that is right becomes: everything a run needs to know before it touches the network."""

from __future__ import annotations

from msgspec import Struct

from runner.config.problems import Problem
from runner.config.tree import Keys
from runner.engine.strategy import Demand, Strategy
from runner.model.paper import PaperModels
from runner.model.settings import SECOND, Settings


class Altmarkets(Struct, frozen=True, tag="altmarkets"):
    """The exchange itself."""


class Sandbox(Struct, frozen=True, tag="sandbox"):
    """A local exchange of our own, started with the run and ended after it."""


class Deployment(Struct, frozen=True, tag="deployment"):
    """Any other OpenDAX/Peatio v2 exchange, or a `runner sandbox` that is already running."""

    rest_url: str  # up to and including `/api/v2`
    stream_url: str


Venue = Altmarkets | Sandbox | Deployment


class RateLimit(Struct, frozen=True):
    """At most `requests` in any stretch of `per_ns`."""

    requests: int = 30
    per_ns: int = 12 * SECOND


class Connector(Struct, frozen=True):
    """`credentials` is a name in the credential store, `account` a name for the account instead of its fingerprint.

    `seed` is the sandbox's; None asks for a fresh one. With `paper` nothing is ordered at the venue: it only shows what
    happens there to an account of our own.
    """

    venue: Venue
    credentials: str | None = None
    account: str | None = None
    seed: int | None = None
    rate_limit: RateLimit = RateLimit()
    paper: PaperModels | None = None


class Recording(Struct, frozen=True):
    """Whether a run is recorded, and how much disk its record, and all records together, may take."""

    enabled: bool = True
    run_mb: int = 64
    total_mb: int = 512


class RunSpec(Struct, frozen=True, kw_only=True):
    """One run of one strategy. `settings.tag` is empty: only the run knows the account."""

    settings: Settings
    connector: Connector
    strategy_type: type[Strategy]
    strategy: Strategy
    demands: tuple[Demand, ...] | None = None  # what the strategy may order at once; None: it does not say
    run_for: int | None  # ns; None runs until it is stopped
    recording: Recording = Recording()
    file: str
    text: str  # of the file, before overlays and overrides
    root: Keys  # the file with overlays and overrides in it
    warnings: tuple[Problem, ...] = ()  # of what is legal, and dangerous
