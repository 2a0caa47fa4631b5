"""The public socket's codec: what it makes of every form of frame, and what it asks to send."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from wire_samples import DOGE, MARKETS, ROGER, decimal_texts, frame, json_values, steps_of

from runner.altmarkets.stream import MESSAGE_BYTES_MAX, PublicStream, SequenceRule
from runner.model.event import BookDelta, BookGap, BookSnapshot, PublicTrade, StreamUp, VenueFault, What
from runner.model.market import Market
from runner.model.order import Side

NAMES = ["rogerbtc.ob-inc", "rogerbtc.trades"]


def stream(*symbols: str) -> PublicStream:
    return PublicStream(MARKETS.values(), symbols or ("ROGER-BTC",))


def live(*symbols: str, sequence: int = 41) -> PublicStream:
    """A stream whose books have their snapshots."""
    opened = stream(*symbols)
    for symbol in symbols or ("ROGER-BTC",):
        snapshot = {"asks": [["2.0", "5.0"]], "bids": [["1.0", "7.0"]], "sequence": sequence}
        assert isinstance(opened.receive(frame(f"{MARKETS[symbol].id}.ob-snap", snapshot))[0], BookSnapshot)
    return opened


def increment(sequence: Any, market: str = "rogerbtc", **sides: Any) -> str:
    return frame(f"{market}.ob-inc", {**sides, "sequence": sequence})


# Books ----------------------------------------------------------------------------------------------------


def test_the_frames_of_the_reference() -> None:
    opened = stream()
    snapshot = (
        '{"rogerbtc.ob-snap":{"asks":[["0.00000101","200.0"]],"bids":[["0.00000099","2810.1"],["0.00000095","10.0"]]'
        ',"sequence":41}}'
    )
    assert opened.receive(snapshot) == [
        BookSnapshot("ROGER-BTC", 41, ((99, 281_010), (95, 1_000)), ((101, 20_000),)),
    ]
    assert opened.receive('{"rogerbtc.ob-inc":{"bids":["0.00000099","2800.0"],"sequence":42}}') == [
        BookDelta("ROGER-BTC", 42, ((99, 280_000),), ())
    ]
    assert opened.receive(b'{"rogerbtc.ob-inc":{"bids":["0.00000099",""],"sequence":43}}') == [
        BookDelta("ROGER-BTC", 43, ((99, 0),), ())
    ]
    nested = '{"rogerbtc.ob-inc":{"asks":[["0.00000101","0"],["0.00000102",7]],"bids":[],"sequence":44}}'
    assert opened.receive(nested) == [BookDelta("ROGER-BTC", 44, (), ((101, 0), (102, 700)))]
    trade = (
        '{"rogerbtc.trades":{"trades":[{"tid":9001,"taker_type":"buy","date":1700000001,"price":"0.000001",'
        '"amount":"300.0"}]}}'
    )
    assert opened.receive(trade) == [PublicTrade("ROGER-BTC", 9001, 100, 30_000, Side.BUY, 1_700_000_001)]


amounts = st.sampled_from(["", "0", "0.0", 0, None, "1.0", "2810.1", 3, 2.5, "1e2"]) | decimal_texts()
pairs = st.tuples(st.sampled_from(["0.5", "1.0", "0.00000001", 2, "3e-1"]) | decimal_texts(), amounts).map(list)
sides = st.one_of(st.none(), pairs, st.lists(pairs, max_size=3), json_values)
bodies = st.fixed_dictionaries(
    {"sequence": st.sampled_from([42, 42, 42, "42", 42.0, 43, 2]) | json_values},
    optional={"bids": sides, "asks": sides, "extra": json_values},
)
trade_objects = st.fixed_dictionaries(
    {
        "tid": st.integers(1, 10**6) | json_values,
        "taker_type": st.sampled_from(["buy", "sell"]),
        "date": st.sampled_from([1_700_000_000, "1700000000", -1]) | json_values,
        "price": decimal_texts() | st.sampled_from(["1.0", 1e-06]),
        "amount": decimal_texts() | st.sampled_from(["1.0", 3]),
    }
)
frames = st.one_of(
    st.builds(lambda body: {"rogerbtc.ob-inc": body}, bodies),
    st.builds(lambda body: {"rogerbtc.ob-snap": body}, bodies),
    st.builds(lambda trades: {"rogerbtc.trades": {"trades": trades}}, st.lists(trade_objects, max_size=2)),
    st.builds(lambda body, other: {"rogerbtc.ob-inc": body, "rogerbtc.trades": other}, bodies, json_values),
    st.dictionaries(st.sampled_from([*NAMES, "success", "error", "ping", "x.ob-inc"]), json_values, max_size=2),
    json_values,
).map(json.dumps)


def texts_of(printed: Callable[[int], Decimal]) -> st.SearchStrategy[str]:
    """What the venue prints, three times out of four, or nearly that."""
    good = st.integers(1, 10**14).map(lambda steps: format(printed(steps), "f"))
    return st.integers(0, 3).flatmap(lambda kind: good if kind else decimal_texts())


nearly_stock = st.one_of(
    st.builds(
        lambda side, price, quantity: ("rogerbtc.ob-inc", {side: [price, quantity]}),
        st.sampled_from(["bids", "asks"]),
        texts_of(ROGER.price),
        st.just("") | texts_of(ROGER.quantity),
    ),
    st.builds(
        lambda side, price, quantity: (
            "rogerbtc.trades",
            {"trades": [{"tid": 1, "taker_type": side, "date": 1_700_000_000, "price": price, "amount": quantity}]},
        ),
        st.sampled_from(["buy", "sell"]),
        texts_of(ROGER.price),
        texts_of(ROGER.quantity),
    ),
)


def numbered(entries: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Frames in a row, the increments with the numbers that are due as long as nothing is wrong with them."""
    texts, sequence = [], 41
    for name, body in entries:
        if name.endswith("ob-inc"):
            sequence += 1
            body = body | {"sequence": sequence}
        texts.append(frame(name, body))
    return texts


