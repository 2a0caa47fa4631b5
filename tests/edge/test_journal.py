import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from runner.edge import journal_tables
from runner.edge.journal import DEFERRED_MAX, TOMBSTONE_AGE_MAX, Journal, JournalError, Step
from runner.edge.journal_file import JournalUnusable
from runner.model.beginning import Beginning
from runner.model.command import Began, Change, Decided, FillBooked, Note, OrderChanged, StateChanged
from runner.model.event import Restored
from runner.model.ids import client_id
from runner.model.market import Market
from runner.model.order import Fill, Order, OrderState, Role, Side
from runner.model.settings import SECOND

NOW = 1_700_000_000 * SECOND
TAG = "ABCDEF"
SLOTS = ("bid-1", "ask-1", "once")

ROGER = Market(
    id="rogerbtc",
    base="ROGER",
    quote="BTC",
    price_precision=8,
    amount_precision=2,
    price_min=Decimal("0.00000001"),
    quantity_min=Decimal(1),
)


def open_journal(path: Path, now: int = NOW) -> Journal:
    return Journal.open(path, now=now, name="maker", tag=TAG)


def intent(journal: Journal, slot: str = "bid-1", generation: int = 1, time: int = NOW) -> Order:
    return Order(
        client_id=client_id(TAG, journal.epoch, slot, generation),
        slot=slot,
        generation=generation,
        market="ROGER-BTC",
        side=Side.SELL if slot == "ask-1" else Side.BUY,
        ticks=5012,
        lots=100_050,
        state=OrderState.INTENDED,
        created=time,
        changed=time,
        event=7,
        sign_before=time // 1_000_000,
        repeat=slot != "once",
        reason="centre 0.00005012",
    )


def fill_of(order: Order, trade_id: int, order_id: int = 1, lots: int = 10) -> Fill:
    return Fill(
        trade_id=trade_id,
        order_id=order_id,
        client_id=order.client_id,
        market=order.market,
        side=order.side,
        ticks=5012,
        lots=lots,
        role=Role.MAKER,
        fee=Decimal("0.0250"),
        fee_currency="ROGER",
        time=NOW,
        traded_at=NOW // SECOND,
    )


# A new journal ------------------------------------------------------------------------------------------------


def test_a_new_journal_knows_nothing_but_its_minute(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal:
        assert journal.epoch == NOW // (60 * SECOND)
        assert journal.restore() == Restored(epoch=journal.epoch, began=None)
    with open_journal(tmp_path / "journal", now=NOW + 3600 * SECOND) as journal:
        assert journal.epoch == NOW // (60 * SECOND)


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    for _ in ("begun", "opened again"):  # how it syncs is not in the file, each connection has to ask for it
        with open_journal(tmp_path / "journal") as journal:
            query = journal._connection.execute
            assert query("PRAGMA synchronous").fetchone() == (2,)  # FULL: the log is synced at every COMMIT
            assert query("PRAGMA journal_mode").fetchone() == ("wal",)
            assert journal._connection.isolation_level is None


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with open_journal(tmp_path / "deep" / "folder" / "journal") as journal:
            journal.commit(1, NOW, [Decided("to have a -wal and a -shm file")])
            files = sorted((tmp_path / "deep" / "folder").iterdir())
            assert [file.name for file in files] == ["journal", "journal-shm", "journal-wal"]
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
            assert (tmp_path / "deep" / "folder").stat().st_mode & 0o777 == 0o700
            assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)


# Files that are not ours --------------------------------------------------------------------------------------


def _text(path: Path) -> None:
    path.write_text("dear diary, " * 100)


def _other_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE diary (entry TEXT)")
    connection.close()


