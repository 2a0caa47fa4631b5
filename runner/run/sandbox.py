"""The sandbox: an exchange of our own on a loopback port, embedded in a run or kept running for others."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

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

KINDS = tuple(PROFILES)
"""Kinds of exchanges that a sandbox can be."""


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
            ready(replace(opened, rest_url=venue.rest_url, stream_url=venue.stream_url))
            async for _ in signals:
                return


def open_sandbox(seed: str, now: int, plan: Plan) -> tuple[Server, Opened]:
    """A sandbox as planned, with its control endpoint, before it has an address. Raises CannotHappen."""
    behaviour = Behaviour(market_buy_needs_cost=plan.kind != "2.5")
    grown = simulation.sandbox(seed, now, behaviour=behaviour, accounts=plan.accounts)
    server = Server(grown.exchange, PROFILES[plan.kind], controlled=True)
    for planned in plan.faults:
        if planned.after:
            grown.exchange.faults.plan(now + planned.after, planned.switch)
        else:
            server.act(planned.switch)
    accounts = {name: Credentials(key.access, key.secret) for name, key in grown.others.items()}
    markets = tuple(market.symbol for market in grown.exchange.markets)
    return server, Opened("", "", Credentials(grown.key.access, grown.key.secret), markets, accounts)


__all__ = ["KINDS", "CannotHappen", "Opened", "Plan", "Planned", "embedded", "fault", "faults_of", "serve"]
