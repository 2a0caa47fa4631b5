"""How an exchange may write otherwise than it should: numbers for texts, unknown fields, client ids that are not ours.

Source: wire reference 1.1, 4.9, 6.3, 11; orders.md, rule 11.
"""

import re
from typing import Any

import msgspec

from runner.simulation.exchange import Exchange

_DECIMAL_TEXT = re.compile(r'"(-?[0-9]+\.[0-9]+)"(?!:)')
_UNKNOWN = {"x_revision": 7, "x_meta": {"tags": ["new", None], "weight": 0.5}}


class Dialect:
    """Rewrites texts that are about to leave. Without a fault it hands back what it was given."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    @property
    def plain(self) -> bool:
        """Nothing is rewritten at all."""
        return self._exchange.faults.quiet

    def rest(self, body: bytes) -> bytes:
        """A JSON body: an object, or a list of them."""
        if self.plain or not self._speaks("client_id", "extra_fields", "numbers"):
            return body
        data = msgspec.json.decode(body)
        for row in data if isinstance(data, list) else [data]:
            if isinstance(row, dict):
                self._object(row)
        return self._decimals(msgspec.json.encode(data).decode()).encode()

    def stream(self, text: str) -> str:
        """A message: one object under the name of its stream."""
        if self.plain or not self._speaks("client_id", "extra_fields", "numbers", "nested_increments"):
            return text
        message = msgspec.json.decode(text)
        for name, body in message.items():
            if isinstance(body, dict):
                if name.endswith(".ob-inc") and self._speaks("nested_increments"):
                    body.update({side: [body[side]] for side in ("asks", "bids") if side in body})
                self._object(body)
        return self._decimals(msgspec.json.encode(message).decode())

    def _speaks(self, *names: str) -> bool:
        return any(self._exchange.faults.holds(name, self._exchange.now) for name in names)

    def _object(self, row: dict[str, Any]) -> None:
        chosen = self._exchange.faults.holds("client_id", self._exchange.now)
        if chosen is not None and isinstance(row.get("client_id"), str):
            row["client_id"] = _respelt(row["client_id"], chosen.value)
        if self._speaks("extra_fields"):
            row.update(_UNKNOWN)

    def _decimals(self, text: str) -> str:
        return _DECIMAL_TEXT.sub(r"\1", text) if self._speaks("numbers") else text


def _respelt(client_id: str, how: str) -> str | None:
    match how:
        case "null":
            return None
        case "cut":
            return client_id[:-1]
        case "upper":
            return client_id.upper()
    return client_id.lower()
