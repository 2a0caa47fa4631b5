"""`runner schema`: what it prints is what is checked in."""

import json
from pathlib import Path

from click.testing import CliRunner

from runner.cli.main import group

ROOT = Path(__file__).parents[2]


def test_the_bundled_schema_is_the_one_that_is_checked_in() -> None:
    done = CliRunner().invoke(group, ["schema", "--bundled"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "schemas" / "strategy.schema.json").read_text()


def test_path_is_where_it_lies() -> None:
    done = CliRunner().invoke(group, ["schema", "--path"])
    assert done.exit_code == 0
    assert json.loads(Path(done.stdout.strip()).read_text())["$schema"].endswith("2020-12/schema")


def test_the_table_of_the_bundled_strategies_is_the_page_that_is_checked_in() -> None:
    done = CliRunner().invoke(group, ["schema", "--table", "--bundled"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == (ROOT / "docs" / "strategy-file.md").read_text(), (
        "print it again: runner schema --table --bundled > docs/strategy-file.md"
    )
