"""What the commands beside a run make of a journal."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from loopback.line import spec_of, strategy_text

from runner.edge.journal import Journal
from runner.edge.lock import Lock
from runner.model.command import Decided, LatchSet, OrderChanged
from runner.model.latch import Latch
from runner.model.order import Order, OrderState, Side
from runner.run.aside import explain, standing

NOON = 1_700_000_000 * 10**9
TAG = "ABCDEF"
SPEC = spec_of(strategy_text())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    path = tmp_path / "sandbox" / "run-1" / "journal.sqlite3"
    with Journal.open(path, now=NOON, name=SPEC.settings.name, tag=TAG) as opened:
        opened.begin_run("run-1", NOON, {})
        yield opened


def intended(name: str, created: int, state: OrderState = OrderState.INTENDED) -> Order:
    return Order(
        client_id=name,
        slot="bid-1",
        generation=0,
        market="ROGER-BTC",
        side=Side.BUY,
        ticks=5000,
        lots=10_000,
        state=state,
        created=created,
        changed=created,
        event=1,
        sign_before=0,
        reason="as told",
    )


def test_the_newest_order_of_a_slot_is_the_one_that_was_made_last(tmp_path: Path, journal: Journal) -> None:
    """An order that was taken over from an earlier journal is written down after newer ones of ours."""
    newest, older = intended("RABCDEF00002-BID-1-0", NOON), intended("RABCDEF00001-BID-1-9", NOON - 60 * 10**9)
    journal.commit(1, NOON, [OrderChanged(newest)])
    journal.commit(2, NOON + 1, [OrderChanged(older)])
    told = explain(SPEC, {"RUNNER_STATE_DIR": str(tmp_path)}, "bid-1")
    assert newest.client_id in told[0].what


def test_orders_on_their_way_are_unproven_once_their_run_is_dead(tmp_path: Path, journal: Journal) -> None:
    sent = intended("RABCDEF00001-BID-1-0", NOON)
    journal.commit(1, NOON, [OrderChanged(sent), Decided("mid moved")])
    environment = {"RUNNER_STATE_DIR": str(tmp_path)}
    with Lock.acquire(journal.path.with_name("lock"), now=NOON):
        alive = standing(SPEC, environment)
    dead = standing(SPEC, environment)
    assert [(one.running, one.unknown_orders, one.open_orders) for one in (alive, dead)] == [
        (True, 0, 1),
        (False, 1, 1),
    ]
    assert (dead.exit_code, dead.reason) == (None, "mid moved")
    assert "orders    1 open, 1 of them unproven" in dead.text().splitlines()
    assert "decided   mid moved" in dead.text().splitlines()


def test_latches_that_stand_are_shown(tmp_path: Path, journal: Journal) -> None:
    journal.commit(1, NOON, [LatchSet(Latch("max_drawdown", "halt", NOON, "lost 2 of 1 BTC"))])
    shown = standing(SPEC, {"RUNNER_STATE_DIR": str(tmp_path)})
    assert shown.latches == ("max_drawdown: lost 2 of 1 BTC",)
    assert "latch     max_drawdown: lost 2 of 1 BTC" in shown.text().splitlines()


def test_an_ended_run_says_why_it_ended(tmp_path: Path, journal: Journal) -> None:
    journal.commit(1, NOON, [Decided("mid moved")])
    journal.end_run(NOON + 10**9, {"exit_code": 0, "stopped_by": "time", "reason": "time"})
    ended = standing(SPEC, {"RUNNER_STATE_DIR": str(tmp_path)})
    assert (ended.running, ended.exit_code, ended.reason) == (False, 0, "time")
    assert "reason    time" in ended.text().splitlines()
