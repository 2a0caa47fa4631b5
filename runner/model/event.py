"""All that can happen. An `Event` is a numbered, dated `What`; the engine learns of nothing in any other way.

Times are UTC nanoseconds unless a name says otherwise, prices ticks, quantities lots. Everything here turns into
JSON and back without loss, so a run is a file of events.
"""

from typing import Literal

from msgspec import Struct

from runner.model.beginning import Beginning
from runner.model.latch import Latch
from runner.model.market import Market
from runner.model.order import BalanceRow, Fill, Order, OrderRow, Side, TradeRow, TransferKind, TransferRow
from runner.model.settings import Settings

Levels = tuple[tuple[int, int], ...]
"""Price levels as (ticks, lots); zero lots deletes the level."""

Stream = Literal["public", "private"]


# What the run begins with ---------------------------------------------------------------------------------


class Configured(Struct, frozen=True, tag=True):
    settings: Settings


class Restored(Struct, frozen=True, tag=True):
    """What the journal remembers. `epoch` is the UTC minute in which the journal file was created."""

    epoch: int
    orders: tuple[Order, ...] = ()  # every order that is not terminal, and tombstones
    generations: dict[str, int] = {}  # slot -> highest generation ever burnt
    fills: tuple[Fill, ...] = ()  # of the journal's whole life, in the order they were learnt
    strategy_state: str | None = None  # JSON
    used_slots: tuple[str, ...] = ()  # slots of repeat=False quotes that had a fill
    latches: tuple[Latch, ...] = ()  # those that stand
    risk: str | None = None  # what the limits on losses remember, JSON
    placed: tuple[int, ...] = ()  # moments of the intents that the limit on their rate still counts, ns
    began: Beginning | None = Beginning("first")  # None: a new file, and what was before is to be found out


class MarketsRead(Struct, frozen=True, tag=True):
    markets: tuple[Market, ...]


class ClockRead(Struct, frozen=True, tag=True):
    """Venue clock minus ours, and how wrong that may be, in ns."""

    offset: int
    uncertainty: int


class NonceWindowProbed(Struct, frozen=True, tag=True):
    """Whether the venue refused a signed GET whose nonce was older than the window (orders.md 9a)."""

    enforced: bool


# Market data ----------------------------------------------------------------------------------------------


class BookSnapshot(Struct, frozen=True, tag=True):
    market: str
    sequence: int
    bids: Levels
    asks: Levels


class BookDelta(Struct, frozen=True, tag=True, gc=False):  # holds no cycle; by the thousand a second
    """New totals of levels, already checked to follow the one before."""

    market: str
    sequence: int
    bids: Levels
    asks: Levels


class BookGap(Struct, frozen=True, tag=True):
    """The book cannot be trusted until the next snapshot."""

    market: str
    reason: str


class PublicTrade(Struct, frozen=True, tag=True, gc=False):  # holds no cycle; by the thousand a second
    market: str
    id: int
    ticks: int
    lots: int
    taker_side: Side
    traded_at: int  # whole seconds since 1970


class StreamUp(Struct, frozen=True, tag=True):
    """A socket is open and the venue confirmed these stream names."""

    stream: Stream
    names: tuple[str, ...]


class StreamDown(Struct, frozen=True, tag=True):
    stream: Stream
    reason: str


class StreamAlive(Struct, frozen=True, tag=True):
    """Bytes came over a socket that told no news: a quiet market is not a frozen one."""

    stream: Stream


class VenueFault(Struct, frozen=True, tag=True):
    """The venue said something that cannot be understood, or that breaks its own rules. Nothing was applied."""

    source: str
    what: str


# News of our own account ----------------------------------------------------------------------------------


class OrderNews(Struct, frozen=True, tag=True):
    row: OrderRow


class TradeNews(Struct, frozen=True, tag=True):
    row: TradeRow


class BalanceNews(Struct, frozen=True, tag=True):
    row: BalanceRow


# Answers to commands --------------------------------------------------------------------------------------


class Sent(Struct, frozen=True, tag=True):
    """A create was signed with this nonce (venue ms) and is about to leave."""

    client_id: str
    nonce: int


