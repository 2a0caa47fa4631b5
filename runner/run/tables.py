"""Tables on stdout, fitted to a terminal where there is one; progress on stderr."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from runner.report import plan as planned
from runner.report.account import CANDLE_COLUMNS
from runner.report.plan import Plan
from runner.report.tables import Row, Table, aligned, csv_lines
from runner.report.tables import as_json as json_text
from runner.run.account import Progress as Told


def out(table: Table, *, as_json: bool) -> None:
    """The one result of a command: a table for people, or a list of objects for programs."""
    if as_json:
        print(json_text(table))  # noqa: T201
    else:
        show(table)


def show(table: Table) -> None:
    console = Console()
    if not console.is_terminal or not table.rows:
        print(aligned(table))  # noqa: T201 - the result of a command
        return
    # Not a table of rich: in want of room that cuts prices, and half a price is a wrong one.
    heading, *lines = aligned(table, console.width).split("\n")
    console.print(Text(heading, style="bold"), soft_wrap=True)
    for line in lines:
        console.print(Text(line), soft_wrap=True)  # Text: a stranger's brackets are no markup


def show_plan(plan: Plan, *, as_json: bool) -> None:
    """The result of `runner plan`."""
    if as_json:
        print(json.dumps(planned.facts(plan)))  # noqa: T201
        return
    print(f"{planned.head(plan)}\n")  # noqa: T201
    show(planned.table(plan))
    print(f"\n{planned.foot(plan)}")  # noqa: T201


@contextmanager
def progress(what: str) -> Iterator[Told]:
    """A bar, or a count where the end is not known; nothing without a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)

        def told(done: int, total: int | None) -> None:
            described = what if total is not None else f"{what}: {done}"
            bar.update(task, completed=done, total=total, description=described)

        yield told


def candle_table(rows: Iterable[Row]) -> Table:
    return Table(CANDLE_COLUMNS, tuple(rows), "no candles: nothing was traded there and then")


def csv_text(rows: Iterable[Row]) -> str:
    return "".join(f"{line}\n" for line in csv_lines(CANDLE_COLUMNS, rows))
