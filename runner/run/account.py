"""Looking at a venue and an account: markets, balances, orders, trades, candles. Nothing here changes anything."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from runner.altmarkets import account, catalogue
from runner.altmarkets.lookup import Listing, Page
from runner.altmarkets.messages import grids
from runner.altmarkets.numbers import Grid
from runner.model.exits import Exit
from runner.model.market import Market
from runner.model.order import OrderRow
from runner.model.settings import SECOND
from runner.model.units import BadQuantity, Duration
from runner.report.account import (
    balances_table,
    candle_facts,
    markets_table,
    orders_table,
    public_trades_table,
    trades_table,
)
from runner.report.tables import Row, Table
from runner.run.counter import Counter
from runner.run.ends import CannotRun

PERIODS = tuple(catalogue.PERIODS)

T = TypeVar("T")

Progress = Callable[[int, int | None], None]
"""Hears how much is done, and of how much if that is known."""


async def markets(counter: Counter) -> Table:
    return markets_table((await counter.markets()).values())


async def balances(counter: Counter, *, zeros: bool) -> Table:
    return balances_table((await counter.asking.all(account.balances())).rows, zeros=zeros)


async def orders(counter: Counter, *, closed: bool, since: str | None, mine: bool, progress: Progress) -> Table:
    """Open orders; with `closed` also those that ended, the ones created since a moment."""
    known = await counter.markets()
    if closed:
        begin = None if since is None else moment(since, counter.clock.now())
        listing = account.orders(grids(known.values()), time_from=begin)
        rows = list((await _all(counter, listing, progress)).rows)
    else:
        rows = await open_orders(counter, known)
    owns = counter.ownership()
    return orders_table((row for row in rows if not mine or (owns and owns(row))), known, owns)


async def open_orders(counter: Counter, known: dict[str, Market]) -> list[OrderRow]:
    """Everything of the account that is not closed. `pending` is asked first: what it becomes meanwhile is `wait`."""
    found: dict[int, OrderRow] = {}
    for state in account.OPEN:
        page = await counter.asking.all(account.orders(grids(known.values()), states=(state,)))
        found |= {row.id: row for row in page.rows}
    return list(found.values())


async def own_trades(counter: Counter, *, market: str | None, since: str | None, progress: Progress) -> Table:
    known = await counter.markets()
    market_id = None if market is None else (await counter.market(market)).id
    begin = None if since is None else moment(since, counter.clock.now())
    page = await _all(counter, account.trades(grids(known.values()), market_id=market_id, time_from=begin), progress)
    return trades_table(page.rows, known)


async def public_trades(counter: Counter, market: str) -> Table:
    """The newest thousand, oldest first: the venue has no way to ask for older ones."""
    found = await counter.market(market)
    page = await counter.asking.ask(catalogue.public_trades(Grid(found)))
    return public_trades_table(reversed(page.rows), found)


async def candles(
    counter: Counter, market: str, period: str, since: str, until: str | None, progress: Progress
) -> list[Row]:
    """Candles, oldest first. Raises CannotRun for times that cannot be read."""
    now = counter.clock.now()
    begin, end = moment(since, now), now // SECOND if until is None else moment(until, now)
    if begin >= end:
        raise CannotRun(Exit.USAGE, f"there is nothing between --since {since} and {until or 'now'}")
    found = await counter.market(market)
    total = catalogue.candle_questions(period, begin, end)
    rows: list[Row] = []
    for done, question in enumerate(catalogue.candles(found.id, period, begin, end), 1):
        for candle in await counter.asking.ask(question):
            prices = (candle.open, candle.high, candle.low, candle.close, candle.volume)
            rows.append(candle_facts(candle.time, prices))
        progress(done, total)
    return rows


def moment(text: str, now: int) -> int:
    """`2h` (ago), `2024-05-01`, `2024-05-01T12:00`, or unix seconds, in seconds since 1970; UTC unless a zone is named.

    `now` is UTC ns. Raises CannotRun.
    """
    if re.fullmatch(r"[0-9]{9,11}", text):
        return int(text)
    try:
        return (now - int(Duration(text))) // SECOND
    except BadQuantity:
        pass
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise CannotRun(
            Exit.USAGE, f"{text!r} is not a time; write 2h or 7d (ago), 2024-05-01, 2024-05-01T12:00, or unix seconds"
        ) from None
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())


async def _all(counter: Counter, listing: Listing[T], progress: Progress) -> Page[T]:
    return await counter.asking.all(listing, lambda count: progress(count, None))
