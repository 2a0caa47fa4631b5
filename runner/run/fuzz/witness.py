"""Watches a strategy tick by tick: what it raises, and whether it is the pure function that everything rests on.

A tick is asked twice about the same moment; its parameters and its state are looked at before and after; the next
state is put into JSON and taken out again, as it would be after a crash.
"""

import math
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from runner.engine.strategy import Decision, State, Strategy
from runner.engine.view import View

PUMPED = 3_000
"""Ticks after a run, on the last market it saw: the state may not be half as large again after twice as many."""

FAILURES = {
    "raised": "the tick raised",
    "bad_quote": "the engine could not take a quote for an order",
    "negative_quantity": "a quote has a quantity below zero",
    "wrong_type": "the tick returned something else than it should",
    "impure": "the same tick asked twice gave two answers",
    "mutated": "the tick changed its parameters or its state in place",
    "state_lost": "the next state does not come back from the journal as it was",
    "state_grows": "the state grows without end",
    "slots": "the strategy's slots cannot name orders",
    "params": "the strategy breaks on parameters within their bounds",
    "stop": "the run did not end clean",
}


class Failure(Struct, frozen=True):
    """What is wrong (one of FAILURES, or `law` and the law's name), in words, and when: ns since the beginning."""

    code: str
    what: str
    at: int = 0


class Witness:
    """Of one run. `failure` is the first that was seen."""

    def __init__(self, strategy_type: type[Strategy], clock: Callable[[], int]) -> None:
        self.failure: Failure | None = None
        self.ticks = 0
        self.quotes = 0
        self.slowest = 0.0  # s of the machine's own time: to be told, never to be judged
        self.watching = True
        self._type = strategy_type
        self._clock = clock
        self._file = sys.modules[strategy_type.__module__].__file__ or ""
        self._sizes: list[int] = []
        self._last: tuple[Strategy, View, State] | None = None

    def found(self, code: str, what: str) -> None:
        if self.failure is None:
            self.failure = Failure(code, what, self._clock())

    def tick(self, strategy: Strategy, view: View, state: State) -> Any:
        """One tick, watched. What it raises is raised."""
        if not self.watching:
            return self._type.tick(strategy, view, state)
        before = repr(strategy), repr(state)
        again = View(view.time, view.symbol, view._facts)
        began = time.perf_counter()
        decision = self._call(strategy, view, state)
        between = time.perf_counter()
        if (repr(strategy), repr(state)) != before:
            self.found("mutated", f"parameters and state were {_short(before)}, then {_short((strategy, state))}")
        second = self._call(strategy, again, state)
        # The faster of the two: a machine that was busy elsewhere is not the strategy's doing.
        self.slowest = max(self.slowest, min(between - began, time.perf_counter() - between))
        self.ticks += 1
        if isinstance(decision, Decision) and isinstance(second, Decision):
            self._judge(decision, second, state)
        else:
            self.found("wrong_type", f"the tick returned {type(decision).__name__}, not a Decision")
        self._last = strategy, view, decision.state
        return decision

    def _call(self, strategy: Strategy, view: View, state: State) -> Any:  # what a plugin returns may be anything
        try:
            return self._type.tick(strategy, view, state)
        except Exception as problem:
            self.found("raised", f"{type(problem).__name__}: {problem} ({self.place(problem)})")
            raise

    def place(self, problem: BaseException) -> str:
        """The last line of the strategy's own file that an exception went through."""
        frames = traceback.extract_tb(problem.__traceback__)
        own = [frame for frame in frames if frame.filename == self._file] or list(frames)
        return f"{own[-1].filename.rpartition('/')[2]}:{own[-1].lineno}"

    def _judge(self, decision: Decision, second: Decision, state: State) -> None:
        told, again = _told(decision), _told(second)
        if told != again:
            self.found("impure", f"first {_short(told)}, then {_short(again)}")
        for quote in decision.quotes:
            self.quotes += 1
            if isinstance(quote.quantity, int | float) and not math.isnan(quote.quantity) and quote.quantity < 0:
                self.found("negative_quantity", f"slot {quote.slot}: {quote.side.value} {quote.quantity}")
        reason: object = decision.reason
        if not isinstance(reason, str):
            self.found("wrong_type", f"the reason is {type(reason).__name__}, not text")
        if type(decision.state) is not type(state):
            self.found("wrong_type", f"the next state is {type(decision.state).__name__}, not {type(state).__name__}")
        self._restore(decision.state)

    def _restore(self, state: State) -> None:
        try:
            text = msgspec.json.encode(state)
            back = msgspec.json.decode(text, type=type(state))
        except Exception as problem:  # noqa: BLE001 - whatever keeps a state from coming back
            self.found("state_lost", f"{type(problem).__name__}: {problem}, of {_short(state)}")
            return
        if back != state:
            self.found("state_lost", f"{_short(state)} comes back as {_short(back)}")
        self._sizes.append(len(text))

    def see_whether_it_grows(self, every: int) -> None:
        """After a run: where the state has become larger, go on with the last market it saw, `every` ns a tick."""
        last = self._last
        if self.failure is not None or last is None or not self._grew():
            return
        strategy, view, state = last
        found: list[int] = []
        for number in range(2 * PUMPED):
            moment = View(view.time + number * every, view.symbol, view._facts)
            try:
                state = self._type.tick(strategy, moment, state).state
            except Exception:  # noqa: BLE001 - a market that stands still for hours is nobody's promise
                return
            if (number + 1) % PUMPED == 0:
                found.append(len(msgspec.json.encode(state)))
        if found[1] > 1.5 * found[0]:
            what = (
                f"{self._sizes[0]} bytes at first, {found[0]} after {PUMPED} more ticks, {found[1]} after {2 * PUMPED}"
            )
            self.found("state_grows", what)

    def _grew(self) -> bool:
        """Whether it is worth a look: the largest state of each quarter of the run is above that of the one before."""
        quarter = len(self._sizes) // 4
        if not quarter:
            return False
        second, third, last = (max(self._sizes[n * quarter : (n + 1) * quarter]) for n in (1, 2, 3))
        return last > 1.15 * third > 1.15 * 1.15 * second


def watched(strategy_type: type[Strategy], witness: Witness) -> type[Strategy]:
    """The same strategy under a witness's eyes."""

    def tick(self: Strategy, view: View, state: State) -> Any:
        return witness.tick(self, view, state)

    name, module = strategy_type.__name__, strategy_type.__module__
    made = msgspec.defstruct(name, [], bases=(strategy_type,), namespace={"tick": tick}, module=module, frozen=True)
    assert issubclass(made, Strategy)
    return made


def _told(decision: Decision) -> str:
    return repr((tuple(decision.quotes), decision.state, decision.reason))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
