"""`runner risk`: the limits of a strategy, what is used of them, and what is left."""

import json
import os

import anyio
import click
from msgspec import structs

from runner.cli.counter import prompt, spec_of
from runner.cli.exits import Exit, fail
from runner.run.ends import CannotRun
from runner.run.glance import Wish
from runner.run.risk import risk
from runner.run.tables import show


@click.command(name="risk")
@click.argument("file")
@click.option(
    "--within", "within_s", type=click.FloatRange(1, 600), default=60, show_default=True, help="Seconds to wait."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(file: str, within_s: float, as_json: bool) -> None:
    """Show every limit of FILE's section risk, what is used of it now, and what is left.

    Position, open orders and losses come from the journal, books and balances from the venue, which is asked and
    nothing else. Use is counted as the gate counts it: the worst case of each side, orders of unknown fate in full.

    \b
    Example:
      runner risk mine.yml
      runner risk mine.yml --json
    """
    spec = spec_of(file)
    wish = Wish(within_s=within_s, stopped_too=True, idle=True, ask=prompt())
    try:
        found = anyio.run(risk, spec, wish, os.environ)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    except KeyboardInterrupt:
        fail(Exit.INTERNAL, "interrupted")
    if as_json:
        latches = [structs.asdict(latch) for latch in found.latches]
        rows = [dict(row) for row in found.table.rows]
        click.echo(json.dumps({"limits": rows, "latches": latches, "restraint": found.restraint}))
        return
    show(found.table)
    for latch in found.latches:
        click.echo(f"latched: {latch.name} ({latch.action}): {latch.why}")
    if found.restraint is not None and not found.latches:
        click.echo(f"only orders that reduce a position pass now: {found.restraint}")
