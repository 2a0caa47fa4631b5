"""orders.md rule 9: the latch of a late order is in the journal, and a later run is told of it."""

from pathlib import Path

from desk import EPOCH, START, TAG, Desk, name

from runner.edge.journal import Journal
from runner.model.command import LatchSet
from runner.model.event import Restored


def test_rule_09_a_latch_stands_until_lifted(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with Journal.open(path, now=START, name="rules", tag=TAG) as journal:
        assert journal.restore().latches == ()
        journal.begin_run("one", START, {})
        journal.commit(1, START, [LatchSet("late_order", name())])
        journal.commit(2, START, [LatchSet("late_order", name("ask"))])
    with Journal.open(path, now=START, name="rules", tag=TAG) as journal:
        restored = journal.restore()
    assert restored.latches == ("late_order",)
    desk = Desk(restored=Restored(EPOCH, latches=restored.latches))
    assert [note.facts["latch"] for note in desk.said("latch.stands")] == ["late_order"]