def careful(text: str) -> str:
    """The same frame in a form that the fast way does not take: an empty stream's name in front, which says nothing."""
    value = json.loads(text)
    return json.dumps({"": None, **value}) if isinstance(value, dict) else text


@settings(max_examples=300)
@given(texts=st.lists(nearly_stock, min_size=1, max_size=8).map(numbered) | st.lists(frames, max_size=6))
def test_the_fast_way_says_what_the_careful_way_says(texts: list[str]) -> None:
    fast, slow = live(), live()
    slow.receive('{"":null}')  # the fault of an unknown stream is told once
    for text in texts:
        assert _told(fast.receive(text)) == _told(slow.receive(careful(text)))


@given(text=texts_of(ROGER.quantity))
@example(text="5.00000000000000000001")
@example(text="0.00000000000001")
@example(text="1.005")
@example(text="1e-400")
@example(text="90071992547409.93")
@example(text="9e15")
@example(text="-1.0")
@example(text="0.0")
def test_a_quantity_is_exact_or_refused_on_the_fast_way_too(text: str) -> None:
    whats = live().receive(increment(42, asks=["2.0", text]))
    lots = steps_of(ROGER.lots, text) if text else 0
    if lots is not None and lots >= 0:
        assert whats == [BookDelta("ROGER-BTC", 42, (), ((2 * 10**8, lots),))]
    else:
        assert [type(what) for what in whats] == [VenueFault, BookGap]


def test_a_frame_of_two_streams_says_both() -> None:
    trade = {"tid": 1, "taker_type": "sell", "date": 1_700_000_000, "price": "1.0", "amount": "1.0"}
    both = {"rogerbtc.ob-inc": {"bids": ["1.0", ""], "sequence": 42}, "rogerbtc.trades": {"trades": [trade]}}
    assert [type(what) for what in live().receive(json.dumps(both))] == [BookDelta, PublicTrade]


def _told(whats: list[What]) -> list[What]:
    # Texts of faults quote the frame, and an unknown stream was told of before.
    return [VenueFault(w.source, "") if isinstance(w, VenueFault) else w for w in whats if not _unknown(w)]


def _unknown(what: What) -> bool:
    return isinstance(what, VenueFault) and "not asked for" in what.what


@given(texts=st.lists(frames, max_size=8))
def test_frames_together_say_what_they_say_one_by_one(texts: list[str]) -> None:
    together, single = live("ROGER-BTC", "DOGE-BTC"), live("ROGER-BTC", "DOGE-BTC")
    assert together.receive_all(texts) == [what for text in texts for what in single.receive(text.encode())]


@given(junk=st.lists(st.binary(max_size=40) | st.text(max_size=40) | frames, max_size=10))
def test_nothing_that_comes_raises(junk: list[bytes | str]) -> None:
    for opened in (live(), live("ROGER-BTC", "DOGE-BTC")):
        for text in [*junk, "[" * 50_000, '{"rogerbtc.ob-inc":' * 5_000, b"\xff\xfe", "", '"\ud800"']:
            opened.receive(text)
        told = [what for text in junk for what in opened.receive(text)]
        assert not [what for what in told if isinstance(what, VenueFault)], "a fault is told once"


