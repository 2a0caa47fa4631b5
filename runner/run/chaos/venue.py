"""An exchange in a discrete-event loop: everybody's time, and what the exchange knows to be true.

Requests and answers are the real bytes of the real server; only what carries them is made of a heap of due times.
"""

import heapq
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

import msgspec

from runner.altmarkets.server import Call, Pending, Reply, Server
from runner.altmarkets.signing import signed_headers
from runner.model.settings import MILLISECOND, SECOND
from runner.simulation.exchange import Exchange
from runner.simulation.laws import REPEATED, Laws
from runner.simulation.records import Order, Trade
from runner.simulation.sandbox import Sandbox

REST_BASE = "/api/v2/peatio"
PAGE = 1000


class Venue:
    """One exchange and the time around it. `listeners` are called whenever it may have said something."""

    def __init__(self, grown: Sandbox, now: int, laws: Laws) -> None:
        self.now = now  # UTC ns, true
        self.grown = grown
        self.laws = laws
        self.exchange: Exchange = grown.exchange
        self.server = Server(grown.exchange)
        self.listeners: list[Callable[[], None]] = []
        self.known: Callable[[], Collection[str]] = tuple  # client ids in the journal of whoever runs here
        self._heard: list[Order | Trade] = []
        self._repeated: list[Call] = []
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        grown.exchange.database.overheard = self._heard
        self.server.gateway.repeated = self._repeated

    # Time -------------------------------------------------------------------------------------------------

    def at(self, time: int, action: Callable[[], None]) -> None:
        """Do something at a time; what is due together is done in the order in which it was asked for."""
        self._count += 1
        heapq.heappush(self._heap, (time, self._count, action))

    def run_until(self, end: int, over: Callable[[], bool]) -> None:
        """Let everything happen that is due until `end`, or until it is `over`."""
        while not over():
            due = self.server.next_due()
            at = self._heap[0][0] if self._heap else end
            if due is not None and due < at:
                if due > end:
                    break
                self.move(due)
                continue
            if at > end:
                break
            _, _, action = heapq.heappop(self._heap)
            self.move(at)
            action()
        if not over():
            self.move(end)

    def move(self, time: int) -> None:
        """The exchange does what is due until then; nobody else does."""
        self.now = max(self.now, time)
        self.server.advance(self.now)
        self.collect()

    def collect(self) -> None:
        """Witness what has been written down, and let everybody hear what is to be heard."""
        if self._heard:
            self._witness()
        for listener in self.listeners:
            listener()

    def _witness(self) -> None:
        for call in self._repeated:
            self._excuse_repeated(call)
        self._repeated.clear()
        nameless = self.nameless
        known = self.known()
        for record in self._heard:
            self.laws.heard(record, self.now, known, nameless=nameless)
        self._heard.clear()

    def _excuse_repeated(self, call: Call) -> None:
        """A second order under the name of a create that a proxy repeated is the proxy's."""
        if call.kind == "create":
            self.laws.excuse(msgspec.json.decode(call.body)["client_id"], REPEATED)

    @property
    def nameless(self) -> bool:
        """Client ids are not shown as they are."""
        return self.exchange.faults.holds("client_id", self.now) is not None

    # Requests ---------------------------------------------------------------------------------------------

    def request(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply | Pending:
        reply = self.server.request(method, target, headers, body, self.now)
        self.collect()
        return reply

    def headers(self, nonce: int) -> dict[str, str]:
        signed = signed_headers(self.grown.key.access, self.grown.key.secret, nonce)
        return {name.lower(): value for name, value in signed.items()}

    # The exchange's own truth -----------------------------------------------------------------------------

    def balance(self, currency: str) -> Decimal:
        """Available and locked of the trader."""
        account = self.exchange.accounts.account(self.grown.trader.id, currency)
        return account.available + account.locked

    def client_id_of(self, order_id: int) -> str | None:
        """What an order bears, whatever the venue shows."""
        order = self.exchange.database.order(order_id)
        return order.client_id if order is not None and order.member == self.grown.trader.id else None

    def orders(self) -> dict[int, dict[str, Any]]:
        """Every order of the account, whatever its state, as the venue's REST tells it."""
        return {row["id"]: row for row in self._everything("/market/orders")}

    def fills(self) -> set[tuple[int, int]]:
        return {(row["id"], row["order_id"]) for row in self._everything("/market/trades")}

    def balances(self) -> dict[str, Decimal]:
        """Available plus locked, by upper-case currency."""
        rows = self._everything("/account/balances")
        return {row["currency"].upper(): Decimal(row["balance"]) + Decimal(row["locked"]) for row in rows}

    def _everything(self, path: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for page in range(1, 100):
            target = f"{REST_BASE}{path}?limit={PAGE}&page={page}"
            reply = self.request("GET", target, self.headers(self.exchange.time // MILLISECOND), b"")
            assert isinstance(reply, Reply), "a fault is on"
            found = msgspec.json.decode(reply.body)
            rows += found
            if len(found) < PAGE:
                break
        return rows

    def let_pass(self, seconds: float) -> None:
        """Time at the venue alone."""
        self.move(self.now + int(seconds * SECOND))
