"""`runner run`: trade one strategy until its time is over or somebody stops it."""

import json
import os
import signal
import sys
from decimal import Decimal

import anyio
import click

from runner.cli.check import checked, content, rereader
from runner.cli.counter import prompt
from runner.cli.exits import Exit
from runner.config.spec import RunSpec
from runner.run.ends import CannotRun
from runner.run.start import Ended, Options, run
from runner.run.stated import stated
from runner.run.terminal import LogLines, View, screen_usable


def _amounts(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> dict[str, Decimal] | None:
    try:
        return stated(texts) or None
    except ValueError as problem:
        raise click.BadParameter(str(problem)) from problem


@click.command(name="run")
@click.argument("file")
@click.argument("overlays", metavar="[OVERLAY]...", nargs=-1)
@click.option("--for", "run_for", metavar="TIME", help="Stop after this long: 60s, 55m, 8h. The same as run.for.")
@click.option("--once", is_flag=True, help="One tick, its orders seen through to acceptance, then the end: for cron.")
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Use this value instead of the file's.")
@click.option("--live", is_flag=True, help="Trade with real money, if the file's venue is not a sandbox.")
@click.option(
    "--take-over", is_flag=True, help="Go on with orders that another journal of this strategy left just now."
)
@click.option("--strict", is_flag=True, help="Do not start with a file that `runner check` warns of.")
@click.option(
    "--position",
    "positions",
    metavar='"1500 ROGER"',
    multiple=True,
    callback=_amounts,
    help="What the strategy holds: said once, after its journal was lost, if the exchange cannot tell. Repeatable.",
)
@click.option("--headless", is_flag=True, help="No live view even on a terminal; log lines instead.")
@click.option("--json", "as_json", is_flag=True, help="End with one JSON object on stdout; log in JSON.")
@click.option("-v", "--verbose", count=True, help="Log more; with --once, log at all.")
def command(
    file: str,
    overlays: tuple[str, ...],
    run_for: str | None,
    once: bool,
    sets: tuple[str, ...],
    live: bool,
    take_over: bool,
    strict: bool,
    positions: dict[str, Decimal] | None,
    headless: bool,
    as_json: bool,
    verbose: int,
) -> None:
    """Trade the strategy of FILE (- for stdin) until the time is over, Ctrl-C or SIGTERM.

    An OVERLAY is a file with what differs: it is laid over FILE key by key, and null takes a key away.

    On a terminal a live view is shown; elsewhere log lines go to stderr. Orders are cancelled at the end unless the
    file says `run: {on_stop: leave}`, or `cancel_opening` to keep those that reduce the position.

    SIGHUP reads the file again: what may change while the run goes on (`live` in `runner strategies NAME`)
    changes for the next tick, and orders that are still wanted stay where they are. A file with a mistake changes
    nothing and is reported.

    \b
    Example:
      runner run strategies/quickstart.yml --for 60s
      runner run mine.yml --once            # from cron: silent when all is well
      runner run mine.yml --json --headless --set strategy.params.bid_spread=25bps
    """
    sets = sets if run_for is None else (*sets, f"run.for={run_for}")
    spec = checked(file, content(file), sets, overlays)
    if not isinstance(spec, RunSpec):
        click.echo("\n".join(map(str, spec)), err=True)
        sys.exit(Exit.CONFIG)
    quiet = once and not verbose
    view: View = LogLines(_level(verbose, quiet=quiet), as_json=as_json or not sys.stderr.isatty())
    if screen_usable() and not (headless or once or as_json):
        view = "screen"
    try:
        ended = anyio.run(
            run,
            spec,
            Options(
                once=once,
                live=live,
                take_over=take_over,
                strict=strict,
                position=positions,
                view=view,
                ask=prompt(),
                reread=rereader(file, sets, overlays),
            ),
            os.environ,
        )
    except CannotRun as problem:
        click.echo(f"runner: {problem}", err=True)
        sys.exit(problem.exit_code)
    except KeyboardInterrupt:  # before the run listened to signals, so before it ordered anything
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    _report(ended, as_json=as_json, quiet=quiet)
    sys.exit(ended.exit_code)


def _level(verbose: int, *, quiet: bool) -> str:
    """Alone in a cron mail, a warning that mended itself is noise: `--once` says nothing but errors."""
    if quiet:
        return "error"
    return "debug" if verbose > 1 else "info"


def _report(ended: Ended, *, as_json: bool, quiet: bool) -> None:
    """The result on stdout; why it went wrong, if it did, on stderr."""
    try:
        if as_json:
            click.echo(json.dumps(ended.summary))
        elif not quiet:
            click.echo(ended.text)
    except OSError:  # nobody reads it, or the terminal was closed, and the exit code still matters
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if ended.exit_code != Exit.CLEAN:
        click.echo(f"runner: {ended.reason}", err=True)
