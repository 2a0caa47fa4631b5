"""What the first tick of a run would do, in plain values, for people and for programs.

Prices are quote per base, quantities base, notionals quote, and all are exact. Times are UTC nanoseconds.
"""

from collections import Counter
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from runner.model.market import Market
from runner.model.money import plain
from runner.model.order import Side
from runner.report.account import utc
from runner.report.figures import figure
from runner.report.tables import Column, Row, Table

Do = Literal["create", "keep", "cancel", "cancelling", "unproven", "missing", "refuse", "wait"]
"""What happens to a slot.

`create` an order, `keep` the one that is there, or `cancel` it. `cancelling`: that was asked for before; `unproven`: it
may exist and is looked up; `missing`: the exchange does not know its number. `refuse`: the gate says no; `wait`: it may
be created later.
"""


class Offer(Struct, frozen=True):
    """An order as others would see it. `ticks` None is a market order, `mid` None where a side of the book is empty."""

    market: Market
    side: Side
    ticks: int | None
    lots: int
    mid: float | None = None

    @property
    def price(self) -> Decimal | None:
        return None if self.ticks is None else self.market.price(self.ticks)

    @property
    def quantity(self) -> Decimal:
        return self.market.quantity(self.lots)

    @property
    def notional(self) -> Decimal | None:
        return None if self.ticks is None else self.market.notional(self.ticks, self.lots)

    @property
    def from_mid(self) -> float | None:
        """Distance of the price from mid in percent; above zero is above mid."""
        if self.ticks is None or not self.mid:
            return None
        return round(100 * (self.market.price_float(self.ticks) / self.mid - 1), 4)

    def __str__(self) -> str:
        price = "at the market" if self.price is None else f"at {figure(self.price)}"
        return f"{self.side.value} {figure(self.quantity)} {price}"


class Planned(Struct, frozen=True, kw_only=True):
    """One slot. An order that is there already has a `client_id`, and `instead` where its slot is wanted for another.

    `why` is for people; a refusal also has its stable `code`. `numbers` are what was compared, of a new order as well.
    """

    do: Do
    slot: str
    offer: Offer
    why: str = ""
    client_id: str | None = None
    instead: Offer | None = None
    code: str | None = None
    numbers: dict[str, str | int | float | None] = {}


class Sight(Struct, frozen=True):
    """What the tick saw of a market. `position` is in base."""

    market: Market
    best_bid: Decimal | None
    best_ask: Decimal | None
    position: Decimal


class Plan(Struct, frozen=True, kw_only=True):
    """`beside`: a run of the same file is going on; its orders are taken for those of a run that has ended."""

    name: str
    venue: str
    time: int
    reason: str
    sights: tuple[Sight, ...]
    orders: tuple[Planned, ...]
    beside: bool = False


def facts(plan: Plan) -> dict[str, Any]:
    """For programs: amounts are exact decimal text, `from_mid_percent` is a number."""
    return {
        "name": plan.name,
        "venue": plan.venue,
        "time": utc(plan.time // 10**9),
        "reason": plan.reason,
        "beside_a_run": plan.beside,
        "markets": [
            {
                "market": sight.market.symbol,
                "best_bid": _plain(sight.best_bid),
                "best_ask": _plain(sight.best_ask),
                "position": plain(sight.position),
            }
            for sight in plan.sights
        ],
        "orders": [
            {
                "do": order.do,
                "slot": order.slot,
                **_offered(order.offer),
                "why": order.why,
                "client_id": order.client_id,
                "instead": None if order.instead is None else _offered(order.instead),
                "code": order.code,
                "numbers": order.numbers,
            }
            for order in plan.orders
        ],
    }


def head(plan: Plan) -> str:
    """Where, what was seen, and what the strategy made of it."""
    rows = [(plan.name, f"on {plan.venue}, {utc(plan.time // 10**9)}")]
    for sight in plan.sights:
        bid, ask = ("none" if price is None else f"{price:f}" for price in (sight.best_bid, sight.best_ask))
        position = f"position {figure(sight.position)} {sight.market.base}"
        rows.append((sight.market.symbol, f"bid {bid}, ask {ask}, {position}"))
    rows.append(("reason", plan.reason))
    if plan.beside:
        rows.append(("note", "a run of this file is going on; this is what one begun after it would do"))
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{label:<{width}}  {value}" for label, value in rows)


def table(plan: Plan) -> Table:
    """One row for each slot."""
    markets = {order.offer.market.symbol for order in plan.orders}
    columns = (
        Column("do", "do"),
        Column("slot", "slot"),
        *([Column("market", "market")] if len(markets) > 1 else []),
        Column("side", "side"),
        Column("price", "price", right=True),
        Column("quantity", "quantity", right=True),
        Column("notional", "notional", right=True),
        Column("from_mid", "from mid", right=True),
    )
    return Table(columns, tuple(_row(order) for order in plan.orders), "no orders are wanted, and none are there")


def foot(plan: Plan) -> str:
    """Why, for each slot that is not simply created or kept, and the sum of it."""
    told = [(order, _why(order)) for order in plan.orders]
    width = max((len(order.slot) for order, why in told if why), default=0)
    lines = [f"{order.slot:<{width}}  {why}" for order, why in told if why]
    counts = Counter(order.do for order in plan.orders)
    total = ", ".join(f"{do} {number}" for do, number in counts.items()) or "nothing is to be done"
    return "\n".join([*lines, *([""] if lines else []), f"{total}, and nothing was sent"])


def _row(order: Planned) -> Row:
    offer = order.offer
    return {
        "do": order.do,
        "slot": order.slot,
        "market": offer.market.symbol,
        "side": offer.side.value,
        "price": "market" if offer.price is None else f"{offer.price:f}",
        "quantity": figure(offer.quantity),
        "notional": "" if offer.notional is None else figure(offer.notional),
        "from_mid": "" if offer.from_mid is None else f"{offer.from_mid:+.2f} %",
    }


def _why(order: Planned) -> str:
    then = f"then {order.instead}" if order.instead is not None else ""
    return "; ".join(part for part in (order.why, then) if part)


def _offered(offer: Offer) -> dict[str, str | float | None]:
    return {
        "market": offer.market.symbol,
        "side": offer.side.value,
        "price": _plain(offer.price),
        "quantity": plain(offer.quantity),
        "notional": _plain(offer.notional),
        "from_mid_percent": offer.from_mid,
    }


def _plain(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)
