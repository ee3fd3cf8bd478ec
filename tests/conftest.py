"""Fixtures for all tests, and the check that a whole run leaves the machine as it was."""

import contextlib
import os
import signal
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from bench.peer import MissingPeerError
from tests import host_power, leaks, power, skips
from tests.lab import Lab, new_lab, remove_template, running_lab
from tests.oracle import Oracle, running_oracle

LEFT_OUT = pytest.StashKey[list[Path]]()
NEEDS_ROOT = pytest.StashKey[list[str]]()


def pytest_configure() -> None:
    """Mark every process that the tests start, and let it receive ctrl-C.

    The mark identifies an orphan. A shell that starts a command with `&` leaves SIGINT and SIGQUIT
    ignored in it, and every process of the tests would inherit that.
    """
    os.environ[leaks.MARKER] = leaks.RUN_NAME
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `root`, which start containers, if no container can run here."""
    config.stash[LEFT_OUT] = []
    config.stash[NEEDS_ROOT] = []
    host_power.mark(items)
    if host_power.IS_LEFT_OUT:
        marked = [item for item in items if host_power.word_of(item)]
        items[:] = [item for item in items if not host_power.word_of(item)]
        config.stash[NEEDS_ROOT] = list(map(host_power.word_of, marked))
        config.hook.pytest_deselected(items=marked)
    if not power.lacking():
        return
    needs_root = [item for item in items if item.get_closest_marker("root")]
    if needs_root:
        left_out = set(needs_root)
        items[:] = [item for item in items if item not in left_out]
        config.stash[LEFT_OUT] = [item.path for item in needs_root]
        config.hook.pytest_deselected(items=needs_root)


def _judge_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip for which this machine gives no reason into a failure."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = skips.reason_of(report.longrepr)
        if not skips.is_justified(reason):
            report.outcome = "failed"
            report.longrepr = f"skipped for no reason that tests/skips.py accepts here: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test that this machine could run."""
    report = yield
    _judge_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Fail a skipped module that this machine could run."""
    report = yield
    _judge_skip(report)
    return report


def pytest_report_header() -> str:
    """Return one line about the user of this run."""
    if host_power.IS_LEFT_OUT:
        return "labkit: with the engines of an ordinary user"
    if not power.lacking():
        return "labkit: as root, with real containers"
    return "labkit: no container can run here, so the tests marked `root` are left out"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Report at the end which tests were not run, how many, and why."""
    if words := config.stash.get(NEEDS_ROOT, []):
        terminalreporter.section("left out of the run without root")
        for line in host_power.summary(words):
            terminalreporter.write_line(line)
    left_out = config.stash.get(LEFT_OUT, [])
    if not left_out:
        return
    skipped = [
        skips.reason_of(report.longrepr) for report in terminalreporter.stats.get("skipped", [])
    ]
    terminalreporter.section("not run on this machine")
    for line in power.summary(left_out, skipped, power.lacking()):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def machine_as_it_was() -> Iterator[None]:
    """Fail the run if it leaves a mount, cgroup, link, process or file behind."""
    before = leaks.measure()
    if host_power.IS_LEFT_OUT:
        host_power.give_groups()
    yield
    if host_power.IS_LEFT_OUT:
        host_power.take_groups()
    remove_template()
    left = leaks.left_behind(before)
    assert not left, "this run left behind:\n  " + "\n  ".join(left)


@pytest.fixture(scope="session")
def shared_lab() -> Iterator[Lab]:
    """One lab for the whole run; tests take `lab`, which resets it."""
    with running_lab() as lab:
        yield lab


@pytest.fixture
def tmp_path(tmp_path: Path) -> Path:
    """pytest's folder for a test, which the user of an engine without root can use, too."""
    if host_power.IS_LEFT_OUT:
        host_power.open_to_user(tmp_path)
    return tmp_path


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """The run's lab: daemon running, busybox imported, nothing else; emptied after the test."""
    shared_lab.start_daemon()
    yield shared_lab
    shared_lab.start_daemon()
    shared_lab.remove_containers()
    shared_lab.prune()


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    """A real dockerd with the busybox image; one for the whole run."""
    with contextlib.ExitStack() as stack:
        try:
            running = stack.enter_context(running_oracle())
        except MissingPeerError as error:
            pytest.skip(f"needs a dockerd: {error}")
        yield running


@pytest.fixture
def make_lab() -> Iterator[Callable[[], Lab]]:
    """Labs for one test that stops daemons, reads disks, or needs two of them."""
    labs: list[Lab] = []

    def make() -> Lab:
        labs.append(new_lab())
        return labs[-1]

    yield make
    for lab in labs:
        if os.path.exists(lab.folder):
            lab.close()
