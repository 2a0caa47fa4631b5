"""Find strategies: installed ones by name, others by file and class. The only importer of user code.

An installed strategy is an entry point of the group `runner.strategies`, bundled or not. A file is named relative to
the YAML file: `./mine.py:MyStrategy`.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import itertools
import math
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from runner.config.problems import nearest, one_of, shown
from runner.engine.strategy import Demand, Strategy, Traits
from runner.model.ids import FLATTEN, valid_slot
from runner.model.order import Side
from runner.model.parameters import parameters
from runner.model.units import DURATION_MAX

GROUP = "runner.strategies"
SLOTS_MAX = 1000
NUMBER_MAX = 1e18  # as a file may write one

Strategies = dict[str, type[Strategy]]
"""By the name that a file uses."""


class BadPlugin(Exception):
    """A strategy that cannot be used: what is wrong with it, and what to do."""

    def __init__(self, code: str, what: str, fix: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what
        self.fix = fix


def installed() -> dict[str, EntryPoint]:
    """Every installed strategy by the name that a file uses."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def load(use: str, folder: Path) -> type[Strategy]:
    """The strategy that `strategy.use` names; a file is looked for from `folder` on. Raises BadPlugin."""
    found = _from_file(use, folder) if ".py" in use or "/" in use else _from_entry_point(use)
    return _checked(use, found)


def load_all(bundled: bool = False) -> tuple[Strategies, list[BadPlugin]]:
    """Every installed strategy, or only our own, by name; beside it what keeps the others from being loaded."""
    found: Strategies = {}
    bad: list[BadPlugin] = []
    for name, entry in installed().items():
        if bundled and entry.module.partition(".")[0] != "strategies":
            continue
        try:
            found[name] = load(name, Path())
        except BadPlugin as error:
            bad.append(error)
    return found, bad


def demands(strategy: Strategy, markets: Sequence[str]) -> tuple[Demand, ...] | None:
    """What the strategy says that it may order at once; None where it does not say. Raises BadPlugin if it cannot."""
    kind = type(strategy)
    try:
        with _quiet():
            found: object = strategy.demands()
            listed = None if found is None else tuple(itertools.islice(iter(found), SLOTS_MAX + 1))  # type: ignore[call-overload]
    except Exception as error:  # whatever a plugin raises is to be told, not to be handled
        what = f"{kind.__name__}.demands() raises {_raised(error, _file_of(kind))}"
        raise BadPlugin("strategy.demands", what, "correct the strategy") from error
    for each in listed or ():
        if not isinstance(each, Demand) or not _sound_demand(each, markets):
            fix = "return a list of runner.engine.strategy.Demand with finite numbers and markets of the file, or None"
            raise BadPlugin("strategy.demands", f"{kind.__name__}.demands() returns {shown(each)}", fix)
    return listed


def _sound_demand(demand: Demand, markets: Sequence[str]) -> bool:
    """Whether a plugin, which nobody type-checks, put numbers where numbers belong."""
    numbers = (demand.quantity, 0 if demand.price_max is None else demand.price_max)
    return (
        isinstance(demand.side, Side)
        and isinstance(demand.orders, int)
        and 0 <= demand.orders <= SLOTS_MAX
        and all(isinstance(number, int | float) and 0 <= number < NUMBER_MAX for number in numbers)
        and (demand.every is None or (isinstance(demand.every, int) and 0 < demand.every <= DURATION_MAX))
        and (demand.market is None or demand.market in markets)
    )


def check_slots(strategy: Strategy) -> None:
    """Raises BadPlugin unless the strategy's slots can name orders (orders.md rule 1)."""
    kind = type(strategy)
    try:
        with _quiet():
            slots = list(itertools.islice(strategy.slots(), SLOTS_MAX + 1))
    except Exception as error:  # whatever a plugin raises is to be told, not to be handled
        raise BadPlugin(
            "strategy.slots", f"{kind.__name__}.slots() raises {_raised(error, _file_of(kind))}", "correct the strategy"
        ) from error
    fix = "correct `slots` of the strategy: different texts of one to twelve of a-z, 0-9 and dash"
    if not slots:
        raise BadPlugin("strategy.slots", f"{kind.__name__} declares no slot, so it could never place an order", fix)
    if len(slots) > SLOTS_MAX:
        raise BadPlugin(
            "strategy.slots", f"{kind.__name__} declares more than {SLOTS_MAX} slots", "ask for fewer orders"
        )
    seen: set[str] = set()
    for slot in slots:
        if not isinstance(slot, str) or not valid_slot(slot):
            raise BadPlugin("strategy.slots", f"slot {shown(slot)} of {kind.__name__} cannot name an order", fix)
        if slot == FLATTEN:
            what = f"slot {shown(slot)} of {kind.__name__} is the runner's own, for getting out of a position"
            raise BadPlugin("strategy.slots", what, "give the slot another name")
        if slot in seen:
            raise BadPlugin("strategy.slots", f"{kind.__name__} declares slot {shown(slot)} twice", fix)
        seen.add(slot)


