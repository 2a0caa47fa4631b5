"""`runner sandbox --tape` from outside, and `runner run` on it."""

import gzip
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from loopback.process import runner_run

from benchmarks.peer import RUNNER, Account, Opened

MILLISECOND = 1_000_000
SECOND = 1_000_000_000


def frames(rounds: int) -> Iterator[tuple[int, object]]:
    """A market that goes up and down by a tick every 100 ms, and trades two ticks into the book each time."""
    bids = [[f"{10000 - tick / 100:.2f}", "5.0"] for tick in range(1, 40)]
    asks = [[f"{10000 + tick / 100:.2f}", "5.0"] for tick in range(1, 40)]
    yield 0, {"lastUpdateId": 0, "bids": bids, "asks": asks}
    for number in range(1, rounds + 1):
        at = number * 100 * MILLISECOND
        data = {"U": number, "u": number, "b": [["9999.99", str(5 + number % 2)]], "a": []}
        yield at, {"stream": "ltcusdt@depth@100ms", "data": data}
        up = number % 2 == 0
        price = "10001.00" if up else "9999.00"
        yield at + MILLISECOND, {"stream": "ltcusdt@trade", "data": {"p": price, "q": "0.5", "m": not up}}


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    path = tmp_path / "ltc.gz"
    lines = "".join(f"{SECOND + at} {json.dumps(frame)}\n" for at, frame in frames(100))
    path.write_bytes(gzip.compress(lines.encode()))
    return path


@contextmanager
def sandbox(*arguments: str | Path) -> Iterator[tuple[dict[str, object], "subprocess.Popen[str]"]]:
    with subprocess.Popen(
        [*RUNNER, "sandbox", "--json", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline()), process
        finally:
            process.kill()


def refused(*arguments: str | Path) -> str:
    command = [*RUNNER, "sandbox", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_it_closes_with_the_tape_and_says_so(tape: Path) -> None:
    with sandbox("--tape", tape, "--speed", "1000", "--at-end", "stop") as (facts, process):
        assert facts["markets"] == ["LTC-USDT"]
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (0, "")
    assert err == "runner: the tape is over: the exchange closes\n"


def test_a_hole_in_the_tape_is_told(tape: Path, tmp_path: Path) -> None:
    lines = gzip.decompress(tape.read_bytes()).splitlines(keepends=True)
    holed = tmp_path / "holed"
    holed.write_bytes(b"".join(lines[:21] + lines[23:]))
    with sandbox("--tape", holed, "--speed", "1000", "--at-end", "stop") as (_, process):
        _, err = process.communicate(timeout=20)
    assert err.startswith(f"runner: {holed}: line 22: 1 depth updates are missing before update 12; the book stands")


def test_accounts_kinds_and_faults_combine_with_a_tape(tape: Path, tmp_path: Path) -> None:
    storm = tmp_path / "storm.yml"
    storm.write_text("- {at: 1h, name: engine_restart}\n- {name: extra_fields}\n")
    plan = ("--account", "alice", "--kind", "2.5", "--fault", "deposit=7 USDT,account=alice", "--faults", storm)
    with sandbox("--tape", tape, *plan) as (facts, _):
        (alice,) = facts.pop("accounts").values()
        facts.pop("markets")
        peer = Opened(**{name: str(value) for name, value in (facts | alice).items()})
        with Account(peer) as account:
            assert account.balances()["USDT"].available == 100_007
        version = httpx.get(peer.rest_url + "/public/version")
        assert version.json()["git_tag"].startswith("2.5.")
        assert "x_meta" in version.json()
        assert "engine_restart" in httpx.get(httpx.URL(peer.rest_url).join("/sandbox/control")).text
    assert "no open order" in refused("--tape", tape, "--fault", "two_trades")


@pytest.mark.slow
def test_what_cannot_be_played_is_one_sentence_and_exit_2(tape: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("hello\n")
    assert f"{other}: line 1 is not of the collector's format" in refused("--tape", other)
    assert f"cannot read {tmp_path / 'none'}: No such file" in refused("--tape", tmp_path / "none")
    assert "two tapes of one market (LTC-USDT, LTC-USDT)" in refused("--tape", tape, "--tape", f"LTC-USDT={tape}")
    assert "not the market of this tape" in refused("--tape", f"XRP-EUR={tape}")
    assert "--speed" in refused("--tape", tape, "--speed", "0")
    assert "name one with --tape FILE" in refused("--at-end", "stop")


@pytest.mark.slow
def test_a_run_trades_with_the_tape(tape: Path, tmp_path: Path) -> None:
    with sandbox("--tape", tape, "--at-end", "loop") as (facts, _):
        facts.pop("markets")
        peer = Opened(**{name: str(value) for name, value in facts.items()})
        file = tmp_path / "maker.yml"
        file.write_text(f"""
version: 1
name: taped
connector: {peer.connector}
markets: [LTC-USDT]
strategy:
  use: pure_market_making
  params: {{bid_spread: 0.2bps, ask_spread: 0.2bps, order_amount: 0.2 LTC}}
tick: {{every: 250ms, when: [book, fill], at_most_every: 100ms}}
risk: {{max_position: {{LTC: 5}}, max_order_notional: {{USDT: 5000}}}}
""")
        done = runner_run(file, "--for", "4s", "--headless", "--json", state=tmp_path / "state", opened=peer)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["fills"] > 0
        with Account(peer) as account:
            assert account.open_orders() == {}
            assert len(account.trades()) == summary["fills"]
