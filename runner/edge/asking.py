"""Asking a venue by hand: questions within the request budget, asked again while that may help, lists to their end.

For everything but a run, whose engine decides itself what is asked and what a silence means. Only what may be asked
twice comes through here: look-ups and cancels.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

import anyio

from runner.altmarkets.errors import RetryLater, problem
from runner.altmarkets.lookup import Listing, Page, Question
from runner.altmarkets.numbers import Unreadable
from runner.altmarkets.rest import Request, Response
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.rest import Rest
from runner.model.settings import SECOND

ANSWER_WITHIN_S = 15.0
PAUSES_S = (0.5, 1.0, 2.0)
AGAIN_S_MAX = 15
"""A longer pause than this is for the user to wait, not for us."""

PAGES_MAX = 1000
TOO_MANY = 429

T = TypeVar("T")


class Asking:
    """One venue, one budget. `pauses_s` lie between the attempts, so there is one more of them."""

    def __init__(self, rest: Rest, bucket: Bucket, clock: Clock, *, pauses_s: Iterable[float] = PAUSES_S) -> None:
        self.rest = rest
        self.clock = clock
        self._bucket = bucket
        self._pauses_s = tuple(pauses_s)

    async def ask(self, question: Question[T]) -> T:
        """Raises a VenueError, RetryLater when it has not helped, or Unreadable."""
        request = question.request
        if request.method != "GET" and not request.path.endswith("/cancel"):
            raise ValueError(f"{request.method} {request.path} may not be asked twice")
        for pause_s in (*self._pauses_s, None):
            try:
                return question.read(await self._once(request))
            except RetryLater as later:
                again_s = max(pause_s or 0.0, later.again_s or 0)
                if pause_s is None or again_s > AGAIN_S_MAX:
                    raise
                await anyio.sleep(again_s)
            except Unreadable as error:
                raise Unreadable(f"{request.path}: {error}") from None
        raise AssertionError("the last attempt returns or raises")

    async def all(self, listing: Listing[T], on_page: Callable[[int], None] = lambda count: None) -> Page[T]:
        """The whole list, each row once, the first seen. `on_page` hears how many rows there are so far."""
        rows: dict[object, T] = {}
        faults: list[str] = []
        for number in range(1, PAGES_MAX + 1):
            page = await self.ask(listing.page(number))
            for row in page.rows:
                rows.setdefault(listing.key(row), row)
            faults += page.faults
            on_page(len(rows))
            if not page.more:
                return Page(tuple(rows.values()), tuple(dict.fromkeys(faults)), more=False)
        raise Unreadable(f"{listing.path}: no end after {PAGES_MAX} pages")

    async def _once(self, request: Request) -> Response:
        await self._bucket.wait(self.clock)
        answer = await self.rest.send(request, deadline_s=ANSWER_WITHIN_S)
        error = problem(request, answer)
        if error is not None:
            if error.status == TOO_MANY:
                self._bucket.hold_until(self.clock.now() + (error.again_s or 1) * SECOND)
            raise error
        assert isinstance(answer, Response)
        return answer
