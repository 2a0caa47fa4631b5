"""Tables as values: named columns, and rows that a program can use as they are.

A cell is text, a whole number, true or false, or None; money and quantities are exact decimals in plain notation.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

GAP = 2  # between columns
CUT_TO = 9

Cell = str | int | bool | None
Row = Mapping[str, Cell]


class Column(Struct, frozen=True):
    """`key` names it for programs, `heading` for people. Numbers stand `right`; `cut` may lose its end for room."""

    key: str
    heading: str
    right: bool = False
    cut: bool = False


class Table(Struct, frozen=True):
    """A row may hold more keys than there are columns: programs see them all."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    nothing: str = "nothing"  # said instead of an empty table

    def cells(self) -> list[list[str]]:
        return [[shown(row.get(column.key)) for column in self.columns] for row in self.rows]

    def widths(self) -> list[int]:
        """Of each column, with room for everything in it."""
        columns = zip(*self.cells(), strict=True) if self.rows else [()] * len(self.columns)
        return [
            max(len(column.heading), *map(len, cells), 0) for column, cells in zip(self.columns, columns, strict=True)
        ]


def shown(cell: Cell) -> str:
    """Without control characters: some of this text was written by strangers."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return "".join(character if character.isprintable() else "?" for character in str(cell))


def aligned(table: Table, room: int | None = None) -> str:
    """Plain text, one line for each row. Where `room` characters are too few, what may be cut is cut."""
    if not table.rows:
        return table.nothing
    widths = table.widths()
    too_much = 0 if room is None else sum(widths) + GAP * (len(widths) - 1) - room
    for number, column in enumerate(table.columns):
        if column.cut and too_much > 0:
            less = min(too_much, max(0, widths[number] - CUT_TO))
            widths[number] -= less
            too_much -= less
    lines = [[column.heading for column in table.columns], *table.cells()]
    return "\n".join(_line(line, widths, table.columns) for line in lines)


def csv_lines(columns: Sequence[Column], rows: Iterable[Row]) -> Iterable[str]:
    """RFC 4180 but for the line ends, which are the platform's; the first line names the columns."""
    yield ",".join(column.key for column in columns)
    for row in rows:
        yield ",".join(_quoted(shown(row.get(column.key))) for column in columns)


def as_json(table: Table) -> str:
    return json.dumps([dict(row) for row in table.rows])


def _line(cells: Sequence[str], widths: Sequence[int], columns: Sequence[Column]) -> str:
    padded = []
    for cell, width, column in zip(cells, widths, columns, strict=True):
        kept = cell if len(cell) <= width else f"{cell[: width - 1]}…"
        padded.append(kept.rjust(width) if column.right else kept.ljust(width))
    return (" " * GAP).join(padded).rstrip()


def _quoted(text: str) -> str:
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if any(mark in text for mark in ',"') else text
