"""Draws of any event and any output, from their types."""

import enum
import types
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st
from msgspec import Struct

from runner.model.command import Output
from runner.model.event import Event

_PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**63), 2**63 - 1),
    str: st.text(max_size=8),
    bool: st.booleans(),
    float: st.floats(allow_nan=False),
    Decimal: st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**9), max_value=10**9),
    type(None): st.none(),
    Any: st.text(max_size=8),  # parameters of a strategy, as its file writes them
}


def drawn(kind: Any) -> st.SearchStrategy[Any]:
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in {Union, types.UnionType}:
        return st.one_of([drawn(each) for each in inner])
    if origin is tuple and inner[-1] is ...:
        return st.lists(drawn(inner[0]), max_size=2).map(tuple)
    if origin is tuple:
        return st.tuples(*map(drawn, inner))
    if origin is dict:
        return st.dictionaries(*map(drawn, inner), max_size=2)
    if issubclass(kind, enum.Enum):
        return st.sampled_from(kind)
    assert issubclass(kind, Struct), kind
    return st.deferred(lambda: st.builds(kind, **{name: drawn(each) for name, each in get_type_hints(kind).items()}))


EVENTS = st.builds(Event, st.integers(1, 2**40), st.integers(0, 2**62), drawn(get_type_hints(Event)["what"]))
OUTPUTS = drawn(Output)
