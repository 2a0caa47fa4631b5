"""A `runner sandbox` in its own process, what it says of our account, and whether a journal says the same.

Nothing of the runner's own client is used: requests are signed by hand and the journal is read as the SQLite file
that it is, so that a mistake of ours cannot agree with itself. Currencies are upper case, amounts exact decimals.
"""

import hashlib
import hmac
import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Context, Decimal, Inexact
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from msgspec import Struct

RUNNER = (sys.executable, "-m", "runner.cli.main")
"""The command line, whatever PATH says."""

STATES = {"pending": "accepted", "wait": "open", "done": "filled", "cancel": "cancelled", "reject": "rejected"}
"""An order's state at the exchange, and what the journal calls it."""

NEVER_CREATED = frozenset({"rejected", "absent"})
"""States of an order in the journal that the exchange may not know."""

PAGE = 1000
EXACT = Context(prec=60, traps=[Inexact])
ZERO = Decimal(0)

Row = dict[str, Any]


class Opened(Struct, frozen=True):
    """Where a sandbox is, and the keys of its trader."""

    rest_url: str
    stream_url: str
    api_key: str
    secret_key: str

    @property
    def environment(self) -> dict[str, str]:
        """The keys as a run wants them."""
        return {"ALTMARKETS_API_KEY": self.api_key, "ALTMARKETS_SECRET_KEY": self.secret_key}

    @property
    def connector(self) -> str:
        """The connector of a strategy file, as YAML of one line."""
        return f"{{type: altmarkets, venue: {{rest_url: '{self.rest_url}', stream_url: '{self.stream_url}'}}}}"


