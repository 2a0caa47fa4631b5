"""Recordings in files: plain or gzip, read as a stream."""

import gzip
import zlib
from pathlib import Path

from runner.simulation.collector import NotATape, read_lines
from runner.simulation.recording import Recording

GZIP_MAGIC = b"\x1f\x8b"


def read_tape(
    path: Path, *, symbol: str | None = None, price_precision: int | None = None, amount_precision: int | None = None
) -> Recording:
    """Import a recording in the raw Binance collector format (`simulation/collector.py`).

    Raises NotATape for contents that cannot be used, a cut-off file among them, and OSError.
    """
    with path.open("rb") as plain:
        packed = plain.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        plain.seek(0)
        try:
            lines = gzip.GzipFile(fileobj=plain) if packed else plain
            return read_lines(lines, symbol=symbol, price_precision=price_precision, amount_precision=amount_precision)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise NotATape(f"the file is damaged: {error}") from None
