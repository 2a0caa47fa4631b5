"""The rows an exchange keeps: members, their keys, orders and trades. Frozen; a change makes a new row.

Prices are ticks, volumes lots, `total` is their product; times are UTC nanoseconds, which the wire cuts to seconds.
"""

import enum
from decimal import Decimal

from msgspec import Struct

from runner.model.market import Market
from runner.model.money import MONEY
from runner.model.order import Side


class OrderState(enum.StrEnum):
    """The venue's own words. Source: wire reference 5.1."""

    PENDING = "pending"  # recorded; no funds locked, the engine has not seen it
    WAIT = "wait"  # funds locked, live or being matched
    DONE = "done"
    CANCEL = "cancel"  # may have fills
    REJECT = "reject"  # the funds were gone

    @property
    def terminal(self) -> bool:
        return self in {OrderState.DONE, OrderState.CANCEL, OrderState.REJECT}


class Member(Struct, frozen=True, kw_only=True):
    """Who trades here. `verbs` are the HTTP methods that the member's role permits."""

    id: int
    name: str
    level: int = 3
    active: bool = True
    two_factor: bool = True
    verbs: tuple[str, ...] = ("GET", "POST")


class ApiKey(Struct, frozen=True):
    access: str
    secret: str
    member: int
    active: bool = True

    def __repr__(self) -> str:
        return f"ApiKey(member={self.member})"  # a key in a log is a key lost, even this one


class Order(Struct, frozen=True, kw_only=True):
    """One order. `left` lots are unfilled; `total` is the sum of ticks x lots over its trades.

    `locked` is what it holds of the currency it pays with, frozen at creation until the worker locks it.
    """

    id: int
    member: int
    market: Market
    side: Side
    ticks: int | None
    lots: int
    left: int
    state: OrderState
    locked: Decimal
    created: int
    updated: int
    total: int = 0
    trades_count: int = 0
    client_id: str | None = None

    @property
    def executed(self) -> int:
        return self.lots - self.left

    @property
    def pays(self) -> str:
        return self.market.quote if self.side is Side.BUY else self.market.base

    @property
    def average_ticks(self) -> int:
        """Average price of what is executed, rounded down to a tick; a display value (reference 4.2)."""
        return self.total // self.executed if self.executed else 0


class Trade(Struct, frozen=True, kw_only=True):
    """One match, executed. The maker is the order with the lower id, whoever rested (reference 5.4)."""

    id: int
    market: Market
    ticks: int
    lots: int
    maker: Order  # as they were after this trade
    taker: Order
    time: int

    @property
    def members(self) -> tuple[int, int]:
        return self.maker.member, self.taker.member

    def order_of(self, member: int) -> Order:
        """The order that a member is shown for this trade: in a self-trade the maker's."""
        return self.maker if self.maker.member == member else self.taker

    def hides(self, order_id: int) -> bool:
        """Whether it is the side of a self-trade that no list shows, so that its fee is told to nobody."""
        return self.maker.member == self.taker.member and order_id == self.taker.id

    def fee(self, order: Order) -> tuple[Decimal, Decimal, str]:
        """Rate, amount and currency of the fee that one of the two orders paid for this trade (reference 5.5)."""
        rules = order.market  # of the order, not of the trade: fees are frozen when an order is created
        rate = rules.maker_fee if order.id == self.maker.id else rules.taker_fee
        if order.side is Side.BUY:
            return rate, MONEY.multiply(self.market.quantity(self.lots), rate), self.market.base
        return rate, MONEY.multiply(self.market.notional(self.ticks, self.lots), rate), self.market.quote


class Transfer(Struct, frozen=True):
    """A deposit, or with an amount below zero a withdrawal; done as soon as it is there."""

    id: int
    member: int
    currency: str
    amount: Decimal
    time: int
