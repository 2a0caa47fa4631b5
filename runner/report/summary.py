"""How a run ended: one object for programs, the same in a few lines for people."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from textwrap import wrap
from typing import Any

from msgspec import structs

from runner.model.money import plain
from runner.report.figures import amounts, many
from runner.report.status import Status

Summary = dict[str, Any]
"""What `runner run --json` prints.

`run` and `stopped_by` are text, and so is `model`, which only a paper account has: what it assumes. `ticks`, `fills`
and `open_orders_left` (orders that exist or may exist) are whole numbers;
`orders` maps what became of them to how many; `volume`, `fees`, `position` and both profits map a currency to decimal
text, exact.
"""

_TROUBLE = ("rejected", "refused", "absent", "unknown")


def summary(status: Status, stopped_by: str) -> Summary:
    """The last status of a run as an object that turns into JSON. `stopped_by`: see `StopRequested`."""
    return {
        "run": status.run,
        **({"model": status.model} if status.model else {}),
        "stopped_by": stopped_by,
        "ticks": status.ticks,
        "orders": structs.asdict(status.counts),
        "fills": status.fills,
        "volume": _texts(status.volume),
        "fees": _texts(status.fees),
        "position": _texts(status.position),
        "profit": {"realised": _texts(status.realised), "unrealised": _texts(status.unrealised)},
        "open_orders_left": len(status.orders),
    }


def text(summary: Summary) -> str:
    """The summary for people: lines of at most 80 characters unless amounts are very long, without the last newline."""
    rows = [
        *_model(summary),
        ("run", f"{summary['run']}, stopped by {summary['stopped_by']} after {many(summary['ticks'], 'tick')}"),
        ("orders", _orders(summary["orders"])),
        ("fills", str(summary["fills"])),
        ("volume", amounts(_decimals(summary["volume"]))),
        ("fees", amounts(_decimals(summary["fees"]))),
        ("position", amounts(_decimals(summary["position"]))),
        ("profit", _profit(summary["profit"])),
        ("left open", many(summary["open_orders_left"], "order") if summary["open_orders_left"] else "nothing"),
    ]
    return "\n".join(f"{label:<10} {value}" for label, value in rows)


def _model(summary: Summary) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(wrap(summary.get("model", ""), 69)):
        yield ("" if number else "model"), line


def _orders(counts: Mapping[str, int]) -> str:
    """Trouble is told only where there was any."""
    usual = [f"{number} {what}" for what, number in counts.items() if what not in _TROUBLE]
    return ", ".join(usual + [f"{counts[what]} {what}" for what in _TROUBLE if counts[what]])


def _profit(profit: Mapping[str, Mapping[str, str]]) -> str:
    realised, unrealised = (amounts(_decimals(profit[kind]), signed=True) for kind in ("realised", "unrealised"))
    return f"realised {realised}; unrealised {unrealised}"


def _texts(by_currency: Mapping[str, Decimal]) -> dict[str, str]:
    return {currency: plain(amount) for currency, amount in by_currency.items()}


def _decimals(by_currency: Mapping[str, str]) -> dict[str, Decimal]:
    return {currency: Decimal(amount) for currency, amount in by_currency.items()}
