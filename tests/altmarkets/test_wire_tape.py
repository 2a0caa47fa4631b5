"""The benchmark's tape through the whole read path: at the end our book is the tape's own."""

from itertools import islice

import pytest

from benchmarks import __main__ as command
from benchmarks.tape import LEVELS, TRADE_EVERY, Tape
from benchmarks.wire import measure


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("repeated", [0.6, 0.0])
def test_the_book_at_the_end_is_the_tapes_own(seed: int, repeated: float) -> None:
    assert measure(Tape(seed, repeated), 20_000)  # it compares every level itself


def test_a_seed_is_a_tape_and_the_mix_is_as_described() -> None:
    tape = Tape(7)
    assert len(tape.bids) == len(tape.asks) == LEVELS
    lines = [tape.snapshot(), *tape.lines(20_000)]
    again = Tape(7)
    assert lines == [again.snapshot(), *again.lines(20_000)]
    assert lines[1:] != list(islice(Tape(8).lines(20_000), 20_000))
    trades = sum(b".trades" in line for line in lines)
    deletions = sum(b'""' in line for line in lines)
    assert trades == pytest.approx(20_000 / TRADE_EVERY, rel=0.1)
    assert 0.28 < deletions / (20_000 - trades) < 0.48


def test_a_benchmark_that_does_not_exist_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks", "wire", "nothing"])
    assert command.main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "nothing" in err
