"""The sandbox: an exchange of our own on a loopback port, embedded in a run or kept running for others."""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from msgspec import Struct
from msgspec.structs import replace

from runner.altmarkets.server import Server
from runner.altmarkets.server.answers import PROFILES
from runner.config.faults import Entry, read_faults
from runner.config.problems import Problem, in_order
from runner.edge.clock import Clock
from runner.edge.sandbox import Venue, sandbox
from runner.model.credentials import Credentials
from runner.simulation import sandbox as simulation
from runner.simulation.exchange import Behaviour
from runner.simulation.faults import FAULTS, FaultProblem, Switch, switch, switch_text
from runner.simulation.moments import CannotHappen
from runner.simulation.player import AtEnd, Player
from runner.simulation.recording import Recording
from runner.simulation.taped import taped_sandbox

__all__ = [
    "KINDS",
    "AtEnd",
    "CannotHappen",
    "Opened",
    "Plan",
    "Planned",
    "Recording",
    "TapeFile",
    "Tapes",
    "embedded",
    "fault",
    "fault_table",
    "faults_of",
    "open_sandbox",
    "serve",
    "serve_tapes",
]

KINDS = tuple(PROFILES)
"""Kinds of exchanges that a sandbox can be."""

MOMENT = 10_000_000  # ns


class Planned(Struct, frozen=True):
    """Something that is to go wrong, `after` so many ns."""

    after: int
    switch: Switch


class Plan(Struct, frozen=True, kw_only=True):
    """What a kept sandbox is to be, and what it is to do to its clients."""

    kind: str = "altmarkets"
    accounts: tuple[str, ...] = ()
    faults: tuple[Planned, ...] = ()


class Opened(Struct, frozen=True):
    """Where a kept sandbox is, the key of its trader, its markets' symbols, and the keys of further accounts."""

    rest_url: str
    stream_url: str
    credentials: Credentials
    markets: tuple[str, ...]
    accounts: dict[str, Credentials] = {}


def fault(text: str) -> Planned:
    """`NAME[=VALUE][,for=10s][,times=3][,chance=0.2][,on=create]`, from the start on. Raises ValueError."""
    return Planned(0, switch_text(text))


def faults_of(text: bytes, file: str) -> tuple[Planned, ...] | tuple[Problem, ...]:
    """A file of timed faults, or every problem of it."""
    found = [_planned(entry) if isinstance(entry, Entry) else entry for entry in read_faults(text, file)]
    wrong = [one for one in found if isinstance(one, Problem)]
    return in_order(wrong) if wrong else tuple(one for one in found if isinstance(one, Planned))


def fault_table() -> list[tuple[str, str, str]]:
    """Name, form of the value (with the default), and a sentence, of everything that can go wrong."""
    return [
        (known.name, f"{known.values} ({known.default})" if known.values else "", known.says)
        for known in FAULTS.values()
    ]


def _planned(entry: Entry) -> Planned | Problem:
    try:
        return Planned(entry.after, switch(entry.facts))
    except FaultProblem as wrong:
        return entry.problem(wrong.field, str(wrong))


class TapeFile(Struct, frozen=True):
    """A recording to import. `symbol` says what is traded where the recorded name does not (`BTC-USDT`)."""

    path: Path
    symbol: str | None = None


class Tapes(Struct, frozen=True):
    """Recordings in the place of the crowd. `speed` 2 plays them twice as fast as they were made."""

    files: tuple[TapeFile, ...]
    speed: float = 1.0
    at_end: AtEnd = "hold"


@asynccontextmanager
async def embedded(seed: str, clock: Clock) -> AsyncIterator[tuple[Venue, Credentials]]:
    """Serve an exchange grown from `seed`; yields where it is, and the key of its one trader."""
    grown = simulation.sandbox(seed, clock.now())
    async with sandbox(Server(grown.exchange), clock=clock) as venue:
        yield venue, Credentials(grown.key.access, grown.key.secret)


async def serve(seed: str, host: str, port: int, ready: Callable[[Opened], None], plan: Plan | None = None) -> None:
    """Keep a sandbox running until SIGINT or SIGTERM; `ready` hears of it once it serves.

    Raises OSError if the port cannot be had, CannotHappen for a fault that cannot be there from the start.
    """
    clock = Clock()
    server, opened = open_sandbox(seed, clock.now(), plan or Plan())
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with sandbox(server, host=host, port=port, clock=clock) as venue:
            ready(_at(venue, opened))
            async for _ in signals:
                return


async def serve_tapes(
    recordings: Sequence[Recording],
    tapes: Tapes,
    seed: str,
    host: str,
    port: int,
    ready: Callable[[Opened], None],
    ended: Callable[[], None],
    plan: Plan | None = None,
) -> None:
    """Keep a sandbox running whose markets are recordings; they begin when it serves.

    Until SIGINT or SIGTERM, or with `at_end` "stop" until the last tape is over; `ended` hears of that. Raises OSError
    if the port cannot be had, ValueError for two tapes of one market, CannotHappen for a fault that cannot be there
    from the start.
    """
    clock = Clock()
    plan = plan or Plan()
    now = clock.now()
    taped = taped_sandbox(
        seed,
        now,
        recordings,
        speed=tapes.speed,
        at_end=tapes.at_end,
        behaviour=_behaviour(plan),
        accounts=plan.accounts,
    )
    server, opened = _open(taped.sandbox, now, plan)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with sandbox(server, host=host, port=port, clock=clock) as venue, anyio.create_task_group() as tasks:
            ready(_at(venue, opened))

            async def watch() -> None:
                await _until_ended(taped.players, clock)
                ended()
                if tapes.at_end == "stop":
                    tasks.cancel_scope.cancel()

            if tapes.at_end != "loop":
                tasks.start_soon(watch)
            async for _ in signals:
                break
            tasks.cancel_scope.cancel()


async def _until_ended(players: Sequence[Player], clock: Clock) -> None:
    while waiting := [player.ends for player in players if not player.ended]:
        # The last row happens when the exchange is told the time, a moment after it is due.
        await clock.sleep_until(max(*waiting, clock.now() + MOMENT))


def open_sandbox(seed: str, now: int, plan: Plan) -> tuple[Server, Opened]:
    """A sandbox as planned, with its control endpoint, before it has an address. Raises CannotHappen."""
    return _open(simulation.sandbox(seed, now, behaviour=_behaviour(plan), accounts=plan.accounts), now, plan)


def _behaviour(plan: Plan) -> Behaviour:
    return Behaviour(market_buy_needs_cost=plan.kind != "2.5")


def _open(grown: simulation.Sandbox, now: int, plan: Plan) -> tuple[Server, Opened]:
    server = Server(grown.exchange, PROFILES[plan.kind], controlled=True)
    for planned in plan.faults:
        if planned.after:
            grown.exchange.faults.plan(now + planned.after, planned.switch)
        else:
            server.act(planned.switch)
    key = Credentials(grown.key.access, grown.key.secret)
    markets = tuple(market.symbol for market in grown.exchange.markets)
    accounts = {name: Credentials(other.access, other.secret) for name, other in grown.others.items()}
    return server, Opened("", "", key, markets, accounts)


def _at(venue: Venue, opened: Opened) -> Opened:
    return replace(opened, rest_url=venue.rest_url, stream_url=venue.stream_url)
