"""`runner config`: the file as the runner takes it, with every default in it, and where each value came from."""

import json
import sys

import click

from runner.cli.check import checked, content
from runner.cli.exits import Exit
from runner.config.origin import rows, text
from runner.config.spec import RunSpec


@click.command(name="config")
@click.argument("file")
@click.argument("overlays", metavar="[OVERLAY]...", nargs=-1)
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="With this value instead of the file's.")
@click.option("--origin", "with_origin", is_flag=True, help="Say behind each value where it came from.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of YAML.")
def command(file: str, overlays: tuple[str, ...], sets: tuple[str, ...], with_origin: bool, as_json: bool) -> None:
    """Show FILE (- for stdin) merged with overlays, RUNNER__SECTION__KEY of the environment, and --set, in this order.

    What is printed is a strategy file again, with every default written out.

    \b
    Example:
      runner config strategies/quickstart.yml --origin
      runner config mine.yml cheap-server.yml --set tick.every=5s > merged.yml
    """
    spec = checked(file, content(file), sets, overlays)
    if not isinstance(spec, RunSpec):
        click.echo("\n".join(map(str, spec)), err=True)
        sys.exit(Exit.CONFIG)
    found = rows(spec)
    if as_json:
        values = [{"key": ".".join(row.path), "value": row.value, "origin": row.origin} for row in found]
        click.echo(json.dumps({"values": values}, default=str))
    else:
        click.echo(text(found, with_origin=with_origin))
