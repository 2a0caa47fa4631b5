"""A folder with a strategy in it, as it lies beside somebody's YAML file."""

from pathlib import Path

import pytest
from config_files import STRATEGY


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("strategies")
    (path / "spread.py").write_text(STRATEGY)
    return path
