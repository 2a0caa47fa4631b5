"""`runner sandbox`: keep a local exchange running, with a crowd that trades on it, until somebody stops it."""

import ipaddress
import json
import sys
from functools import partial
from typing import get_args

import anyio
import click

from runner.cli.check import content
from runner.cli.exits import Exit, fail
from runner.cli.tapes import recordings, tape_files
from runner.config.problems import Problem
from runner.run.sandbox import (
    KINDS,
    AtEnd,
    CannotHappen,
    Opened,
    Plan,
    Planned,
    TapeFile,
    Tapes,
    fault,
    fault_table,
    faults_of,
    serve,
    serve_tapes,
)


def _loopback(ctx: click.Context, param: click.Parameter, host: str) -> str:
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise click.BadParameter(f"{host!r} is not a loopback address: the sandbox's keys are play keys; use 127.0.0.1")


def _fault(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[Planned, ...]:
    try:
        return tuple(map(fault, texts))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _names(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not name.isidentifier() or name in {"trader", "house"}:
            raise click.BadParameter(f"{name!r} is not free: use letters, digits and _, and not trader or house")
    if len(set(names)) < len(names):
        raise click.BadParameter("each name once")
    return names


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
    callback=tape_files,
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
@click.option(
    "--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True, help="Which Peatio it behaves like."
)
@click.option("--account", "accounts", metavar="NAME", multiple=True, callback=_names, help="A further account.")
@click.option(
    "--fault",
    "faults",
    metavar="NAME[=VALUE]",
    multiple=True,
    callback=_fault,
    help="Let this go wrong; also with ,for=10s ,times=3 ,chance=0.2 ,on=create behind it.",
)
@click.option("--faults", "file", metavar="FILE", help="A YAML list of faults with the time each begins at.")
@click.option("--list-faults", is_flag=True, help="List everything that can go wrong, and leave.")
def command(
    port: int,
    seed: int,
    host: str,
    as_json: bool,
    files: tuple[TapeFile, ...],
    speed: float,
    at_end: AtEnd,
    kind: str,
    accounts: tuple[str, ...],
    faults: tuple[Planned, ...],
    file: str | None,
    list_faults: bool,
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
      runner sandbox --fault answer=502,chance=0.1 --fault json_ping --faults storm.yml
      curl http://127.0.0.1:8080/sandbox/control --json '{"name": "engine_restart"}'
    """
    if list_faults:
        click.echo(json.dumps(_table()) if as_json else "\n".join(_lines()))
        return
    timed = () if file is None else _timed(file)
    plan = Plan(kind=kind, accounts=accounts, faults=(*faults, *timed))

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
            play = partial(serve_tapes, recordings(files), tapes)
            anyio.run(play, str(seed), host, port, show, tell_end, plan)
        else:
            anyio.run(serve, str(seed), host, port, show, plan)
    except CannotHappen as problem:
        fail(Exit.USAGE, str(problem))
    except OSError as error:
        fail(Exit.USAGE, f"cannot serve on {host} port {port}: {error.strerror or error}; choose another --port")


def _timed(file: str) -> tuple[Planned, ...]:
    found = faults_of(content(file), "<stdin>" if file == "-" else file)
    wrong = [one for one in found if isinstance(one, Problem)]
    if wrong:
        click.echo("\n".join(map(str, wrong)), err=True)
        sys.exit(Exit.CONFIG)
    return tuple(one for one in found if isinstance(one, Planned))


def _table() -> list[dict[str, str]]:
    return [{"name": name, "value": value, "says": says} for name, value, says in fault_table()]


def _lines() -> list[str]:
    return [f"{name}{'=' + value if value else ''}\n    {says}" for name, value, says in fault_table()]


def _facts(opened: Opened) -> dict[str, object]:
    accounts = {
        name: {"api_key": key.access_key, "secret_key": key.secret_key} for name, key in opened.accounts.items()
    }
    return {
        "rest_url": opened.rest_url,
        "stream_url": opened.stream_url,
        "api_key": opened.credentials.access_key,
        "secret_key": opened.credentials.secret_key,
        "markets": list(opened.markets),
        **({"accounts": accounts} if accounts else {}),
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
  export ALTMARKETS_SECRET_KEY={opened.credentials.secret_key}{
        "".join(_keys(name, key.access_key, key.secret_key) for name, key in opened.accounts.items())
    }"""


def _keys(name: str, access_key: str, secret_key: str) -> str:
    variable = f"ALTMARKETS_{name.upper()}"
    return f"""

and of the account {name}, with `credentials: {name}`

  export {variable}_API_KEY={access_key}
  export {variable}_SECRET_KEY={secret_key}"""
