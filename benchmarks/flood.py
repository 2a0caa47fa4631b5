"""From a real socket to the engine's book, as fast as it goes: does it keep up, and does its memory stay where it is?

An exchange's public stream in its own process writes frames as fast as the run takes them; here is what a live run
has: stream client, inbox, consumer, codec, engine, record, journal. The engine hears no account, so it never ticks. At
the end its book is the sender's, to the last level.

`python -m benchmarks.flood --messages 10000000` is the long run: one line of JSON each million messages.
"""

import argparse
import json
import random
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from os import getpid
from pathlib import Path
from statistics import median
from time import perf_counter_ns, process_time_ns
from typing import Any
from zlib import crc32

import anyio
from websockets.http11 import Request
from websockets.server import ServerProtocol

from benchmarks.process import memory_mb
from benchmarks.tape import MARKET, Tape
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Frames, Item
from runner.edge.journal import Journal
from runner.edge.recorder import Recorder
from runner.edge.stream import Outbox, run_stream
from runner.engine.core import Engine
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import MarketData, View
from runner.model.command import Command
from runner.model.event import ClockRead, Configured, MarketsRead, What
from runner.model.settings import SECOND, Settings, TickPolicy
from runner.run.audit import Audit
from runner.run.inward import Inward
from runner.run.line import INBOX_ITEMS
from runner.run.live import Consumer
from runner.run.snapshot import snapshot
from runner.simulation.record import Header

MESSAGES = 1_000_000
SEED = 1
WRITE = 512  # frames in one write of the sender
NAME, TAG = "flood", "FLOODA"
CONFIRMED = b'{"success":{"message":"subscribed","streams":["rogerbtc.ob-inc","rogerbtc.trades","global.tickers"]}}'
WITHIN_S = 900.0


