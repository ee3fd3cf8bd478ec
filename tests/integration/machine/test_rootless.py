"""An engine of an ordinary user: what it can, what of the machine it has, and what it leaves."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from labkit.kernel.trails import remove_tree
from tests.containers import wait_until
from tests.rootless import FIRST_ID, UID, RootlessLab, running_rootless_lab

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]
PAGE = "mkdir /www; echo {text} > /www/index.html; exec httpd -f -p 80 -h /www"


@pytest.fixture(scope="module")
def shared():
    with running_rootless_lab() as lab:
        yield lab


@pytest.fixture
def user(shared):
    shared.start_daemon()
    yield shared
    shared.start_daemon()
    shared.remove_containers()


@pytest.fixture
def folder(user):
    """A folder that the user may read."""
    made = Path(user.folder, "given")
    made.mkdir()
    os.chown(made, UID, UID)
    yield made
    remove_tree(str(made))


def out(lab, *words, code=0):
    done = lab.cli(*words)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stderr if code else done.stdout


def ids_of(pid):
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return lines["Uid"].split()[0], lines["Gid"].split()[0]


def test_root_inside_is_the_user_outside(user):
    name = out(user, "run", "-d", "busybox", "sleep", "600").strip()
    other = out(user, "run", "-d", "--user", "1000:1001", "busybox", "sleep", "600").strip()
    pid, others = (int(out(user, "inspect", "-f", "{{.State.Pid}}", n)) for n in (name, other))
    assert ids_of(pid) == (str(UID), str(UID))
    assert ids_of(others) == (str(FIRST_ID + 999), str(FIRST_ID + 1000))
    assert ids_of(user.daemon_pid()) == (str(UID), str(UID))
    assert "name=rootless" in user.api("GET", "/info")[1]["SecurityOptions"]


SCRIPTS = {
    "own processes": ("echo $$", "1\n"),
    "own /proc": ("ls /proc | grep -c '^[0-9]*$'", "3\n"),
    "sysfs is read-only": ("touch /sys/x 2>&1 | grep -c 'Read-only'", "1\n"),
    "devices work": ("head -c 3 /dev/zero | wc -c; echo x > /dev/null; : < /dev/full", "3\n"),
    "owners are kept": ("touch /f; chown 7:8 /f; stat -c %u:%g /f", "7:8\n"),
    "null is nobody's": ("chmod 777 /dev/null 2>&1 | grep -c 'not permitted'", "1\n"),
    "no device is made": ("mknod /dev/sda b 8 0 2>&1 | grep -c 'not permitted'", "1\n"),
    "masks hold": ("cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l", "0\n0\n"),
    "settings are read-only": ("(echo 1 > /proc/sys/kernel/panic) 2> /dev/null; echo $?", "1\n"),
}


@pytest.mark.parametrize("what", SCRIPTS)
def test_a_container_is_as_ever(user, what):
    script, expected = SCRIPTS[what]
    assert out(user, "run", "--rm", "busybox", "sh", "-c", script) == expected


def test_layers_hide_what_is_deleted_and_folders_that_were_replaced(user, folder):
    (folder / "Dockerfile").write_text(
        "FROM busybox\n"
        "RUN mkdir /q && echo 1 > /q/a && chown 3:4 /q/a && echo 1 > /gone\n"
        "RUN rm -r /q /gone && mkdir /q && echo 2 > /q/b\n"
    )
    out(user, "build", "-t", "built", str(folder))
    seen = "ls /q; ls /gone 2>&1 | grep -c 'No such'"
    assert out(user, "run", "--rm", "built", "sh", "-c", seen) == "b\n1\n"
    # The same out of the archive, where deletions are names.
    archive = f"{folder}/built.tar"
    out(user, "save", "-o", archive, "built")
    out(user, "rmi", "built")
    out(user, "load", "-i", archive)
    assert out(user, "run", "--rm", "built", "sh", "-c", seen) == "b\n1\n"
    out(user, "rmi", "built")


def test_verbs(user, folder):
    out(user, "run", "-d", "--name", "one", "busybox", "sh", "-c", "echo hi; exec sleep 600")
    assert out(user, "exec", "-u", "nobody", "one", "id", "-u") == "65534\n"
    wait_until(lambda: out(user, "logs", "one") == "hi\n")
    (folder / "file").write_text("text")
    out(user, "cp", f"{folder}/file", "one:/tmp/file")
    assert "A /tmp/file" in out(user, "diff", "one")
    assert out(user, "commit", "one", "made").startswith("sha256:")
    assert out(user, "run", "--rm", "made", "cat", "/tmp/file") == "text"
    assert "sleep" in out(user, "top", "one")
    out(user, "stop", "-t", "0", "one")
    out(user, "start", "one")
    out(user, "rm", "-f", "one")
    out(user, "rmi", "made")


def test_volumes_keep_owners(user):
    out(user, "run", "--rm", "-v", "kept:/v", "busybox", "sh", "-c", "touch /v/f; chown 5:6 /v/f")
    assert out(user, "run", "--rm", "-v", "kept:/v", "busybox", "stat", "-c", "%u:%g", "/v/f") == (
        "5:6\n"
    )
    out(user, "volume", "rm", "kept")


def test_what_needs_roots_power_is_refused_with_words(user):
    run = ("run", "--rm", "busybox", "true")
    refused = out(user, *run[:2], "--userns", "private", *run[2:], code=125)
    assert "needs an engine with root" in refused
    low = out(user, *run[:2], "-p", "80:80", *run[2:], code=125)
    assert "ip_unprivileged_port_start=80" in low


@pytest.mark.parametrize("mode", ["--pid=host", "--ipc=host", "--uts=host", "--network=host"])
def test_sharing(user, mode):
    assert out(user, "run", "--rm", mode, "busybox", "echo", "hi") == "hi\n"


def test_what_it_left_on_the_machine_ends_with_it(user):
    """Without a PID namespace and without cgroups, too."""
    marked = "sleep 4242.5"
    out(user, "run", "--pid", "host", "busybox", "sh", "-c", f"{marked} & {marked} & sleep 0.2")

    def are_there():
        return subprocess.run(["pgrep", "-f", marked], capture_output=True, check=False).stdout

    wait_until(lambda: not are_there(), timeout_s=5)


def free_port():
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def fetch(port, address="127.0.0.1"):
    with socket.create_connection((address, port), timeout=10) as connection:
        connection.sendall(b"GET /index.html HTTP/1.0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer.rpartition(b"\r\n\r\n")[2]


def serving(lab, *options, text="hello"):
    name = out(lab, "run", "-d", *options, "busybox", "sh", "-c", PAGE.format(text=text)).strip()
    lab.cli(
        "exec",
        name,
        "sh",
        "-c",
        "until nc -w 1 127.0.0.1 80 < /dev/null; do sleep 0.05; done",
        check=True,
    )
    return name


def test_a_published_port(user):
    port = free_port()
    name = serving(user, "-p", f"127.0.0.1:{port}:80")
    assert fetch(port) == b"hello\n"
    taken = out(user, "run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true", code=125)
    assert "port is already allocated" in taken
    user.kill_daemon()
    assert fetch(port) == b"hello\n"
    user.start_daemon()
    assert fetch(port) == b"hello\n"
    out(user, "rm", "-f", name)
    with pytest.raises(ConnectionRefusedError):
        fetch(port)


def test_a_port_in_use_on_the_machine(user):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        place = f"127.0.0.1:{port}:80"
        said = out(user, "run", "--rm", "-p", place, "busybox", "true", code=125)
        assert "port is already allocated" in said


# busybox's own server has room for nine that wait, and the kernel resets who is too many.
SERVER = """
import socket
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
class Server(ThreadingHTTPServer):
    request_queue_size = 512
