"""`runner explain`: why an order was placed, and what became of it. Offline, from the journal."""

import json
import os

import click

from runner.cli.counter import spec_of
from runner.cli.exits import fail
from runner.run.aside import explain
from runner.run.ends import CannotRun


@click.command(name="explain")
@click.argument("order")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print a list of objects instead of text.")
def command(order: str, file: str, as_json: bool) -> None:
    """Tell the story of ORDER of FILE's strategy: reason, book, answers, cancels and fills, with UTC times.

    ORDER is a client order id, the exchange's number, or a slot, which means its newest order.

    \b
    Example:
      runner explain R3EU24GHTFE5-BID-1-0 mine.yml
      runner explain bid-1 mine.yml --json
    """
    try:
        lines = explain(spec_of(file), os.environ, order)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    if as_json:
        facts = [{"time": line.time, "run": line.run, "event": line.event, "what": line.what} for line in lines]
        click.echo(json.dumps(facts))
    else:
        click.echo("\n".join(line.text() for line in lines))
