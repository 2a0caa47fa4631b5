"""`runner replay`: feed a run's record to the same engine and strategy, and see whether they say the same again."""

import json
import os
import sys

import click

from runner.cli.counter import spec_of
from runner.cli.exits import Exit, fail
from runner.run.ends import CannotRun
from runner.run.replay import as_facts, open_record, replay, strategy_of, text


@click.command(name="replay")
@click.argument("run")
@click.argument("file", required=False)
@click.option("--assert", "asserted", is_flag=True, help="Exit with code 1 if anything is said differently.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(run: str, file: str | None, asserted: bool, as_json: bool) -> None:
    """Replay RUN: the id of a run, the folder of its record, or one file of it.

    The strategy is the one that the record names, as it is now, or that of FILE. All outputs are compared byte for
    byte with what the record says; the first that differs is shown from both sides, with the line of the strategy that
    decided it. On another platform, Python or version of the runner a difference is told and is no failure.

    \b
    Example:
      runner replay 20260418-093012-514 --assert
      runner replay ./0001.record mine.yml --json
    """
    try:
        record = open_record(run, os.environ)
        result = replay(record, strategy_of(record.header) if file is None else spec_of(file).strategy_type)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    click.echo(json.dumps(as_facts(result)) if as_json else text(result, asserted))
    if asserted and result.difference is not None and result.comparable:
        sys.exit(Exit.INTERNAL)
