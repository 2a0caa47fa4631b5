"""`runner connect`: try an API key and keep it in the credential store."""

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import click

from runner.cli.counter import prompt
from runner.cli.exits import Exit, fail
from runner.run.connect import Connected, connect, given_key, remove, stored
from runner.run.counter import HOSTS_GONE
from runner.run.ends import CannotRun

PAPER = ("altmarkets_paper", "altmarkets_paper_trade")


@click.command(name="connect")
@click.argument("venue", required=False, type=click.Choice(["altmarkets", *PAPER]))
@click.option("--name", metavar="NAME", help="Keep it under this name: `credentials: NAME` in a strategy file.")
@click.option("--rest-url", metavar="URL", help="Root of the exchange's REST API, the same as in the strategy file.")
@click.option("--list", "listing", is_flag=True, help="List the stored keys, without their secrets.")
@click.option("--remove", "removing", is_flag=True, help="Forget a stored key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def command(
    venue: str | None, name: str | None, rest_url: str | None, listing: bool, removing: bool, as_json: bool
) -> None:
    """Ask for an API key and its secret, try them at the exchange, and keep them.

    They are kept in the keyring of the operating system, or in a file that a passphrase encrypts. Without a terminal
    they come from the environment (ALTMARKETS_API_KEY, ALTMARKETS_SECRET_KEY), or from two lines of stdin, and the
    passphrase from RUNNER_PASSPHRASE. Nothing is placed or changed at the exchange.

    \b
    Example:
      runner connect altmarkets --rest-url https://example.com/api/v2/peatio
      runner connect altmarkets --name main --rest-url URL < key-and-secret.txt
      runner connect --list
      runner connect --remove --name main
    """
    if listing:
        _list(as_json)
    elif removing:
        _remove(name, as_json)
    elif venue is None:
        raise click.UsageError("which venue? runner connect altmarkets")
    elif venue in PAPER:
        _say(as_json, f"You are now connected to {venue}: it needs no key.", venue=venue, name=None)
    else:
        _connect(venue, name, rest_url, as_json)


def _connect(venue: str, name: str | None, rest_url: str | None, as_json: bool) -> None:
    if rest_url is None:
        fail(Exit.UNREACHABLE, HOSTS_GONE.partition(", or in a strategy file")[0])
    ask = prompt()
    try:
        key = given_key(name, os.environ, ask, None if sys.stdin.isatty() else sys.stdin.readline)
        done: Connected = anyio.run(partial(connect, venue, name, rest_url, key, os.environ, _twice(ask)))
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    except KeyboardInterrupt:
        fail(Exit.INTERNAL, "interrupted; nothing was stored")
    entry = done.entry
    where = "the keyring" if entry.store == "keyring" else "an encrypted file"
    same = (
        "\nIt replaces the key of that name and counts as the same account: its journal goes on."
        if done.rotated
        else ""
    )
    _say(
        as_json,
        f"You are now connected to {venue}\nThe key ...{entry.key_hint} may look and trade; it is kept in {where} as "
        f"{entry.name}, for {entry.rest_url}.{same}",
        venue=venue,
        name=entry.name,
        rest_url=entry.rest_url,
        store=entry.store,
        account=entry.account,
        rotated=done.rotated,
    )


def _twice(ask: Callable[[str], str] | None) -> Callable[[str], str] | None:
    """A new passphrase that was mistyped would lock its owner out."""
    if ask is None:
        return None

    def asked(text: str) -> str:
        while True:
            first = ask(text)
            if first == ask("The same once more"):
                return first
            click.echo("They differ.", err=True)

    return asked


def _list(as_json: bool) -> None:
    entries = stored(os.environ)
    if as_json:
        click.echo(
            json.dumps([{field: getattr(entry, field) for field in entry.__struct_fields__} for entry in entries])
        )
        return
    for entry in entries:
        click.echo(f"{entry.name:<12}  {entry.venue}  ...{entry.key_hint}  {entry.store:<7}  {entry.rest_url}")
    if not entries:
        click.echo("no stored keys")


def _remove(name: str | None, as_json: bool) -> None:
    try:
        gone = remove(name, os.environ)
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    if not gone:
        fail(Exit.USAGE, f"there is no stored key {name or 'default'}; runner connect --list shows which there are")
    _say(as_json, f"The key {name or 'default'} is forgotten.", name=name or "default", removed=True)


def _say(as_json: bool, text: str, **facts: Any) -> None:
    click.echo(json.dumps({"connected": "removed" not in facts, **facts}) if as_json else text)
