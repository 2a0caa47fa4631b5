"""`runner backtest`: the result and its numbers, files that do not fit the tape, latches, interruption."""

import gzip
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from loopback.process import runner_run

import runner.run.backtest
from runner.cli.main import group
from runner.config.read import read
from runner.config.spec import RunSpec
from runner.edge.tape_file import read_tape
from runner.run.backtest import Options
from runner.run.backtest import backtest as run_backtest
from runner.simulation.kernel import compiled_run

SECOND = 1_000_000_000
STRATEGIES = Path(__file__).parents[2] / "strategies"
MAKER = """
version: 1
name: taped
connector: {type: altmarkets, venue: sandbox}
markets: [BTC-USDT]
strategy:
  use: pure_market_making
  params: {bid_spread: 1bps, ask_spread: 1bps, order_amount: 0.5 BTC, order_refresh_time: 1s}
tick: {every: 1s, when: [book, fill]}
"""


def frames(rounds: int, name: str) -> Iterator[tuple[int, object]]:
    """A market of 10,000 whose touch goes up and down, and where somebody trades three ticks into it every 100 ms."""
    bids = [[f"{10000 - tick / 100:.2f}", "0.5"] for tick in range(1, 400)]
    asks = [[f"{10000 + tick / 100:.2f}", "0.5"] for tick in range(1, 400)]
    yield 0, {"lastUpdateId": 0, "bids": bids, "asks": asks}
    for number in range(1, rounds + 1):
        at = number * SECOND // 10
        data = {"U": number, "u": number, "b": [["9999.99", f"0.{5 + number % 2}"]], "a": []}
        yield at, {"stream": f"{name}@depth@100ms", "data": data}
        up = number % 2 == 0
        price = "10002.00" if up else "9998.00"
        yield at + 1_000_000, {"stream": f"{name}@trade", "data": {"p": price, "q": "0.2", "m": not up}}


def recorded(path: Path, name: str, *, rounds: int = 400, later: int = 0) -> Path:
    start = (1_700_000_000 + later) * SECOND
    lines = "".join(f"{start + at} {json.dumps(frame)}\n" for at, frame in frames(rounds, name))
    path.write_bytes(gzip.compress(lines.encode()))
    return path


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return recorded(tmp_path / "btc.gz", "btcusdt")


@pytest.fixture
def maker(tmp_path: Path) -> Path:
    path = tmp_path / "maker.yml"
    path.write_text(MAKER)
    return path


def backtest(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["backtest", *map(str, arguments)])


