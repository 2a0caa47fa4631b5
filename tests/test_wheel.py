"""What a user gets: the wheel, in an environment that holds nothing else, in an empty folder."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import runner

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = ROOT / "constraints.txt"


def call(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", folder, cwd=folder)
    call(folder / "bin" / "python", "-m", "pip", "install", "--quiet", "-c", CONSTRAINTS, wheel, cwd=folder)
    return folder


def test_versions_are_pinned_and_fit() -> None:
    lines = [line for line in CONSTRAINTS.read_text().splitlines() if line and not line.startswith("#")]
    pinned = {}
    for line in lines:
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][0-9A-Za-z.]*)", line)
        assert match, f"{line!r} does not name one exact version"
        pinned[canonicalize_name(match[1])] = match[2]
    wanted = [*PROJECT["dependencies"], *(one for extra in PROJECT["optional-dependencies"].values() for one in extra)]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["version"] == runner.__version__
    assert f"## [{runner.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_the_wheel_holds_the_product_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert tops == {"runner", "strategies", f"altmarkets_runner-{runner.__version__}.dist-info"}
    sources = {
        path.relative_to(ROOT).as_posix() for top in ("runner", "strategies") for path in (ROOT / top).rglob("*.py")
    }
    assert sources <= set(names)
    assert {"runner/py.typed", "runner/schemas/strategy.schema.json", "strategies/quickstart.yml"} <= set(names)
    assert {f"strategies/overlays/{name}.yml" for name in ("btcusdt", "ethusdt", "paper")} <= set(names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)


@pytest.mark.slow
def test_the_installed_quickstart_is_in_order_and_trades(environment: Path, tmp_path: Path) -> None:
    program = environment / "bin" / "runner"
    where = "import strategies, pathlib; print(pathlib.Path(strategies.__file__).parent)"
    strategies = Path(call(environment / "bin" / "python", "-I", "-c", where, cwd=tmp_path).strip())
    assert environment in strategies.parents
    assert runner.__version__ in call(program, "--version", cwd=tmp_path)
    assert json.loads(call(program, "check", "--json", strategies / "quickstart.yml", cwd=tmp_path))["ok"]
    told = call(program, "run", strategies / "quickstart.yml", "--for", "5s", "--json", cwd=tmp_path)
    summary = json.loads(told.splitlines()[-1])
    assert summary["stopped_by"] == "time"
    assert summary["orders"]["placed"] > 0
    assert summary["open_orders_left"] == 0
    assert list(tmp_path.iterdir()) == []


def test_every_entry_point_can_be_loaded() -> None:
    for name in PROJECT["entry-points"]["runner.strategies"]:
        (entry,) = importlib.metadata.entry_points(group="runner.strategies", name=name)
        assert entry.load()
