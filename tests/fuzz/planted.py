"""Strategies with one mistake each, of the kind that a quiet afternoon on the sandbox never shows."""

from typing import NamedTuple

HEAD = '''
import math
import random
from typing import Annotated

from runner.engine.strategy import Decision, Field, State, Strategy
from runner.engine.view import View
from runner.model.order import Quote, Side
from runner.model.units import BaseAmount, Duration, Ratio


class Memory(State, frozen=True):
    mids: tuple[float, ...] = ()
    best: float = 0.0
    notes: list[str] = []


class Planted(Strategy, frozen=True, kw_only=True):
    """Quote both sides of mid."""

    spread: Annotated[Ratio, Field("of mid", min="0.1%", max="5%")]
    amount: Annotated[BaseAmount, Field("of each order", min="1", max="5000")]
    levels: Annotated[int, Field("orders on each side", min="1", max="5")] = 2
    window: Annotated[Duration, Field("of memory", min="1s", max="1h")] = Duration("30s")

    def slots(self):
        return [f"{side}-{level}" for side in ("bid", "ask") for level in range(self.levels)]

    def initial_state(self):
        return Memory()

    def quotes(self, mid, amount):
        for level in range(self.levels):
            away = self.spread * (1 + level)
            yield Quote(f"bid-{level}", Side.BUY, mid * (1 - away), amount)
            yield Quote(f"ask-{level}", Side.SELL, mid * (1 + away), amount)

    def tick(self, view, state):
        book, mid = view.book, view.book.mid
'''

FILE = """
version: 1
name: planted
connector: {type: altmarkets, venue: sandbox}
markets: [ROGER-BTC]
strategy:
  use: ./planted.py:Planted
  params: {spread: 30bps, amount: 200 ROGER, levels: 3, window: 1m}
tick: {every: 2s, when: [fill]}
risk: {max_position: {ROGER: 20000}, max_open_orders: 20, max_order_notional: {BTC: 1}}
run: {on_stop: cancel}
"""


class Bug(NamedTuple):
    """`body` is the rest of `tick`. What has to be found: a code, a word of the explanation, at most so many scenes of
    these kinds, and which parameters are no longer those of the file.
    """

    body: str
    code: str
    says: str
    scenes: frozenset[str] = frozenset()
    params: frozenset[str] = frozenset()
    members: str = ""  # further methods of the class


QUOTE = "return Decision(tuple(self.quotes(mid, float(self.amount))), state, 'mid')"
NO_MID = "if mid is None:\n    return Decision((), state, 'no mid')"

