"""Cancelling by hand: ask, then look until every order is closed. A cancel that was accepted is not yet a cancel.

Source: wire reference 4.6, 4.7, 5.2; orders.md rules 3 and 12.
"""

from collections.abc import Sequence

import anyio
from msgspec import Struct

from runner.altmarkets import account
from runner.altmarkets.errors import FixRequest
from runner.altmarkets.messages import Grids, grids
from runner.model.exits import Exit
from runner.model.market import Market
from runner.model.order import OrderRow
from runner.model.settings import SECOND
from runner.report.account import orders_table
from runner.report.tables import Table
from runner.run.account import open_orders
from runner.run.counter import Counter
from runner.run.ends import CannotRun

LOOK_AGAIN_S = 0.5
ASK_AGAIN_NS = 5 * SECOND
PATIENCE_S = 30.0


class Chosen(Struct, frozen=True):
    """What is to be cancelled, as it was when it was looked at."""

    rows: tuple[OrderRow, ...]
    markets: dict[str, Market]
    table: Table


class Cancelled(Struct, frozen=True):
    """`table`: the orders as they ended, or stand. `exit_code` is 7 if one of them is still open."""

    table: Table
    closed: int
    left: int
    exit_code: int


async def choose(counter: Counter, ids: Sequence[int], *, mine: bool, all_account: bool) -> Chosen:
    """The orders that are meant. Raises CannotRun for one that is not this strategy's, unless `all_account`."""
    markets = await counter.markets()
    owns = counter.ownership()
    if ids:
        rows = [await _order(counter, order_id, grids(markets.values())) for order_id in ids]
        strangers = [row.id for row in rows if not (owns and owns(row))]
        if strangers and not all_account:
            whose = f"strategy {counter.target.name}" if owns else "a strategy that is named here: give its FILE"
            raise CannotRun(
                Exit.USAGE,
                f"order {', '.join(map(str, strangers))} was not placed by {whose}; to cancel it all the same, "
                "add --all-account",
            )
    else:
        rows = await open_orders(counter, markets)
        if mine:
            if owns is None:
                raise CannotRun(Exit.USAGE, "--mine needs the strategy FILE: it says whose orders are meant")
            rows = [row for row in rows if owns(row)]
    return Chosen(tuple(rows), markets, orders_table(rows, markets, owns))


async def cancel(counter: Counter, chosen: Chosen, *, everything: bool = False) -> Cancelled:
    """Cancel and see it through, for half a minute at most. `everything`: one request for the whole account first."""
    known = grids(chosen.markets.values())
    latest = {row.id: row for row in chosen.rows}
    asked_at: dict[int, int] = {}
    if everything and any(row.state == "wait" for row in chosen.rows):
        now = counter.clock.now()
        asked_at = {row.id: now for row in await counter.asking.ask(account.cancel_all(known))}
    with anyio.move_on_after(PATIENCE_S):
        while True:
            await _ask_again(counter, latest, asked_at, known)
            await _look(counter, latest, known)
            if all(row.terminal for row in latest.values()):
                break
            await anyio.sleep(LOOK_AGAIN_S)
    left = sum(not row.terminal for row in latest.values())
    table = orders_table(latest.values(), chosen.markets, counter.ownership())
    return Cancelled(table, len(latest) - left, left, Exit.UNPROVEN if left else 0)


async def _ask_again(counter: Counter, latest: dict[int, OrderRow], asked_at: dict[int, int], known: Grids) -> None:
    """A cancel can be lost, and one for a `pending` order is: so only `wait`, and again after a while."""
    for row in list(latest.values()):
        now = counter.clock.now()
        if row.state == "wait" and now - asked_at.get(row.id, -ASK_AGAIN_NS) >= ASK_AGAIN_NS:
            asked_at[row.id] = now
            answer = await counter.asking.ask(account.cancel(row.id, known))
            latest[answer.id] = answer


async def _look(counter: Counter, latest: dict[int, OrderRow], known: Grids) -> None:
    """One listing for many orders; what is gone from it is asked for by id, and that alone is believed."""
    open_ids = {row.id: row for row in latest.values() if not row.terminal}
    if len(open_ids) > 1:
        listed = {row.id: row for row in await open_orders(counter, {m.symbol: m for m in _markets(known)})}
        latest |= {order_id: listed[order_id] for order_id in open_ids if order_id in listed}
        open_ids = {order_id: row for order_id, row in open_ids.items() if order_id not in listed}
    for order_id in open_ids:
        latest[order_id] = await _order(counter, order_id, known)


def _markets(known: Grids) -> list[Market]:
    return [grid.market for grid in known.values()]


async def _order(counter: Counter, order_id: int, known: Grids) -> OrderRow:
    try:
        return await counter.asking.ask(account.order(order_id, known))
    except FixRequest as error:
        if error.status == 404:
            raise CannotRun(Exit.USAGE, f"the account has no order {order_id}") from error
        raise
