"""The strategy file as it is written: its sections and keys, what each is for, and its bounds.

The JSON Schema, the documentation and the checks are made from these types; `read.py` turns them into the types the
runner works with.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from runner.model.parameters import Field
from runner.model.settings import TickCause
from runner.model.units import Amount, BaseAmount, Delay, Duration, Price, QuoteAmount, Rate, Ratio

VERSION = 1
"""Of the file format. A change that an older file would not survive gets the next number."""

SYMBOL = r"^[A-Z0-9]+-[A-Z0-9]+$"

_Symbol = Annotated[
    str,
    Meta(pattern=SYMBOL, examples=["ROGER-BTC"], description="base and quote currency in capitals, as in ROGER-BTC"),
]
_Name = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9-]{1,40}$", examples=["roger-maker"], description="up to 40 characters of a-z, 0-9 and dash"
    ),
]
_CredentialName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9_-]{1,40}$",
        examples=["main"],
        description="up to 40 characters of a-z, 0-9, dash, underscore",
    ),
]
_TimeOfDay = Annotated[
    str,
    Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["17:30"], description="hours and minutes, as in 17:30"),
]
_RestUrl = Annotated[
    str,
    Meta(
        pattern=r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$",
        examples=["https://example.com/api/v2"],
        description="an http or https address without user, query or fragment",
    ),
]
_StreamUrl = Annotated[
    str,
    Meta(
        pattern=r"^wss?://[^\s/@?#]+(/[^\s@?#]*)?$",
        examples=["wss://example.com/api/v2/ranger"],
        description="a ws or wss address without user, query or fragment",
    ),
]

_Queue = Annotated[
    str,
    Meta(
        pattern=r"^(risk_averse|proportional|power ([1-9]|1[0-6]))$",
        examples=["risk_averse", "proportional", "power 2"],
        description="risk_averse, proportional, or power with a number from 1 to 16",
    ),
]


class Deployment(Struct, frozen=True, kw_only=True):
    """Any other OpenDAX/Peatio v2 exchange."""

    rest_url: Annotated[_RestUrl, Field("Root of the REST API, `/api/v2` included")]
    stream_url: Annotated[_StreamUrl, Field("Root of the WebSocket API, above `/public` and `/private`")]


class RateLimitSection(Struct, frozen=True, kw_only=True):
    """How often we may ask the venue; all runs on this machine that use the same key share it."""

    requests: Annotated[int, Field("Requests in any stretch of `per`", min="10", max="10000")] = 30
    per: Annotated[Duration, Field("The stretch of time", min="1s", max="10m")] = Duration("12s")


class LatencySection(Struct, frozen=True, kw_only=True):
    """How long a paper account's messages take."""

    order: Annotated[Delay, Field("Until the exchange has a new order, or a question")] = Delay("50ms")
    cancel: Annotated[Delay, Field("Until the exchange has a cancel")] = Delay("50ms")
    data: Annotated[
        Delay,
        Field("Until news of the exchange are here; the public data of a live venue bring theirs with them"),
    ] = Delay("20ms")
    recorded: Annotated[
        str | None,
        Field("Instead of these three: a run on this machine, by its id or the folder of its record, whose waits for "
              "answers are drawn from"),
    ] = None  # fmt: skip
    processing: Annotated[
        Duration, Field("What the exchange takes between its answer and its order book", min="0s", max="1m")
    ] = Duration("50ms")


class PaperSection(Struct, frozen=True, kw_only=True):
    """The account that a paper run begins with, and what it assumes where a real one would find out."""

    balances: Annotated[
        dict[str, Amount], Field("By currency: what the account begins with; without it, round sums", min="0")
    ] = {}
    maker_fee: Annotated[Ratio | None, Field("Of what is received, instead of the venue's own", min="0", max="10%")] = (
        None
    )
    taker_fee: Annotated[Ratio | None, Field("Of what is received, instead of the venue's own", min="0", max="10%")] = (
        None
    )
    latency: Annotated[LatencySection, Field("How long its messages take")] = LatencySection()
    queue: Annotated[
        _Queue, Field("Who went, before or behind our orders, when a level shrinks and no trade says why")
    ] = "risk_averse"
    seed: Annotated[int, Field("Of everything that chance decides", min="0", max="4294967295")] = 0


