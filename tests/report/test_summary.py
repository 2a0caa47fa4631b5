"""The end of a run: the object for programs, the lines for people."""

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from runner.model.order import Side
from runner.model.paper import PaperModels
from runner.report.status import OrderCounts, OrderStatus, Status
from runner.report.summary import summary, text

CURRENCIES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=1, max_size=6)
MONEY_MAPS = st.dictionaries(CURRENCIES, st.decimals(-(10**12), 10**12, places=16), max_size=4)
COUNTS = st.integers(0, 10**6)

ORDER = OrderStatus(
    slot="bid-1",
    market="ROGER-BTC",
    side=Side.BUY,
    price=Decimal("0.00005000"),
    quantity=Decimal("500.00"),
    remaining=Decimal("500.00"),
    state="open",
    age=0,
)
TRADED = Status(
    run="20231114-1",
    name="quickstart",
    venue="sandbox",
    phase="stopped",
    started_at=0,
    time=60 * 10**9,
    counts=OrderCounts(placed=14, filled=6, cancelled=8, refused=2),
    ticks=61,
    fills=9,
    volume={"ROGER": Decimal("4500.00"), "BTC": Decimal("0.2250000000")},
    fees={"ROGER": Decimal("5.625000"), "BTC": Decimal("0.000281250000")},
    position={"ROGER": Decimal("1E+3"), "BTC": Decimal("-0.0500000000")},
    realised={"BTC": Decimal("0.0000123400000001")},
    unrealised={"BTC": Decimal("-0.0000001")},
)

statuses = st.builds(
    Status,
    run=st.text(max_size=20),
    name=st.just("quickstart"),
    venue=st.just("sandbox"),
    phase=st.sampled_from(["starting", "stopped"]),
    started_at=st.just(0),
    time=st.integers(0, 10**18),
    orders=st.integers(0, 3).map(lambda number: (ORDER,) * number),
    counts=st.builds(OrderCounts, placed=COUNTS, filled=COUNTS, rejected=COUNTS, unknown=COUNTS),
    ticks=COUNTS,
    fills=COUNTS,
    volume=MONEY_MAPS,
    fees=MONEY_MAPS,
    position=MONEY_MAPS,
    realised=MONEY_MAPS,
    unrealised=MONEY_MAPS,
)


@given(statuses, st.sampled_from(["time", "signal", "once", "error"]))
def test_the_object_is_json_with_exact_amounts(status: Status, stopped_by: str) -> None:
    found = json.loads(json.dumps(summary(status, stopped_by)))
    orders = ["placed", "filled", "cancelled", "rejected", "refused", "absent", "unknown"]
    assert list(found) == [
        *("run", "stopped_by", "ticks", "orders", "fills", "volume", "fees", "position", "profit", "open_orders_left")
    ]
    assert list(found["orders"]) == orders
    assert list(found["profit"]) == ["realised", "unrealised"]
    assert (found["run"], found["stopped_by"]) == (status.run, stopped_by)
    assert (found["ticks"], found["fills"], found["open_orders_left"]) == (
        status.ticks,
        status.fills,
        len(status.orders),
    )
    assert found["orders"]["placed"] == status.counts.placed
    for told, kept in (
        (found["volume"], status.volume),
        (found["fees"], status.fees),
        (found["position"], status.position),
        (found["profit"]["realised"], status.realised),
        (found["profit"]["unrealised"], status.unrealised),
    ):
        assert {currency: Decimal(amount) for currency, amount in told.items()} == kept
        assert not any("E" in amount for amount in told.values())


@given(statuses)
def test_the_text_tells_every_kind_of_trouble_there_was(status: Status) -> None:
    lines = text(summary(status, "time"))
    for kind in ("rejected", "refused", "absent", "unknown"):
        number = getattr(status.counts, kind)
        assert (f"{number} {kind}" in lines) == bool(number)


def test_the_object_to_the_letter() -> None:
    assert summary(TRADED, "time") == {
        "run": "20231114-1",
        "stopped_by": "time",
        "ticks": 61,
        "orders": {
            "placed": 14,
            "filled": 6,
            "cancelled": 8,
            "rejected": 0,
            "refused": 2,
            "absent": 0,
            "unknown": 0,
        },
        "fills": 9,
        "volume": {"ROGER": "4500", "BTC": "0.225"},
        "fees": {"ROGER": "5.625", "BTC": "0.00028125"},
        "position": {"ROGER": "1000", "BTC": "-0.05"},
        "profit": {"realised": {"BTC": "0.0000123400000001"}, "unrealised": {"BTC": "-0.0000001"}},
        "open_orders_left": 0,
    }


def test_a_paper_result_says_what_it_rests_on() -> None:
    model = str(PaperModels())
    told = summary(structs.replace(TRADED, model=model), "time")
    assert told["model"] == model
    assert "model" not in summary(TRADED, "time")
    lines = text(told).splitlines()
    assert lines[:2] == [
        "model      paper: queue risk_averse, latency 50 ms for orders, 50 ms for",
        "           cancels, 20 ms for data, 50 ms in the exchange",
    ]
    assert "\n".join(lines[2:]) == text(summary(TRADED, "time"))


def test_the_text_to_the_letter() -> None:
    assert text(summary(TRADED, "time")).splitlines() == [
        "run        20231114-1, stopped by time after 61 ticks",
        "orders     14 placed, 6 filled, 8 cancelled, 2 refused",
        "fills      9",
        "volume     4500 ROGER, 0.225 BTC",
        "fees       5.625 ROGER, 0.00028125 BTC",
        "position   1000 ROGER, -0.05 BTC",
        "profit     realised +0.00001234 BTC; unrealised -0.0000001 BTC",
        "left open  nothing",
    ]
