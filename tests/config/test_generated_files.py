"""Files that nobody wrote: what is right is accepted, one mistake is told where it is, hostile text gets nowhere.

RUNNER_TEST_FILES asks for more of them than the suite draws.
"""

import os
import tracemalloc
from collections.abc import Callable

import pytest
from generated import NearMiss, files, near_misses
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.config.problems import Problem
from runner.config.read import read
from runner.config.spec import RunSpec
from runner.run.markets import known_markets

EXAMPLES = int(os.environ.get("RUNNER_TEST_FILES", "350"))
MEMORY_MAX = 64 * 1024 * 1024

many = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))


def checked(text: bytes | str) -> RunSpec | tuple[Problem, ...]:
    return read(text, file="drawn.yml", markets=known_markets)


@pytest.mark.slow
@many
@given(text=files)
def test_a_file_drawn_from_the_shape_is_right(text: str) -> None:
    found = checked(text)
    assert isinstance(found, RunSpec), "\n".join(map(str, found))


@pytest.mark.slow
@many
@given(miss=near_misses())
def test_a_near_miss_is_told_at_its_place(miss: NearMiss) -> None:
    found = checked(miss.text)
    assert not isinstance(found, RunSpec), miss
    assert (miss.line, miss.column) in [(problem.line, problem.column) for problem in found], (miss, found)
    assert all(problem.fix and problem.message for problem in found)


NOISE = st.text("{}[]:-,&*!|>'\"#%@?<=~ \t\n\x00\x07\ufeff\u2028abyn01.", max_size=200)


@pytest.mark.slow
@many
@given(text=files, noise=NOISE, data=st.data())
def test_noise_in_a_file_is_a_spec_or_problems(text: str, noise: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(text)))
    until = data.draw(st.integers(at, min(len(text), at + 50)))
    found = checked(text[:at] + noise + text[until:])
    if not isinstance(found, RunSpec):
        assert found
        assert all(problem.line >= 1 and problem.column >= 1 for problem in found)


def _bomb(depth: int) -> str:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, depth)]
    return "\n".join(rows)


HOSTILE: dict[str, Callable[[], bytes | str]] = {
    "ten megabytes of one key": lambda: "name: " + "x" * 10_000_000,
    "ten megabytes of keys": lambda: "".join(f"k{n}: 1\n" for n in range(900_000)),
    "lists in lists": lambda: "[" * 100_000,
    "maps in maps": lambda: "{a: " * 100_000,
    "steps to the right": lambda: "".join(f"{' ' * n}k:\n" for n in range(1_000)),
    "aliases of aliases": lambda: _bomb(40),
    "an anchor in itself": lambda: "a: &a [*a]",
    "a great number": lambda: f"version: {'9' * 900_000}",
    "a great exponent": lambda: "risk: {max_position: {BTC: 1e999999999}}",
    "questions": lambda: "? " * 200_000,
    "quotes": lambda: "'" * 500_001,
    "comments": lambda: "#" * 900_000,
    "zeros": lambda: b"\0" * 1_000_000,
    "another encoding": lambda: "version: 1\nname: ü".encode("utf-16"),
    "half a character": lambda: "name: ü".encode()[:-1],
    "lone surrogates": lambda: "name: \ud800",
    "documents": lambda: "---\n" * 100_000,
    "tags": lambda: "a: " + "!!python/object:os.system " * 1_000,
    "a merge": lambda: "a: &a {b: 1}\nc: {<<: *a}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_in_little_memory(name: str) -> None:
    text = HOSTILE[name]()
    tracemalloc.start()
    try:
        found = checked(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert not isinstance(found, RunSpec)
    assert found
    assert all(len(str(problem)) < 2_000 for problem in found[:100])
    assert peak < MEMORY_MAX, f"{peak / 2**20:.0f} MiB"
