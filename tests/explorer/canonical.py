"""What makes two states of a small world the same: everything that can still matter, and nothing else.

A state is told as one flat sequence of words. Times are told as the step they fall into, counted from now, and as their
rank among all times of that step: which came first is kept, by how many nanoseconds is not. What only counts events,
explains, or cannot run out in such a world (money, memory) is left out, and so is what is computed from the rest. Left
out by mistake, a thing would hide states; kept by mistake it only costs time, so whatever is not named here is kept.
"""

from collections.abc import Hashable
from typing import Any

import msgspec

from runner.engine.account import Account
from runner.engine.core import Engine
from runner.engine.orders import Orders
from runner.engine.strangers import Strangers
from runner.engine.watch import Watch
from runner.model.order import Fill, Order
from runner.model.settings import MILLISECOND, SECOND

from .small_world import STEP, Process, Row, SmallWorld

LONG_AGO = -12  # steps

_LEFT_OUT = {
    Engine: "settings strategy markets ticks reason feeds _restored _slots _state_text _began _idle _free _refill_at "
    "_offset _said _handlers _strategy_type verdicts held",
    Account: "ledger funds guard heard_at checks past longest_doubt _reserve _forget_at _balances_at _failing",
    Orders: "_tag _epoch _settle_time _began _markets _ledger _funds _live _by_venue highest_id",
    Strangers: "_count",
    Watch: "_settle _created _last_query _newest_trade _trades_from _venue_ahead",
    Process: "number free",
    Row: "trades",
    SmallWorld: "bounds engine_type now beyond trades steps",
}
_NEVER = frozenset({"reason", "query", "event", "time", "why"})
_OPEN, _CLOSE = "(", ")"


def form(world: SmallWorld) -> Hashable:
    """Two worlds with the same form have the same future, but for the time that is left to look at it."""
    return _Form(world).told()


class _Form:
    def __init__(self, world: SmallWorld) -> None:
        self._world = world
        self._asked = world.process.engine.account.watch.asked if world.process is not None else None
        self._words: list[Hashable] = []
        self._times: list[tuple[int, int]] = []  # (ns, where among the words)

    def told(self) -> Hashable:
        self._tell(self._world)
        self._rank()
        return tuple(self._words)

    def _tell(self, thing: Any) -> None:
        kind, words = type(thing), self._words
        if kind is int and thing > 100_000_000:
            self._times.append((_ns(thing), len(words)))
            words.append(None)
        elif kind is dict:
            words.append(_OPEN)
            for key in sorted(thing):
                self._tell(key)
                self._tell(thing[key])
            words.append(_CLOSE)
        elif kind is list or kind is tuple:
            words.append(_OPEN)
            for each in thing:
                self._tell(each)
            words.append(_CLOSE)
        elif kind is set or kind is frozenset:
            self._tell(sorted(thing))
        elif kind is Order and thing.state.terminal:
            words += (thing.client_id, thing.state, thing.venue_ids, thing.executed_lots, thing.filled_lots)
            self._tell(None if thing.answered else thing.sign_before)  # how long a later life has to wait for a copy
        elif kind is Fill:
            words += (thing.key, thing.lots, thing.fee_final)
        elif (names := _names(kind, thing)) is None:
            words.append(thing)
        else:
            words.append(kind)
            if self._asked is not None and hasattr(thing, "query"):
                # A question is known by what it is about, not by its number.
                words.append(None if thing.query is None else self._asked(thing.query))
            for name in names:
                self._tell(getattr(thing, name))

    def _rank(self) -> None:
        now, last = self._world.now // STEP, self._world.steps
        rank, group, before = 0, None, None
        for ns, where in sorted(self._times):
            step = ns // STEP - now
            if step != group:
                rank, group, before = 0, step, ns
            elif ns != before:
                rank, before = rank + 1, ns
            if step < LONG_AGO:
                self._words[where] = "long ago"
            else:
                self._words[where] = "beyond the end" if step > last else (step, rank)


def _ns(time: int) -> int:
    """Nanoseconds, milliseconds and seconds are told apart by their size."""
    if time > 10**17:
        return time
    return time * MILLISECOND if time > 10**11 else time * SECOND


_KNOWN: dict[type, tuple[str, ...] | None] = {}


def _names(kind: type, thing: Any) -> tuple[str, ...] | None:
    """The fields that matter; None for a value without fields."""
    if kind not in _KNOWN:
        _KNOWN[kind] = _fields(kind, thing)
    return _KNOWN[kind]


def _fields(kind: type, thing: Any) -> tuple[str, ...] | None:
    if issubclass(kind, msgspec.Struct):
        names: tuple[str, ...] = kind.__struct_fields__
    elif kind.__module__.startswith(("runner.", __package__)) and not issubclass(kind, str):
        names = tuple(getattr(kind, "__slots__", None) or sorted(vars(thing)))
    else:
        return None
    left_out = set(_NEVER)
    for base, more in _LEFT_OUT.items():
        if issubclass(kind, base):
            left_out |= set(more.split())
    return tuple(name for name in names if name not in left_out)
