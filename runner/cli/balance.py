"""`runner balance`: what the account holds."""

from functools import partial

import click

from runner.cli.counter import at_counter, target, venue_options
from runner.run import account
from runner.run.tables import out


@click.command(name="balance")
@venue_options(key=True)
@click.option("--zeros", is_flag=True, help="Also currencies of which there is nothing.")
def command(file: str | None, rest_url: str | None, credentials: str | None, as_json: bool, zeros: bool) -> None:
    """Show the balances of an account: available, locked in orders, total.

    \b
    Example:
      runner balance mine.yml
      runner balance --rest-url https://example.com/api/v2/peatio --credentials main --json
    """
    where = target(file, rest_url, credentials)
    out(at_counter(where, partial(account.balances, zeros=zeros), private=True), as_json=as_json)
