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

PROJECT = Path(__file__).parents[3]
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
        *("bash", "vagrant/provision.sh", "test"),
    )
    assert refusal(result).endswith("try `sudo make test`")
    assert not (machine.folder / "state").exists()


@pytest.mark.parametrize("way", ["make", "the scripts alone"])
def test_programs_of_the_administrator_are_found_with_the_path_of_su(
    machine: Machine, way: str
) -> None:
    """Debian's plain `su` keeps a user's PATH: `make lab` calls groupadd, the tests call nft."""
    machine.env["PATH"] = "/usr/local/bin:/usr/bin:/bin"
    makefile = machine.folder / "makefile"
    find = "command -v groupadd && command -v nft && command -v losetup"
    makefile.write_text(f"include Makefile\nfind:\n\t@{find}\n")
    scripts = f". vagrant/common.sh && {find}"
    command = ("make", "-f", str(makefile), "find") if way == "make" else ("bash", "-c", scripts)
    result = machine.run(*command)
    assert [line.rpartition("/")[2] for line in result.stdout.split()] == [
        *("groupadd", "nft", "losetup")
    ], result


# os-release(5) as each system has it, and whether labkit goes on, and with whose packages.
KNOWN = ("debian 12", "debian 13", "ubuntu 24.04", "ubuntu 26.04")
RELATIVES = {
    "Linux Mint 22": (
        'ID=linuxmint\nID_LIKE="ubuntu debian"\nVERSION_ID="22"\n'
        "VERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n",
        "ubuntu 24.04",
    ),
    "LMDE 6 (faye)": (
        'ID=linuxmint\nID_LIKE=debian\nVERSION_ID="6"\n'
        "VERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n",
        "debian 12",
    ),
    "Kali GNU/Linux Rolling": (
        'ID=kali\nID_LIKE=debian\nVERSION_ID="2026.2"\nVERSION_CODENAME=kali-rolling\n',
        "debian 13",
    ),
    "Raspberry Pi OS (trixie)": (
        'ID=raspios\nID_LIKE=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n',
        "debian 13",
    ),
    "Debian GNU/Linux forky/sid": ("ID=debian\nVERSION_CODENAME=forky\n", "debian 13"),
    "Ubuntu 25.10": ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="25.10"\n', "ubuntu 26.04"),
}
STRANGERS = {
    "Slackware 15.0": 'ID=slackware\nVERSION_ID="15.0"\n',
    "Fedora Linux 44": 'ID=fedora\nVERSION_ID=44\nVERSION_CODENAME=""\n',
    "openSUSE Leap 16.0": 'ID=opensuse-leap\nID_LIKE="suse opensuse"\nVERSION_ID="16.0"\n',
    "Arch Linux": "ID=arch\n",
}
MADE_FOR = "the lab is made for Debian 12 and 13, Ubuntu 24.04 and 26.04, this is"


def check_on(machine: Machine, name: str, release: str) -> subprocess.CompletedProcess[str]:
    """The check of a machine whose /etc/os-release is this one."""
    path = machine.folder / "os-release"
    path.write_text(f'PRETTY_NAME="{name}"\n{release}')
    return machine.provision("check", before=f"mount --bind {path} /etc/os-release")


@pytest.mark.parametrize("system", KNOWN)
def test_a_system_the_lab_is_made_for(machine: Machine, system: str) -> None:
    identity, version = system.split()
    result = check_on(machine, system, f'ID={identity}\nVERSION_ID="{version}"\n')
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("name", RELATIVES)
def test_a_relative_that_has_the_packages_gets_a_warning(machine: Machine, name: str) -> None:
    release, system = RELATIVES[name]
    result = check_on(machine, name, release)
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr == f"labkit: {MADE_FOR} {name}: going on with the packages of {system}\n"


@pytest.mark.parametrize("name", STRANGERS)
def test_another_system_is_led_to_the_virtual_machine(machine: Machine, name: str) -> None:
    line = refusal(check_on(machine, name, STRANGERS[name]))
    assert line.startswith(f"{MADE_FOR} {name}: `vagrant up`")


@pytest.fixture
def bare_packages(machine: Machine) -> Path:
    """Where the machine's apt looks: nothing is installed, and the folder is its one archive."""
    archive = machine.folder / "archive"
    dpkg = machine.folder / "dpkg"
    lists = machine.folder / "lists"
    for folder in (archive, dpkg, lists):
        folder.mkdir()
    (dpkg / "status").touch()
    (archive / "Packages").touch()
    (machine.folder / "sources.list").write_text(f"deb [trusted=yes] file:{archive} ./\n")
    (machine.folder / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "{machine.folder}/sources.list";\n'
        'Dir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State::lists "{lists}";\n'
        f'Dir::State::status "{dpkg}/status";\n'
        f'Dir::Cache "{machine.folder}";\n'
        'APT::Sandbox::User "root";\n'
    )
    machine.env |= {"APT_CONFIG": f"{machine.folder}/apt.conf", "DPKG_ADMINDIR": str(dpkg)}
    return archive / "Packages"


def test_a_relative_without_the_packages_is_led_to_the_virtual_machine(
    machine: Machine, bare_packages: Path
) -> None:
    release, _ = RELATIVES["Kali GNU/Linux Rolling"]
    line = refusal(check_on(machine, "Kali", release))
    assert line.startswith(f"{MADE_FOR} Kali, and its apt does not know ")
    assert "mmdebstrap" in line
    assert "`vagrant up`" in line
    missing = line.partition("does not know ")[2].partition(":")[0].split()
    fields = "Version: 1\nArchitecture: all\nFilename: ./none.deb\nSize: 1\n"
    bare_packages.write_text("".join(f"Package: {name}\n{fields}\n" for name in missing))
    assert "going on with the packages of debian 13" in check_on(machine, "Kali", release).stderr


def test_an_architecture_without_wheels(machine: Machine) -> None:
    """A 32-bit system on a 64-bit kernel, as many a Raspberry Pi has."""
    dpkg = machine.folder / "dpkg"
    dpkg.write_text("#!/bin/sh\necho armhf\n")
    dpkg.chmod(0o755)
    result = machine.provision("check", before=f"mount --bind {dpkg} /usr/bin/dpkg")
    assert refusal(result) == "the lab is made for amd64 (x86-64) and arm64, this system is armhf"


def test_a_python_without_wheels(machine: Machine) -> None:
    """Every Python that is refused is refused before anything is installed."""
    python = machine.folder / "python3"
    python.write_text("#!/bin/sh\necho 3.10\n")
    python.chmod(0o755)
    result = machine.provision("check", before=f"mount --bind {python} /usr/bin/python3")
    assert "is Python 3.10, the lab needs 3.11 to 3.14" in refusal(result)


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


def test_an_environment_that_was_cut_off_is_begun_again(machine: Machine) -> None:
    """pip takes what lies there for whole, also what a power cut has left half written."""
    half = machine.folder / "venv/lib/half"
    half.parent.mkdir(parents=True)
    half.touch()
    offline = ("unshare", "--net", "bash", "vagrant/provision.sh", "python")
    machine.run(*offline)
    assert half.exists(), "an environment of somebody's own is taken as it is"
    assert (machine.folder / "venv/labkit.incomplete").exists()
    machine.run(*offline)
    assert not half.exists()


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
