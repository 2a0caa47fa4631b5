"""Every limit that is set, how much of it is used now, and what is left: what `runner risk` prints.

Use is what the gate counts: the worst case of each side, orders of unknown fate in full.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from msgspec import Struct

from runner.engine.depth import Depth
from runner.engine.guard import Guard
from runner.engine.risk import Gate, Situation
from runner.model.money import MONEY, ZERO, plain, quotient
from runner.model.order import Side
from runner.model.settings import SECOND, Limits


class Use(Struct, frozen=True):
    """One limit: `of` is the currency or market it binds, empty for all; numbers are texts with their unit.

    `used` and `left` are None where they cannot be told now; `left` is empty where a limit has no amount that is left.
    """

    limit: str
    of: str
    most: str
    used: str | None
    left: str | None


def headroom(limits: Limits, at: Situation, guard: Guard) -> tuple[Use, ...]:
    """In the order in which the file's section names them."""
    return tuple(_uses(limits, at, guard))


def _uses(limits: Limits, at: Situation, guard: Guard) -> Iterator[Use]:
    gate = Gate(limits, at)  # it has counted what there is, before anybody asks for more
    yield from _orders(limits)
    yield from _positions(limits, gate)
    if limits.max_open_orders is not None:
        yield _count("max_open_orders", gate.open_orders, limits.max_open_orders)
    yield from _notionals(limits, gate)
    yield from _balances(limits, at)
    for name, rate, used in (
        ("max_order_rate", limits.max_order_rate, guard.pace.placed),
        ("max_cancel_rate", limits.max_cancel_rate, guard.pace.cancelled),
    ):
        if rate is not None:
            counted = used(rate, at.now)
            yield Use(name, "", str(rate), str(counted), str(max(0, rate.times - counted)))
    yield from _picture(limits, at)
    yield from _losses(limits, guard)
    for name, most, count in (
        ("max_consecutive_rejects", limits.max_consecutive_rejects, guard.pace.rejects),
        ("max_consecutive_errors", limits.max_consecutive_errors, guard.pace.errors),
    ):
        if most is not None:
            yield _count(name, count, most)


def _orders(limits: Limits) -> Iterator[Use]:
    """Limits on one order: nothing of them is ever used up."""
    for name in ("max_order_amount", "max_order_notional", "min_order_notional"):
        amounts: Mapping[str, Decimal] = getattr(limits, name)
        for currency, amount in amounts.items():
            yield Use(name, currency, f"{plain(amount)} {currency}", "", "")
    if limits.price_collar is not None:
        reference = "own price" if limits.collar_price is not None else limits.collar_reference
        yield Use("price_collar", "", f"{_percent(limits.price_collar)} of {reference}", "", "")


def _positions(limits: Limits, gate: Gate) -> Iterator[Use]:
    for currency, most in limits.max_position.items():
        worst = gate.highest(currency)
        yield _amount("max_position", currency, worst, most, MONEY.subtract(most, worst))
    for currency in dict.fromkeys((*limits.min_position, *limits.max_position)):
        least = limits.least_position(currency)
        if least is not None:
            worst = gate.lowest(currency)
            yield _amount("min_position", currency, worst, least, MONEY.subtract(worst, least))


def _notionals(limits: Limits, gate: Gate) -> Iterator[Use]:
    for currency, most in limits.max_open_notional.items():
        for side in Side:
            worth, unpriced = gate.open_notional(currency, side)
            if unpriced is not None:
                yield Use("max_open_notional", f"{currency} {side.value}", f"{plain(most)} {currency}", None, None)
            else:
                yield _amount("max_open_notional", currency, worth, most, MONEY.subtract(most, worth), side.value)


def _balances(limits: Limits, at: Situation) -> Iterator[Use]:
    for currency, floor in limits.balance_floor.items():
        spendable = at.funds.spendable(currency)
        yield _amount("balance_floor", currency, spendable, floor, MONEY.subtract(spendable, floor))
    if limits.allocation is not None:
        yield Use("allocation", "", _percent(limits.allocation), "", "")


def _picture(limits: Limits, at: Situation) -> Iterator[Use]:
    for symbol, book in at.books.items():
        if limits.min_spread is not None or limits.max_spread is not None:
            spread = Depth(at.markets[symbol], book, at.orders).spread()
            shown = None if spread is None else _percent(spread)
            for name, limit in (("min_spread", limits.min_spread), ("max_spread", limits.max_spread)):
                if limit is not None:
                    yield Use(name, symbol, _percent(limit), shown, "")
        age = at.now - at.heard_at[symbol] if book.state == "live" else None
        yield _time("max_book_age", symbol, age, limits.max_book_age)
    if limits.max_account_age is not None:
        age = None if at.account_heard_at is None else at.now - at.account_heard_at
        yield _time("max_account_age", "", age, limits.max_account_age)
    yield _time("max_clock_skew", "", abs(at.clock_offset), limits.max_clock_skew)


def _losses(limits: Limits, guard: Guard) -> Iterator[Use]:
    for name, mosts in (("max_daily_loss", limits.max_daily_loss), ("max_drawdown", limits.max_drawdown)):
        for currency, most in mosts.items():
            equity = guard.losses.kept.get(currency)
            if equity is None:
                yield Use(name, currency, f"{plain(most)} {currency}", None, None)
                continue
            high = equity.day_start if name == "max_daily_loss" else equity.peak
            lost = max(ZERO, MONEY.subtract(high, equity.last))
            yield _amount(name, currency, lost, most, MONEY.subtract(most, lost))


# As texts -----------------------------------------------------------------------------------------------------


def _amount(name: str, currency: str, used: Decimal, most: Decimal, left: Decimal, side: str = "") -> Use:
    of = f"{currency} {side}".rstrip()
    return Use(
        name, of, f"{plain(most)} {currency}", f"{plain(used)} {currency}", f"{plain(max(ZERO, left))} {currency}"
    )


def _count(name: str, used: int, most: int) -> Use:
    return Use(name, "", str(most), str(used), str(max(0, most - used)))


def _time(name: str, of: str, used: int | None, most: int) -> Use:
    shown = None if used is None else f"{used / SECOND:.1f} s"
    return Use(name, of, f"{most / SECOND:g} s", shown, "")


def _percent(ratio: Decimal) -> str:
    return f"{plain(quotient(ratio, Decimal('0.0001')).quantize(Decimal(1)).scaleb(-2, MONEY))}%"