@contextmanager
def sandbox(seed: int = 1, *faults: str) -> Iterator[tuple[Opened, subprocess.Popen[str]]]:
    """A sandbox that serves, with these faults from the start, and its process; it is killed in the end."""
    command = [*RUNNER, "sandbox", "--seed", str(seed), "--json", *(f"--fault={fault}" for fault in faults)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            facts = json.loads(process.stdout.readline())
            yield Opened(facts["rest_url"], facts["stream_url"], facts["api_key"], facts["secret_key"]), process
        finally:
            process.kill()


class Balance(Struct, frozen=True):
    available: Decimal
    locked: Decimal

    @property
    def total(self) -> Decimal:
        return EXACT.add(self.available, self.locked)


class Account:
    """The trader's account, over plain httpx. Raises httpx.HTTPError for an exchange that does not answer 2xx."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._http = httpx.Client(timeout=10, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def balances(self) -> dict[str, Balance]:
        rows = self._ask("GET", "/account/balances", limit=PAGE)
        return {row["currency"].upper(): Balance(Decimal(row["balance"]), Decimal(row["locked"])) for row in rows}

    def orders(self, **query: str) -> dict[int, Row]:
        """All orders there ever were, by id; `state="wait"` for those at work."""
        return {row["id"]: row for row in self._all("/market/orders", query)}

    def open_orders(self) -> dict[int, Row]:
        return self.orders(state="pending") | self.orders(state="wait")

    def order(self, order_id: int) -> Row:
        row: Row = self._ask("GET", f"/market/orders/{order_id}")
        return row

    def trades(self) -> dict[tuple[int, int], Row]:
        """All trades by (id, order id)."""
        return {(row["id"], row["order_id"]): row for row in self._all("/market/trades", {})}

    def create(self, **fields: str) -> Row:
        row: Row = self._ask("POST", "/market/orders", **fields)
        return row

    def cancel(self, order_id: int) -> None:
        self._ask("POST", f"/market/orders/{order_id}/cancel")

    def _all(self, path: str, query: dict[str, str]) -> Iterator[Row]:
        for page in range(1, 1000):
            rows = self._ask("GET", path, **query, limit=PAGE, page=page, order_by="asc")
            yield from rows
            if len(rows) < PAGE:
                return

    def _ask(self, method: str, path: str, **fields: str | int) -> Any:
        key, secret = self._opened.api_key, self._opened.secret_key
        nonce = str(time.time_ns() // 1_000_000)
        signature = hmac.new(secret.encode(), (nonce + key).encode(), hashlib.sha256).hexdigest()
        response = self._http.request(
            method,
            self._opened.rest_url + path,
            params=fields if method == "GET" else None,
            json=fields if method == "POST" else None,
            headers={"X-Auth-Apikey": key, "X-Auth-Nonce": nonce, "X-Auth-Signature": signature},
        )
        response.raise_for_status()
        return response.json()


class Agreement(Struct, frozen=True):
    """A journal beside the exchange: how much was compared, and every difference in words."""

    orders: int
    fills: int
    currencies: int
    differences: tuple[str, ...]


def compare(journal: Path, account: Account, opening: dict[str, Balance]) -> Agreement:
    """Orders, fills and balances of a journal and of the exchange, to the last digit.

    Nobody else may have traded on the account since the `opening` balances were read, and nothing may be under way.
    """
    with sqlite3.connect(journal.as_uri() + "?mode=ro", uri=True) as connection:
        scales = {symbol: (price, amount) for symbol, price, amount in connection.execute(SCALES)}
        orders = [json.loads(value) for (value,) in connection.execute("SELECT value FROM orders ORDER BY rowid")]
        fills = [json.loads(value) for (value,) in connection.execute("SELECT value FROM fills ORDER BY learnt")]
    connection.close()
    differences = [
        *_orders_apart([_Ours(order, *scales[order["market"]]) for order in orders], account.orders()),
        *_fills_apart([_Ours(fill, *scales[fill["market"]]) for fill in fills], account.trades()),
    ]
    expected = _expected(opening, orders, fills, scales)
    actual = account.balances()
    for currency in sorted(expected.keys() | actual.keys()):
        ours, theirs = expected.get(currency), actual.get(currency)
        if ours != theirs:
            differences.append(f"{currency}: {theirs} at the exchange, {ours} by opening, fills and locks")
    return Agreement(len(orders), len(fills), len(expected), tuple(differences))


SCALES = "SELECT symbol, price_scale, amount_scale FROM markets"


class _Ours(Struct, frozen=True):
    """An order or a fill as the journal keeps it, and what a tick and a lot of it are."""

    row: Row
    price_scale: int
    amount_scale: int

    @property
    def price(self) -> Decimal:
        return EXACT.divide(Decimal(self.row["ticks"]), Decimal(self.price_scale))

    def quantity(self, field: str = "lots") -> Decimal:
        return EXACT.divide(Decimal(self.row[field]), Decimal(self.amount_scale))


def _orders_apart(ours: list[_Ours], theirs: dict[int, Row]) -> Iterator[str]:
    by_id = {venue_id: order for order in ours for venue_id in order.row["venue_ids"]}
    for order in ours:
        name, state, ids = order.row["client_id"], order.row["state"], order.row["venue_ids"]
        if len(ids) > 1 or (not ids and state not in NEVER_CREATED):
            yield f"{name} is {state} in the journal with orders {ids}"
    for order_id in sorted(by_id.keys() | theirs.keys()):
        ours_, theirs_ = by_id.get(order_id), theirs.get(order_id)
        if ours_ is None or theirs_ is None:
            yield f"order {order_id} is not in the {'journal' if ours_ is None else 'exchange'}"
            continue
        told = (
            theirs_["client_id"],
            theirs_["side"],
            STATES[theirs_["state"]],
            Decimal(theirs_["price"]),
            Decimal(theirs_["origin_volume"]),
            Decimal(theirs_["executed_volume"]),
        )
        row = ours_.row
        written = (row["client_id"], row["side"], row["state"], ours_.price, ours_.quantity())
        if told != (*written, ours_.quantity("executed_lots")) or row["filled_lots"] != row["executed_lots"]:
            yield f"order {order_id} is {told} at the exchange, {row} in the journal"


def _fills_apart(ours: list[_Ours], theirs: dict[tuple[int, int], Row]) -> Iterator[str]:
    by_key = {(fill.row["trade_id"], fill.row["order_id"]): fill for fill in ours}
    for key in sorted(by_key.keys() | theirs.keys()):
        fill, trade = by_key.get(key), theirs.get(key)
        if fill is None or trade is None:
            yield f"trade {key} is not in the {'journal' if fill is None else 'exchange'}"
            continue
        told = (trade["side"], Decimal(trade["price"]), Decimal(trade["amount"]), Decimal(trade["fee_amount"]))
        told_fee = trade["fee_currency"].upper()
        row = fill.row
        if (*told, told_fee) != (row["side"], fill.price, fill.quantity(), Decimal(row["fee"]), row["fee_currency"]):
            yield f"trade {key} is {told} {told_fee} at the exchange, {row} in the journal"


def _expected(
    opening: dict[str, Balance], orders: list[Row], fills: list[Row], scales: dict[str, tuple[int, int]]
) -> dict[str, Balance]:
    """Balances as they must be: what was there, what own fills moved net of fees, what own orders lock."""
    moved: dict[str, Decimal] = {}
    locked: dict[str, Decimal] = {}

    def add(to: dict[str, Decimal], currency: str, amount: Decimal) -> None:
        to[currency] = EXACT.add(to.get(currency, ZERO), amount)

    for fill in fills:
        ours = _Ours(fill, *scales[fill["market"]])
        base, quote = fill["market"].split("-")
        sign = 1 if fill["side"] == "buy" else -1
        add(moved, base, sign * ours.quantity())
        add(moved, quote, -sign * EXACT.multiply(ours.price, ours.quantity()))
        add(moved, fill["fee_currency"], -Decimal(fill["fee"]))
    for order in orders:
        if order["state"] in {"open", "cancelling"}:
            ours = _Ours({**order, "left": order["lots"] - order["filled_lots"]}, *scales[order["market"]])
            base, quote = order["market"].split("-")
            left = ours.quantity("left")
            buys = order["side"] == "buy"
            add(locked, quote if buys else base, EXACT.multiply(ours.price, left) if buys else left)
    expected = {}
    for currency in opening.keys() | moved.keys():
        total = EXACT.add(opening[currency].total if currency in opening else ZERO, moved.get(currency, ZERO))
        lock = locked.get(currency, ZERO)
        expected[currency] = Balance(EXACT.subtract(total, lock), lock)
    return expected
