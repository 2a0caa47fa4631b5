"""The file a journal is in: found, made, recognised, or refused and left as it is."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from runner.edge import journal_tables as sql
from runner.edge.places import private_folder
from runner.model.settings import SECOND

BUSY_TIMEOUT_S = 2.0  # a person's sqlite3 shell may hold the file for a moment


SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What sqlite3 raises: an error, or nothing but its failure to decode the text of one that quotes a damaged file."""


class JournalUnusable(Exception):
    """The file cannot serve as this strategy's journal. It is left as it is."""


class NoJournal(JournalUnusable):
    """There is nothing to look at: no run has begun a journal there yet."""


@contextlib.contextmanager
def opening(path: Path, *, read_only: bool = False) -> Iterator[sqlite3.Connection]:
    """A connection that is closed again unless everything that is asked of it here succeeds."""
    connection = None
    try:
        connection = _connect_read_only(path) if read_only else _connect(path)
        for pragma in sql.CONNECTION:
            connection.execute(pragma)
        yield connection
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, SQLITE_ERRORS):
            raise damaged(path, error) from error
        if isinstance(error, OSError):
            raise JournalUnusable(
                f"{path} cannot be opened: {error.strerror}; check the folder and its rights"
            ) from error
        raise


def is_new(path: Path, connection: sqlite3.Connection) -> bool:
    """Whether nothing was ever written. Only reads, so that a file of somebody else stays as it is."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version = _version(connection)
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return True
    if application != sql.APPLICATION_ID:
        raise JournalUnusable(f"{path} is a database of another program; it is kept: move it away and start again")
    if version != sql.SCHEMA_VERSION and version not in sql.MIGRATIONS:
        raise JournalUnusable(
            f"{path} was written by another version of the runner (schema {version}; this one reads "
            f"{sql.SCHEMA_VERSION}); it is kept: use that version, or cancel what is open and move the file away"
        )
    return False


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Give a file of an older version of this program today's shape, in one transaction for each version between."""
    while (statements := sql.MIGRATIONS.get(_version(connection))) is not None:
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")


def refuse_older(path: Path, connection: sqlite3.Connection) -> None:
    if _version(connection) != sql.SCHEMA_VERSION:
        raise JournalUnusable(f"{path} is of an older version of the runner; the next run brings it up to date")


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def check_whole(path: Path, connection: sqlite3.Connection) -> None:
    """Every page, not only those that happen to be read at the start: a flipped bit is found before it matters."""
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise damaged(path, sqlite3.DatabaseError(verdict))


def create(path: Path, connection: sqlite3.Connection, now: int, name: str, tag: str) -> None:
    """Lay out an empty file, in one transaction: a crash on the way leaves an empty file again."""
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalUnusable(
            f"{path} is on a file system that cannot hold a journal (SQLite's WAL mode); set RUNNER_STATE_DIR to a "
            "folder on a local disk"
        )
    connection.execute("BEGIN IMMEDIATE")
    for statement in sql.SCHEMA:
        connection.execute(statement)
    connection.execute(sql.CREATE_META, (name, tag, now // (60 * SECOND), now))
    connection.execute("COMMIT")


def damaged(path: Path, error: Exception) -> JournalUnusable:
    """What to tell about a file that was found but cannot be used."""
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
        return JournalUnusable(f"{path} is held by another program, perhaps a sqlite3 shell; close that one first")
    if isinstance(error, sqlite3.OperationalError):
        return JournalUnusable(f"{path} cannot be used: {error}; see to the disk and the rights, then start again")
    return JournalUnusable(
        f"{path} cannot be read as a journal: {error}; it is kept as it is. Look at the exchange first (runner orders "
        "--mine shows this strategy's open orders, runner cancel --mine cancels them); then put the newest copy in its "
        "place, or move it away to begin a new one, which takes the open orders over (--take-over)"
    )


def roll_back(connection: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):  # SQLite has rolled back by itself where the disk failed
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _connect(path: Path) -> sqlite3.Connection:
    private_folder(path.parent)
    # SQLite would create it with the umask; the files it puts beside it take over the rights of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    return sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def _connect_read_only(path: Path) -> sqlite3.Connection:
    if not path.exists():
        raise NoJournal(f"there is no journal at {path}: nothing has run under this name on this account")
    address = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(address, timeout=BUSY_TIMEOUT_S, isolation_level=None, uri=True)
