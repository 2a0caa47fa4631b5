"""What is wrong with a file: where, what, and what to do about it.

Lines and columns count from 1, columns in characters. `code` is stable and `noun.kind`:

    yaml.syntax yaml.encoding yaml.empty yaml.size yaml.key yaml.tag yaml.alias yaml.documents
    key.unknown key.missing key.duplicate key.secret
    value.empty value.type value.unknown value.range value.text value.conflict
    unit.wrong unit.currency   market.unknown market.duplicate
    strategy.unknown strategy.import strategy.type strategy.params strategy.slots strategy.traits strategy.demands
    override.syntax   file.unreadable   reload.fixed
    spread.fees amount.minimum refresh.budget limit.loss   (warnings)
    bound.orders bound.amount bound.position bound.rate bound.worth
    convert.file convert.version convert.strategy convert.missing convert.value
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable

from msgspec import Struct

Path = tuple[str | int, ...]
"""Keys and list indices from the root of the file."""

_WIDTH = 100
_UNREADABLE = {"yaml.alias", "yaml.tag", "value.empty", "value.text"}
_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # what YAML counts as one
_SECRET = re.compile(
    r"""((?:secret|passw|passphrase|token|api_?key|access_?key|private_?key)\w*["']?\s*[:=]\s*)[^\s,}]+""",
    re.IGNORECASE,
)


class Source(Struct, frozen=True):
    """A text and where it came from: a file, or `--set` and its number. `column` is that of its first character."""

    file: str
    lines: tuple[str, ...]
    line: int = 1
    column: int = 1

    @classmethod
    def of(cls, file: str, text: str) -> Source:
        return cls(file, tuple(_LINE_BREAK.split(text)))

    def place(self, line: int, column: int) -> Place:
        """From a line and column that count from 0, as the YAML parser does."""
        return Place(self, line + self.line, column + (self.column if line == 0 else 1))


class Place(Struct, frozen=True):
    source: Source
    line: int
    column: int


class Problem(Struct, frozen=True):
    """One thing to put right. `source` is the line of the file, without a secret that stands on it.

    A warning is one too: what it says is legal, and dangerous (`dangers.py`).
    """

    file: str
    line: int
    column: int
    path: str
    code: str
    message: str
    fix: str
    source: str = ""

    def facts(self) -> dict[str, str | int]:
        """For a program."""
        return {name: getattr(self, name) for name in ("file", "line", "column", "path", "code", "message", "fix")}

    def __str__(self) -> str:
        return self.text()

    def text(self, *, kind: str = "") -> str:
        """For a person: position, `kind` and message, the line with a caret, what to do."""
        lines = [f"{self.file}:{self.line}:{self.column}: {kind}{self.message}"]
        if self.source.strip():
            shown, column = _window(self.source, self.column)
            indent = "".join(character if character == "\t" else " " for character in shown[: column - 1])
            lines += [f"    {shown}", f"    {indent}^"]
        return "\n".join([*lines, f"  {self.fix}"])


def problem(at: Place, path: Path, code: str, message: str, fix: str) -> Problem:
    row = at.line - at.source.line
    line = at.source.lines[row] if 0 <= row < len(at.source.lines) else ""
    return Problem(
        at.source.file, at.line, at.column, dotted(path), code, printable(message), printable(fix), _shown_line(line)
    )


@functools.lru_cache(maxsize=4)  # thousands of problems may stand on one line of a million characters
def _shown_line(line: str) -> str:
    """Without a secret that stands on it."""
    return printable(_SECRET.sub(lambda found: found[1] + "•" * (found.end() - found.end(1)), line))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Each once, those of one text from top to bottom. What cannot be read has no further problems."""
    once = {(item.file, item.line, item.column, item.message): item for item in problems}
    files = {item.file: number for number, item in reversed(list(enumerate(once.values())))}
    unreadable = {(item.file, item.line, item.column) for item in once.values() if item.code in _UNREADABLE}
    told = [
        item
        for item in once.values()
        if item.code in _UNREADABLE or (item.file, item.line, item.column) not in unreadable
    ]
    return tuple(sorted(told, key=lambda item: (files[item.file], item.line, item.column)))


def dotted(path: Path) -> str:
    """`risk.max_position.ROGER`, `markets[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return printable(text.removeprefix("."))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant, None if none is near."""
    from difflib import get_close_matches  # only a file with a mistake pays for the import

    plain = {name.casefold().replace("-", "_").replace("/", "_"): name for name in known}
    wanted = word[:100].strip().casefold().replace("-", "_").replace("/", "_").replace(" ", "_")
    # Of a short word one letter is much: LTC is not a misspelt BTC.
    found = get_close_matches(wanted, plain, n=1, cutoff=0.6 if len(wanted) > 4 else 0.7)
    return plain[found[0]] if found else None


def one_of(word: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown name."""
    names = list(known)
    near = nearest(word, names)
    if near is not None or len(names) == 1:
        return f"write {near or names[0]}"
    return f"write one of {', '.join(names)}" if names else "remove it"


def shown(value: object) -> str:
    """A value in a sentence: at most 60 characters of it."""
    text = str(value)
    return f"`{text if len(text) <= 60 else text[:59] + '…'}`"


def printable(text: str) -> str:
    """Without characters that would move the reader's cursor."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\t" else character.encode("unicode_escape").decode()
        for character in text
    )


def _window(line: str, column: int) -> tuple[str, int]:
    """The part of a long line around a column, and the column in it."""
    if len(line) <= _WIDTH:
        return line, column
    start = max(0, min(column - 1 - _WIDTH // 2, len(line) - _WIDTH))
    return line[start : start + _WIDTH], column - start
