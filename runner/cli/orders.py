"""`runner orders`: the orders of an account, and which of them are this strategy's."""

from functools import partial

import click

from runner.cli.counter import at_counter, target, venue_options
from runner.run import account
from runner.run.tables import out, progress


@click.command(name="orders")
@venue_options(key=True)
@click.option("--all", "closed", is_flag=True, help="Also orders that are filled, cancelled or rejected.")
@click.option("--since", metavar="TIME", help="With --all: created since 2h, 7d (ago), 2024-05-01.")
@click.option("--mine", is_flag=True, help="Only those that the strategy of FILE has placed.")
def command(
    file: str | None,
    rest_url: str | None,
    credentials: str | None,
    as_json: bool,
    closed: bool,
    since: str | None,
    mine: bool,
) -> None:
    """List the open orders of an account, everybody's who trades there.

    With FILE the column `mine` tells those of its strategy.

    \b
    Example:
      runner orders mine.yml
      runner orders mine.yml --all --since 2h --json
    """
    if mine and file is None:
        raise click.UsageError("--mine needs the strategy FILE: it says whose orders are meant")
    if since is not None and not closed:
        raise click.UsageError("--since goes with --all: open orders are always listed whole")
    where = target(file, rest_url, credentials)
    with progress("orders") as told:
        work = partial(account.orders, closed=closed, since=since, mine=mine, progress=told)
        table = at_counter(where, work, private=True)
    out(table, as_json=as_json)
