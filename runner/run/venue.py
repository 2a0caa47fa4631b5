"""What must be known of a venue before the engine can begin: its rules, its clock, and whether money there is real."""

from collections.abc import Callable
from ipaddress import ip_address
from typing import NoReturn, TypeVar
from urllib.parse import urlsplit

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from msgspec import Struct

from runner.altmarkets import rest as wire
from runner.altmarkets.numbers import Unreadable
from runner.altmarkets.rest import NoResponse, Request, Response
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Item, Observed
from runner.edge.network import Connect
from runner.edge.rest import Rest
from runner.model.command import ReadBalances
from runner.model.credentials import Credentials
from runner.model.event import ClockRead
from runner.model.market import Market
from runner.model.settings import SECOND

REACH_WITHIN_S = 20.0
ANSWER_WITHIN_S = 6.0
FIRST_REQUESTS = 4
ROOM_WITHIN_S = 60.0
PAUSES_S = (0.5, 1.0, 2.0, 4.0)
NONCE_AGE = 10 * SECOND  # twice the window of wire reference 2.2


MEASURE_EVERY_S = 3600.0
PAGES_MAX = 20  # of a thousand rows each

Row = TypeVar("Row")


class Unreachable(Exception):
    """The venue gave no usable answer in time."""


class Knowledge(Struct, frozen=True):
    """`offset` is the venue's clock minus ours in ns, wrong by at most `uncertainty`."""

    markets: tuple[Market, ...]
    version: str
    offset: int
    uncertainty: int


async def learn(rest: Rest, clock: Clock, bucket: Bucket) -> Knowledge:
    """Ask for everything, again and again for a bounded time, within the request budget.

    Raises Unreachable with the last reason.
    """
    await _room(bucket, clock)
    problem = "it does not answer"
    with anyio.move_on_after(REACH_WITHIN_S):
        attempt = 0
        while True:
            try:
                return await _learn_once(_Asker(rest, clock, bucket))
            except Unreachable as error:
                problem = str(error)
            except Unreadable as error:
                problem = f"its answer cannot be read: {error}"
            await anyio.sleep(PAUSES_S[min(attempt, len(PAUSES_S) - 1)])
            attempt += 1
    raise Unreachable(problem)


async def nonce_window_enforced(
    rest_url: str, key: Credentials, clock: Clock, bucket: Bucket, connect: Connect
) -> bool:
    """Send one signed GET with a nonce that is too old; the venue should refuse it (orders.md 9a)."""
    past = _Past(clock)
    await bucket.wait(clock)
    async with Rest(rest_url, key, past, connect=connect) as rest:
        answer = await rest.send(wire.request_for(ReadBalances(0), {}), deadline_s=ANSWER_WITHIN_S)
    return isinstance(answer, Response) and answer.status == 401 and b"authz.nonce_expired" in answer.body


def nothing_real(rest_url: str, version: str) -> bool:
    """A sandbox on this very machine, by address and by its own word."""
    host = urlsplit(rest_url).hostname or ""
    try:
        loopback = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        loopback = False
    return loopback and "sandbox" in version


async def keep_clock(
    rest: Rest,
    clock: Clock,
    bucket: Bucket,
    doubts: MemoryObjectReceiveStream[None],
    inbox: MemoryObjectSendStream[Item],
) -> NoReturn:
    """Measure the venue's clock again every hour, and whenever a nonce of ours was called expired."""
    asker = _Asker(rest, clock, bucket)
    while True:
        with anyio.move_on_after(MEASURE_EVERY_S):
            await doubts.receive()
        try:
            offset, uncertainty = await asker.offset()
        except (Unreachable, Unreadable):
            continue  # the streams and the look-ups tell of a venue that is not there
        clock.offset_ns = offset
        await inbox.send(Observed(ClockRead(offset, uncertainty), clock.now()))


async def _room(bucket: Bucket, clock: Clock) -> None:
    """Other runs with this key may have used up the budget: that is not the venue's silence, so it is waited out."""
    with anyio.move_on_after(ROOM_WITHIN_S):
        while bucket.free(clock.now()) < FIRST_REQUESTS:
            await clock.sleep_until(bucket.refill_at(clock.now()))


async def _learn_once(asker: "_Asker") -> Knowledge:
    fees = await asker.pages(wire.fees_request, wire.read_fees)
    markets = await asker.pages(wire.markets_request, lambda answer: wire.read_markets(answer, fees))
    if not markets:
        raise Unreadable("it lists no market")
    version = wire.read_version(await asker.ask(wire.version_request()))
    return Knowledge(tuple(markets), version, *await asker.offset())


class _Asker:
    """Public requests, within the budget. Raises Unreachable where no good answer comes."""

    def __init__(self, rest: Rest, clock: Clock, bucket: Bucket) -> None:
        self._rest = rest
        self._clock = clock
        self._bucket = bucket

    async def ask(self, request: Request) -> Response:
        await self._bucket.wait(self._clock)
        answer = await self._rest.send(request, deadline_s=ANSWER_WITHIN_S)
        if isinstance(answer, NoResponse):
            raise Unreachable(answer.reason)
        if answer.status != 200:
            raise Unreachable(f"{request.path} is answered with {answer.status}")
        return answer

    async def pages(
        self, request: Callable[[int], Request], read: Callable[[Response], tuple[list[Row], bool]]
    ) -> list[Row]:
        rows: list[Row] = []
        for page in range(1, PAGES_MAX + 1):
            found, more = read(await self.ask(request(page)))
            rows += found
            if not more:
                break
        return rows

    async def offset(self) -> tuple[int, int]:
        asked_at = self._clock.now()
        answer = await self.ask(wire.timestamp_request())
        return clock_offset(asked_at, self._clock.now(), wire.read_timestamp(answer))


def clock_offset(asked_at: int, answered_at: int, told: int) -> tuple[int, int]:
    """Venue clock minus ours. The venue tells whole seconds, so it is known to within a second and the journey.

    Where that leaves no difference to be seen, there is none: both clocks are kept by NTP more often than not.
    """
    least, most = told - answered_at, told + SECOND - asked_at
    middle, half = (least + most) // 2, (most - least) // 2
    return (0 if least <= 0 <= most else middle), half


class _Past(Clock):
    """The run's clock as it was a while ago, for signing only."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock.now())
        self.offset_ns = clock.offset_ns - NONCE_AGE
