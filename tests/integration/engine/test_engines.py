"""Three engines on one machine, each with a data root: none takes another's for its own."""

import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests import leaks
from tests.api import TIMEOUT_S, run
from tests.lab import PROJECT, Lab
from tests.sweep import sweep

pytestmark = pytest.mark.root

PORTS = ("18181", "18182", "18183")


@pytest.fixture
def engines():
    labs = [Lab(named_by_root=True) for _ in PORTS]
    try:
        for lab in labs:
            lab.start_daemon()
        yield labs
    finally:
        for lab in labs:
            lab.close()


def serve(lab: Lab, port: str) -> str:
    """A container that answers on a port of the host, on a network of its own."""
    lab.cli("network", "create", "web", check=True)
    command = "echo $0 > /index.html; exec httpd -f -p 80"
    return run(
        lab,
        *("sh", "-c", command, port),
        HostConfig={
            "NetworkMode": "web",
            "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]},
        },
    )


def answer(port: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=TIMEOUT_S) as page:
        return page.read().decode().strip()


def state(lab: Lab, container_id: str) -> tuple[str, int]:
    _, shown = lab.api("GET", f"/containers/{container_id}/json")
    return shown["State"]["Status"], shown["State"]["Pid"]


def test_names_of_three_engines_differ(engines):
    assert len({lab.cgroup_parent for lab in engines}) == 3
    assert len({lab.link_prefix for lab in engines}) == 3


def test_restarts_and_crashes_of_each_leave_the_others_alone(engines):
    served = [serve(lab, port) for lab, port in zip(engines, PORTS, strict=True)]
    running = [state(lab, one) for lab, one in zip(engines, served, strict=True)]
    assert [status for status, _ in running] == ["running"] * 3

    def check(after: str) -> None:
        for lab in engines:
            lab.start_daemon()
        found = [state(lab, one) for lab, one in zip(engines, served, strict=True)]
        assert found == running, after
        assert [answer(port) for port in PORTS] == list(PORTS), after

    check("their start")
    for lab in engines:
        lab.stop_daemon()
        check("a restart")
        lab.kill_daemon()
        check("a crash")
    for lab in engines:
        lab.kill_daemon()
    check("a crash of all")
    # One that ends with nothing running leaves the others' links, rules and groups.
    first, *others = engines
    first.remove_containers()
    first.stop_daemon()
    assert not [name for name in os.listdir("/sys/class/net") if name.startswith(first.link_prefix)]
    for lab in others:
        lab.kill_daemon()
    for lab, one, port, before in list(zip(engines, served, PORTS, running, strict=True))[1:]:
        lab.start_daemon()
        assert (state(lab, one), answer(port)) == (before, port)


def second_daemon(lab: Lab, root: str, run_folder: str, *through: str) -> str:
    """What a further daemon says that is refused."""
    command = [sys.executable, "-m", "labkit.daemon", "--root", root, "--run", run_folder]
    with subprocess.Popen(
        [*through, *command], env=lab.env, cwd=PROJECT, stderr=subprocess.PIPE, text=True
    ) as daemon:
        _, said = daemon.communicate(timeout=TIMEOUT_S)
    assert daemon.returncode == 1, said
    assert said.count("\n") == 1, said
    return said


@pytest.fixture
def lab():
    one = Lab(named_by_root=True)
    one.start_daemon()
    yield one
    one.close()


def test_two_daemons_for_one_root_are_refused(lab):
    refusal = f"labkitd already runs, pid {lab.daemon_pid()}"
    link, bound = Path(lab.folder, "link"), Path(lab.folder, "bound")
    link.symlink_to(lab.root)
    bound.mkdir()
    other = f"{lab.folder}/other-run"
    bind = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"')
    assert refusal in second_daemon(lab, lab.root, lab.run)
    assert refusal in second_daemon(lab, lab.root, other)
    assert refusal in second_daemon(lab, str(link), other)
    assert refusal in second_daemon(lab, str(bound), other, *bind, lab.root, str(bound))
    assert lab.answers()


