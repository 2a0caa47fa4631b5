"""What a venue may do to a run: frames that are nonsense, gaps, cut lines, lost answers, refusals by a gateway.

Each test begins with a healthy run that trades, does one bad thing, waits for the run to get over it, stops it, and
then holds the books beside the exchange's.
"""

import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from loopback.line import agreement, balances, notes_in, orders_in_state, run_here, strategy_text, venue
from loopback.proxy import Answer, Fault, Proxy, Withheld, pass_frame, pass_request, proxy

from benchmarks.peer import Agreement
from runner.edge.conversation import HttpRequest
from runner.model.settings import SECOND
from runner.run.start import Ended

pytestmark = pytest.mark.anyio

WITHIN_S = 45.0
SETTLE = SECOND  # how late a create may still become a row: this venue is prompt


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Line:
    """A run that goes on, seen from the proxy between it and the venue."""

    def __init__(self, between: Proxy, state: Path) -> None:
        self.between = between
        self.state = state
        self.placed = 0  # creates that went through
        self.snapshots = 0
        self.ended: Ended | None = None
        self.agreement: Agreement | None = None
        self._changed = anyio.Event()
        between.request = self.request
        between.frame = self.frame
        self.bad_request: Callable[[HttpRequest], Fault] = pass_request
        self.bad_frame: Callable[[str, bytes], Iterable[bytes] | None] = pass_frame

    def request(self, request: HttpRequest) -> Fault:
        fault = self.bad_request(request)
        self.placed += fault is None and is_create(request)
        self._tell()
        return fault

    def frame(self, stream: str, text: bytes) -> Iterable[bytes] | None:
        passed = self.bad_frame(stream, text)
        self.snapshots += b"ob-snap" in text
        self._tell()
        return passed

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, what: Callable[[], object]) -> None:
        while not what():
            assert self.ended is None, f"the run ended: {self.ended}"
            await self._changed.wait()

    async def places(self, more: int = 1) -> None:
        """Until so many more orders were placed: the run is well and trades."""
        enough = self.placed + more
        await self.until(lambda: self.placed >= enough)

    def notes(self, what: str) -> list[dict[str, Any]]:
        return [facts for name, facts in notes_in(self.state) if name == what]


def is_create(request: HttpRequest) -> bool:
    return request.method == "POST" and request.target.endswith("/market/orders")


def once(does: Callable[..., Any], otherwise: Callable[..., Any], *, when: Callable[..., bool]) -> Callable[..., Any]:
    """Does something to the first that fits, and nothing to all others."""
    done: list[bool] = []

    def decide(*what: Any) -> Any:
        if not done and when(*what):
            done.append(True)
            return does(*what)
        return otherwise(*what)

    return decide


@asynccontextmanager
async def line(state: Path) -> AsyncIterator[Line]:
    """A run that trades. At the end it is stopped, and must have ended clean with books that agree."""
    async with venue() as (behind, _), proxy(behind) as (opened, between):
        opening = await balances(behind)
        going = Line(between, state)
        with anyio.fail_after(WITHIN_S):
            async with anyio.create_task_group() as tasks:

                async def trade() -> None:
                    going.ended = await run_here(strategy_text(opened.connector), state, opened, settle=SETTLE)

                tasks.start_soon(trade)
                await going.places(4)
                yield going
                assert going.ended is None, going.ended
                os.kill(os.getpid(), signal.SIGTERM)
        assert going.ended is not None
        going.agreement = await agreement(state, behind, opening)
    assert going.agreement.differences == ()
    assert (going.ended.exit_code, going.ended.summary["open_orders_left"]) == (0, 0)
    assert going.ended.summary["orders"]["unknown"] == 0


def public_delta(stream: str, text: bytes) -> bool:
    return stream == "public" and b"ob-inc" in text and b"subscribed" not in text


NONSENSE = (
    b"this is not JSON",
    b"[1, 2, 3]",
    b"{}",
    b'{"dogemoon.ob-inc":{"bids":["1.0","2.0"],"sequence":7}}',
    b'{"deposit_address":{"type":"create","currency":"btc","address":"x"}}',
    b'{"order":{"id":"x"}}',
    b'{"error":"Could not parse Type: Invalid event"}',
    b"\xff\xfe",
    b'{"ping":1700000000}',
)


