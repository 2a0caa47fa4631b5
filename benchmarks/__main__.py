"""`python -m benchmarks [--seeds N] [module ...]`: run the benchmark modules named, or all of them.

A module of this package that has `figures()` is a benchmark; each figure it yields is one line of JSON on stdout.
`value` is meant to be at least `budget` where the unit is a rate (`.../s`), and at most the budget otherwise.
`--seeds` goes to those that run over many: fewer are quicker and say less.
"""

import argparse
import importlib
import inspect
import json
import pkgutil
import sys
from collections.abc import Iterable, Iterator

import benchmarks


def names() -> list[str]:
    """All modules of the package but this one; `tape` and the like, which have no figures, are passed over later."""
    return sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__) if not info.name.startswith("_"))


def lines(wanted: Iterable[str], seeds: int | None = None) -> Iterator[str]:
    for name in wanted:
        module = importlib.import_module(f"benchmarks.{name}")
        if hasattr(module, "figures"):
            takes_seeds = seeds is not None and "seeds" in inspect.signature(module.figures).parameters
            for figure in module.figures(seeds=seeds) if takes_seeds else module.figures():
                yield json.dumps(figure)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--seeds", type=int)
    asked = parser.parse_args()
    unknown = sorted(set(asked.modules) - set(names()))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    for line in lines(asked.modules or names(), asked.seeds):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
