"""orders.md rule 9: the latch of a late order is in the journal, and a later run is told of it."""

from pathlib import Path

from desk import EPOCH, START, TAG, Desk, held, name, row
from msgspec.structs import replace

from runner.edge.journal import Journal
from runner.model.command import Cancel, LatchLifted, LatchSet, Place
from runner.model.event import OrderNews, Restored, StreamUp
from runner.model.exits import Exit
from runner.model.latch import LATE_ORDER, Latch
from runner.model.order import OrderState

LATCH = Latch(LATE_ORDER, "halt_and_cancel", START, "it turned up", name())


def test_rule_09_a_latch_stands_until_lifted(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal.open(path, now=START, name="rules", tag=TAG) as journal:
        assert journal.restore().latches == ()
        journal.begin_run("one", START, {})
        journal.commit(1, START, [LatchSet(LATCH)])
        journal.commit(2, START, [LatchSet(replace(LATCH, client_id=name("ask")))])
    with Journal.open(path, now=START, name="rules", tag=TAG) as journal:
        restored = journal.restore()
    assert restored.latches == (LATCH,)
    desk = Desk(
        restored=Restored(EPOCH, (held(1, OrderState.OPEN),), {"bid": 0}, latches=restored.latches), ready=False
    )
    desk.give(StreamUp("private", ("order", "trade", "balance")))
    desk.give(OrderNews(row(name(), 1)))
    assert [note.facts["latch"] for note in desk.said("latch.stands")] == ["late_order"]
    assert desk.asked(Place) == []
    assert [cancel.client_id for cancel in desk.asked(Cancel)] == [name()]
    assert desk.engine.stop is not None
    assert desk.engine.stop.exit_code == Exit.RISK
    with Journal.open(path, now=START, name="rules", tag=TAG) as journal:
        journal.commit(3, START, [LatchLifted("late_order")])
        assert journal.restore().latches == ()
