"""`runner backtest`: what a strategy would have done on recorded markets, and what would have come of it."""

import json
import sys

import click

from runner.cli.check import checked, content
from runner.cli.exits import Exit, fail
from runner.cli.tapes import recordings, tape_files
from runner.config.spec import RunSpec
from runner.run.backtest import Options, backtest
from runner.run.ends import CannotRun
from runner.run.sandbox import TapeFile
from runner.run.tables import progress
from runner.run.terminal import LogLines


@click.command(name="backtest")
@click.argument("file")
@click.argument("overlays", metavar="[OVERLAY]...", nargs=-1)
@click.option(
    "--tape",
    "files",
    metavar="[BASE-QUOTE=]FILE",
    multiple=True,
    required=True,
    callback=tape_files,
    help="A recording of the market; again for another one.",
)
@click.option("--for", "run_for", metavar="TIME", help="Only the first 60s, 55m, 8h. The same as run.for.")
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Use this value instead of the file's.")
@click.option("--strict", is_flag=True, help="Do not start with a file that `runner check` warns of.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text; log in JSON.")
@click.option("-v", "--verbose", count=True, help="Log what happens, not only what goes wrong; twice for more.")
def command(
    file: str,
    overlays: tuple[str, ...],
    files: tuple[TapeFile, ...],
    run_for: str | None,
    sets: tuple[str, ...],
    strict: bool,
    as_json: bool,
    verbose: int,
) -> None:
    """Trade the strategy of FILE on recordings of its markets, as fast as it goes.

    Engine, strategy and limits are those of `runner run`; orders wait in the queue of the recorded book, and trades of
    the recording fill them. Nobody on the tape reacts to them. Fees, latencies, balances and the queue model are those
    of the file's `connector.paper` block.

    A recording carries its market and rules. Where FILE is about another market, an OVERLAY says what differs:
    overlays/btcusdt.yml and overlays/ethusdt.yml come with the runner.

    \b
    Example:
      runner backtest strategies/pure_market_making.yml overlays/btcusdt.yml --tape btcusdt.gz
      runner backtest mine.yml --tape monday.gz --set strategy.params.bid_spread=25bps --json
    """
    sets = sets if run_for is None else (*sets, f"run.for={run_for}")
    spec = checked(file, content(file), sets, overlays, markets=lambda venue: None)
    if not isinstance(spec, RunSpec):
        click.echo("\n".join(map(str, spec)), err=True)
        sys.exit(Exit.CONFIG)
    tapes = recordings(files)
    level = ("warning", "info", "debug")[min(verbose, 2)]
    log = LogLines(level, as_json=as_json or not sys.stderr.isatty())
    try:
        with progress("backtest") as tell:
            tested = backtest(spec, tapes, Options(strict, log, tell))
    except CannotRun as problem:
        if problem.exit_code == Exit.CONFIG:  # it has its place in front of it
            click.echo(str(problem), err=True)
            sys.exit(problem.exit_code)
        fail(problem.exit_code, str(problem))
    click.echo(json.dumps(tested.summary) if as_json else tested.text)
    if tested.exit_code != Exit.CLEAN:
        fail(tested.exit_code, tested.reason)
