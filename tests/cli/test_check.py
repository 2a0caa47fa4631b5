"""`runner check` as people and programs see it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from runner.cli.main import group

ROOT = Path(__file__).parents[2]
QUICKSTART = str(ROOT / "strategies" / "quickstart.yml")


def check(*arguments: str, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(group, ["check", *arguments], input=stdin)


BROKEN = """\
version: 9
name: broken
connector: {type: altmarkets, venue: sandbox}
markets: [ROGER-BTC]
strategy:
  use: pure_market_making
  params: {bid_spread: 40bps, ask_spread: 40bps, order_amount: 500}
"""


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.yml"
    path.write_text(BROKEN)
    return str(path)


def test_bundled_files_are_right() -> None:
    files = sorted(map(str, (ROOT / "strategies").glob("*.yml")))
    done = check(*files)
    assert (done.exit_code, done.stderr) == (0, "")
    first, most = done.stdout.splitlines()[::2], done.stdout.splitlines()[1::2]
    assert [line.split(":")[0] for line in first] == files
    assert all(re.match(r"  at most at once: \d+ orders; \d+ ROGER bought and ", line) for line in most)


def test_problems_are_blocks_on_stdout_and_exit_3(broken: str) -> None:
    done = check(QUICKSTART, broken)
    assert done.exit_code == 3
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0].startswith(f"{QUICKSTART}: ok, ")
    assert lines[2].startswith(f"{broken}:1:10: ")
    assert lines[5] == "  write 1"
    assert lines[9] == "  write 500 ROGER"


def test_json_says_the_same(broken: str) -> None:
    done = check(QUICKSTART, broken, "--json")
    assert done.exit_code == 3
    found = json.loads(done.stdout)
    assert found["ok"] is False
    assert [set(problem) for problem in found["problems"]] == [
        {"file", "line", "column", "path", "code", "message", "fix"}
    ] * 2
    first = found["problems"][0]
    assert (first["file"], first["line"], first["column"], first["path"]) == (broken, 1, 10, "version")


def test_json_of_a_file_that_is_right() -> None:
    done = check(QUICKSTART, "--json")
    roger = {"ROGER": "2000"}
    bounds = {QUICKSTART: {"orders": 4, "bought": roger, "sold": roger, "requests": {"20s": 8}}}
    told = {"ok": True, "problems": [], "warnings": [], "bounds": bounds}
    assert (done.exit_code, json.loads(done.stdout)) == (0, told)


def test_stdin_is_a_file_too(broken: str) -> None:
    done = check("-", stdin=Path(broken).read_bytes())
    assert done.exit_code == 3
    assert done.stdout.startswith("<stdin>:1:10: ")
    assert check("-", stdin=Path(QUICKSTART).read_bytes()).exit_code == 0


def test_set_is_checked(broken: str) -> None:
    assert check(broken, "--set", "version=1", "--set", "strategy.params.order_amount=500 ROGER").exit_code == 0
    done = check(QUICKSTART, "--set", "risk.max_open_orders=x")
    assert done.exit_code == 3
    assert done.stdout.startswith("--set:1:22: `x` is not a whole number\n    risk.max_open_orders=x\n")


@pytest.mark.parametrize("name", ["nowhere.yml", ".", "\x00"])
def test_a_file_that_cannot_be_read_is_one_sentence_and_exit_2(name: str) -> None:
    done = check(name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"runner: cannot read {name}: ")
    assert done.stderr.count("\n") == 1


def test_markets_that_nobody_knows_here_are_said_to_be_unchecked() -> None:
    done = check(QUICKSTART, "--set", "connector.venue=altmarkets", "--set", "markets=[ROGER-BTC, ROGER-USDT]")
    assert done.exit_code == 0
    assert "the markets of altmarkets are not known here" in done.stdout
    done = check(QUICKSTART, "--set", "markets=[ROGER-USDT]")
    assert done.exit_code == 3


def test_the_network_and_the_terminal_are_not_even_imported() -> None:
    code = (
        "import sys; from runner.cli.main import main; sys.argv[1:] = ['check', sys.argv[1]]\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, QUICKSTART], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert {"yaml", "jsonschema", "msgspec"} <= loaded
    assert not loaded & {"httpx", "anyio", "structlog", "rich", "trio", "h11", "websockets", "sqlite3", "asyncio"}


def test_a_terminal_that_cannot_show_a_character_gets_its_number(tmp_path: Path) -> None:
    path = tmp_path / "r.yml"
    path.write_text("naïve €: 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "runner.cli.main", "check", str(path)],
        capture_output=True,
        check=False,
        env={"PYTHONIOENCODING": "latin-1", "PYTHONPATH": str(ROOT)},
    )
    assert (done.returncode, done.stderr) == (3, b"")
    assert b"\\u20ac" in done.stdout
