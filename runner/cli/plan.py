"""`runner plan`: what the first tick of a run would do. Nothing is sent."""

import os
import sys

import anyio
import click

from runner.cli.check import checked, content
from runner.cli.counter import prompt
from runner.cli.exits import Exit, fail
from runner.config.spec import RunSpec
from runner.run.ends import CannotRun
from runner.run.glance import Wish
from runner.run.plan import plan
from runner.run.tables import show_plan
from runner.run.terminal import LogLines, View


@click.command(name="plan")
@click.argument("file")
@click.argument("overlays", metavar="[OVERLAY]...", nargs=-1)
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Use this value instead of the file's.")
@click.option(
    "--take-over", is_flag=True, help="As if orders that another journal of this strategy left just now were ours."
)
@click.option(
    "--within", "within_s", type=click.FloatRange(1, 600), default=60, show_default=True, help="Seconds to wait."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@click.option("-v", "--verbose", count=True, help="Log what is heard on the way.")
def command(
    file: str,
    overlays: tuple[str, ...],
    sets: tuple[str, ...],
    take_over: bool,
    within_s: float,
    as_json: bool,
    verbose: int,
) -> None:
    """Show what the first tick of FILE (- for stdin) would do, and send nothing.

    The venue, the account and the journal are read as a run reads them, and the same engine decides: which orders it
    would create, which that are there it would keep or cancel, what its limits refuse, and what waits for funds. The
    venue is asked and nothing else, so it needs no --live, and may be used beside a run.

    Exits 0 with a plan; else as a run would, for want of what is said on stderr.

    \b
    Example:
      runner plan mine.yml
      runner plan mine.yml --json --set strategy.params.bid_spread=25bps
    """
    spec = checked(file, content(file), sets, overlays)
    if not isinstance(spec, RunSpec):
        click.echo("\n".join(map(str, spec)), err=True)
        sys.exit(Exit.CONFIG)
    view: View = "none"
    if verbose:
        view = LogLines("info" if verbose == 1 else "debug", as_json=not sys.stderr.isatty())
    try:
        found = anyio.run(plan, spec, Wish(within_s=within_s, take_over=take_over, view=view, ask=prompt()), os.environ)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    except KeyboardInterrupt:
        fail(Exit.INTERNAL, "interrupted")
    show_plan(found, as_json=as_json)
