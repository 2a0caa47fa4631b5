"""`runner trades`: the account's own trades with their fees, or a market's newest."""

from functools import partial

import click

from runner.cli.counter import at_counter, target, venue_options
from runner.run import account
from runner.run.tables import out, progress


@click.command(name="trades")
@venue_options(key=True)
@click.option("--market", metavar="MARKET", help="Only this market, such as ROGER-BTC.")
@click.option("--since", metavar="TIME", help="Since 2h, 7d (ago), 2024-05-01; by default all.")
@click.option("--public", is_flag=True, help="Everybody's newest thousand in --market instead; needs no key.")
def command(
    file: str | None,
    rest_url: str | None,
    credentials: str | None,
    as_json: bool,
    market: str | None,
    since: str | None,
    public: bool,
) -> None:
    """List the trades of an account, oldest first, with the fees taken.

    \b
    Example:
      runner trades mine.yml --since 7d
      runner trades --rest-url https://example.com/api/v2/peatio --public --market ROGER-BTC --json
    """
    if public and (market is None or since is not None):
        raise click.UsageError("--public needs --market, and knows no --since: the venue gives the newest thousand")
    where = target(file, rest_url, credentials)
    with progress("trades") as told:
        if public:
            table = at_counter(where, partial(account.public_trades, market=market or ""), private=False)
        else:
            work = partial(account.own_trades, market=market, since=since, progress=told)
            table = at_counter(where, work, private=True)
    out(table, as_json=as_json)
