"""`runner tape`: what is on a recorded market, a part of it, and in and out of other formats."""

import json
import os
from pathlib import Path

import click

from runner.cli.exits import fail
from runner.run import tapes
from runner.run.ends import CannotRun


@click.group(name="tape")
def command() -> None:
    """Work with recorded markets: a tape, a run's record, or a recording of another program.

    TAPE may be a file of ours (.tape), the raw format of a Binance collector (plain or gzip), CSV with Tardis' column
    names (incremental_book_L2), or a run: its id, the folder of its record, or a file of it. What a run's own orders
    did is not on the tape; levels where that cannot be told apart are listed as tainted.

    \b
    Example:
      runner tape info btcusdt.gz
      runner tape import book.csv.gz btc.tape --trades trades.csv.gz --market BTC-USDT
    """


_tape = click.argument("tape")
_market = click.option(
    "--market", metavar="BASE-QUOTE", help="Which market, where the data cannot tell, or has several."
)


@command.command(name="info")
@_tape
@_market
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def info(tape: str, market: str | None, as_json: bool) -> None:
    """Show market, rules, time, rows, trades, gaps and tainted levels of TAPE."""
    try:
        found = tapes.read(tape, os.environ, symbol=market)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    click.echo(json.dumps(tapes.facts(found)) if as_json else tapes.text(found))


@command.command(name="cut")
@_tape
@click.argument("out", type=click.Path(path_type=Path))
@_market
@click.option(
    "--from", "since", metavar="TIME", help="2026-04-18T09:30:00Z, or 90s after its start. By default its start."
)
@click.option("--to", "until", metavar="TIME", help="The same; what happens then is no more on it. By default its end.")
def cut(tape: str, out: Path, market: str | None, since: str | None, until: str | None) -> None:
    """Write what happens on TAPE between two times to OUT, beginning with the book as it was then."""
    _written(out, tape, market, since=since, until=until)


@command.command(name="import")
@_tape
@click.argument("out", type=click.Path(path_type=Path))
@_market
@click.option("--trades", type=click.Path(path_type=Path), help="The CSV file of trades that belongs to the book's.")
@click.option("--price-precision", type=click.IntRange(0, 8), help="Decimals of a price, if the data use fewer.")
@click.option("--amount-precision", type=click.IntRange(0, 8), help="Decimals of a quantity, if the data use fewer.")
def import_(
    tape: str,
    out: Path,
    market: str | None,
    trades: Path | None,
    price_precision: int | None,
    amount_precision: int | None,
) -> None:
    """Read TAPE in any of the formats and write it to OUT (.tape), which carries its market and is quick to load."""
    if out.suffix != tapes.SUFFIX:
        raise click.UsageError(f"{out}: end its name with {tapes.SUFFIX}; `runner tape export` writes other formats")
    _written(
        out,
        tape,
        market,
        trades=trades,
        price_precision=price_precision,
        amount_precision=amount_precision,
    )


@command.command(name="export")
@_tape
@click.argument("out", type=click.Path(path_type=Path))
@_market
def export(tape: str, out: Path, market: str | None) -> None:
    """Write TAPE to OUT, whose name says how: .csv, or .parquet, which needs the extra `parquet`."""
    _written(out, tape, market)


def _written(
    out: Path,
    tape: str,
    market: str | None,
    *,
    since: str | None = None,
    until: str | None = None,
    trades: Path | None = None,
    price_precision: int | None = None,
    amount_precision: int | None = None,
) -> None:
    try:
        found = tapes.read(
            tape,
            os.environ,
            symbol=market,
            trades=trades,
            price_precision=price_precision,
            amount_precision=amount_precision,
        )
        if since is not None or until is not None:
            found = tapes.part(found, since, until)
        tapes.write(out, found)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    click.echo(f"{out}: {found.market.symbol}, {len(found)} rows, {len(found.gaps)} gaps, {len(found.tainted)} tainted")
