"""Faults and other people's doings that happen at a moment, to an exchange: a restart, a deposit, a human's order."""

from collections.abc import Callable
from decimal import Decimal

from msgspec.structs import replace

from runner.model.market import Market
from runner.model.money import MONEY
from runner.model.order import Side
from runner.simulation.accounts import InsufficientBalance
from runner.simulation.admission import OrderRefused
from runner.simulation.exchange import Exchange
from runner.simulation.faults import Switch
from runner.simulation.records import Member, Order, OrderState

HOUSE = "house"
"""A member with the means for anything, who acts only here."""

_MEANS = Decimal(10) ** 9


class CannotHappen(Exception):
    """There is nothing that this could happen to. The message says what is missing."""


def happen(exchange: Exchange, chosen: Switch) -> bool:
    """Do it, if it is something that happens to an exchange and not to its wire. Raises CannotHappen."""
    moment = _MOMENTS.get(chosen.name)
    if moment is None:
        return False
    try:
        moment(exchange, chosen)
    except (OrderRefused, InsufficientBalance) as error:
        raise CannotHappen(f"{chosen.name}={chosen.text}: {error}") from error
    return True


def _engine_restart(exchange: Exchange, chosen: Switch) -> None:
    for market in _markets(exchange, chosen.value):
        exchange.restart_engine(market.id)


def _clock_jump(exchange: Exchange, chosen: Switch) -> None:
    exchange.clock_offset += chosen.value


def _deposit(exchange: Exchange, chosen: Switch) -> None:
    amount, currency = chosen.value
    if currency not in exchange.currencies:
        raise CannotHappen(f"there is no currency {currency}")
    exchange.transfer(_member(exchange, chosen).id, currency, amount)


def _fees(exchange: Exchange, chosen: Switch) -> None:
    maker, taker = chosen.value
    for market in exchange.markets:
        exchange.edit_market(replace(market, maker_fee=maker, taker_fee=taker))


def _disable_market(exchange: Exchange, chosen: Switch) -> None:
    (market,) = _markets(exchange, chosen.value)
    exchange.edit_market(replace(market, enabled=False))


def _hide_market(exchange: Exchange, chosen: Switch) -> None:
    exchange.hidden |= {market.id for market in _markets(exchange, chosen.value)}


def _more_markets(exchange: Exchange, chosen: Switch) -> None:
    pattern = exchange.markets[0]
    first = len(exchange.markets) + 1
    for number in range(first, first + chosen.value):
        base = f"X{number:04d}"
        exchange.list_market(replace(pattern, id=f"{base}{pattern.quote}".lower(), base=base))
        for member in {key.member for key in exchange.keys.values()}:
            exchange.transfer(member, base, Decimal(1))


def _human_order(exchange: Exchange, chosen: Switch) -> None:
    wanted = chosen.value
    (market,) = _markets(exchange, wanted.market)
    exchange.create(_member(exchange, chosen).id, market, wanted.side, wanted.volume, wanted.price)


def _human_cancel(exchange: Exchange, chosen: Switch) -> None:
    for order in _open(exchange, _member(exchange, chosen).id):
        exchange.cancel(order)


def _self_trade(exchange: Exchange, chosen: Switch) -> None:
    """A sell one tick above the best bid, and a buy of all that stands at its price, so of itself as well."""
    (market,) = _markets(exchange, chosen.value)
    member, book = _member(exchange, chosen).id, exchange.book(market.id)
    best = book.best(Side.BUY)
    if best is None:
        raise CannotHappen(f"nobody buys {market.base}")
    price, smallest = market.price(best + 1), market.quantity_min
    exchange.create(member, market, Side.SELL, smallest, price, at_once=True)
    (there,) = (lots for ticks, lots in book.levels(Side.SELL, 1) if ticks == best + 1)
    exchange.create(member, market, Side.BUY, market.quantity(there), price, at_once=True)


def _two_trades(exchange: Exchange, chosen: Switch) -> None:
    for order in reversed(_open(exchange, _member(exchange, chosen).id)):
        market, half = order.market, order.left // 2
        ahead = exchange.book(market.id).ahead(order.id, order.side, order.ticks or 0)
        if ahead is None or half < market.lots(market.quantity_min):
            continue
        house = _house(exchange, market)
        for lots in (ahead + half, half):
            price = market.price(order.ticks or 0)
            exchange.create(house.id, market, order.side.opposite, market.quantity(lots), price, at_once=True)
        return
    raise CannotHappen("the account has no open order that is large enough")


_MOMENTS: dict[str, Callable[[Exchange, Switch], None]] = {
    "engine_restart": _engine_restart,
    "clock_jump": _clock_jump,
    "deposit": _deposit,
    "fees": _fees,
    "disable_market": _disable_market,
    "hide_market": _hide_market,
    "more_markets": _more_markets,
    "human_order": _human_order,
    "human_cancel": _human_cancel,
    "self_trade": _self_trade,
    "two_trades": _two_trades,
}


def _markets(exchange: Exchange, name: str) -> list[Market]:
    """The market with this id or symbol; all of them for `all`."""
    chosen = [market for market in exchange.markets if name in {"all", market.id, market.symbol}]
    if not chosen:
        raise CannotHappen(f"there is no market {name}")
    return chosen


def _member(exchange: Exchange, chosen: Switch) -> Member:
    for member in exchange.members.values():
        if member.name == chosen.account:
            return member
    raise CannotHappen(f"there is no account {chosen.account}")


def _open(exchange: Exchange, member: int) -> list[Order]:
    """Resting orders of a keyholder, oldest first."""
    orders = exchange.database.orders_of(member)
    return [order for order in orders if order.state is OrderState.WAIT and order.ticks is not None]


def _house(exchange: Exchange, market: Market) -> Member:
    known = [member for member in exchange.members.values() if member.name == HOUSE]
    house = known[0] if known else exchange.admit(HOUSE)
    for currency in (market.base, market.quote):
        missing = MONEY.subtract(_MEANS, exchange.accounts.account(house.id, currency).available)
        exchange.deposit(house.id, currency, max(missing, Decimal(0)))
    return house
