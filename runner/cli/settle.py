"""`runner settle`: finish what a run has left with exit code 7."""

import json
import os
import sys

import anyio
import click

from runner.cli.counter import prompt, spec_of
from runner.cli.exits import fail
from runner.run.ends import CannotRun
from runner.run.settle import settle
from runner.run.tables import show
from runner.run.terminal import LogLines


@click.command(name="settle")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(file: str, as_json: bool) -> None:
    """Look up and cancel the orders of FILE's strategy until nothing of it is unproven; place nothing.

    For after exit code 7. Orders that may rest by the file's `on_stop: leave` stay. Exits 0 when all is proven, 7 when
    the exchange did not show it within ten minutes; then runner resolve takes your own word for an order.

    \b
    Example:
      runner settle mine.yml
      runner settle mine.yml --json
    """
    spec = spec_of(file)
    try:
        done = anyio.run(settle, spec, os.environ, LogLines("warning", as_json=not sys.stderr.isatty()), prompt())
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    if as_json:
        click.echo(json.dumps({"orders": [dict(row) for row in done.table.rows], "left": done.left}))
    else:
        show(done.table)
    if done.exit_code:
        fail(done.exit_code, f"{done.reason}; what cannot be proven can be resolved: runner resolve --help")
