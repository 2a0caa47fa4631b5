"""`runner run` from outside: streams, exit codes, signals, and what is left at the exchange."""

import json
import os
import pty
import signal
import sqlite3
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from loopback.line import journal_in, strategy_text
from loopback.process import ended, environment, log_lines, open_orders, runner_run, running, until
from loopback.proxy import Answer, proxy

from benchmarks.peer import RUNNER, Account, Opened, compare, sandbox

SUMMARY = [
    "run",
    "stopped_by",
    "ticks",
    "orders",
    "fills",
    "volume",
    "fees",
    "position",
    "profit",
    "open_orders_left",
]
COUNTS = ["placed", "filled", "cancelled", "rejected", "refused", "absent", "unknown"]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def peer() -> Iterator[Opened]:
    with sandbox() as (opened, _):
        yield opened


def written(folder: Path, text: str, name: str = "line.yml") -> Path:
    file = folder / name
    file.write_text(text)
    return file


def far_quotes(peer: Opened, *, on_stop: str = "cancel") -> str:
    """Four orders that nobody trades with, and that no tick moves."""
    return strategy_text(peer.connector, on_stop=on_stop).replace("5bps", "2%")


def resting(peer: Opened, count: int, process: subprocess.Popen[str]) -> dict[int, dict[str, Any]]:
    """So many orders at work at the exchange, as soon as there are."""

    def look() -> dict[int, dict[str, Any]]:
        orders = open_orders(peer)
        return orders if len(orders) == count else {}

    return until(look, while_alive=process)


# What is printed, and where --------------------------------------------------------------------------------


def test_json_ends_with_one_object_on_stdout(tmp_path: Path, state: Path) -> None:
    file = written(tmp_path, strategy_text(run_for="1h"))
    done = runner_run(file, "--json", "--for", "3s", "--set", "strategy.params.order_levels=1", state=state)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    facts = json.loads(done.stdout)
    assert list(facts) == SUMMARY
    assert list(facts["orders"]) == COUNTS
    assert list(facts["profit"]) == ["realised", "unrealised"]
    assert (facts["stopped_by"], facts["open_orders_left"]) == ("time", 0)
    lines = log_lines(done.stderr)
    assert len(lines) == len(done.stderr.splitlines())
    assert {line["run"] for line in lines} == {facts["run"]}
    slots = {line["client_id"].split("-", 1)[1].rsplit("-", 1)[0] for line in lines if "client_id" in line}
    assert slots == {"BID-1", "ASK-1"}  # --set took the second level away


def test_paper_beside_a_kept_sandbox_needs_no_key_and_is_named(tmp_path: Path, state: Path, peer: Opened) -> None:
    urls = f"{{rest_url: '{peer.rest_url}', stream_url: '{peer.stream_url}'}}"
    connector = f"{{type: altmarkets_paper, venue: {urls}, paper: {{balances: {{BTC: 1, ROGER: 40000}}}}}}"
    file = written(tmp_path, strategy_text(connector, run_for="3s"))
    done = runner_run(file, "--json", state=state)
    facts = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert sorted(facts) == sorted([*SUMMARY, "model"])
    assert facts["model"].startswith("paper: queue risk_averse, latency 50 ms")
    assert facts["orders"]["placed"] > 0
    (opened,) = [line for line in log_lines(done.stderr) if line["event"] == "paper.opened"]
    assert (opened["model"], opened["balances"]) == (facts["model"], "1 BTC, 40000 ROGER")
    with Account(peer) as account:
        assert account.orders() == {}


def test_without_json_the_summary_is_text_without_colours(tmp_path: Path, state: Path) -> None:
    done = runner_run(written(tmp_path, strategy_text()), "--for", "1s", state=state)
    assert done.returncode == 0, done.stderr
    assert "left open  nothing" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_a_file_may_come_from_stdin(state: Path) -> None:
    done = runner_run("-", "--for", "1s", "--json", state=state, stdin=strategy_text().encode())
    assert (done.returncode, json.loads(done.stdout)["stopped_by"]) == (0, "time")


