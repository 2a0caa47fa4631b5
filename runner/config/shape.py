"""The strategy file as it is written: its sections and keys, what each is for, and its bounds.

The JSON Schema, the documentation and the checks are made from these types; `read.py` turns them into the types the
runner works with.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from runner.model.parameters import Field
from runner.model.settings import TickCause
from runner.model.units import Amount, BaseAmount, Duration, QuoteAmount

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


class Deployment(Struct, frozen=True, kw_only=True):
    """Any other OpenDAX/Peatio v2 exchange."""

    rest_url: Annotated[_RestUrl, Field("Root of the REST API, `/api/v2` included")]
    stream_url: Annotated[_StreamUrl, Field("Root of the WebSocket API, above `/public` and `/private`")]


class RateLimitSection(Struct, frozen=True, kw_only=True):
    """How often we may ask the venue; all runs on this machine that use the same key share it."""

    requests: Annotated[int, Field("Requests in any stretch of `per`", min="10", max="10000")] = 30
    per: Annotated[Duration, Field("The stretch of time", min="1s", max="10m")] = Duration("12s")


class ConnectorSection(Struct, frozen=True, kw_only=True):
    type: Annotated[Literal["altmarkets"], Field("Which protocol the venue speaks")]
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
    rate_limit: Annotated[
        RateLimitSection, Field("Requests that the venue lets us send; a share of them is kept for cancels")
    ] = RateLimitSection()
    seed: Annotated[int | None, Field("Of the sandbox's crowd of traders", min="0", max="4294967295")] = None


class StrategySection(Struct, frozen=True, kw_only=True):
    use: Annotated[
        str, Field("An installed strategy (`runner strategies`), or a class in a file: `./mine.py:MyStrategy`")
    ]
    params: Annotated[dict[str, Any], Field("Parameters of that strategy (`runner strategies NAME`)")] = {}


class TickSection(Struct, frozen=True, kw_only=True):
    every: Annotated[Duration, Field("The strategy is asked this often", min="10ms", max="1d")] = Duration("1s")
    when: Annotated[tuple[TickCause, ...], Field("Also when the book, a public trade or a fill of ours came in")] = ()
    at_most_every: Annotated[Duration, Field("Never more often than this", min="0s", max="1d")] = Duration("100ms")


class RiskSection(Struct, frozen=True, kw_only=True):
    max_position: Annotated[
        dict[str, BaseAmount],
        Field("By base currency: the most that may be held, and the most that may be short", min="0"),
    ] = {}
    max_order_notional: Annotated[
        dict[str, QuoteAmount], Field("By quote currency: the most that one order may be worth", min="0")
    ] = {}
    max_open_orders: Annotated[
        int | None, Field("Orders that may exist at once, those with an unknown outcome included", min="0", max="1000")
    ] = None
    max_book_age: Annotated[
        Duration, Field("No new orders while the book is older than this", min="100ms", max="1h")
    ] = Duration("15s")  # fmt: skip


class RunSection(Struct, frozen=True, kw_only=True):
    for_: Annotated[Duration | None, Field("Stop after this long; without it, run until stopped", min="1ms")] = field(
        name="for", default=None
    )
    on_stop: Annotated[
        Literal["cancel", "cancel_opening", "leave"],
        Field(
            "What becomes of our orders at the end: `leave` keeps them resting, `cancel_opening` keeps only those that "
            "reduce the position, as far as together they do not turn it round"
        ),
    ] = "cancel"
    initial_position: Annotated[
        dict[str, Amount], Field("By currency: what the strategy starts with, before its first fill")
    ] = {}


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
