"""What must hold between a journal and the exchange's own rows, whatever has gone wrong on the way."""

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from runner.edge.journal import Journal
from runner.model.ids import ClientId, parse_client_id
from runner.model.market import Market
from runner.model.money import MONEY
from runner.model.order import Fill, Side
from runner.model.order import OrderState as Ours
from runner.simulation.exchange import Exchange
from runner.simulation.records import Order, Trade
from runner.simulation.records import OrderState as Theirs

_NOT_BY_TRADING = {Theirs.CANCEL, Theirs.REJECT}


class Truth:
    """The exchange itself, asked without a wire. Made before the runner begins: what is there then is not ours."""

    def __init__(self, exchange: Exchange, member: int) -> None:
        self.exchange = exchange
        self.member = member
        self.opening = self.totals()
        self.foreign = [order.id for key in exchange.keys.values() for order in exchange.database.orders_of(key.member)]

    def totals(self) -> dict[str, Decimal]:
        """Available and locked together, by currency."""
        accounts = self.exchange.accounts
        return {
            currency: MONEY.add(account.available, account.locked)
            for currency in self.exchange.currencies
            for account in (accounts.account(self.member, currency),)
        }

    def ours(self) -> dict[int, tuple[ClientId, Order]]:
        """Every order under a name of ours, by id."""
        found = {}
        for order in self.exchange.database.orders_of(self.member):
            name = parse_client_id(order.client_id or "")
            if name is not None:
                found[order.id] = (name, order)
        return found

    def fills(self, taken: Collection[int]) -> set[tuple[int, int]]:
        """Trade and order id of each fill of an order of ours, or that we have `taken` for one."""
        ours = self.ours()
        return {(trade.id, order.id) for trade, order in self._sides() if order.id in ours or order.id in taken}

    def of_humans(self) -> dict[int, Order]:
        """Every other order of the account, by id."""
        ours = self.ours()
        return {order.id: order for order in self.exchange.database.orders_of(self.member) if order.id not in ours}

    def foreign_flows(self, taken: Collection[int]) -> Iterator[tuple[str, Decimal]]:
        """Currency and amount of all that moved the account without us: deposits, and orders of its human that are not
        among those we have `taken` for ours.
        """
        for transfer in self.exchange.transfers:
            if transfer.member == self.member:
                yield transfer.currency, transfer.amount
        ours = self.ours()
        for trade, order in self._sides():
            if order.id not in ours and order.id not in taken:
                _, fee, currency = trade.fee(order)
                yield from flows(trade.market, order.side, trade.ticks, trade.lots, fee, currency)

    def _sides(self) -> Iterator[tuple[Trade, Order]]:
        """Every trade with an order of the account, once for each of its sides that is one."""
        for trade in self.exchange.database.trades_of(self.member):
            for order in (trade.maker, trade.taker):
                if order.member == self.member:
                    yield trade, order


def broken(
    truth: Truth, journal_file: Path, sent: Mapping[str, int], *, quiet: bool, exclusive: bool = False
) -> list[str]:
    """Every law that does not hold, in words. `sent`: how often a create left, by client order id.

    `quiet`: the runner says that nothing of ours is left, so the books have to balance as well. `exclusive`: the
    account was declared to be ours alone, so an order without a name that is like one of ours may be taken for it.
    """
    with Journal.read_only(journal_file) as journal:
        orders = {order.client_id: order for order in journal.orders()}
        fills = journal.fills()
    known = {id_ for order in orders.values() for id_ in order.venue_ids}
    wrong = [f"{name} was sent {count} times" for name, count in sent.items() if count != 1]
    wrong += [f"{name} left without an intent in the journal" for name in sent if name not in orders]
    taken = known & truth.of_humans().keys()
    wrong += list(_taken(truth, taken, exclusive=exclusive))
    wrong += list(_copies(truth, sent))
    wrong += list(_two_in_a_slot(truth))
    for id_, (name, order) in truth.ours().items():
        if str(name) not in orders:
            wrong.append(f"order {id_} {name} is not in the journal")
        elif orders[str(name)].state is Ours.ABSENT:
            wrong.append(f"order {id_} {name} is there ({order.state}), and the journal has proven it absent")
        if quiet and id_ not in known:
            wrong.append(f"order {id_} {name} is in the journal, but not this copy of it")
        if quiet and not order.state.terminal:
            wrong.append(f"order {id_} {name} is {order.state} after exit 0")
    for id_ in truth.foreign:
        now = truth.exchange.database.order(id_)
        if now is None or now.state in _NOT_BY_TRADING:
            wrong.append(f"order {id_} of somebody else was touched: {now and now.state}")
    if quiet:
        wrong += [f"{name} is {order.state} after exit 0" for name, order in orders.items() if not order.state.terminal]
        wrong += list(_fills_apart(truth, fills, taken))
        wrong += list(_balances_apart(truth, fills, taken))
    return wrong


