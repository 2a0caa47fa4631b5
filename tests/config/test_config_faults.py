from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.config.problems import Problem
from runner.model.settings import SECOND
from runner.run.sandbox import Planned, faults_of

GOOD = """\
# a bad afternoon
- {at: 10s, name: answer, value: 502, for: 30s, chance: 0.5}
- name: engine_restart
  at: 1m
- {name: json_ping}
"""


def test_a_file_is_read_in_its_order() -> None:
    planned = faults_of(GOOD.encode(), "storm.yml")
    assert all(isinstance(one, Planned) for one in planned)
    assert [(one.after // SECOND, one.switch.name) for one in planned if isinstance(one, Planned)] == [
        (10, "answer"),
        (60, "engine_restart"),
        (0, "json_ping"),
    ]
    first = planned[0]
    assert isinstance(first, Planned)
    assert (first.switch.value, first.switch.duration, first.switch.chance) == ("502", 30 * SECOND, 0.5)


@pytest.mark.parametrize(
    ("text", "at", "words"),
    [
        ("", (1, 1), "a file of faults is a list"),
        ("name: answer", (1, 1), "a file of faults is a list"),
        ("- answer", (1, 3), "not a fault"),
        ("- {at: 1, name: numbers}", (1, 8), "no unit"),
        ("- {at: 1s, name: nubmers}", (1, 18), "there is no fault 'nubmers'"),
        ("- {at: 1s, name: answer, value: 418}", (1, 33), "answer=418"),
        ("- {at: 1s, name: numbers, value: [1]}", (1, 34), "a single value"),
        ("- {at: 1s}", (1, 8), "there is no fault ''"),
        ("- {name: numbers, colour: red}", (1, 27), "unknown key 'colour'"),
        ("- {name: numbers", (1, 3), "`{` without its `}`"),
    ],
)
def test_what_is_wrong_is_shown_where_it_is(text: str, at: tuple[int, int], words: str) -> None:
    (problem,) = faults_of(text.encode(), "storm.yml")
    assert isinstance(problem, Problem)
    assert (problem.line, problem.column) == at, problem
    assert words in problem.message
    assert problem.fix


def test_all_of_it_is_told_at_once() -> None:
    problems = faults_of(b"- {name: a}\n- {name: numbers}\n- {name: b}\n", "storm.yml")
    assert [problem.line for problem in problems if isinstance(problem, Problem)] == [1, 3]


@given(st.text(max_size=60) | st.binary(max_size=60))
def test_no_text_raises(text: str | bytes) -> None:
    for one in faults_of(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"), "x.yml"):
        assert isinstance(one, Planned | Problem)


def test_here_it_is_not_a_folder_that_is_read(tmp_path: Path) -> None:
    assert faults_of(b"[]", str(tmp_path)) == ()
