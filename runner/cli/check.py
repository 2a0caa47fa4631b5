"""`runner check`: is this file right? Offline, fast, and with every problem at once."""

import json
import os
import sys
from collections.abc import Callable

import click
import msgspec

from runner.cli.exits import Exit, fail
from runner.config.bounds import bound, words
from runner.config.problems import Problem, Source, problem
from runner.config.read import KnownMarkets, read
from runner.config.spec import Deployment, RunSpec
from runner.run.bundled import found
from runner.run.markets import known_markets


@click.command(name="check")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--overlay", "overlays", metavar="FILE", multiple=True, help="Lay this file over each of them.")
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Check with this value instead of the file's.")
@click.option("--strict", is_flag=True, help="Take warnings for mistakes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
def command(
    files: tuple[str, ...], overlays: tuple[str, ...], sets: tuple[str, ...], strict: bool, as_json: bool
) -> None:
    """Check strategy files without a network: keys, units, bounds, currencies, markets and the strategy itself.

    FILE may be - for stdin. Exits 0 when all files are right, 3 when one is not. What is right and dangerous (a spread
    below two fees, an amount below the market's minimum) is a warning, and changes nothing about that.

    \b
    Example:
      runner check strategies/quickstart.yml
      runner check mine.yml --set strategy.params.bid_spread=25bps --json
    """
    results = [checked(file, content(file), sets, overlays) for file in files]
    problems = [problem for result in results if not isinstance(result, RunSpec) for problem in result]
    warnings = [warning for result in results if isinstance(result, RunSpec) for warning in result.warnings]
    if as_json:
        bounds = {spec.file: msgspec.to_builtins(bound(spec)) for spec in results if isinstance(spec, RunSpec)}
        facts = {
            "ok": not problems and not (strict and warnings),
            "problems": [problem.facts() for problem in problems],
            "warnings": [warning.facts() for warning in warnings],
            "bounds": bounds,
        }
        click.echo(json.dumps(facts))
    else:
        for result in results:
            click.echo(_ok(result) if isinstance(result, RunSpec) else "\n".join(map(str, result)))
    if problems or (strict and warnings):
        sys.exit(Exit.CONFIG)


def content(file: str) -> bytes:
    """The file, or stdin for `-`. A file that cannot be read is a mistake on the command line, exit 2."""
    try:
        return sys.stdin.buffer.read() if file == "-" else found(file).read_bytes()
    except (OSError, ValueError) as error:
        fail(Exit.USAGE, f"cannot read {file}: {_reason(error)}")


def checked(
    file: str,
    text: bytes,
    sets: tuple[str, ...],
    overlays: tuple[str, ...] = (),
    markets: KnownMarkets = known_markets,
) -> RunSpec | tuple[Problem, ...]:
    """The file, with `overlays` (further files, in order) and `sets` in it, or what is wrong with them."""
    if (file, *overlays).count("-") > 1:
        fail(Exit.USAGE, "stdin can be only one of the files")
    return read(
        text,
        file=_named(file),
        overlays=[(_named(overlay), content(overlay)) for overlay in overlays],
        overrides=sets,
        environment=os.environ,
        markets=markets,
    )


def rereader(
    file: str, sets: tuple[str, ...], overlays: tuple[str, ...]
) -> Callable[[], RunSpec | tuple[Problem, ...]]:
    """What reads the same files once more, with the same `sets` and environment over them: for a run that goes on."""

    def reread() -> RunSpec | tuple[Problem, ...]:
        unreadable = tuple(wrong for each in (file, *overlays) if (wrong := _unreadable(each)) is not None)
        return unreadable or checked(file, content(file), sets, overlays)

    return reread


def _unreadable(file: str) -> Problem | None:
    """Why it cannot be read a second time."""
    at = Source.of(_named(file), "").place(0, 0)
    if file == "-":
        what, fix = "what came from stdin cannot be read again", "keep it in a file, and run that"
        return problem(at, (), "file.unreadable", what, fix)
    try:
        with found(file).open("rb"):
            return None
    except (OSError, ValueError) as error:
        return problem(at, (), "file.unreadable", f"it cannot be read: {_reason(error)}", "put it back where it was")


def _reason(error: OSError | ValueError) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _named(file: str) -> str:
    return "<stdin>" if file == "-" else file


def _ok(spec: RunSpec) -> str:
    """What the file asks for, the most of it at once, what could not be checked, and what is dangerous."""
    venue = spec.connector.venue
    where = venue.rest_url if isinstance(venue, Deployment) else type(venue).__name__.lower()
    line = f"{spec.file}: ok, {spec.settings.strategy} on {', '.join(spec.settings.markets)} at {where}"
    if spec.connector.paper is not None:
        line += f"\n  {spec.connector.paper}"
    if known_markets(venue) is None:
        line += f"\n  the markets of {where} are not known here: whether it has these is checked when the run starts"
    most = bound(spec)
    if most is None:
        line += f"\n  {spec.settings.strategy} does not say what it may order at once: limits judge order by order"
    else:
        line += f"\n  at most at once: {words(most)}"
    return "\n".join([line, *(warning.text(kind="warning: ") for warning in spec.warnings)])
