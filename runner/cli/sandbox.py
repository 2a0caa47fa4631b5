"""`runner sandbox`: keep a local exchange running, with a crowd that trades on it, until somebody stops it."""

import ipaddress
import json
import re
from functools import partial
from pathlib import Path
from typing import get_args

import anyio
import click

from runner.cli.exits import Exit, fail
from runner.run.sandbox import AtEnd, NotATape, Opened, Recording, TapeFile, Tapes, read_tapes, serve, serve_tapes


def _loopback(ctx: click.Context, param: click.Parameter, host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise click.BadParameter(f"{host!r} is not a loopback address: the sandbox's keys are play keys; use 127.0.0.1")


def _tape(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[TapeFile, ...]:
    files = []
    for text in texts:
        symbol, _, path = text.rpartition("=")
        if not re.fullmatch(r"[A-Za-z0-9]+-[A-Za-z0-9]+", symbol):
            symbol, path = "", text
        files.append(TapeFile(Path(path), symbol.upper() or None))
    return tuple(files)


@click.command(name="sandbox")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on; by default a free one.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed gives the same crowd, and the same keys."
)
@click.option("--host", default="127.0.0.1", show_default=True, callback=_loopback, help="A loopback address.")
@click.option("--json", "as_json", is_flag=True, help="Say where it is in one line of JSON.")
@click.option(
    "--tape",
    "files",
    metavar="[BASE-QUOTE=]FILE",
    multiple=True,
    callback=_tape,
    help="A recording instead of the crowd; again for another market.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0.001, 1000),
    default=1.0,
    show_default=True,
    help="How many times as fast as it was recorded a tape is played.",
)
@click.option(
    "--at-end",
    type=click.Choice(get_args(AtEnd)),
    default="hold",
    show_default=True,
    help="After a tape: the book stands still; it begins again; or the exchange closes.",
)
def command(
    port: int, seed: int, host: str, as_json: bool, files: tuple[TapeFile, ...], speed: float, at_end: AtEnd
) -> None:
    """Keep a local exchange running until Ctrl-C or SIGTERM.

    It speaks the same REST and WebSocket protocol as the real one, and a seeded crowd trades on it. Addresses and
    keys go to stdout as soon as it serves.

    With --tape its markets are recordings of a real one (raw Binance collector format, plain or gzip), and your orders
    trade with what was recorded. What was not recorded does not react to you.

    \b
    Example:
      runner sandbox --port 8080            # prints what to put into a strategy file
      runner sandbox --seed 7 --json | head -1
      runner sandbox --tape btcusdt.gz --speed 5 --at-end loop
    """

    if not files and (speed, at_end) != (1.0, "hold"):
        fail(Exit.USAGE, "--speed and --at-end are about a tape: name one with --tape FILE")
    source = f"seed {seed}" if not files else "one tape" if len(files) == 1 else f"{len(files)} tapes"

    def show(opened: Opened) -> None:
        click.echo(json.dumps(_facts(opened)) if as_json else _text(opened, source))

    def tell_end() -> None:
        stands = "the exchange closes" if at_end == "stop" else "the book stands still; Ctrl-C closes the exchange"
        click.echo(f"runner: the tape is over: {stands}", err=True)

    try:
        if files:
            tapes = Tapes(files, speed, at_end)
            play = partial(serve_tapes, _recordings(tapes), tapes)
            anyio.run(play, str(seed), host, port, show, tell_end)
        else:
            anyio.run(serve, str(seed), host, port, show)
    except OSError as error:
        fail(Exit.USAGE, f"cannot serve on {host} port {port}: {error.strerror or error}; choose another --port")


def _recordings(tapes: Tapes) -> list[Recording]:
    """Import the files; exit 2 with what is wrong, a line on stderr for each hole in them."""
    try:
        recordings = read_tapes(tapes)
    except NotATape as problem:
        fail(Exit.USAGE, str(problem))
    except OSError as error:
        fail(Exit.USAGE, f"cannot read {error.filename}: {error.strerror or error}")
    symbols = [recording.market.symbol for recording in recordings]
    if len(set(symbols)) < len(symbols):
        fail(Exit.USAGE, f"two tapes of one market ({', '.join(symbols)}): give each market once")
    for file, recording in zip(tapes.files, recordings, strict=True):
        for gap in recording.gaps:
            click.echo(f"runner: {file.path}: {gap}; the book stands still until the next snapshot", err=True)
    return recordings


def _facts(opened: Opened) -> dict[str, object]:
    return {
        "rest_url": opened.rest_url,
        "stream_url": opened.stream_url,
        "api_key": opened.credentials.access_key,
        "secret_key": opened.credentials.secret_key,
        "markets": list(opened.markets),
    }


def _text(opened: Opened, source: str) -> str:
    return f"""\
A sandbox exchange with {source} is open: {", ".join(opened.markets)}. Ctrl-C closes it.

To trade there, put this into a strategy file

  connector:
    type: altmarkets
    venue:
      rest_url: {opened.rest_url}
      stream_url: {opened.stream_url}

and this into the environment

  export ALTMARKETS_API_KEY={opened.credentials.access_key}
  export ALTMARKETS_SECRET_KEY={opened.credentials.secret_key}"""
