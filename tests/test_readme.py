"""What the README says is what happens: its strategy is in order, its tables are those of the program."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runner.cli.exits import Exit

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RUNNER = Path(sys.executable).with_name("runner")


def block(language: str) -> str:
    (text,) = re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert isinstance(text, str)
    return text


def rows(heading: str) -> list[list[str]]:
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def runner(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RUNNER, *words], cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spread.py").write_text(block("python"))
    (tmp_path / "spread.yml").write_text(block("yaml"))
    return tmp_path


def test_the_strategy_of_the_readme_is_in_order(folder: Path) -> None:
    done = runner("check", "spread.yml", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_mistake_in_it_would_be_found(folder: Path) -> None:
    (folder / "spread.yml").write_text(block("yaml").replace("30bps", "30 ROGER"))
    assert runner("check", "spread.yml", cwd=folder).returncode == 3


def test_the_strategy_is_as_short_as_promised() -> None:
    code = [line for line in block("python").split("class Spread")[1].splitlines() if line.strip()]
    assert len(code) <= 20


def test_the_commands_are_those_of_the_program() -> None:
    told = {re.match(r"`runner (\w+)", row[0])[1] for row in rows("Commands")}  # type: ignore[index]
    help_text = runner("--help").stdout
    listed = set(re.findall(r"^  (\w+)  ", help_text.split("Commands:")[1], re.MULTILINE))
    assert told == listed


def test_the_exit_codes_are_those_of_the_program() -> None:
    assert rows("Exit codes") == [[str(code.value), code.sentence] for code in Exit]


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`?make (\w+)", README.replace("git and make (", "")):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
