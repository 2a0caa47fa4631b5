"""Hummingbot's strategy files: their keys, their units, and what each becomes here.

Of its first generation of strategies (`strategy: NAME` at the top of the file). There 1 means 1 % and times are
seconds. A key either has a twin, or a sentence that says why it has none and what comes closest.
Source: Hummingbot's templates of the two strategies' files (versions 18 to 24, and 1 to 8), the fields of the second
one's later form, which has no template, and their documentation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from runner.config.tree import Items, Keys, Node, Scalar

_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,18}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})(?:[eE][+-]?[0-9]{1,2})?")

Unit = Literal["percent", "seconds", "base", "count", "number", "switch"]
Test = Callable[[Node], bool]


class Twin(Struct, frozen=True):
    """A key with the same meaning here: the parameter's name and the unit that theirs is in.

    `unless`: values that have no twin all the same, and `why`. `note`: what a reader should know of the others.
    """

    name: str
    unit: Unit
    required: bool = False
    unless: Test | None = None
    why: str = ""
    note: str = ""


class Lost(Struct, frozen=True):
    """A key without a twin.

    `why`, and what comes closest. Nothing is lost with a value for which `off` holds (`rest` says why), nor while the
    feature that the key belongs to, `of`, was off. `withheld`: its value may hold a key of somebody's API.
    """

    why: str
    off: Test | None = None
    rest: str = "off there: nothing is lost"
    of: str | None = None
    withheld: bool = False


class Dialect(Struct, frozen=True):
    """One strategy of theirs: which of ours it becomes, its keys, and what ours needs besides: `fixed`, as written.

    A key in a group is written `group.key`.
    """

    use: str
    keys: Mapping[str, Twin | Lost]
    fixed: Mapping[str, str] = {}


def number(node: Node) -> Decimal | None:
    """The number that a node is, as Hummingbot would read it: `1e-05` and `.5` are numbers there."""
    return Decimal(node.text) if isinstance(node, Scalar) and _NUMBER.fullmatch(node.text) else None


def switch(node: Node) -> bool | None:
    """The yes or no that a node is."""
    return True if is_yes(node) else False if is_no(node) else None


def is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def at_rest(dialect: Dialect, document: Mapping[str, Node], key: str) -> str:
    """Why nothing is lost with a key that has no twin; empty where something is."""
    if key not in document or is_null(document[key]):
        return "not set there"
    rule = dialect.keys.get(key)
    if not isinstance(rule, Lost):
        return ""
    if rule.off is not None and rule.off(document[key]):
        return rule.rest
    if rule.of is not None and at_rest(dialect, document, rule.of):
        return f"a part of {rule.of}, which was off there"
    return ""


# Values that switch a feature off -------------------------------------------------------------------------


def _always(_node: Node) -> bool:
    return True


def _says(*words: str) -> Test:
    return lambda node: isinstance(node, Scalar) and node.text.strip().casefold() in words


def _at_most(limit: int) -> Test:
    return lambda node: (found := number(node)) is not None and found <= limit


def _below_zero(node: Node) -> bool:
    found = number(node)
    return found is not None and found < 0


def _zero(node: Node) -> bool:
    return number(node) == 0


def _empty(node: Node) -> bool:
    return (isinstance(node, Keys) and not node.entries) or (isinstance(node, Items) and not node.items)


is_no = _says("false", "no", "n", "0")
is_yes = _says("true", "yes", "y", "1")

# The strategies -------------------------------------------------------------------------------------------

_NOTHING = "nothing comes close"
_SAME = "the same here"
_LADDER = (
    "every level has the same quantity and the same distance from the one before; order_levels and "
    "order_level_spread come closest"
)


def _part_of(feature: str, off: Test | None = None, withheld: bool = False) -> Lost:
    return Lost(f"it belongs to {feature}", off, of=feature, withheld=withheld)


_OVERRIDE = Lost(_LADDER, _empty)
_HANGING = Lost(
    "an order that its pair has left behind is moved like all others when it is off by more than "
    "order_refresh_tolerance_pct; a large one of these comes closest",
    is_no,
)
_FILLED_DELAY = Lost(
    "a slot whose order was filled is quoted again at the next tick; a longer tick.every comes closest, and slows the "
    "rest down as well",
    _zero,
    _SAME,
)
_CONFIRMATION = Lost("a cancelled order's place is used again only when the cancel is proven", is_yes, _SAME)
_COSTS = Lost(
    "spreads are taken as they stand; add the maker fee to bid_spread and to ask_spread, which is what Hummingbot did",
    is_no,
)
_OPTIMISED = Lost(f"prices follow the mid price and never jump before the best order of the others; {_NOTHING}", is_no)
_AGE = Lost(
    f"an order at the right price keeps its place in the queue however old it is, and Hummingbot gave it up; {_NOTHING}"
)
_TOLERANCE = Twin(
    "order_refresh_tolerance_pct",
    "percent",
    unless=_below_zero,
    why="below zero Hummingbot replaces even orders whose price has not changed; here they keep their place in the "
    "queue; the default, 0, comes closest",
)
_VERSION = Lost("", _always, "counts the versions of Hummingbot's own file format")

_BAND = Lost(
    "the strategy quotes at every price; risk.price_collar around a risk.collar_price, a band that no order "
    "leaves, comes closest",
    _below_zero,
)

_PURE_MARKET_MAKING = Dialect(
    "pure_market_making",
    {
        "template_version": _VERSION,
        "bid_spread": Twin("bid_spread", "percent", required=True),
        "ask_spread": Twin("ask_spread", "percent", required=True),
        "minimum_spread": Lost(
            "an order that mid has come near is not pulled until it is weighed again; a shorter order_refresh_time "
            "comes closest",
            _at_most(-100),
        ),
        "order_refresh_time": Twin("order_refresh_time", "seconds", required=True),
        "max_order_age": _AGE,
        "order_refresh_tolerance_pct": _TOLERANCE,
        "order_amount": Twin("order_amount", "base", required=True),
        "price_ceiling": _BAND,
        "price_floor": _BAND,
        "moving_price_band_enabled": Lost(
            "the strategy quotes at every price; risk.price_collar, which measures from the mid price of now, comes "
            "closest",
            is_no,
        ),
        "price_ceiling_pct": _part_of("moving_price_band_enabled"),
        "price_floor_pct": _part_of("moving_price_band_enabled"),
        "price_band_refresh_time": _part_of("moving_price_band_enabled"),
        "ping_pong_enabled": Lost(
            "both sides are quoted whatever was filled last; inventory_skew, which moves prices against the position, "
            "comes closest",
            is_no,
        ),
        "inventory_skew_enabled": Lost(
            "Hummingbot changed the quantities of the two sides; inventory_skew, which moves their prices, comes "
            "closest: how far is yours to choose",
            is_no,
        ),
        "inventory_target_base_pct": Lost(
            "the target is the position that the run begins with; run.initial_position comes closest",
            of="inventory_skew_enabled",
        ),
        "inventory_range_multiplier": _part_of("inventory_skew_enabled"),
        "inventory_price": Lost("", _always, "Hummingbot no longer read it"),
        "order_levels": Twin("order_levels", "count"),
        "order_level_amount": Lost(f"every level has the quantity order_amount; {_NOTHING}", _zero, _SAME),
        "order_level_spread": Twin("order_level_spread", "percent"),
        "filled_order_delay": _FILLED_DELAY,
        "hanging_orders_enabled": _HANGING,
        "hanging_orders_cancel_pct": _part_of("hanging_orders_enabled"),
        "order_optimization_enabled": _OPTIMISED,
        "ask_order_optimization_depth": _part_of("order_optimization_enabled"),
        "bid_order_optimization_depth": _part_of("order_optimization_enabled"),
        "add_transaction_costs": _COSTS,
        "price_source": Lost(
            f"prices are those of the market that is traded, and of no other; {_NOTHING}",
            _says("current_market"),
            _SAME,
        ),
        "price_type": Lost(f"quotes are centred on the mid price; {_NOTHING}", _says("mid_price"), _SAME),
        "price_source_exchange": _part_of("price_source"),
        "price_source_market": _part_of("price_source"),
        "price_source_custom_api": _part_of("price_source", withheld=True),
        "custom_api_update_interval": _part_of("price_source"),
        "invert_custom_api_price": _part_of("price_source", is_no),
        "header_custom_api": _part_of("price_source", _empty, withheld=True),
        "take_if_crossed": Lost(f"no quote ever crosses the market; {_NOTHING}", is_no, of="price_source"),
        "order_override": _OVERRIDE,
        "split_order_levels_enabled": Lost(_LADDER, is_no),
        "bid_order_level_spreads": _part_of("split_order_levels_enabled"),
        "ask_order_level_spreads": _part_of("split_order_levels_enabled"),
        "bid_order_level_amounts": _part_of("split_order_levels_enabled"),
        "ask_order_level_amounts": _part_of("split_order_levels_enabled"),
        "should_wait_order_cancel_confirmation": _CONFIRMATION,
        "coin_id_overrides": Lost("", _always, "names coins for Hummingbot's own rate oracle"),
    },
)

_TIMEFRAME = "a run has no hours of its own; cron or a systemd timer that starts `runner run --for` comes closest"


def _or_empty(word: str) -> Test:
    says = _says(word)
    return lambda node: says(node) or _empty(node)


_AVELLANEDA_MARKET_MAKING = Dialect(
    "avellaneda_stoikov",
    {
        "template_version": _VERSION,
        "execution_timeframe_mode": Lost(_TIMEFRAME, _or_empty("infinite"), _SAME),
        "execution_timeframe_mode.start_datetime": Lost(_TIMEFRAME),
        "execution_timeframe_mode.end_datetime": Lost(_TIMEFRAME),
        "execution_timeframe_mode.start_time": Lost(_TIMEFRAME),
        "execution_timeframe_mode.end_time": Lost(_TIMEFRAME),
        "execution_timeframe": Lost(_TIMEFRAME, _says("infinite"), _SAME),
        "start_time": _part_of("execution_timeframe"),
        "end_time": _part_of("execution_timeframe"),
        "order_amount": Twin("order_amount", "base", required=True),
        "order_optimization_enabled": Twin("order_optimization_enabled", "switch"),
        "risk_factor": Twin("risk_factor", "number", required=True),
        "order_amount_shape_factor": Twin("order_amount_shape_factor", "number"),
        "min_spread": Twin("min_spread", "percent"),
        "order_refresh_time": Twin("order_refresh_time", "seconds", required=True),
        "max_order_age": _AGE,
        "order_refresh_tolerance_pct": _TOLERANCE,
        "filled_order_delay": _FILLED_DELAY,
        "inventory_target_base_pct": Twin("inventory_target_base_pct", "percent"),
        "add_transaction_costs": Lost(
            "prices are taken as they stand; add twice the maker fee to min_spread, which bounds them in another way "
            "than Hummingbot did",
            is_no,
        ),
        "volatility_buffer_size": Twin("volatility_buffer_size", "count"),
        "trading_intensity_buffer_size": Twin(
            "trading_intensity_buffer_size",
            "count",
            note="Here it counts takers' orders in the public trades; Hummingbot counted moves of the book.",
        ),
        "order_levels_mode": Lost(
            "without numbers in it Hummingbot took two levels; order_levels: 2 comes closest",
            _or_empty("single_order_level"),
            _SAME,
        ),
        "order_levels_mode.order_levels": Twin("order_levels", "count"),
        "order_levels_mode.level_distances": Twin("level_distances", "percent"),
        "order_levels": Twin("order_levels", "count"),
        "level_distances": Twin("level_distances", "percent"),
        "order_override": Lost(
            "every level has the same quantity and the same distance from the one before; order_levels and "
            "level_distances come closest",
            _empty,
        ),
        "hanging_orders_mode": Lost(_HANGING.why, _or_empty("ignore_hanging_orders")),
        "hanging_orders_mode.hanging_orders_cancel_pct": _HANGING,
        "hanging_orders_enabled": _HANGING,
        "hanging_orders_cancel_pct": _part_of("hanging_orders_enabled"),
        "should_wait_order_cancel_confirmation": _CONFIRMATION,
        "parameters_based_on_spread": Lost(
            "risk_factor is a number of its own and follows from no spread; min_spread comes closest", is_no
        ),
        "max_spread": _part_of("parameters_based_on_spread"),
        "vol_to_spread_multiplier": _part_of("parameters_based_on_spread"),
        "volatility_sensibility": _part_of("parameters_based_on_spread"),
        "inventory_risk_aversion": _part_of("parameters_based_on_spread"),
        "order_book_depth_factor": Lost("kappa is learnt from the market, as later versions of Hummingbot do"),
        "closing_time": Lost("the lean does not fade with time unless horizon is set, which comes closest"),
    },
    {"variant": "hummingbot"},
)

DIALECTS: Mapping[str, Dialect] = {
    "pure_market_making": _PURE_MARKET_MAKING,
    "avellaneda_market_making": _AVELLANEDA_MARKET_MAKING,
}
"""By the name that stands behind `strategy:`."""
