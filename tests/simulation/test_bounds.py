"""Every limit has a measure at the exchange, or a reason why it can have none; each measure knows its limit exactly."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import pytest

from runner.model.money import ZERO
from runner.model.order import Side
from runner.model.settings import Limits
from runner.simulation.bounds import BOUNDS, UNSEEN, Truth, passed
from runner.simulation.markets import SANDBOX_MARKETS
from runner.simulation.records import Order as Row
from runner.simulation.records import OrderState

ROGER, BITCOIN = SANDBOX_MARKETS[0], SANDBOX_MARKETS[3]


def row(side: Side, lots: int = 100, ticks: int | None = 5000, *, id_: int = 1, bitcoin: bool = False) -> Row:
    return Row(
        id=id_,
        member=1,
        market=BITCOIN if bitcoin else ROGER,
        side=side,
        ticks=ticks,
        lots=lots,
        left=lots,
        state=OrderState.WAIT,
        locked=Decimal("0.5"),
        created=0,
        updated=0,
    )


def broken(
    limits: Limits, *live: Row, new: Row | None = None, held: Mapping[str, str] | None = None, by_us: bool = True
) -> Sequence[tuple[str, str]]:
    holds = {currency: Decimal(amount) for currency, amount in (held or {}).items()}
    truth = Truth(0, live, new, (lambda currency: holds.get(currency, ZERO)) if by_us else None)
    return list(passed(limits, truth))


def test_every_limit_is_measured_or_said_to_be_unseen() -> None:
    assert BOUNDS.keys() | UNSEEN.keys() == set(Limits.__struct_fields__)
    assert not BOUNDS.keys() & UNSEEN.keys()
    assert all(reason for reason in UNSEEN.values())


def test_without_limits_nothing_is_passed() -> None:
    assert broken(Limits(), row(Side.BUY, 10**9), new=row(Side.BUY, 10**9), held={"ROGER": "1000000000"}) == []


def test_open_orders_are_counted() -> None:
    assert broken(Limits(max_open_orders=1), row(Side.BUY)) == []
    assert broken(Limits(max_open_orders=1), row(Side.BUY), row(Side.SELL, id_=2)) == [("at most 1 open orders", "2")]


@pytest.mark.parametrize(("limit", "count"), [("0.00005", 0), ("0.000049999", 1)])
def test_an_order_is_worth_so_much_when_it_comes_to_be(limit: str, count: int) -> None:
    limits = Limits(max_order_notional={"BTC": Decimal(limit)})
    new = row(Side.BUY)  # one ROGER at 0.00005
    assert len(broken(limits, new, new=new)) == count
    assert broken(limits, new) == []
    assert broken(limits, new=row(Side.BUY, ticks=None)) == []


@pytest.mark.parametrize(
    ("live", "held", "count"),
    [
        ([row(Side.BUY)], "1", 0),
        ([row(Side.BUY)], "1.01", 1),
        ([row(Side.BUY), row(Side.SELL, 10_000)], "1.01", 2),  # never netted: each side is beyond it
        ([row(Side.SELL)], "-1", 0),
        ([row(Side.SELL)], "-1.01", 1),
        ([row(Side.SELL)], "50", 0),  # it began with more, and this takes it down
        ([], "50", 0),
    ],
)
def test_a_position_is_what_it_may_come_to_on_each_side(live: list[Row], held: str, count: int) -> None:
    limits = Limits(max_position={"ROGER": Decimal(2)})
    assert len(broken(limits, *live, held={"ROGER": held})) == count
    assert broken(limits, *live, held={"ROGER": held}, by_us=False) == []


def test_the_quote_of_a_market_is_held_too() -> None:
    """Buying ROGER sells bitcoin; a market buy may spend all that is locked for it."""
    limits = Limits(max_position={"BTC": Decimal("0.4")})
    short = {"BTC": "-0.39999"}
    assert broken(limits, row(Side.BUY, 1), held=short) == []
    assert len(broken(limits, row(Side.BUY, 100), held=short)) == 1
    assert len(broken(limits, row(Side.BUY, ticks=None))) == 1
    assert len(broken(limits, row(Side.BUY, 500_000, 100, bitcoin=True))) == 1
    assert broken(limits, row(Side.SELL, ticks=None)) == []
