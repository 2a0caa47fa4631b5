"""Visits every state of a small world once, and finds the shortest way into one where a law does not hold."""

import gc
import pickle
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .canonical import form
from .small_world import Broken, Move, SmallWorld


@dataclass(frozen=True)
class Report:
    """What was seen. `broken`: the law that does not hold and the shortest way there, None if all hold."""

    states: int
    moves: int
    ends: int  # states in which a run ended
    whole: bool  # nothing was left unvisited
    broken: str | None = None

    def __str__(self) -> str:
        more = "" if self.whole else " (not all of them: the search was cut short)"
        return f"{self.states} states, {self.moves} moves, {self.ends} ends{more}" + (
            f"\n{self.broken}" if self.broken else ""
        )


class _Visited:
    """A state, and how it was reached first."""

    __slots__ = ("before", "frozen", "move")

    def __init__(self, before: "_Visited | None", move: Move, frozen: bytes) -> None:
        self.before = before
        self.move = move
        self.frozen = frozen

    def way(self) -> list[Move]:
        moves: list[Move] = []
        at: _Visited | None = self
        while at is not None and at.before is not None:
            moves.append(at.move)
            at = at.before
        return moves[::-1]


def explore(begin: Callable[[], SmallWorld], most: int | None = None) -> Report:
    """All states in the order of the time at which they can be reached, and then of the moves that it takes.

    So the first visit of a state leaves the most time to go on from it, and a way into a broken law is the shortest.
    `most`: stop after so many states.
    """
    gc.set_threshold(50_000, 50, 1000)
    world = begin()
    seen = {hash(form(world))}
    first = _Visited(None, ("begin", 0), _frozen(world))
    here: deque[_Visited] = deque([first])
    later: deque[_Visited] = deque()
    moves = ends = 0
    while here or later:
        if not here:
            here, later = later, here
        at = here.popleft()
        world = pickle.loads(at.frozen)
        choices = list(world.moves())
        ends += world.process is not None and world.process.finish is not None
        for move in choices:
            world = pickle.loads(at.frozen)
            moves += 1
            try:
                world.make(move)
            except Exception as problem:  # noqa: BLE001 - an engine that raises has lost the run as well
                story = "\n".join(told(begin, [*at.way(), move]))
                return Report(len(seen), moves, ends, False, f"{_what(problem)}\n{story}")
            mark = hash(form(world))
            if mark in seen:
                continue
            if most is not None and len(seen) >= most:
                return Report(len(seen), moves, ends, whole=False)
            seen.add(mark)
            (later if move[0] == "step" else here).append(_Visited(at, move, _frozen(world)))
        at.frozen = b""
    return Report(len(seen), moves, ends, whole=True)


def _frozen(world: SmallWorld) -> bytes:
    return pickle.dumps(world, pickle.HIGHEST_PROTOCOL)


def _what(problem: Exception) -> str:
    if isinstance(problem, Broken):
        return f"broken: {problem}"
    return "broken: the engine raises\n" + "".join(traceback.format_exception(problem)[-3:])


def told(begin: Callable[[], SmallWorld], way: list[Move]) -> Iterator[str]:
    """A way, move by move, with what is at work after each."""
    world = begin()
    for number, move in enumerate(way, 1):
        subject = _subject(world, move)
        try:
            world.make(move)
        except Exception:  # noqa: BLE001 - the last one
            yield f"{number:3}  {move[0]} {subject}"
            return
        yield f"{number:3}  {move[0]} {subject:<60} {_picture(world)}"


def _subject(world: SmallWorld, move: Move) -> str:
    what, which = move
    process = world.process
    if process is not None:
        from_process = {
            "sign": process.unsigned,
            "answer": process.answers,
            "serve": process.queries,
            "fail": process.queries,
            "read-now-tell-later": process.queries,
            "ignore-cancel": process.queries,
            "tell": process.late,
            "news": process.news,
            "lose-news": process.news,
            "cut": list(process.awaited),
        }
        if what in from_process:
            return _short(from_process[what][which])
    if what in {"copy", "lose", "insert", "refuse"}:
        return world.creates[which].place.client_id
    return f"order {which}" if which else ""


def _short(thing: object) -> str:
    text = str(thing)
    return text if len(text) < 60 else text[:57] + "..."


def _picture(world: SmallWorld) -> str:
    rows = " ".join(f"{row.id}:{row.place.client_id[13:]}={row.state}" for row in world.rows.values())
    orders = " ".join(f"{order.client_id[13:]}={order.state.value}" for order in world.journal.orders.values())
    return f"venue [{rows}] journal [{orders}]"
