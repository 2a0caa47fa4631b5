"""The strategy file, read again on SIGHUP: one event for the engine, whatever came of it."""

from collections.abc import Callable

from runner.config.problems import Problem
from runner.config.reload import changes
from runner.config.spec import RunSpec
from runner.model.event import Reconfigured, ReloadRefused
from runner.model.settings import Settings

Reread = Callable[[], RunSpec | tuple[Problem, ...]]
"""Reads the file and all that lies over it exactly as at the start: a file that is right, or what is wrong with it."""


class Reloading:
    """The file that a run goes by. `settings` adds to a file's settings what only the run knows."""

    def __init__(self, spec: RunSpec, reread: Reread, settings: Callable[[RunSpec], Settings]) -> None:
        self._spec = spec
        self._reread = reread
        self._settings = settings

    def again(self) -> Reconfigured | ReloadRefused:
        """Read it again. A file with a problem, or with a change that needs another run, changes nothing."""
        found = self._reread()
        if not isinstance(found, RunSpec):
            return _refused(found)
        differing = changes(self._spec, found)
        if isinstance(differing, tuple):
            return _refused(differing)
        self._spec = found
        return Reconfigured(self._settings(found), differing)


def _refused(problems: tuple[Problem, ...]) -> ReloadRefused:
    return ReloadRefused(tuple(problem.facts() for problem in problems))
