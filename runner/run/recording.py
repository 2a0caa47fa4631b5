"""The records of runs: where they lie, what is written of the code that decided, and how many are kept.

FOLDER OF THE JOURNAL/records/RUN/0001.record …
"""

import hashlib
import platform
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import runner
from runner import __version__
from runner.config.origin import rows, text
from runner.config.plugins import place
from runner.config.spec import RunSpec
from runner.edge.lock import is_held
from runner.edge.places import LOCK_FILE, Environment, state_root
from runner.edge.record_files import parts
from runner.edge.recorder import MEGABYTE
from runner.engine.strategy import Strategy
from runner.simulation.record import Header

RECORDS = "records"
DECIDES = ("engine", "model")
"""Packages of the runner that an output can depend on; the others only carry events in and commands out."""


def header_of(spec: RunSpec, *, run: str, began: int, venue: str) -> Header:
    source = place(spec.strategy_type)
    return Header(
        run=run,
        part=1,
        began=began,
        name=spec.settings.name,
        venue=venue,
        version=__version__,
        python=platform.python_version(),
        platform=platform_name(),
        file=spec.file if spec.file.startswith("<") else str(Path(spec.file).absolute()),
        strategy=spec.settings.strategy,
        source=source or "",
        spec=text(rows(spec), with_origin=False),
        code=code_of(spec.strategy_type),
    )


def platform_name() -> str:
    return f"{platform.system()} {platform.machine()}"


def code_of(strategy_type: type[Strategy]) -> dict[str, str]:
    """A digest of each source file that decides: the engine's, and the strategy's with what was imported beside it."""
    package = Path(runner.__file__).parent
    sources = {
        f"runner/{path.relative_to(package).as_posix()}": path
        for name in DECIDES
        for path in sorted((package / name).rglob("*.py"))
    }
    source = place(strategy_type)
    if source is not None:
        folder = Path(source).parent
        files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        beside = sorted(Path(file) for file in files if file is not None and Path(file).parent == folder)
        sources |= {f"strategy/{path.name}": path for path in beside}
    return {name: digest for name, path in sources.items() if (digest := _digest(path)) is not None}


def _digest(path: Path) -> str | None:
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
    except OSError:  # code without a source to read
        return None


# Places ---------------------------------------------------------------------------------------------------


def record_folder(folder: Path, run: str) -> Path:
    """Where the record of a run lies, beside the journal in `folder`."""
    return folder / RECORDS / run


def records(environment: Environment) -> list[Path]:
    """Folders of the records of all runs in the state folder, oldest first."""
    root = state_root(environment)
    homes = ("accounts/*/*", "sandbox/*", "paper/*")
    found = [folder for home in homes for folder in root.glob(f"{home}/{RECORDS}/*")]
    return sorted((folder for folder in found if folder.is_dir()), key=lambda folder: folder.name)


def located(name: str, environment: Environment) -> Path | None:
    """Where a record is that is named by a file of it, by its folder or that of its journal (then the newest there), or
    by the id of its run; a file is taken as what its name says.
    """
    path = Path(name)
    if path.is_dir() and not parts(path):
        beside = [folder for folder in sorted(path.glob(f"{RECORDS}/*")) if parts(folder)]
        if beside:
            return beside[-1]
    elif path.exists():
        return path
    return next((folder for folder in reversed(records(environment)) if folder.name == name), None)


def prune(environment: Environment, megabytes: int) -> None:
    """Remove the oldest records until the rest takes less than this; those of runs that go on stay."""
    room = megabytes * MEGABYTE
    for record in reversed(records(environment)):
        room -= _size(parts(record))
        if room < 0 and not _at_work(record):
            shutil.rmtree(record, ignore_errors=True)


def _at_work(record: Path) -> bool:
    return is_held(record.parent.parent / LOCK_FILE)


def _size(files: Iterable[Path]) -> int:
    total = 0
    for file in files:
        try:
            total += file.stat().st_size
        except FileNotFoundError:  # removed by another run at this very moment
            continue
    return total