def test_the_run_folder_of_running_containers_is_no_other_daemons(lab):
    container_id = run(lab, "sleep", "100")
    pid = state(lab, container_id)
    lab.stop_daemon()
    said = second_daemon(lab, lab.root, f"{lab.folder}/other-run")
    assert f"run with the run folder {lab.run}: start labkitd with --run {lab.run}" in said
    said = second_daemon(lab, f"{lab.folder}/other-root", lab.run)
    assert f"belongs to the engine with the data root {lab.root}" in said
    lab.start_daemon()
    assert state(lab, container_id) == pid


def test_a_daemon_that_ends_with_nothing_running_leaves_no_group(lab):
    def groups() -> list[str]:
        return [str(path) for path in Path("/sys/fs/cgroup").rglob(lab.cgroup_parent)]

    container_id = run(lab, "sleep", "100")
    lab.stop_daemon()
    assert groups(), "the container has them"
    lab.start_daemon()
    lab.api("DELETE", f"/containers/{container_id}?force=1")
    lab.stop_daemon()
    assert groups() == []


def test_an_engine_with_a_copy_of_a_data_root_takes_nothing_of_the_first(lab):
    served = serve(lab, PORTS[0])
    before = state(lab, served)
    copy = Lab(named_by_root=True)
    try:
        shutil.rmtree(copy.root)
        subprocess.run(["cp", "-a", lab.root, copy.root], check=True)
        copy.start_daemon()
        assert (
            copy.cli("network", "inspect", "web").stdout
            != lab.cli("network", "inspect", "web").stdout
        )
        copy.remove_containers()
        copy.cli("network", "rm", "web", check=True)
        copy.stop_daemon()
        assert (state(lab, served), answer(PORTS[0])) == (before, PORTS[0])
    finally:
        copy.close()


def test_make_clean_after_a_crash_leaves_nothing(tmp_path):
    lab = Lab(named_by_root=True)
    try:
        lab.start_daemon()
        run(lab, "sleep", "1000", HostConfig={"NetworkMode": "bridge"})
        lab.kill_daemon()
        clean(lab, tmp_path)
        assert not os.path.exists(lab.root)
        assert not [name for name in os.listdir("/sys/class/net") if lab.link_prefix in name]
        tables = subprocess.check_output(["nft", "list", "tables"], text=True)
        assert lab.link_prefix not in tables
        assert not list(Path("/sys/fs/cgroup").rglob(lab.cgroup_parent))
        assert lab.folder not in "".join(leaks.processes().values())
    finally:
        sweep(lab.folder, lab.cgroup_parent, lab.link_prefix)


def clean(lab: Lab, scratch: Path) -> None:
    """`make clean` of a project, an environment and a command that are this test's own."""
    shutil.copytree(f"{PROJECT}/vagrant", scratch / "project/vagrant")
    python, command = scratch / "venv/bin/python", scratch / "bin/labkit"
    for path, words in ((python, ""), (command, "-m labkit.cli")):
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\nPYTHONPATH={PROJECT} exec {sys.executable} {words} "$@"\n')
        path.chmod(0o755)
    groups = Path("/etc/group").read_text().splitlines(keepends=True)
    (scratch / "group").write_text("".join(g for g in groups if not g.startswith("labkit:")))
    binds = (f"{scratch}/bin /usr/local/bin", f"{scratch}/group /etc/group")
    script = "".join(f"mount --bind {pair} && " for pair in binds)
    script += f"bash {scratch}/project/vagrant/lab.sh clean"
    done = subprocess.run(
        ["unshare", "-m", "--propagation", "private", "sh", "-c", script],
        env=lab.env | {"LABKIT_VENV": f"{scratch}/venv", "LABKIT_STATE": f"{scratch}/state"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