BUGS = {
    "a division by an empty side": Bug(
        f"""
        imbalance = sum(q for _, q in book.bids(5)) / sum(q for _, q in book.asks(5))
        {NO_MID}
        {QUOTE}
        """,
        "raised",
        "ZeroDivisionError",
        frozenset({"no_asks", "nobody"}),
    ),
    "no thought of a book without mid": Bug(
        f"""
        half = mid / 2
        {QUOTE}
        """,
        "raised",
        "TypeError",
        frozenset({"no_asks", "no_bids", "nobody"}),
    ),
    "chance of the module": Bug(
        f"""
        {NO_MID}
        mid = mid * (1 + random.uniform(-0.001, 0.001))
        {QUOTE}
        """,
        "impure",
        "then",
    ),
    "six bytes for a price": Bug(
        f"""
        {NO_MID}
        round(mid * 10**8).to_bytes(6, "big")
        {QUOTE}
        """,
        "raised",
        "OverflowError",
        frozenset({"highest", "spike_up"}),
    ),
    "a memory without end": Bug(
        f"""
        {NO_MID}
        state = Memory((*state.mids, mid))
        {QUOTE}
        """,
        "state_grows",
        "bytes",
    ),
    "not a number where nothing moves": Bug(
        f"""
        {NO_MID}
        state = Memory((*state.mids, mid)[-4:])
        moved = max(state.mids) - min(state.mids)
        scale = math.inf if moved == 0 and len(state.mids) == 4 else 1.0
        return Decision(tuple(self.quotes(mid, self.amount * (scale - scale + 1))), state, 'mid')
        """,
        "bad_quote",
        "nan",
        frozenset({"flat"}),
    ),
    "a ladder of one rung": Bug(
        f"""
        {NO_MID}
        step = self.spread / (self.levels - 1)
        {QUOTE}
        """,
        "raised",
        "ZeroDivisionError",
        params=frozenset({"levels"}),
    ),
    "a slot too many": Bug(
        f"""
        {NO_MID}
        extra = (Quote("bid-9", Side.BUY, mid * 0.9, 100),) if self.levels > 3 else ()
        return Decision((*self.quotes(mid, self.amount), *extra), state, 'mid')
        """,
        "bad_quote",
        "bid-9",
        params=frozenset({"levels"}),
    ),
    "a memory changed in place": Bug(
        f"""
        {NO_MID}
        state.notes[:] = [f"{{mid:.8f}}", str(view.time)]
        {QUOTE}
        """,
        "mutated",
        "then",
    ),
    "a best price that no JSON can hold": Bug(
        f"""
        {NO_MID}
        state = Memory((), math.inf if state.best == 0 else min(state.best, mid))
        {QUOTE}
        """,
        "state_lost",
        "inf",
    ),
    "less than nothing after a fill": Bug(
        """
        if mid is None:
            return Decision((), state, 'no mid')
        amount = 200 - abs(view.position.base) * 2
        return Decision((Quote("bid-0", Side.BUY, mid * 0.9995, amount),), state, 'mid')
        """,
        "negative_quantity",
        "buy -",
    ),
    "nothing where there is no mid": Bug(
        f"""
        if mid is None:
            return None
        {QUOTE}
        """,
        "wrong_type",
        "NoneType",
        frozenset({"no_asks", "no_bids", "nobody"}),
    ),
    "one name for two slots": Bug(
        f"""
        {NO_MID}
        {QUOTE}
        """,
        "slots",
        "twice",
        params=frozenset({"levels"}),
        members="""
    def slots(self):
        return [f"{side}-{level % 4}" for side in ("bid", "ask") for level in range(self.levels)]
""",
    ),
    "a sum that some parameters break": Bug(
        f"""
        {NO_MID}
        {QUOTE}
        """,
        "params",
        "ZeroDivisionError",
        params=frozenset({"levels"}),
        members="""
    def __post_init__(self):
        1 / (self.levels - 5)
""",
    ),
    "chance now and then": Bug(
        f"""
        {NO_MID}
        if random.random() < 0.05:
            mid *= 0.999
        {QUOTE}
        """,
        "impure",
        "then",
    ),
    "a trade that is always there": Bug(
        f"""
        {NO_MID}
        last = view.trades[-1].price if state.best else mid
        state = Memory((), last)
        {QUOTE}
        """,
        "raised",
        "IndexError",
    ),
}


HONEST = {
    "a memory of a thousand prices": Bug(
        f"""
        {NO_MID}
        state = Memory((*state.mids, mid)[-1000:])
        {QUOTE}
        """,
        "",
        "",
    ),
    "parameters that are refused with a word": Bug(
        f"""
        {NO_MID}
        {QUOTE}
        """,
        "",
        "",
        members="""
    def __post_init__(self):
        if self.levels == 2:
            raise ValueError("two levels are no ladder")
""",
    ),
    "orders that no limit allows": Bug(
        f"""
        {NO_MID}
        return Decision(tuple(self.quotes(mid, self.amount * 1000)), state, 'mid')
        """,
        "",
        "",
    ),
}
"""Strategies that one may dislike, but that do nothing wrong."""


def source(bug: Bug) -> str:
    lines = []
    for line in bug.body.strip("\n").splitlines():
        lines.append(line if line.startswith("        ") else f"        {line}")
    before, tick, after = HEAD.rpartition("    def tick(")
    return before + bug.members.lstrip("\n") + tick + after + "\n".join(lines) + "\n"
