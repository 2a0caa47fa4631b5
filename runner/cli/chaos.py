"""`runner chaos`: the user's own file through the fault simulator, and a verdict."""

import json
import sys

import click

from runner.cli.check import checked, content
from runner.cli.exits import Exit, fail
from runner.config.spec import RunSpec
from runner.run.chaos.chaos import Chaos, cannot, run
from runner.run.chaos.weather import Severity
from runner.run.tables import progress

SEVERITIES = ("lawful", "harsh", "calm")


@click.command(name="chaos")
@click.argument("file")
@click.argument("overlays", metavar="[OVERLAY]...", nargs=-1)
@click.option("--seeds", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many runs.")
@click.option(
    "--hours", type=click.FloatRange(0.05, 100), default=0.25, show_default=True, help="Simulated hours of each run."
)
@click.option("--seed", type=click.IntRange(0), help="Only this one, with its story.")
@click.option(
    "--severity",
    type=click.Choice(SEVERITIES),
    help="Only this kind of weather; otherwise every third run is harsh and the others lawful.",
)
@click.option("--set", "sets", metavar="KEY=VALUE", multiple=True, help="With this value instead of the file's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def command(
    file: str,
    overlays: tuple[str, ...],
    seeds: int,
    hours: float,
    seed: int | None,
    severity: Severity | None,
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Run the strategy of FILE on a simulated exchange that fails, in simulated time, and check the laws of orders.

    Answers are lost, requests come late or twice, lists lag, sockets die, the process crashes, the disk is full. After
    every run the exchange goes on alone for a day. Exits 0 when no law was broken, 1 when one was; the same seed is the
    same run. In harsh weather a run may have to end with code 7; in lawful weather its stop has to be clean.

    \b
    Example:
      runner chaos mine.yml --seeds 200 --hours 1
      runner chaos mine.yml --seed 17            # once more, with the story of what went wrong
    """
    spec = checked(file, content(file), sets, overlays)
    if not isinstance(spec, RunSpec):
        click.echo("\n".join(map(str, spec)), err=True)
        sys.exit(Exit.CONFIG)
    reason = cannot(spec)
    if reason is not None:
        fail(Exit.CONFIG, reason)
    wanted = [seed] if seed is not None else list(range(seeds))
    with progress("runs") as told:
        result = run(spec, wanted, hours, severity, told)
    click.echo(json.dumps(result.facts()) if as_json else _text(result, with_story=seed is not None))
    if result.violations:
        sys.exit(Exit.INTERNAL)


def _text(result: Chaos, *, with_story: bool) -> str:
    lines = result.lines()
    for verdict in result.verdicts:
        if not verdict.violations:
            continue
        lines += ["", f"seed {verdict.seed}:"]
        lines += [f"  {one.time:10.3f} s  {one.law}: {one.name} {one.what}" for one in verdict.violations]
        if with_story:
            lines += ["  what led to the first:", *(f"  {line}" for line in verdict.story)]
    return "\n".join(lines)
