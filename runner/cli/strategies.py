"""`runner strategies`: what can be run, and what can be set."""

import json
from pathlib import Path

import click
import msgspec

from runner.cli.exits import Exit, fail
from runner.config.describe import ParameterFacts, StrategyFacts, describe
from runner.config.plugins import BadPlugin, installed, load


@click.command(name="strategies")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(name: str | None, as_json: bool) -> None:
    """List the installed strategies; with NAME, describe one and its parameters.

    NAME may also be a class in a file.

    \b
    Example:
      runner strategies
      runner strategies pure_market_making
      runner strategies ./mine.py:MyStrategy --json
    """
    if name is None:
        rows = [_row(known) for known in installed()]
        click.echo(json.dumps({"strategies": rows}) if as_json else _list(rows))
        return
    try:
        facts = describe(name, load(name, Path()))
    except BadPlugin as bad:
        fail(Exit.USAGE, f"{bad.what}: {bad.fix}")
    click.echo(msgspec.json.encode(facts).decode() if as_json else _page(facts))


def _row(name: str) -> dict[str, str | None]:
    """One line of the list; a strategy that does not import is listed with the reason."""
    try:
        facts = describe(name, load(name, Path()))
    except BadPlugin as bad:
        return {"name": name, "about": "", "problem": f"{bad.what}; {bad.fix}"}
    return {"name": name, "about": facts.about.partition("\n")[0], "problem": None}


def _list(rows: list[dict[str, str | None]]) -> str:
    if not rows:
        return "no strategy is installed; a file can still name a class: use: ./mine.py:MyStrategy"
    width = max(len(row["name"] or "") for row in rows)
    return "\n".join(f"{row['name']:<{width}}  {row['problem'] or row['about']}" for row in rows)


def _page(facts: StrategyFacts) -> str:
    formatter = click.HelpFormatter(max_width=100)
    formatter.write(f"{facts.name}\n")
    with formatter.indentation():
        for paragraph in facts.about.split("\n\n"):
            formatter.write_paragraph()
            formatter.write_text(paragraph)
    for title, wanted in (("Required parameters", True), ("Optional parameters", False)):
        rows = [(f"{row.name}: {row.type}", _sentence(row)) for row in facts.parameters if row.required is wanted]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
    return formatter.getvalue().rstrip()


def _sentence(row: ParameterFacts) -> str:
    """What a parameter is for, its bounds, its default, and whether it may change while the run goes on."""
    default = row.default if isinstance(row.default, str) else json.dumps(row.default)
    parts = [row.about, row.bounds, "" if row.required else f"default {default}", "live" if row.live else ""]
    return "; ".join(part for part in parts if part)