def test_two_markets_on_one_line_do_not_touch_each_other() -> None:
    opened = live("ROGER-BTC", "DOGE-BTC")
    assert opened.receive(increment(42, bids=["1.0", "1.0"])) == [BookDelta("ROGER-BTC", 42, ((10**8, 100),), ())]
    assert opened.receive(increment(44, "dogebtc", bids=["1.0", "1.0"]))[0] == BookGap(
        "DOGE-BTC", "increment 44 where 42 was due"
    )
    assert opened.receive(increment(43, asks=["2.0", ""])) == [BookDelta("ROGER-BTC", 43, (), ((2 * 10**8, 0),))]


def test_a_gap_is_told_once_and_ends_with_a_snapshot() -> None:
    opened = live()
    assert opened.receive(increment(44, bids=["1.0", "1.0"])) == [BookGap("ROGER-BTC", "increment 44 where 42 was due")]
    assert opened.receive(increment(42, bids=["1.0", "1.0"])) == []
    assert opened.receive(increment(45, bids=["1.0", "1.0"])) == []
    assert opened.receive(frame("rogerbtc.ob-snap", {"asks": [], "bids": [], "sequence": 3})) == [
        BookSnapshot("ROGER-BTC", 3, (), ())
    ]
    assert opened.receive(increment(4, bids=["1.0", "1.0"])) == [BookDelta("ROGER-BTC", 4, ((10**8, 100),), ())]


def test_increments_before_the_first_snapshot_are_a_gap() -> None:
    opened = stream()
    assert opened.receive(increment(2, bids=["1.0", "1.0"])) == [BookGap("ROGER-BTC", "increment 2 without a snapshot")]
    assert opened.receive(increment(3, bids=["1.0", "1.0"])) == []


def test_a_level_off_the_grid_is_a_fault_and_a_hole() -> None:
    opened = live()
    fault, gap = opened.receive(increment(42, bids=["1.000000001", "1.0"]))
    assert isinstance(fault, VenueFault)
    assert "more than 8 decimals" in fault.what
    assert gap == BookGap("ROGER-BTC", "a message could not be read")
    assert opened.receive(increment(43, bids=["1.0", "1.0"])) == []


class Sequences(RuleBasedStateMachine):
    """The rule beside a model that keeps every number since the last snapshot."""

    def __init__(self) -> None:
        super().__init__()
        self.rule = SequenceRule()
        self.numbers: list[int] | None = None
        self.told = False

    @rule(number=st.integers(0, 20))
    def snapshot(self, number: int) -> None:
        self.rule.snapshot(number)
        self.numbers, self.told = [number], False

    @rule(number=st.integers(0, 20))
    def increment(self, number: int) -> None:
        follows = self.numbers is not None and number == self.numbers[-1] + 1
        assert self.rule.increment(number) is follows
        if follows and self.numbers is not None:
            self.numbers.append(number)
        else:
            assert self.rule.break_off() is not self.told
            self.numbers, self.told = None, True

    @rule()
    def next_increment(self) -> None:
        if self.numbers is not None:
            self.increment(self.numbers[-1] + 1)

    @invariant()
    def awaits_one_number(self) -> None:
        assert self.rule.awaited == (None if self.numbers is None else self.numbers[-1] + 1)


TestSequences = Sequences.TestCase


# Trades ---------------------------------------------------------------------------------------------------


def test_a_message_of_several_trades_tells_each_in_its_order() -> None:
    wire = [
        {"tid": tid, "taker_type": side, "date": 1_700_000_000 + tid, "price": "1.0", "amount": f"{tid}.0"}
        for tid, side in [(7, "buy"), (8, "sell"), (9, "buy")]
    ]
    told = [
        PublicTrade("ROGER-BTC", tid, 100_000_000, tid * 100, Side(side), 1_700_000_000 + tid)
        for tid, side in [(7, "buy"), (8, "sell"), (9, "buy")]
    ]
    assert live().receive(frame("rogerbtc.trades", {"trades": wire})) == told
    assert live().receive(frame("rogerbtc.trades", {"note": "not stock", "trades": wire})) == told


def test_one_bad_trade_does_not_hide_the_others() -> None:
    good = {"tid": 1, "taker_type": "sell", "date": 1_700_000_000, "price": "1.0", "amount": "1.0"}
    whats = live().receive(frame("rogerbtc.trades", {"trades": [good, good | {"price": "0.000000001"}, good]}))
    assert [type(what) for what in whats] == [PublicTrade, VenueFault, PublicTrade]


# Control --------------------------------------------------------------------------------------------------


def confirmation(names: list[str], message: str = "subscribed") -> str:
    return json.dumps({"success": {"message": message, "streams": names, "time": 1}})


def test_a_confirmation_of_every_name_is_the_stream_up_once() -> None:
    opened = stream()
    assert opened.receive(confirmation([])) == []
    assert opened.receive(confirmation(NAMES)) == [StreamUp("public", tuple(NAMES))]
    assert opened.receive(confirmation(NAMES)) == []
    assert opened.receive(confirmation(NAMES[:1], "unsubscribed")) == []


