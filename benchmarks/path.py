"""The whole way of an order: frame received to request bytes leaving, durable journal included; and the fsync alone.

A runner's consumer, journal and REST client in this process, an exchange in another. Frames are handed in as if a
socket had just brought them; each moves the touch, and the strategy answers each with one more order far away.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import perf_counter_ns, time_ns
from typing import Any

import anyio

from benchmarks.peer import Opened, sandbox
from runner.altmarkets.rest import NoResponse, Request, Response
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.inbox import Frames, Item
from runner.edge.journal import Journal
from runner.edge.rest import Rest
from runner.edge.stream import Outbox
from runner.engine.core import Engine
from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View
from runner.model.command import OrderChanged
from runner.model.credentials import Credentials
from runner.model.event import ClockRead, Configured, MarketsRead, NonceWindowProbed
from runner.model.order import Order, OrderState, Quote, Side
from runner.model.settings import SECOND, Settings, TickPolicy
from runner.run.audit import Audit
from runner.run.gateway import LiveGateway
from runner.run.inward import Inward
from runner.run.live import Consumer
from runner.run.venue import learn

ORDERS = 60
NAME, TAG = "path", "PATHAA"


class OneMore(Strategy, frozen=True):
    """One bid more at every tick, all of them far away."""

    def slots(self) -> Sequence[str]:
        return [f"s{number}" for number in range(ORDERS)]

    def initial_state(self) -> State:
        return Count()

    def tick(self, view: View, state: State) -> Decision:
        assert isinstance(state, Count)
        count = min(state.count + 1, ORDERS)
        quotes = [Quote(f"s{number}", Side.BUY, 0.00001 + number * 1e-8, 1) for number in range(count)]
        return Decision(quotes, Count(count), f"{count} bids")


class Count(State, frozen=True):
    count: int = 0


class TimedRest(Rest):
    """Notes when each signed create leaves."""

    left_at: list[int]

    async def send(
        self,
        request: Request,
        *,
        deadline_s: float = 10.0,
        sign_before_ms: int | None = None,
        on_signed: Callable[[int], None] | None = None,
    ) -> Response | NoResponse:
        def signed(nonce: int) -> None:
            assert on_signed is not None
            on_signed(nonce)
            self.left_at.append(perf_counter_ns())

        return await super().send(
            request,
            deadline_s=deadline_s,
            sign_before_ms=sign_before_ms,
            on_signed=None if on_signed is None else signed,
        )


def figures() -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder, sandbox() as (opened, _):
        spent = sorted(anyio.run(_orders, opened, Path(folder)))
        commits = sorted(_commits(Path(folder)))
    figure = {"figure": "frame_to_order_bytes", "unit": "ms", "orders": len(spent)}
    yield {**figure, "quantile": "median", "value": spent[len(spent) // 2] / 1e6, "budget": 2}
    yield {**figure, "quantile": "p99", "value": spent[len(spent) * 99 // 100] / 1e6, "budget": None}
    yield {"figure": "journal_commit", "unit": "ms", "value": commits[len(commits) // 2] / 1e6, "budget": None}


async def _orders(opened: Opened, folder: Path) -> list[int]:
    clock, bucket = Clock(), Bucket(1_000_000)
    outboxes = {"public": Outbox(), "private": Outbox()}
    sender, receiver = anyio.create_memory_object_stream[Item](1024)
    doubt, doubts = anyio.create_memory_object_stream[None](1)
    spent: list[int] = []
    with Journal.open(folder / "path.sqlite3", now=clock.now(), name=NAME, tag=TAG) as journal:
        async with TimedRest(opened.rest_url, Credentials(opened.api_key, opened.secret_key), clock) as rest:
            rest.left_at = []
            known = await learn(rest, clock, bucket)
            markets = {market.symbol: market for market in known.markets}
            engine, inward = Engine(OneMore), Inward(markets, ["ROGER-BTC"])
            audit = Audit(engine, run="path", name=NAME, venue=opened.rest_url, now=clock.now())
            async with anyio.create_task_group() as tasks, sender, receiver, doubt, doubts:
                gateway = LiveGateway(rest, bucket, markets, clock, sender, tasks, doubt)
                consumer = Consumer(engine, inward, gateway, journal, bucket, outboxes, clock, audit)
                policy = TickPolicy(every=3600 * SECOND, when=("book",), at_most_every=0)
                settings = Settings(name=NAME, tag=TAG, markets=("ROGER-BTC",), strategy="one_more", tick=policy)
                begin = (Configured(settings), journal.restore(), MarketsRead(known.markets))
                for what in (*begin, ClockRead(0, 0), NonceWindowProbed(enforced=True)):
                    consumer.deliver(what)
                tasks.start_soon(consumer.run, receiver)
                await sender.send(Frames("private", (_CONFIRMED,), clock.now()))
                await sender.send(Frames("public", (_SNAPSHOT,), clock.now()))
                while not engine.ticks:
                    await anyio.sleep(0.01)
                for number in range(ORDERS - 1):
                    while len(rest.left_at) <= number or list(engine.account.orders.live())[-1].venue_id is None:
                        await anyio.sleep(0.002)
                    began = perf_counter_ns()
                    await sender.send(Frames("public", (_moved(number),), clock.now()))
                    while len(rest.left_at) < number + 2:
                        await anyio.sleep(0)
                    spent.append(rest.left_at[-1] - began)
                tasks.cancel_scope.cancel()
    return spent[10:]


def _commits(folder: Path) -> Iterator[int]:
    """One intent made durable: write, COMMIT, fsync."""
    with Journal.open(folder / "commit.sqlite3", now=time_ns(), name=NAME, tag=TAG) as journal:
        for number in range(300):
            order = Order(
                client_id=f"C{number}",
                slot="s",
                generation=number,
                market="ROGER-BTC",
                side=Side.BUY,
                ticks=1000,
                lots=100,
                state=OrderState.INTENDED,
                created=number,
                changed=number,
                event=number,
                sign_before=0,
            )
            began = perf_counter_ns()
            journal.commit(number, number, [OrderChanged(order)])
            yield perf_counter_ns() - began


_CONFIRMED = b'{"success":{"message":"subscribed","streams":["order","trade","balance"]}}'
_SNAPSHOT = b'{"rogerbtc.ob-snap":{"asks":[["0.00005002","10.0"]],"bids":[["0.00004999","10.0"]],"sequence":1}}'


def _moved(number: int) -> bytes:
    amount = "5.0" if number % 2 == 0 else ""
    return f'{{"rogerbtc.ob-inc":{{"bids":["0.00005000","{amount}"],"sequence":{number + 2}}}}}'.encode()
