"""`runner plan`: what the first tick of a run would do. Nothing of it is sent (see `glance.py`)."""

from collections.abc import Iterator, Mapping

from runner.config.spec import RunSpec
from runner.edge.lock import is_held
from runner.edge.places import LOCK_FILE
from runner.engine.core import Engine
from runner.engine.reconcile import Target
from runner.engine.risk import Approved, InTheWay, Refused, Waiting
from runner.model.order import Order, OrderState
from runner.report.figures import facts, figure
from runner.report.plan import Do, Offer, Plan, Planned, Sight
from runner.run.glance import Wish, glance
from runner.run.machine import Machine
from runner.run.site import Site

_ONE_BY_ONE = "one create a side at a time until the exchange has shown a name of ours"  # orders.md rule 11


async def plan(spec: RunSpec, wish: Wish, environment: Mapping[str, str], machine: Machine | None = None) -> Plan:
    """Raises CannotRun, with the exit code that a run would end with, where no first tick comes."""

    def take(engine: Engine, site: Site, time: int) -> Plan:
        return Plan(
            name=spec.settings.name,
            venue=site.label,
            time=time,
            reason=engine.reason,
            sights=tuple(sights(engine)),
            orders=tuple(planned(engine)),
            beside=is_held(site.folder / LOCK_FILE),
        )

    return await glance(spec, wish, environment, take, machine)


# What the engine has decided ------------------------------------------------------------------------------


def sights(engine: Engine) -> Iterator[Sight]:
    """What it saw of each market."""
    for feed in engine.feeds.by_symbol.values():
        bid, ask = (level and feed.market.price(level[0]) for level in (feed.book.best_bid(), feed.book.best_ask()))
        yield Sight(feed.market, bid, ask, engine.account.ledger.position(feed.market.base))


def planned(engine: Engine) -> list[Planned]:
    """What its latest decision does to each slot: the wanted ones as the strategy gave them, then the rest."""
    orders, wanted = engine.account.orders, engine.wanted
    rows = [_there(engine, order) for order in orders.live()]
    rows += [_not_now(engine, verdict) for verdict in engine.verdicts if not isinstance(verdict, Approved)]
    taken = {row.slot for row in rows}
    for slot, target in wanted.items():
        if slot not in taken and (target.repeat or slot not in orders.used_slots):
            why = _ONE_BY_ONE if slot in engine.held else "no request is left in the budget now"
            rows.append(Planned(do="wait", slot=slot, offer=_offer(engine, target), why=why))
    rank = {slot: number for number, slot in enumerate(wanted)}
    return sorted(rows, key=lambda row: (rank.get(row.slot, len(rank)), row.slot))


def _there(engine: Engine, order: Order) -> Planned:
    """An order that exists, may exist, or would be created now."""
    do, why = _fate(engine, order)
    approved = next((v.numbers for v in engine.verdicts if isinstance(v, Approved) and v.target.slot == order.slot), {})
    target = engine.wanted.get(order.slot) if do == "cancel" else None
    return Planned(
        do=do,
        slot=order.slot,
        offer=_offer(engine, order),
        why=why,
        client_id=None if do == "create" else order.client_id,  # its name is known when the journal has begun
        instead=None if target is None else _offer(engine, target),
        numbers={**approved},
    )


def _fate(engine: Engine, order: Order) -> tuple[Do, str]:
    orders = engine.account.orders
    cancelled_because = orders.cancels.reason(order.client_id)
    if order.state is OrderState.INTENDED:
        return "create", ""
    if orders.missing_there(order.client_id):
        return "missing", f"the exchange does not know {order.client_id}, which keeps the slot"
    if order.state is OrderState.UNKNOWN:
        return "unproven", f"{order.client_id} may exist: it is looked up, and keeps the slot until that is known"
    if cancelled_because is not None:
        return "cancel", f"{cancelled_because}: {order.client_id}"
    if order.state is OrderState.CANCELLING:
        return "cancelling", f"{order.client_id} was to be cancelled before"
    filled = engine.markets[order.market].quantity(order.filled_lots)
    return "keep", f"{figure(filled)} of {order.client_id} is filled" if filled else ""


def _not_now(engine: Engine, verdict: Refused | Waiting | InTheWay) -> Planned:
    target = verdict.target
    offer = _offer(engine, target)
    if isinstance(verdict, Refused):
        numbers = verdict.numbers
        why = f"{verdict.code}: {facts(numbers)}"
        return Planned(do="refuse", slot=target.slot, offer=offer, why=why, code=verdict.code, numbers=numbers)
    if isinstance(verdict, InTheWay):
        first = ", ".join(order.client_id for order in verdict.orders)
        why = f"it would trade with {first}, which is cancelled first" if first else "it would trade with an own order"
        return Planned(do="wait", slot=target.slot, offer=offer, why=why)
    why = f"funds: it takes {figure(verdict.wanted)} {verdict.currency}, and {figure(verdict.spendable)} are free"
    return Planned(do="wait", slot=target.slot, offer=offer, why=why)


def _offer(engine: Engine, what: Target | Order) -> Offer:
    feed = engine.feeds.by_symbol[what.market]
    bid, ask = feed.book.best_bid(), feed.book.best_ask()
    mid = None if bid is None or ask is None else feed.market.price_float((bid[0] + ask[0]) / 2)
    return Offer(feed.market, what.side, what.ticks, what.lots, mid)
