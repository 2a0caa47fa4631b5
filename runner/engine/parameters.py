"""A strategy from its parameters as the run's settings carry them: texts with units, numbers, lists."""

from collections.abc import Mapping
from typing import Any

from runner.engine.strategy import Strategy
from runner.model import parameters


def build(strategy_type: type[Strategy], params: Mapping[str, Any]) -> Strategy:
    """Make the strategy. Raises msgspec.ValidationError for parameters that `runner check` would have refused."""
    return parameters.build(strategy_type, params)