class Accepted(Struct, frozen=True, tag=True):
    client_id: str
    row: OrderRow


class Rejected(Struct, frozen=True, tag=True):
    """Proven not created, by the venue's own word (orders.md rule 7)."""

    client_id: str
    status: int
    codes: tuple[str, ...]


class NotSent(Struct, frozen=True, tag=True):
    """Proven not created: not a byte of it left."""

    client_id: str
    reason: str


class Unknown(Struct, frozen=True, tag=True):
    """A third answer: the order may exist."""

    client_id: str
    reason: str


class CancelAnswered(Struct, frozen=True, tag=True):
    """`row` is the order as it was when the cancel arrived, None if it was refused or the outcome is open."""

    order_id: int
    row: OrderRow | None
    reason: str = ""


class OrdersListed(Struct, frozen=True, tag=True):
    """One page. `full`: it holds as many rows as were asked for, so there may be more."""

    query: int
    rows: tuple[OrderRow, ...]
    full: bool
    venue_time: int | None = None  # the venue's clock when it answered, ns


class OrderRead(Struct, frozen=True, tag=True):
    """`row` is None where the venue knows no such order (404)."""

    query: int
    order_id: int
    row: OrderRow | None


class TradesListed(Struct, frozen=True, tag=True):
    query: int
    rows: tuple[TradeRow, ...]
    full: bool


class BalancesRead(Struct, frozen=True, tag=True):
    """One page; `full`: there may be more."""

    query: int
    rows: tuple[BalanceRow, ...]
    full: bool = False


class TransfersListed(Struct, frozen=True, tag=True):
    """The newest deposits or withdrawals; None where this deployment or this key is not told of them."""

    query: int
    kind: TransferKind
    rows: tuple[TransferRow, ...] | None


class QueryFailed(Struct, frozen=True, tag=True):
    """A look-up brought no answer. `permanent`: asking again would not help (credentials, permission)."""

    query: int
    permanent: bool
    reason: str


# The rest -------------------------------------------------------------------------------------------------


class Budget(Struct, frozen=True, tag=True):
    """Requests that may be sent now, and when the next one is free."""

    free: int
    refill_at: int


class Wake(Struct, frozen=True, tag=True):
    """The time that was asked for has come."""


class JournalFailed(Struct, frozen=True, tag=True):
    """The last output could not be made durable: nothing of it was sent."""

    reason: str


class StopRequested(Struct, frozen=True, tag=True):
    """`by`: `signal`, `time` (run.for), `settle`, `error`; `exit_code` is how the run should end if all is well.

    `reason` is a sentence for the user where `by` alone does not say what is wrong.
    """

    by: str
    exit_code: int = 0
    reason: str = ""


class Reconfigured(Struct, frozen=True, tag=True):
    """The strategy file was read again, and only what may change while the run goes on is different.

    `changes`: what differs from before, in the file's words: key -> "old -> new".
    """

    settings: Settings
    changes: dict[str, str]


class ReloadRefused(Struct, frozen=True, tag=True):
    """The strategy file was read again and nothing of it is used: every problem as its facts (place, message, fix)."""

    problems: tuple[dict[str, str | int], ...]


class Advanced(Struct, frozen=True, tag=True):
    """A tape moved on to a moment where a tick is due; the book is the tape's (backtest)."""

    market: str


What = (
    Configured
    | Restored
    | MarketsRead
    | ClockRead
    | NonceWindowProbed
    | BookSnapshot
    | BookDelta
    | BookGap
    | PublicTrade
    | StreamUp
    | StreamDown
    | StreamAlive
    | VenueFault
    | OrderNews
    | TradeNews
    | BalanceNews
    | Sent
    | Accepted
    | Rejected
    | NotSent
    | Unknown
    | CancelAnswered
    | OrdersListed
    | OrderRead
    | TradesListed
    | BalancesRead
    | TransfersListed
    | QueryFailed
    | Budget
    | Wake
    | JournalFailed
    | StopRequested
    | Reconfigured
    | ReloadRefused
    | Advanced
)


class Event(Struct, frozen=True):
    """`number` counts from 1 within a run; `time` is UTC ns and never decreases."""

    number: int
    time: int
    what: What
