"""The experiment, the panel and their containers, on a real engine: what is measured, and what is
left behind however it ends."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.client import Client
from labkit.course.limits.cpu_files import CpuFiles
from labkit.course.page.crew import BUSY, Crew
from labkit.course.page.owners import LABEL
from labkit.course.limits import cpu_shares, top
from labkit.course.limits.cpu_run import quietest_cpu
from labkit.course.limits.shares_panel import SharesPanel
from labkit.errors import LabkitError
from tests.lab import PROJECT, Lab
from tests.notebooks.browser import wait_for

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("client")]


def left(client: Client) -> list[Any]:
    return client.containers.list(all=True)


def test_two_to_one(client: Client) -> None:
    result = cpu_shares(seconds=3)
    assert result.holds, result
    assert result.ratio == pytest.approx(2, rel=0.05)
    assert [one.command for one in result.host] == ["md5sum", "md5sum"]
    shown, counted = result.host[0].percent, 100 * result.cpu_s[0] / result.seconds
    assert shown == pytest.approx(counted, rel=0.1), "top and the cgroup count the same time"
    assert left(client) == []


def test_any_number_of_weights() -> None:
    result = cpu_shares(weights=(3072, 2048, 1024), seconds=3)
    assert result.holds, result


def test_on_a_cpu_that_others_want_too() -> None:
    cpu = quietest_cpu()
    rivals = [
        subprocess.Popen(
            [sys.executable, "-c", f"import os; os.sched_setaffinity(0, {{{cpu}}})\nwhile True: 1"]
        )
        for _ in range(2)
    ]
    try:
        result = cpu_shares(seconds=3, cpu=cpu)
    finally:
        for rival in rivals:
            rival.kill()
            rival.wait()
    assert sum(result.cpu_s) < 0.8 * result.seconds, "the rivals got something"
    assert result.holds, result


def test_without_the_step_that_writes_the_shares() -> None:
    result = cpu_shares(seconds=3, without=["cgroup.cpu"])
    assert result.ratio == pytest.approx(1, rel=0.1)
    assert not result.holds


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C interrupts, also in the background of a script, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_leaves_nothing_behind(client: Client) -> None:
    interrupt = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        cpu_shares(seconds=30)
    assert left(client) == []


def test_containers_end_by_themselves(client: Client) -> None:
    """As after a `kill -9` of the notebook's kernel, which can remove nothing."""
    Crew(client, "t-lifetime", lifetime_s=1).hire("t-busy", BUSY)
    wait_for(lambda: not left(client), "the container ends and is removed", 15)


def test_an_orphans_containers_are_swept_and_a_neighbours_are_not(client: Client) -> None:
    def start(purpose: str, pid: int, birth: str) -> Any:
        mark = {LABEL: f"{purpose}@{pid}:{birth}#ab"}
        return client.containers.run("busybox", ["sleep", "60"], detach=True, labels=mark)

    with open("/proc/1/stat", encoding="ascii") as file:
        birth_of_first = file.read().rpartition(") ")[2].split()[19]
    start("t-sweep", 1, "123")  # process 1 lives, but was not born then
    neighbours = start("t-sweep", 1, birth_of_first)
    others = start("t-other", 1, "123")
    with Crew(client, "t-sweep", lifetime_s=60):
        assert set(left(client)) == {neighbours, others}
    assert set(left(client)) == {neighbours, others}


def test_a_second_run_replaces_the_first(client: Client) -> None:
    first = Crew(client, "t-again", lifetime_s=60)
    first.hire("t-busy", BUSY)
    second = Crew(client, "t-again", lifetime_s=60)
    assert left(client) == []
    second.dismiss()
    first.dismiss()


def test_the_panel_moves_running_containers(client: Client) -> None:
    panel = SharesPanel(weights=(1024, 1024))
    try:
        panel.watch(2)
        before = panel.files[0].read_weight()
        assert panel.set_shares(0, 3072) == 3 * before == panel.files[0].read_weight()
        panel.watch(3)
        so_far = panel.moments
        panel.watch(1)
        assert panel.moments[: len(so_far)] == so_far != panel.moments
        parts = [moment.parts[0] for moment in panel.moments]
        assert sum(parts[1:4]) / 3 == pytest.approx(0.5, abs=0.06)
        assert sum(parts[-4:]) / 4 == pytest.approx(0.75, abs=0.06)
        assert "25%" in panel.plot().alt
    finally:
        panel.close()
    assert left(client) == []
    panel.close()
    with pytest.raises(LabkitError, match="closed"):
        panel.set_shares(0, 512)


def test_showing_the_panel_again_replaces_the_last(client: Client) -> None:
    first = SharesPanel()
    second = SharesPanel()
    assert first.status.startswith("Stopped")
    assert len(left(client)) == 2
    second.close()
    assert left(client) == []


def test_the_panels_time_runs_out(client: Client) -> None:
    panel = SharesPanel(lifetime_s=1)
    panel.watch(20)
    assert panel.status.startswith("Time is up")
    assert left(client) == []


def test_the_panel_notices_that_a_container_has_ended(client: Client) -> None:
    panel = SharesPanel()
    client.containers.list()[0].remove(force=True)
    panel.watch(20)
    assert panel.status.startswith("A container has ended")
    assert left(client) == []


def test_the_end_of_the_kernel_ends_the_panel(lab: Lab, client: Client) -> None:
    program = "from labkit.course.limits.shares_panel import SharesPanel; panel = SharesPanel()"
    subprocess.run([sys.executable, "-c", program], env=lab.env, cwd=PROJECT, check=True)
    assert left(client) == []


def test_top_shows_containers_as_processes(client: Client) -> None:
    for name, shares in (("t-heavy", 2048), ("t-light", 1024)):
        client.containers.run(
            "busybox",
            ["md5sum", "/dev/zero"],
            name=name,
            detach=True,
            cpu_shares=shares,
            cpuset_cpus="0",
        )
    for _ in range(20):  # a pause of the whole machine falls to the one that ran just then
        table = top(seconds=2)
        assert table.column("container") == ("t-heavy", "t-light")
        assert table.column("command") == ("md5sum", "md5sum")
        heavy, light = (float(percent) for percent in table.column("%CPU (cgroup)"))
        if heavy / light == pytest.approx(2, rel=0.1):
            break
    assert heavy / light == pytest.approx(2, rel=0.1)
    pid = int(table.column("PID")[0])
    assert pid == client.containers.get("t-heavy").attrs["State"]["Pid"]
    assert CpuFiles.of_process(pid).pids() == [pid]


def test_from_a_terminal_and_without_anything_that_plots(lab: Lab) -> None:
    program = (
        "import sys; from labkit.course.experiments import main\n"
        "status = main(['cpu_shares', '--runs', '1', '--seconds', '1', '--weights', '600,300'])\n"
        "heavy = {'matplotlib', 'IPython', 'ipywidgets', 'numpy', 'PIL'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "sys.exit(status)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=lab.env,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = result.stdout.splitlines()
    assert lines[0].startswith("run  1/1  600 : 300 shares on CPU ")
    assert lines[1] in (
        "1 of 1 runs within 5% of the requested values",
        "0 of 1 runs within 5% of the requested values",
    )
    assert lines[2] == "[]"
    assert result.returncode == int(lines[1].startswith("0"))


def test_a_daemon_is_started_when_there_is_none(lab: Lab, client: Client) -> None:
    lab.stop_daemon()
    assert cpu_shares((512,), seconds=0.5).cpu_s[0] > 0
