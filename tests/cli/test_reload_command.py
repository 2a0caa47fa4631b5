"""SIGHUP to a real run: the file is read again, and what came of it is in the log and at the exchange."""

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback.line import notes_in, strategy_text
from loopback.process import ended, environment, log_lines, open_orders, running, until

from benchmarks.peer import RUNNER, Account, Opened, sandbox

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def peer() -> Iterator[Opened]:
    with sandbox() as (opened, _):
        yield opened


@pytest.fixture
def file(tmp_path: Path, peer: Opened) -> Path:
    """Four orders that nobody trades with, and that no tick moves."""
    path = tmp_path / "line.yml"
    path.write_text(strategy_text(peer.connector).replace("5bps", "2%"))
    return path


class Log:
    """The log of a run, read while it is written: a pipe that nobody reads holds the run up."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.text += line

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in log_lines(self.text[: self.text.rfind("\n") + 1]) if line["event"] == event]

    def hup(self, event: str) -> dict[str, Any]:
        """Send the signal, and wait for the line that says what came of it."""
        before = len(self.lines(event))
        self.process.send_signal(signal.SIGHUP)
        return until(lambda: self.lines(event)[before:], while_alive=self.process)[0]


def resting(peer: Opened, count: int, process: "subprocess.Popen[str]") -> set[int]:
    def look() -> set[int]:
        orders = open_orders(peer)
        return set(orders) if len(orders) == count else set()

    return until(look, while_alive=process)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_what_may_change_changes_and_the_rest_keeps_its_place(state: Path, peer: Opened, file: Path) -> None:
    overlay = file.with_name("more.yml")
    overlay.write_text("risk: {max_open_orders: 7}\n")
    sets = ("--set", "strategy.params.order_refresh_time=1h")
    with running(file, overlay, *sets, "--json", state=state, opened=peer) as process:
        four = resting(peer, 4, process)
        log = Log(process)

        edit(file, "order_refresh_time: 2s", "order_refresh_time: 5s")  # --set says otherwise, as at the start
        log.hup("config.unchanged")
        assert set(open_orders(peer)) == four

        edit(file, "order_levels: 2", "order_levels: 1")
        overlay.write_text("risk: {max_open_orders: 6}\n")
        line = log.hup("config.reloaded")
        assert {name: value for name, value in line.items() if "." in name} == {
            "strategy.params.order_levels": "2 -> 1",
            "risk.max_open_orders": "7 -> 6",
        }
        two = resting(peer, 2, process)
        assert two < four

        edit(file, "order_levels: 1", "order_levels: 3")
        log.hup("config.reloaded")
        assert two < resting(peer, 6, process)
        process.terminate()
        assert process.wait(30) == 0
    assert open_orders(peer) == {}
    noted = [facts for what, facts in notes_in(state) if what == "config.reloaded"]
    assert [facts["strategy.params.order_levels"] for facts in noted] == ["2 -> 1", "1 -> 3"]


def test_a_file_that_is_wrong_changes_nothing_and_is_told(state: Path, peer: Opened, file: Path) -> None:
    right = file.read_text()
    mistakes: list[tuple[Callable[[], object], dict[str, Any]]] = [
        (lambda: file.write_text("version: 1\nname: [a\nmarkets: x\n"), {"line": 3}),
        (
            lambda: edit(file, "order_levels: 2", "order_levels: 1\n    bid_spred: 1%"),
            {"line": 12, "column": 5, "code": "key.unknown"},
        ),
        (
            lambda: edit(file, "name: line", "name: other\nrun: {for: 2h, on_stop: cancel}"),
            {"code": "key.duplicate"},
        ),
        (
            lambda: file.write_text(right.replace("name: line", "name: other").replace("levels: 2", "levels: 1")),
            {"line": 2, "column": 7, "code": "reload.fixed", "path": "name"},
        ),
        (file.unlink, {"code": "file.unreadable"}),
    ]
    with running(file, "--json", state=state, opened=peer) as process:
        four = resting(peer, 4, process)
        log = Log(process)
        for mistake, expected in mistakes:
            file.write_text(right)
            mistake()
            line = log.hup("config.refused")
            assert expected.items() <= line.items(), line
            assert line["file"] == str(file)
            assert line["level"] == "warning"
        assert set(open_orders(peer)) == four
        file.write_text(right)
        log.hup("config.unchanged")
        process.terminate()
        assert process.wait(30) == 0
    assert log.lines("config.reloaded") == []
    with Account(peer) as account:
        assert set(account.orders()) == four  # nothing was ever placed beside them


def test_what_came_from_stdin_cannot_be_read_again(state: Path, peer: Opened, file: Path) -> None:
    with (
        file.open() as text,
        subprocess.Popen(
            [*RUNNER, "run", "-", "--json"],
            env=environment(state, peer),
            stdin=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        four = resting(peer, 4, process)
        line = Log(process).hup("config.refused")
        assert (line["file"], line["code"]) == ("<stdin>", "file.unreadable")
        assert set(open_orders(peer)) == four
        process.terminate()
        assert process.wait(30) == 0


OWN_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("headless", [False, True])
def test_a_terminal_that_is_closed_ends_the_run_in_order(state: Path, peer: Opened, file: Path, headless: bool) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    run = [*RUNNER, "run", str(file), *["--headless"] * headless]
    with subprocess.Popen(
        [sys.executable, "-c", OWN_TERMINAL, *run],
        env=environment(state, peer) | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)

        def four_rest() -> bool:
            with contextlib.suppress(BlockingIOError):
                os.read(ours, 65536)  # so that the terminal takes more
            return len(open_orders(peer)) == 4

        try:
            until(four_rest)
            os.close(ours)  # nobody else has this end
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert open_orders(peer) == {}


def test_nohup_keeps_its_word(state: Path, peer: Opened, file: Path) -> None:
    """Whoever starts a run with the signal ignored wants it ignored."""
    with subprocess.Popen(
        ["nohup", *RUNNER, "run", str(file), "--json"],
        env=environment(state, peer),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        four = resting(peer, 4, process)
        edit(file, "order_levels: 2", "order_levels: 1")
        process.send_signal(signal.SIGHUP)
        process.terminate()
        code, _, err = ended(process)
    assert code == 0
    assert "config.reloaded" not in err
    assert open_orders(peer) == {}
    with Account(peer) as account:
        assert set(account.orders()) == four
