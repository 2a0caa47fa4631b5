"""A strategy file that is right, the strategy it names, and how to read it with a change."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from runner.config.problems import Problem
from runner.config.read import read
from runner.config.spec import RunSpec, Sandbox, Venue
from runner.model.market import Market

STRATEGY = '''
from typing import Annotated, Literal
from runner.engine.strategy import Decision, Field, Strategy
from runner.model.units import BaseAmount, Duration, Price, QuoteAmount, Ratio

class Spread(Strategy, frozen=True):
    """Quote both sides of the mid price."""
    half_spread: Annotated[Ratio, Field("of mid", min="0", max="20%")]
    quantity: Annotated[BaseAmount, Field("of each order", min="1")]
    levels: Annotated[int, Field("orders on each side", min="1", max="5")] = 1
    cash: Annotated[QuoteAmount | None, Field("kept back")] = None
    floor: Annotated[Price | None, Field("never bid below")] = None
    pause: Annotated[Duration, Field("after a fill", max="1h")] = Duration("0s")
    side: Literal["buy", "sell", "both"] = "both"
    eager: bool = False
    shape: float = 1.0
    steps: tuple[Ratio, ...] = ()

    def __post_init__(self):
        if self.floor is not None and self.side == "sell":
            raise ValueError("floor makes no sense for side: sell")

    def slots(self):
        return [f"{side}-{level}" for side in ("bid", "ask") for level in range(1, self.levels + 1)]

    def tick(self, view, state):
        return Decision((), state, "nothing")
'''

GOOD = """\
version: 1
name: roger-maker
connector:
  type: altmarkets
  venue: sandbox
  credentials: main
markets: [ROGER-BTC]
strategy:
  use: ./spread.py:Spread
  params:
    half_spread: 40bps
    quantity: 1000 ROGER
    levels: 3
tick: {every: 1s, when: [book, fill]}
risk:
  max_position: {ROGER: 50000}
  max_order_notional: {BTC: 0.01}
  max_open_orders: 20
  max_book_age: 15s
run: {for: 55m, on_stop: cancel}
"""


def market(symbol: str) -> Market:
    base, quote = symbol.split("-")
    return Market(
        id=(base + quote).lower(),
        base=base,
        quote=quote,
        price_precision=8,
        amount_precision=2,
        price_min=Decimal("0.00000001"),
        quantity_min=Decimal(1),
    )


SYMBOLS = ("ROGER-BTC", "DOGE-USDT", "BTC-USDT")


def known(venue: Venue) -> Mapping[str, Market] | None:
    return {symbol: market(symbol) for symbol in SYMBOLS} if isinstance(venue, Sandbox) else None


def changed(*changes: tuple[str, str]) -> str:
    """The good file with parts of it replaced, each of which is there exactly once."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def result(
    text: str | bytes, folder: Path, *sets: str, env: Mapping[str, str] | None = None
) -> RunSpec | tuple[Problem, ...]:
    return read(text, file=str(folder / "roger.yml"), overrides=sets, environment=env or {}, markets=known)


def spec(text: str | bytes, folder: Path, *sets: str, env: Mapping[str, str] | None = None) -> RunSpec:
    found = result(text, folder, *sets, env=env)
    assert isinstance(found, RunSpec), "\n".join(map(str, found))
    return found


def problems(text: str | bytes, folder: Path, *sets: str, env: Mapping[str, str] | None = None) -> Sequence[Problem]:
    found = result(text, folder, *sets, env=env)
    assert not isinstance(found, RunSpec)
    assert found
    return found
