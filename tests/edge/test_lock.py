import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec import structs

from runner.edge.lock import AnotherInstance, Lock, birth, holder, is_held, terminate

NOW = 1_700_000_000_000_000_000

knows_births = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process was started")

HOLD = """
import sys
from pathlib import Path
from runner.edge.lock import Lock
lock = Lock.acquire(Path(sys.argv[1]), now=1_700_000_000_000_000_000)
print("held", flush=True)
sys.stdin.read()
"""


def hold_in_a_child(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(path)]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_a_second_instance_is_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with hold_in_a_child(path) as child:
        with pytest.raises(AnotherInstance) as refusal:
            Lock.acquire(path, now=NOW)
        assert refusal.value.holder is not None
        assert refusal.value.holder.pid == child.pid
        assert refusal.value.holder.started == "2023-11-14T22:13:20+00:00"
        assert f"process {child.pid} on " in str(refusal.value)
        assert str(path) in str(refusal.value)
        child.kill()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_ends_with_its_process(tmp_path: Path, end: signal.Signals) -> None:
    path = tmp_path / "lock"
    with hold_in_a_child(path) as child:
        assert is_held(path)
        child.send_signal(end)
    assert not is_held(path)
    with Lock.acquire(path, now=NOW):
        noted = holder(path)
        assert noted is not None
        assert noted.pid == os.getpid()
    assert holder(path) is None


def test_one_process_cannot_have_it_twice_but_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock.acquire(path, now=NOW) as lock:
        assert is_held(path)
        with pytest.raises(AnotherInstance):
            Lock.acquire(path, now=NOW)
        lock.release()
        lock.release()
        with Lock.acquire(path, now=NOW):
            assert is_held(path)
    assert not is_held(path)


def test_a_child_process_does_not_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = Lock.acquire(path, now=NOW)
    command = [sys.executable, "-c", "input(1)"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as child:
        assert child.stdout is not None
        assert child.stdout.read(1) == b"1"  # it is a new program by now: a fork has the file for a moment
        lock.release()
        assert not is_held(path)
        child.kill()


def test_two_locks_do_not_meet(tmp_path: Path) -> None:
    with Lock.acquire(tmp_path / "a", now=NOW), Lock.acquire(tmp_path / "b", now=NOW):
        assert is_held(tmp_path / "a")
        assert is_held(tmp_path / "b")
    assert not is_held(tmp_path / "never made")


def test_a_removed_file_does_not_make_room_for_a_lock_on_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    open_file = os.open

    def open_and_lose_it_once(name: Path, flags: int, mode: int = 0o777) -> int:
        descriptor = open_file(name, flags, mode)
        monkeypatch.setattr(os, "open", open_file)
        path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", open_and_lose_it_once)
    with Lock.acquire(path, now=NOW):
        assert is_held(path)


def test_what_the_file_says_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_bytes(b"\xff not a note of ours")
    with Lock.acquire(path, now=NOW):
        path.write_bytes(b"\xff not a note of ours")
        assert is_held(path)
        assert holder(path) is None
        with pytest.raises(AnotherInstance, match="a process that just began") as refusal:
            Lock.acquire(path, now=NOW)
        assert refusal.value.holder is None


def test_a_note_is_gone_with_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock.acquire(path, now=NOW):
        assert path.read_bytes()
        with pytest.raises(AnotherInstance):
            Lock.acquire(path, now=NOW)
        assert holder(path) is not None  # who only tried leaves it alone
    assert path.read_bytes() == b""


@pytest.fixture
def left_behind(tmp_path: Path) -> Path:
    """The note of a process that was killed."""
    path = tmp_path / "lock"
    with hold_in_a_child(path) as child:
        child.kill()
    assert f'"pid":{child.pid},' in path.read_text()
    return path


@knows_births
def test_the_note_of_a_dead_holder_is_not_taken_for_the_next_ones(left_behind: Path) -> None:
    note = left_behind.read_bytes()
    with Lock.acquire(left_behind, now=NOW):
        left_behind.write_bytes(note)  # as it is until the next one has written its own
        assert is_held(left_behind)
        assert holder(left_behind) is None


@knows_births
def test_a_number_that_somebody_else_has_by_now_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with Lock.acquire(path, now=NOW):
        noted = holder(path)
        assert noted is not None
        assert noted.born == birth(os.getpid())
        path.write_bytes(msgspec.json.encode(structs.replace(noted, born="17")))
        assert holder(path) is None
        elsewhere = structs.replace(noted, host="elsewhere", born="17")
        path.write_bytes(msgspec.json.encode(elsewhere))
        assert holder(path) == elsewhere  # nothing is known of processes there
        older = structs.replace(noted, born="")
        path.write_bytes(msgspec.json.encode(older))
        assert holder(path) == older  # written by a system that does not tell


@knows_births
def test_only_the_holder_is_told_to_end(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    with hold_in_a_child(first) as child, hold_in_a_child(second) as other:
        who, another = holder(first), holder(second)
        assert who is not None
        assert another is not None
        with pytest.raises(ProcessLookupError):
            terminate(first, another)
        assert other.poll() is None
        terminate(first, who)
        assert child.wait(10) == -signal.SIGTERM
        with pytest.raises(ProcessLookupError):
            terminate(first, who)
        other.kill()


@knows_births
def test_birth_is_of_one_process(tmp_path: Path) -> None:
    assert birth(os.getpid()).isdecimal()
    with hold_in_a_child(tmp_path / "lock") as child:
        assert birth(child.pid).isdecimal()
        child.kill()
    assert birth(child.pid) == ""


def test_the_lock_file_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Lock.acquire(tmp_path / "lock", now=NOW):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
