"""The single consumer: items in, numbered events through the engine, commands out. This order is the truth.

Between two waits everything is synchronous: an event is handled, its output made durable, and only then do its
commands leave. Source: design sections 2, 4 and 10; orders.md rule 5.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Item
from runner.edge.journal import JournalError
from runner.edge.recorder import Recorder
from runner.edge.stream import Outbox
from runner.engine.core import Engine
from runner.model.command import (
    Change,
    Command,
    Decided,
    Finish,
    Note,
    Output,
    Place,
    Reconnect,
    Resubscribe,
    RiskKept,
)
from runner.model.event import Budget, Event, JournalFailed, NotSent, Wake, What
from runner.model.settings import SECOND
from runner.run.audit import Audit
from runner.run.gateway import Gateway
from runner.run.inward import Inward

FLUSH_EVERY = SECOND


class Keeper(Protocol):
    """Who makes outputs durable: the journal. Raises JournalError where that cannot be done."""

    def commit(self, number: int, time: int, changes: Sequence[Change], notes: Sequence[Note] = ()) -> None: ...

    def defer(self, number: int, time: int, changes: Sequence[Change], notes: Sequence[Note] = ()) -> None: ...

    def flush(self) -> None: ...


class Consumer:
    """One run's engine and everybody who takes something from it."""

    def __init__(
        self,
        engine: Engine,
        inward: Inward,
        gateway: Gateway,
        journal: Keeper,
        bucket: Bucket,
        outboxes: dict[str, Outbox],
        clock: Clock,
        audit: Audit,
        recorder: Recorder | None = None,
    ) -> None:
        self._engine = engine
        self._inward = inward
        self._gateway = gateway
        self._journal = journal
        self._bucket = bucket
        self._outboxes = outboxes
        self._clock = clock
        self._audit = audit
        self._recorder = recorder or Recorder()
        self._number = 0
        self._wake_at: int | None = None
        self._flush_at: int | None = None
        self._told: tuple[int, int] | None = None
        self.finish: Finish | None = None

    async def run(self, inbox: MemoryObjectReceiveStream[Item]) -> Finish:
        """Consume until the engine says that the run is over."""
        while self.finish is None:
            item = await self._next(inbox)
            self._tell_budget()
            if item is None:
                self._tend()
                continue
            for what in self._inward.whats(item):
                self.deliver(what)
            self._answer_pings()
            self._tend()
        return self.finish

    def deliver(self, what: What) -> None:
        """One event: handled, written down, sent."""
        self._number += 1
        event = Event(self._number, self._clock.now(), what)
        try:
            output = self._engine.handle(event)
        except BaseException:
            self._recorder.take(event, None)  # what breaks the engine is what a record is wanted for
            raise
        self._recorder.take(event, output)
        self._wake_at = output.wake_at
        if self._engine.stop is not None:
            self._gateway.close_gate()
        failure = self._keep(event, output) if output.changes or output.notes else None
        self._audit.take(event, output)
        if output.commands:
            self._recorder.flush()
            self._submit(output.commands, failure)
        if failure is not None:
            self.deliver(JournalFailed(failure))

    def close(self) -> None:
        """What waited for a commit is written."""
        self._journal.flush()

    # Waiting ----------------------------------------------------------------------------------------------

    async def _next(self, inbox: MemoryObjectReceiveStream[Item]) -> Item | None:
        """The next item, or None when the time to wake or to flush has come."""
        try:
            return inbox.receive_nowait()
        except anyio.WouldBlock:
            pass
        times = [at for at in (self._wake_at, self._flush_at) if at is not None]
        deadline = self._clock.deadline(min(times)) if times else float("inf")
        with anyio.CancelScope(deadline=deadline):
            return await inbox.receive()
        return None

    def _tend(self) -> None:
        """Whatever is due by now, also when items keep coming without a pause."""
        now = self._clock.now()
        if self._wake_at is not None and now >= self._wake_at:
            self._tell_budget()
            self.deliver(Wake())
        if self._flush_at is not None and now >= self._flush_at:
            self._flush_at = None
            try:
                self._journal.flush()
            except JournalError as error:
                self.deliver(JournalFailed(str(error)))

    def _tell_budget(self) -> None:
        now = self._clock.now()
        free = self._bucket.free(now)
        budget = (free, self._bucket.refill_at(now))
        if self._told is None or free != self._told[0]:
            self._told = budget
            self.deliver(Budget(*budget))

    def _answer_pings(self) -> None:
        for stream, codec in (("public", self._inward.public), ("private", self._inward.private)):
            replies = codec.replies()
            if replies:
                self._outboxes[stream].send(replies)

    # Outputs ----------------------------------------------------------------------------------------------

    def _keep(self, event: Event, output: Output) -> str | None:
        """Make an output durable before anything of it leaves. Returns why that could not be done."""
        urgent = any(not isinstance(change, Decided | RiskKept) for change in output.changes)
        try:
            if urgent:
                self._journal.commit(event.number, event.time, output.changes, output.notes)
                self._flush_at = None
            else:
                self._journal.defer(event.number, event.time, output.changes, output.notes)
                self._flush_at = self._flush_at or event.time + FLUSH_EVERY
        except JournalError as error:
            if urgent:
                # The run goes on to cancel, and what it learns later makes no sense without this: it is written with
                # the next that can be written.
                with suppress(JournalError):
                    self._journal.defer(event.number, event.time, output.changes, output.notes)
            return str(error)
        return None

    def _submit(self, commands: Iterable[Command], failure: str | None) -> None:
        requests: list[Command] = []
        unwritten: list[Place] = []
        for command in commands:
            match command:
                case Finish():
                    self.finish = command
                case Resubscribe():
                    self._outboxes["public"].send(self._inward.public.resubscribe(command.market))
                case Reconnect():
                    self._outboxes[command.stream].reconnect("no usable book came")
                case Place() if failure is not None:
                    unwritten.append(command)
                case _:
                    requests.append(command)
        self._gateway.submit(requests)
        self._told = (self._bucket.free(self._clock.now()), 0)
        for place in unwritten:
            self.deliver(NotSent(place.client_id, f"the intent could not be written down: {failure}"))
