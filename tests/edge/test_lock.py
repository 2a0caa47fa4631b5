import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from runner.edge.lock import AnotherInstance, Lock, holder, is_held

NOW = 1_700_000_000_000_000_000

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


def test_the_lock_file_is_private(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with Lock.acquire(tmp_path / "lock", now=NOW):
            assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)
