"""`runner chaos`: the strategy of a file against everything that can go wrong, in simulated time."""

import json
import sys

import click

from runner.cli.check import checked, content
from runner.cli.exits import Exit, fail
from runner.config.spec import RunSpec
from runner.run.chaos.plan import explained, plan_for, story_facts, table, told
from runner.run.chaos.play import chaos, play
from runner.run.ends import CannotRun
from runner.run.tables import progress, show

HOUR = 3600 * 1_000_000_000
SHOWN = 5


@click.command(name="chaos")
@click.argument("file")
@click.option("--seeds", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="How many runs.")
@click.option("--hours", type=click.FloatRange(0.02, 168), default=0.5, show_default=True, help="How long each is.")
@click.option("--first", type=click.IntRange(0), default=1, show_default=True, help="The first seed.")
@click.option("--seed", type=click.IntRange(0), help="Only this one, and tell its story.")
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="Use this value instead of the file's.")
@click.option("--without", metavar="FAULT", multiple=True, help="Leave out faults whose name begins like this.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
def command(
    file: str,
    seeds: int,
    hours: float,
    first: int,
    seed: int | None,
    sets: tuple[str, ...],
    without: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the strategy of FILE on a simulated exchange while everything goes wrong, and hold it against the laws.

    Lost and late answers, repeated requests, crashes at any moment, lists that lie, clocks that jump, journals that
    are lost or too old, people who trade on the same account: each seed has its own weather, and is the same run
    every time. Nothing is sent anywhere. Exits 1 when a law was broken.

    \b
    Example:
      runner chaos strategies/quickstart.yml --seeds 200 --hours 1
      runner chaos mine.yml --seed 17        # that run again, with its story
    """
    spec = checked(file, content(file), sets)
    if not isinstance(spec, RunSpec):
        click.echo("\n".join(map(str, spec)), err=True)
        sys.exit(Exit.CONFIG)
    try:
        plan = plan_for(spec, int(hours * HOUR), without)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    again = f"runner chaos {file} --hours {hours:g}" + "".join(f" --without {each}" for each in without)
    story = []
    if seed is not None:
        played = play(seed, plan)
        tally, story = played.tally, played.story
    else:
        with progress("seeds") as tell:
            tally = chaos(range(first, first + seeds), plan, tell)
    if as_json:
        click.echo(json.dumps(tally.facts() | ({"story": story_facts(story)} if seed is not None else {})))
    else:
        if seed is not None:
            click.echo(told(played) + "\n")
        show(table(tally))
        for found in tally.found[:SHOWN]:
            click.echo("\n" + explained(found, again))
        if len(tally.found) > SHOWN:
            click.echo(f"\nand {len(tally.found) - SHOWN} more: --json lists them all")
    if tally.found:
        fail(Exit.INTERNAL, f"{len(tally.found)} times a law was broken; repeat one with --seed {tally.found[0].seed}")
