"""`runner candles`: a market's history as candles."""

import json
from functools import partial

import click

from runner.cli.counter import at_counter, target, venue_options
from runner.run import account
from runner.run.account import PERIODS
from runner.run.tables import candle_table, csv_text, progress, show


@click.command(name="candles")
@click.argument("market")
@venue_options(key=False)
@click.option("--period", type=click.Choice(PERIODS), default="5m", show_default=True, help="Length of a candle.")
@click.option("--since", metavar="TIME", default="1d", show_default=True, help="2h, 7d (ago), 2024-05-01, unix time.")
@click.option("--until", metavar="TIME", help="The same; by default now.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
def command(
    market: str,
    file: str | None,
    rest_url: str | None,
    as_json: bool,
    period: str,
    since: str,
    until: str | None,
    as_csv: bool,
) -> None:
    """Download the candles of MARKET, oldest first; times are UTC, the volume is in base.

    \b
    Example:
      runner candles ROGER-BTC mine.yml --period 5m --since 7d --csv > candles.csv
      runner candles ROGER-BTC --rest-url https://example.com/api/v2/peatio --period 1h --since 2024-05-01 --json
    """
    if as_csv and as_json:
        raise click.UsageError("--csv or --json, not both")
    where = target(file, rest_url)
    with progress("candles") as told:
        work = partial(account.candles, market=market, period=period, since=since, until=until, progress=told)
        rows = at_counter(where, work, private=False)
    if as_csv:
        click.echo(csv_text(rows), nl=False)
    elif as_json:
        click.echo(json.dumps(rows))
    else:
        show(candle_table(rows))
