"""What an endpoint is asked and what it answers, with the two kinds of paging. Source: wire reference 4.1, 7.1."""

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct

from runner.altmarkets.server.formats import seconds
from runner.altmarkets.server.parameters import Parameters
from runner.model.market import Market
from runner.simulation.exchange import Exchange

T = TypeVar("T")

TEXT = {"Content-Type": "text/plain; charset=utf-8"}


class Profile(Struct, frozen=True):
    """What differs between deployments. The zone is that of REST times, in minutes east of Greenwich.

    By default Peatio 2.4 with the two fees of 2.5, which is taken to be what Altmarkets ran. Source: wire reference
    10.1, 11.
    """

    version: str = "2.4.20-sandbox"
    zone: int = 0
    order_fees: bool = True  # `maker_fee` and `taker_fee` in REST orders
    received_amount: bool = False  # in own trades
    many_markets: bool = False  # orders can be asked for of several markets at once
    hidden_markets: bool = False  # are listed and open to the API (3.2)
    trades_by_type: bool = True  # own trades can be filtered by side
    client_id_on_stream: bool = False


PROFILES = {
    "altmarkets": Profile(),
    "2.4": Profile(order_fees=False, trades_by_type=False),
    "2.5": Profile(version="2.5.20-sandbox", received_amount=True, many_markets=True, hidden_markets=True),
}
"""Kinds of deployments by name."""


class Ask(Struct, frozen=True):
    """One request, read. `name` is the variable part of the path, `member` is 0 where nobody had to sign."""

    exchange: Exchange
    profile: Profile
    read: Parameters
    name: str
    member: int

    def check(self) -> None:
        """Raises Refused with every rule that the parameters broke."""
        if self.read.errors:
            raise Refused(422, *self.read.errors)


class Answer(Struct, frozen=True):
    """`data` becomes JSON, or is sent as it is where the headers say that it is text."""

    data: Any
    status: int = 200
    headers: dict[str, str] = {}


class Refused(Exception):
    """A request that is not granted: a status and the venue's codes."""

    def __init__(self, status: int, *codes: str) -> None:
        super().__init__(status, codes)
        self.status = status
        self.codes = codes


def paging(read: Parameters) -> tuple[int, int]:
    """Limit and page of the general lists. They cut at 100 rows unless asked otherwise."""
    code = "admin.pagination"
    return read.integer("limit", 100, 1, 1000, code=code), read.page(code=code)


def cut(rows: Sequence[T], limit: int, page: int) -> Sequence[T]:
    return rows[(page - 1) * limit : page * limit]


def listed(rows: Sequence[Any], limit: int, page: int) -> Answer:
    """One page of a general list, which says how many rows there are."""
    return Answer(cut(rows, limit, page), 200, {"Total": str(len(rows)), **_page_headers(limit, page)})


def paged(rows: Sequence[Any], limit: int, page: int) -> Answer:
    """One page of orders or trades, already cut: only a short page tells that it is the last."""
    return Answer(rows, 200, _page_headers(limit, page))


def created_within(created: int, time_from: int | None, time_to: int | None) -> bool:
    """Whether a time (ns) lies in [from, to), both in whole seconds."""
    at = seconds(created)
    return (time_from is None or at >= time_from) and (time_to is None or at < time_to)


def is_open(ask: Ask, market: Market) -> bool:
    """Whether the API lists a market and trades in it."""
    return market.enabled and (ask.profile.hidden_markets or market.id not in ask.exchange.hidden)


def known_market(ask: Ask, code: str) -> Market | None:
    """The market of a filter, None without one. An unknown or disabled one adds the code (wire reference 5.2)."""
    market_id = ask.read.text("market")
    market = None if market_id is None else ask.exchange.market(market_id)
    if market_id is not None and (market is None or not is_open(ask, market)):
        ask.read.errors.append(code)
    return market


def _page_headers(limit: int, page: int) -> dict[str, str]:
    return {"Per-Page": str(limit), "Page": str(page)}
