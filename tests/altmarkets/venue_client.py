"""A client of the server side of the wire: it signs, decodes, and keeps the time."""

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

from runner.altmarkets.server import Profile, Reply, Server, Session
from runner.model.market import Market
from runner.simulation.exchange import MILLISECOND, SECOND, Behaviour, Exchange
from runner.simulation.records import ApiKey

START = 1_700_000_000 * SECOND  # 2023-11-14T22:13:20Z
BASE = "/api/v2/peatio"
RANGER = "/api/v2/ranger"


def roger(**changes: Any) -> Market:
    rules: dict[str, Any] = {
        "id": "rogerbtc",
        "base": "ROGER",
        "quote": "BTC",
        "price_precision": 8,
        "amount_precision": 2,
        "price_min": Decimal("0.00000001"),
        "quantity_min": Decimal(1),
        "maker_fee": Decimal("0.0025"),
        "taker_fee": Decimal("0.0025"),
    }
    return Market(**(rules | changes))


class Client:
    """One member with a key and 10,000 ROGER and 1 BTC, and another, the neighbour, with the same."""

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        profile: Profile | None = None,
        markets: tuple[Market, ...] | None = None,
    ) -> None:
        self.now = START
        self.exchange = Exchange(markets or (roger(),), seed="client", now=START, behaviour=behaviour)
        self.me, self.neighbour = (self.exchange.admit(name).id for name in ("me", "neighbour"))
        self.keys = {
            member: ApiKey(f"{member:016x}", f"secret of {member}", member) for member in (self.me, self.neighbour)
        }
        for key in self.keys.values():
            self.exchange.give_key(key)
            self.exchange.deposit(key.member, "ROGER", Decimal(10_000))
            self.exchange.deposit(key.member, "BTC", Decimal(1))
        self.server = Server(self.exchange, profile)

    def signed(self, member: int | None = None, **changes: str) -> dict[str, str]:
        key = self.keys[member or self.me]
        nonce = changes.pop("nonce", str(self.now // MILLISECOND))
        message = (nonce + key.access).encode()
        signature = hmac.new(key.secret.encode(), message, hashlib.sha256).hexdigest()
        return {"x-auth-apikey": key.access, "x-auth-nonce": nonce, "x-auth-signature": signature, **changes}

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        member: int | None = None,
    ) -> Reply:
        is_public = path.startswith("/public")
        headers = ({} if is_public else self.signed(member)) if headers is None else headers
        return self.server.request(method, BASE + path, {"content-type": "application/json", **headers}, body, self.now)

    def get(self, path: str, member: int | None = None) -> Any:
        reply = self.request("GET", path, member=member)
        assert reply.status == 200, reply
        return json.loads(reply.body)

    def errors(self, path: str) -> list[str]:
        reply = self.request("GET", path)
        assert reply.status == 422, reply
        return json.loads(reply.body)["errors"]

    def post(self, path: str, member: int | None = None, **fields: Any) -> tuple[int, Any]:
        reply = self.request("POST", path, json.dumps(fields).encode(), member=member)
        return reply.status, json.loads(reply.body)

    def place(self, side: str, volume: str, price: str, member: int | None = None, **fields: Any) -> Any:
        """An order in state `wait`, if it has not been filled."""
        status, order = self.post(
            "/market/orders", member, market="rogerbtc", side=side, volume=volume, price=price, **fields
        )
        assert status == 201, order
        self.after(60)
        return order

    def after(self, milliseconds: int) -> None:
        self.now += milliseconds * MILLISECOND
        self.server.advance(self.now)

    def stream(self, *names: str, member: int | None = None) -> Session:
        query = "&".join(f"stream={name}" for name in names)
        headers = {} if member is None else self.signed(member)
        endpoint = "public" if member is None else "private"
        session = self.server.upgrade(f"{RANGER}/{endpoint}/?{query}", headers, self.now)
        assert isinstance(session, Session)
        return session


def texts(session: Session) -> list[str]:
    """Everything it was sent since the last look."""
    said = list(session.outgoing)
    session.outgoing.clear()
    return said


def messages(session: Session) -> list[Any]:
    return [json.loads(text) for text in texts(session)]
