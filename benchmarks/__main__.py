"""`python -m benchmarks [module ...]`: run the benchmark modules named, or all of them.

A module of this package that has `figures()` is a benchmark; each figure it yields is one line of JSON on stdout.
`value` is meant to be at least `budget` where the unit is a rate (`.../s`), and at most the budget otherwise.
"""

import importlib
import json
import pkgutil
import sys
from collections.abc import Iterable, Iterator

import benchmarks


def names() -> list[str]:
    """All modules of the package but this one; `tape` and the like, which have no figures, are passed over later."""
    return sorted(info.name for info in pkgutil.iter_modules(benchmarks.__path__) if not info.name.startswith("_"))


def lines(wanted: Iterable[str]) -> Iterator[str]:
    for name in wanted:
        module = importlib.import_module(f"benchmarks.{name}")
        for figure in module.figures() if hasattr(module, "figures") else ():
            yield json.dumps(figure)


def main() -> int:
    unknown = sorted(set(sys.argv[1:]) - set(names()))
    if unknown:
        print(f"no benchmark named {', '.join(unknown)}; there are: {', '.join(names())}", file=sys.stderr)
        return 2
    for line in lines(sys.argv[1:] or names()):
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
