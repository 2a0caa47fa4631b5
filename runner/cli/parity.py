"""`runner parity`: how far a backtest is from a run that really happened, for each queue model."""

import json
import os

import click

from runner.cli.counter import spec_of
from runner.cli.exits import fail
from runner.run.ends import CannotRun
from runner.run.parity import facts, parity_of, text


@click.command(name="parity")
@click.argument("run")
@click.argument("file", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(run: str, file: str | None, as_json: bool) -> None:
    """Backtest the strategy of RUN on the public data of that run, and compare with what really came of it.

    RUN is the id of a run, the folder of its record, or one file of it. What was ours is taken out of the public data:
    orders wait in a modelled queue where they waited in a real one. Told are fills, volume and profit for each queue
    model, the first order that the backtest wants otherwise, and the model that comes closest. The strategy is the one
    that the record names, as it is now, or that of FILE.

    \b
    Example:
      runner parity 20260418-093012-514
      runner parity ./0001.record mine.yml --json
    """
    try:
        found = parity_of(run, os.environ, None if file is None else spec_of(file).strategy_type)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    click.echo(json.dumps(facts(found)) if as_json else text(found))
