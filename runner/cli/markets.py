"""`runner markets`: what can be traded at a venue, and by which rules."""

import click

from runner.cli.counter import at_counter, target, venue_options
from runner.run import account
from runner.run.tables import out


@click.command(name="markets")
@venue_options(key=False)
def command(file: str | None, rest_url: str | None, as_json: bool) -> None:
    """List the markets of a venue: tick and lot size, minima, fees.

    FILE is a strategy file: its venue is asked.

    \b
    Example:
      runner markets mine.yml
      runner markets --rest-url https://example.com/api/v2/peatio --json
    """
    out(at_counter(target(file, rest_url), account.markets, private=False), as_json=as_json)
