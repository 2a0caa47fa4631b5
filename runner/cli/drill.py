"""`runner drill`: trip every risk latch of a file on sandboxes of its own."""

import json
import sys

import anyio
import click

from runner.cli.counter import spec_of
from runner.cli.exits import Exit, fail
from runner.run.drill import drill
from runner.run.ends import CannotRun
from runner.run.tables import show


@click.command(name="drill")
@click.argument("file")
@click.option(
    "--within", "within_s", type=click.FloatRange(10, 600), default=60, show_default=True, help="Seconds for each."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(file: str, within_s: float, as_json: bool) -> None:
    """Trip every risk latch of FILE for real, on sandboxes of its own, and show that it does what the file says.

    A loss of any size, refused orders and failing requests: each ends a run of your strategy with exit code 6, its
    orders cancelled (`on_breach`), as the exchange itself shows it afterwards. Your keys, journals and venue are not
    touched.

    Exits 0 if every latch fell and did its work, 1 if not.

    \b
    Example:
      runner drill mine.yml
      runner drill mine.yml --within 120 --json
    """
    quiet = as_json or not sys.stderr.isatty()

    def told(line: str) -> None:
        if not quiet:
            click.echo(line, err=True)

    try:
        done = anyio.run(drill, spec_of(file), within_s, told)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    except KeyboardInterrupt:
        fail(Exit.INTERNAL, "interrupted")
    if as_json:
        rows = [dict(row) for row in done.table.rows]
        click.echo(json.dumps({"latches": rows, "passed": done.passed, "notes": done.notes}))
    else:
        show(done.table)
        for note in done.notes:
            click.echo(note)
    if not done.passed:
        sys.exit(Exit.INTERNAL)
