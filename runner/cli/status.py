"""`runner status`: is it running, and what does its journal say? Offline."""

import json
import os
import sys

import click

from runner.cli.counter import spec_of
from runner.cli.exits import Exit, fail
from runner.run.aside import standing
from runner.run.ends import CannotRun


@click.command(name="status")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: str, as_json: bool) -> None:
    """Show whether the strategy of FILE is running, its orders and position, from lock and journal alone.

    Exits 0 while it runs and 10 when it does not.

    \b
    Example:
      runner status mine.yml
      runner status mine.yml --json || systemctl start mine
    """
    try:
        found = standing(spec_of(file), os.environ)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    click.echo(json.dumps(found.facts()) if as_json else found.text())
    sys.exit(Exit.CLEAN if found.running else Exit.NOT_RUNNING)
