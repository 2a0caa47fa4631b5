"""Markets and balances: traps 8 to 10 of the wire reference's section 9."""

import json
from decimal import Decimal
from typing import Any

import pytest
import trio
from altmarkets.venue_client import Client, roger
from edge.edge_peers import pipe_server
from quiet import ROGER, Quiet, buy
from trio.testing import MockClock

from runner.altmarkets.messages import grids
from runner.altmarkets.rest import Response, interpret, read_markets, request_for
from runner.altmarkets.server import Server
from runner.edge.budget import Bucket
from runner.edge.clock import Clock
from runner.edge.rest import Rest
from runner.edge.sandbox import Doors
from runner.engine.funds import Funds
from runner.engine.watch import Watch
from runner.model.command import Place, ReadBalances
from runner.model.event import BalancesRead
from runner.model.market import Market
from runner.model.order import BalanceRow, OrderState, Side
from runner.model.settings import SECOND
from runner.run.venue import Knowledge, learn
from runner.simulation.exchange import Exchange

START = 1_700_000_000 * 10**9


def learnt(markets: tuple[Market, ...]) -> Knowledge:
    """What a run learns of a venue that lists these markets."""
    found: list[Knowledge] = []

    async def main() -> None:
        clock = Clock(START)
        doors = Doors(Server(Exchange(markets, seed="many", now=START)), clock)
        async with (
            pipe_server(doors.welcome) as connect,
            Rest("http://venue.test/api/v2/peatio", None, clock, connect=connect) as rest,
        ):
            found.append(await learn(rest, clock, Bucket()))

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return found[0]


@pytest.mark.parametrize("count", [150, 1_001], ids=["more than a default page", "more than the largest page"])
def test_trap_08_markets_behind_the_first_page_are_known(count: int) -> None:
    """Markets were read with the default page of 100, and those behind it were deleted."""
    markets = tuple(roger(id=f"coin{number}btc", base=f"COIN{number}") for number in range(count))
    assert {market.symbol for market in learnt(markets).markets} == {market.symbol for market in markets}


def balances_of(currencies: int) -> tuple[Funds, Any]:
    """Funds after a read of an account that holds so many currencies, and what the answer meant."""
    client = Client(markets=(roger(),))
    for number in range(currencies - 2):
        client.exchange.deposit(client.me, f"COIN{number:04}", Decimal(7))
    funds, watch = Funds(), Watch(30 * SECOND, 0, lambda _since, _until: frozenset())
    for number in range(currencies - 2):  # told by the stream before
        funds.news(BalanceRow(f"COIN{number:04}", Decimal(7), Decimal(0)))
    watch.up(("order", "trade", "balance"), 0)
    told: list[Any] = []
    while asked := [each for each in watch.requests(0, (), 9) if isinstance(each, ReadBalances)]:
        request = request_for(asked[0], {})
        reply = client.request("GET", request.path + "?" + "&".join(f"{k}={v}" for k, v in request.query))
        answer = Response(reply.status, {k.lower(): v for k, v in reply.headers.items()}, reply.body)
        for what in interpret(asked[0], answer, grids([ROGER])):
            told.append(what)
            everything = watch.balances_read(what, 0) if isinstance(what, BalancesRead) else None
            if everything is not None:
                funds.read(everything.rows, everything.asked_at)
    return funds, told


def test_trap_08_currencies_behind_the_first_page_are_kept() -> None:
    """Balances were read with the default page of 100, and those behind it were deleted."""
    funds, _ = balances_of(150)
    assert len(funds.balances()) == 150
    assert funds.spendable("COIN0147") == 7


def test_trap_08_currencies_behind_the_largest_page_are_kept() -> None:
    """See above; the largest page there is holds a thousand."""
    funds, _ = balances_of(1_050)
    assert {funds.spendable(f"COIN{number:04}") for number in range(1_048)} == {Decimal(7)}


def test_trap_09_a_market_is_named_by_its_units_and_its_id_is_never_taken_apart() -> None:
    """Names came from a regular expression over the id; a quote that it did not know crashed the caller."""
    named = [
        ("usdcro", "usd", "cro", "USD-CRO"),
        ("usdcrox", "us", "dcrox", "US-DCROX"),
        ("btcbtc2", "btc", "btc2", "BTC-BTC2"),
        ("xyzeur", "xyz", "eur", "XYZ-EUR"),
        ("a.bc-d", "a.b", "c-d", "A.B-C-D"),
        ("market7", "ltc", "roger", "LTC-ROGER"),
    ]
    numbers = {"price_precision": 4, "amount_precision": 2, "min_price": "0.0001", "min_amount": "0.01"}
    rows = [{"id": id_, "base_unit": base, "quote_unit": quote, **numbers} for id_, base, quote, _ in named]
    found, _ = read_markets(Response(200, {}, json.dumps(rows).encode()), ())
    assert [(market.id, market.symbol) for market in found] == [(id_, symbol) for id_, _, _, symbol in named]
    known = {market.symbol: market for market in found}
    for market in found:
        body = json.loads(request_for(place(market.symbol), known).body or b"")
        assert body["market"] == market.id


def place(symbol: str) -> Place:
    return Place("RQUIETA00000-BID-0", symbol, Side.BUY, 100, 100, 0)


def test_trap_10_there_is_no_minimum_notional() -> None:
    """One was invented: min(min_price * min_amount, 1e-8). The venue has none."""
    tiny = Market(
        id="rogerbtc",
        base="ROGER",
        quote="BTC",
        price_precision=8,
        amount_precision=2,
        price_min=Decimal("0.00000001"),
        quantity_min=Decimal("0.01"),
    )
    each = Quiet(buy(0.01, 1), market=tiny)
    each.until(lambda: each.has_order() and each.order().state is OrderState.OPEN)
    (row,) = each.venue_orders().values()
    assert Decimal(row["price"]) * Decimal(row["origin_volume"]) == Decimal("1e-10")


def test_trap_10_the_highest_price_of_a_market_binds_and_zero_stands_for_none() -> None:
    """`max_price` was not looked at."""
    wire = {"id": "rogerbtc", "base_unit": "roger", "quote_unit": "btc", "price_precision": 8, "amount_precision": 2}
    wire |= {"min_price": "0.00000001", "min_amount": "1.0", "max_price": "0.000002"}
    (market,), _ = read_markets(Response(200, {}, json.dumps([wire]).encode()), ())
    (boundless,), _ = read_markets(Response(200, {}, json.dumps([{**wire, "max_price": "0.0"}]).encode()), ())
    assert (market.price_max, boundless.price_max) == (Decimal("0.000002"), None)
    each = Quiet(buy(100, 201), buy(100, 200, slot="bid-2"), market=market)
    each.until(lambda: each.has_order("bid-2") and each.order("bid-2").state is OrderState.OPEN)
    assert not each.has_order("bid")
    (refusal,) = each.said("order.refused")
    assert refusal.facts["code"] == "price_max"
    each = Quiet(buy(100, 201), market=boundless)
    each.until(lambda: each.has_order())
