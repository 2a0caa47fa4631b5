"""The most that a file lets its strategy have at once, from the file alone, against the file's own limits.

A strategy that says what it may order at once (`Strategy.demands`) is refused before its first order where the limits
have no room for that: the gate would hold every order to them all the same, and the user would get a part of what the
file says, without knowing which. What an order is worth needs a price; the engine looks at that with the first book
(`engine/worth.py`). The request budget cannot be exceeded, so what exceeds it only comes late.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from msgspec import Struct

from runner.config.problems import Path, Problem, problem
from runner.config.sense import place
from runner.config.spec import RunSpec
from runner.engine.strategy import Demand
from runner.model.money import MONEY, ZERO, plain
from runner.model.order import Side
from runner.model.units import Duration


class Bound(Struct, frozen=True):
    """All that may exist at once. `bought` and `sold` are by base currency, if every order fills; `requests` says how
    many are sent each time that orders are replaced, by the time between (`30s`): a cancel and a new order for each.
    """

    orders: int
    bought: dict[str, Decimal]
    sold: dict[str, Decimal]
    requests: dict[str, int]


def bound(spec: RunSpec) -> Bound | None:
    """None where the strategy does not say what it may order."""
    if spec.demands is None:
        return None
    flows: dict[Side, dict[str, Decimal]] = {Side.BUY: {}, Side.SELL: {}}
    requests: dict[str, int] = {}
    for demand in spec.demands:
        base, flow = _base(spec, demand), flows[demand.side]
        total = MONEY.multiply(Decimal(demand.orders), exact(demand.quantity))
        flow[base] = MONEY.add(flow.get(base, ZERO), total)
        if demand.every is not None:
            every = str(Duration.of(demand.every))
            requests[every] = requests.get(every, 0) + 2 * demand.orders
    orders = sum(demand.orders for demand in spec.demands)
    return Bound(orders, flows[Side.BUY], flows[Side.SELL], requests)


def words(found: Bound) -> str:
    """For `runner check`."""
    flows = (("bought", found.bought), ("sold", found.sold))
    moved = [f"{plain(amount)} {base} {how}" for how, each in flows for base, amount in each.items()]
    asked = [f"{count} requests every {every}" for every, count in found.requests.items()]
    orders = f"{found.orders} order{'' if found.orders == 1 else 's'}"
    return "; ".join([orders, " and ".join(moved) + " if all fill", *asked])


def broken(spec: RunSpec) -> Iterator[Problem]:
    """Limits that have no room for what the strategy may order at once."""
    found = bound(spec)
    if found is not None:
        yield from _orders(spec, found)
        yield from _amounts(spec)
        yield from _positions(spec, found)
        yield from _rates(spec)


def _orders(spec: RunSpec, found: Bound) -> Iterator[Problem]:
    most = spec.settings.limits.max_open_orders
    if most is not None and found.orders > most:
        what = f"the strategy may want {found.orders} orders at once"
        yield _told(
            spec, ("max_open_orders",), "bound.orders", what, f"write {found.orders} or more", spec.demands or ()
        )


def _amounts(spec: RunSpec) -> Iterator[Problem]:
    largest: dict[str, Demand] = {}
    for demand in spec.demands or ():
        base = _base(spec, demand)
        if demand.orders and (base not in largest or demand.quantity > largest[base].quantity):
            largest[base] = demand
    for base, demand in largest.items():
        most, quantity = spec.settings.limits.max_order_amount.get(base), exact(demand.quantity)
        if most is not None and quantity > most:
            what, fix = f"one order of the strategy may be {plain(quantity)} {base}", f"write {plain(quantity)} or more"
            yield _told(spec, ("max_order_amount", base), "bound.amount", what, fix, (demand,))


def _positions(spec: RunSpec, found: Bound) -> Iterator[Problem]:
    settings = spec.settings
    for base in sorted({*found.bought, *found.sold}):
        held = settings.initial_position.get(base, ZERO)
        highest = MONEY.add(held, found.bought.get(base, ZERO))
        lowest = MONEY.subtract(held, found.sold.get(base, ZERO))
        most, least = settings.limits.max_position.get(base), settings.limits.least_position(base)
        if most is not None and highest > most:
            what = f"if all its buys fill, the strategy holds {plain(highest)} {base}"
            fix = f"write {plain(highest)} or more"
            yield _told(spec, ("max_position", base), "bound.position", what, fix, _of(spec, base, Side.BUY))
        if least is not None and lowest < least:
            own = base in settings.limits.min_position
            what = f"if all its sells fill, the strategy holds {plain(lowest)} {base}"
            fix = f"write {plain(lowest)} or less" if own else f"add min_position: {{{base}: {plain(lowest)}}}"
            key = "min_position" if own else "max_position"
            yield _told(spec, (key, base), "bound.position", what, fix, _of(spec, base, Side.SELL))


def _rates(spec: RunSpec) -> Iterator[Problem]:
    """A stretch of time may hold one more refresh than whole intervals."""
    timed = [(demand, demand.every) for demand in spec.demands or () if demand.every is not None]
    for name in ("max_order_rate", "max_cancel_rate"):
        rate = getattr(spec.settings.limits, name)
        if rate is None:
            continue
        count = sum(demand.orders * (1 + rate.per // every) for demand, every in timed)
        if count > rate.times:
            what = f"the strategy may replace {count} orders in {Duration.of(rate.per)}"
            fix = f"write {count}/{Duration.of(rate.per)} or more"
            yield _told(spec, (name,), "bound.rate", what, fix, [demand for demand, _ in timed])


def exact(value: float) -> Decimal:
    """A number of a strategy as its shortest decimal: 0.1 is 0.1."""
    return Decimal(plain(Decimal(str(float(value)))))


def _base(spec: RunSpec, demand: Demand) -> str:
    return (demand.market or spec.settings.markets[0]).partition("-")[0]


def _of(spec: RunSpec, base: str, side: Side) -> list[Demand]:
    return [demand for demand in spec.demands or () if demand.side is side and _base(spec, demand) == base]


def _told(spec: RunSpec, key: Path, code: str, what: str, fix: str, demands: Sequence[Demand]) -> Problem:
    path = ("risk", *key)
    names = dict.fromkeys(name for demand in demands for name in demand.parameters)
    lower = f", or a lower {' or '.join(names)}" if names else ""
    at = place(spec.root, path)
    return problem(at, path, code, f"{what}, and {key[0]} has no room for it", fix + lower)
