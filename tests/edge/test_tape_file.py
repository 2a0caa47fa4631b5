import gzip
import json
from pathlib import Path

import pytest

from runner.edge.tape_file import read_tape
from runner.simulation.columns import NotATape

SNAPSHOT = {"lastUpdateId": 1, "bids": [["1.00", "2.0"]], "asks": [["1.01", "1.5"]]}
TEXT = f"17 {json.dumps(SNAPSHOT)}\n".encode()


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_read_packed_or_plain_whatever_its_name(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "tape"
    path.write_bytes(gzip.compress(TEXT) if packed else TEXT)
    recording = read_tape(path, symbol="A-B", price_precision=3)
    assert (recording.market.symbol, recording.market.price_precision) == ("A-B", 3)
    assert list(recording.ticks) == [1000, 1010]


@pytest.mark.parametrize("kept", [slice(0, -9), slice(0, 12)])
def test_a_damaged_file_says_so(tmp_path: Path, kept: slice) -> None:
    path = tmp_path / "tape.gz"
    path.write_bytes(gzip.compress(TEXT * 3)[kept])
    with pytest.raises(NotATape, match="damaged"):
        read_tape(path, symbol="A-B")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_tape(tmp_path / "none")
