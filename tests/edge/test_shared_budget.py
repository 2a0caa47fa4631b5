import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.edge import shared_budget
from runner.edge.shared_budget import Record, SharedBucket, decode, encode
from runner.model.settings import SECOND

BOOT = bytes(16)

# Who acts, how much later by the machine's clock, and whether it was stopped (a crash) and begun again.
STEPS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12), st.booleans()), max_size=50)


class Machine:
    """Its clock, and the wall clocks of its processes, which were started at different readings of it."""

    def __init__(self, path: Path, requests: int, per_ns: int) -> None:
        self.path, self.requests, self.per_ns = path, requests, per_ns
        self.now = 1_000_000
        self.processes = [self.start() for _ in range(3)]

    def start(self) -> SharedBucket:
        return SharedBucket(self.path, self.requests, self.per_ns, monotonic=lambda: self.now)

    def wall(self, who: int) -> int:
        return self.now + 1_700_000_000 * SECOND + who * 77_777


@given(requests=st.integers(1, 5), per_ns=st.integers(1, 20), steps=STEPS)
def test_processes_together_never_pass_the_limit_and_use_all_of_it(
    tmp_path_factory: pytest.TempPathFactory, requests: int, per_ns: int, steps: list[tuple[int, int, bool]]
) -> None:
    machine = Machine(tmp_path_factory.mktemp("budget") / "file", requests, per_ns)
    taken: list[int] = []
    for who, later, crash in steps:
        machine.now += later
        if crash:
            machine.processes[who].close()
            machine.processes[who] = machine.start()
        in_stretch = sum(moment >= machine.now - per_ns for moment in taken)
        bucket, now = machine.processes[who], machine.wall(who)
        assert bucket.free(now) == requests - in_stretch
        refill_at = bucket.refill_at(now)
        assert (refill_at == now) == (in_stretch == 0)
        if bucket.take(now):
            taken.append(machine.now)
        assert (in_stretch < requests) == (
            taken[-1:] == [machine.now] and bucket.free(now) == requests - in_stretch - 1
        )
    for begin in taken:
        assert sum(begin <= moment <= begin + per_ns for moment in taken) <= requests
    for bucket in machine.processes:
        bucket.close()


def test_a_pause_that_the_venue_wants_holds_everybody_and_ends(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "file", 3, 10)
    first, second = machine.processes[:2]
    assert first.take(machine.wall(0))
    first.hold_until(machine.wall(0) + 50)
    assert (first.free(machine.wall(0)), second.free(machine.wall(1))) == (0, 0)
    machine.now += 49
    assert not second.take(machine.wall(1))
    machine.now += 1
    assert second.take(machine.wall(1))


def test_real_processes_share_it(tmp_path: Path) -> None:
    """The clock stands still, so whatever the order of their turns, exactly 30 may go out."""
    program = (
        "import sys; from pathlib import Path; from runner.edge.shared_budget import SharedBucket\n"
        "bucket = SharedBucket(Path(sys.argv[1]), monotonic=lambda: 10**12)\n"
        "print(sum(bucket.take(10**18) for _ in range(25)))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "file")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    taken = [int(process.communicate(timeout=30)[0]) for process in processes]
    assert sum(taken) == 30


def test_a_killed_holder_of_the_lock_is_no_obstacle(tmp_path: Path) -> None:
    program = (
        "import sys, fcntl; file = open(sys.argv[1], 'a+b'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('locked', flush=True); sys.stdin.read()"
    )
    path = tmp_path / "file"
    command = [sys.executable, "-c", program, str(path)]
    bucket = SharedBucket(path)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "locked\n"
        assert not bucket.take(5 * SECOND)  # it does not go on: not our turn, and no error
        assert bucket.free(5 * SECOND) == 0
        assert bucket.refill_at(5 * SECOND) > 5 * SECOND
        child.kill()
        child.wait(30)
    assert bucket.take(5 * SECOND)


def test_a_file_that_vanished_loses_nothing_of_ours(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "file", 3, 10)
    ours = machine.processes[0]
    assert ours.take(machine.wall(0))
    assert ours.take(machine.wall(0))
    machine.path.unlink()
    assert ours.free(machine.wall(0)) == 1
    assert machine.processes[1].free(machine.wall(1)) == 1  # told by us in the new file


@pytest.mark.parametrize("damage", [b"x", b"budget1\n", b"\xff" * 200, encode(Record(BOOT, 0, 9, [1, 2]))[:-1] + b"?"])
def test_a_damaged_file_counts_as_used_up_just_now(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(damage)
    machine = Machine(path, 3, 10)
    assert machine.processes[0].free(machine.wall(0)) == 0
    machine.now += 11
    assert machine.processes[0].free(machine.wall(0)) == 3


def test_times_of_another_boot_count_as_just_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(tmp_path / "file", 3, 10)
    assert machine.processes[0].take(machine.wall(0))
    machine.processes[0].hold_until(machine.wall(0) + 10**15)
    monkeypatch.setattr(shared_budget, "_boot", lambda: b"another boot....")
    machine.now = 500
    after = machine.start()
    assert after.free(machine.wall(0)) == 2
    machine.now += 11
    assert after.free(machine.wall(0)) == 3


@given(st.binary(max_size=200))
def test_no_file_whatever_raises(data: bytes) -> None:
    record = decode(data, BOOT, 1000, 30)
    assert all(moment <= 1000 for moment in record.times)


@given(st.lists(st.integers(0, 1000)), st.integers(0, 2000))
def test_what_is_written_is_read(times: list[int], held_until: int) -> None:
    record = Record(BOOT, held_until, 10, sorted(times))
    assert decode(encode(record) + b"left over", BOOT, 1000, 30) == record


def test_a_full_disk_keeps_no_cancel_from_leaving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = SharedBucket(tmp_path / "file", 2, 10 * SECOND)

    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    assert [bucket.take(SECOND) for _ in range(3)] == [True, True, False]
