"""`runner fuzz`: a search for parameters and markets that break the strategy of a file."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.cli.check import checked, content
from runner.cli.exits import Exit, fail
from runner.config.spec import RunSpec

if TYPE_CHECKING:
    from runner.run.fuzz.search import Searched
    from runner.run.fuzz.small import Small

HYPOTHESIS_FOLDER = "HYPOTHESIS_STORAGE_DIRECTORY"


@click.command(name="fuzz")
@click.argument("file", required=False)
@click.argument("overlays", metavar="[OVERLAY]...", nargs=-1)
@click.option("--examples", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="How many to try.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Another seed, another search.")
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Use this value instead of the file's.")
@click.option("--out", metavar="FOLDER", help="Write a failure here.  [default: fuzz-NAME-SEED]")
@click.option("--repeat", "again", metavar="FOLDER", help="Play the failure in this folder again, and nothing else.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(
    file: str | None,
    overlays: tuple[str, ...],
    examples: int,
    seed: int,
    sets: tuple[str, ...],
    out: str | None,
    again: str | None,
    as_json: bool,
) -> None:
    """Search for what breaks the strategy of FILE: parameters within their bounds, and markets nobody wishes for.

    One-sided and empty books, gaps, crossed snapshots, silence, spikes, prices at the smallest tick: each example is a
    run on a simulated exchange. It fails where the strategy raises, quotes what is no order, is not a pure function,
    loses its state, or where a law of the runner is broken. What the risk gate refuses is counted, and no failure.
    The first failure is made small, in parameters, file and market, and written into a folder. Nothing is sent
    anywhere. Exits 1 when something was found.

    \b
    Example:
      runner fuzz mine.yml --examples 500
      runner fuzz --repeat fuzz-mine-1        # that failure again, after a correction
    """
    if again is not None:
        if file is not None:
            fail(Exit.USAGE, "--repeat needs no FILE: the folder has its own")
        _repeat(Path(again), as_json=as_json)
        return
    if file is None:
        fail(Exit.USAGE, "name a strategy file")
    spec = checked(file, content(file), sets, overlays)
    if not isinstance(spec, RunSpec):
        click.echo("\n".join(map(str, spec)), err=True)
        sys.exit(Exit.CONFIG)
    with _nothing_left_behind():
        _search(spec, examples, seed, Path(out or f"fuzz-{spec.settings.name}-{seed}"), as_json=as_json)


@contextlib.contextmanager
def _nothing_left_behind() -> Iterator[None]:
    """Hypothesis keeps a folder beside wherever it runs, with nothing in it that we need."""
    with tempfile.TemporaryDirectory(prefix="runner-fuzz-") as scratch:
        before = os.environ.get(HYPOTHESIS_FOLDER)
        os.environ[HYPOTHESIS_FOLDER] = scratch
        try:
            yield
        finally:
            if before is None:
                del os.environ[HYPOTHESIS_FOLDER]
            else:
                os.environ[HYPOTHESIS_FOLDER] = before


def _search(spec: RunSpec, examples: int, seed: int, folder: Path, *, as_json: bool) -> None:
    from runner.run.ends import CannotRun  # Hypothesis takes half a second to import: not before it is needed
    from runner.run.fuzz.search import search
    from runner.run.fuzz.small import smallest
    from runner.run.fuzz.told import explained, facts, glossary, table
    from runner.run.tables import show

    try:
        with _progress(examples) as tell:
            done = search(spec, examples, seed, tell)
            small = None if done.found is None else smallest(spec, done.found)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    words = ""
    if small is not None and done.found is not None:
        words = explained(done.found, small, done, f"runner fuzz --repeat {folder}")
        _write(folder, spec, small, f"{words}\n{glossary(small.tape)}".rstrip())
    if as_json:
        click.echo(json.dumps(facts(done, small, None if small is None else str(folder)), default=str))
    else:
        show(table(done))
        if words:
            click.echo(f"\n{words}")
    _warn(done)
    if done.found is not None:
        fail(Exit.INTERNAL, f"the strategy fails; {folder} holds the file and the market that show it")


@contextlib.contextmanager
def _progress(examples: int) -> Iterator[Callable[["Searched"], None]]:
    """One bar for the search, then a count of what is tried to make a failure small."""
    from runner.run.tables import progress

    with contextlib.ExitStack() as bar:
        tell = bar.enter_context(progress("examples"))
        small = False

        def told(done: "Searched") -> None:
            nonlocal tell, small
            if done.shrinks and not small:
                bar.close()
                tell, small = bar.enter_context(progress("it fails, and is made small: tries")), True
            tell(done.shrinks if small else done.examples, None if small else examples)

        yield told


def _write(folder: Path, spec: RunSpec, small: "Small", words: str) -> None:
    from runner.run.fuzz.folder import write

    try:
        write(folder, spec, small, words)
    except OSError as error:
        click.echo(words)
        fail(Exit.USAGE, f"cannot write {error.filename}: {error.strerror}")


def _warn(done: "Searched") -> None:
    from runner.run.fuzz.told import SLOW_S

    if done.interrupted:
        click.echo(f"runner: interrupted after {done.examples} examples", err=True)
    if done.slowest > SLOW_S:
        slow, most = done.slowest * 1000, SLOW_S * 1000
        click.echo(f"runner: a tick took {slow:.0f} ms of this machine's time; more than {most:.0f} is slow", err=True)


def _repeat(folder: Path, *, as_json: bool) -> None:
    from runner.run.ends import CannotRun
    from runner.run.fuzz.case import Outcome
    from runner.run.fuzz.folder import NotAFailure, repeat
    from runner.run.fuzz.told import headline

    try:
        outcome = repeat(folder)
    except NotAFailure as problem:
        fail(Exit.USAGE, str(problem))
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    if not isinstance(outcome, Outcome):
        click.echo("\n".join(map(str, outcome)), err=True)
        sys.exit(Exit.CONFIG)
    failure = outcome.failure
    if as_json:
        facts = None if failure is None else {"code": failure.code, "what": failure.what, "time_s": failure.at / 1e9}
        click.echo(json.dumps({"ticks": outcome.ticks, "orders": outcome.orders, "failure": facts}))
    elif failure is None:
        click.echo(f"nothing is wrong any more: {outcome.ticks} ticks, {outcome.orders} orders, {outcome.fills} fills")
    else:
        click.echo(headline(failure))
    if failure is not None:
        fail(Exit.INTERNAL, "the strategy still fails")
