"""`runner plan` as a process, beside a run and after it, on a `runner sandbox` whose word it is what was done."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from loopback.line import strategy_text
from loopback.process import environment, open_orders, running, until

from benchmarks.peer import RUNNER, Account, Opened, sandbox

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    with sandbox() as (found, _):
        yield found


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def plan(*words: str | Path, state: Path, opened: Opened | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RUNNER, "plan", *map(str, words)],
        env=environment(state, opened),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def far_quotes(folder: Path, opened: Opened) -> Path:
    """Four orders that nobody trades with, and that stay where they are. Each test trades under a name of its own: two
    journals of one name begun within a minute would take each other's orders for their own.
    """
    text = strategy_text(opened.connector).replace("spread: 5bps", "spread: 2%")
    text = text.replace("name: line\n", f"name: line-{crc32(folder.name.encode())}\n")
    file = folder / "line.yml"
    file.write_text(text.replace("order_refresh_time: 2s", "order_refresh_time: 1h"))
    return file


def everything(opened: Opened) -> dict[int, dict[str, Any]]:
    with Account(opened) as account:
        return account.orders()


def test_on_the_embedded_exchange_it_leaves_nothing_behind(tmp_path: Path, state: Path) -> None:
    file = tmp_path / "line.yml"
    file.write_text(strategy_text())
    done = plan(file, state=state)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("line       on sandbox (seed 1), 20")
    assert lines[2].startswith("reason     4 new quotes: mid")
    assert [line.split()[:3] for line in lines[5:9]] == [
        ["create", "bid-1", "buy"],
        ["wait", "bid-2", "buy"],
        ["create", "ask-1", "sell"],
        ["wait", "ask-2", "sell"],
    ]
    assert lines[-1] == "create 2, wait 2, and nothing was sent"
    assert max(map(len, lines)) <= 80
    assert not state.exists()


def _states(opened: Opened) -> list[str]:
    return [row["state"] for row in open_orders(opened).values()]


def test_beside_a_run_and_after_its_death(tmp_path: Path, state: Path, opened: Opened) -> None:
    file = far_quotes(tmp_path, opened)
    with running(file, state=state, opened=opened) as process:
        until(lambda: _states(opened) == ["wait"] * 4, while_alive=process)
        before = everything(opened)
        beside = json.loads(plan(file, "--json", state=state, opened=opened).stdout)
        assert beside["beside_a_run"] is True
        assert {order["slot"]: order["do"] for order in beside["orders"]} == dict.fromkeys(
            ["bid-1", "bid-2", "ask-1", "ask-2"], "keep"
        )
        assert {order["client_id"] for order in beside["orders"]} == {row["client_id"] for row in before.values()}
        assert process.poll() is None
        assert everything(opened) == before
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = plan(file, "--json", "--set", "strategy.params.order_levels=1", state=state, opened=opened)
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout)
    assert after["beside_a_run"] is False
    assert [(order["slot"], order["do"]) for order in after["orders"]] == [
        *(("bid-1", "keep"), ("ask-1", "keep")),
        *(("ask-2", "cancel"), ("bid-2", "cancel")),
    ]
    assert everything(opened) == before
    with running(file, "--for", "1s", state=state, opened=opened) as process:
        assert process.wait(30) == 0  # what was planned was not in its way


def test_it_exits_as_a_run_would(tmp_path: Path, state: Path, opened: Opened) -> None:
    file = far_quotes(tmp_path, opened)
    no_keys = plan(file, state=state)
    assert (no_keys.returncode, "ALTMARKETS_API_KEY" in no_keys.stderr) == (4, True)
    wrong = Opened(opened.rest_url, opened.stream_url, opened.api_key, "0123456789abcdef")
    refused = plan(file, state=state, opened=wrong)
    assert (refused.returncode, "authz.invalid_signature" in refused.stderr) == (4, True)
    bad = plan(file, "--set", "risk.max_open_orders=many", state=state, opened=opened)
    assert (bad.returncode, bad.stdout) == (3, "")
    nobody = Opened("http://127.0.0.1:9/api/v2/peatio", "ws://127.0.0.1:9/x", opened.api_key, opened.secret_key)
    gone = plan(far_quotes(tmp_path, nobody), "--within", "1", state=state, opened=nobody)
    assert (gone.returncode, "cannot be reached" in gone.stderr) == (5, True)
    assert not (state / "accounts").exists()  # no folder was made for what was only planned


def test_it_reads_stdin_and_overlays(tmp_path: Path, state: Path) -> None:
    (tmp_path / "less.yml").write_text("strategy: {params: {order_levels: 1}}\n")
    done = subprocess.run(
        [*RUNNER, "plan", "-", str(tmp_path / "less.yml"), "--json"],
        env=environment(state),
        input=strategy_text(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [order["slot"] for order in json.loads(done.stdout)["orders"]] == ["bid-1", "ask-1"]


def test_a_damaged_journal_is_told_and_kept(tmp_path: Path, state: Path, opened: Opened) -> None:
    file = far_quotes(tmp_path, opened)
    with running(file, "--for", "1s", state=state, opened=opened) as process:
        assert process.wait(30) == 0
    (journal,) = state.glob("accounts/*/*/journal.sqlite3")
    for beside in journal.parent.glob("journal.sqlite3-*"):
        beside.unlink()
    journal.write_bytes(b"damaged" * 1000)
    told = plan(file, state=state, opened=opened)
    assert (told.returncode, "it is kept as it is" in told.stderr) == (7, True)
    assert journal.read_bytes() == b"damaged" * 1000