def test_nobody_reading_the_result_is_no_trouble(tmp_path: Path, state: Path) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    try:
        done = subprocess.run(
            [*RUNNER, "run", str(written(tmp_path, strategy_text())), "--for", "1s", "--json"],
            env=environment(state),
            stdout=writes,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    finally:
        os.close(writes)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_nobody_reading_the_log_is_no_trouble(tmp_path: Path, state: Path) -> None:
    with running(written(tmp_path, strategy_text()), "--for", "2s", "--json", state=state) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.close()
        assert process.stdout is not None
        facts = json.loads(process.stdout.read())
        assert process.wait(30) == 0
    assert facts["open_orders_left"] == 0


@pytest.mark.parametrize("as_json", [False, True])
def test_a_wrong_file_is_told_with_its_place_and_exit_3(tmp_path: Path, state: Path, as_json: bool) -> None:
    file = written(tmp_path, strategy_text().replace("bid_spread: 5bps", "bid_spred: 5 apples"))
    done = runner_run(file, *["--json"] * as_json, state=state)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{file}:8:5:" in done.stderr
    assert "bid_spread" in done.stderr
    assert "Traceback" not in done.stderr
    assert not state.exists()


def test_malformed_yaml_is_told_with_its_place_and_exit_3(tmp_path: Path, state: Path) -> None:
    file = written(tmp_path, "version: 1\nname: [a\nmarkets: x\n")
    done = runner_run(file, state=state)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{file}:3:" in done.stderr
    assert "Traceback" not in done.stderr


# Against an exchange that stays ----------------------------------------------------------------------------


def test_once_is_silent_and_the_next_one_adopts_what_rests(tmp_path: Path, state: Path, peer: Opened) -> None:
    file = written(tmp_path, far_quotes(peer, on_stop="leave"))
    kept = None
    for _ in range(3):
        done = runner_run(file, "--once", state=state, opened=peer)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        resting = open_orders(peer)
        assert len(resting) == 4
        assert kept in (None, resting.keys())
        kept = resting.keys()
    with Account(peer) as account:
        assert account.orders().keys() == kept  # nothing was ever placed twice
    talkative = runner_run(file, "--once", "-v", state=state, opened=peer)
    assert "run.trading" in {line["event"] for line in log_lines(talkative.stderr)}
    assert open_orders(peer).keys() == kept

    cancelling = runner_run(file, "--once", "--set", "run.on_stop=cancel", state=state, opened=peer)
    assert (cancelling.returncode, cancelling.stdout, cancelling.stderr) == (0, "", "")
    assert open_orders(peer) == {}


def test_a_second_instance_exits_8_and_disturbs_nothing(tmp_path: Path, state: Path, peer: Opened) -> None:
    file = written(tmp_path, far_quotes(peer))
    with running(file, state=state, opened=peer) as first:
        before = resting(peer, 4, first)
        second = runner_run(file, state=state, opened=peer)
        assert (second.returncode, second.stdout) == (8, "")
        assert second.stderr.count("\n") == 1
        assert f"process {first.pid}" in second.stderr
        assert open_orders(peer).keys() == before.keys()
        first.terminate()
        assert ended(first)[0] == 0


def test_two_strategies_share_an_account(tmp_path: Path, state: Path, peer: Opened) -> None:
    text = far_quotes(peer)
    other = text.replace("name: line", "name: other").replace("order_levels: 2", "order_levels: 1")
    one, two = written(tmp_path, text), written(tmp_path, other, "other.yml")
    with running(one, state=state, opened=peer) as first, running(two, state=state, opened=peer) as second:
        resting(peer, 6, first)
        first.terminate()
        assert ended(first)[0] == 0
        assert len(open_orders(peer)) == 2  # of the other one
        second.terminate()
        assert ended(second)[0] == 0
    assert open_orders(peer) == {}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_nothing_left(
    tmp_path: Path, state: Path, peer: Opened, number: signal.Signals
) -> None:
    with Account(peer) as account:
        opening = account.balances()
        with running(written(tmp_path, strategy_text(peer.connector)), "--json", state=state, opened=peer) as process:
            until(account.trades, while_alive=process)
            process.send_signal(number)
            code, out, err = ended(process)
        assert code == 0, err
        facts = json.loads(out)
        assert (facts["stopped_by"], facts["open_orders_left"]) == ("signal", 0)
        assert account.open_orders() == {}
        assert compare(journal_in(state), account, opening).differences == ()


def test_a_second_signal_is_obeyed_at_once(tmp_path: Path, state: Path) -> None:
    with sandbox() as (peer, venue):
        file = written(tmp_path, far_quotes(peer))
        with running(file, state=state, opened=peer) as process:
            until(lambda: open_orders(peer), while_alive=process)
            venue.send_signal(signal.SIGSTOP)  # so that no cancel is ever confirmed
            process.terminate()
            assert process.stderr is not None
            for line in process.stderr:
                if "run.stopping" in line:
                    break
            process.terminate()
            assert process.wait(10) == -signal.SIGTERM


def test_ctrl_c_before_the_run_has_begun_is_death_by_signal(tmp_path: Path, state: Path) -> None:
    with sandbox() as (peer, venue):
        venue.send_signal(signal.SIGSTOP)
        with running(written(tmp_path, strategy_text(peer.connector)), state=state, opened=peer) as process:
            until(lambda: list(state.rglob("lock")), while_alive=process)
            process.send_signal(signal.SIGINT)
            code, out, err = ended(process)
    assert (code, out, err) == (-signal.SIGINT, "", "")


@pytest.mark.slow
def test_killed_and_started_again_it_goes_on_where_it_was(tmp_path: Path, state: Path, peer: Opened) -> None:
    with Account(peer) as account:
        opening = account.balances()
        file = written(tmp_path, strategy_text(peer.connector))
        left = []
        for fills in (1, 3, 5):
            with running(file, state=state, opened=peer) as process:
                until(lambda least=fills: len(account.trades()) >= least, while_alive=process)
                process.kill()
            left.append(account.open_orders())
        assert any(left)
        done = runner_run(file, "--for", "1s", "--json", state=state, opened=peer)
        assert done.returncode == 0, done.stderr
        assert account.open_orders() == {}
        agreed = compare(journal_in(state), account, opening)
    assert agreed.differences == ()
    assert agreed.fills >= 5


def test_on_a_terminal_there_is_a_live_view_and_it_leaves_no_trace(tmp_path: Path, state: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen(
        [*RUNNER, "run", str(written(tmp_path, strategy_text()))],
        env=environment(state) | {"TERM": "xterm-256color"},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    ) as process:
        os.close(theirs)
        seen = b""
        try:
            while b"order.filled" not in seen:
                seen += os.read(ours, 65536)
            process.send_signal(signal.SIGINT)
            while piece := read_to_end(ours):
                seen += piece
            assert process.stdout is not None
            summary = process.stdout.read().decode()
            assert process.wait(30) == 0
        finally:
            process.kill()
            os.close(ours)
    assert seen.count(b"\x1b[?1049h") == seen.count(b"\x1b[?1049l") == 1
    assert seen.endswith(b"\x1b[?25h\x1b[?1049l")  # the cursor is back, and nothing was written after the view
    assert "ROGER-BTC" in seen.decode(errors="replace")
    assert "stopped by signal" in summary
    assert "\x1b" not in summary


def read_to_end(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other end is closed
        return b""


# What can be wrong ----------------------------------------------------------------------------------------


def test_no_keys_exit_4(tmp_path: Path, state: Path, peer: Opened) -> None:
    done = runner_run(written(tmp_path, strategy_text(peer.connector)), state=state)
    assert (done.returncode, done.stdout) == (4, "")
    assert "ALTMARKETS_API_KEY" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("field", ["api_key", "secret_key"])
def test_a_wrong_key_exits_4(tmp_path: Path, state: Path, peer: Opened, field: str) -> None:
    keys = {"api_key": peer.api_key, "secret_key": peer.secret_key, field: "0123456789abcdef"}
    wrong = Opened(peer.rest_url, peer.stream_url, **keys)
    done = runner_run(written(tmp_path, strategy_text(peer.connector)), "--once", state=state, opened=wrong)
    assert done.returncode == 4, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert {"api_key": "authz.unexistent_apikey", "secret_key": "authz.invalid_signature"}[field] in done.stderr
    assert peer.secret_key not in done.stderr


FAILING = '''
from msgspec import Struct

from runner.engine.strategy import Decision, State, Strategy
from runner.model.order import Quote, Side


class Count(State, frozen=True):
    ticks: int = 0


class Failing(Strategy, frozen=True, kw_only=True):
    """Bids far below the market, and then no longer knows what to do."""

    def slots(self):
        return ["bid"]

    def initial_state(self):
        return Count()

    def tick(self, view, state):
        if view.orders and view.orders["bid"].price:
            raise LookupError(f"after {state.ticks} ticks")  # here
        return Decision((Quote("bid", Side.BUY, view.book.mid * 0.9, 100.0),), Count(state.ticks + 1), "bid")
'''


def test_a_strategy_that_raises_loses_its_orders_and_exits_1(tmp_path: Path, state: Path, peer: Opened) -> None:
    strategy = written(tmp_path, FAILING, "failing.py")
    line = 1 + next(n for n, text in enumerate(FAILING.splitlines()) if "# here" in text)
    text = strategy_text(peer.connector, on_stop="leave")
    text = text[: text.index("strategy:")] + "strategy: {use: ./failing.py:Failing}\n" + text[text.index("tick:") :]
    done = runner_run(written(tmp_path, text), state=state, opened=peer)
    assert done.returncode == 1
    assert f"{strategy}:{line}" in done.stderr.splitlines()[-1]
    assert "LookupError: after" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert open_orders(peer) == {}
    with Account(peer) as account:
        assert [row["state"] for row in account.orders().values()] == ["cancel"]


def test_a_loopback_peer_that_is_no_sandbox_wants_live(tmp_path: Path, state: Path, peer: Opened) -> None:
    version = b'{"git_sha":"","git_tag":"2.4.20","build_date":"","version":"2.4.20"}'
    seen: list[str] = []

    async def main() -> None:
        async with proxy(peer) as (opened, between):

            def request(asked: object) -> Answer | None:
                target = getattr(asked, "target", "")
                seen.append(target)
                return Answer(200, version, {"Content-Type": "application/json"}) if "version" in target else None

            between.request = request
            file = written(tmp_path, strategy_text(opened.connector))

            async def call(*more: str) -> subprocess.CompletedProcess[str]:
                return await anyio.to_thread.run_sync(
                    lambda: runner_run(file, "--once", *more, state=state, opened=opened)
                )

            refused = await call()
            assert (refused.returncode, refused.stdout) == (2, "")
            assert "--live" in refused.stderr
            assert not [target for target in seen if "market/orders" in target]
            allowed = await call("--live")
            assert (allowed.returncode, allowed.stderr) == (0, "")

    anyio.run(main)


def test_a_market_the_venue_does_not_have_exits_3(tmp_path: Path, state: Path, peer: Opened) -> None:
    file = written(tmp_path, strategy_text(peer.connector).replace("ROGER", "RODGER"))
    done = runner_run(file, state=state, opened=peer)
    assert (done.returncode, done.stdout) == (3, "")
    assert "did you mean ROGER-BTC?" in done.stderr


@pytest.mark.slow
def test_a_venue_that_cannot_be_reached_exits_5(tmp_path: Path, state: Path) -> None:
    with sandbox() as (peer, venue):
        venue.kill()
        venue.wait()
        done = runner_run(written(tmp_path, strategy_text(peer.connector)), state=state, opened=peer, timeout=40)
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr.count("\n") == 1
    assert peer.rest_url in done.stderr
    assert "Connection refused" in done.stderr


@pytest.mark.slow
def test_a_venue_that_dies_under_a_run_ends_it_with_7_and_the_obligations(tmp_path: Path, state: Path) -> None:
    with sandbox() as (peer, venue):
        file = written(tmp_path, far_quotes(peer))
        with running(file, "--json", state=state, opened=peer) as process:
            names = {row["client_id"] for row in resting(peer, 4, process).values()}
            venue.kill()
            process.terminate()
            code, out, err = ended(process, timeout=20 + 4 + 40 + 10)
    assert code == 7, err
    facts = json.loads(out)
    assert facts["open_orders_left"] == 4
    assert all(name in err.splitlines()[-1] for name in names)
    with sqlite3.connect(journal_in(state)) as journal:
        (outcome,) = journal.execute("SELECT outcome FROM runs").fetchone()
    journal.close()
    assert json.loads(outcome)["exit_code"] == 7


@pytest.mark.parametrize(
    ("limit", "enough"),
    [
        ("max_order_notional: {BTC: 0.1}", True),
        ("max_order_notional: {BTC: 0.02}", False),  # 500 ROGER are about 0.025 BTC
        ("max_open_notional: {BTC: 0.06}", True),
        ("max_open_notional: {BTC: 0.04}", False),
    ],
)
def test_orders_worth_more_than_a_limit_are_refused_before_the_first(
    tmp_path: Path, state: Path, peer: Opened, limit: str, enough: bool
) -> None:
    text = far_quotes(peer).replace("max_order_notional: {BTC: 0.1}", limit)
    done = runner_run(written(tmp_path, text), "--once", state=state, opened=peer)
    with Account(peer) as account:
        assert bool(account.orders()) == enough
    if enough:
        assert (done.returncode, done.stderr) == (0, "")
        return
    assert (done.returncode, done.stdout) == (3, "")
    line = next(line for line in text.splitlines() if limit in line)
    row, column = 1 + text.splitlines().index(line), 1 + line.index(limit) + limit.index("0.")
    assert f"line.yml:{row}:{column}: " in done.stderr