class Handler(SimpleHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello\\n")
server = Server(("0.0.0.0", 80), Handler)
print("ready", flush=True)
server.serve_forever()
"""


def test_many_at_once_and_slow_ones(user):
    port = free_port()
    name = out(user, "run", "-d", "-p", f"127.0.0.1:{port}:80", "busybox", "sleep", "600")
    pid = out(user, "inspect", "-f", "{{.State.Pid}}", name.strip()).strip()
    inside = ["nsenter", "-t", pid, "-n", sys.executable, "-c", SERVER]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(inside, **streams) as server:
        assert server.stdout.readline() == b"ready\n"
        slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(50)]
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(fetch(port))) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for connection in slow:
            connection.close()
        server.kill()
    assert answers == [b"hello\n"] * 100


ECHO = """
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", 9))
    print("ready", flush=True)
    for _ in range(3):
        server.sendto(*server.recvfrom(65536))
"""


def test_datagrams_find_their_way_back(user):
    port = free_port()
    name = out(user, "run", "-d", "-p", f"127.0.0.1:{port}:9/udp", "busybox", "sleep", "600")
    pid = out(user, "inspect", "-f", "{{.State.Pid}}", name.strip()).strip()
    inside = ["nsenter", "-t", pid, "-n", sys.executable, "-c", ECHO]
    with subprocess.Popen(inside, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        for text in (b"one", b"two", b"x" * 40_000):  # each from a port of its own
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect(("127.0.0.1", port))
                client.settimeout(10)
                client.send(text)
                assert client.recv(65536) == text


def test_containers_reach_each_other_by_name(user):
    out(user, "network", "create", "blue")
    serving(user, "--network", "blue", "--name", "web")
    got = out(user, "run", "--rm", "--network", "blue", "busybox", "wget", "-qO-", "http://web/")
    assert got == "hello\n"
    out(user, "rm", "-f", "web")
    out(user, "network", "rm", "blue")


def test_the_machines_own_loopback_is_out_of_reach(user):
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.listen()
        own.settimeout(2)
        port = own.getsockname()[1]
        gateway = "$(ip route | awk '/default/ {print $3}')"
        script = f"for a in 127.0.0.1 {gateway} 10.0.2.2; do nc -w 1 $a {port} < /dev/null; done"
        for network in ("host", "bridge"):
            user.cli("run", "--rm", "--network", network, "busybox", "sh", "-c", script)
        with pytest.raises(TimeoutError):
            own.accept()


def test_a_crash_of_the_daemon_ends_nothing(user):
    name = out(user, "run", "-d", "busybox", "sleep", "600").strip()
    user.kill_daemon()
    user.start_daemon()
    assert out(user, "exec", name, "echo", "on") == "on\n"
    assert out(user, "ps", "-q").strip() == name[:12]


def test_the_namespaces_end_with_the_last_process():
    with running_rootless_lab() as lab:
        name = out(lab, "run", "-d", "busybox", "sleep", "600").strip()
        holder = f"{lab.run}/holder.sock"
        lab.stop_daemon()
        time.sleep(0.5)
        assert os.path.exists(holder)
        lab.start_daemon()
        out(lab, "rm", "-f", name)
        lab.stop_daemon()
        wait_until(lambda: not os.path.exists(holder), timeout_s=10)


def test_without_subordinate_ids_there_is_one_user():
    with running_rootless_lab(ids="") as lab:
        assert out(lab, "run", "--rm", "busybox", "id", "-u") == "0\n"
        said = out(lab, "run", "--rm", "busybox", "chown", "1", "/etc", code=1)
        assert "Invalid argument" in said


def test_without_a_cable_it_is_said():
    with running_rootless_lab(with_tun=False) as lab:
        warnings = " ".join(lab.api("GET", "/info")[1]["Warnings"])
        assert "/dev/net/tun" in warnings
        port = free_port()
        serving(lab, "-p", f"127.0.0.1:{port}:80")
        assert fetch(port) == b"hello\n"  # the way in is another one


def test_a_data_root_of_the_other_kind_is_not_opened(tmp_path):
    lab = RootlessLab()
    try:
        lab.start_daemon()
        lab.stop_daemon()
        enter, lab.enter = lab.enter, []
        with pytest.raises(AssertionError, match="belongs to an engine without root"):
            lab.start_daemon()
        lab.enter = enter
    finally:
        lab.close()


def test_what_others_own_is_in_reach_as_root_of_the_engine():
    lab = RootlessLab()
    enter = [*lab.enter, sys.executable, "-m", "labkit.rootless"]

    def inside(*command):
        words = [*enter, *command]
        done = subprocess.run(words, env=lab.env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    try:
        made = inside(sys.executable, "-m", "labkit.images.base", "busybox")
        assert made[0] == 0, made
        lab.start_daemon()
        script = "mkdir /v/d; touch /v/d/f; chown -R 7:7 /v/d; chmod 700 /v/d"
        out(lab, "run", "--rm", "-v", f"{lab.root}/shared:/v", "busybox", "sh", "-c", script)
        assert os.stat(f"{lab.root}/shared/d").st_uid == FIRST_ID + 6
        assert inside("stat", "-c", "%u", f"{lab.root}/shared/d/f")[1] == "7\n"
        assert inside("rm", "-r", f"{lab.root}/shared") == (0, "", "")
        assert inside("nosuch")[0] == 1
        assert inside()[0] == 2
    finally:
        lab.close()


def test_a_signal_ends_it_and_its_containers_go_on(user):
    name = out(user, "run", "-d", "busybox", "sleep", "600").strip()
    pid = int(out(user, "inspect", "-f", "{{.State.Pid}}", name))
    os.kill(user.daemon_pid(), signal.SIGTERM)
    wait_until(lambda: not user.answers())
    os.kill(pid, 0)
    user.start_daemon()
    assert out(user, "ps", "-q").strip() == name[:12]


def test_the_host_network_is_said_to_be_the_engines_own(user):
    done = user.cli("create", "--name", "own", "--network", "host", "busybox", "true")
    assert "labkitd, which runs without root" in done.stderr
    user.cli("rm", "own")
