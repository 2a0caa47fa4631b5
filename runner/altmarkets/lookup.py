"""A question to the venue as a value: the request, and how to read its answer. Lists come page by page.

Whoever waits for answers (edge, run) needs no idea of what is asked, and what is asked has no idea of waiting.
"""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, TypeVar

from msgspec import Struct

from runner.altmarkets.messages import decode
from runner.altmarkets.numbers import Unreadable, shown
from runner.altmarkets.rest import PAGE, Request, Response

T = TypeVar("T")

Filters = dict[str, int | str | None]
"""Query parameters; None leaves one out."""


class Question(Struct, Generic[T], frozen=True):
    """One request. `read` takes an answer of 2xx and raises Unreadable if it is not what was asked for."""

    request: Request
    read: Callable[[Response], T]


class Page(Struct, Generic[T], frozen=True):
    """`more`: it was full, so there may be another one. `faults`: rows that could not be read, and why."""

    rows: tuple[T, ...]
    faults: tuple[str, ...]
    more: bool


class Listing(Struct, Generic[T], frozen=True):
    """A list of any length. The end is a page with fewer rows than asked for: `Total` is not always told.

    Rows may shift between pages while one reads (wire reference 4.3), so they are told apart by `key`.
    """

    path: str
    row: Callable[[Any], T]
    key: Callable[[T], Hashable]
    query: tuple[tuple[str, str], ...] = ()
    private: bool = True
    limit: int = PAGE

    def page(self, number: int) -> Question[Page[T]]:
        query = (("limit", str(self.limit)), ("page", str(number)), *self.query)
        return Question(Request("GET", self.path, query, private=self.private), self._read)

    def _read(self, answer: Response) -> Page[T]:
        values = json_list(answer)
        rows, faults = readable(values, self.row)
        return Page(tuple(rows), tuple(faults), len(values) >= self.limit)


def question(path: str, read: Callable[[Any], T], *, private: bool = False, **filters: int | str | None) -> Question[T]:
    """A GET whose answer is one JSON value."""
    return Question(Request("GET", path, texts(filters), private=private), lambda answer: read(decode(answer.body)))


def texts(filters: Filters) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in filters.items() if value is not None)


def json_list(answer: Response) -> list[Any]:
    return a_list(decode(answer.body))


def a_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable(f"{shown(value)} is not a list")
    return value


def readable(values: Iterable[Any], row: Callable[[Any], T]) -> tuple[list[T], list[str]]:
    """The rows that can be read, and what is wrong with the others."""
    rows: list[T] = []
    faults: list[str] = []
    for value in values:
        try:
            rows.append(row(value))
        except Unreadable as error:
            faults.append(str(error))
    return rows, faults
