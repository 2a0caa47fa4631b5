"""A paper account in a run: the venue's public data go to it first, then to the engine, with its own news among them.

It stands where a live run has REST and the private stream: nothing is sent anywhere, no key is needed, and the account
ends with the run. While the public stream is down or a book has a gap its orders stay where they are, and none is
filled until the next snapshot.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream
from msgspec.structs import replace

from runner.altmarkets import catalogue
from runner.altmarkets.errors import VenueError
from runner.altmarkets.numbers import Grid, Unreadable
from runner.edge.asking import Asking
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Due, Item
from runner.edge.rest import Rest
from runner.model.command import Command, Note, Place
from runner.model.event import (
    BookDelta,
    BookGap,
    BookSnapshot,
    ClockRead,
    NotSent,
    PublicTrade,
    StreamAlive,
    StreamDown,
    What,
)
from runner.model.exits import Exit
from runner.model.market import Market
from runner.model.money import plain
from runner.model.paper import PaperModels
from runner.run.ends import CannotRun, exit_code_of
from runner.run.inward import Inward
from runner.run.replay import open_record
from runner.run.venue import Knowledge
from runner.simulation.paper import PaperVenue
from runner.simulation.record import steps
from runner.simulation.round_trips import round_trips
from runner.simulation.taped import start_balances

_UNFILLED = "no paper order is filled until the next snapshot"


def as_recorded(models: PaperModels, environment: Mapping[str, str]) -> PaperModels:
    """The models with the waits of the recorded run that they name, if they name one. Raises CannotRun."""
    if not models.recorded:
        return models
    trips = round_trips(steps(open_record(models.recorded, environment)))
    if not trips.creates:
        raise CannotRun(Exit.CONFIG, f"no order was answered in the record of {models.recorded}: there is no latency")
    return models.measured(trips.creates, trips.cancels)


async def paper_account(
    models: PaperModels, symbols: Sequence[str], known: Knowledge, rest: Rest, bucket: Bucket, clock: Clock
) -> tuple[PaperVenue, Note]:
    """The account of a run that begins now, and what is to be said of it. Raises CannotRun."""
    of_file = [market for market in known.markets if market.symbol in symbols]
    balances = models.balances or start_balances(await _asks(of_file, Asking(rest, bucket, clock)))
    # The public data have been on their way already: that time is added to the way of requests.
    markets = [models.with_fees(market) for market in of_file]
    venue = PaperVenue(markets, balances, models=models.folded(), seed=str(models.seed), now=clock.now())
    venue.exchange.clock_offset = known.offset
    told = ", ".join(f"{plain(amount)} {currency}" for currency, amount in balances.items())
    return venue, Note("paper.opened", facts={"model": str(models), "balances": told, "usual": not models.balances})


async def _asks(markets: Sequence[Market], asking: Asking) -> list[tuple[Market, int | None]]:
    """Each market with its best ask, in ticks."""
    found = []
    for market in markets:
        try:
            depth = await asking.ask(catalogue.depth(Grid(market), 1))
        except (VenueError, Unreadable) as error:
            code = exit_code_of(error) if isinstance(error, VenueError) else Exit.UNREACHABLE
            raise CannotRun(code, f"the venue does not show {market.symbol}: {error}") from error
        found.append((market, depth.asks[0][0] if depth.asks else None))
    return found


class PaperGateway:
    """Hands commands to the account, and wakes the run when it has something to tell."""

    def __init__(
        self,
        venue: PaperVenue,
        bucket: Bucket,
        clock: Clock,
        inbox: MemoryObjectSendStream[Item],
        tasks: TaskGroup,
    ) -> None:
        self.venue = venue
        self._bucket = bucket
        self._clock = clock
        self._inbox = inbox
        self._tasks = tasks
        self._open = True
        self._armed: int | None = None  # when `wake` will do so
        self._changed = anyio.Event()

    def submit(self, commands: Iterable[Command]) -> None:
        for command in commands:
            now = self._clock.now()
            taken = self._bucket.take(now)
            if isinstance(command, Place) and not (taken and (self._open or command.flattens)):
                reason = "the gate was closed before it was signed" if taken else "no request left"
                self.venue.tell(now, NotSent(command.client_id, reason))
            elif taken:
                self.venue.submit(command, now)
            else:
                self._tasks.start_soon(self._submit_later, command)
        self.rearm()

    def close_gate(self) -> None:
        self._open = False

    async def _submit_later(self, command: Command) -> None:
        await self._bucket.wait(self._clock)
        self.venue.submit(command, self._clock.now())
        self.rearm()

    def rearm(self) -> None:
        """Something was asked of the account, or taken from it."""
        if self.venue.next_due() != self._armed:
            self._changed.set()

    async def wake(self) -> NoReturn:
        """Send a `Due` whenever the account has something to tell; who takes it says so with `rearm`."""
        while True:
            self._changed = changed = anyio.Event()
            self._armed = due = self.venue.next_due()
            with anyio.CancelScope(deadline=float("inf") if due is None else self._clock.deadline(due)):
                await changed.wait()
                continue
            self._armed = None
            await self._inbox.send(Due(self._clock.now()))
            if not changed.is_set():
                await changed.wait()


class PaperInward(Inward):
    """What came in from the venue, by way of the account."""

    def __init__(
        self, markets: Mapping[str, Market], symbols: Sequence[str], gateway: PaperGateway, clock: Clock
    ) -> None:
        super().__init__(markets, symbols)
        self._gateway = gateway
        self._venue = gateway.venue
        self._traded = tuple(symbols)
        self._clock = clock

    def whats(self, item: Item) -> Iterator[What]:
        for what in super().whats(item):
            yield from self._by_way_of_the_account(what)
        yield from self._come()
        self._gateway.rearm()

    def _by_way_of_the_account(self, what: What) -> Iterator[What]:
        match what:
            case BookSnapshot() | BookDelta() | PublicTrade():
                self._venue.public(what, self._clock.now())
                yield from self._come()
            case BookGap():
                self._venue.public(replace(what, reason=f"{what.reason}: {_UNFILLED}"), self._clock.now())
                yield from self._come()
            case StreamDown(stream="public"):
                yield what
                for symbol in self._traded:
                    self._venue.public(BookGap(symbol, f"stream down: {_UNFILLED}"), self._clock.now())
                yield from self._come()
            case StreamAlive(stream="public"):
                yield what
                yield StreamAlive("private")
            case ClockRead(offset):
                self._venue.exchange.clock_offset = offset
                yield what
            case _:
                yield what

    def _come(self) -> Iterator[What]:
        for _, what in self._venue.advance(self._clock.now()):
            yield what
