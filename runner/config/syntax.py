"""What the YAML parser complains about, in the words of somebody who writes a strategy file."""

from __future__ import annotations

from typing import Any

import yaml

from runner.config.problems import Problem, Source, problem, shown

# `problem` is where the parser stopped, `context` where that began which it was reading, `end` the latter if the
# parser stopped at the end of the text.
_INDENTATION = "this line does not continue what is above it", "check its indentation"
_TOLD: tuple[tuple[str, str, str, str], ...] = (
    # the parser's words; which of its positions to show; what; fix
    (
        "mapping values are not allowed",
        "problem",
        "a `: ` where no key can be",
        "check the indentation here and above; a value with `: ` in it needs quotes",
    ),
    ("unexpected end of stream", "context", "a quote is opened here and never closed", "close it"),
    ("expected ',' or '}'", "end", "`{` without its `}`, or a comma is missing", "write {key: value, key: value}"),
    ("expected ',' or ']'", "end", "`[` without its `]`, or a comma is missing", "write [one, two]"),
    ("could not find expected ':'", "context", "a key without `: ` behind it", "write `key: value`"),
    ("did not find expected key", "problem", *_INDENTATION),
    ("expected <block end>", "problem", *_INDENTATION),
    ("did not find expected '-' indicator", "problem", *_INDENTATION),
    ("undefined alias", "problem", "an alias without an anchor", "write the value out"),
)


def syntax_problem(error: yaml.YAMLError, source: Source) -> Problem:
    said = str(getattr(error, "problem", None) or error)
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    line, column = _position(mark)
    at_end = not _rest(source, line, column).strip()
    if "cannot start any token" in said:
        return _stray(source, line, column)
    for words, where, what, fix in _TOLD:
        if words in said:
            if context is not None and (where == "context" or (where == "end" and at_end)):
                line, column = _position(context)
            return problem(source.place(line, column), (), "yaml.syntax", what, fix)
    what = f"this is not YAML: {said.splitlines()[0]}"
    return problem(source.place(line, column), (), "yaml.syntax", what, "check punctuation and indentation here")


def _stray(source: Source, line: int, column: int) -> Problem:
    rest = _rest(source, line, column)[:1]
    if rest == "\t":
        what, fix = "a tab in the indentation", "indent with spaces"
    else:
        what, fix = f"a value cannot begin with {shown(rest)}", "put it in quotes"
    return problem(source.place(line, column), (), "yaml.syntax", what, fix)


def _position(mark: Any) -> tuple[int, int]:
    return (0, 0) if mark is None else (mark.line, mark.column)


def _rest(source: Source, line: int, column: int) -> str:
    """The text from a position on. What is parsed of an override begins behind its `key=`."""
    if line == 0:
        column += source.column - 1
    return "\n".join([source.lines[line][column:], *source.lines[line + 1 :]]) if line < len(source.lines) else ""
