"""The command line as a whole: help, versions, exit codes, and nothing imported that a command does not need."""

import importlib.util
import platform
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import runner
from runner.cli.exits import Exit
from runner.cli.main import COMMANDS, group


def test_version_names_runner_python_and_file_format() -> None:
    done = CliRunner().invoke(group, ["--version"])
    wanted = f"runner {runner.__version__}, Python {platform.python_version()}, strategy file version 1\n"
    assert (done.exit_code, done.stdout) == (0, wanted)


def test_help_lists_commands_and_exit_codes() -> None:
    done = CliRunner().invoke(group, ["--help"])
    assert done.exit_code == 0
    for name, line in COMMANDS.items():
        assert f"{name} " in done.stdout
        assert line in done.stdout
    for code in Exit:
        assert code.sentence in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_an_example(name: str) -> None:
    assert importlib.util.find_spec(f"runner.cli.{name}") is not None
    done = CliRunner().invoke(group, [name, "--help"])
    assert done.exit_code == 0
    assert f"runner {name}" in done.stdout
    command = group.get_command(click.Context(group), name)
    assert command is not None
    assert command.name == name


@pytest.mark.parametrize("arguments", [["chek"], ["--nope"], ["check"], ["strategies", "a", "b"]])
def test_a_wrong_command_line_exits_2(arguments: list[str]) -> None:
    done = CliRunner().invoke(group, arguments)
    assert done.exit_code == Exit.USAGE
    assert done.stdout == ""
    assert done.stderr


def test_a_misspelt_command_gets_the_nearest_one() -> None:
    assert "write check" in CliRunner().invoke(group, ["chek"]).stderr


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from runner.cli.main import main; sys.argv[1:] = ['--help']\n"
        "try: main()\nfinally: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stderr.split()}
    assert "click" in loaded
    assert not loaded & {"msgspec", "yaml", "jsonschema", "rich", "anyio"}


def test_exit_codes_are_those_of_the_design() -> None:
    assert [int(code) for code in Exit] == list(range(11))
    assert len({code.sentence for code in Exit}) == len(Exit)
