"""The sandbox: an exchange of our own on a loopback port, embedded in a run or kept running for others."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio
from msgspec import Struct

from runner.altmarkets.server import Server
from runner.edge.clock import Clock
from runner.edge.sandbox import Venue, sandbox
from runner.model.credentials import Credentials
from runner.simulation import sandbox as simulation


class Opened(Struct, frozen=True):
    """Where a kept sandbox is, the key of its one trader, and its markets' symbols."""

    rest_url: str
    stream_url: str
    credentials: Credentials
    markets: tuple[str, ...]


@asynccontextmanager
async def embedded(seed: str, clock: Clock) -> AsyncIterator[tuple[Venue, Credentials]]:
    """Serve an exchange grown from `seed`; yields where it is, and the key of its one trader."""
    grown = simulation.sandbox(seed, clock.now())
    async with sandbox(Server(grown.exchange), clock=clock) as venue:
        yield venue, Credentials(grown.key.access, grown.key.secret)


async def serve(seed: str, host: str, port: int, ready: Callable[[Opened], None]) -> None:
    """Keep a sandbox running until SIGINT or SIGTERM; `ready` hears of it once it serves.

    Raises OSError if the port cannot be had.
    """
    clock = Clock()
    grown = simulation.sandbox(seed, clock.now())
    key = Credentials(grown.key.access, grown.key.secret)
    markets = tuple(market.symbol for market in grown.exchange.markets)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with sandbox(Server(grown.exchange), host=host, port=port, clock=clock) as venue:
            ready(Opened(venue.rest_url, venue.stream_url, key, markets))
            async for _ in signals:
                return
