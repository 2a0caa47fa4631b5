"""All the engine can ask for, and what it hands out for one event.

Commands are taken by a gateway, changes by the journal, notes by whoever reads the audit stream. The order is
part of the contract: changes are durable before the first command leaves.
"""

from msgspec import Struct

from runner.model.beginning import Beginning
from runner.model.latch import Latch
from runner.model.order import Fill, Order, Side, TransferKind

# Requests to the venue ------------------------------------------------------------------------------------


class Place(Struct, frozen=True, tag=True):
    """Create an order. Never repeated by anybody. `ticks` None is a market order."""

    client_id: str
    market: str
    side: Side
    ticks: int | None
    lots: int
    sign_before: int  # venue ms: refuse to sign with a later nonce
    flattens: bool = False  # a stop itself asks for it, to get out of a position: it passes a gate that is closed


class Cancel(Struct, frozen=True, tag=True):
    order_id: int
    client_id: str


class ListOrders(Struct, frozen=True, tag=True):
    """One page of the account's orders, of all markets. Times are whole venue seconds on created_at, [from, to)."""

    query: int
    states: tuple[str, ...] = ()  # the venue's words; empty is every state
    time_from: int | None = None
    time_to: int | None = None
    page: int = 1


class ReadOrder(Struct, frozen=True, tag=True):
    query: int
    order_id: int


class ListTrades(Struct, frozen=True, tag=True):
    """One page of the account's trades, oldest first."""

    query: int
    time_from: int
    page: int = 1


class ReadBalances(Struct, frozen=True, tag=True):
    """One page of the account's balances."""

    query: int
    page: int = 1


class ListTransfers(Struct, frozen=True, tag=True):
    """The newest deposits or withdrawals of the account, of all currencies."""

    query: int
    kind: TransferKind


# Requests to the run --------------------------------------------------------------------------------------


class Resubscribe(Struct, frozen=True, tag=True):
    """Ask for a fresh snapshot of a book: unsubscribe, then subscribe."""

    market: str


class Reconnect(Struct, frozen=True, tag=True):
    stream: str  # public | private


class Finish(Struct, frozen=True, tag=True):
    """The run is over; nothing of ours is at work, or the obligations are in the journal (exit 7)."""

    exit_code: int
    reason: str


Command = (
    Place
    | Cancel
    | ListOrders
    | ReadOrder
    | ListTrades
    | ReadBalances
    | ListTransfers
    | Resubscribe
    | Reconnect
    | Finish
)


# What the journal keeps -----------------------------------------------------------------------------------


class OrderChanged(Struct, frozen=True, tag=True):
    order: Order


class FillBooked(Struct, frozen=True, tag=True):
    """Also for a fill whose fee became final: the later one with the same key replaces the former."""

    fill: Fill


class StateChanged(Struct, frozen=True, tag=True):
    """The strategy's next state, as JSON."""

    state: str


class Decided(Struct, frozen=True, tag=True):
    """Why a tick wanted what it wanted; kept for the ticks that led to an order."""

    reason: str


class LatchSet(Struct, frozen=True, tag=True):
    """It stands from now on, in this run and in later ones."""

    latch: Latch


class LatchLifted(Struct, frozen=True, tag=True):
    name: str


class RiskKept(Struct, frozen=True, tag=True):
    """What the limits on losses and failures remember across runs, as JSON (`engine/losses.py`)."""

    kept: str


class Began(Struct, frozen=True, tag=True):
    """What was before the journal is known now; written once in a journal's life."""

    beginning: Beginning


Change = OrderChanged | FillBooked | StateChanged | Decided | LatchSet | LatchLifted | RiskKept | Began


APPROVED = "approved_"
"""With a slot behind it: the fact of a `tick.decided` note that says what the gate compared for its new order."""


class Note(Struct, frozen=True, tag=True):
    """A fact for the reader: `what` is `noun.verb` and stable, `facts` are the values behind it."""

    what: str
    level: str = "info"  # debug | info | warning | error
    market: str | None = None
    client_id: str | None = None
    facts: dict[str, str | int | float | None] = {}


class Output(Struct, frozen=True):
    """Everything one event led to. `wake_at` is the next wanted Wake in ns; the latest output's value wins."""

    commands: tuple[Command, ...] = ()
    changes: tuple[Change, ...] = ()
    notes: tuple[Note, ...] = ()
    wake_at: int | None = None
