"""The ring rule: who may import whom, and what has no place inside the fence. Read from the syntax trees."""

import ast
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in ("runner", "strategies")
    for path in sorted((ROOT / package).rglob("*.py"))
}

# What of ours a package may import besides itself; the longest name that fits a module counts.
OURS = {
    "runner": (),
    "runner.engine": ("runner.model*",),
    "runner.simulation": ("runner.model*", "runner.engine.book"),
    "runner.altmarkets": ("runner.model*",),
    "runner.altmarkets.server": ("runner.model*", "runner.simulation*"),
    "runner.report": ("runner.model*",),
    "runner.config": ("runner.model*", "runner.engine.strategy"),
    "runner.edge": ("runner.model*", "runner.altmarkets*", "runner.simulation*"),
    "runner.run": ("runner*", "strategies*"),
    "runner.cli": ("runner.config*", "runner.run*", "runner.model.exits"),
    "strategies": ("runner.model*", "runner.engine.view", "runner.engine.strategy"),
}
OUTSIDE = ("runner.edge", "runner.run", "runner.cli")
THIRD_PARTY_INSIDE = {
    "runner": {"msgspec"},
    "runner.config": {"msgspec", "yaml", "jsonschema"},
    "runner.simulation.kernel": {"msgspec", "numpy", "numba"},
    "strategies": {"msgspec"},
}
# Clocks, chance, files, logs, threads, sockets, and code that is not ours.
BANNED = {
    "asyncio", "concurrent", "fcntl", "importlib", "io", "logging", "multiprocessing", "os", "queue", "random", "sched",
    "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "subprocess", "tempfile", "threading",
    "time", "uuid",
}  # fmt: skip
LOADERS = {"runner.config.plugins"}  # the only importer of users' code
BANNED_CALLS = {"__import__", "eval", "exec", "input", "open", "print"}
BANNED_METHODS = {"now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes"}


def breaches(module: str, source: str) -> Iterator[str]:
    tree = ast.parse(source)
    package = module if module.startswith("strategies") else ".".join(module.split(".")[:2])
    may_import = (*_of(OURS, module), package, f"{package}.*", "runner")
    inside = not module.startswith(OUTSIDE)
    for node in ast.walk(tree):
        for name in _imported(node, module):
            top = name.split(".")[0]
            if top in {"runner", "strategies"}:
                if not any(fnmatch(name, pattern) for pattern in may_import):
                    yield f"{module}:{node.lineno} may not import {name}"
            elif inside and top in BANNED and not (top == "importlib" and module in LOADERS):
                yield f"{module}:{node.lineno} imports {name} inside the fence"
            elif inside and top not in sys.stdlib_module_names and top not in _of(THIRD_PARTY_INSIDE, module):
                yield f"{module}:{node.lineno} imports {name}, which is not for inside the fence"
        if inside and (what := _banned(node)):
            yield f"{module}:{getattr(node, 'lineno', '')} uses {what} inside the fence"


def _imported(node: ast.AST, module: str) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            yield from (alias.name for alias in names)
        case ast.ImportFrom(module=origin, names=names, level=level):
            parents = module.split(".")[: -level or None] if level else []
            base = ".".join([*parents, *([origin] if origin else [])])
            yield from (full if (full := f"{base}.{alias.name}") in MODULES else base for alias in names)


def _banned(node: ast.AST) -> str | None:
    match node:
        case ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith() | ast.Await() | ast.comprehension(is_async=1):
            return "async"
        case ast.Name(id=name, ctx=ast.Load()) if name in BANNED_CALLS:
            return name
        case ast.Call(func=ast.Attribute(attr=name)) if name in BANNED_METHODS:
            return f".{name}()"
        case ast.Attribute(attr=name, value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime" | "date")):
            return f"datetime.{name}" if name in BANNED_METHODS else None
    return None


def _of(table: dict[str, Any], module: str) -> Any:
    return table[max((name for name in table if f"{module}.".startswith(f"{name}.")), key=len)]


@pytest.mark.parametrize("module", MODULES)
def test_every_module_keeps_to_its_ring(module: str) -> None:
    assert list(breaches(module, MODULES[module].read_text())) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("runner.model.order", "from runner.engine.book import Book"),
        ("runner.model.order", "if TYPE_CHECKING:\n    import runner.engine"),
        ("runner.engine.core", "from runner import altmarkets"),
        ("runner.engine.core", "from ..altmarkets import rest"),
        ("runner.engine.core", "from runner.simulation.dice import Dice"),
        ("runner.simulation.crowd", "from runner.engine.core import Engine"),
        ("runner.altmarkets.stream", "from runner.simulation.exchange import Exchange"),
        ("runner.config.read", "from runner.engine import core"),
        ("runner.edge.rest", "def f():\n    from runner.engine.core import Engine"),
        ("runner.cli.run", "from runner.edge.journal import Journal"),
        ("runner.brandnew.thing", "from runner.model import order"),
        ("strategies.mine", "from runner.engine.core import Engine"),
        ("strategies.mine", "import numpy"),
        ("runner.engine.core", "import yaml"),
        ("runner.engine.core", "import time"),
        ("runner.engine.core", "from random import Random"),
        ("runner.engine.core", "import uuid"),
        ("runner.engine.core", "import logging"),
        ("runner.engine.core", "import structlog"),
        ("runner.engine.core", "import anyio"),
        ("runner.config.read", "import importlib.util"),
        ("runner.report.page", "async def f() -> None: ..."),
        ("runner.report.page", "[x async for x in y]"),
        ("runner.report.page", "open('page')"),
        ("runner.report.page", "Path('page').write_text('')"),
        ("runner.report.page", "datetime.now(UTC)"),
        ("runner.report.page", "field(default_factory=datetime.datetime.now)"),
    ],
)
def test_a_breach_is_found(module: str, source: str) -> None:
    assert list(breaches(module, source))


def test_what_is_allowed_is_not_a_breach() -> None:
    assert not list(breaches("runner.simulation.kernel", "import numba\nfrom runner.engine.book import Book"))
    assert not list(breaches("runner.altmarkets.server", "from runner.simulation import exchange"))
    assert not list(breaches("runner.config.plugins", "import importlib.metadata"))
    assert not list(breaches("runner.edge.clock", "import time, anyio\nfrom runner import __version__\nopen('x')"))
    assert not list(breaches("runner.engine.core", "from runner.engine import book\nfrom .book import Book"))


def test_most_of_the_runner_is_inside_the_fence() -> None:
    inside = outside = 0
    for module, path in MODULES.items():
        if module.startswith("runner"):
            lines = sum(1 for line in path.read_text().splitlines() if line.strip())
            inside, outside = (inside, outside + lines) if module.startswith(OUTSIDE) else (inside + lines, outside)
    assert inside / (inside + outside) >= 0.6
