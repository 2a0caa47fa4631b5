"""The commands beside a run: status, stop, settle, explain, resolve, with real processes on a `runner sandbox`."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from loopback.line import strategy_text
from loopback.process import ended, open_orders, running, until

from benchmarks.peer import Opened, sandbox
from runner.cli.main import group
from runner.edge.lock import Lock, boot_id

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    with sandbox() as (found, _):
        yield found


class Desk:
    """A user with a strategy file of far quotes, whose four orders nobody trades with."""

    def __init__(self, folder: Path, opened: Opened, name: str) -> None:
        self.state, self.opened = folder / "state", opened
        self.file = folder / "line.yml"
        text = strategy_text(opened.connector).replace("5bps", "2%").replace("name: line", f"name: {name}")
        self.file.write_text(text)

    def run(self, *words: str, **environment: str | None) -> Result:
        shutil.rmtree(self.state / "budget", ignore_errors=True)  # of its own for each, or it waits for the last one's
        settings = {"RUNNER_STATE_DIR": str(self.state), **self.opened.environment} | environment
        return CliRunner().invoke(group, words, env=settings)

    def killed_at_work(self, *, knows: bool = True, orders: int = 4) -> dict[int, dict[str, Any]]:
        """A run that dies with four orders in the book, as it `knows`, or has written down that it wants them."""
        with running(self.file, state=self.state, opened=self.opened) as process:
            until(lambda: len(open_orders(self.opened)) == orders, while_alive=process)
            until(lambda: self.count("state = 'open'" if knows else "1") == orders, while_alive=process)
            process.send_signal(signal.SIGKILL)
            process.wait()
        return open_orders(self.opened)

    def count(self, where: str) -> int:
        with sqlite3.connect(self.journal()) as journal:
            (number,) = journal.execute(f"SELECT count(*) FROM orders WHERE {where}").fetchone()
        return int(number)

    def journal(self) -> Path:
        (found,) = self.state.glob("accounts/*/*/journal.sqlite3")
        return found


@pytest.fixture
def desk(tmp_path: Path, opened: Opened, request: pytest.FixtureRequest) -> Iterator[Desk]:
    here = Desk(tmp_path, opened, f"aside-{abs(hash(request.node.name)) % 10**6}")
    yield here
    here.run("cancel", "--mine", str(here.file))
    assert open_orders(opened) == {}


def test_status_and_stop_of_a_run(desk: Desk) -> None:
    file = str(desk.file)
    nothing = desk.run("status", file)
    assert (nothing.exit_code, "no run of" in nothing.stderr) == (10, True)
    with running(file, state=desk.state, opened=desk.opened) as process:
        until(lambda: len(open_orders(desk.opened)) == 4, while_alive=process)
        status = desk.run("status", file, "--json")
        facts = json.loads(status.stdout)
        assert (status.exit_code, facts["running"], facts["pid"]) == (0, True, process.pid)
        refused = desk.run("settle", file)
        assert (refused.exit_code, "another instance is at work" in refused.stderr) == (8, True)
        stopped = desk.run("stop", file, "--json")
        assert (stopped.exit_code, ended(process)[0]) == (0, 0), stopped.stderr
    told = json.loads(stopped.stdout)
    assert (told["pid"], told["run"], told["reason"]) == (process.pid, facts["run"], "signal")
    assert (told["exit_code"], told["open_orders"]) == (0, 0)
    assert open_orders(desk.opened) == {}
    after = desk.run("status", file, "--json")
    facts = json.loads(after.stdout)
    assert (after.exit_code, facts["running"], facts["exit_code"], facts["open_orders"]) == (10, False, 0, 0)
    assert desk.run("stop", file).exit_code == 10


def test_stop_says_in_words_how_it_ended(desk: Desk) -> None:
    with running(desk.file, state=desk.state, opened=desk.opened) as process:
        until(lambda: len(open_orders(desk.opened)) == 4, while_alive=process)
        stopped = desk.run("stop", str(desk.file))
    name = desk.file.read_text().partition("name: ")[2].split()[0]
    assert stopped.stdout == f"{name}: process {process.pid} ended with exit code 0 (signal), nothing left open\n"
    assert f"asked process {process.pid} to stop" in stopped.stderr


def test_a_bystander_with_the_number_of_the_last_run_is_not_stopped(desk: Desk, bystander: int) -> None:
    """Somebody has taken the lock and not written yet who it is; the file still names the last holder."""
    desk.killed_at_work()
    desk.run("settle", str(desk.file))
    path = desk.journal().with_name("lock")
    with Lock.acquire(path, now=0):
        path.write_bytes(json.dumps(note(bystander, "17")).encode())
        refused = desk.run("stop", str(desk.file))
    assert (refused.exit_code, "has not said who it is" in refused.stderr) == (8, True), refused.stderr
    os.kill(bystander, 0)


def note(pid: int, born: str) -> dict[str, object]:
    return {"pid": pid, "host": socket.gethostname(), "boot_id": boot_id(), "started": "2024-01-01", "born": born}


@pytest.fixture
def bystander() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        assert process.poll() is None
        process.kill()


def test_settle_finishes_what_a_dead_run_left_and_places_nothing(desk: Desk) -> None:
    left = desk.killed_at_work()
    assert len(left) == 4
    done = desk.run("settle", str(desk.file), "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["left"] == 0
    assert [row["was"] for row in facts["orders"]] == ["open"] * 4
    assert [row["is"] for row in facts["orders"]] == ["cancelled"] * 4
    assert open_orders(desk.opened) == {}
    assert desk.count("1") == 4
    again = desk.run("settle", str(desk.file))
    assert (again.exit_code, again.stdout) == (0, "nothing was unproven\n")


def test_explain_tells_the_whole_story_without_keys(desk: Desk) -> None:
    desk.killed_at_work()
    desk.run("settle", str(desk.file))
    no_keys = dict.fromkeys(desk.opened.environment)
    told = desk.run("explain", "bid-1", str(desk.file), **no_keys)
    assert told.exit_code == 0, told.stderr
    lines = told.stdout.splitlines()
    assert "buy 500 ROGER-BTC at" in lines[0]
    assert "wanted because 4 new quotes: mid" in lines[1]
    assert "saw ROGER-BTC at bid 0.0000" in lines[2]
    assert "position 0 ROGER" in lines[2]
    assert "approved with max_position " in lines[3]
    assert ", max_open_orders 1 of 8, funds " in lines[3]
    assert [line.split("  ")[1].split(":")[0] for line in lines[4:]] == [
        *("sent", "accepted", "open", "cancelling", "cancelled"),
    ]
    as_facts = json.loads(desk.run("explain", "bid-1", str(desk.file), "--json").stdout)
    assert [one["what"] for one in as_facts] == [line.split("  ", 1)[1] for line in lines]
    unknown = desk.run("explain", "nope", str(desk.file))
    assert (unknown.exit_code, "ask-1, ask-2, bid-1, bid-2" in unknown.stderr) == (2, True)


def test_resolve_takes_a_humans_word_and_believes_the_exchange_later(tmp_path: Path) -> None:
    with sandbox(1, "answer=hang", "lose_private=any") as (deaf, _):
        _resolve_and_settle(Desk(tmp_path, deaf, "deaf"))


def _resolve_and_settle(desk: Desk) -> None:
    """The exchange carries creates out and says nothing, and the run dies before it could look."""
    # One order a side: where no name was shown a second one would wait for what became of the first.
    desk.file.write_text(desk.file.read_text().replace("order_levels: 2", "order_levels: 1"))
    left = desk.killed_at_work(knows=False, orders=2)
    file, name = str(desk.file), next(row["client_id"] for row in left.values() if "-BID-1-" in row["client_id"])
    assert desk.run("resolve", name, file, "--as", "absent").exit_code == 2  # how do you know?
    done = desk.run("resolve", name, file, "--as", "absent", "--reason", "I looked", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "absent"
    twice = desk.run("resolve", name, file, "--as", "filled", "--reason", "no, like this")
    assert (twice.exit_code, "nothing to resolve" in twice.stderr) == (2, True)
    # It was wrong: the order is in the book. The next look finds it, and it is cancelled.
    settled = desk.run("settle", file, "--json")
    assert settled.exit_code == 0, settled.stderr
    assert open_orders(desk.opened) == {}
    story = desk.run("explain", name, file).stdout
    assert "a human says so: I looked" in story
    assert "as absent" in story
    assert "reason I looked" in story
    assert story.splitlines()[-1].split("  ")[1].startswith("cancelled")


def test_an_order_that_the_exchange_has_shown_needs_no_word(desk: Desk) -> None:
    desk.killed_at_work()
    desk.run("settle", str(desk.file))
    refused = desk.run("resolve", "bid-1", str(desk.file), "--as", "absent", "--reason", "x")
    assert (refused.exit_code, "nothing to resolve" in refused.stderr) == (2, True)
    assert json.loads(desk.run("status", str(desk.file), "--json").stdout)["exit_code"] == 0


def test_a_run_at_work_is_not_resolved_beside(desk: Desk) -> None:
    with running(desk.file, state=desk.state, opened=desk.opened) as process:
        until(lambda: len(open_orders(desk.opened)) == 4, while_alive=process)
        refused = desk.run("resolve", "bid-1", str(desk.file), "--as", "absent", "--reason", "x")
        assert (refused.exit_code, "another instance is at work" in refused.stderr) == (8, True)
        os.kill(process.pid, signal.SIGTERM)
        assert ended(process)[0] == 0


def test_the_embedded_sandbox_has_nothing_to_settle(tmp_path: Path) -> None:
    file = tmp_path / "line.yml"
    file.write_text(strategy_text())
    refused = CliRunner().invoke(group, ["settle", str(file)], env={"RUNNER_STATE_DIR": str(tmp_path)})
    assert (refused.exit_code, "ends with its run" in refused.stderr) == (2, True)


@pytest.mark.parametrize("command", [("status",), ("explain", "bid-1")])
def test_a_damaged_journal_is_told_and_kept(tmp_path: Path, command: tuple[str, ...]) -> None:
    urls = "{rest_url: 'http://127.0.0.1:9/api/v2', stream_url: 'ws://127.0.0.1:9/x'}"
    file = tmp_path / "line.yml"
    file.write_text(strategy_text(f"{{type: altmarkets, venue: {urls}}}"))
    journal = tmp_path / "accounts" / "somebody" / "line" / "journal.sqlite3"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"damaged" * 1000)
    told = CliRunner().invoke(group, [*command, str(file)], env={"RUNNER_STATE_DIR": str(tmp_path)})
    assert (told.exit_code, "it is kept as it is" in told.stderr) == (7, True)
    assert journal.read_bytes() == b"damaged" * 1000
