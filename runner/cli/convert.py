"""`runner convert`: a Hummingbot strategy file to one of ours."""

import json
import sys
from pathlib import Path
from typing import NoReturn

import click
import msgspec

from runner.cli.check import content
from runner.cli.exits import Exit, fail
from runner.config.convert import Converted, convert
from runner.config.problems import Problem
from runner.config.spec import Sandbox
from runner.run.markets import known_markets


@click.command(name="convert")
@click.argument("file", metavar="HUMMINGBOT.yml")
@click.option("-o", "--output", metavar="FILE", help="Write it there instead of to stdout. An existing file stays.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: the text, and what became of each key.")
def command(file: str, output: str | None, as_json: bool) -> None:
    """Turn a Hummingbot file of pure_market_making or avellaneda_market_making (- for stdin) into a strategy file.

    Every value keeps its meaning and gets its unit: Hummingbot's bid_spread: 1 is 1 %, and becomes 1%. What has no
    twin here becomes a comment that says why, and what comes closest. The result passes `runner check`, trades on
    the sandbox if it has the market, and has limits that Hummingbot had not: read it before you run it.

    \b
    Example:
      runner convert conf_pure_mm_1.yml -o mine.yml
      runner check mine.yml
    """
    name = "<stdin>" if file == "-" else file
    found = convert(content(file), file=name, sandbox_markets=known_markets(Sandbox()) or ())
    if not isinstance(found, Converted):
        _refused(found, as_json=as_json)
    if output is not None:
        _write(output, found.text)
    if as_json:
        facts = {"ok": True, "problems": [], "text": found.text, "lines": msgspec.to_builtins(found.lines)}
        click.echo(json.dumps(facts))
    elif output is None:
        click.echo(found.text, nl=False)
    lost = [line.key for line in found.of("lost")]
    if lost:
        click.echo(f"runner: without a twin, and told in comments: {', '.join(lost)}", err=True)


def _refused(problems: tuple[Problem, ...], *, as_json: bool) -> NoReturn:
    if as_json:
        click.echo(json.dumps({"ok": False, "problems": [problem.facts() for problem in problems]}))
    else:
        click.echo("\n".join(map(str, problems)), err=True)
    sys.exit(Exit.CONFIG)


def _write(output: str, text: str) -> None:
    """A new file: what a strategy trades with is not overwritten by a conversion."""
    try:
        with Path(output).open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        fail(Exit.USAGE, f"{output} exists; remove it, or name another file")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        fail(Exit.USAGE, f"cannot write {output}: {reason}")
