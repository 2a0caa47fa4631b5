"""An engine's whole state as bytes, and an engine from them that goes on as the first would have.

The bytes are a pickle, and a record is a file that people send each other: so nothing is taken out of one but data and
classes that hold it. A name in it means a class of the engine or the model, a structure of the strategy that was
loaded for the replay anyway, or one of a few containers; a bound method means one of such an object. Anything else is
refused before it is looked up.
"""

import builtins
import collections
import decimal
import io
import pickle
import sys
from types import MethodType
from typing import Any

from msgspec import Struct

from runner.engine.core import Engine
from runner.engine.feeds import LiveFeed
from runner.engine.strategy import Strategy
from runner.model.event import BookSnapshot, Event, MarketsRead, OrderNews, What
from runner.model.order import OrderRow, OrderState
from runner.model.settings import SECOND
from runner.simulation.record import Snapshot

OURS = ("runner.engine.", "runner.model.")
CONTAINERS: dict[tuple[str, str], Any] = {
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("collections", "Counter"): collections.Counter,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): collections.defaultdict,
    ("collections", "deque"): collections.deque,
    ("decimal", "Decimal"): decimal.Decimal,
}
FACTORIES = {name: getattr(builtins, name) for name in ("dict", "int", "list", "set")}
"""What a defaultdict may make."""
_RESTING = frozenset({OrderState.OPEN, OrderState.CANCELLING})


class NoSnapshot(Exception):
    """These bytes are no state of this engine with this strategy; the text says why."""


def snapshot(engine: Engine, event: Event) -> Snapshot:
    """The state after `event`, and what a listener to the public stream would have had to hear up to then."""
    state = pickle.dumps(engine, protocol=5)
    return Snapshot(event.number, event.time, type(engine.strategy).__module__, state, _known(engine))


def revive(found: Snapshot, strategy_type: type[Strategy]) -> Engine:
    """Raises NoSnapshot."""
    try:
        engine = _Reader(found, strategy_type).load()
    except NoSnapshot:
        raise
    except Exception as error:  # whatever a garbled or another version's pickle leads to
        raise NoSnapshot(f"the state that it begins with is not this runner's: {error}") from error
    if not isinstance(engine, Engine):
        raise NoSnapshot("what it begins with is no state of an engine")
    return engine


class _Reader(pickle.Unpickler):
    def __init__(self, found: Snapshot, strategy_type: type[Strategy]) -> None:
        super().__init__(io.BytesIO(found.state))
        self._module = found.strategy
        self._strategy_module = sys.modules[strategy_type.__module__]

    def find_class(self, module_name: str, global_name: str) -> Any:
        known = CONTAINERS.get((module_name, global_name))
        if known is not None:
            return known
        if module_name == "builtins" and global_name in FACTORIES:
            return FACTORIES[global_name]
        if (module_name, global_name) == ("builtins", "getattr"):
            return _method
        if (module_name, global_name) == ("msgspec._utils", "rebuild"):
            return _rebuilt
        if module_name.startswith(OURS) and "." not in global_name:
            found = getattr(sys.modules.get(module_name), global_name, None)
            if isinstance(found, type) and found.__module__ == module_name:
                return found
        if module_name == self._module and "." not in global_name:
            found = getattr(self._strategy_module, global_name, None)
            if isinstance(found, type) and issubclass(found, Struct):
                return found
        raise NoSnapshot(f"it holds {module_name}.{global_name}, which is no part of a state")


def _method(owner: Any, name: str) -> Any:
    found = getattr(owner, name, None) if type(owner).__module__.startswith(OURS) and name[:2] != "__" else None
    if not isinstance(found, MethodType):
        raise NoSnapshot(f"it holds {name}, which is no method of a part of the engine")
    return found


def _rebuilt(kind: type[Struct], fields: dict[str, Any]) -> Struct:
    """As msgspec does it for keyword-only structures."""
    if not issubclass(kind, Struct):
        raise NoSnapshot(f"it holds {kind}, which is no structure")
    return kind(**fields)


def _known(engine: Engine) -> tuple[What, ...]:
    known: list[What] = [MarketsRead(tuple(engine.markets.values()))]
    if not engine.markets:
        return ()
    for order in engine.account.orders.live():
        if order.state in _RESTING and order.ticks is not None:
            known += [
                OrderNews(
                    OrderRow(
                        id=id_,
                        market=order.market,
                        side=order.side,
                        state="wait",
                        ticks=order.ticks,
                        origin_lots=order.lots,
                        remaining_lots=order.lots - order.executed_lots,
                        executed_lots=order.executed_lots,
                        created_at=order.created // SECOND,
                        updated_at=order.changed // SECOND,
                    )
                )
                for id_ in order.venue_ids[:1]
            ]
    for symbol, feed in engine.feeds.by_symbol.items():
        if isinstance(feed, LiveFeed) and feed.book.state == "live":
            most = 1 << 30
            known.append(BookSnapshot(symbol, 0, tuple(feed.book.bids(most)), tuple(feed.book.asks(most))))
    return tuple(known)