class ConnectorSection(Struct, frozen=True, kw_only=True):
    type: Annotated[
        Literal["altmarkets", "altmarkets_paper", "altmarkets_paper_trade"],
        Field("Which protocol the venue speaks; `altmarkets_paper` (or `altmarkets_paper_trade`) is an account of its "
              "own behind the venue's public data: no key is needed, and nothing is ordered there"),
    ]  # fmt: skip
    venue: Annotated[
        Literal["altmarkets", "sandbox"] | Deployment,
        Field("Where to trade: `sandbox` is a local exchange of its own with play money, started with the run"),
    ] = "altmarkets"
    credentials: Annotated[
        _CredentialName | None, Field("A name in the credential store; a key never stands in this file")
    ] = None
    account: Annotated[
        _Name | None, Field("Names the account in our journal when that is not to depend on the API key")
    ] = None
    settle: Annotated[
        Duration,
        Field("The longest an authorised request may take to become an order", min="1s", max="10m"),
    ] = Duration("30s")
    exclusive: Annotated[
        bool,
        Field(
            "Nobody else trades on this account, by hand or by program: an order that lost its name, and that looks "
            "like one of ours without an answer, is taken for it"
        ),
    ] = False
    rate_limit: Annotated[
        RateLimitSection, Field("Requests that the venue lets us send; a share of them is kept for cancels")
    ] = RateLimitSection()
    seed: Annotated[int | None, Field("Of the sandbox's crowd of traders", min="0", max="4294967295")] = None
    paper: Annotated[PaperSection | None, Field("The account of `type: altmarkets_paper`, and its models")] = None


class StrategySection(Struct, frozen=True, kw_only=True):
    use: Annotated[
        str, Field("An installed strategy (`runner strategies`), or a class in a file: `./mine.py:MyStrategy`")
    ]
    params: Annotated[dict[str, Any], Field("Parameters of that strategy (`runner strategies NAME`)")] = {}


class TickSection(Struct, frozen=True, kw_only=True):
    every: Annotated[Duration, Field("The strategy is asked this often", min="10ms", max="1d", live=True)] = Duration(
        "1s"
    )
    when: Annotated[
        tuple[TickCause, ...], Field("Also when the book, a public trade or a fill of ours came in", live=True)
    ] = ()
    at_most_every: Annotated[Duration, Field("Never more often than this", min="0s", max="1d", live=True)] = Duration(
        "100ms"
    )


class RiskSection(Struct, frozen=True, kw_only=True):
    """The limits of the gate. One that is not set does not bind; one that cannot be evaluated lets no new risk pass."""

    # One order.
    max_order_amount: Annotated[
        dict[str, BaseAmount], Field("By base currency: the most that one order may buy or sell", min="0", live=True)
    ] = {}
    max_order_notional: Annotated[
        dict[str, QuoteAmount], Field("By quote currency: the most that one order may be worth", min="0", live=True)
    ] = {}
    min_order_notional: Annotated[
        dict[str, QuoteAmount], Field("By quote currency: the least that one order may be worth", min="0", live=True)
    ] = {}
    price_collar: Annotated[
        Ratio | None,
        Field("The furthest that a price may be from the reference, on either side", min="1bps", max="90%", live=True),
    ] = None
    collar_reference: Annotated[
        Literal["mid", "last"],
        Field("What the collar measures from: the book's mid, or the last public trade", live=True),
    ] = "mid"
    collar_price: Annotated[
        Price | None,
        Field("Your own reference instead, for a file with one market", min="0", live=True),
    ] = None

    # All of them together, in the worst case: an order of unknown fate counts in full, buys and sells are not netted.
    max_position: Annotated[
        dict[str, BaseAmount],
        Field(
            "By base currency: the most that may be held; without min_position also the most that may be short",
            min="0",
            live=True,
        ),
    ] = {}
    min_position: Annotated[
        dict[str, BaseAmount],
        Field("By base currency: the least that must be held after every sell; below zero is short", live=True),
    ] = {}
    max_open_orders: Annotated[
        int | None,
        Field("Orders that may exist at once, those with an unknown outcome included", min="0", max="1000", live=True),
    ] = None
    max_open_notional: Annotated[
        dict[str, QuoteAmount],
        Field(
            "By quote currency, for each side: what is held there, and every order of that side, may be worth",
            min="0",
            live=True,
        ),
    ] = {}
    balance_floor: Annotated[
        dict[str, Amount],
        Field("By currency: what the account keeps available whatever the strategy wants", min="0", live=True),
    ] = {}
    allocation: Annotated[
        Ratio | None,
        Field(
            "The share of each currency's balance that this strategy's orders may lock", min="0", max="100%", live=True
        ),
    ] = None

    # How often.
    max_order_rate: Annotated[Rate | None, Field("New orders; further ones are refused until it falls", live=True)] = (
        None
    )
    max_cancel_rate: Annotated[
        Rate | None, Field("Cancels; they always pass, but above it no new orders follow", live=True)
    ] = None

    # When the picture is bad.
    min_spread: Annotated[
        Ratio | None,
        Field("No new orders in a book narrower than this, our own orders aside", min="0", max="50%", live=True),
    ] = None
    max_spread: Annotated[
        Ratio | None,
        Field(
            "No new orders in a book wider than this, our own orders aside; no new peak is taken there either",
            min="0",
            max="90%",
            live=True,
        ),
    ] = None
    max_book_age: Annotated[
        Duration, Field("No new orders while the book is older than this", min="100ms", max="1h", live=True)
    ] = Duration("15s")  # fmt: skip
    max_account_age: Annotated[
        Duration | None,
        Field("No new orders while the account was heard of longer ago than this", min="1s", max="1h", live=True),
    ] = None
    max_clock_skew: Annotated[
        Duration, Field("No new orders while our clock and the venue's differ more", min="100ms", max="4s", live=True)
    ] = Duration("4s")  # fmt: skip

    # Losses. They count profit of our own fills alone: deposits, manual trades and other bots never touch them.
    max_daily_loss: Annotated[
        dict[str, QuoteAmount],
        Field("By quote currency: the most that may be lost since the day began", min="0", live=True),
    ] = {}
    max_drawdown: Annotated[
        dict[str, QuoteAmount],
        Field("By quote currency: the most that may be lost since the best moment ever", min="0", live=True),
    ] = {}
    day_start: Annotated[_TimeOfDay, Field("When a day begins, UTC", live=True)] = "00:00"
    loss_persists: Annotated[
        Duration, Field("How long a loss must last, if not realised, before it counts", min="0s", max="10m", live=True)
    ] = Duration("5s")  # fmt: skip
    max_mark_age: Annotated[
        Duration,
        Field("How long the last value of a position holds when the book gives none; then only reducing orders pass",
              min="1s", max="1h", live=True),
    ] = Duration("1m")  # fmt: skip
    max_consecutive_rejects: Annotated[
        int | None, Field("Orders refused by the venue, one after the other", min="1", max="1000", live=True)
    ] = None
    max_consecutive_errors: Annotated[
        int | None, Field("Requests without a usable answer, one after the other", min="1", max="1000", live=True)
    ] = None

    # What then.
    on_breach: Annotated[
        Literal["reject", "reduce_only", "halt", "halt_and_cancel", "halt_and_flatten"],
        Field("When a loss or error limit is passed: refuse while it lasts, only reduce, or end the run with code 6"),
    ] = "halt_and_cancel"
    resume: Annotated[
        Literal["manual", "after", "next_day"],
        Field("What lifts a latch: `runner resume`, the time `resume_after`, or the next day"),
    ] = "manual"
    resume_after: Annotated[Duration | None, Field("For `resume: after`", min="1s", max="7d")] = None
    flatten_slippage: Annotated[
        Ratio, Field("How far beyond the best opposite price a flattening order may go", min="0", max="20%", live=True)
    ] = Ratio("1%")  # fmt: skip
    flatten_with: Annotated[
        Literal["limit", "market"], Field("The kind of order that flattens; a market order takes any price", live=True)
    ] = "limit"
    flatten_within: Annotated[
        Duration, Field("How long flattening may take; what is left then is told", min="10s", max="10m", live=True)
    ] = Duration("2m")  # fmt: skip
    self_trade: Annotated[
        Literal["reject", "cancel_newest", "cancel_oldest", "allow"],
        Field(
            "A new order that would trade with another of this account: refuse it, let it wait, or cancel ours first",
            live=True,
        ),
    ] = "reject"


