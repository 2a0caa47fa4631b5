"""Tapes on a command line: `--tape [BASE-QUOTE=]FILE`, again for another market."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import click

from runner.cli.exits import Exit, fail
from runner.run import tapes
from runner.run.ends import CannotRun
from runner.run.sandbox import Recording, TapeFile


def tape_files(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[TapeFile, ...]:
    files = []
    for text in texts:
        symbol, _, path = text.rpartition("=")
        if not re.fullmatch(r"[A-Za-z0-9]+-[A-Za-z0-9]+", symbol):
            symbol, path = "", text
        files.append(TapeFile(Path(path), symbol.upper() or None))
    return tuple(files)


def recordings(files: Sequence[TapeFile]) -> list[Recording]:
    """Read the files, or records of runs by their ids; exit 2 with what is wrong, a line on stderr for each hole."""
    try:
        found = [tapes.read(str(file.path), os.environ, symbol=file.symbol) for file in files]
    except CannotRun as problem:
        fail(problem.exit_code, str(problem))
    symbols = [recording.market.symbol for recording in found]
    if len(set(symbols)) < len(symbols):
        fail(Exit.USAGE, f"two tapes of one market ({', '.join(symbols)}): give each market once")
    for file, recording in zip(files, found, strict=True):
        for gap in recording.gaps:
            click.echo(f"runner: {file.path}: {gap}; the book stands still until the next snapshot", err=True)
    return found
