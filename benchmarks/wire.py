"""From a line of the wire to the best bid and ask: decoded, sequence-checked, applied, read. One core, no socket."""

from collections.abc import Iterator
from itertools import islice
from statistics import median
from time import process_time
from typing import Any

from benchmarks.tape import MARKET, Tape
from runner.altmarkets.stream import PublicStream
from runner.engine.book import Book
from runner.model.event import BookDelta, BookSnapshot, PublicTrade

LINES = 1_000_000
CHUNK = 10_000  # lines, timed together
READ = 256  # lines that come with one read of a socket: 64 kB hold some 900

SEED = 1


def figures() -> Iterator[dict[str, Any]]:
    """Events a second of CPU time: the median over chunks of the tape, which busy neighbours disturb least."""
    for repeated in (0.6, 0.0):
        rates = measure(Tape(SEED, repeated), LINES)
        yield {
            "figure": "wire_to_best" if repeated else "wire_to_best_unique_quantities",
            "value": round(median(rates)),
            "unit": "events/s",
            "budget": 1_000_000,
            "best_chunk": round(max(rates)),
            "mean": round(len(rates) / sum(1 / rate for rate in rates)),
            "lines": LINES,
            "seed": SEED,
        }


def measure(tape: Tape, lines: int) -> list[float]:
    """Events a second of each chunk. Raises AssertionError if the book at the end is not the tape's own."""
    stream, book = PublicStream([MARKET], [MARKET.symbol]), Book()
    consume(stream, book, [tape.snapshot()])
    rates = []
    source = tape.lines(lines)
    while chunk := list(islice(source, CHUNK)):
        reads = [chunk[at : at + READ] for at in range(0, len(chunk), READ)]
        began = process_time()
        for texts in reads:
            consume(stream, book, texts)
        rates.append(len(chunk) / (process_time() - began))
    assert book.state == "live", book.reason
    assert book.bids(len(tape.bids)) == sorted(tape.bids.items(), reverse=True)
    assert book.asks(len(tape.asks)) == sorted(tape.asks.items())
    return rates


def consume(stream: PublicStream, book: Book, texts: list[bytes]) -> None:
    """What the engine's feed does with one read: every event in turn, and a look at the best prices after each."""
    apply, best_bid, best_ask = book.apply, book.best_bid, book.best_ask
    for what in stream.receive_all(texts):
        if isinstance(what, BookDelta):
            apply(what, 0)
        elif not isinstance(what, PublicTrade):
            assert isinstance(what, BookSnapshot), f"the tape holds nothing else: {what}"
            apply(what, 0)
        best_bid()
        best_ask()