def _newer(path: Path) -> None:
    open_journal(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {journal_tables.SCHEMA_VERSION + 1}")
    connection.close()


def test_a_file_of_before_the_beginning_was_kept_goes_on_with_what_it_knows(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    open_journal(path).close()
    connection = sqlite3.connect(path)
    for table in ("beginning", "risk", "latches"):
        connection.execute(f"DROP TABLE {table}")
    connection.execute("CREATE TABLE latches (name TEXT PRIMARY KEY, run, event, time, facts)")
    connection.execute("INSERT INTO latches VALUES ('late_order', NULL, 3, 17, '{\"client_id\":\"R1\"}')")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    with pytest.raises(JournalUnusable, match="the next run brings it up to date"):
        Journal.read_only(path)
    for _ in range(2):
        with open_journal(path) as journal:
            assert journal.beginning() == Beginning("first")
            (latch,) = journal.restore().latches
            assert (latch.name, latch.action, latch.since) == ("late_order", "halt_and_cancel", 17)
            assert latch.client_id == "R1"


def _without_identity(path: Path) -> None:
    open_journal(path).close()
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM meta")
    connection.commit()
    connection.close()


def _of_another_strategy(path: Path) -> None:
    Journal.open(path, now=NOW, name="taker", tag=TAG).close()


def _of_another_account(path: Path) -> None:
    Journal.open(path, now=NOW, name="maker", tag="ZZZZZZ").close()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_text, "cannot be read as a journal"),
        (_other_database, "database of another program"),
        (_newer, "schema 3; this one reads 2"),
        (_without_identity, "cannot be read as a journal"),
        (_of_another_strategy, "strategy 'taker'"),
        (_of_another_account, "tag ZZZZZZ"),
    ],
)
def test_a_file_that_is_not_this_journal_is_refused_and_kept(
    tmp_path: Path, make: Callable[[Path], None], words: str
) -> None:
    path = tmp_path / "journal"
    make(path)
    content = path.read_bytes()
    with pytest.raises(JournalUnusable, match=words) as refusal:
        open_journal(path)
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_in_its_place_and_a_file_in_its_folders_place_are_refused(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir()
    with pytest.raises(JournalUnusable, match="cannot be opened"):
        open_journal(tmp_path / "journal")
    (tmp_path / "file").touch()
    with pytest.raises(JournalUnusable, match="cannot be opened"):
        open_journal(tmp_path / "file" / "journal")


def test_an_empty_file_is_a_new_journal(tmp_path: Path) -> None:
    (tmp_path / "journal").touch()  # a crash between the first two system calls of `open`
    with open_journal(tmp_path / "journal") as journal:
        assert journal.restore() == Restored(epoch=journal.epoch, began=None)


@pytest.mark.slow
@given(place=st.floats(0, 1, exclude_max=True), junk=st.binary(min_size=1, max_size=2000))
@settings(max_examples=40)
def test_a_damaged_file_is_refused_in_words(place: float, junk: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        with open_journal(path) as journal:
            for generation in range(50):
                order = intent(journal, generation=generation)
                journal.commit(1, NOW, [OrderChanged(order), FillBooked(fill_of(order, generation))])
        content = bytearray(path.read_bytes())
        begin = int(place * len(content))
        content[begin : begin + len(junk)] = junk
        path.write_bytes(content)
        try:
            with open_journal(path) as journal:
                journal.restore()
        except JournalUnusable as refusal:
            assert str(path) in str(refusal)  # noqa: PT017 - damage may also hit what nobody reads


# What a restart finds -----------------------------------------------------------------------------------------


def test_a_name_is_used_once(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal:
        first = intent(journal)
        journal.commit(1, NOW, [OrderChanged(first)])
        journal.commit(2, NOW, [OrderChanged(replace(first, state=OrderState.OPEN, venue_ids=(4,)))])
        before = journal.restore()
        with pytest.raises(JournalError, match="used before"):
            journal.commit(3, NOW + 1, [StateChanged("{}"), OrderChanged(intent(journal, time=NOW + 1))])
        assert journal.restore() == before


def test_absent_orders_are_remembered_for_ever_and_other_ended_ones_for_a_while(tmp_path: Path) -> None:
    ended = (OrderState.FILLED, OrderState.CANCELLED, OrderState.REJECTED, OrderState.ABSENT)
    with open_journal(tmp_path / "journal") as journal:
        orders = [
            replace(intent(journal, generation=number), state=state, changed=NOW + number)
            for number, state in enumerate((*ended, OrderState.OPEN, OrderState.UNKNOWN))
        ]
        journal.commit(1, NOW, [OrderChanged(order) for order in orders])
    with open_journal(tmp_path / "journal", now=NOW + TOMBSTONE_AGE_MAX) as journal:
        assert journal.restore().orders == tuple(orders)
    with open_journal(tmp_path / "journal", now=NOW + TOMBSTONE_AGE_MAX + 1) as journal:
        assert journal.restore().orders == tuple(orders[1:])
    with open_journal(tmp_path / "journal", now=NOW + 2 * TOMBSTONE_AGE_MAX) as journal:
        assert journal.restore().orders == tuple(orders[3:])
        assert journal.orders() == tuple(orders)


def test_a_fee_that_became_final_replaces_the_provisional_one_in_its_place(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal:
        order = intent(journal)
        first, second = fill_of(order, 900), fill_of(order, 800)
        final = replace(first, fee=Decimal("0.02512500"), fee_final=True)
        journal.commit(1, NOW, [FillBooked(first), FillBooked(second), FillBooked(final)])
        assert journal.restore().fills == (final, second)
        assert str(journal.fills()[0].fee) == "0.02512500"


def test_the_history_tells_every_step(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal:
        order = intent(journal)
        journal.begin_run("run-a", NOW, {"version": "0.1.0"})
        journal.commit(4, NOW, [OrderChanged(order)])
        journal.end_run(NOW + 1, {"stopped_by": "signal"})
        journal.begin_run("run-b", NOW + 2, {})
        cancelled = replace(order, state=OrderState.CANCELLED, filled_lots=3, executed_lots=3, reason="stop")
        journal.commit(5, NOW + 3, [OrderChanged(cancelled)])
        assert journal.history(order.client_id) == (
            Step("run-a", 4, NOW, OrderState.INTENDED, 0, 0, "centre 0.00005012"),
            Step("run-b", 5, NOW + 3, OrderState.CANCELLED, 3, 3, "stop"),
        )
        assert journal.history("nobody's") == ()
        runs = journal._connection.execute("SELECT id, started, facts, ended, outcome FROM runs").fetchall()
        assert runs == [
            ("run-a", NOW, '{"version":"0.1.0"}', NOW + 1, '{"stopped_by":"signal"}'),
            ("run-b", NOW + 2, "{}", None, None),
        ]


def test_notes_are_kept_unless_they_are_for_debugging(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal:
        journal.commit(3, NOW, [], [Note("gate.refused", "warning", facts={"limit": 1.5}), Note("tick.kept", "debug")])
        rows = journal._connection.execute("SELECT event, what, level, facts FROM notes").fetchall()
        assert rows == [(3, "gate.refused", "warning", '{"limit":1.5}')]


@given(ticks=st.none() | st.integers(1, 10**15), lots=st.integers(1, 10**15))
@settings(max_examples=30)
def test_a_person_reads_exact_decimals(ticks: int | None, lots: int) -> None:
    with tempfile.TemporaryDirectory() as folder, open_journal(Path(folder, "journal")) as journal:
        order = replace(intent(journal), ticks=ticks, lots=lots)
        journal.commit(1, NOW, [OrderChanged(order)])
        read = "SELECT price, quantity, created FROM order_list"
        assert journal._connection.execute(read).fetchone() == (None, None, "2023-11-14T22:13:20.000Z")
        journal.keep_grids([ROGER])
        price, quantity, _ = journal._connection.execute(read).fetchone()
        assert price is None if ticks is None else Decimal(price) == ROGER.price(ticks)
        assert Decimal(quantity) == ROGER.quantity(lots)


def test_a_market_with_another_grid_is_refused(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal:
        journal.keep_grids([ROGER])
        journal.keep_grids([ROGER])
        finer = replace(ROGER, price_precision=6)
        with pytest.raises(JournalUnusable, match="ROGER-BTC has 6 price and 2 quantity decimals now"):
            journal.keep_grids([replace(ROGER, base="DOGE"), finer])
        assert journal._connection.execute("SELECT symbol FROM markets").fetchall() == [("ROGER-BTC",)]


# What may wait ------------------------------------------------------------------------------------------------


def count(journal: Journal, table: str) -> int:
    """As somebody else sees it: committed rows only."""
    with contextlib.closing(sqlite3.connect(journal.path)) as connection:
        (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert isinstance(number, int)
    return number


def test_what_was_deferred_rides_with_the_next_commit(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal:
        journal.defer(1, NOW, [Decided("kept: within tolerance")], [Note("tick.kept")])
        assert (count(journal, "decisions"), count(journal, "notes")) == (0, 0)
        journal.commit(2, NOW, [Decided("placed")])
        events = journal._connection.execute("SELECT event, reason FROM decisions").fetchall()
        assert events == [(1, "kept: within tolerance"), (2, "placed")]
        assert count(journal, "notes") == 1
        journal.flush()
        assert count(journal, "decisions") == 2


@pytest.mark.parametrize("end", [Journal.flush, Journal.close, lambda journal: journal.end_run(NOW, {})])
def test_what_was_deferred_is_written_by_flush_and_by_every_end(tmp_path: Path, end: Callable[[Journal], None]) -> None:
    with open_journal(tmp_path / "journal") as journal:
        journal.begin_run("run", NOW, {})
        journal.defer(1, NOW, [Decided("kept")])
        end(journal)
        assert count(journal, "decisions") == 1


def test_deferring_has_an_end(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal:
        for number in range(DEFERRED_MAX + 1):
            journal.defer(number, NOW, [Decided("kept")])
        assert count(journal, "decisions") == DEFERRED_MAX


# Looking on ---------------------------------------------------------------------------------------------------


def test_a_reader_sees_what_is_committed_and_changes_nothing(tmp_path: Path) -> None:
    with open_journal(tmp_path / "journal") as journal, Journal.read_only(journal.path) as reader:
        assert (reader.name, reader.tag, reader.epoch) == ("maker", TAG, journal.epoch)
        order = intent(journal)
        journal.commit(1, NOW, [OrderChanged(order), FillBooked(fill_of(order, 5))])
        assert reader.orders() == (order,)
        assert reader.restore() == journal.restore()
        with pytest.raises(JournalError, match="readonly"):
            reader.commit(2, NOW, [Decided("not mine to write")])


def test_a_reader_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(JournalUnusable, match="there is no journal"):
        Journal.read_only(tmp_path / "folder" / "journal")
    (tmp_path / "journal").touch()
    with pytest.raises(JournalUnusable, match="is empty"):
        Journal.read_only(tmp_path / "journal")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "journal"]
    assert (tmp_path / "journal").stat().st_size == 0


# A full disk --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def full_disk(journal: Journal, pages_left: int) -> Iterator[None]:
    """SQLite itself says SQLITE_FULL, as it does for ENOSPC."""
    (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
    journal._connection.execute(f"PRAGMA max_page_count = {pages + pages_left}")
    yield
    journal._connection.execute("PRAGMA max_page_count = 1073741823")


@pytest.mark.parametrize("pages_left", [0, 1, 3, 10])
def test_a_full_disk_loses_nothing_that_was_committed(tmp_path: Path, pages_left: int) -> None:
    with open_journal(tmp_path / "journal") as journal:
        journal.commit(1, NOW, [OrderChanged(intent(journal, generation=1)), StateChanged('{"step":1}')])
        before = journal.restore()
        journal.defer(2, NOW, [Decided("kept")])
        with full_disk(journal, pages_left), pytest.raises(JournalError, match="database or disk is full"):  # noqa: PT012
            for number in range(100):  # some of them may still fit
                state = f'"{"s" * 10_000 * number}"'
                journal.commit(3, NOW, [OrderChanged(intent(journal, "ask-1", number)), StateChanged(state)])
                before = journal.restore()
        assert journal.restore() == before
    with open_journal(tmp_path / "journal") as journal:
        assert journal.restore() == before
        assert count(journal, "decisions") == 1
        journal.commit(4, NOW, [OrderChanged(intent(journal, generation=2))])
        assert journal.restore().generations["bid-1"] == 2


WRITER_ON_A_SMALL_DISK = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import NOW, intent, open_journal
from runner.edge.journal import JournalError
from runner.model.command import OrderChanged
path = Path(sys.argv[1])
journal = open_journal(path)
whole = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("journal-wal").stat().st_size + 200_000, whole[1]))
generation = 0
while True:
    generation += 1
    try:
        journal.commit(generation, NOW, [OrderChanged(intent(journal, generation=generation))])
    except JournalError as error:
        print("refused", generation, error, flush=True)
        break
resource.setrlimit(resource.RLIMIT_FSIZE, whole)
assert journal.restore().generations == {"bid-1": generation - 1}
journal.commit(generation, NOW, [OrderChanged(intent(journal, generation=generation))])
print("went on", flush=True)
sys.stdin.read()
"""


def test_a_write_that_the_system_refuses_is_taken_back(tmp_path: Path) -> None:
    """Not SQLite's own limit this time: the kernel cuts the write to the log short."""
    path = tmp_path / "journal"
    command = [sys.executable, "-c", WRITER_ON_A_SMALL_DISK, str(path), str(Path(__file__).parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        word, number, *reason = writer.stdout.readline().split()
        assert (word, " ".join(reason)[: len(str(path))]) == ("refused", str(path))
        assert writer.stdout.readline() == "went on\n"
        writer.kill()
    with open_journal(path) as journal:
        assert journal.restore().generations == {"bid-1": int(number)}
        assert len(journal.orders()) == int(number) > 1


def test_a_journal_that_cannot_be_flushed_is_closed_all_the_same(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "journal")
    journal.defer(1, NOW, [Decided("kept" * 10_000)])
    journal._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(JournalError, match="full"):
        journal.end_run(NOW, {})
    journal.close()
    with pytest.raises(JournalError, match="closed"):
        journal.commit(2, NOW, [])
    with open_journal(tmp_path / "journal") as journal:
        assert count(journal, "decisions") == 0


# A killed process ---------------------------------------------------------------------------------------------

WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_journal import NOW, intent, open_journal
from runner.model.command import OrderChanged, StateChanged
journal = open_journal(Path(sys.argv[1]))
generation = journal.restore().generations.get("bid-1", 0)
while True:
    generation += 1
    orders = [intent(journal, slot, generation) for slot in ("bid-1", "ask-1")]
    journal.commit(generation, NOW, [*map(OrderChanged, orders), StateChanged(str(generation))])
    print(*(order.client_id for order in orders), flush=True)
"""


@pytest.mark.slow
def test_every_commit_that_was_reported_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    reported: list[str] = []
    for lines in (1, 40, 7):
        command = [sys.executable, "-c", WRITER, str(path), str(Path(__file__).parent)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            reported += [writer.stdout.readline() for _ in range(lines)]
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().splitlines(keepends=True)
            reported += [line for line in rest if line.endswith("\n")]
        with Journal.read_only(path) as journal:
            restored = journal.restore()
            ids = [order.client_id for order in restored.orders]
            assert ids[: 2 * len(reported)] == " ".join(reported).split()
            # The one commit that may be there beyond what was reported is whole, and so is the last one.
            assert len(ids) - 2 * len(reported) in {0, 2}
            generation = len(ids) // 2
            assert restored.generations == {"bid-1": generation, "ask-1": generation}
            assert restored.strategy_state == str(generation)
            reported += [" ".join(ids[2 * len(reported) :])] if len(ids) > 2 * len(reported) else []


# A life -------------------------------------------------------------------------------------------------------


class JournalMachine(RuleBasedStateMachine):
    """The journal beside a handful of dictionaries, through crashes, closes, full disks and the years."""

    def __init__(self) -> None:
        super().__init__()
        self.folders = tempfile.TemporaryDirectory()
        self.path = Path(self.folders.name, "0", "journal")
        self.crashed: list[Journal] = []
        self.copies = 0
        self.kept: list[
            tuple[Path, tuple[dict[str, Order], dict[tuple[int, int], Fill], str | None, int, Beginning | None]]
        ] = []  # copies that somebody made, and what they hold
        self.now = self.opened = NOW
        self.number = 0
        self.orders: dict[str, Order] = {}
        self.fills: dict[tuple[int, int], Fill] = {}
        self.state: str | None = None
        self.began: Beginning | None = None
        self.waiting: list[Change] = []
        self.decisions = 0

    @initialize()
    def begin(self) -> None:
        self.journal = open_journal(self.path)

    def teardown(self) -> None:
        for journal in (*self.crashed, self.journal):
            journal._deferred.clear()
            journal.close()
        self.folders.cleanup()

    def commit(self, *changes: Change) -> None:
        self.number += 1
        self.journal.commit(self.number, self.now, changes)
        self.remember(self.waiting)
        self.remember(changes)
        self.waiting.clear()

    def remember(self, changes: Iterable[Change]) -> None:
        for change in changes:
            match change:
                case OrderChanged(order=order):
                    self.orders[order.client_id] = order
                case FillBooked(fill=fill):
                    self.fills[fill.key] = fill
                case StateChanged(state=state):
                    self.state = state
                case Began(beginning=beginning):
                    self.began = beginning
                case Decided():
                    self.decisions += 1

    @rule(slots=st.sets(st.sampled_from(SLOTS), min_size=1), state=st.text(max_size=5))
    def intend(self, slots: set[str], state: str) -> None:
        generations = self.journal.restore().generations
        orders = [intent(self.journal, slot, generations.get(slot, 0) + 1, self.now) for slot in sorted(slots)]
        self.commit(*map(OrderChanged, orders), StateChanged(state), Decided("because"))

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), state=st.sampled_from(OrderState), executed=st.integers(0, 100), reason=st.text(max_size=9))
    def change(self, data: st.DataObject, state: OrderState, executed: int, reason: str) -> None:
        order = data.draw(st.sampled_from(sorted(self.orders)))
        changed = replace(self.orders[order], state=state, changed=self.now, executed_lots=executed, reason=reason)
        self.commit(OrderChanged(changed))

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), trade_id=st.integers(1, 5), order_id=st.integers(1, 3), lots=st.integers(1, 10))
    def fill(self, data: st.DataObject, trade_id: int, order_id: int, lots: int) -> None:
        order = self.orders[data.draw(st.sampled_from(sorted(self.orders)))]
        fill = fill_of(order, trade_id, order_id, lots)
        self.commit(FillBooked(fill), OrderChanged(replace(order, filled_lots=order.filled_lots + lots)))

    @precondition(lambda self: self.fills)
    @rule(data=st.data(), fee=st.decimals(0, 1, places=8))
    def confirm_fee(self, data: st.DataObject, fee: Decimal) -> None:
        fill = self.fills[data.draw(st.sampled_from(sorted(self.fills)))]
        self.commit(FillBooked(replace(fill, fee=fee, fee_final=True)))

    @rule(state=st.text(max_size=5))
    def defer(self, state: str) -> None:
        changes = [StateChanged(state), Decided("kept")]
        self.journal.defer(self.number, self.now, changes)
        self.waiting += changes

    @rule()
    def flush(self) -> None:
        self.journal.flush()
        self.remember(self.waiting)
        self.waiting.clear()

    @rule(pages_left=st.integers(0, 5))
    def run_into_a_full_disk(self, pages_left: int) -> None:
        order = intent(self.journal, "bid-1", 36**4 - 1)
        with full_disk(self.journal, pages_left), pytest.raises(JournalError, match="full"):
            self.journal.commit(0, self.now, [OrderChanged(order), StateChanged("s" * 50_000)])

    @rule(seconds=st.integers(1, 1200))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule()
    def close_and_open(self) -> None:
        self.journal.close()
        self.remember(self.waiting)
        self.waiting.clear()
        self.open_again()

    @rule()
    def crash(self) -> None:
        """Everything is gone but the files as they were at that moment."""
        self.path = self.copied() / "journal"
        self.crashed.append(self.journal)
        self.waiting.clear()
        self.open_again()

    @precondition(lambda self: self.began is None)
    @rule(position=st.sampled_from((Decimal(0), Decimal("1500.5"))))
    def learn_what_was_before(self, position: Decimal) -> None:
        self.commit(Began(Beginning("stated", {"ROGER": position}, NOW // SECOND)))

    @rule()
    def keep_a_copy(self) -> None:
        """A backup of the files while the run goes on; what is deferred is not in it."""
        self.kept.append((self.copied(), self.held()))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def roll_back(self, data: st.DataObject) -> None:
        """Somebody puts an older copy in the place of the journal, which then knows that and nothing else."""
        folder, held = data.draw(st.sampled_from(self.kept))
        self.crashed.append(self.journal)
        self.path = self.copied(folder / "journal") / "journal"
        self.waiting.clear()
        orders, fills, self.state, self.decisions, self.began = held
        self.orders, self.fills = dict(orders), dict(fills)
        self.open_again()

    def held(self) -> tuple[dict[str, Order], dict[tuple[int, int], Fill], str | None, int, Beginning | None]:
        return dict(self.orders), dict(self.fills), self.state, self.decisions, self.began

    def copied(self, path: Path | None = None) -> Path:
        """A new folder with the files of a journal as they are now."""
        path = path or self.path
        self.copies += 1
        folder = Path(self.folders.name, str(self.copies))
        folder.mkdir()
        for file in (path, path.with_name("journal-wal")):
            if file.exists():
                shutil.copy(file, folder)
        return folder

    def open_again(self) -> None:
        self.opened = self.now
        self.journal = open_journal(self.path, self.now)

    @invariant()
    def forgets_nothing(self) -> None:
        generations: dict[str, int] = {}
        for order in self.orders.values():
            generations[order.slot] = max(order.generation, generations.get(order.slot, 0))
        filled = {fill.client_id for fill in self.fills.values()}
        used = {
            order.slot
            for order in self.orders.values()
            if not order.repeat and (order.executed_lots or order.filled_lots or order.client_id in filled)
        }
        assert self.journal.restore() == Restored(
            epoch=NOW // (60 * SECOND),
            orders=tuple(filter(self.must_know, self.orders.values())),
            generations=generations,
            fills=tuple(self.fills.values()),
            strategy_state=self.state,
            used_slots=tuple(sorted(used)),
            began=self.began,
        )
        assert self.journal.orders() == tuple(self.orders.values())
        assert count(self.journal, "decisions") == self.decisions

    def must_know(self, order: Order) -> bool:
        recent = order.changed >= self.opened - TOMBSTONE_AGE_MAX
        return recent or not order.state.terminal or order.state is OrderState.ABSENT


TestJournalMachine = JournalMachine.TestCase
TestJournalMachine.settings = settings(max_examples=50, stateful_step_count=30)
