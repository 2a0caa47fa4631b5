"""JSON Schema (2020-12) of the strategy file, for editors, the check and the documentation.

`schemas/strategy.schema.json` is `file_schema` of the bundled strategies; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping

from runner.config.shape import VERSION, File
from runner.engine.strategy import Strategy
from runner.model.parameters import DIALECT, Schema, schema, unit_schemas


def file_schema(strategies: Mapping[str, type[Strategy]]) -> Schema:
    """The whole file, with the parameters of the named strategies chosen by `strategy.use`."""
    return {
        "$schema": DIALECT,
        "title": f"Strategy file of the Altmarkets runner, version {VERSION}",
        **schema(File),
        "allOf": [_chosen(name, strategy_type) for name, strategy_type in sorted(strategies.items())],
        "$defs": unit_schemas(),
    }


def structure(root: Schema) -> Schema:
    """`root` with quantities left open: `values.py` checks these, and says more than a pattern can."""
    return {**root, "$defs": dict.fromkeys(unit_schemas(), True)}


def _chosen(name: str, strategy_type: type[Strategy]) -> Schema:
    params = schema(strategy_type)
    needs = ["params"] if params["required"] else []
    return {
        "if": _strategy({"use": {"const": name}}, ["use"]),
        "then": _strategy({"params": params}, needs),
    }


def _strategy(properties: Schema, required: list[str]) -> Schema:
    return {"properties": {"strategy": {"properties": properties, "required": required}}, "required": ["strategy"]}
