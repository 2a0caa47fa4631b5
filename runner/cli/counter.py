"""What the commands that ask a venue have in common: which venue and key, how to fail, how to print."""

import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import anyio
import click

from runner.cli.check import checked, content
from runner.cli.exits import Exit, fail
from runner.config.spec import RunSpec
from runner.run.counter import Counter, Target, asked, target_of
from runner.run.ends import CannotRun

T = TypeVar("T")
Command = Callable[..., Any]


def venue_options(*, key: bool) -> Callable[[Command], Command]:
    """FILE or --rest-url, and with `key` --credentials. FILE comes last on the command line."""

    def add(function: Command) -> Command:
        if key:
            function = click.option("--credentials", metavar="NAME", help="Which stored or exported key to use.")(
                function
            )
        function = click.option("--rest-url", metavar="URL", help="The venue, instead of a strategy FILE.")(function)
        function = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(function)
        return click.argument("file", required=False)(function)

    return add


def target(file: str | None, rest_url: str | None, credentials: str | None = None) -> Target:
    """Where to ask. Ends the program if that is not said, or said twice."""
    if (file is None) == (rest_url is None):
        fail(Exit.USAGE, "name the venue: a strategy FILE, or --rest-url URL" + (", not both" if file else ""))
    if rest_url is not None:
        return Target(rest_url=rest_url, credentials=credentials)
    try:
        return target_of(spec_of(file or ""), credentials)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))


def spec_of(file: str) -> RunSpec:
    spec = checked(file, content(file), ())
    if not isinstance(spec, RunSpec):
        click.echo("\n".join(map(str, spec)), err=True)
        sys.exit(Exit.CONFIG)
    return spec


def at_counter(where: Target, work: Callable[[Counter], Awaitable[T]], *, private: bool) -> T:
    """Do it, or end the program with one sentence and the exit code that fits."""
    try:
        return anyio.run(partial(asked, where, os.environ, work, private=private, ask=prompt()))
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    except KeyboardInterrupt:
        fail(Exit.INTERNAL, "interrupted")


def prompt() -> Callable[[str], str] | None:
    """Asks for a secret without showing it; None where nobody can be asked."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    return lambda text: str(click.prompt(text, hide_input=True, err=True))