def _taken(truth: Truth, taken: Collection[int], *, exclusive: bool) -> Iterator[str]:
    """No human's order is taken for ours, nor cancelled, unless it looks like one where there should be no human."""
    ours = [order for _, order in truth.ours().values()]
    for id_, theirs in truth.of_humans().items():
        like = (theirs.market, theirs.side, theirs.ticks, theirs.lots)
        twin = any((order.market, order.side, order.ticks, order.lots) == like for order in ours)
        if id_ in taken and not (exclusive and twin):
            yield f"order {id_} of a human is taken for ours"
        elif id_ not in taken and theirs.state is Theirs.CANCEL:
            yield f"order {id_} of a human was cancelled"


def revived(truth: Truth) -> list[str]:
    """After a day without the runner: nothing of ours is alive."""
    alive = ((id_, name, order) for id_, (name, order) in truth.ours().items() if not order.state.terminal)
    return [f"order {id_} {name} is {order.state} a day after exit 0" for id_, name, order in alive]


def _copies(truth: Truth, sent: Mapping[str, int]) -> Iterator[str]:
    """A name is twice at the exchange only if the proxy made two requests of one of ours."""
    copies: dict[str, int] = {}
    for name, _ in truth.ours().values():
        copies[str(name)] = copies.get(str(name), 0) + 1
    for text, count in copies.items():
        if sent.get(text, 0) == 0:
            yield f"{text} is at the exchange and was never sent"
        if count > 2 * sent.get(text, 0):
            yield f"{text} is {count} times at the exchange"


def _two_in_a_slot(truth: Truth) -> Iterator[str]:
    """Two names of one slot are never alive together.

    A name that a proxy made two orders of is left out: the second may turn up when the first has long been replaced.
    """
    names: dict[str, list[tuple[str, Order]]] = {}
    for name, order in truth.ours().values():
        names.setdefault(str(name), []).append((name.slot, order))
    slots: dict[str, list[tuple[str, Order]]] = {}
    for text, [(slot, order), *copies] in names.items():
        if not copies:
            slots.setdefault(slot, []).append((text, order))
    for lives in slots.values():
        for (name, before), (other, after) in pairwise(lives):  # by id, which is the order of creation
            if not before.state.terminal or before.updated > after.created:
                yield f"orders {before.id} {name} and {after.id} {other} were alive together"


def _fills_apart(truth: Truth, fills: tuple[Fill, ...], taken: Collection[int]) -> Iterator[str]:
    keys = [fill.key for fill in fills]
    if len(keys) != len(set(keys)):
        yield "a fill is in the journal twice"
    theirs = truth.fills(taken)
    for key in sorted(theirs ^ set(keys)):
        yield f"fill {key} is only {'at the exchange' if key in theirs else 'in the journal'}"


def _balances_apart(truth: Truth, fills: tuple[Fill, ...], taken: Collection[int]) -> Iterator[str]:
    """What was there, moved by our fills and by deposits, is what is there, to the last digit."""
    markets = {market.symbol: market for market in truth.exchange.markets}
    moved = list(truth.foreign_flows(taken))
    for fill in fills:
        moved += flows(markets[fill.market], fill.side, fill.ticks, fill.lots, fill.fee, fill.fee_currency)
    expected = dict(truth.opening)
    for currency, amount in moved:
        expected[currency] = MONEY.add(expected[currency], amount)
    for currency, there in truth.totals().items():
        if there != expected[currency]:
            yield f"{currency}: {there} at the exchange, {expected[currency]} by the journal"


def flows(
    market: Market, side: Side, ticks: int, lots: int, fee: Decimal, fee_currency: str
) -> Iterator[tuple[str, Decimal]]:
    """What one fill moves, currency by currency."""
    sign = Decimal(1 if side is Side.BUY else -1)
    yield market.base, MONEY.multiply(sign, market.quantity(lots))
    yield market.quote, MONEY.multiply(-sign, market.notional(ticks, lots))
    yield fee_currency, -fee
