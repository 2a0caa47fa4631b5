"""Every question, asked of the real server side, and of one that says anything at all."""

import contextlib
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from venue_client import START, Client, roger

from runner.altmarkets import account, catalogue
from runner.altmarkets.errors import problem
from runner.altmarkets.lookup import Listing, Question
from runner.altmarkets.messages import grids
from runner.altmarkets.numbers import Grid, Unreadable
from runner.altmarkets.rest import Response
from runner.model.order import Side
from runner.simulation.exchange import SECOND

T = TypeVar("T")
GRID = Grid(roger())
GRIDS = grids([roger()])


def ask(client: Client, question: Question[T]) -> T:
    request = question.request
    query = f"?{urlencode(request.query)}" if request.query else ""
    reply = client.request(request.method, request.path + query, request.body or b"")
    answer = Response(reply.status, {name.lower(): value for name, value in reply.headers.items()}, reply.body)
    error = problem(request, answer)
    if error is not None:
        raise error
    return question.read(answer)


def everything(client: Client, listing: Listing[T]) -> list[T]:
    rows: list[T] = []
    number = 1
    while True:
        page = ask(client, listing.page(number))
        assert page.faults == ()
        rows += page.rows
        if not page.more:
            return rows
        number += 1


@pytest.fixture
def client() -> Client:
    """One trade of 300 at 0.000001, and a bid of 100 below it, of me; the neighbour's ask has 200 left."""
    client = Client()
    client.place("sell", "500", "0.000001", client.neighbour)
    client.place("buy", "300", "0.000001", client_id="RABCDEF00001-BID-1")
    client.place("buy", "100", "0.0000009")
    return client


def test_what_everybody_may_know(client: Client) -> None:
    assert ask(client, catalogue.timestamp()) == client.now // SECOND * SECOND
    assert "2.4" in ask(client, catalogue.version())
    assert ask(client, catalogue.health()) is True
    assert ask(client, catalogue.member_levels()).trading == 2
    fees = everything(client, catalogue.trading_fees())
    assert [(row.market_id, row.maker) for row in fees] == [("any", Decimal("0.0025"))]
    assert everything(client, catalogue.markets(tuple(fees))) == [roger()]
    assert [row.code for row in everything(client, catalogue.currencies())] == ["ROGER", "BTC"]
    assert everything(client, catalogue.currencies("fiat")) == []
    assert ask(client, catalogue.currency("ROGER")).code == "ROGER"


def test_the_market_as_everybody_sees_it(client: Client) -> None:
    depth = ask(client, catalogue.depth(GRID))
    assert (depth.bids, depth.asks) == (((90, 10_000),), ((100, 20_000),))
    book = ask(client, catalogue.order_book(GRID))
    assert [(row.side, row.ticks, row.remaining_lots) for row in (*book.bids, *book.asks)] == [
        (Side.BUY, 90, 10_000),
        (Side.SELL, 100, 20_000),
    ]
    (trade,) = ask(client, catalogue.public_trades(GRID)).rows
    assert (trade.ticks, trade.lots, trade.taker_side) == (100, 30_000, Side.BUY)
    ticker = ask(client, catalogue.ticker("rogerbtc"))
    assert (ticker.last, ticker.base_volume, ticker.quote_volume) == (Decimal("0.000001"), 300, Decimal("0.0003"))
    assert ask(client, catalogue.tickers()) == (ticker,)


