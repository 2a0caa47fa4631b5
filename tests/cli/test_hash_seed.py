"""What a program reads from us does not depend on the order of a set: not on PYTHONHASHSEED, so not on the run."""

import os
import subprocess
import sys

import pytest

MISTAKEN = """\
version: 1
name: mistaken
connector: {type: altmarkets, venue: sandbox}
markets: [ROGER-BTX, ROGER-BTC, ROGER-BTC]
strategy:
  use: pure_market_makin
  params: {bid_sprea: 35bps, order_amount: 5 DOGE}
risc: {}
"""


def outputs(seed: str, *words: str, stdin: str = "") -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "runner.cli.main", *words],
        env={**os.environ, "PYTHONHASHSEED": seed},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "stdin", "exit_code"),
    [
        (["schema"], "", 0),
        (["strategies", "--json"], "", 0),
        (["strategies", "pure_market_making", "--json"], "", 0),
        (["check", "-", "--json"], MISTAKEN, 3),
        (["check", "-"], MISTAKEN, 3),
    ],
    ids=["schema", "strategies", "one strategy", "problems in JSON", "problems"],
)
def test_the_same_under_every_hash_seed(words: list[str], stdin: str, exit_code: int) -> None:
    first = outputs("0", *words, stdin=stdin)
    assert first[0] == exit_code, first
    assert len(first[1]) > 100
    assert outputs("1", *words, stdin=stdin) == first
    assert outputs("4242", *words, stdin=stdin) == first


def test_a_seed_does_change_the_order_of_a_set() -> None:
    """Otherwise the law above would hold for nothing."""
    program = "print([*{chr(n) * 3 for n in range(65, 90)}])"
    told = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("0", "1", "4242")
    }
    assert len(told) == 3
