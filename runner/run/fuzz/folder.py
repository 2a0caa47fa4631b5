"""A failure in a folder: the file, the tape, and what was wrong; and the way back from there."""

from pathlib import Path

import msgspec

from runner.config.problems import Problem
from runner.config.spec import RunSpec
from runner.run.fuzz.case import Outcome, Refused, Tape, play_text
from runner.run.fuzz.small import Small, file_in
from runner.simulation.scenes import SCENES

FILE, TAPE, WORDS = "strategy.yml", "tape.json", "failure.txt"


class NotAFailure(Exception):
    """The folder holds nothing that could be repeated. The message says why."""


def write(folder: Path, spec: RunSpec, small: Small, words: str) -> None:
    """Make the folder, or put a newer failure into it. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(file_in(folder.resolve(), spec, small.keys))
    (folder / TAPE).write_bytes(msgspec.json.format(msgspec.json.encode(small.tape), indent=2) + b"\n")
    (folder / WORDS).write_text(words + "\n")


def repeat(folder: Path) -> Outcome | tuple[Problem, ...]:
    """Play what is in a folder; problems where its file is wrong by now. Raises NotAFailure."""
    try:
        text, tape = (folder / FILE).read_bytes(), msgspec.json.decode((folder / TAPE).read_bytes(), type=Tape)
    except OSError as error:
        raise NotAFailure(f"{error.filename}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise NotAFailure(f"{folder / TAPE}: {error}") from error
    strange = [scene.kind for scene in tape.scenes if scene.kind not in SCENES]
    if strange:
        raise NotAFailure(f"{folder / TAPE}: there is no scene {strange[0]!r}; there are {', '.join(SCENES)}")
    try:
        return play_text(text, str(folder / FILE), tape)
    except Refused as refused:
        raise NotAFailure(f"the strategy refuses these parameters by now: {refused}") from refused
