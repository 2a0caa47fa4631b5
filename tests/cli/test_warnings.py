"""Warnings as people and programs see them: in the check, and at the start of a run."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from loopback.process import log_lines, runner_run

from runner.cli.main import group

THIN = """\
version: 1
name: thin
connector: {type: altmarkets, venue: sandbox, seed: 1}
markets: [ROGER-BTC]
strategy:
  use: pure_market_making
  params: {bid_spread: 20bps, ask_spread: 20bps, order_amount: 1000 ROGER}
"""


@pytest.fixture
def thin(tmp_path: Path) -> str:
    path = tmp_path / "thin.yml"
    path.write_text(THIN)
    return str(path)


def test_a_warning_does_not_change_the_exit_code(thin: str) -> None:
    done = CliRunner().invoke(group, ["check", thin])
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0] == f"{thin}: ok, pure_market_making on ROGER-BTC at sandbox"
    assert lines[2].startswith(
        f"{thin}:7:24: warning: buying and selling again may earn no more than 0.4%, and two fees"
    )


def test_strict_takes_it_for_a_mistake(thin: str) -> None:
    done = CliRunner().invoke(group, ["check", thin, "--strict"])
    assert done.exit_code == 3
    assert ": warning: " in done.stdout


def test_json_has_it_beside_the_problems(thin: str) -> None:
    done = CliRunner().invoke(group, ["check", thin, "--json"])
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"], found["problems"]) == (0, True, [])
    (warning,) = found["warnings"]
    assert set(warning) == {"file", "line", "column", "path", "code", "message", "fix"}
    assert (warning["line"], warning["column"], warning["code"]) == (7, 24, "spread.fees")
    done = CliRunner().invoke(group, ["check", thin, "--json", "--strict"])
    assert (done.exit_code, json.loads(done.stdout)["ok"]) == (3, False)


@pytest.mark.slow
def test_a_run_says_it_once_before_anything_else(thin: str, tmp_path: Path) -> None:
    done = runner_run(thin, "--for", "500ms", "--headless", state=tmp_path / "state")
    assert done.returncode == 0
    first, *rest = log_lines(done.stderr)
    assert (first["event"], first["level"], first["code"], first["line"]) == (
        "config.warning",
        "warning",
        "spread.fees",
        7,
    )
    assert "config.warning" not in [line["event"] for line in rest]


@pytest.mark.slow
def test_a_strict_run_does_not_begin(thin: str, tmp_path: Path) -> None:
    done = runner_run(thin, "--strict", "--headless", state=tmp_path / "state")
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith(f"runner: {thin}:7:24: warning: buying and selling again may earn no more than 0.4%")
