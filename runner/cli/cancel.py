"""`runner cancel`: cancel orders and see them closed."""

import json
import sys
from functools import partial

import click

from runner.cli.counter import at_counter, target
from runner.cli.exits import Exit, fail
from runner.run.cancel import Cancelled, Chosen, cancel, choose
from runner.run.counter import Counter
from runner.run.tables import show


@click.command(name="cancel")
@click.argument("words", metavar="[ID]... [FILE]", nargs=-1)
@click.option("--mine", is_flag=True, help="All open orders that the strategy of FILE has placed.")
@click.option("--all-account", is_flag=True, help="Also other people's: with no ID, every open order of the account.")
@click.option("--yes", is_flag=True, help="Do not ask before --all-account.")
@click.option("--rest-url", metavar="URL", help="The venue, instead of a strategy FILE.")
@click.option("--credentials", metavar="NAME", help="Which stored or exported key to use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    words: tuple[str, ...],
    mine: bool,
    all_account: bool,
    yes: bool,
    rest_url: str | None,
    credentials: str | None,
    as_json: bool,
) -> None:
    """Cancel orders by their number at the exchange, or all of one strategy, and wait until they are closed.

    Orders that the strategy of FILE has not placed are left alone, unless --all-account says otherwise. A run of the
    same file that is going on will place new ones: stop it first. Exits 7 if an order is still open in the end.

    \b
    Example:
      runner cancel 5003 5004 mine.yml
      runner cancel --mine mine.yml
      runner cancel --all-account --yes --rest-url https://example.com/api/v2/peatio
    """
    ids = [int(word) for word in words if word.isascii() and word.isdigit()]
    files = [word for word in words if not (word.isascii() and word.isdigit())]
    if len(files) > 1:
        raise click.UsageError(f"one FILE, not {len(files)}; an ID is a number")
    if sum((bool(ids), mine, all_account and not ids)) != 1:
        raise click.UsageError("say what to cancel: IDs, or --mine, or --all-account")
    where = target(files[0] if files else None, rest_url, credentials)
    everything = all_account and not ids
    chosen = at_counter(where, partial(choose, ids=ids, mine=mine, all_account=all_account), private=True)
    if all_account and chosen.rows and not yes:
        _confirm(chosen)

    async def work(counter: Counter) -> Cancelled:
        return await cancel(counter, chosen, everything=everything)

    done = at_counter(where, work, private=True)
    if as_json:
        facts = {"closed": done.closed, "left": done.left, "orders": [dict(row) for row in done.table.rows]}
        click.echo(json.dumps(facts))
    else:
        show(done.table)
    if done.exit_code:
        fail(done.exit_code, f"{done.left} orders are still open; look again with runner orders")


def _confirm(chosen: Chosen) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        fail(Exit.USAGE, f"--all-account would cancel {len(chosen.rows)} orders; without a terminal it needs --yes")
    show(chosen.table)
    if not click.confirm(f"Cancel these {len(chosen.rows)} orders, whoever placed them?", err=True):
        sys.exit(Exit.CLEAN)
