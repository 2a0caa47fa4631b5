"""The taker of commands: what every mode shares is `submit`; answers come back as items of the inbox.

Here live: each request is sent once, over REST. A create has its request token at hand or is not sent; look-ups and
cancels may wait for theirs. Closing the gate voids, in the same step, every create that has not been signed.
Source: orders.md rules 6, 7, 21 and 26.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Protocol

import anyio
from anyio.abc import TaskGroup
from anyio.streams.memory import MemoryObjectSendStream

from runner.altmarkets.rest import NoResponse, Request, Response, request_for
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Answered, Item
from runner.edge.rest import NotSigned, Rest
from runner.model.command import Cancel, Command, Place
from runner.model.market import Market

CREATE_WITHIN_S = 15.0  # as long as the venue's own gateway waits for an answer (wire reference 7.2)
ASK_WITHIN_S = 5.0  # what can be asked again is better asked again than waited for
UNAUTHORISED, TOO_MANY = 401, 429
NONCE_EXPIRED = b"authz.nonce_expired"
RETRY_AFTER_S = 5


class Gateway(Protocol):
    """Takes commands in the order in which they were decided."""

    def submit(self, commands: Iterable[Command]) -> None: ...

    def close_gate(self) -> None:
        """From now on nothing is created, whatever was asked for before, but what gets the run out of its position."""


class LiveGateway:
    """A venue's REST interface as a taker of commands."""

    def __init__(
        self,
        rest: Rest,
        bucket: Bucket,
        markets: Mapping[str, Market],
        clock: Clock,
        inbox: MemoryObjectSendStream[Item],
        tasks: TaskGroup,
        doubt: MemoryObjectSendStream[None],
    ) -> None:
        """`doubt` is told when the venue calls a nonce expired: our idea of its clock is wrong."""
        self._rest = rest
        self._bucket = bucket
        self._markets = markets
        self._clock = clock
        self._inbox = inbox
        self._tasks = tasks
        self._doubt = doubt
        self._open = True

    def close_gate(self) -> None:
        self._open = False

    def submit(self, commands: Iterable[Command]) -> None:
        for command in commands:
            now = self._clock.now()
            taken = self._bucket.take(now)
            if isinstance(command, Place) and not taken:
                self._tasks.start_soon(self._answer, command, NoResponse(False, "no request left"), None)
            else:
                self._tasks.start_soon(self._send, command, taken)

    async def _send(self, command: Command, taken: bool) -> None:
        if not taken:
            await self._bucket.wait(self._clock)
        request = request_for(command, self._markets)
        if isinstance(command, Place):
            await self._create(command, request)
            return
        answer = await self._rest.send(request, deadline_s=ASK_WITHIN_S)
        await self._answer(command, answer, None)

    async def _create(self, command: Place, request: Request) -> None:
        nonces: list[int] = []

        def signed(nonce: int) -> None:
            if not self._open and not command.flattens:
                raise NotSigned("the gate was closed before it was signed")
            nonces.append(nonce)

        answer = await self._rest.send(
            request, deadline_s=CREATE_WITHIN_S, sign_before_ms=command.sign_before, on_signed=signed
        )
        await self._answer(command, answer, nonces[0] if nonces else None)

    async def _answer(self, command: Command, answer: Response | NoResponse, nonce: int | None) -> None:
        now = self._clock.now()
        if isinstance(answer, Response) and answer.status == TOO_MANY:
            self._bucket.hold_until(now + _retry_after_ns(answer))
        if isinstance(answer, Response) and answer.status == UNAUTHORISED and NONCE_EXPIRED in answer.body:
            with suppress(anyio.WouldBlock):  # it is being looked into already
                self._doubt.send_nowait(None)
        await self._inbox.send(Answered(command, answer, now, nonce))


class Withheld:
    """Takes creates and cancels down instead of sending them; what only asks goes on to `asks`."""

    def __init__(self, asks: Gateway) -> None:
        self._asks = asks
        self.commands: list[Place | Cancel] = []

    def submit(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if isinstance(command, Place | Cancel):
                self.commands.append(command)
            else:
                self._asks.submit([command])

    def close_gate(self) -> None:
        self._asks.close_gate()


def _retry_after_ns(answer: Response) -> int:
    text = answer.headers.get("retry-after", "")
    seconds = int(text) if text.isascii() and text.isdigit() else RETRY_AFTER_S
    return min(seconds, 3600) * 1_000_000_000