class RunSection(Struct, frozen=True, kw_only=True):
    for_: Annotated[Duration | None, Field("Stop after this long; without it, run until stopped", min="1ms")] = field(
        name="for", default=None
    )
    on_stop: Annotated[
        Literal["cancel", "cancel_opening", "leave"],
        Field(
            "What becomes of our orders at the end: `leave` keeps them resting, `cancel_opening` keeps only those that "
            "reduce the position, as far as together they do not turn it round",
            live=True,
        ),
    ] = "cancel"
    initial_position: Annotated[
        dict[str, Amount], Field("By currency: what the strategy starts with, before its first fill")
    ] = {}


class RecordingSection(Struct, frozen=True, kw_only=True):
    """A run's record is everything that its engine was told and said: `runner replay`, `runner tape`."""

    enabled: Annotated[bool, Field("Record runs; the record lies beside the journal")] = True
    max_run_mb: Annotated[
        int,
        Field("Megabytes that one run's record may take; it ends there, and the run goes on", min="1", max="100000"),
    ] = 64
    max_total_mb: Annotated[
        int,
        Field(
            "Megabytes that all records here may take when a run begins: the oldest are removed", min="0", max="1000000"
        ),
    ] = 512


class File(Struct, frozen=True, kw_only=True):
    version: Annotated[Literal[1], Field("Of this file format")]
    name: Annotated[_Name, Field("Names the run, its journal and its orders")]
    connector: Annotated[ConnectorSection, Field("Where to trade")]
    markets: Annotated[
        tuple[_Symbol, ...],
        Field("What to trade; the first is what a strategy sees when it names none"),
        Meta(min_length=1, max_length=50, examples=[["ROGER-BTC"]]),
    ]
    strategy: Annotated[StrategySection, Field("What decides")]
    tick: Annotated[TickSection, Field("When the strategy is asked")] = TickSection()
    risk: Annotated[RiskSection, Field("Limits on every order, whatever the strategy wants")] = RiskSection()
    run: Annotated[RunSection, Field("How the run begins and ends")] = RunSection()
    recording: Annotated[RecordingSection, Field("What is kept of a run, to replay it")] = RecordingSection()
