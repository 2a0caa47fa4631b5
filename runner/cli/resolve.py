"""`runner resolve`: the human's word about an order whose fate nobody can prove."""

import json
import os

import click

from runner.cli.counter import spec_of
from runner.cli.exits import fail
from runner.run.aside import Word, resolve
from runner.run.ends import CannotRun


@click.command(name="resolve")
@click.argument("order")
@click.argument("file")
@click.option(
    "--as", "word", type=click.Choice(["absent", "filled", "cancelled"]), required=True, help="What became of it."
)
@click.option("--reason", required=True, help="How you know; it goes into the journal.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(order: str, file: str, word: Word, reason: str, as_json: bool) -> None:
    """Take your word that ORDER of FILE's strategy is gone, and free its slot.

    Look at the exchange first (runner orders FILE --all), and try runner settle: a proof is better than a word.
    ORDER is a client order id, the exchange's number, or a slot. Should it turn up after all, it is counted and
    cancelled.

    \b
    Example:
      runner resolve R3EU24GHTFE5-BID-1-0 mine.yml --as absent --reason "support says so, ticket 17"
    """
    try:
        done = resolve(spec_of(file), os.environ, order, word, reason)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    if as_json:
        facts = {"client_id": done.order.client_id, "state": done.order.state.value, "consequence": done.consequence}
        click.echo(json.dumps(facts))
    else:
        click.echo(f"{done.order.client_id} is {done.order.state.value}: {done.consequence}")
