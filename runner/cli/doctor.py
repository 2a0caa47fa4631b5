"""`runner doctor`: is everything in place for a run?"""

import json
import os
import sys
from functools import partial

import anyio
import click

from runner.cli.counter import prompt, spec_of
from runner.cli.exits import fail
from runner.run.counter import target_of
from runner.run.doctor import Check, examine, exit_code
from runner.run.ends import CannotRun

_MARKS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(name="doctor")
@click.argument("file")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(file: str, as_json: bool) -> None:
    """Check everything that a run of FILE will need: network, clock, streams, key, markets, budget, disk, lock.

    Nothing is placed. Each line says ok, warn or fail, and what to do. Exits 0 if nothing failed; otherwise with the
    code that the run would have: 3 the file, 4 the key, 5 the venue, 7 the state folder, 8 another run.

    \b
    Example:
      runner doctor mine.yml
      runner doctor mine.yml --json
    """
    spec = spec_of(file)
    try:
        show = (lambda check: None) if as_json else _line
        checks = anyio.run(partial(examine, spec, target_of(spec), os.environ, show, prompt()))
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    code = exit_code(checks)
    if as_json:
        rows = [{name: getattr(check, name) for name in check.__struct_fields__} for check in checks]
        click.echo(json.dumps({"ok": code == 0, "exit_code": code, "checks": rows}))
    sys.exit(code)


def _line(check: Check) -> None:
    colour = None if os.environ.get("NO_COLOR") else _MARKS[check.status]
    click.echo(f"{click.style(f'{check.status:<4}', fg=colour)}  {check.name:<14}  {check.found}")
    if check.advice:
        click.echo(f"{'':22}{check.advice}")
