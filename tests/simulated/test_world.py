"""Hours of trading against the exchange's own truth, without a socket: clean, with faults, with crashes."""

from collections import Counter

import pytest

from runner.model.event import What
from runner.model.order import OrderState
from runner.model.settings import SECOND, Limits, Settings, TickPolicy
from runner.run.chaos.ending import conclude
from runner.run.chaos.world import Faults, World
from runner.simulation.laws import REPEATED
from runner.simulation.markets import SANDBOX_BALANCES
from strategies.pure_market_making import PureMarketMaking

PARAMS = {
    "bid_spread": "25bps",
    "ask_spread": "25bps",
    "order_amount": "500 ROGER",
    "order_levels": 2,
    "order_level_spread": "10bps",
    "order_refresh_time": "5s",
    "order_refresh_tolerance_pct": "2bps",
    "inventory_skew": "2bps",
}
SETTINGS = Settings(
    name="simulated",
    tag="ABCDEF",
    markets=("ROGER-BTC",),
    strategy="pure_market_making",
    params=PARAMS,
    tick=TickPolicy(every=SECOND, when=("book", "fill"), at_most_every=SECOND // 4),
    limits=Limits(max_open_orders=8),
)
FAULTS = Faults(answer_lost=0.05, request_lost=0.05, late=0.05, private_drop=1 / 60, public_drop=1 / 60)


def world(seed: str, faults: Faults | None = None) -> World:
    return World(seed, SETTINGS, PureMarketMaking, faults)


BEFORE = {currency: SANDBOX_BALANCES[currency] for currency in ("ROGER", "BTC")}


def settle_down(each: World) -> None:
    """Stop, let the stop take its time, and see that it is as clean as it says."""
    each.stop()
    each.run_for(200)
    assert conclude(each, BEFORE) == []
    assert set(each.journal.fills) == each.venue_fills()


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["one", "two"])
def test_ten_minutes_of_good_weather(seed: str) -> None:
    each = world(seed)
    before = each.balances()
    each.run_for(300)
    assert len(each.journal.fills) > 5
    settle_down(each)
    assert each.finish is not None
    assert each.finish.exit_code == 0, each.finish
    ledger = each.engine.account.ledger
    after = each.balances()
    assert {c: after[c] - before[c] for c in ("ROGER", "BTC")} == {c: ledger.position(c) for c in ("ROGER", "BTC")}
    assert all(order.state is not OrderState.UNKNOWN for order in each.journal.orders.values())


@pytest.mark.slow
@pytest.mark.parametrize("seed", [f"storm {number}" for number in range(6)])
def test_lost_answers_cut_sockets_and_crashes(seed: str) -> None:
    each = world(seed, FAULTS)
    for _ in range(3):
        each.run_for(each.dice.between(60, 200))
        each.crash()
    each.run_for(60)
    settle_down(each)
    assert each.ambiguous > 0
    assert each.finish is not None
    assert each.finish.exit_code == 0, each.finish


class Asked(World):
    """A world in which it is looked at after every event whether anything of the account is missing."""

    def __init__(self, seed: str) -> None:
        self.seen: Counter[bool] = Counter()
        super().__init__(seed, SETTINGS, PureMarketMaking, FAULTS)

    def deliver(self, what: What) -> None:
        super().deliver(what)
        if self.engine.markets:
            known = self.engine.account.known
            assert known == (next(self.engine.account.missing(), None) is None), what
            self.seen[known] += 1


def test_nothing_is_missing_exactly_when_everything_is_known() -> None:
    each = Asked("asked")
    for _ in range(2):
        each.run_for(30)
        each.crash()
    each.run_for(30)
    assert min(each.seen[True], each.seen[False]) > 10


def test_a_create_is_excused_when_a_proxy_did_repeat_it_and_no_other_is() -> None:
    each = world("a proxy")
    each.switch("act_delay=8s")
    each.run_for(3)
    held_up = set(each.laws.sent)
    each.switch("twice=first,times=1")  # after they were sent, before they are carried out
    each.run_for(60)
    assert len(held_up) > 1
    repeated = {name for name, why in each.laws.excused.items() if why == REPEATED}
    assert len(repeated) == 1
    assert repeated <= held_up
    assert each.laws.extras == 1
    assert each.laws.violations == []
