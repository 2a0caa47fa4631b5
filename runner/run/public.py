"""Recording public data alone: markets of a venue, for as long as somebody wants, without a key and without a strategy.

The record has the form of a run's, with nothing decided in it; `runner tape` makes tapes of it.
"""

import platform
import random
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from msgspec import Struct

from runner import __version__
from runner.edge.clock import Clock
from runner.edge.inbox import Item
from runner.edge.recorder import MEGABYTE, Recorder
from runner.edge.stream import Outbox
from runner.model.command import Output
from runner.model.event import BookDelta, BookGap, BookSnapshot, Event, MarketsRead, PublicTrade, What
from runner.model.exits import Exit
from runner.model.market import Market
from runner.model.settings import SECOND
from runner.run.counter import Counter, Target, asked
from runner.run.ends import CannotRun
from runner.run.inward import Inward
from runner.run.line import INBOX_ITEMS, public_stream
from runner.run.machine import Machine
from runner.run.recording import platform_name
from runner.run.site import new_run_id
from runner.simulation.record import Header

ASK_AGAIN = 5 * SECOND
NOTHING = Output()


class Recorded(Struct):
    """What came in so far. `problem` is why the record ended before its time."""

    folder: Path
    books: int = 0
    trades: int = 0
    gaps: int = 0
    problem: str | None = None


class Wish(Struct, frozen=True):
    markets: Sequence[str]
    folder: Path | None  # by default one in the working directory, named by the time
    run_for: int | None  # ns; None: until a signal comes
    megabytes: int
    told: Callable[[str], None] = lambda _line: None


async def record(target: Target, environment: Mapping[str, str], wish: Wish) -> Recorded:
    """Raises CannotRun where it cannot begin."""

    async def work(counter: Counter) -> Recorded:
        return await _record(counter, wish)

    return await asked(target, environment, work, private=False)


async def _record(counter: Counter, wish: Wish) -> Recorded:
    if counter.target.stream_url is None:
        raise CannotRun(Exit.USAGE, f"{counter.label}: name the address of its streams as well, with --stream-url")
    known = await counter.markets()
    chosen = [(await counter.market(symbol)).symbol for symbol in wish.markets]
    clock, run = counter.clock, new_run_id(counter.clock.now(), random.SystemRandom())
    found = Recorded(wish.folder or Path(run))
    with Recorder(
        found.folder,
        _header(run, clock.now(), counter.label, chosen),
        bytes_max=wish.megabytes * MEGABYTE,
        told=lambda problem: setattr(found, "problem", problem),
    ) as recorder:
        if not recorder.recording:
            raise CannotRun(Exit.USAGE, f"{found.folder}: {found.problem}")
        wish.told(f"recording {', '.join(chosen)} of {counter.label} in {found.folder}")
        listener = _Listener(known, chosen, recorder, clock, found)
        await _listen(counter.target.stream_url.rstrip("/"), listener, clock, wish.run_for)
    return found


async def _listen(url: str, listener: "_Listener", clock: Clock, run_for: int | None) -> None:
    sender, receiver = anyio.create_memory_object_stream[Item](INBOX_ITEMS)
    async with sender, receiver, anyio.create_task_group() as tasks:

        async def stop_on_signal() -> None:
            if threading.current_thread() is threading.main_thread():
                with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                    async for _ in signals:
                        tasks.cancel_scope.cancel()

        async def stop_in_time(at: int) -> None:
            await clock.sleep_until(at)
            tasks.cancel_scope.cancel()

        tasks.start_soon(public_stream, url, listener.inward, listener.outbox, sender, clock, Machine())
        tasks.start_soon(stop_on_signal)
        if run_for is not None:
            tasks.start_soon(stop_in_time, clock.now() + run_for)
        await listener.run(receiver)
        tasks.cancel_scope.cancel()


class _Listener:
    """The single consumer of the stream. A book whose sequence breaks is asked for again."""

    def __init__(
        self, known: Mapping[str, Market], chosen: Sequence[str], recorder: Recorder, clock: Clock, found: Recorded
    ) -> None:
        self.inward = Inward(known, chosen)
        self.outbox = Outbox()
        self._recorder = recorder
        self._clock = clock
        self._found = found
        self._number = 0
        self._broken: dict[str, int] = {}  # markets without a book that can be used -> when to ask again
        self._take(MarketsRead(tuple(known[symbol] for symbol in chosen)))

    async def run(self, inbox: MemoryObjectReceiveStream[Item]) -> None:
        """Until the recorder can no more."""
        while self._recorder.recording:
            for what in self.inward.whats(await inbox.receive()):
                self._take(what)
            self._mend()
            replies = self.inward.public.replies()
            if replies:
                self.outbox.send(replies)

    def _take(self, what: What) -> None:
        self._number += 1
        self._recorder.take(Event(self._number, self._clock.now(), what), NOTHING)
        match what:
            case BookSnapshot():
                self._found.books += 1
                self._broken.pop(what.market, None)
            case BookDelta():
                self._found.books += 1
            case PublicTrade():
                self._found.trades += 1
            case BookGap():
                self._found.gaps += 1
                self._broken.setdefault(what.market, 0)

    def _mend(self) -> None:
        """Ask for a book again, but not all the time: a snapshot may be older than what was missed."""
        now = self._clock.now()
        for market, at in self._broken.items():
            if now >= at:
                self._broken[market] = now + ASK_AGAIN
                self.outbox.send(self.inward.public.resubscribe(market))


def _header(run: str, began: int, venue: str, chosen: Sequence[str]) -> Header:
    return Header(
        run=run,
        part=1,
        began=began,
        name=", ".join(chosen),
        venue=venue,
        version=__version__,
        python=platform.python_version(),
        platform=platform_name(),
    )
