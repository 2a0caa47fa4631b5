"""The line between one engine and its venue: what comes in, who takes commands, and everything that waits for either.

A live account has REST and both streams; a paper account has the public stream alone, and stands itself where the
others would be.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from msgspec import Struct

from runner.altmarkets.signing import signed_headers
from runner.altmarkets.stream import PRIVATE_PATH, PUBLIC_PATH
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Item
from runner.edge.rest import Rest
from runner.edge.stream import Outbox, run_stream
from runner.model.credentials import Credentials
from runner.model.settings import Settings
from runner.run.gateway import Gateway, LiveGateway
from runner.run.inward import Inward
from runner.run.machine import Machine
from runner.run.paper import PaperGateway, PaperInward
from runner.run.site import Site
from runner.run.venue import Knowledge, keep_clock
from runner.simulation.paper import PaperVenue

INBOX_ITEMS = 1024


class Line(Struct, frozen=True):
    """Where it leads. With `paper` nothing is ordered there."""

    site: Site
    rest: Rest
    paper: PaperVenue | None
    known: Knowledge
    settings: Settings
    bucket: Bucket
    clock: Clock
    machine: Machine


class OpenLine:
    """`tasks` end it; nothing comes in before `start`."""

    def __init__(
        self,
        line: Line,
        inbox: MemoryObjectSendStream[Item],
        doubt: MemoryObjectSendStream[None],
        doubts: MemoryObjectReceiveStream[None],
        tasks: TaskGroup,
    ) -> None:
        self.inbox = inbox
        self.tasks = tasks
        self.outboxes = {"public": Outbox(), "private": Outbox()}
        self._line = line
        self._doubts = doubts
        markets, symbols = {market.symbol: market for market in line.known.markets}, line.settings.markets
        self.inward: Inward
        self.gateway: Gateway
        if line.paper is None:
            self.inward = Inward(markets, symbols)
            self.gateway = LiveGateway(line.rest, line.bucket, markets, line.clock, inbox, tasks, doubt)
        else:
            self.gateway = PaperGateway(line.paper, line.bucket, line.clock, inbox, tasks)
            self.inward = PaperInward(markets, symbols, self.gateway, line.clock)

    def start(self) -> None:
        """Everything that waits for the venue, for as long as the tasks last."""
        line = self._line
        self.tasks.start_soon(self._public)
        if line.site.credentials is not None:
            self.tasks.start_soon(self._private, line.site.credentials)
        if isinstance(self.gateway, PaperGateway):
            self.tasks.start_soon(self.gateway.wake)
        self.tasks.start_soon(keep_clock, line.rest, line.clock, line.bucket, self._doubts, self.inbox)

    async def _private(self, key: Credentials) -> None:
        line = self._line

        def signed() -> dict[str, str]:
            return signed_headers(key.access_key, key.secret_key, line.clock.venue_ms())

        await run_stream(
            "private",
            line.site.stream_url + PRIVATE_PATH,
            headers=signed,
            greeting=tuple,
            inbox=self.inbox,
            outbox=self.outboxes["private"],
            clock=line.clock,
            dice=line.machine.dice,
            when_full="wait",
            connect=line.machine.connect,
        )

    async def _public(self) -> None:
        line = self._line
        await public_stream(
            line.site.stream_url, self.inward, self.outboxes["public"], self.inbox, line.clock, line.machine
        )


async def public_stream(
    stream_url: str,
    inward: Inward,
    outbox: Outbox,
    inbox: MemoryObjectSendStream[Item],
    clock: Clock,
    machine: Machine,
) -> None:
    """The public stream of a venue into an inbox, for ever."""
    await run_stream(
        "public",
        stream_url + PUBLIC_PATH,
        headers=dict,
        greeting=inward.public.subscriptions,
        inbox=inbox,
        outbox=outbox,
        clock=clock,
        dice=machine.dice,
        when_full="drop",
        connect=machine.connect,
    )


@asynccontextmanager
async def opened_line(line: Line) -> AsyncIterator[tuple[OpenLine, MemoryObjectReceiveStream[Item]]]:
    """A line and its inbox. Leaving it ends everything that waits."""
    sender, receiver = anyio.create_memory_object_stream[Item](INBOX_ITEMS)
    doubt, doubts = anyio.create_memory_object_stream[None](1)
    # The streams outlast the tasks: who still sends while being cancelled must not find a closed door.
    async with sender, receiver, doubt, doubts, anyio.create_task_group() as tasks:
        yield OpenLine(line, sender, doubt, doubts, tasks), receiver
        tasks.cancel_scope.cancel()