def test_a_name_that_is_not_confirmed_is_a_fault() -> None:
    opened = stream()
    assert opened.receive(confirmation([])) == []
    (fault,) = opened.receive(confirmation(NAMES[:1]))
    assert isinstance(fault, VenueFault)
    assert "rogerbtc.trades" in fault.what
    assert opened.receive(confirmation(NAMES[:1])) == []
    assert opened.receive(confirmation(NAMES)) == [StreamUp("public", tuple(NAMES))], "late is better than never"


def test_with_several_messages_the_last_confirmation_counts() -> None:
    markets = [_market(number) for number in range(40)]
    opened = PublicStream(markets, [market.symbol for market in markets])
    texts = opened.subscriptions()
    assert len(texts) > 2
    confirmed: list[str] = []
    assert opened.receive(confirmation(confirmed)) == []
    for text in texts:
        whats = opened.receive(confirmation(confirmed := confirmed + json.loads(text)["streams"]))
        assert bool(whats) is (text is texts[-1])
    assert isinstance(whats[0], StreamUp)


def _market(number: int) -> Market:
    return Market(
        id=f"abcdefg{number}btcdefghi",
        base=f"ABCDEFG{number}",
        quote="BTCDEFGHI",
        price_precision=8,
        amount_precision=2,
        price_min=ROGER.price_min,
        quantity_min=ROGER.quantity_min,
    )


@given(count=st.integers(1, 60))
def test_subscriptions_name_every_stream_once_in_messages_the_venue_takes(count: int) -> None:
    markets = [_market(number) for number in range(count)]
    texts = PublicStream(markets, [market.symbol for market in markets]).subscriptions()
    names = [name for text in texts for name in json.loads(text)["streams"]]
    wanted = [f"{m.id}.{kind}" for m in markets for kind in ("ob-inc", "trades")]
    assert sorted(names) == sorted([*wanted, "global.tickers"])
    assert len(names) == len(set(names))
    assert all(len(text.encode()) <= MESSAGE_BYTES_MAX for text in texts)
    assert {json.loads(text)["event"] for text in texts} == {"subscribe"}


def test_a_fresh_snapshot_is_asked_for_by_leaving_and_coming_back() -> None:
    texts = [json.loads(text) for text in stream("ROGER-BTC", "DOGE-BTC").resubscribe("DOGE-BTC")]
    assert texts == [
        {"event": "unsubscribe", "streams": ["dogebtc.ob-inc"]},
        {"event": "subscribe", "streams": ["dogebtc.ob-inc"]},
    ]


def test_a_symbol_that_is_not_a_market_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        PublicStream([DOGE], ["ROGER-BTC"])


@pytest.mark.parametrize("ping", ["1700000000123", '"1700000000123"'])
@pytest.mark.parametrize("error", ['"Could not parse Type: Invalid event"', '{"message":"Invalid event"}'])
def test_a_json_ping_is_answered_and_the_complaint_about_the_answer_is_not_heard(ping: str, error: str) -> None:
    opened = stream()
    assert opened.receive(f'{{"ping":{ping}}}') == []
    assert opened.replies() == ['{"op":"pong","timestamp":"1700000000123"}']
    assert opened.replies() == []
    assert opened.receive(f'{{"error":{error}}}') == []
    (fault,) = opened.receive('{"error":"No streams provided"}')
    assert isinstance(fault, VenueFault), "any other complaint is heard"


def test_the_complaint_is_heard_of_one_who_was_never_pinged() -> None:
    (fault,) = stream().receive('{"error":"Could not parse Type: Invalid event"}')
    assert isinstance(fault, VenueFault)


def test_pings_do_not_pile_up_and_nonsense_is_not_answered() -> None:
    opened = stream()
    for number in range(100):
        opened.receive(json.dumps({"ping": number}))
    assert len(opened.replies()) < 10
    (fault,) = opened.receive(json.dumps({"ping": "x" * 1000}))
    assert isinstance(fault, VenueFault)
    assert opened.replies() == []


@pytest.mark.parametrize("error", ['{"error":"No streams provided"}', '{"error":{"message":"No streams provided"}}'])
def test_an_error_is_a_fault_once_in_both_shapes(error: str) -> None:
    opened = stream()
    (fault,) = opened.receive(error)
    assert isinstance(fault, VenueFault)
    assert "No streams provided" in fault.what
    assert opened.receive(error) == []


def test_a_bare_pong_says_nothing() -> None:
    assert stream().receive("pong") == []
    assert stream().receive(b"pong") == []