def figures() -> Iterator[dict[str, Any]]:
    """Messages a second by the clock and of CPU time, and how old a frame is when the book has it."""
    marks = list(flood(MESSAGES, MESSAGES // 10))
    yield {
        "figure": "socket_to_book",
        "value": round(MESSAGES / sum(mark["wall_s"] for mark in marks)),
        "unit": "messages/s",
        "budget": 50_000,
        "messages": MESSAGES,
        "per_cpu_second": round(MESSAGES / sum(mark["cpu_s"] for mark in marks)),
        "seed": SEED,
    }
    first, last = marks[1], marks[-1]  # in the first tenth everything is cold
    ages = {name: mark["age_ms_median"] for name, mark in (("second_tenth", first), ("last_tenth", last))}
    worst = max(mark["age_ms_max"] for mark in marks)
    value = median(mark["age_ms_median"] for mark in marks)
    yield {"figure": "book_age", "value": value, "unit": "ms", "budget": None, **ages, "worst": worst}


def flood(messages: int, every: int) -> Iterator[dict[str, Any]]:
    """Take so many messages; after each `every` of them say what that took. Raises AssertionError if a book differs."""
    command = [sys.executable, "-m", "benchmarks.flood", "--send", str(messages)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sender:
        assert sender.stdout is not None
        try:
            run = Run(messages, every)
            anyio.run(run.take, int(sender.stdout.readline()))
            assert sender.stdout.readline().strip() == fingerprint(*run.book_sides()), "the books differ"
        finally:
            sender.terminate()
    yield from run.marks


# The run ----------------------------------------------------------------------------------------------------


class Looks(Strategy, frozen=True):
    """Wants nothing."""

    def slots(self) -> Sequence[str]:
        return ("none",)

    def tick(self, view: View, state: State) -> Decision:
        return Decision((), state, "looking")


class NoVenue:
    """There is nobody to send anything to."""

    def submit(self, commands: Iterable[Command]) -> None:
        """The account is asked for again and again; nobody answers."""

    def close_gate(self) -> None:
        raise AssertionError("the run stops by itself")


class Counting(Inward):
    """Notes the age of each read, from its receive time to the moment at which the engine has handled all of it."""

    def __init__(self, run: "Run", clock: Clock) -> None:
        super().__init__({MARKET.symbol: MARKET}, [MARKET.symbol])
        self._run, self._clock = run, clock

    def whats(self, item: Item) -> Iterator[What]:
        yield from super().whats(item)
        if isinstance(item, Frames):
            self._run.handled(len(item.texts), self._clock.now() - item.received)


_HEADER = Header(run=NAME, part=1, began=0, name=NAME, venue="", version="", python="", platform="")


class Run:
    """One connection's life, measured."""

    def __init__(self, messages: int, every: int) -> None:
        self._total = messages + 2  # the confirmation and the snapshot come first
        self._every = every
        self._seen, self._mark_at = 0, every
        self._ages: list[int] = []
        self._done = anyio.Event()
        self._engine = Engine(Looks)
        self._rss_start_mb = 0.0
        self.marks: list[dict[str, Any]] = []

    async def take(self, port: int) -> None:
        clock, bucket = Clock(), Bucket(1_000_000)
        outboxes = {"public": Outbox(), "private": Outbox()}
        sender, receiver = anyio.create_memory_object_stream[Item](INBOX_ITEMS)
        inward = Counting(self, clock)
        audit = Audit(self._engine, run=NAME, name=NAME, venue="", now=clock.now())
        settings = Settings(
            name=NAME, tag=TAG, markets=(MARKET.symbol,), strategy="looks", tick=TickPolicy(every=SECOND)
        )
        with (
            tempfile.TemporaryDirectory(dir=Path.cwd()) as folder,
            Journal.open(Path(folder) / "flood.sqlite3", now=clock.now(), name=NAME, tag=TAG) as journal,
            Recorder(Path(folder) / "record", _HEADER, snapshot=partial(snapshot, self._engine)) as recorder,
        ):
            consumer = Consumer(self._engine, inward, NoVenue(), journal, bucket, outboxes, clock, audit, recorder)
            for what in (Configured(settings), journal.restore(), MarketsRead((MARKET,)), ClockRead(0, 0)):
                consumer.deliver(what)
            self._rss_start_mb = round(memory_mb(getpid()), 1)
            self._begin()
            async with anyio.create_task_group() as tasks, sender, receiver:
                tasks.start_soon(consumer.run, receiver)

                async def stream() -> None:
                    await run_stream(
                        "public",
                        f"ws://127.0.0.1:{port}/public/",
                        headers=dict,
                        greeting=inward.public.subscriptions,
                        inbox=sender,
                        outbox=outboxes["public"],
                        clock=clock,
                        dice=random.Random(SEED),
                        when_full="drop",
                    )

                tasks.start_soon(stream)
                with anyio.fail_after(WITHIN_S):
                    await self._done.wait()
                assert self._book.state == "live", self._book.reason
                tasks.cancel_scope.cancel()

    def handled(self, messages: int, age: int) -> None:
        self._seen += messages
        self._ages.append(age)
        if self._seen >= self._mark_at:
            self._mark()
        if self._seen >= self._total:
            self._done.set()

    @property
    def _book(self) -> MarketData:
        return self._engine.feeds.by_symbol[MARKET.symbol].book

    def book_sides(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return list(self._book.bids(10**6)), list(self._book.asks(10**6))

    def _begin(self) -> None:
        self._wall, self._cpu = perf_counter_ns(), process_time_ns()

    def _mark(self) -> None:
        wall, cpu = perf_counter_ns(), process_time_ns()
        self.marks.append(
            {
                "messages": self._seen,
                "wall_s": (wall - self._wall) / 1e9,
                "cpu_s": (cpu - self._cpu) / 1e9,
                "age_ms_median": round(median(self._ages) / 1e6, 3),
                "age_ms_max": round(max(self._ages) / 1e6, 3),
                "reads": len(self._ages),
                "rss_mb": round(memory_mb(getpid()), 1),
                "rss_start_mb": self._rss_start_mb,
            }
        )
        self._ages.clear()
        self._mark_at += self._every
        self._begin()


# The sender -------------------------------------------------------------------------------------------------


def send(messages: int) -> None:
    """Be an exchange to one client: print the port, write every frame, print the book's fingerprint."""
    tape = Tape(SEED)
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        line, _ = server.accept()
        with line:
            shake_hands(line)
            line.sendall(framed(CONFIRMED) + framed(tape.snapshot()))
            lines = tape.lines(messages)
            while chunk := list(islice(lines, WRITE)):
                line.sendall(b"".join(map(framed, chunk)))
            print(fingerprint(sorted(tape.bids.items(), reverse=True), sorted(tape.asks.items())), flush=True)
            while line.recv(65536):  # until the client leaves
                pass


def shake_hands(line: socket.socket) -> None:
    protocol = ServerProtocol()
    while not (events := protocol.events_received()):
        protocol.receive_data(line.recv(65536))
    assert isinstance(events[0], Request)
    protocol.send_response(protocol.accept(events[0]))
    line.sendall(b"".join(protocol.data_to_send()))


def framed(text: bytes) -> bytes:
    """A text frame as a server sends it, without a mask (RFC 6455, 5.2)."""
    size = len(text)
    return (b"\x81" + (bytes((size,)) if size < 126 else b"\x7e" + size.to_bytes(2, "big"))) + text


def fingerprint(*sides: Sequence[tuple[int, int]]) -> str:
    return str(crc32(json.dumps(sides).encode()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flood", description=__doc__)
    parser.add_argument("--messages", type=int, default=10 * MESSAGES)
    parser.add_argument("--send", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.send is not None:
        return send(chosen.send)
    for mark in flood(chosen.messages, MESSAGES):
        print(json.dumps(mark), flush=True)
    return None


if __name__ == "__main__":
    main()
