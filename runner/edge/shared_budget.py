"""One request budget for all processes of a user that use the same key: a bucket in a locked file.

The file holds the times of the requests that still count. They are readings of the machine's monotonic clock, which
is one for all processes and which nobody can set; each run converts them to its own. The kernel ends the lock of a
process that dies. What cannot be understood (a damaged file, a time that is yet to come, another boot's times) counts
as used just now: that may cost one stretch of waiting, never a request too many.
"""

import fcntl
import os
import struct
import time
import zlib
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from runner.edge.budget import Bucket
from runner.model.settings import SECOND

ATTEMPTS = 50
BETWEEN_ATTEMPTS_S = 0.001  # the lock is held for microseconds, unless its holder was stopped in the middle
AGAIN_NS = SECOND // 10
"""After this long somebody who could not have the lock should look again."""

_MAGIC = b"budget1\n"
_HEAD = struct.Struct("<8s16sqqI")  # magic, boot, hold until, how long times are kept, how many there are
_SUM = struct.Struct("<I")
TIMES_MAX = 10_000
FILE_BYTES_MAX = 1 << 17
HOLD_MAX_NS = 3600 * SECOND  # as long as a `Retry-After` is believed
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux only; elsewhere it stays empty


class SharedBucket(Bucket):
    """A bucket that also counts the requests of every other process that has the same file.

    The folder must exist. Raises OSError if the file cannot be had. Later, if it cannot be read or written any more,
    this process goes on with the requests of its own: a full disk must not keep a cancel from leaving.
    """

    def __init__(
        self,
        path: Path,
        requests: int = 30,
        per_ns: int = 12 * SECOND,
        *,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(requests, per_ns)
        self._path = path
        self._monotonic = monotonic
        self._boot = _boot()
        self._own: deque[int] = deque()  # our requests by the machine's clock: what a file that vanished has lost
        self._ahead = 0  # of the machine's clock to the run's, by the latest call
        self._descriptor: int | None = _open(path)

    def free(self, now: int) -> int:
        with self._turn(now) as record:
            return 0 if record is None else self._bucket(record).free(now)

    def take(self, now: int, reserve: int = 0) -> bool:
        with self._turn(now) as record:
            if record is None or not self._bucket(record).take(now, reserve):
                return False
            moment = now + self._ahead
            record.times.append(moment)
            self._own.append(moment)
            while self._own[0] < moment - self._per_ns:
                self._own.popleft()
            return True

    def refill_at(self, now: int) -> int:
        with self._turn(now) as record:
            return now + AGAIN_NS if record is None else self._bucket(record).refill_at(now)

    def hold_until(self, ns: int) -> None:
        super().hold_until(ns)
        with self._turn(self._monotonic() - self._ahead) as record:
            if record is not None:
                record.held_until = max(record.held_until, ns + self._ahead)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _bucket(self, record: "Record") -> Bucket:
        """What the file says, by the run's clock."""
        taken = [moment - self._ahead for moment in record.times]
        held_until = max(self._held_until, record.held_until - self._ahead)
        return Bucket(self._requests, self._per_ns, taken=taken, held_until=held_until)

    @contextmanager
    def _turn(self, now: int) -> Iterator["Record | None"]:
        """The file's record while nobody else can change it; what is changed in it is written. None: not our turn."""
        moment = self._monotonic()
        self._ahead = moment - now
        if not self._locked():
            yield None
            return
        try:
            before = self._read()
            record = decode(before, self._boot, moment, self._requests)
            record.times = sorted((Counter(record.times) | Counter(self._own)).elements())
            record.forget(moment, self._per_ns)
            yield record
            after = encode(record)
            if after != before:
                self._write(after)
        finally:
            self._unlock()

    def _locked(self) -> bool:
        """Take the lock of the file that is at the path now. A file that cannot be had is no reason to stop."""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(BETWEEN_ATTEMPTS_S)
            try:
                if self._descriptor is None:
                    self._descriptor = _open(self._path)
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            except OSError:
                return True  # with what we know ourselves
            if _still_there(self._path, self._descriptor):
                return True
            self.close()
        return False

    def _unlock(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _read(self) -> bytes:
        if self._descriptor is None:
            return b""
        try:
            return os.pread(self._descriptor, FILE_BYTES_MAX, 0)
        except OSError:
            return b""

    def _write(self, data: bytes) -> None:
        if self._descriptor is not None:
            with suppress(OSError):
                os.pwrite(self._descriptor, data, 0)


@dataclass
class Record:
    """What is in the file. All times are ns of the machine's monotonic clock, in ascending order."""

    boot: bytes
    held_until: int
    kept_ns: int  # the longest stretch that any of the processes counts
    times: list[int]

    def forget(self, moment: int, per_ns: int) -> None:
        self.kept_ns = max(self.kept_ns, per_ns)
        self.times = [time for time in self.times if time >= moment - self.kept_ns][-TIMES_MAX:]


def encode(record: Record) -> bytes:
    head = _HEAD.pack(_MAGIC, record.boot, record.held_until, record.kept_ns, len(record.times))
    content = head + struct.pack(f"<{len(record.times)}q", *record.times)
    return content + _SUM.pack(zlib.crc32(content))


def decode(data: bytes, boot: bytes, moment: int, requests: int) -> Record:
    """The record as far as it can be believed at this moment. Never raises."""
    if not data:
        return Record(boot, 0, 0, [])
    record = _intact(data)
    if record is None:
        return Record(boot, 0, 0, [moment] * requests)
    if record.boot != boot:
        return Record(boot, 0, record.kept_ns, [moment] * len(record.times))
    record.times = [min(time, moment) for time in record.times]
    record.held_until = min(record.held_until, moment + HOLD_MAX_NS)
    return record


def _intact(data: bytes) -> Record | None:
    """None for anything that `encode` did not write as a whole. A longer record may have been there before."""
    if len(data) < _HEAD.size:
        return None
    magic, boot, held_until, kept_ns, count = _HEAD.unpack_from(data)
    end = _HEAD.size + 8 * count
    if magic != _MAGIC or count > TIMES_MAX or len(data) < end + _SUM.size:
        return None
    if _SUM.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
        return None
    return Record(boot, held_until, kept_ns, list(struct.unpack_from(f"<{count}q", data, _HEAD.size)))


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _still_there(path: Path, descriptor: int) -> bool:
    """A folder that was cleared leaves us with a file that nobody else can see."""
    try:
        there, ours = path.stat(), os.fstat(descriptor)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _boot() -> bytes:
    try:
        return bytes.fromhex(_BOOT_ID.read_text().strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return bytes(16)
