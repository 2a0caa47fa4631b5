"""Files of five thousand lines: right ones, and ones full of mistakes. How fast they are checked a benchmark says."""

from pathlib import Path

import pytest

from benchmarks.check import LADDER, LINES, long_file, mistaken_file
from runner.config.problems import Problem
from runner.config.read import read
from runner.config.spec import RunSpec


@pytest.fixture
def ladder(tmp_path: Path) -> str:
    (tmp_path / "ladder.py").write_text(LADDER)
    return str(tmp_path / "ladder.yml")


def told(text: str, file: str) -> tuple[Problem, ...]:
    found = read(text, file=file)
    assert not isinstance(found, RunSpec)
    return found


def test_a_long_file_is_right(ladder: str) -> None:
    text = long_file()
    assert text.count("\n") == LINES
    found = read(text, file=ladder)
    assert isinstance(found, RunSpec), "\n".join(map(str, found[:5]))
    assert len(found.settings.markets) == 50
    assert len(found.settings.params["steps"]) == text.count("bps")


def test_every_wrong_unit_of_a_long_file_is_told(ladder: str) -> None:
    text = long_file(step="bsp")
    wrong = [number for number, line in enumerate(text.splitlines(), start=1) if "bsp" in line]
    assert [(problem.line, problem.code) for problem in told(text, ladder)] == [(line, "unit.wrong") for line in wrong]


@pytest.mark.slow
def test_every_misspelt_key_of_a_long_file_is_told_once(ladder: str) -> None:
    found = told(mistaken_file(), ladder)
    unknown = [problem.line for problem in found if problem.code == "key.unknown"]
    missing = [problem.path for problem in found if problem.code == "key.missing"]
    assert unknown == list(range(2, LINES + 1))
    assert missing == ["name", "connector", "markets", "strategy"]
    assert len(found) == len(unknown) + len(missing)


@pytest.mark.slow
def test_thousands_of_problems_on_one_line_of_a_million_characters(ladder: str) -> None:
    wrong = ", ".join(f"{'x' * 90}{number}" for number in range(9_000))
    (head,) = [line for line in long_file().splitlines() if line.startswith("connector")]
    text = f"version: 1\nname: wide\n{head}\nmarkets: [A-B]\nstrategy: {{use: './ladder.py:Ladder'}}\n"
    found = told(f"{text}tick: {{when: [{wrong}]}}\n", ladder)
    assert [problem.code for problem in found].count("value.unknown") == 9_000
