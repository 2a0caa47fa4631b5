"""The most that a file lets its strategy have at once, and the limits that have no room for it."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from config_files import STRATEGY, changed, problems, result, spec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.config.bounds import bound, words
from runner.config.problems import Problem
from runner.engine.strategy import Demand
from runner.engine.worth import without_room
from runner.model.market import Market
from runner.model.order import Side
from runner.model.settings import Limits

FRANK = """
from runner.engine.strategy import Demand
from runner.model.order import Side

class Frank(Spread, frozen=True):
    wide: bool = False
    lies: str = ""

    def demands(self):
        if self.lies:
            return eval(self.lies)
        ladder = dict(orders=self.levels, quantity=self.quantity, every=10 * 10**9, parameters=("quantity", "levels"))
        found = [Demand(side=Side.BUY, price_max=1, **ladder), Demand(side=Side.SELL, price_max=1.5, **ladder)]
        if self.wide:
            found.append(Demand(side=Side.BUY, orders=1, quantity=7, market="BTC-USDT"))
        return found
"""
LIMITS = """\
  max_position: {ROGER: 50000}
  max_order_notional: {BTC: 0.01}
  max_open_orders: 20
"""


@pytest.fixture(scope="module")
def frank(folder: Path) -> str:
    """The good file without its limits, three levels of 1000 ROGER a side."""
    (folder / "frank.py").write_text(STRATEGY + FRANK)
    return changed(("spread.py:Spread", "frank.py:Frank"), (LIMITS, ""))


def with_risk(text: str, *lines: str) -> str:
    return text.replace("risk:\n", "".join(["risk:\n", *(f"  {line}\n" for line in lines)]))


def test_a_strategy_that_does_not_say_has_no_bound(folder: Path) -> None:
    assert bound(spec(changed(), folder)) is None


def test_the_bound_of_a_file(frank: str, folder: Path) -> None:
    found = bound(spec(frank, folder))
    assert found is not None
    assert (found.orders, found.bought, found.sold) == (6, {"ROGER": Decimal(3000)}, {"ROGER": Decimal(3000)})
    assert words(found) == "6 orders; 3000 ROGER bought and 3000 ROGER sold if all fill; 12 requests every 10s"


def test_markets_are_counted_by_their_base(frank: str, folder: Path) -> None:
    text = frank.replace("[ROGER-BTC]", "[ROGER-BTC, BTC-USDT]").replace("levels: 3", "levels: 3\n    wide: true")
    found = bound(spec(text, folder))
    assert found is not None
    assert found.bought == {"ROGER": Decimal(3000), "BTC": Decimal(7)}
    (problem,) = problems(with_risk(text, "max_position: {BTC: 6}"), folder)
    assert (problem.path, problem.code) == ("risk.max_position.BTC", "bound.position")


@pytest.mark.parametrize(
    ("line", "enough", "path", "code"),
    [
        ("max_open_orders: 5", "max_open_orders: 6", "max_open_orders", "bound.orders"),
        ("max_order_amount: {ROGER: 999}", "max_order_amount: {ROGER: 1000}", "max_order_amount.ROGER", "bound.amount"),
        ("max_order_rate: 11/10s", "max_order_rate: 12/10s", "max_order_rate", "bound.rate"),
        ("max_cancel_rate: 5/9s", "max_cancel_rate: 6/9s", "max_cancel_rate", "bound.rate"),
        ("max_position: {ROGER: 2999}", "max_position: {ROGER: 3000}", "max_position.ROGER", "bound.position"),
        ("min_position: {ROGER: -2999}", "min_position: {ROGER: -3000}", "min_position.ROGER", "bound.position"),
    ],
)
def test_a_limit_without_room_is_told_at_its_place_with_what_is_enough(
    frank: str, folder: Path, line: str, enough: str, path: str, code: str
) -> None:
    text = with_risk(frank, line)
    found = problems(text, folder)
    assert {(problem.path, problem.code) for problem in found} == {(f"risk.{path}", code)}
    where = 1 + text.splitlines().index(f"  {line}")
    # At the amount of a map, and at the value of a key.
    column = 3 + line.rindex(":") + 2
    assert {(problem.line, problem.column) for problem in found} == {(where, column)}
    assert all("or a lower quantity or levels" in problem.fix for problem in found)
    spec(with_risk(frank, enough), folder)


def test_what_the_run_begins_with_counts(frank: str, folder: Path) -> None:
    begins = frank.replace("on_stop: cancel", "on_stop: cancel, initial_position: {ROGER: 500}")
    (problem,) = problems(with_risk(begins, "max_position: {ROGER: 3000}"), folder)
    assert "3500 ROGER" in problem.message
    spec(with_risk(begins, "max_position: {ROGER: 3500}"), folder)
    spec(with_risk(begins, "max_position: {ROGER: 3500}", "min_position: {ROGER: -2500}"), folder)


@pytest.mark.parametrize(
    ("lies", "told"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("7", "TypeError"),
        ("[1]", "returns `1`"),
        ("[Demand(side=Side.BUY, orders=1, quantity=float('nan'))]", "returns `Demand("),
        ("[Demand(side=Side.BUY, orders=1, quantity=float('inf'))]", "returns `Demand("),
        ("[Demand(side=Side.BUY, orders=-1, quantity=1)]", "returns `Demand("),
        ("[Demand(side='buy', orders=1, quantity=1)]", "returns `Demand("),
        ("[Demand(side=Side.BUY, orders=1, quantity=1, market='LTC-BTC')]", "returns `Demand("),
        ("[Demand(side=Side.BUY, orders=1, quantity=1, every=0)]", "returns `Demand("),
    ],
)
def test_a_strategy_that_says_nonsense_is_told(frank: str, folder: Path, lies: str, told: str) -> None:
    (problem,) = problems(frank.replace("levels: 3", f'levels: 3\n    lies: "{lies}"'), folder)
    assert problem.code == "strategy.demands"
    assert told in problem.message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    levels=st.integers(1, 5),
    quantity=st.decimals("1", "5000", places=2),
    limit=st.decimals("1", "20000", places=2),
    held=st.decimals("-5000", "5000", places=2),
    orders=st.integers(0, 12),
)
def test_a_file_is_refused_exactly_where_its_worst_case_breaks_a_limit(
    frank: str, folder: Path, levels: int, quantity: Decimal, limit: Decimal, held: Decimal, orders: int
) -> None:
    text = with_risk(frank, f"max_position: {{ROGER: {limit}}}", f"max_open_orders: {orders}")
    text = text.replace("levels: 3", f"levels: {levels}").replace("quantity: 1000", f"quantity: {quantity}")
    text = text.replace("on_stop: cancel", f"on_stop: cancel, initial_position: {{ROGER: {held}}}")
    found = result(text, folder)
    codes = {problem.code for problem in found if isinstance(problem, Problem)} if isinstance(found, tuple) else set()
    reach = max(held + levels * quantity, -(held - levels * quantity))
    expected = {"bound.position"} if reach > limit else set()
    assert codes == expected | ({"bound.orders"} if 2 * levels > orders else set())


# What needs a price ---------------------------------------------------------------------------------------

MARKET = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)
MARKETS = {"ROGER-BTC": MARKET}


def ladder(orders: int, quantity: float, bid: float | None, ask: float | None) -> list[Demand]:
    return [
        Demand(side=side, orders=orders, quantity=quantity, price_max=most)
        for side, most in ((Side.BUY, bid), (Side.SELL, ask))
    ]


@given(
    orders=st.integers(1, 20),
    quantity=st.integers(1, 10**6),
    mid=st.decimals("0.00000001", "1", places=8),
    limit=st.decimals("0", "100", places=8),
    ask=st.sampled_from([1.0, 1.25, 1.5]),
)
def test_worth_is_that_of_the_dearest_order_and_the_dearer_side(
    orders: int, quantity: int, mid: Decimal, limit: Decimal, ask: float
) -> None:
    dearest = mid * quantity * Decimal(str(ask))
    demands = ladder(orders, quantity, 0.75, ask)
    mids: Mapping[str, Decimal] = {"ROGER-BTC": mid}
    one = without_room(demands, Limits(max_order_notional={"BTC": limit}), MARKETS, mids, "ROGER-BTC")
    side = without_room(demands, Limits(max_open_notional={"BTC": limit}), MARKETS, mids, "ROGER-BTC")
    assert (one is not None) == (dearest > limit)
    assert (side is not None) == (dearest * orders > limit)
    if side is not None:
        assert (side.key, side.limit) == ("risk.max_open_notional.BTC", limit)
        assert side.worst > limit


def test_nothing_is_said_without_a_price() -> None:
    limits = Limits(max_order_notional={"BTC": Decimal(0)})
    assert without_room(ladder(1, 1, 1, 1), limits, MARKETS, {}, "ROGER-BTC") is None
    assert without_room(ladder(1, 1, None, None), limits, MARKETS, {"ROGER-BTC": Decimal(1)}, "ROGER-BTC") is None
