"""What the README says is what happens: its strategy trades, its commands, tables and queries are the program's."""

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from runner.cli.exits import Exit
from runner.cli.main import group

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RUNNER = Path(sys.executable).with_name("runner")


def blocks(language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, language
    return found


def rows(heading: str) -> list[list[str]]:
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def runner(*words: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RUNNER, *words],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spread.py").write_text(blocks("python")[0])
    (tmp_path / "spread.yml").write_text(blocks("yaml")[0])
    return tmp_path


def test_the_strategy_of_the_readme_is_in_order(folder: Path) -> None:
    done = runner("check", "spread.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_mistake_in_it_would_be_found(folder: Path) -> None:
    (folder / "spread.yml").write_text(blocks("yaml")[0].replace("30bps", "30 ROGER"))
    assert runner("check", "spread.yml", cwd=folder).returncode == 3


def test_the_strategy_is_as_short_as_promised() -> None:
    code = [line for line in blocks("python")[0].split("class Spread")[1].splitlines() if line.strip()]
    assert len(code) <= 20


@pytest.mark.slow
def test_it_trades_from_any_folder_and_its_journal_answers_the_queries(folder: Path, tmp_path: Path) -> None:
    done = runner("run", str(folder / "spread.yml"), "--once", "--json", RUNNER_STATE_DIR=str(tmp_path / "state"))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["orders"]["placed"], summary["open_orders_left"]) == (2, 0)
    (journal,) = (tmp_path / "state" / "sandbox").glob("*/journal.sqlite3")
    with closing(sqlite3.connect(journal)) as connection:
        for query in re.findall(r"sqlite3 .*'(.*)'", "".join(blocks("console"))):
            connection.execute(query)
        orders = connection.execute("SELECT client_id, state FROM order_list").fetchall()
        assert [state for _, state in orders if state not in {"cancelled", "filled"}] == []
        asked, count = re.subn(r"'[A-Z0-9]+-BID-1-0'", "?", blocks("sql")[0])
        assert count == 1
        steps = connection.execute(asked, [orders[0][0]]).fetchall()
    assert [step[2] for step in steps][:2] == ["intended", "sent"]
    assert steps[-1][2] == orders[0][1]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", step[0]) for step in steps)


@pytest.fixture
def connectors() -> list[str]:
    """The blocks that stand in place of the strategy's connector: a paper account, an exchange by its addresses."""
    return [block for block in blocks("yaml") if block.startswith("connector:")]


def test_a_paper_account_is_in_order(folder: Path, connectors: list[str]) -> None:
    mine = (folder / "spread.yml").read_text()
    (folder / "spread.yml").write_text(re.sub(r"^connector:.*\n", connectors[0], mine, flags=re.MULTILINE))
    done = runner("check", "spread.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "paper: queue proportional, latency 80 ms for orders" in done.stdout


def test_an_exchange_by_its_addresses_is_in_order(folder: Path, connectors: list[str]) -> None:
    mine = (folder / "spread.yml").read_text()
    other, count = re.subn(r"^connector:.*\n", connectors[1], mine, flags=re.MULTILINE)
    assert count == 1
    (rule,) = re.findall(r"`(run: \{.*?\})`", README)
    (folder / "spread.yml").write_text(f"{other}{rule}\n")
    done = runner("check", "spread.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "at http://127.0.0.1:8080/api/v2/peatio" in done.stdout


def test_the_commands_are_those_of_the_program() -> None:
    told = {re.match(r"`runner (\w+)", row[0])[1] for row in rows("Commands")}  # type: ignore[index]
    help_text = runner("--help").stdout
    listed = set(re.findall(r"^  (\w+)  ", help_text.split("Commands:")[1], re.MULTILINE))
    assert told == listed


def test_the_options_are_those_of_the_commands() -> None:
    shown = [
        shlex.split(line, comments=True) for line in re.findall(r"\.venv/bin/runner (.*)", "".join(blocks("console")))
    ]
    listed = [[row[0].strip("`").split()[1], *re.findall(r"`(--[a-z-]+)", row[1])] for row in rows("Commands")]
    used: dict[str, set[str]] = {}
    for command, *words in [*shown, *listed]:
        used.setdefault(command, set()).update(word.split("=")[0] for word in words if word.startswith("--"))
    assert used["run"] >= {"--for", "--once", "--json"}
    for command, options in used.items():
        told = CliRunner().invoke(group, [command, "--help"]).stdout
        assert options <= set(re.findall(r"--[a-z-]+", told)), command


def test_the_exit_codes_are_those_of_the_program() -> None:
    assert rows("Exit codes") == [[str(code.value), code.sentence] for code in Exit]


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", README.replace("git and make (", "")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
