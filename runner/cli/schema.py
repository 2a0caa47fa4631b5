"""`runner schema`: the strategy file's JSON Schema, for editors and other tools, and its table, for people."""

import json
from pathlib import Path

import click

import runner
from runner.cli.exits import Exit, fail
from runner.config.document import page
from runner.config.plugins import Strategies, load_all
from runner.config.schema import file_schema

FILE = "strategy.schema.json"


@click.command(name="schema")
@click.option("--bundled", is_flag=True, help="Leave out strategies that other packages have installed.")
@click.option("--path", "show_path", is_flag=True, help="Print where the bundled schema lies, and nothing else.")
@click.option("--table", is_flag=True, help="Print Markdown tables of every key instead: type, default, bounds, use.")
def command(bundled: bool, show_path: bool, table: bool) -> None:
    """Print the JSON Schema (2020-12) of a strategy file, with the parameters of every installed strategy.

    An editor with a YAML language server takes it from the first line of a strategy file:

    \b
      # yaml-language-server: $schema=PATH

    \b
    Example:
      runner schema > strategy.schema.json
      runner schema --path
      runner schema --table > strategy-file.md
    """
    if show_path:
        found = bundled_schema()
        if found is None:
            fail(Exit.INTERNAL, f"{FILE} was not installed with the runner; print it with runner schema > {FILE}")
        click.echo(str(found))
        return
    click.echo(page(_strategies(bundled)) if table else text(bundled), nl=False)


def text(bundled: bool) -> str:
    """The schema as the file holds it."""
    return json.dumps(file_schema(_strategies(bundled)), indent=2, ensure_ascii=False) + "\n"


def _strategies(bundled: bool) -> Strategies:
    """Those that can be described. One that does not import is left out, with a word on stderr."""
    found, bad = load_all(bundled)
    for problem in bad:
        click.echo(f"runner: {problem.what}; {problem.fix}", err=True)
    return found


def bundled_schema() -> Path | None:
    """In a wheel `runner/schemas/`, in a checkout `schemas/` beside `runner/`."""
    package = Path(runner.__file__).parent
    places = (package / "schemas" / FILE, package.parent / "schemas" / FILE)
    return next((place for place in places if place.is_file()), None)
