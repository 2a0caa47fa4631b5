"""Strategies are found, and one that cannot be used is told with a position, a file and a line, and no traceback."""

import sys
from pathlib import Path

import pytest
from config_files import STRATEGY, changed, problems, result, spec

from runner.config.plugins import BadPlugin, installed, load, load_all
from runner.config.problems import Problem
from runner.config.spec import RunSpec


def problem_with(source: str, tmp_path: Path, name: str = "Mine") -> Problem:
    """The only problem of the good file when its strategy is in this source."""
    (tmp_path / "mine.py").write_text(source)
    (found,) = problems(changed(("./spread.py:Spread", f"./mine.py:{name}")), tmp_path)
    assert (found.line, "\n" in found.message) in {(9, False), (10, False)}
    return found


HEAD = """\
from typing import Annotated
from runner.engine.strategy import Decision, Field, Strategy
from runner.model.units import *
"""
BODY = """
class Mine(Strategy, frozen=True):
    half_spread: Ratio
    quantity: BaseAmount
    levels: int = 1
    def slots(self): return ["a"]
    def tick(self, view, state): ...
"""


def test_a_file_beside_the_yaml_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(HEAD + BODY)
    found = spec(changed(("./spread.py:Spread", "./mine.py:Mine")), tmp_path)
    assert found.strategy_type.__name__ == "Mine"
    assert sys.modules[found.strategy_type.__module__].__file__ == str(tmp_path / "mine.py")


def test_two_files_of_one_name_are_two_modules(tmp_path: Path) -> None:
    kinds = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "mine.py").write_text(HEAD + BODY)
        kinds.append(spec(changed(("./spread.py:Spread", "./mine.py:Mine")), folder).strategy_type)
    assert kinds[0] is not kinds[1]
    assert kinds[0].__module__ != kinds[1].__module__


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("x = 1\ny = 1 / 0\n", "ZeroDivisionError: division by zero (mine.py:2)"),
        ("import nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere_to_be_found' (mine.py:1)"),
        ("def broken(:\n", "SyntaxError: invalid syntax (mine.py:1)"),
        ("import sys\nsys.exit('bye')\n", "SystemExit: bye (mine.py:2)"),
        ("\n\nopen('/nowhere/at/all')\n", "FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/at/all'"),
        (HEAD + "class Mine(Strategy, frozen=True):\n    a: int = 1\n    b: int\n", "TypeError: Required field"),
    ],
)
def test_a_file_that_does_not_import(source: str, told: str, tmp_path: Path) -> None:
    found = problem_with(source, tmp_path)
    assert (found.line, found.column, found.code) == (9, 8, "strategy.import")
    assert told in found.message
    assert "mine.py:" in found.message


CLASS = HEAD + "class Mine(Strategy, frozen=True):"
LATE = "from __future__ import annotations\n" + HEAD


@pytest.mark.parametrize(
    ("source", "told", "fix"),
    [
        ("Mine = 5", "is not a strategy", "make it a class that inherits from"),
        (CLASS + "\n    def slots(self): return ['a']\n", "has no tick", "define tick"),
        (CLASS + " ...\n", "has no slots and no tick", "define slots and tick"),
        (HEAD + BODY.replace("=True", "=False"), "is not frozen", "write class Mine(Strategy, frozen=True)"),
        (HEAD + BODY.replace("int = 1", "object = 1"), "Mine.levels: object cannot", "use the types that"),
        (LATE + BODY.replace("Ratio", "Nowhere"), "name 'Nowhere' is not defined", "use the types that"),
    ],
)
def test_a_class_that_is_no_strategy(source: str, told: str, fix: str, tmp_path: Path) -> None:
    found = problem_with(source, tmp_path)
    assert found.code == "strategy.type"
    assert told in found.message
    assert fix in found.fix


