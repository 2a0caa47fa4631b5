"""`runner run` after its journal was lost, from outside: what is rebuilt, what has to be said, and what is refused."""

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from loopback.line import journal_in, notes_in, strategy_text
from loopback.process import environment, runner_run

from benchmarks.peer import RUNNER, Account, Opened, sandbox
from runner.edge.journal import Journal

SOON = "--set=connector.settle=1s"
"""A create becomes a row within a second here, so what was on its way is waited for that much shorter."""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def peer() -> Iterator[Opened]:
    with sandbox() as (opened, _):
        yield opened


def traded(peer: Opened) -> Decimal:
    """ROGER that the account has bought and not sold, by its trades."""
    held = Decimal(0)
    with Account(peer) as account:
        for row in account.trades().values():
            bought = Decimal(row["amount"]) - Decimal(row["fee_amount"])
            held += bought if row["side"] == "buy" else -Decimal(row["amount"])
    return held


def runner_status(file: Path, state: Path, peer: Opened) -> dict[str, Any]:
    done = subprocess.run(
        [*RUNNER, "status", str(file), "--json"], env=environment(state, peer), capture_output=True, check=False
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_a_lost_journal_is_rebuilt_from_the_exchange(tmp_path: Path, state: Path, peer: Opened) -> None:
    file = tmp_path / "line.yml"
    file.write_text(strategy_text(peer.connector))
    first = runner_run(file, "--for=1s", "--set=risk.max_spread=1bps", SOON, state=state, opened=peer)
    assert first.returncode == 0, first.stderr
    lost = journal_in(state)
    with contextlib.closing(sqlite3.connect(lost)) as connection:  # it began ten minutes ago
        connection.execute("UPDATE meta SET epoch = epoch - 10")
        connection.commit()
    assert runner_run(file, "--for=6s", SOON, state=state, opened=peer).returncode == 0
    with Journal.read_only(lost) as journal:
        assert journal.beginning() is not None
        fills = {fill.key for fill in journal.fills()}
    assert fills
    for file_of_it in lost.parent.glob(f"{lost.name}*"):
        file_of_it.unlink()
    again = runner_run(file, "--for=12s", "--take-over", SOON, state=state, opened=peer)
    assert again.returncode == 0, again.stderr
    with Journal.read_only(journal_in(state)) as journal:
        beginning = journal.beginning()
        assert beginning is not None
        assert beginning.how == "rebuilt"
        known = {fill.key for fill in journal.fills()}
    assert fills <= known
    with Account(peer) as account:
        assert known == account.trades().keys()
    (told,) = [facts for what, facts in notes_in(state) if what == "position.rebuilt"]
    assert told["fills"] == len(fills)
    standing = runner_status(file, state, peer)
    assert Decimal(standing["position"]["ROGER"]) == traded(peer)


@pytest.mark.slow
def test_a_position_is_stated_once(tmp_path: Path, state: Path, peer: Opened) -> None:
    file = tmp_path / "line.yml"
    file.write_text(strategy_text(peer.connector).replace("5bps", "2%"))
    first = runner_run(file, "--once", "--position", "1500 ROGER", "--position", "-0.25 BTC", state=state, opened=peer)
    assert (first.returncode, first.stderr) == (0, "")
    with Journal.read_only(journal_in(state)) as journal:
        beginning = journal.beginning()
    assert beginning is not None
    assert (beginning.how, beginning.position) == ("stated", {"ROGER": Decimal(1500), "BTC": Decimal("-0.25")})
    second = runner_run(file, "--once", "--position", "1 ROGER", state=state, opened=peer)
    assert second.returncode == 2
    assert "leave --position away" in second.stderr
    assert runner_run(file, "--once", state=state, opened=peer).returncode == 0


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        (["1500"], "of which currency"),
        (["lots ROGER"], "ROGER"),
        (["1 ROGER", "2 ROGER"], "said twice"),
    ],
)
def test_a_position_that_cannot_be_read_is_a_wrong_command_line(
    tmp_path: Path, state: Path, texts: list[str], why: str
) -> None:
    file = tmp_path / "line.yml"
    file.write_text(strategy_text())
    done = runner_run(file, *(f"--position={text}" for text in texts), state=state)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert not state.exists() or not list(state.rglob("journal.sqlite3"))
