"""The smallest file and tape that still fail in the same way: what is not needed for it is taken away."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

from msgspec import Struct, structs

from runner.config.origin import Row, text
from runner.config.plugins import place
from runner.config.spec import RunSpec
from runner.config.tree import builtin
from runner.run.fuzz.case import Outcome, Refused, Tape, play_text
from runner.run.fuzz.search import Found
from runner.run.fuzz.witness import Failure
from runner.simulation.scenes import SCENES, Scene

ON_THE_SANDBOX = {"type": "altmarkets", "venue": "sandbox"}
"""Where a case is played whatever the file says; nobody repeats it on an exchange with money."""

Keys = Mapping[str, Any]
Path = tuple[str, ...]


class Small(Struct, frozen=True):
    """`keys` are the file's, without what is not needed; `tries` is how many files were played to find that out."""

    keys: Keys
    tape: Tape
    failure: Failure
    tries: int


def smallest(spec: RunSpec, found: Found) -> Small:
    """Look for one scene that does it alone, take scenes away, then groups of keys, then keys. An interruption ends it
    with what is small by then."""
    keys = _with_params({**builtin(spec.root), "connector": ON_THE_SANDBOX}, found.case.params)
    small = Small(keys, found.case.tape, found.failure, 0)
    try:
        for scenes in _alone(small.tape.scenes):
            before = small
            small = _tried(spec, small, structs.replace(small, tape=structs.replace(small.tape, scenes=scenes)))
            if small.tape is not before.tape:
                break
        number = 0
        while number < len(small.tape.scenes):
            before = small
            for scenes in _fewer(small.tape.scenes, number):
                small = _tried(spec, small, structs.replace(small, tape=structs.replace(small.tape, scenes=scenes)))
                if small.tape is not before.tape:
                    break
            else:
                number += 1
        for path in sorted(_paths({**keys, "connector": {}}), key=len):  # where it is played stays in the file
            lacking = _without(small.keys, path)
            if lacking is not None:
                small = _tried(spec, small, structs.replace(small, keys=lacking))
    except KeyboardInterrupt:
        pass
    return small


def _tried(spec: RunSpec, small: Small, smaller: Small) -> Small:
    """The smaller one if it still fails in the same way."""
    failure = fails(spec, smaller.keys, smaller.tape)
    tries = small.tries + 1
    if failure is None or failure.code != small.failure.code:
        return structs.replace(small, tries=tries)
    return structs.replace(smaller, failure=failure, tries=tries)


def _alone(scenes: Sequence[Scene]) -> Iterator[tuple[Scene, ...]]:
    """No scene at all, and each kind that there is by itself, in the order of its description: what was found may take
    several scenes to bring about what one of another kind is."""
    if scenes:
        yield ()
    if len(scenes) > 1:
        percent = max(scene.percent for scene in scenes)
        yield from ((Scene(kind=kind, percent=percent if kind.startswith("spike") else 0),) for kind in SCENES)


def _fewer(scenes: Sequence[Scene], number: int) -> Iterator[tuple[Scene, ...]]:
    """Without one of them, whose time nobody gets, or the scene behind it: whether a tick falls into that depends."""
    before, gone, after = scenes[:number], scenes[number], scenes[number + 1 :]
    yield (*before, *after)
    if after:
        yield (*before, structs.replace(after[0], seconds=after[0].seconds + gone.seconds), *after[1:])


def fails(spec: RunSpec, keys: Keys, tape: Tape) -> Failure | None:
    """What is wrong with a file; nothing is if it is not one."""
    try:
        outcome = play_text(written(keys, _named(spec, None)), spec.file, tape)
    except Refused:
        return None
    return outcome.failure if isinstance(outcome, Outcome) else None


def written(keys: Keys, use: str) -> str:
    """As YAML. `use`: how the file names the strategy."""
    rows = [
        Row(path, use if path == ("strategy", "use") else value, "") for path, value in _leaves(_without_empty(keys))
    ]
    return text(tuple(rows), with_origin=False) + "\n"


def file_in(folder: FilePath, spec: RunSpec, keys: Keys) -> str:
    """The file as it has to stand in a folder: a strategy in a file is named from there."""
    return written(keys, _named(spec, folder))


def _named(spec: RunSpec, folder: FilePath | None) -> str:
    file = place(spec.strategy_type) if ".py" in spec.settings.strategy else None
    if file is None:
        return spec.settings.strategy
    if folder is None:
        return f"{file}:{spec.strategy_type.__name__}"
    return f"{FilePath(os.path.relpath(file, folder)).as_posix()}:{spec.strategy_type.__name__}"


def _with_params(keys: Keys, params: Keys) -> Keys:
    return {**keys, "strategy": {**keys["strategy"], "params": dict(params)}}


def _paths(keys: Keys, above: Path = ()) -> Iterator[Path]:
    for name, value in keys.items():
        yield (*above, name)
        if isinstance(value, Mapping):
            yield from _paths(value, (*above, name))


def _leaves(keys: Keys, above: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in keys.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, name))
        else:
            yield (*above, name), value


def _without(keys: Keys, path: Sequence[str]) -> Keys | None:
    """None where it is gone already, with a group that it was in."""
    name = path[0]
    if name not in keys:
        return None
    if len(path) == 1:
        return {key: value for key, value in keys.items() if key != name}
    inner = _without(keys[name], path[1:])
    return None if inner is None else {**keys, name: inner}


def _without_empty(keys: Keys) -> Keys:
    """A group of which nothing is left is no group."""
    kept = {name: _without_empty(value) if isinstance(value, Mapping) else value for name, value in keys.items()}
    return {name: value for name, value in kept.items() if value != {}}