def traits(strategy: Strategy) -> Traits:
    """What the strategy says of itself. Raises BadPlugin if it cannot."""
    kind = type(strategy)
    try:
        with _quiet():
            found: object = strategy.traits()
    except Exception as error:  # whatever a plugin raises is to be told, not to be handled
        what = f"{kind.__name__}.traits() raises {_raised(error, _file_of(kind))}"
        raise BadPlugin("strategy.traits", what, "correct the strategy") from error
    if isinstance(found, Traits) and _sound(found):
        return found
    what = f"{kind.__name__}.traits() returns {shown(found)}"
    raise BadPlugin("strategy.traits", what, "return runner.engine.strategy.Traits with finite numbers")


def place(strategy_type: type[Strategy]) -> str | None:
    """The file that a strategy is defined in."""
    return _file_of(strategy_type)


def raised_by(strategy_type: type[Strategy], error: BaseException) -> str:
    """For an error out of the strategy's own code, as it was built from its parameters."""
    return _raised(error, _file_of(strategy_type))


# Finding --------------------------------------------------------------------------------------------------


def _from_entry_point(name: str) -> object:
    known = installed()
    if name not in known:
        what = f"strategy {shown(name)} is not installed"
        near = nearest(name, known)
        fix = f"write {near}" if near else f"{one_of(name, known)}, or a class in a file: ./mine.py:MyStrategy"
        raise BadPlugin("strategy.unknown", what, fix)
    try:
        with _quiet():
            return known[name].load()
    except (Exception, SystemExit) as error:
        what = f"strategy {shown(name)} does not import: {_raised(error)}"
        raise BadPlugin(
            "strategy.import", what, f"install {_distribution(known[name])} again, or correct it"
        ) from error


def _from_file(use: str, folder: Path) -> object:
    file, colon, name = use.rpartition(":")
    if not colon or not file.endswith(".py") or not name.isidentifier():
        fix = "write file and class, as in ./mine.py:MyStrategy"
        raise BadPlugin("strategy.unknown", f"{shown(use)} does not name a class in a file", fix)
    module = _imported(file, folder)
    found = vars(module).get(name)
    if found is None:
        near = one_of(name, [key for key, value in vars(module).items() if _is_own_strategy(value, module)])
        fix = f"{near}, or define {name} in {file}" if near.startswith("write") else f"define class {name} in {file}"
        raise BadPlugin("strategy.unknown", f"{file} has no {shown(name)}", fix)
    return found


def _imported(file: str, folder: Path) -> ModuleType:
    """Run the file as a module of its own; the same file is imported once."""
    path = (folder / file).absolute()
    digest = hashlib.blake2b(bytes(path), digest_size=6).hexdigest()
    name = f"runner_strategy_{path.stem if path.stem.isidentifier() else 'file'}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # typing looks a class's module up by name
    try:
        with _quiet():
            spec.loader.exec_module(module)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        del sys.modules[name]
        if error.filename is not None and Path(error.filename) == path:
            fix = f"name a file relative to {folder}" if str(folder) != "." else "name a file that exists"
            raise BadPlugin("strategy.unknown", f"there is no file {file}", fix) from error
        raise _does_not_import(file, path, error) from error
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _does_not_import(file, path, error) from error
    return module


def _does_not_import(file: str, path: Path, error: BaseException) -> BadPlugin:
    return BadPlugin("strategy.import", f"{file} does not import: {_raised(error, str(path))}", f"correct {file}")


def _checked(use: str, found: object) -> type[Strategy]:
    if not isinstance(found, type) or not issubclass(found, Strategy) or found is Strategy:
        fix = "make it a class that inherits from runner.engine.strategy.Strategy"
        raise BadPlugin("strategy.type", f"{shown(use)} is not a strategy", fix)
    missing = [name for name in ("slots", "tick") if getattr(found, name) is getattr(Strategy, name)]
    if missing:
        what = f"{found.__name__} has no {' and no '.join(missing)}"
        raise BadPlugin("strategy.type", what, f"define {' and '.join(missing)}: see runner.engine.strategy")
    if not found.__struct_config__.frozen:
        fix = f"write class {found.__name__}(Strategy, frozen=True)"
        raise BadPlugin("strategy.type", f"{found.__name__} is not frozen: a tick could change its parameters", fix)
    try:
        parameters(found)
    except Exception as error:
        what = f"parameters of {found.__name__}: {error}"
        raise BadPlugin("strategy.type", what, "use the types that runner.model.parameters lists") from error
    return found


def _sound(found: Traits) -> bool:
    """Whether a plugin, which nobody type-checks, put numbers where numbers belong."""
    traits = [trait for trait in (found.round_trip, found.quantity) if trait is not None]
    refresh = found.refresh
    return (
        all(isinstance(trait.value, int | float) and math.isfinite(trait.value) for trait in traits)
        and (refresh is None or (isinstance(refresh.orders, int) and 0 < refresh.every <= DURATION_MAX))
        and all(each.parameters for each in (*traits, refresh) if each is not None)
    )


def _is_own_strategy(value: object, module: ModuleType) -> bool:
    return isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__


# Telling --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What user code prints goes to stderr: stdout carries results only."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _raised(error: BaseException, file: str | None = None) -> str:
    """Kind, words and place of an error, in one line: the last place in `file` if it was there at all."""
    said = " ".join(str(error).split()) or "without a word"
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({Path(error.filename or '?').name}:{error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen")]
    own = [frame for frame in frames if file is not None and frame.filename == file] or frames
    place = f" ({Path(own[-1].filename).name}:{own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {said}{place}"


def _file_of(kind: type) -> str | None:
    return getattr(sys.modules.get(kind.__module__), "__file__", None)


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value