def facts(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    del found["backtest"]["speed"]  # of this machine at this moment
    return found


def test_the_result_is_that_of_a_run_and_what_a_backtest_adds(maker: Path, tape: Path) -> None:
    result = backtest(maker, "--tape", tape, "--json")
    told = facts(result)
    logged = [json.loads(line) for line in result.stderr.splitlines()]
    assert {line["event"] for line in logged} == {"config.warning"}  # fees eat such a spread; and nothing went wrong
    assert told["stopped_by"] == "tape"
    assert told["fills"] > 5
    assert told["open_orders_left"] == 0
    market = told["backtest"]["markets"]["BTC-USDT"]
    assert market["maker_share"] == 1.0
    assert 0 < market["fill_ratio"] <= 1
    assert market["end"] - market["start"] == 40 * SECOND + 1_000_000
    assert market["adverse_selection"]["1s"]["fills"] > 5
    assert market["adverse_selection"]["1s"]["bps"] == pytest.approx(1, abs=0.5)  # the mid price hardly moves
    assert facts(backtest(maker, "--tape", tape, "--json")) == told


def test_the_text_names_the_model_and_the_tape(maker: Path, tape: Path) -> None:
    result = backtest(maker, "--tape", tape, "--for", "10s")
    assert result.exit_code == 0
    rows = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert "stopped by time" in rows["run"]
    assert "risk_averse" in rows["model"]
    assert rows["tape"].startswith("BTC-USDT, 10 s, ")
    assert "of it as maker" in rows["filled"]


@pytest.mark.slow
def test_the_compiled_kernel_gives_the_same_result(
    maker: Path, tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba")
    plain = facts(backtest(maker, "--tape", tape, "--json"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(runner.run.backtest, "WORTH_COMPILING", 1)
    assert facts(backtest(maker, "--tape", tape, "--json")) == plain
    assert compiled_run.cache_info().currsize == 1  # it was compiled


def test_without_a_compiled_kernel_it_is_slower_and_says_why(
    maker: Path, tape: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = facts(backtest(maker, "--tape", tape, "--json", "--for", "5s"))
    compiled_run.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)  # as where it is not installed
    monkeypatch.setattr(runner.run.backtest, "WORTH_COMPILING", 1)
    result = backtest(maker, "--tape", tape, "--json", "--for", "5s")
    assert facts(result) == quick
    (why,) = [line["why"] for line in map(json.loads, result.stderr.splitlines()) if line["event"] == "kernel.plain"]
    assert "pip install" in why


@pytest.mark.slow
def test_a_run_can_be_backtested_on_its_own_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = STRATEGIES / "quickstart.yml"
    ran = json.loads(runner_run(file, "--for", "4s", "--headless", "--json", state=tmp_path).stdout.splitlines()[-1])
    monkeypatch.setenv("RUNNER_STATE_DIR", str(tmp_path))
    told = facts(backtest(file, "--tape", ran["run"], "--json"))
    assert abs(told["ticks"] - ran["ticks"]) < ran["ticks"] / 2
    assert told["orders"]["placed"] >= 4  # the ladder, as in the run


@pytest.mark.parametrize("name", ["pure_market_making", "avellaneda_stoikov", "quickstart"])
def test_an_overlay_that_comes_with_the_runner_carries_a_bundled_file_to_the_tape(
    name: str, tape: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where there is no folder `overlays`
    told = facts(backtest(STRATEGIES / f"{name}.yml", "overlays/btcusdt.yml", "--tape", tape, "--json"))
    assert set(told["backtest"]["markets"]) == {"BTC-USDT"}
    assert told["ticks"] > 40


def test_what_the_account_assumes_is_the_files(maker: Path, tape: Path) -> None:
    paper = "{queue: power 2, latency: {order: 1s}, maker_fee: 0%, balances: {USDT: 20000, BTC: 3}}"
    sets = ("--set", "connector.type=altmarkets_paper", "--set", f"connector.paper={paper}")
    result = backtest(maker, "--tape", tape, "--json", *sets)
    told, usual = facts(result), facts(backtest(maker, "--tape", tape, "--json"))
    assert "queue power 2, latency 1000 ms for orders" in told["model"]
    assert told["fees"] != usual["fees"]
    assert set(told["fees"].values()) <= {"0"}
    assert told["orders"]["placed"] < usual["orders"]["placed"]
    turnover = told["backtest"]["turnover"]["USDT"]
    assert float(turnover["amount"]) / turnover["times"] == pytest.approx(50_000, rel=1e-3)


def test_tapes_of_several_markets_are_played_together_as_far_as_they_overlap(
    maker: Path, tape: Path, tmp_path: Path
) -> None:
    other = recorded(tmp_path / "eth.gz", "ethusdt", later=10)
    two = (maker, "--tape", tape, "--tape", other, "--set", "markets=[BTC-USDT, ETH-USDT]", "--json")
    told = facts(backtest(*two))
    markets = told["backtest"]["markets"]
    assert {symbol: market["end"] - market["start"] for symbol, market in markets.items()} == {
        "BTC-USDT": 30 * SECOND + 1_000_000,
        "ETH-USDT": 30 * SECOND + 1_000_000,
    }
    assert markets["BTC-USDT"]["fill_ratio"] > 0.5
    assert markets["ETH-USDT"]["fill_ratio"] is None  # quotes are for the first market
    apart = backtest(maker, "--tape", tape, "--tape", recorded(other, "ethusdt", later=100), *two[5:])
    assert (apart.exit_code, "no time in common" in apart.stderr) == (2, True)


def test_a_file_about_another_market_is_a_mistake_at_its_place(tape: Path) -> None:
    file = STRATEGIES / "quickstart.yml"
    result = backtest(file, "--tape", tape)
    assert (result.exit_code, result.stdout) == (3, "")
    line = next(number for number, text in enumerate(file.read_text().splitlines(), 1) if text.startswith("markets:"))
    assert result.stderr.startswith(f"{file}:{line}:11: there is no tape of ROGER-BTC here, only of BTC-USDT\n")
    assert "lay a file over this one" in result.stderr


def test_what_cannot_be_played_is_one_sentence(maker: Path, tape: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("hello\n")
    assert backtest(maker, "--tape", other).exit_code == 2
    assert backtest(maker, "--tape", tape, "--tape", tape).exit_code == 2
    assert "--tape" in backtest(maker).stderr
    wrong = backtest(maker, "--tape", tape, "--set", "strategy.params.bid_spread=60%")
    assert (wrong.exit_code, wrong.stdout) == (3, "")
    fees = backtest(maker, "--tape", tape, "--strict")
    assert (fees.exit_code, "warning: " in fees.stderr) == (3, True)


def test_a_latch_ends_it_with_its_own_code(maker: Path, tape: Path) -> None:
    result = backtest(maker, "--tape", tape, "--json", "--set", "risk.max_daily_loss={USDT: 3}")
    assert result.exit_code == 6
    told = json.loads(result.stdout)
    assert told["stopped_by"] == "risk"
    assert "max_daily_loss" in result.stderr


def test_an_interruption_ends_it_in_order_with_what_there_is(tape: Path) -> None:
    spec = read(MAKER, file="maker.yml")
    assert isinstance(spec, RunSpec)
    before = signal.getsignal(signal.SIGINT)

    def interrupt(part: int, _parts: int | None) -> None:
        if part == 100:
            os.kill(os.getpid(), signal.SIGINT)

    whole = run_backtest(spec, [read_tape(tape)], Options())
    part = run_backtest(spec, [read_tape(tape)], Options(progress=interrupt))
    assert (part.exit_code, part.summary["stopped_by"], part.summary["open_orders_left"]) == (0, "signal", 0)
    assert 0 < part.summary["ticks"] < whole.summary["ticks"]
    assert signal.getsignal(signal.SIGINT) is before
