"""Every planted bug is found within 200 examples, and what is left of file and market is small."""

from pathlib import Path

import pytest
from planted import BUGS, FILE, HONEST, Bug, source

from runner.config.read import read
from runner.config.spec import RunSpec
from runner.run.fuzz.case import Outcome, file_params
from runner.run.fuzz.folder import repeat, write
from runner.run.fuzz.search import changed, search
from runner.run.fuzz.small import file_in, smallest
from runner.run.markets import known_markets

EXAMPLES = 200
LINES_MAX = 13  # with the two lines of the tick, where it depends on when the strategy is asked
"""version, name, connector with type and venue, markets, strategy with use, params and the two required ones."""


def planted(bug: Bug, folder: Path) -> RunSpec:
    (folder / "planted.py").write_text(source(bug))
    spec = read(FILE, file=str(folder / "planted.yml"), markets=known_markets)
    assert isinstance(spec, RunSpec), "\n".join(map(str, spec))
    return spec


@pytest.mark.slow
@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_found_and_made_small(name: str, tmp_path: Path) -> None:
    bug = BUGS[name]
    spec = planted(bug, tmp_path)
    done = search(spec, EXAMPLES, 1, lambda done: None)
    assert done.found is not None, f"not in {done.examples} examples"
    small = smallest(spec, done.found)

    assert (small.failure.code, bug.says in small.failure.what) == (bug.code, True), small.failure
    assert len(small.tape.scenes) <= bool(bug.scenes)
    assert {scene.kind for scene in small.tape.scenes} <= bug.scenes
    assert sum(scene.seconds for scene in small.tape.scenes) <= 12
    assert set(changed(done.found.case, file_params(spec))) == bug.params
    folder = tmp_path / "out" / "found"
    lines = file_in(folder, spec, small.keys).splitlines()
    assert len(lines) <= LINES_MAX + len(bug.params), "\n".join(lines)

    write(folder, spec, small, "in words")
    again = repeat(folder)
    assert isinstance(again, Outcome)
    assert again.failure is not None
    assert again.failure.code == small.failure.code
    assert again.failure == small.failure or bug.code == "impure"  # which comes in other words each time


@pytest.mark.slow
@pytest.mark.parametrize("name", HONEST)
def test_nothing_is_found_where_nothing_is_wrong(name: str, tmp_path: Path) -> None:
    done = search(planted(HONEST[name], tmp_path), 40, 1, lambda done: None)
    assert done.found is None
    assert done.examples + done.refused == 40
    assert (done.refused > 0) == ("refused" in name)
    assert done.refusals.total() > 0  # by the gate, which is what it is for
