"""What the engine is told about a run: the part of the YAML file that decisions depend on."""

from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from runner.model.money import MONEY

SECOND = 1_000_000_000
MILLISECOND = 1_000_000

TickCause = Literal["book", "trade", "fill"]


class TickPolicy(Struct, frozen=True):
    """When the strategy is asked: every so often, and when something happened, but not more often than that."""

    every: int = SECOND  # ns
    when: tuple[TickCause, ...] = ()
    at_most_every: int = 100 * MILLISECOND  # ns


class QueueModel(Struct, frozen=True):
    """Who went when a level of a recorded book shrank and no trade says why (simulation/queues.py): those behind an
    order of ours first, as averse to risk, or those before and behind it in proportion, or by the power `n` of both.
    """

    name: Literal["risk_averse", "proportional", "power"] = "risk_averse"
    n: int = 1  # of the power, from 1 to 16

    def __post_init__(self) -> None:
        if not 1 <= self.n <= 16:
            raise ValueError(f"power {self.n} is not from 1 to 16")

    def __str__(self) -> str:
        return f"power {self.n}" if self.name == "power" else self.name


OnBreach = Literal["reject", "reduce_only", "halt", "halt_and_cancel", "halt_and_flatten"]
SelfTrade = Literal["reject", "cancel_newest", "cancel_oldest", "allow"]


class Rate(Struct, frozen=True):
    """At most `times` in any stretch of `per` ns."""

    times: int
    per: int

    def __str__(self) -> str:
        return f"{self.times} in {self.per / SECOND:g} s"


class Limits(Struct, frozen=True, kw_only=True):
    """Risk limits, as the file's section `risk` describes them. None, or no entry for a currency, does not bind.

    Maps go from a currency to an exact amount of the unit that the name says; ratios are fractions, times ns.
    """

    max_order_amount: dict[str, Decimal] = {}
    max_order_notional: dict[str, Decimal] = {}
    min_order_notional: dict[str, Decimal] = {}
    price_collar: Decimal | None = None
    collar_reference: Literal["mid", "last"] = "mid"
    collar_price: Decimal | None = None
    max_position: dict[str, Decimal] = {}
    min_position: dict[str, Decimal] = {}
    max_open_orders: int | None = None
    max_open_notional: dict[str, Decimal] = {}
    balance_floor: dict[str, Decimal] = {}
    allocation: Decimal | None = None
    max_order_rate: Rate | None = None
    max_cancel_rate: Rate | None = None
    min_spread: Decimal | None = None
    max_spread: Decimal | None = None
    max_book_age: int = 15 * SECOND
    max_account_age: int | None = None
    max_clock_skew: int = 4 * SECOND
    max_daily_loss: dict[str, Decimal] = {}
    max_drawdown: dict[str, Decimal] = {}
    day_start: int = 0  # ns after midnight UTC
    loss_persists: int = 5 * SECOND
    max_mark_age: int = 60 * SECOND
    max_consecutive_rejects: int | None = None
    max_consecutive_errors: int | None = None
    on_breach: OnBreach = "halt_and_cancel"
    resume: Literal["manual", "after", "next_day"] = "manual"
    resume_after: int | None = None
    flatten_slippage: Decimal = Decimal("0.01")
    flatten_with: Literal["limit", "market"] = "limit"
    flatten_within: int = 120 * SECOND
    self_trade: SelfTrade = "reject"

    def placed_since(self, now: int) -> int | None:
        """From when on orders count for the limit on their rate; None where there is none."""
        return None if self.max_order_rate is None else now - self.max_order_rate.per

    def least_position(self, currency: str) -> Decimal | None:
        """The lower bound of a position. Where only the upper one is set it binds on both sides of zero."""
        least = self.min_position.get(currency)
        if least is not None:
            return least
        most = self.max_position.get(currency)
        return None if most is None else MONEY.minus(most)


class Settings(Struct, frozen=True, kw_only=True):
    """One run of one strategy. `params` are the strategy's own, as written in the file (text with units)."""

    name: str
    tag: str  # six characters, see ids.py
    markets: tuple[str, ...]  # symbols; the first one is the default of a quote
    strategy: str  # how the file names it
    params: dict[str, Any] = {}
    tick: TickPolicy = TickPolicy()
    limits: Limits = Limits()
    on_stop: Literal["cancel", "cancel_opening", "leave"] = "cancel"
    once: bool = False
    take_over: bool = False  # orders of another journal that moved just before the start are nobody else's
    exclusive: bool = False  # nobody else trades on the account: an order that could be ours is ours
    initial_position: dict[str, Decimal] = {}
    position: dict[str, Decimal] | None = None  # what a person says is held, where the journal cannot know it
    settle: int = 30 * SECOND  # D of orders.md: the longest an authorised request may take to become a row
    cancel_reserve: int = 8  # requests of the budget that only cancels may use
