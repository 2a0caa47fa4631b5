"""`runner tape` and `runner record`: from a venue, or from another program's files, to tapes and out of them."""

import csv
import gzip
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner.cli.main import group

BOOK = """\
exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount
x,BTCUSDT,0,1700000000000000,true,bid,100.0,2
x,BTCUSDT,0,1700000000000000,true,ask,100.5,1.25
x,BTCUSDT,0,1700000002000000,false,bid,100.0,0
x,BTCUSDT,0,1700000002000000,false,bid,99.5,3
x,BTCUSDT,0,1700000005000000,false,ask,100.5,1
"""
TRADES = """\
exchange,symbol,timestamp,local_timestamp,id,side,price,amount
x,BTCUSDT,0,1700000004000000,1,buy,100.5,0.25
"""
FILE = """\
version: 1
name: heard
connector: {type: altmarkets, venue: sandbox, seed: 7}
markets: [ROGER-BTC]
strategy: {use: pure_market_making, params: {bid_spread: 35bps, ask_spread: 35bps, order_amount: 500 ROGER}}
"""


def tape(*words: object) -> Result:
    return CliRunner().invoke(group, ["tape", *map(str, words)])


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    (tmp_path / "book.csv.gz").write_bytes(gzip.compress(BOOK.encode()))
    (tmp_path / "trades.csv").write_text(TRADES)
    out = tmp_path / "btc.tape"
    done = tape("import", tmp_path / "book.csv.gz", out, "--trades", tmp_path / "trades.csv")
    assert done.exit_code == 0, done.stderr
    assert done.stdout == f"{out}: BTC-USDT, 6 rows, 0 gaps, 0 tainted\n"
    return out


def test_an_imported_tape_carries_its_market_and_rules(imported: Path) -> None:
    facts = json.loads(tape("info", imported, "--json").stdout)
    assert facts == {
        "market": "BTC-USDT",
        "tick_size": "0.1",
        "lot_size": "0.01",
        "maker_fee": "0.001",
        "taker_fee": "0.001",
        "start": "2023-11-14T22:13:20.000Z",
        "end": "2023-11-14T22:13:25.000Z",
        "seconds": 5.0,
        "rows": 6,
        "trades": 1,
        "volume": "0.25",
        "left_out": 0,
        "gaps": [],
        "tainted": [],
    }
    shown = tape("info", imported).stdout
    assert "BTC-USDT, tick 0.1 USDT, lot 0.01 BTC" in shown
    assert tape("info", imported, "--market", "ETH-USDT").exit_code == 2


@pytest.mark.parametrize(
    ("since", "until"),
    [("3s", None), ("2023-11-14T22:13:23Z", "5s"), ("2023-11-14 22:13:23.000001", "2023-11-14T23:13:25+01:00")],
)
def test_a_part_of_a_tape(imported: Path, since: str, until: str | None) -> None:
    out = imported.with_name("part.tape")
    done = tape("cut", imported, out, "--from", since, *([] if until is None else ["--to", until]))
    assert done.exit_code == 0, done.stderr
    assert tape("export", out, out.with_suffix(".csv")).exit_code == 0
    found = [tuple(row.values())[1:] for row in csv.DictReader(out.with_suffix(".csv").read_text().splitlines())]
    assert sorted(found[:2]) == [("ask", "100.5", "1.25"), ("bid", "99.5", "3.00")]  # the book as it was then
    assert found[2:] == [("bought", "100.5", "0.25"), ("ask", "100.5", "1.00")][: 2 if until is None else 1]


