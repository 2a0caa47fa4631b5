"""The same strategy with another file: what somebody may write who tunes while it runs."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from msgspec import ValidationError, structs

from runner.engine.strategy import Strategy
from runner.model import parameters
from runner.model.money import MONEY, plain
from runner.model.settings import Limits, Settings, TickPolicy
from runner.model.units import Amount, Duration, Ratio
from runner.simulation.dice import Dice, seed_state

_FACTORS = (Decimal("0.5"), Decimal(1), Decimal(2))


def varied(first: Settings, strategy_type: type[Strategy], seed: str) -> tuple[Settings, dict[str, str]]:
    """`first` with other live parameters, tick and limits, each within its bounds, and what differs."""
    dice = Dice(seed_state(seed, "reload"))
    settings = structs.replace(
        first,
        params=_params(first.params, strategy_type, dice),
        tick=_tick(first.tick, dice),
        limits=_limits(first.limits, dice),
    )
    return settings, {"seed": f"-> {seed}"}


def _params(first: Mapping[str, Any], strategy_type: type[Strategy], dice: Dice) -> dict[str, Any]:
    strategy = parameters.build(strategy_type, first)
    found = dict(first)
    for row, attribute in zip(parameters.parameters(strategy_type), strategy_type.__struct_fields__, strict=True):
        value = getattr(strategy, attribute)
        if row.field.live and value is not None and dice.below(2):
            found[row.name] = _other(value, row, dice)
    try:
        parameters.build(strategy_type, found)
    except ValidationError:  # together they make no sense, so `runner check` would have refused the file
        return dict(first)
    return found


def _other(value: Any, row: parameters.Parameter, dice: Dice) -> Any:
    """A value of the same kind within the parameter's bounds, as a file would write it."""
    factor = dice.choice(_FACTORS)
    match value:
        case bool():
            return bool(dice.below(2))
        case Duration():
            return str(_bounded(Duration.of(int(value * factor)), row))
        case Ratio():
            return str(_bounded(Ratio(f"{plain(MONEY.multiply(value.exact, factor).scaleb(2))}%"), row))
        case Amount():
            amount = f"{plain(MONEY.multiply(value.exact, factor))} {value.currency}".rstrip()
            return str(_bounded(type(value)(amount), row))
        case int():
            return _bounded(value + dice.below(3) - 1, row)
        case float():
            return float(_bounded(value * float(factor), row))
    return parameters.as_written(value)


def _bounded(value: Any, row: parameters.Parameter) -> Any:
    low, high = row.bounds
    if low is not None and value < low:
        return low
    return high if high is not None and value > high else value


def _tick(first: TickPolicy, dice: Dice) -> TickPolicy:
    every = max(first.at_most_every, int(first.every * dice.choice(_FACTORS)))
    return structs.replace(first, every=every, when=first.when if dice.below(2) else ("book", "trade", "fill"))


def _limits(first: Limits, dice: Dice) -> Limits:
    factor = dice.choice(_FACTORS)
    orders = None if first.max_open_orders is None else max(1, int(first.max_open_orders * dice.choice(_FACTORS)))
    positions = {currency: MONEY.multiply(most, factor) for currency, most in first.max_position.items()}
    return structs.replace(first, max_open_orders=orders, max_position=positions)
