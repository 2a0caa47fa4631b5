"""Why an order was placed and what became of it: the chain from the book to the fills, from journal rows."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Protocol

from msgspec import Struct

from runner.model.command import APPROVED
from runner.model.order import Fill, Order, OrderState

Grids = Mapping[str, tuple[int, int]]
"""Price and quantity decimals by symbol."""


class _Dated(Protocol):
    @property
    def run(self) -> str | None: ...
    @property
    def event(self) -> int: ...
    @property
    def time(self) -> int: ...


class Step(_Dated, Protocol):
    """One change of an order in the journal."""

    @property
    def state(self) -> OrderState: ...
    @property
    def filled_lots(self) -> int: ...
    @property
    def reason(self) -> str: ...


class Noted(_Dated, Protocol):
    """One note about an order in the journal."""

    @property
    def what(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


class Line(Struct, frozen=True):
    """`time` is UTC ns; `event` is the number of the event in the run `run`."""

    time: int
    run: str | None
    event: int
    what: str

    def text(self) -> str:
        moment = datetime.fromtimestamp(self.time // 1_000_000_000, UTC)
        return f"{moment:%Y-%m-%d %H:%M:%S}.{self.time // 1_000_000 % 1000:03d}  {self.what}"


_MEANING = {
    OrderState.INTENDED: "written down, not sent yet",
    OrderState.SENT: "signed and sent",
    OrderState.ACCEPTED: "the exchange has recorded it (pending)",
    OrderState.OPEN: "in the book",
    OrderState.UNKNOWN: "no clear answer: it may exist, and counts in full until it is found or proven absent",
    OrderState.CANCELLING: "a cancel was sent",
    OrderState.FILLED: "all of it has traded",
    OrderState.CANCELLED: "it is out of the book",
    OrderState.REJECTED: "refused, it never existed",
    OrderState.ABSENT: "proven absent: the exchange had ceased to be able to create it",
}


def explained(
    order: Order,
    steps: Iterable[Step],
    decision: Mapping[str, Any] | None,
    notes: Iterable[Noted],
    fills: Iterable[Fill],
    grids: Grids,
) -> tuple[Line, ...]:
    """Everything known of one order, oldest first."""
    steps, notes = tuple(steps), tuple(notes)
    lines = [*_beginning(order, steps, decision, notes, grids)]
    lines += [Line(fill.time, None, 0, _filled(fill, grids)) for fill in fills]
    before = OrderState.INTENDED
    for step in steps:
        if step.state is not before:
            lines.append(Line(step.time, step.run, step.event, _stepped(order, step, grids)))
        before = step.state
    lines += [Line(note.time, note.run, note.event, _noted(note)) for note in notes if note.what not in _TOLD_ELSEWHERE]
    return tuple(sorted(lines, key=lambda line: line.time))


_TOLD_ELSEWHERE = frozenset(
    {"fill.booked", "tier.proven", "order.adopted", "order.unknown", *(f"order.{state.value}" for state in OrderState)}
)

_ADOPTED = {
    "late": "taken over: it was believed not to exist, and the exchange has it",
    "older_epoch": "taken over from an earlier journal of this strategy",
    "stale_journal": "taken over: this journal is an older copy that does not know it",
}


def _beginning(
    order: Order, steps: tuple[Step, ...], decision: Mapping[str, Any] | None, notes: tuple[Noted, ...], grids: Grids
) -> Iterator[Line]:
    """What it is, why it was wanted, and what was seen then."""
    run = steps[0].run if steps else None
    price = "at the market" if order.ticks is None else f"at {_price(order.market, order.ticks, grids)}"
    what = f"{order.side.value} {_quantity(order.market, order.lots, grids)} {order.market} {price}, slot {order.slot}"
    names = order.client_id + (f", at the exchange {_ids(order)}" if order.venue_ids else "")
    yield Line(order.created, run, order.event, f"{what}: {names}")
    adopted = [note for note in notes if note.what == "order.adopted"]
    for note in adopted:
        why = str(note.facts.get("why"))
        yield Line(note.time, note.run, note.event, _ADOPTED.get(why, f"taken over: {why}"))
    if not adopted:
        yield Line(order.created, run, order.event, f"wanted because {steps[0].reason if steps else order.reason}")
    if decision is not None:
        market = decision.get("market") or order.market  # the file's first, whichever the order is in
        bid, ask = (_touch(market, decision.get(side), grids) for side in ("bid_ticks", "ask_ticks"))
        position = f"{Decimal(decision.get('position', '0')).normalize():f} {market.split('-')[0]}"
        yield Line(order.created, run, order.event, f"saw {market} at bid {bid}, ask {ask}, position {position}")
        compared = decision.get(APPROVED + order.slot)
        if compared is not None:
            yield Line(order.created, run, order.event, f"approved with {compared}")


def _stepped(order: Order, step: Step, grids: Grids) -> str:
    done = step.state.terminal or step.state is OrderState.UNKNOWN
    why = f" ({step.reason})" if done and step.reason else ""
    filled = f", {_quantity(order.market, step.filled_lots, grids)} filled" if step.filled_lots else ""
    return f"{step.state.value}: {_MEANING[step.state]}{why}{filled}"


def _filled(fill: Fill, grids: Grids) -> str:
    quantity, price = _quantity(fill.market, fill.lots, grids), _price(fill.market, fill.ticks, grids)
    fee = f"{fill.fee:f} {fill.fee_currency}" + ("" if fill.fee_final else " (provisional)")
    return f"fill {fill.trade_id}: {quantity} at {price} as {fill.role.value}, fee {fee}"


def _noted(note: Noted) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in note.facts.items())
    return f"{note.what}: {facts}" if facts else note.what


def _ids(order: Order) -> str:
    return " and ".join(map(str, order.venue_ids))


def _touch(symbol: str, ticks: int | None, grids: Grids) -> str:
    return "none" if ticks is None else _price(symbol, ticks, grids)


def _price(symbol: str, ticks: int, grids: Grids) -> str:
    return f"{Decimal(ticks).scaleb(-grids[symbol][0]):f}" if symbol in grids else f"{ticks} ticks"


def _quantity(symbol: str, lots: int, grids: Grids) -> str:
    return f"{(Decimal(lots).scaleb(-grids[symbol][1])).normalize():f}" if symbol in grids else f"{lots} lots"
