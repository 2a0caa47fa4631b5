"""Fees that nobody has told yet.

The private stream and an order's GET tell no fees: a fill learnt there is booked with the fee of its market and role,
and the venue freezes the true rate when an order is created. Only a row of `/market/trades` tells what was taken. A
self-trade is listed once, for its maker's side, so the other side's fee is never told. Source: orders.md rule 15.
"""

from collections.abc import Iterable

from runner.engine.effects import Effects
from runner.engine.ledger import Ledger
from runner.model.command import Note
from runner.model.money import plain
from runner.model.order import Fill
from runner.model.settings import SECOND

SOUGHT_FOR = 600 * SECOND
"""How long sweeps of trades reach back for a fee; a venue that has not told it by then does not tell it."""


class Fees:
    """Which fills of the ledger stand with a provisional fee, and since when they are known in this run."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._provisional: dict[tuple[int, int], int] = {}
        self._told: set[int] = set()  # trades that the list has told, of one side at least

    @property
    def newest_provisional(self) -> int:
        """When the newest fill without a told fee was booked; 0 if there is none."""
        return max(self._provisional.values(), default=0)

    def restore(self, fills: Iterable[Fill], now: int) -> None:
        """What the journal remembers; it has taken `fills` into the ledger."""
        for fill in fills:
            if fill.fee_final:
                self._told.add(fill.trade_id)
            else:
                self._provisional[fill.key] = now

    def booked(self, known: Fill | None, fill: Fill, now: int, out: Effects) -> None:
        """A fill came into the books, or its fee changed there from what it was in `known`."""
        if not fill.fee_final:
            self._provisional[fill.key] = now
            return
        self._provisional.pop(fill.key, None)
        self._told.add(fill.trade_id)
        if known is not None and (known.fee, known.fee_currency) != (fill.fee, fill.fee_currency):
            facts: dict[str, str | int | float | None] = {
                "trade": fill.trade_id,
                "provisional": f"{plain(known.fee)} {known.fee_currency}",
                "final": f"{plain(fill.fee)} {fill.fee_currency}",
            }
            out.notes.append(Note("fee.corrected", "info", fill.market, fill.client_id, facts))

    def sought_from(self, now: int) -> int | None:
        """The venue second from which on trades have to be listed for the fees that may still be told."""
        # Of a self-trade the list shows one side: where that was told, the other never will be.
        sought = (
            self._ledger.fill(key)
            for key, since in self._provisional.items()
            if now - since < SOUGHT_FOR and key[0] not in self._told
        )
        return min((fill.traded_at for fill in sought if fill is not None), default=None)
