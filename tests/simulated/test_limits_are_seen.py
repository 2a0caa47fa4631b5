"""An engine that was not told of a limit passes it, and the laws, which were, see that."""

from decimal import Decimal
from typing import Any

import pytest
from climates import plan
from msgspec.structs import replace

from runner.model.settings import Limits
from runner.run.chaos.play import _Play
from runner.simulation.bounds import BOUNDS

TIGHT: dict[str, Any] = {
    "max_open_orders": 1,
    "max_order_notional": {"BTC": Decimal("0.001")},
    "max_position": {"ROGER": Decimal(100)},
    "max_order_amount": {"ROGER": Decimal(100)},
    "min_order_notional": {"BTC": Decimal(1)},
    "min_position": {"ROGER": Decimal(0)},
}
"""Of each limit a value that the strategies of `climates` pass at once: 500 ROGER an order, which are 0.025 BTC."""


def broken(name: str, *, told: bool) -> list[str]:
    limits = Limits(**{name: TIGHT[name]})
    calm = plan(0, 1.0, without=("",))
    played = _Play(1, replace(calm, settings=replace(calm.settings, limits=limits if told else Limits())))
    laws = played.world.laws
    laws._account = replace(laws._account, limits=limits)
    return [found.violation.law for found in played.to_the_end().tally.found]


@pytest.mark.slow
@pytest.mark.parametrize("name", BOUNDS)
def test_a_limit_that_is_passed_is_seen(name: str) -> None:
    assert broken(name, told=False) == ["limits"]
    assert broken(name, told=True) == []
