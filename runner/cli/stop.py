"""`runner stop`: ask the running instance to stop, and wait until it has."""

import json
import os
import sys

import click

from runner.cli.counter import spec_of
from runner.cli.exits import fail
from runner.run.aside import stop
from runner.run.ends import CannotRun


@click.command(name="stop")
@click.argument("file")
@click.option(
    "--within", "within_s", type=click.FloatRange(1, 3600), default=120, show_default=True, help="Seconds to wait."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: str, within_s: float, as_json: bool) -> None:
    """Stop the running instance of FILE's strategy as SIGTERM does, and wait for its orders to be proven gone.

    Exits with the code that the run ended with; 10 when none is running; 7 when it has not ended in time.

    \b
    Example:
      runner stop mine.yml
      runner stop mine.yml --json --within 300
    """
    try:
        done = stop(spec_of(file), os.environ, within_s, lambda text: click.echo(f"runner: {text}", err=True))
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    click.echo(json.dumps(done.facts()) if as_json else done.text())
    sys.exit(done.exit_code)
