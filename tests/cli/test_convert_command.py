"""`runner convert` as people and programs see it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner.cli.main import group

SOURCE = """\
strategy: pure_market_making
exchange: altmarkets
market: ROGER-BTC
bid_spread: 1
ask_spread: 1
order_refresh_time: 30
order_amount: 1000
max_order_age: 1800
"""


def runner(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(group, list(arguments), input=stdin)


@pytest.fixture
def theirs(tmp_path: Path) -> str:
    path = tmp_path / "conf_pure_mm_1.yml"
    path.write_text(SOURCE)
    return str(path)


def test_the_result_goes_to_stdout_and_what_is_lost_to_stderr(theirs: str) -> None:
    done = runner("convert", theirs)
    assert done.exit_code == 0
    assert done.stdout.startswith("# Made by `runner convert`")
    assert done.stderr == "runner: without a twin, and told in comments: max_order_age\n"


def test_the_result_is_a_file_that_passes_the_check(theirs: str, tmp_path: Path) -> None:
    mine = str(tmp_path / "mine.yml")
    done = runner("convert", theirs, "-o", mine)
    assert (done.exit_code, done.stdout) == (0, "")
    done = runner("check", mine)
    first, *_ = done.stdout.splitlines()
    assert (done.exit_code, first) == (0, f"{mine}: ok, pure_market_making on ROGER-BTC at sandbox")


def test_an_existing_file_stays(theirs: str) -> None:
    done = runner("convert", theirs, "-o", theirs)
    assert done.exit_code == 2
    assert done.stderr == f"runner: {theirs} exists; remove it, or name another file\n"
    assert Path(theirs).read_text() == SOURCE


def test_json_says_what_became_of_each_key(theirs: str) -> None:
    found = json.loads(runner("convert", theirs, "--json").stdout)
    assert found["ok"] is True
    assert found["text"] == runner("convert", theirs).stdout
    fates = {line["key"]: (line["fate"], line["path"], line["value"]) for line in found["lines"]}
    assert list(fates) == [line.split(":")[0] for line in SOURCE.splitlines()]
    assert fates["bid_spread"] == ("converted", "strategy.params.bid_spread", "1%")
    assert fates["max_order_age"] == ("lost", "", "")


def test_problems_are_exit_3_and_no_result() -> None:
    done = runner("convert", "-", stdin=SOURCE.replace("bid_spread: 1", "bid_spread: wide"))
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.startswith("<stdin>:4:13: `wide` is not a number\n")
    done = runner("convert", "-", "--json", stdin="strategy: hedge\n")
    assert done.exit_code == 3
    assert [problem["code"] for problem in json.loads(done.stdout)["problems"]] == ["convert.strategy"]
