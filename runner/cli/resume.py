"""`runner resume`: show why a risk latch fell, and lift it."""

import json
import os

import click

from runner.cli.counter import spec_of
from runner.cli.exits import fail
from runner.run.ends import CannotRun
from runner.run.resume import resume
from runner.run.tables import show


@click.command(name="resume")
@click.argument("file")
@click.option("--reason", default="", help="Why it may go on; it goes into the journal.")
@click.option("--show", "only_show", is_flag=True, help="Only show what stands, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(file: str, reason: str, only_show: bool, as_json: bool) -> None:
    """Show the risk latches of FILE's strategy and lift them: after exit code 6, once you have looked.

    A latch stands across restarts. Lifted, its limit counts anew: a drawdown from the profit of this moment, a daily
    loss from now until the day ends.

    \b
    Example:
      runner resume mine.yml --show
      runner resume mine.yml --reason "the spread was too small for that day"
    """
    try:
        done = resume(spec_of(file), os.environ, reason, only_show=only_show)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    if as_json:
        click.echo(json.dumps({"latches": [dict(row) for row in done.table.rows], "lifted": done.lifted}))
        return
    show(done.table)
    if done.latches:
        click.echo("lifted: the next run goes on" if done.lifted else "they stand; without --show this lifts them")
