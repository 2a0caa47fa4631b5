"""How a command ends: the table of exit codes for people, and one sentence on stderr."""

import sys
from typing import NoReturn

import click

from runner.model.exits import Exit

__all__ = ["Exit", "fail", "table"]


def table() -> str:
    """For --help."""
    return "\n".join(f"{code.value:>3}  {code.sentence}" for code in Exit)


def fail(code: int, sentence: str) -> NoReturn:
    """End with one sentence on stderr. `code` is one of the table."""
    click.echo(f"runner: {sentence}", err=True)
    sys.exit(code)
