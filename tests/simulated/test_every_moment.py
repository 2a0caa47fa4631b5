"""A busy run, interrupted at every moment that it has: a crash at each commit, a stop or a failure at each event.

The run is the same one every time (one seed is one run), so a moment is a number. The quick form takes every so many
moments; `STRIDE=1` in the environment takes them all.
"""

import os
from collections.abc import Sequence
from typing import Annotated

import pytest
from msgspec.structs import replace
from test_faults_in_turn import SETTINGS, nothing_left, ours_agree

from runner.engine.strategy import Decision, Field, State
from runner.engine.view import View
from runner.model.command import Change
from runner.model.event import JournalFailed, StopRequested, What
from runner.model.ids import parse_client_id
from runner.model.settings import SECOND
from runner.run.chaos.world import START, Faults, World
from runner.simulation.journal import Memory
from runner.simulation.markets import SANDBOX_LISTINGS
from strategies.pure_market_making import PureMarketMaking

BUSY_FOR = 12.0
HELD = ("", "auth_delay=3s", "act_delay=3s")  # where a create hangs when it happens: before or after it is authorised
CALM = Faults(latency=(0.01, 0.02))


class Halt(BaseException):
    """Not an Exception: nobody on the way may think that it can deal with it."""


class Recorded(Memory):
    """Keeps what the journal held after each commit, and can end the world right after one of them."""

    def __init__(self, epoch: int, halt_at: int | None = None) -> None:
        super().__init__(epoch)
        self.halt_at = halt_at
        self.copies: list[Memory] = [self.copy()]

    def commit(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        super().commit(changes)
        self.copies.append(self.copy())
        if len(self.copies) - 1 == self.halt_at:
            raise Halt


class Moments(World):
    """A world that is asked for something at its event number `at`."""

    at: int | None = None
    request: What

    def deliver(self, what: What) -> None:
        super().deliver(what)
        if self.at is not None and self.finish is None and len(self.log) >= self.at:
            self.at = None
            super().deliver(self.request)


def stride(quick: int) -> int:
    return int(os.environ.get("STRIDE", quick))


def busy(held: str = "") -> Moments:
    each = Moments("moments", SETTINGS, PureMarketMaking, CALM, listings=SANDBOX_LISTINGS[:1])
    if held:
        each.switch(f"{held},chance=0.5")
    return each


def interrupted(held: str, commit: int) -> tuple[Moments, Recorded]:
    """The run up to and including one commit: nothing of that output has been sent."""
    each = busy(held)
    journal = Recorded(each.journal.epoch, commit)
    each.journal = journal
    with pytest.raises(Halt):
        each.run_for(BUSY_FOR + 60)
    journal.halt_at = None
    each.crash()
    return each, journal


def commits(held: str) -> int:
    each = busy(held)
    journal = Recorded(each.journal.epoch)
    each.journal = journal
    each.run_for(BUSY_FOR)
    return len(journal.copies) - 1


def ended(each: World) -> int:
    each.run_for(15)
    each.server.exchange.faults.switch_off()
    if each.finish is None:
        each.stop()
        each.run_for(200)
    assert each.finish is not None, "the stop has no end"
    return each.finish.exit_code


def names(each: World) -> list[str]:
    rows = each.venue_orders().values()
    return [row["client_id"] for row in rows if row["client_id"] and parse_client_id(row["client_id"])]


@pytest.mark.slow
@pytest.mark.parametrize("held", HELD)
def test_a_crash_after_any_commit_loses_nothing_and_leaves_nothing(held: str) -> None:
    last = commits(held)
    assert last > 20
    for commit in range(1, last + 1, stride(last // 5)):
        each, _ = interrupted(held, commit)
        assert ended(each) == 0, (commit, each.finish)
        ours_agree(each)
        nothing_left(each)
        assert len(names(each)) == len(set(names(each))), commit


@pytest.mark.slow
@pytest.mark.parametrize("back", [1, 4, 20])
@pytest.mark.parametrize("held", HELD)
def test_a_journal_rolled_back_is_noticed_or_does_no_harm(held: str, back: int) -> None:
    last = commits(held)
    for commit in range(back, last + 1, stride(last // 3)):
        each, journal = interrupted(held, commit)
        each.journal = journal.copies[commit - back]
        newer = set(journal.orders) - set(each.journal.orders)
        code = ended(each)
        assert code in {0, 7}, (commit, each.finish)
        open_rows = [row for row in each.venue_orders().values() if row["state"] in {"pending", "wait"}]
        ours = [row["client_id"] for row in open_rows if row["client_id"]]
        assert len(ours) == len(set(ours)), (commit, "two orders under one name are at work")
        if code == 0:
            nothing_left(each)
        else:
            assert newer, (commit, "nothing was missing from the journal", each.finish)


@pytest.mark.slow
@pytest.mark.parametrize("held", HELD)
@pytest.mark.parametrize("minutes", [0, 5])
def test_a_journal_that_is_gone_puts_no_name_at_the_venue_twice(held: str, minutes: int) -> None:
    """Within the same minute the new journal has the old one's epoch, so it is an older copy of it: an empty one."""
    last = commits(held)
    for commit in range(last // 3, last + 1, stride(last // 3)):
        each, journal = interrupted(held, commit)
        each.journal = Memory(journal.epoch + minutes)
        code = ended(each)
        assert code in {0, 7, 8}, (commit, each.finish)
        assert code != 7 or not minutes or "journal" not in each.finish.reason
        if minutes:
            assert len(names(each)) == len(set(names(each))), commit
        if code == 0:
            nothing_left(each)


def at_every_event(request: What, held: str, quick: int) -> list[tuple[int, Moments]]:
    each = busy(held)
    each.run_for(BUSY_FOR)
    ends = []
    for index in range(6, len(each.log) + 1, stride(len(each.log) // quick)):
        each = busy(held)
        each.at, each.request = index, request
        each.run_for(BUSY_FOR)
        each.server.exchange.faults.switch_off()
        each.run_for(200)
        assert each.finish is not None, (index, "the stop has no end")
        ends.append((index, each))
    return ends


@pytest.mark.slow
@pytest.mark.parametrize("held", HELD)
def test_a_stop_at_any_event_is_clean(held: str) -> None:
    for index, each in at_every_event(StopRequested("signal"), held, 5):
        assert each.finish is not None
        assert each.finish.exit_code == 0, (index, each.finish)
        ours_agree(each)
        nothing_left(each)


@pytest.mark.slow
def test_a_journal_that_fails_at_any_event_ends_with_nothing_at_work() -> None:
    for index, each in at_every_event(JournalFailed("disk full"), "", 5):
        assert each.finish is not None
        assert each.finish.exit_code == 7, (index, each.finish)
        nothing_left(each)


class Fails(PureMarketMaking, frozen=True):
    """Market making up to some moment, then a mistake."""

    fails_after: Annotated[float, Field("seconds from the start", min="0", max="1000")] = 0.0

    def tick(self, view: View, state: State) -> Decision:
        if view.time >= START + self.fails_after * SECOND:
            raise ZeroDivisionError("half of nothing")
        return super().tick(view, state)


@pytest.mark.slow
@pytest.mark.parametrize("held", HELD)
def test_a_strategy_that_fails_at_any_time_ends_with_nothing_at_work(held: str) -> None:
    for tenth in range(5, int(BUSY_FOR * 10), stride(40)):
        fails = replace(SETTINGS, params={**SETTINGS.params, "fails_after": str(tenth / 10)})
        each = Moments("moments", fails, Fails, CALM, listings=SANDBOX_LISTINGS[:1])
        if held:
            each.switch(f"{held},chance=0.5")
        each.run_for(BUSY_FOR)
        each.server.exchange.faults.switch_off()
        each.run_for(200)
        assert each.finish is not None
        assert each.finish.exit_code == 1, (tenth, each.finish)
        ours_agree(each)
        nothing_left(each)
