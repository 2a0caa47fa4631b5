"""The book beside a model simple enough to trust: two dictionaries, sorted whenever somebody looks."""

import itertools

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runner.engine.book import KEYS_SPARE, Book
from runner.engine.view import MarketData
from runner.model.event import BookDelta, BookGap, BookSnapshot, Levels

MARKET = "ROGER-BTC"

ticks = st.integers(1, 40)
levels = st.lists(st.tuples(ticks, st.integers(0, 3)), max_size=12).map(tuple)


def market_data(book: Book) -> MarketData:
    """The type checker's word that a book is what the engine reads."""
    return book


class Books(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.book = Book()
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.state = "empty"
        self.changed_at = 0
        self.time = itertools.count(1)

    def crossed(self) -> bool:
        return bool(self.bids and self.asks and max(self.bids) >= min(self.asks))

    def applied(self, time: int) -> None:
        self.state, self.changed_at = "live", time
        if self.crossed():
            self.close()

    def close(self) -> None:
        self.state, self.bids, self.asks = "gap", {}, {}

    @rule(bids=levels, asks=levels, apart=st.booleans())
    def snapshot(self, bids: Levels, asks: Levels, apart: bool) -> None:
        if apart:
            asks = tuple((ticks + 40, lots) for ticks, lots in asks)
        time = next(self.time)
        self.book.apply(BookSnapshot(MARKET, 1, bids, asks), time)
        self.bids = {ticks: lots for ticks, lots in dict(bids).items() if lots}
        self.asks = {ticks: lots for ticks, lots in dict(asks).items() if lots}
        self.applied(time)

    @rule(bids=levels, asks=levels)
    def delta(self, bids: Levels, asks: Levels) -> None:
        time = next(self.time)
        self.book.apply(BookDelta(MARKET, 2, bids, asks), time)
        if self.state != "live":
            return
        for side, changes in ((self.bids, bids), (self.asks, asks)):
            for ticks, lots in changes:
                side[ticks] = lots
                if not lots:
                    del side[ticks]
        self.applied(time)

    @precondition(lambda self: self.state == "live")
    @rule(distance=st.integers(0, 5), lots=st.integers(0, 3), bid=st.booleans())
    def touch(self, distance: int, lots: int, bid: bool) -> None:
        """A change at or near the best price, as most of them are."""
        if bid:
            self.delta(((max(self.bids, default=20) - distance, lots),), ())
        else:
            self.delta((), ((min(self.asks, default=60) + distance, lots),))

    @rule()
    def gap(self) -> None:
        self.book.apply(BookGap(MARKET, "lost"), next(self.time))
        self.close()

    @invariant()
    def says_what_the_model_says(self) -> None:
        bids, asks = sorted(self.bids.items(), reverse=True), sorted(self.asks.items())
        assert self.book.state == self.state
        assert (self.book.reason == "") is (self.state == "live")
        assert self.book.changed_at == self.changed_at or self.state == "gap"
        assert self.book.best_bid() == (bids[0] if bids else None)
        assert self.book.best_ask() == (asks[0] if asks else None)
        for count in (0, 1, 3, 100):
            assert list(self.book.bids(count)) == bids[:count]
            assert list(self.book.asks(count)) == asks[:count]


TestBooks = Books.TestCase


def test_there_is_no_book_before_the_first_snapshot() -> None:
    book = Book()
    book.apply(BookDelta(MARKET, 5, ((1, 1),), ((2, 1),)), 7)
    assert (book.state, book.changed_at, book.best_bid(), book.best_ask()) == ("empty", 0, None, None)
    assert book.bids(10) == book.asks(10) == []


@pytest.mark.parametrize(
    "delta",
    [BookDelta(MARKET, 2, ((20, 1),), ()), BookDelta(MARKET, 2, (), ((10, 1),)), BookDelta(MARKET, 2, ((30, 1),), ())],
)
def test_a_crossed_book_is_no_book(delta: BookDelta) -> None:
    book = Book()
    book.apply(BookSnapshot(MARKET, 1, ((10, 1),), ((20, 1),)), 1)
    book.apply(delta, 2)
    assert book.state == "gap"
    assert book.reason.startswith("crossed")
    assert (book.best_bid(), book.best_ask(), book.bids(5), book.asks(5)) == (None, None, [], [])
    book.apply(BookDelta(MARKET, 3, ((20, 0),), ((10, 0),)), 3)
    assert book.state == "gap", "it does not come back by itself"
    book.apply(BookSnapshot(MARKET, 9, ((11, 1),), ((12, 1),)), 4)
    assert (book.state, book.best_bid(), book.best_ask()) == ("live", (11, 1), (12, 1))


def test_one_message_may_cross_on_its_way() -> None:
    book = Book()
    book.apply(BookSnapshot(MARKET, 1, ((10, 1),), ((20, 1),)), 1)
    book.apply(BookDelta(MARKET, 2, ((21, 5),), ((20, 0), (22, 5))), 2)
    assert (book.state, book.best_bid(), book.best_ask()) == ("live", (21, 5), (22, 5))


@pytest.mark.parametrize("bid", [True, False])
def test_levels_that_come_and_go_leave_nothing_behind(bid: bool) -> None:
    book = Book()
    book.apply(BookSnapshot(MARKET, 1, ((10_000, 1),), ((20_000, 1),)), 1)
    for _ in range(4):
        for distance in range(1, 1 + KEYS_SPARE):
            for lots in (1, 0):
                bids, asks = ((10_000 - distance, lots),), ((20_000 + distance, lots),)
                book.apply(BookDelta(MARKET, 2, bids if bid else (), () if bid else asks), 2)
    assert max(len(book._bid_keys), len(book._ask_keys)) <= 2 * KEYS_SPARE
    assert (book.best_bid(), book.best_ask()) == ((10_000, 1), (20_000, 1))
