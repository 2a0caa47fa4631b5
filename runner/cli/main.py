"""`runner`: the commands by name. A command's module is imported when it is used, so that each starts fast."""

import importlib
import io
import platform
import sys

import click

import runner
from runner.cli.exits import table

COMMANDS = {
    "backtest": "Trade a strategy on recorded markets.",
    "balance": "Show what an account holds.",
    "cancel": "Cancel orders and see them closed.",
    "candles": "Download a market's history.",
    "chaos": "Throw faults at a strategy, in simulated time.",
    "check": "Check strategy files, without a network.",
    "config": "Show the merged file, and where each value came from.",
    "convert": "Turn a Hummingbot strategy file into one of ours.",
    "connect": "Try an API key and keep it.",
    "doctor": "See whether everything is in place for a run.",
    "drill": "Trip every risk latch on sandboxes, to see it work.",
    "explain": "Tell why an order was placed and what became of it.",
    "fuzz": "Search for parameters and markets that break a strategy.",
    "markets": "List the markets of a venue.",
    "orders": "List the orders of an account.",
    "parity": "Compare a run with backtests of it on its own public data.",
    "plan": "Show what a run would do first, and send nothing.",
    "record": "Record markets of a venue, for backtests.",
    "replay": "Feed the record of a run to its strategy again.",
    "resolve": "Take your word for an order whose fate is not proven.",
    "resume": "Show why a risk latch fell, and lift it.",
    "risk": "Show every limit, what is used and what is left.",
    "run": "Trade a strategy.",
    "sandbox": "Keep a local exchange running.",
    "schema": "Print the JSON Schema of a strategy file.",
    "settle": "Look up and cancel until nothing is unproven.",
    "status": "Say whether a strategy is running, and how it stands.",
    "stop": "Stop a running strategy and wait for it.",
    "strategies": "List the strategies, or one with its parameters.",
    "tape": "Show, cut, import and export recorded markets.",
    "trades": "List the trades of an account, or of a market.",
}
"""Name and line of help; the module is `runner.cli.NAME`, its click command is called `command`."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"runner.cli.{cmd_name}").command
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = click.utils.make_str(args[0])
        if name not in COMMANDS and not name.startswith("-"):
            from runner.config.problems import one_of  # only a misspelt command pays for the import

            ctx.fail(f"no command {name!r}: {one_of(name, COMMANDS)}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            for line in table().splitlines():
                formatter.write(f"  {line}\n")


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from runner.config.shape import VERSION  # nobody else here needs the file's shape

        click.echo(f"runner {runner.__version__}, Python {platform.python_version()}, strategy file version {VERSION}")
        ctx.exit()


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print the versions of the runner, of Python and of the strategy file, and exit.",
)
def group() -> None:
    """Run declarative trading strategies on the Altmarkets exchange or any OpenDAX/Peatio v2 exchange.

    \b
    A first try, with play money on an exchange of your own:
      runner run strategies/quickstart.yml --for 60s
    """


def main() -> None:
    """Entry point of the `runner` script."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a file may hold what the terminal cannot show
    group(prog_name="runner")


if __name__ == "__main__":
    main()
