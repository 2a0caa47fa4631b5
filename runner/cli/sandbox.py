"""`runner sandbox`: keep a local exchange running, with a crowd that trades on it, until somebody stops it."""

import ipaddress
import json

import anyio
import click

from runner.cli.exits import Exit, fail
from runner.run.sandbox import Opened, serve


def _loopback(ctx: click.Context, param: click.Parameter, host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise click.BadParameter(f"{host!r} is not a loopback address: the sandbox's keys are play keys; use 127.0.0.1")


@click.command(name="sandbox")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; by default a free one.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed gives the same crowd, and the same keys."
)
@click.option("--host", default="127.0.0.1", show_default=True, callback=_loopback, help="A loopback address.")
@click.option("--json", "as_json", is_flag=True, help="Say where it is in one line of JSON.")
def command(port: int, seed: int, host: str, as_json: bool) -> None:
    """Keep a local exchange running until Ctrl-C or SIGTERM.

    It speaks the same REST and WebSocket protocol as the real one, and a seeded crowd trades on it. Addresses and
    keys go to stdout as soon as it serves.

    \b
    Example:
      runner sandbox --port 8080            # prints what to put into a strategy file
      runner sandbox --seed 7 --json | head -1
    """

    def show(opened: Opened) -> None:
        click.echo(json.dumps(_facts(opened)) if as_json else _text(opened, seed))

    try:
        anyio.run(serve, str(seed), host, port, show)
    except OSError as error:
        fail(Exit.USAGE, f"cannot serve on {host} port {port}: {error.strerror or error}; choose another --port")


def _facts(opened: Opened) -> dict[str, object]:
    return {
        "rest_url": opened.rest_url,
        "stream_url": opened.stream_url,
        "api_key": opened.credentials.access_key,
        "secret_key": opened.credentials.secret_key,
        "markets": list(opened.markets),
    }


def _text(opened: Opened, seed: int) -> str:
    return f"""\
A sandbox exchange with seed {seed} is open: {", ".join(opened.markets)}. Ctrl-C closes it.

To trade there, put this into a strategy file

  connector:
    type: altmarkets
    venue:
      rest_url: {opened.rest_url}
      stream_url: {opened.stream_url}

and this into the environment

  export ALTMARKETS_API_KEY={opened.credentials.access_key}
  export ALTMARKETS_SECRET_KEY={opened.credentials.secret_key}"""
