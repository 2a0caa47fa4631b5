"""What every test stands on: nobody's real state or keys, Ctrl-C that works, no deadline on a slow machine."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), print_blob=True)
settings.register_profile("fast", parent=settings.get_profile("default"), max_examples=25, stateful_step_count=25)


def pytest_configure(config: pytest.Config) -> None:
    """The fast part draws fewer examples: it is for every change, the whole suite for every commit."""
    fast = config.option.markexpr == "not slow"
    settings.load_profile("fast" if fast else "ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session", autouse=True)
def _nobodys_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Child processes see it too, which is why it is the environment itself that changes."""
    before = dict(os.environ)
    for variable in before:
        if variable.startswith(("ALTMARKETS_", "RUNNER_", "XDG_")) or variable.endswith("_DIRECTORY"):
            del os.environ[variable]
    os.environ["RUNNER_STATE_DIR"] = str(tmp_path_factory.mktemp("state"))
    for variable in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        os.environ[variable] = str(tmp_path_factory.mktemp(variable.lower()))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session", autouse=True)
def _signals_reach_child_processes() -> None:
    """A shell starts a job in the background with SIGINT ignored, and an ignored signal is inherited by children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # under nohup
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


_TOTAL = "total"


@pytest.fixture
def say_at_the_end(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes one line of what a long test saw, which ends the whole run's output also where workers share the tests."""
    return lambda line: record_property(_TOTAL, line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [each for some in terminalreporter.stats.values() for each in some if isinstance(each, pytest.TestReport)]
    for report in reports:
        for name, line in report.user_properties:
            if name == _TOTAL and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {line}")


_REAL = ("tests/loopback/", "tests/conformance/", "tests/run/test_whole_line", "tests/cli/test_run", "tests/test_wheel")
"""Real processes and real sockets: worth their minutes, but not at every change."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith(_REAL):
            item.add_marker("slow")
    # Files with slow tests come first: one that began last would keep a single worker busy at the end.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two to a core: about half of what the suite takes is waiting for real processes and sockets."""
    return 2 * (os.cpu_count() or 1)
