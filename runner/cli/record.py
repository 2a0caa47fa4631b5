"""`runner record`: record markets of a venue, for backtests."""

import json
import os
from functools import partial
from pathlib import Path

import anyio
import click
from msgspec import structs

from runner.cli.counter import target
from runner.cli.exits import Exit, fail
from runner.run.ends import CannotRun
from runner.run.public import Wish, record
from runner.run.tapes import length


@click.command(name="record")
@click.argument("markets", metavar="MARKET...", nargs=-1, required=True)
@click.option("--file", help="A strategy file: record at its venue.")
@click.option("--rest-url", metavar="URL", help="The venue, instead of a strategy file.")
@click.option("--stream-url", metavar="URL", help="Its streams, above /public; with --rest-url.")
@click.option("--for", "run_for", metavar="TIME", help="Stop after this long: 60s, 8h, 7d. Without it, on Ctrl-C.")
@click.option("--to", "folder", type=click.Path(path_type=Path), help="A new folder for it; by default one here.")
@click.option("--max-mb", type=click.IntRange(1), default=10_000, show_default=True, help="Stop when it is as large.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object instead of a line.")
def command(
    markets: tuple[str, ...],
    file: str | None,
    rest_url: str | None,
    stream_url: str | None,
    run_for: str | None,
    folder: Path | None,
    max_mb: int,
    as_json: bool,
) -> None:
    """Record order books and trades of each MARKET, without a key: until the time is over, Ctrl-C or SIGTERM.

    What is lost on the way (a cut connection, a break in the book's sequence) is a gap in the record, and never
    guessed over. `runner tape` makes tapes of it.

    \b
    Example:
      runner record ROGER-BTC --file mine.yml --for 8h --to monday
      runner tape info monday
    """
    where = target(file, rest_url)
    if rest_url is not None:
        where = structs.replace(where, stream_url=stream_url)
    elif stream_url is not None:
        raise click.UsageError("--stream-url is for --rest-url; a strategy file has its own")

    def told(line: str) -> None:
        click.echo(f"runner: {line}", err=True)

    try:
        wish = Wish(markets, folder, None if run_for is None else length(run_for), max_mb, told)
        found = anyio.run(partial(record, where, os.environ, wish))
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    if as_json:
        click.echo(json.dumps({**structs.asdict(found), "folder": str(found.folder)}))
    else:
        click.echo(f"{found.folder}: {found.books} changes of books, {found.trades} trades, {found.gaps} gaps")
    if found.problem is not None:
        fail(Exit.INTERNAL, found.problem)