@pytest.mark.parametrize(
    ("slots", "told"),
    [
        ("[]", "declares no slot"),
        ("['a', 'a']", "declares slot `a` twice"),
        ("['Ask']", "slot `Ask` of Mine cannot name an order"),
        ("['a_b']", "slot `a_b` of Mine cannot name an order"),
        ("['thirteen-long']", "slot `thirteen-long` of Mine"),
        ("[1]", "slot `1` of Mine"),
        ("(str(n) for n in iter(int, 1))", "declares more than 1000 slots"),
        ("{}['x']", "Mine.slots() raises KeyError: 'x' (mine.py:9)"),
        ("None", "Mine.slots() raises TypeError"),
    ],
)
def test_slots_have_to_name_orders(slots: str, told: str, tmp_path: Path) -> None:
    found = problem_with(HEAD + BODY.replace('["a"]', slots), tmp_path)
    assert (found.line, found.column, found.path, found.code) == (10, 3, "strategy.params", "strategy.slots")
    assert told in found.message


@pytest.mark.parametrize(
    ("traits", "told"),
    [
        ("self.nothing", "Mine.traits() raises AttributeError"),
        ("None", "Mine.traits() returns `None`"),
        ("Traits(quantity=Trait(float('nan'), ('quantity',)))", "Mine.traits() returns `Traits("),
        ("Traits(round_trip=Trait('1%', ('half_spread',)))", "Mine.traits() returns `Traits("),
        ("Traits(refresh=Refresh(2, 0, ('quantity',)))", "Mine.traits() returns `Traits("),
        ("Traits(quantity=Trait(1.0, ()))", "Mine.traits() returns `Traits("),
    ],
)
def test_traits_are_finite_numbers_of_parameters(traits: str, told: str, tmp_path: Path) -> None:
    source = f"from runner.engine.strategy import *\n{HEAD}{BODY}\n    def traits(self):\n        return {traits}\n"
    found = problem_with(source, tmp_path)
    assert (found.line, found.column, found.code) == (10, 3, "strategy.traits")
    assert found.message.startswith(told)


def test_what_the_class_itself_refuses_is_told(tmp_path: Path) -> None:
    refuses = "\n    def __post_init__(self):\n        {}\n"
    found = problem_with(
        HEAD + BODY + refuses.format("raise ValueError('levels and quantity do not go together')"), tmp_path
    )
    assert found.message == "Mine refuses these parameters: levels and quantity do not go together"


def test_a_mistake_in_post_init_is_told_with_its_line(tmp_path: Path) -> None:
    found = problem_with(HEAD + BODY + "\n    def __post_init__(self):\n        self.nothing.more\n", tmp_path)
    assert found.code == "strategy.params"
    assert "AttributeError" in found.message
    assert "(mine.py:13)" in found.message


def test_what_a_plugin_prints_does_not_reach_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "loud.py").write_text("print('hello')\n" + STRATEGY)
    assert isinstance(result(changed(("./spread.py:Spread", "./loud.py:Spread")), tmp_path), RunSpec)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "hello\n")


@pytest.mark.parametrize(
    "use", ["./nowhere.py:Mine", "../x/nowhere.py:Mine", ".:Mine", "mine.py", "./mine.py:", "a/b", "x.py:a.b"]
)
def test_what_names_no_class_in_a_file(use: str, tmp_path: Path) -> None:
    with pytest.raises(BadPlugin) as caught:
        load(use, tmp_path)
    assert caught.value.code == "strategy.unknown"


def test_a_folder_is_no_strategy(tmp_path: Path) -> None:
    (tmp_path / "mine.py").mkdir()
    with pytest.raises(BadPlugin, match=r"there is no file mine\.py"):
        load("mine.py:Mine", tmp_path)


def test_the_bundled_strategies_are_installed_like_any_other() -> None:
    found, bad = load_all(bundled=True)
    assert not bad
    assert "pure_market_making" in found
    assert set(found) <= set(installed())


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(BadPlugin) as caught:
        load("pure-market-makeing", Path())
    assert caught.value.fix == "write pure_market_making"
