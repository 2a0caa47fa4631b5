"""Orders and fills: what is wanted, what exists, what happened. The table of an order's states is here.

Prices are ticks, quantities lots (see `market.py`); times are UTC nanoseconds. Rules: orders.md, "States".
"""

import enum
from decimal import Decimal
from typing import Literal

from msgspec import Struct


class Side(enum.StrEnum):
    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what a fill does to the base position."""
        return 1 if self is Side.BUY else -1


class Role(enum.StrEnum):
    MAKER = "maker"
    TAKER = "taker"


class Quote(Struct, frozen=True):
    """One order that a strategy wants to exist now. Slots name it from tick to tick.

    `price` is quote per base, or `"market"`; `quantity` is base. `market` is a symbol (`ROGER-BTC`), by default
    the first of the file. `repeat=False`: not placed again once it had a fill. `parent=(name, total)`: the sum of
    what is filled and open over every quote of that parent never exceeds `total` base. `post_only`: our gate refuses
    it if it would trade at once with the book as we see it; the venue itself knows no such order.
    """

    slot: str
    side: Side
    price: float | Literal["market"]
    quantity: float
    repeat: bool = True
    parent: tuple[str, float] | None = None
    market: str | None = None
    post_only: bool = False


class OrderState(enum.StrEnum):
    INTENDED = "intended"  # in the journal, not known to have left
    SENT = "sent"  # signed, on its way
    ACCEPTED = "accepted"  # the venue has a row (`pending`), its engine may not
    OPEN = "open"  # `wait`: in the venue's book, perhaps partly filled
    CANCELLING = "cancelling"  # a cancel was posted; fills may still come
    UNKNOWN = "unknown"  # may or may not exist; looked up until proven
    FILLED = "filled"
    CANCELLED = "cancelled"  # may have fills
    REJECTED = "rejected"  # refused by the venue, or proven not sent
    ABSENT = "absent"  # proven never created (orders.md rule 9)

    @property
    def terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset({OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.ABSENT})

_LIVE = frozenset(
    {OrderState.ACCEPTED, OrderState.OPEN, OrderState.CANCELLING, OrderState.FILLED, OrderState.CANCELLED}
)

TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {
    # An event of the private stream can overtake the answer, so every live state is reachable from the start.
    OrderState.INTENDED: _LIVE | {OrderState.SENT, OrderState.UNKNOWN, OrderState.REJECTED},
    OrderState.SENT: _LIVE | {OrderState.UNKNOWN, OrderState.REJECTED},
    OrderState.ACCEPTED: (_LIVE | {OrderState.REJECTED}) - {OrderState.ACCEPTED},
    # Back to OPEN from CANCELLING: the cancel was lost or refused while the order is still `wait`.
    OrderState.OPEN: frozenset({OrderState.CANCELLING, OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED}),
    OrderState.CANCELLING: frozenset({OrderState.OPEN, OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED}),
    OrderState.UNKNOWN: _LIVE | {OrderState.REJECTED, OrderState.ABSENT},
    # A refusal proves only its own copy, an absence only what was believed, and a proxy may repeat a create: a copy
    # that turns up late is adopted, counted and cancelled.
    OrderState.FILLED: frozenset({OrderState.OPEN, OrderState.CANCELLING}),
    OrderState.CANCELLED: frozenset({OrderState.OPEN, OrderState.CANCELLING, OrderState.FILLED}),
    OrderState.REJECTED: _LIVE,
    OrderState.ABSENT: _LIVE,
}
"""From each state the states that may follow. A terminal state is left only when the venue proves us wrong."""


class Order(Struct, frozen=True, kw_only=True):
    """One order of ours, from the intent on. Frozen: a change makes a new value, which the journal stores.

    `ticks` is None for a market order. `sign_before` is venue time in milliseconds: the signer refuses a later
    nonce. `venue_ids` is a set in ascending order: the venue does not de-duplicate client ids.
    """

    client_id: str
    slot: str
    generation: int
    market: str  # symbol
    side: Side
    ticks: int | None
    lots: int
    state: OrderState
    created: int  # engine time of the intent
    changed: int  # engine time of the last change of state
    event: int  # number of the event whose tick decided it
    sign_before: int
    id_floor: int = 0  # the highest venue order id known when it was decided
    nonce: int | None = None  # venue milliseconds it was signed with, once it was
    answered: bool = False  # its create ended with a row that could be read, or with a proven refusal
    venue_ids: tuple[int, ...] = ()
    executed_lots: int = 0  # what the venue says
    filled_lots: int = 0  # sum of the fills in the ledger
    repeat: bool = True
    parent: str | None = None
    reason: str = ""  # why it was wanted; at the end, why it ended

    @property
    def remaining_lots(self) -> int:
        """What may still be filled, every copy of the order counted."""
        return self.lots * max(1, len(self.venue_ids)) - max(self.executed_lots, self.filled_lots)

    @property
    def unbooked_lots(self) -> int:
        """What may still come into our books, every copy counted: also what the venue says is executed already.

        This, not what remains at the venue, is what a limit adds to the position of our books.
        """
        return self.lots * max(1, len(self.venue_ids)) - self.filled_lots

    @property
    def venue_id(self) -> int | None:
        return self.venue_ids[0] if self.venue_ids else None


class Fill(Struct, frozen=True, kw_only=True):
    """One trade of one of our orders. Its identity is (trade_id, order_id): applying it twice changes nothing.

    `fee` is in `fee_currency` and taken from what is received; `fee_final` once a `/market/trades` row said so.
    """

    trade_id: int
    order_id: int
    client_id: str
    market: str
    side: Side
    ticks: int
    lots: int
    role: Role
    fee: Decimal
    fee_currency: str
    time: int  # engine time when we learnt of it
    traded_at: int  # venue time, whole seconds since 1970
    fee_final: bool = False
    parent: str | None = None

    @property
    def key(self) -> tuple[int, int]:
        return (self.trade_id, self.order_id)


# What the venue shows us, already on the grid -------------------------------------------------------------


class TradeRow(Struct, frozen=True, kw_only=True):
    """One of our trades as the venue tells it: private stream, `/market/trades`, or inside an order's GET.

    `order_id` is None where the venue leaves it out (inside an order); `fee` where it is not told.
    """

    id: int
    order_id: int | None
    market: str
    side: Side
    ticks: int
    lots: int
    taker_side: Side
    created_at: int  # whole seconds since 1970
    fee: Decimal | None = None
    fee_currency: str | None = None


class OrderRow(Struct, frozen=True, kw_only=True):
    """An order of the account as the venue tells it. `state` is the venue's own word; unknown words are kept."""

    id: int
    market: str
    side: Side
    state: str
    ticks: int | None
    origin_lots: int
    remaining_lots: int
    executed_lots: int
    created_at: int  # whole seconds since 1970
    updated_at: int
    client_id: str | None = None
    trades: tuple[TradeRow, ...] | None = None  # only in the GET of one order

    @property
    def terminal(self) -> bool:
        return self.state in {"done", "cancel", "reject"}


TransferKind = Literal["deposits", "withdraws"]


class TransferRow(Struct, frozen=True):
    """A deposit or a withdrawal, in whatever state. `fee` is beside the amount or in it, as the deployment likes."""

    kind: TransferKind
    id: int | None
    currency: str  # upper case
    amount: Decimal
    fee: Decimal
    created_at: int  # whole seconds since 1970


class BalanceRow(Struct, frozen=True):
    """One currency of the account; `available` excludes what open orders lock."""

    currency: str  # upper case
    available: Decimal
    locked: Decimal