async def test_nonsense_between_the_frames_is_reported_once_at_most(tmp_path: Path) -> None:
    async with line(tmp_path) as going:
        going.bad_frame = lambda stream, text: (*NONSENSE, text, *NONSENSE)
        await going.places(2)
        going.bad_frame = pass_frame
        await going.places()
    faults = [(facts["source"], facts["problem"]) for facts in going.notes("venue.fault")]
    assert {source for source, _ in faults} == {"public stream", "private stream"}
    assert len(faults) == len(set(faults)) <= 2 * len(NONSENSE)


async def test_extra_fields_and_numbers_for_texts_make_no_difference(tmp_path: Path) -> None:
    def bent(_stream: str, text: bytes) -> Iterable[bytes]:
        frame = json.loads(text)
        for body in frame.values():
            if isinstance(body, dict):
                body["extra"] = {"more": [1, None]}
        return (json.dumps(numbers(frame)).encode(),)

    def numbers(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: numbers(each) for key, each in value.items()}
        if isinstance(value, list):
            return [numbers(each) for each in value]
        try:
            return float(value) if isinstance(value, str) and value else value
        except ValueError:
            return value

    async with line(tmp_path) as going:
        going.bad_frame = bent
        await going.places(4)
    assert going.notes("venue.fault") == []
    assert going.notes("book.gap") == []


async def test_a_dropped_increment_is_a_gap_told_once_and_the_book_is_had_anew(tmp_path: Path) -> None:
    async with line(tmp_path) as going:
        before = going.snapshots
        going.bad_frame = once(lambda *_: (), pass_frame, when=public_delta)
        await going.until(lambda: going.snapshots > before)
        await going.places()
    assert [facts["reason"].split()[0] for facts in going.notes("book.gap")] == ["increment"]


@pytest.mark.parametrize("stream", ["public", "private"])
async def test_a_cut_socket_is_connected_again(tmp_path: Path, stream: str) -> None:
    async with line(tmp_path) as going:
        going.bad_frame = once(lambda *_: None, pass_frame, when=lambda name, _text: name == stream)
        await going.until(lambda: [facts for facts in going.notes("stream.down") if facts["stream"] == stream])
        await going.until(lambda: len([f for f in going.notes("stream.up") if f["stream"] == stream]) == 2)
        await going.places()


LOST_ANSWERS = (
    Withheld(),
    Answer(502, b"<html><body><h1>502 Bad Gateway</h1></body></html>", {"Content-Type": "text/html"}, after_venue=True),
    Answer(504, b"upstream request timeout", {"Content-Type": "text/plain"}, after_venue=True),
    Answer(201, b'{"id": "what?"}', {"Content-Type": "application/json"}, after_venue=True),
    Answer(403, after_venue=True),
)


@pytest.mark.slow  # whose fate was unknown is looked for once more when no late copy of it can come any longer
async def test_creates_without_an_answer_are_looked_up_and_never_sent_again(tmp_path: Path) -> None:
    faults = list(LOST_ANSWERS)
    async with line(tmp_path) as going:
        going.bad_request = lambda request: faults.pop() if faults and is_create(request) else None
        await going.until(lambda: not faults and not orders_in_state(tmp_path, "unknown"))
        await going.places()
    assert len(going.notes("order.unknown")) == len(LOST_ANSWERS)
    assert going.notes("order.duplicate") == []
    assert going.ended is not None
    assert going.ended.summary["orders"]["absent"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_create_that_was_lost_before_the_venue_is_proven_absent(tmp_path: Path) -> None:
    lost = Answer(502, b"<html>", {"Content-Type": "text/html"})
    async with line(tmp_path) as going:
        going.bad_request = once(lambda _: lost, pass_request, when=is_create)
        await going.until(lambda: orders_in_state(tmp_path, "unknown"))
        (name,) = orders_in_state(tmp_path, "unknown")
        await going.until(lambda: orders_in_state(tmp_path, "absent"))
        await going.places()
    assert orders_in_state(tmp_path, "absent") == [name]


@pytest.mark.slow
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_too_many_requests_means_none_for_as_long_as_the_venue_says(tmp_path: Path) -> None:
    refused = Answer(429, b"Retry later\n", {"Retry-After": "4", "Content-Type": "text/plain"})
    asked_at: list[float] = []

    def timed(request: HttpRequest) -> Fault:
        asked_at.append(anyio.current_time())
        return None

    async with line(tmp_path) as going:
        going.bad_request = once(lambda _: refused, timed, when=lambda request: not is_create(request))
        await going.places(3)
    # Some may have been on their way. At other times there is no such pause: quotes are weighed every two seconds.
    assert max(later - earlier for earlier, later in pairwise(asked_at)) > 3.5
