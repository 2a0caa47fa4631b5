"""The sandbox: an exchange of our own on a loopback port, embedded in a run or kept running for others."""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from msgspec import Struct

from runner.altmarkets.server import Server
from runner.edge.clock import Clock
from runner.edge.sandbox import Venue, sandbox
from runner.edge.tape_file import read_tape
from runner.model.credentials import Credentials
from runner.simulation import sandbox as simulation
from runner.simulation.collector import NotATape
from runner.simulation.player import AtEnd, Player
from runner.simulation.recording import Recording
from runner.simulation.taped import taped_sandbox

__all__ = [
    "AtEnd",
    "NotATape",
    "Opened",
    "Recording",
    "TapeFile",
    "Tapes",
    "embedded",
    "read_tapes",
    "serve",
    "serve_tapes",
]

MOMENT = 10_000_000  # ns


class Opened(Struct, frozen=True):
    """Where a kept sandbox is, the key of its one trader, and its markets' symbols."""

    rest_url: str
    stream_url: str
    credentials: Credentials
    markets: tuple[str, ...]


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


async def serve(seed: str, host: str, port: int, ready: Callable[[Opened], None]) -> None:
    """Keep a sandbox running until SIGINT or SIGTERM; `ready` hears of it once it serves.

    Raises OSError if the port cannot be had.
    """
    clock = Clock()
    grown = simulation.sandbox(seed, clock.now())
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with sandbox(Server(grown.exchange), host=host, port=port, clock=clock) as venue:
            ready(_opened(venue, grown))
            async for _ in signals:
                return


def read_tapes(tapes: Tapes) -> list[Recording]:
    """Import what `serve_tapes` needs. Raises NotATape that names the file, and OSError."""
    recordings = []
    for file in tapes.files:
        try:
            recordings.append(read_tape(file.path, symbol=file.symbol))
        except NotATape as problem:
            raise NotATape(f"{file.path}: {problem}") from None
    return recordings


async def serve_tapes(
    recordings: Sequence[Recording],
    tapes: Tapes,
    seed: str,
    host: str,
    port: int,
    ready: Callable[[Opened], None],
    ended: Callable[[], None],
) -> None:
    """Keep a sandbox running whose markets are recordings; they begin when it serves.

    Until SIGINT or SIGTERM, or with `at_end` "stop" until the last tape is over; `ended` hears of that. Raises OSError
    if the port cannot be had, ValueError for two tapes of one market.
    """
    clock = Clock()
    taped = taped_sandbox(seed, clock.now(), recordings, speed=tapes.speed, at_end=tapes.at_end)
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        server = Server(taped.sandbox.exchange)
        async with sandbox(server, host=host, port=port, clock=clock) as venue, anyio.create_task_group() as tasks:
            ready(_opened(venue, taped.sandbox))

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


def _opened(venue: Venue, grown: simulation.Sandbox) -> Opened:
    key = Credentials(grown.key.access, grown.key.secret)
    markets = tuple(market.symbol for market in grown.exchange.markets)
    return Opened(venue.rest_url, venue.stream_url, key, markets)
