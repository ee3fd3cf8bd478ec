"""`make lab` where it cannot work: one sentence that says why and what to do, and no change.

Each machine is made of namespaces: another /etc/os-release, a full disk, no network.
"""

import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import leaks

PROJECT = Path(__file__).parents[2]
pytestmark = pytest.mark.root


class Machine:
    """A scratch state and environment folder, and a way to run the scripts with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = os.environ | {
            "LABKIT_VENV": f"{folder}/venv",
            "LABKIT_STATE": f"{folder}/state",
            "LABKIT_ROOT": f"{folder}/root",
            "LABKIT_RUN": f"{folder}/run",
            "LABKIT_CGROUP_PARENT": f"labkit-{leaks.RUN_NAME}-provision",
            "PIP_RETRIES": "1",
        }

    def run(self, *command: str, before: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command in a mount namespace of its own, after the shell commands `before`."""
        script = f'set -e; {before}\nexec "$@"'
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", *command],
            env=self.env,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def provision(self, *steps: str, before: str = "") -> subprocess.CompletedProcess[str]:
        return self.run("bash", "vagrant/provision.sh", *steps, before=before)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def refusal(result: subprocess.CompletedProcess[str]) -> str:
    """The one line a failed run says, without the program's name."""
    assert result.returncode == 1, result
    (line,) = result.stderr.splitlines()
    return line.removeprefix("labkit: ")


def test_not_root(machine: Machine) -> None:
    result = machine.run(
        *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
        *("bash", "vagrant/provision.sh", "lab"),
    )
    assert refusal(result).endswith("try `sudo make lab`")
    assert not (machine.folder / "state").exists()


def test_another_system(machine: Machine) -> None:
    release = machine.folder / "os-release"
    release.write_text('ID=slackware\nVERSION_ID="15.0"\n')
    result = machine.provision("check", before=f"mount --bind {release} /etc/os-release")
    assert "made for Debian 12 and Ubuntu 24.04, this is slackware 15.0" in refusal(result)


def test_ubuntu_is_welcome(machine: Machine) -> None:
    release = machine.folder / "os-release"
    release.write_text('ID=ubuntu\nVERSION_ID="24.04"\n')
    result = machine.provision("check", before=f"mount --bind {release} /etc/os-release")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_no_space(machine: Machine) -> None:
    full = machine.folder / "full"
    full.mkdir()
    machine.env["LABKIT_VENV"] = f"{full}/venv"
    result = machine.provision("python", before=f"mount -t tmpfs -o size=5m tmpfs {full}")
    assert refusal(result) == (
        "the Python environment needs 1000 MB, but only 5 MB are free "
        f"where {full} lies: make room and try again"
    )


def test_no_network(machine: Machine) -> None:
    result = machine.run("unshare", "--net", "bash", "vagrant/provision.sh", "python")
    assert "the network does not reach the package servers" in refusal(result)
    # What was begun does not pass for finished.
    assert not (machine.folder / "venv" / "labkit.stamp").exists()


def test_an_unknown_step(machine: Machine) -> None:
    assert refusal(machine.provision("teleport")) == "there is no step named teleport"


@pytest.fixture
def stranger() -> Iterator[int]:
    """The port of somebody else's server."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_port_in_use(machine: Machine, stranger: int) -> None:
    machine.env["LAB_PORT"] = str(stranger)
    result = machine.run("bash", "vagrant/lab.sh", "start-jupyter")
    assert f"port {stranger} of 127.0.0.1 is in use by another program" in refusal(result)


def test_stop_where_nothing_runs(machine: Machine) -> None:
    result = machine.run("bash", "vagrant/lab.sh", "stop")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_stop_spares_a_process_that_took_the_number(machine: Machine) -> None:
    """A pid file from before a reboot may name somebody else's process."""
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        (machine.folder / "state").mkdir()
        (machine.folder / "state" / "jupyter.pid").write_text(f"{sleeper.pid} 1\n")
        assert machine.run("bash", "vagrant/lab.sh", "stop").returncode == 0
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()