def test_mistakes_on_the_command_line(imported: Path) -> None:
    out = imported.with_name("out.tape")
    for words, said in (
        (("cut", imported, out, "--from", "1h"), "it goes from 2023-11-14T22:13:20.000Z"),
        (("cut", imported, out, "--from", "noon"), "'noon' is not a time"),
        (("info", imported.with_name("none")), "cannot read"),
        (("info", imported.parent), "a folder without a record"),
        (("export", imported, imported.with_name("out.xls")), "end its name with one of .tape, .csv, .parquet"),
        (("import", imported, imported.with_name("out.csv")), "`runner tape export`"),
        (("export", imported, imported), "File exists"),
    ):
        done = tape(*words)
        assert (done.exit_code, done.stdout) == (2, ""), words
        assert said in done.stderr
    assert not out.exists()


@pytest.mark.skipif(find_spec("pyarrow") is not None, reason="pyarrow is installed")
def test_parquet_without_its_package_says_what_to_install(imported: Path) -> None:
    done = tape("export", imported, imported.with_suffix(".parquet"))
    assert (done.exit_code, done.stdout) == (2, "")
    assert "altmarkets-runner[parquet]" in done.stderr
    assert not imported.with_suffix(".parquet").exists()


def test_parquet_holds_the_same_rows(imported: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert tape("export", imported, imported.with_suffix(".parquet")).exit_code == 0
    table = parquet.read_table(imported.with_suffix(".parquet"))
    assert table["kind"].to_pylist() == ["bid", "ask", "bid", "bid", "bought", "ask"]
    assert table["price_ticks"].to_pylist() == [1000, 1005, 1000, 995, 1005, 1005]
    assert table["quantity_lots"].to_pylist() == [200, 125, 0, 300, 25, 100]
    assert table["time"].cast("int64").to_pylist()[0] == 1_700_000_000 * 10**9
    assert table.schema.metadata[b"tick_size"] == b"0.1"


# From a venue ---------------------------------------------------------------------------------------------


def runner(*words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "runner.cli.main", *map(str, words)]
    return subprocess.run(command, env=os.environ, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.slow
def test_public_data_is_recorded_without_a_key_or_a_strategy(tmp_path: Path) -> None:
    (tmp_path / "heard.yml").write_text(FILE)
    record = tmp_path / "rec"
    done = runner(
        "record", "ROGER-BTC", "ltcbtc", "--file", tmp_path / "heard.yml", "--for", "3s", "--to", record, "--json"
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["books"] > 10
    assert (facts["gaps"], facts["problem"]) == (0, None)
    info = json.loads(tape("info", record, "--market", "ROGER-BTC", "--json").stdout)
    assert info["market"] == "ROGER-BTC"
    assert info["rows"] > 20
    assert 1 < info["seconds"] < 4
    assert (info["gaps"], info["tainted"]) == ([], [])
    assert "it has LTC-BTC, ROGER-BTC: say which market" in tape("info", record).stderr
    assert "nobody decided anything" in runner("replay", record).stderr
    again = runner("record", "ROGER-BTC", "--file", tmp_path / "heard.yml", "--for", "3s", "--to", record)
    assert again.returncode == 2
    assert "File exists" in again.stderr
    unknown = runner("record", "ROGER-USD", "--file", tmp_path / "heard.yml", "--to", tmp_path / "other")
    assert unknown.returncode == 2
    assert "has no market ROGER-USD" in unknown.stderr


@pytest.mark.slow
def test_a_tape_of_a_run_is_the_market_without_it(tmp_path: Path) -> None:
    (tmp_path / "heard.yml").write_text(FILE)
    state = tmp_path / "state"
    command = [sys.executable, "-m", "runner.cli.main", "run", str(tmp_path / "heard.yml"), "--for", "4s", "--headless"]
    done = subprocess.run(
        command, env={**os.environ, "RUNNER_STATE_DIR": str(state)}, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    (record,) = state.glob("sandbox/*/records/*")
    imported = tmp_path / "run.tape"
    assert tape("import", record, imported).exit_code == 0
    assert tape("info", record, "--json").stdout == tape("info", imported, "--json").stdout
    assert json.loads(tape("info", imported, "--json").stdout)["rows"] > 20