def test_the_account(client: Client) -> None:
    rows = everything(client, account.orders(GRIDS))
    assert sorted((row.state, row.executed_lots) for row in rows) == [("done", 30_000), ("wait", 0)]
    (resting,) = everything(client, account.orders(GRIDS, states=("pending", "wait"), side=Side.BUY))
    assert everything(client, account.orders(GRIDS, order_type="market", market_id="rogerbtc")) == []
    (trade,) = everything(client, account.trades(GRIDS, time_from=START // SECOND))
    assert (trade.fee, trade.fee_currency) == (Decimal("0.75"), "ROGER")
    filled = ask(client, account.order(trade.order_id or 0, GRIDS))
    assert filled.trades is not None
    assert [part.id for part in filled.trades] == [trade.id]
    balances = {row.currency: row for row in everything(client, account.balances())}
    assert balances["ROGER"].available == Decimal("10299.25")
    assert ask(client, account.balance("BTC")).locked == Decimal("0.00009")
    assert ask(client, account.cancel(resting.id, GRIDS)).state == "wait"
    client.after(1000)
    assert ask(client, account.order(resting.id, GRIDS)).state == "cancel"
    client.place("buy", "100", "0.0000009")
    assert len(ask(client, account.cancel_all(GRIDS))) == 1
    for listing in (account.deposits("btc"), account.withdraws(), account.transactions(time_from=1)):
        assert everything(client, listing) == []


def test_transfers_are_read() -> None:
    row: dict[str, Any] = {"currency": "btc", "amount": "0.5", "fee": "0.0", "created_at": "2023-11-14T23:13:20+01:00"}
    deposit = {**row, "id": 7, "txid": "ab", "state": "collected"}
    withdraw = {**row, "id": 8, "type": "coin", "blockchain_txid": "cd", "state": "succeed"}
    transaction = {**row, "type": "Deposit", "txid": "ab", "state": "collected"}
    for listing, value, kind in (
        (account.deposits(), deposit, "deposit"),
        (account.withdraws(), withdraw, "withdraw"),
        (account.transactions(), transaction, "deposit"),
    ):
        (found,) = listing.page(1).read(Response(200, {}, msgspec.json.encode([value]))).rows
        assert (found.kind, found.amount, found.created_at) == (kind, Decimal("0.5"), 1_700_000_000)
        assert found.txid in {"ab", "cd"}


def test_more_than_a_hundred_markets_and_currencies_are_all_seen() -> None:
    markets = tuple(roger(id=f"m{number:03d}btc", base=f"M{number:03d}") for number in range(230))
    client = Client(markets=(roger(), *markets))
    assert len(everything(client, catalogue.markets())) == 231
    assert len(everything(client, catalogue.currencies())) == 232
    assert len(ask(client, catalogue.tickers())) == 231
    for number in range(230):
        client.exchange.deposit(client.me, f"M{number:03d}", Decimal(1))
    assert len(everything(client, account.balances())) == 232


def test_a_list_goes_on_until_a_page_is_short(client: Client) -> None:
    for _ in range(5):
        client.place("buy", "1", "0.0000005")
    listing = msgspec.structs.replace(account.orders(GRIDS), limit=3)
    sizes = [len(ask(client, listing.page(number)).rows) for number in (1, 2, 3)]
    assert sizes == [3, 3, 1]
    assert [ask(client, listing.page(number)).more for number in (1, 2, 3)] == [True, True, False]


@given(
    period=st.sampled_from(list(catalogue.PERIODS)),
    since=st.integers(1_600_000_000, 1_600_100_000),
    periods=st.integers(0, 3500),
    odd=st.integers(0, 59),
)
def test_candles_are_asked_for_without_gap_or_overlap(period: str, since: int, periods: int, odd: int) -> None:
    length = catalogue.PERIODS[period] * 60
    until = since + periods * length + odd
    questions = list(catalogue.candles("rogerbtc", period, since, until))
    assert len(questions) == catalogue.candle_questions(period, since, until)
    asked: list[int] = []
    for question in questions:
        query = dict(question.request.query)
        starts = range(int(query["time_from"]), int(query["time_to"]) + 1, length)
        assert len(starts) <= catalogue.CANDLES_MAX
        asked += starts
    assert asked == [start for start in range(-(-since // length) * length, until, length)]  # noqa: C416


def test_candles_of_a_market_that_was_traded(client: Client) -> None:
    begin = client.now // SECOND // 60 * 60
    client.after(90_000)
    (question,) = catalogue.candles("rogerbtc", "1m", begin, begin + 60)
    (candle,) = ask(client, question)
    assert (candle.time, candle.close, candle.volume) == (begin, Decimal("0.000001"), 300)


QUESTIONS: list[Question[Any]] = [
    catalogue.timestamp(),
    catalogue.member_levels(),
    catalogue.currency("btc"),
    catalogue.depth(GRID),
    catalogue.order_book(GRID),
    catalogue.public_trades(GRID),
    catalogue.ticker("rogerbtc"),
    catalogue.tickers(),
    next(catalogue.candles("rogerbtc", "1m", 0, 60)),
    catalogue.markets().page(1),
    catalogue.trading_fees().page(1),
    catalogue.currencies().page(1),
    account.orders(GRIDS).page(1),
    account.order(1, GRIDS),
    account.cancel(1, GRIDS),
    account.cancel_all(GRIDS),
    account.trades(GRIDS).page(1),
    account.balances().page(1),
    account.balance("btc"),
    account.deposits().page(1),
    account.transactions().page(1),
]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["bids", "asks", "ticker", "at", "timestamp", "id", "price"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(question=st.sampled_from(QUESTIONS), value=ANYTHING)
def test_whatever_comes_back_is_read_or_unreadable(question: Question[Any], value: Any) -> None:
    with contextlib.suppress(Unreadable):
        question.read(Response(200, {}, msgspec.json.encode(value)))


@given(question=st.sampled_from(QUESTIONS), body=st.binary(max_size=40))
def test_bytes_that_are_not_json_are_unreadable(question: Question[Any], body: bytes) -> None:
    with contextlib.suppress(Unreadable):
        question.read(Response(200, {}, body))
