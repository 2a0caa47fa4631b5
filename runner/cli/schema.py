"""`runner schema`: the strategy file's JSON Schema, for editors and other tools."""

import json
from pathlib import Path

import click

import runner
from runner.cli.exits import Exit, fail
from runner.config.plugins import load_all
from runner.config.schema import file_schema

FILE = "strategy.schema.json"


@click.command(name="schema")
@click.option("--bundled", is_flag=True, help="Leave out strategies that other packages have installed.")
@click.option("--path", "show_path", is_flag=True, help="Print where the bundled schema lies, and nothing else.")
def command(bundled: bool, show_path: bool) -> None:
    """Print the JSON Schema (2020-12) of a strategy file, with the parameters of every installed strategy.

    An editor with a YAML language server takes it from the first line of a strategy file:

    \b
      # yaml-language-server: $schema=PATH

    \b
    Example:
      runner schema > strategy.schema.json
      runner schema --path
    """
    if show_path:
        found = bundled_schema()
        if found is None:
            fail(Exit.INTERNAL, f"{FILE} was not installed with the runner; print it with runner schema > {FILE}")
        click.echo(str(found))
        return
    click.echo(text(bundled), nl=False)


def text(bundled: bool) -> str:
    """The schema as the file holds it. A strategy that does not import is left out, with a word on stderr."""
    found, bad = load_all(bundled)
    for problem in bad:
        click.echo(f"runner: {problem.what}; {problem.fix}", err=True)
    return json.dumps(file_schema(found), indent=2, ensure_ascii=False) + "\n"


def bundled_schema() -> Path | None:
    """In a wheel `runner/schemas/`, in a checkout `schemas/` beside `runner/`."""
    package = Path(runner.__file__).parent
    places = (package / "schemas" / FILE, package.parent / "schemas" / FILE)
    return next((place for place in places if place.is_file()), None)
