"""One instance at a time: an exclusive advisory lock of the operating system on a file.

The kernel releases it when the process ends, however it ends. What is written in the file is a note of who took it: a
note that the last holder left behind when it was killed is recognised as such wherever the system lets us. The file
stays where it is afterwards, because removing it would let two processes lock two files.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

ATTEMPTS = 5
BETWEEN_ATTEMPTS_S = 0.01

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux only; elsewhere the field stays empty


class Holder(Struct, frozen=True):
    """Who wrote the lock file last. `boot_id` tells whether `pid` can still mean anything, `born` whom."""

    pid: int
    host: str
    boot_id: str
    started: str  # UTC, ISO 8601
    born: str = ""  # see `birth`

    @property
    def here(self) -> bool:
        """It runs on this very machine, as it was started."""
        return (self.boot_id, self.host) == (boot_id(), socket.gethostname())


class AnotherInstance(Exception):
    """The lock is held. `holder` is None if its holder has not said who it is."""

    def __init__(self, path: Path, holder: Holder | None) -> None:
        who = (
            f"process {holder.pid} on {holder.host}, since {holder.started}" if holder else "a process that just began"
        )
        super().__init__(
            f"another instance is at work: {who} (lock {path}); stop it first, or give this one another name"
        )
        self.path = path
        self.holder = holder


class Lock:
    """A held lock. Make one with `acquire`; it ends with `release`, a `with` block, or the process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor
        self._noted = False

    @classmethod
    def acquire(cls, path: Path, *, now: int) -> Self:
        """Take the lock at once or not at all. The folder must exist; `now` is UTC ns, for the note in the file.

        Raises AnotherInstance if somebody has it, OSError if the file system cannot lock.
        """
        for attempt in range(ATTEMPTS):
            if attempt:  # a reader that asks `holder` has the file for microseconds; an instance keeps it
                time.sleep(BETWEEN_ATTEMPTS_S)
            lock = cls(path, os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            if lock._take(now):
                return lock
        raise AnotherInstance(path, _true_note(path))

    def _take(self, now: int) -> bool:
        assert self._descriptor is not None
        taken = False
        try:
            taken = _lock(self._descriptor, fcntl.LOCK_EX) and _still_there(self.path, self._descriptor)
        finally:
            if not taken:
                self.release()
        if taken:
            _write_note(self._descriptor, now)
            self._noted = True
        return taken

    def release(self) -> None:
        if self._descriptor is not None:
            if self._noted:  # or the next holder would be taken for us until it has written its own
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def is_held(path: Path) -> bool:
    """Whether some process, this one included, holds the lock now."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def holder(path: Path) -> Holder | None:
    """Who holds the lock now; None if nobody does, or somebody who has not said who it is."""
    return _true_note(path) if is_held(path) else None


def terminate(path: Path, who: Holder) -> None:
    """Send SIGTERM to the process that holds the lock, and to no other that has its number by now.

    Raises ProcessLookupError if it does not hold it any more, PermissionError if it is somebody else's.
    """
    if sys.platform != "linux":
        os.kill(who.pid, signal.SIGTERM)
        return
    process = os.pidfd_open(who.pid)  # from here on it is this process or none
    try:
        if holder(path) != who:
            raise ProcessLookupError(f"process {who.pid} does not hold {path} any more")
        signal.pidfd_send_signal(process, signal.SIGTERM)
    finally:
        os.close(process)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(path: Path, descriptor: int) -> bool:
    """A folder that was cleared between open and lock leaves us with a file that nobody else can see."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    ours = os.fstat(descriptor)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def boot_id() -> str:
    """Of this machine since it was started; a process number means nothing under another one. Empty but on Linux."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""


def birth(pid: int) -> str:
    """When a process was started, in clock ticks since the machine was: with its number it means one process and no
    other. Empty where there is no such process, and on systems that do not tell."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return facts.rpartition(")")[2].split()[19]  # field 22; the second one is a name, which may hold anything


def _true_note(path: Path) -> Holder | None:
    """The note, unless it is that of an earlier holder: the process it speaks of is provably gone."""
    note = _read_note(path)
    if note is not None and note.here and note.born and birth(note.pid) != note.born:
        return None
    return note


def _write_note(descriptor: int, now: int) -> None:
    started = datetime.fromtimestamp(now // 1_000_000_000, UTC).isoformat()
    pid = os.getpid()
    note = msgspec.json.encode(Holder(pid, socket.gethostname(), boot_id(), started, birth(pid)))
    with contextlib.suppress(OSError):  # a full disk costs the note, not the lock
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, note + b"\n", 0)


def _read_note(path: Path) -> Holder | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None
