"""A client of the sandbox that is not ours: plain httpx, websockets' own client, and a signature made by hand."""

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import anyio
import httpx
import sniffio
import websockets.asyncio.client
import websockets.trio.client

from runner.altmarkets.server import Profile, Server
from runner.altmarkets.server.answers import PROFILES
from runner.edge.clock import Clock
from runner.edge.sandbox import sandbox
from runner.simulation.crowd import Temper
from runner.simulation.exchange import Behaviour, Exchange
from runner.simulation.sandbox import sandbox as grow

WITHIN_S = 10.0


class Member:
    """Somebody with a key, on a connection of his own."""

    def __init__(self, rest_url: str, stream_url: str, access: str, secret: str) -> None:
        self.rest_url, self.stream_url = rest_url, stream_url
        self.access, self.secret = access, secret
        self.http = httpx.AsyncClient(base_url=rest_url, timeout=WITHIN_S, trust_env=False)

    def signed(self, age_ms: int = 0, **changes: str) -> dict[str, str]:
        """Headers of a request that was signed so long ago."""
        nonce = str(time.time_ns() // 1_000_000 - age_ms)
        signature = hmac.new(self.secret.encode(), (nonce + self.access).encode(), hashlib.sha256).hexdigest()
        return {"X-Auth-Apikey": self.access, "X-Auth-Nonce": nonce, "X-Auth-Signature": signature} | changes

    async def ask(self, method: str, path: str, *, age_ms: int = 0, **fields: Any) -> httpx.Response:
        headers = {} if path.startswith("/public") else self.signed(age_ms)
        return await self.http.request(method, path, json=fields or None, headers=headers)

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def errors(self, path: str) -> list[str]:
        answer = await self.ask("GET", path)
        assert answer.status_code == 422, answer.text
        return answer.json()["errors"]

    async def create(self, side: str, volume: str, price: str | None, **fields: str) -> httpx.Response:
        kind = {"ord_type": "market"} if price is None else {"price": price}
        wanted = {"market": "rogerbtc", "side": side, "volume": volume, **kind, **fields}
        return await self.ask("POST", "/market/orders", **wanted)

    async def place(self, side: str, volume: str, price: str | None, **fields: str) -> int:
        """Create, and wait until it is not pending any more."""
        answer = await self.create(side, volume, price, **fields)
        assert answer.status_code == 201, answer.text
        order_id = answer.json()["id"]
        await self.state(order_id, "wait", "done", "cancel", "reject")
        return order_id

    async def order(self, order_id: int) -> Any:
        return await self.get(f"/market/orders/{order_id}")

    async def state(self, order_id: int, *states: str) -> Any:
        """The order, as soon as it has one of the states."""
        with anyio.fail_after(WITHIN_S):
            while (row := await self.order(order_id))["state"] not in states:
                pass
        return row

    async def cancel(self, order_id: int) -> Any:
        answer = await self.ask("POST", f"/market/orders/{order_id}/cancel")
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def balances(self) -> dict[str, tuple[Decimal, Decimal]]:
        rows = await self.get("/account/balances?limit=1000")
        return {row["currency"]: (Decimal(row["balance"]), Decimal(row["locked"])) for row in rows}

    @asynccontextmanager
    async def stream(self, *names: str, public: bool = False) -> AsyncIterator["Stream"]:
        library = websockets.trio.client if sniffio.current_async_library() == "trio" else websockets.asyncio.client
        endpoint = "public" if public else "private"
        query = "&".join(f"stream={name}" for name in names)
        headers = {} if public else self.signed()
        url = f"{self.stream_url}/{endpoint}/?{query}"
        options = {"ping_interval": None, "proxy": None, "close_timeout": 0.2}
        async with library.connect(url, additional_headers=headers, **options) as socket:
            yield Stream(socket)


class Stream:
    def __init__(self, socket: Any) -> None:
        self.socket = socket

    async def text(self) -> str:
        with anyio.fail_after(WITHIN_S):
            return await self.socket.recv()

    async def next(self) -> dict[str, Any]:
        return json.loads(await self.text())

    async def until(self, name: str) -> list[dict[str, Any]]:
        """Messages up to the first one of this stream."""
        messages = [await self.next()]
        while name not in messages[-1]:
            messages.append(await self.next())
        return messages

    async def say(self, message: str | dict[str, Any]) -> None:
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))


class Peers:
    """The sandbox's trader, its other account, and the switchboard."""

    def __init__(self, me: Member, other: Member, exchange: Exchange) -> None:
        self.me, self.other, self.exchange = me, other, exchange
        self._control = me.rest_url.removesuffix("/api/v2/peatio") + "/sandbox/control"

    async def told(self, *switches: dict[str, Any]) -> httpx.Response:
        return await self.me.http.post(self._control, json=list(switches))

    async def fault(self, name: str, value: str | None = None, **facts: Any) -> None:
        """Throw a switch over the control endpoint."""
        answer = await self.told({"name": name, **({} if value is None else {"value": value}), **facts})
        assert answer.status_code == 200, answer.text

    async def off(self) -> None:
        assert (await self.told({"off": "all"})).status_code == 200

    async def catalogue(self) -> dict[str, Any]:
        return (await self.me.http.get(self._control)).json()


@asynccontextmanager
async def peers(
    profile: Profile | None = None, behaviour: Behaviour | None = None, *, crowd: bool = False
) -> AsyncIterator[Peers]:
    """A sandbox on a loopback port; without a crowd its books are empty, and only its two members trade."""
    clock = Clock()
    temper = None if crowd else Temper(rate=0)
    behaviour = behaviour or Behaviour(pending_delay=0, cancel_delay=0)
    grown = grow("conformance", clock.now(), temper=temper, behaviour=behaviour, accounts=("alice",))
    server = Server(grown.exchange, profile or PROFILES["altmarkets"], controlled=True)
    async with sandbox(server, clock=clock) as venue:
        keys = (grown.key, grown.others["alice"])
        me, other = (Member(venue.rest_url, venue.stream_url, key.access, key.secret) for key in keys)
        async with me.http, other.http:
            yield Peers(me, other, grown.exchange)
