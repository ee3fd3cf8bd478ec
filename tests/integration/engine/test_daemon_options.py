"""The daemon's options: `daemon.json`, flags, SIGHUP, --validate, and where it listens."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import docker
import pytest

from labkit.dialect.daemon_options import OPTIONS, WITHOUT_EFFECT
from tests.certificates import new_authority, signed
from tests.lab import PROJECT, Lab
from tests.servers import ask, inside, start

pytestmark = pytest.mark.root

SOON_S = 10.0
SHORT = ("--network", "none", "busybox", "sh", "-c")


def write(lab: Lab, **options: object) -> None:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    Path(lab.root, "daemon.json").write_text(json.dumps(named))


def begin(make_lab: Callable[..., Lab], *flags: str, **options: object) -> Lab:
    """A lab whose daemon has these flags, and these options in its file."""
    lab = make_lab()
    lab.stop_daemon()
    write(lab, **options)
    lab.start_daemon(*flags)
    return lab


def await_log(lab: Lab, word: str) -> None:
    log, deadline = Path(lab.folder, "labkitd.log"), time.monotonic() + SOON_S
    while word not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def validate(lab: Lab, *flags: str) -> subprocess.CompletedProcess[str]:
    return lab.cli("daemon", "--validate", *flags)


def test_what_containers_have_that_say_nothing_else(make_lab, tmp_path):
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    }))  # fmt: skip
    lab = begin(
        make_lab,
        *("--default-ulimit", "nofile=100:200", "--dns=10.9.8.7"),
        default_shm_size="32m",
        log_driver="local",
        log_opts={"max-size": "1m"},
        no_new_privileges=True,
        seccomp_profile=str(profile),
        init=True,
        cgroup_parent="",
        dns_search=["example.org"],
    )
    script = "df -k /dev/shm | tail -n 1; ulimit -n; mkdir /x; grep NoNewPrivs /proc/1/status; ps"
    done = lab.cli("run", "--name", "usual", *SHORT, script)
    assert done.stdout.split()[1] == "32768"
    assert {"100", "NoNewPrivs:", "/dev/init"} <= set(done.stdout.split())
    assert "Operation not permitted" in done.stderr
    host = lab.api("GET", "/containers/usual/json")[1]["HostConfig"]
    assert host["LogConfig"] == {"Type": "local", "Config": {"max-size": "1m"}}
    own = ("--log-driver", "json-file", "--shm-size", "1m", "--ulimit", "nofile=50")
    lab.cli("run", "--name", "own", *own, *SHORT, "true", check=True)
    host = lab.api("GET", "/containers/own/json")[1]["HostConfig"]
    assert host["LogConfig"] == {"Type": "json-file", "Config": {}}
    assert (host["ShmSize"], host["Ulimits"][0]["Soft"]) == (1 << 20, 50)
    resolver = lab.cli("run", "--rm", "busybox", "cat", "/etc/resolv.conf").stdout
    assert resolver == "nameserver 10.9.8.7\nsearch example.org\n"


def test_the_default_network(make_lab):
    lab = begin(make_lab, bip="10.231.9.1/24", fixed_cidr="10.231.9.128/25", mtu=1400, icc=False,
                ip="127.0.0.1", ipv6=True, fixed_cidr_v6="fd42:77::/64")  # fmt: skip
    first = start(lab, "first", "-p", "80")
    second = start(lab, "second")
    assert (first, second) == ("10.231.9.128", "10.231.9.129")
    shown = inside(lab, "first", "ip addr show eth0")
    assert "mtu 1400" in shown
    assert "fd42:77::" in shown
    assert ask(lab, "first", second) == ""
    port = lab.cli("port", "first", "80").stdout.split()
    assert [place.rpartition(":")[0] for place in port] == ["127.0.0.1"]
    with socket.create_connection(("127.0.0.1", int(port[0].rpartition(":")[2]))) as connection:
        assert connection.makefile().read() == "first\n"
    lab.remove_containers()
    lab.stop_daemon()
    write(lab)
    lab.start_daemon()
    network = lab.api("GET", "/networks/bridge")[1]
    assert network["EnableIPv6"] is False


def test_what_info_says(make_lab):
    lab = begin(make_lab, "--label", "rack=7", debug=True, proxies={"http-proxy": "http://u:p@h:1"},
                registry_mirrors=["https://mirror.example"], live_restore=True)  # fmt: skip
    status, info = lab.api("GET", "/info")
    assert (status, info["Labels"], info["Debug"]) == (200, ["rack=7"], True)
    assert info["HttpProxy"] == "http://xxxxx:xxxxx@h:1"
    assert info["RegistryConfig"]["Mirrors"] == ["https://mirror.example"]
    assert len(info["ID"]) == 36
    assert any(line.startswith("live-restore has no effect:") for line in info["Warnings"])
    await_log(lab, "GET /info 200")
    lab.stop_daemon()
    write(lab)
    lab.start_daemon()
    assert lab.api("GET", "/info")[1]["ID"] == info["ID"]


def test_a_hangup_reloads_and_what_cannot_be_read_changes_nothing(make_lab):
    lab = begin(make_lab, labels=["a=1"])

    def hang_up(word: str) -> None:
        os.kill(lab.daemon_pid(), signal.SIGHUP)
        await_log(lab, word)

    write(lab, labels=["a=2"], debug=True)
    hang_up("reloaded")
    assert lab.api("GET", "/info")[1]["Labels"] == ["a=2"]
    await_log(lab, "GET /info 200")
    write(lab, labels="x", nosuch=1)
    hang_up("is not reloaded: ")
    await_log(lab, "nosuch")
    write(lab)
    assert lab.answers()


def test_unknown_keys_and_conflicts_are_said(make_lab):
    lab = make_lab()
    for options, flags, words in (
        ({"lables": ["a=b"], "mtus": 4}, (), "don't match any configuration option: lables, mtus"),
        ({"mtu": "x"}, (), "Expected `int`"),
        ({"labels": ["a=b"]}, ("--label", "a=c"), "both as a flag and in the configuration file"),
        ({"bip": "10.0.0.0/24"}, (), "no container can have this address"),
        ({"log-driver": "nosuch"}, (), 'plugin "nosuch" not found'),
        ({}, ("--max-concurrent-downloads", "0"), "it must be 1 or more"),
        ({}, ("--config-file", "/no/such"), "/no/such is not there"),
    ):
        Path(lab.root, "daemon.json").write_text(json.dumps(options))
        done = validate(lab, *flags)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    write(lab, live_restore=True, labels=["a=b"])
    done = validate(lab, "--label", "a=b", "-D")
    assert (done.returncode, done.stdout) == (0, "configuration OK\n")
    assert "WARNING: live-restore has no effect: containers always outlive" in done.stderr
    write(lab)


def test_every_option_of_the_table_is_taken_by_the_file_and_as_a_flag(make_lab):
    lab = make_lab()
    given = lab.cli("daemon", "--help").stdout
    for option in OPTIONS:
        assert f"--{option.flag_name}" in given
    Path(lab.root, "daemon.json").write_text(json.dumps(dict.fromkeys(WITHOUT_EFFECT)))
    done = validate(lab)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == len(WITHOUT_EFFECT)
    write(lab)


@pytest.fixture
def certificates(tmp_path) -> Path:
    """An authority, and the certificates of a server and a client that it has signed.

    docker-py on Python 3.13 demands the authority's keyUsage.
    """
    new_authority(tmp_path, "ca", usage="critical,keyCertSign")
    for name in ("server", "cert"):
        signed(tmp_path, "ca", name, "subjectAltName=IP:127.0.0.1")
    os.rename(tmp_path / "cert.key", tmp_path / "key.pem")
    return tmp_path


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_clients_with_a_certificate_drive_the_engine_by_tls(make_lab, certificates, monkeypatch):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    port = free_port()
    files = (("tlscacert", "ca.pem"), ("tlscert", "server.pem"), ("tlskey", "server.key"))
    tls = {name: str(certificates / file) for name, file in files}
    begin(make_lab, "-H", f"tcp://127.0.0.1:{port}", "--tlsverify", **tls)
    options = docker.tls.TLSConfig(
        client_cert=(str(certificates / "cert.pem"), str(certificates / "key.pem")),
        ca_cert=str(certificates / "ca.pem"),
        verify=True,
    )
    with closing(docker.DockerClient(f"tcp://127.0.0.1:{port}", tls=options)) as client:
        assert client.ping()
        text = client.containers.run("busybox", ["echo", "by tls"], network_mode="none")
        assert text == b"by tls\n"
    command = ["docker", "--tlsverify", "run", "--rm", "-i", "--network", "none", "busybox", "cat"]
    environment = os.environ | {
        "DOCKER_HOST": f"tcp://127.0.0.1:{port}",
        "DOCKER_CERT_PATH": str(certificates),
    }
    # More than the buffers of sockets hold, so that each side waits for the other.
    data = os.urandom(4 << 20)
    done = subprocess.run(
        command, env=environment, input=data, capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout == data) == (0, True), done.stderr
    plain = {name: value for name, value in environment.items() if name != "DOCKER_CERT_PATH"}
    for wrong in (["docker", "version"], ["docker", "--tls", "version"]):
        done = subprocess.run(wrong, env=plain, capture_output=True, timeout=60, check=False)
        assert done.returncode == 1


def test_a_port_for_everyone_without_tls_is_refused(make_lab):
    lab = make_lab()
    lab.stop_daemon()
    for host, words in (
        ("tcp://0.0.0.0:23750", "root of this machine"),
        ("tcp://:23750", "root of this machine"),
        ("npipe://x", "invalid bind address"),
        ("fd://", "no sockets found via socket activation"),
    ):
        with pytest.raises(AssertionError, match=words):
            lab.start_daemon("-H", host)
    with pytest.raises(AssertionError, match="--tlscert, --tlskey"):
        lab.start_daemon("-H", "tcp://0.0.0.0:23750", "--tlsverify")


def test_more_sockets_and_one_of_the_own_machine(make_lab, tmp_path):
    port = free_port()
    path = tmp_path / "more.sock"
    lab = begin(make_lab, hosts=[f"unix://{path}", f"tcp://127.0.0.1:{port}"])
    for host in (f"unix://{path}", f"tcp://127.0.0.1:{port}", f"unix://{lab.socket}"):
        with closing(docker.DockerClient(host)) as client:
            assert client.containers.run("busybox", ["echo", "x"], network_mode="none") == b"x\n"


def test_the_socket_by_stdin(lab):
    request = b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n"
    done = subprocess.run(
        lab.argv("system", "dial-stdio"), env=lab.env, cwd=PROJECT, input=request,
        capture_output=True, timeout=30, check=True,
    )  # fmt: skip
    assert done.stdout.startswith(b"HTTP/1.1 200 OK")
    assert done.stdout.endswith(b"OK")


def test_docker_over_ssh_by_the_engines_own_command(lab, tmp_path):
    """A program in ssh's place runs what docker asks for, with labkit's command as `docker`."""
    Path(tmp_path, "docker").write_text(f'#!/bin/sh\nexec {sys.executable} -m labkit.cli "$@"\n')
    Path(tmp_path, "ssh").write_text(
        '#!/bin/sh\nwhile [ "$1" != docker ]; do shift; done\n'
        f'cd {PROJECT} && PATH={tmp_path}:$PATH exec "$@"\n'
    )
    for name in ("docker", "ssh"):
        os.chmod(tmp_path / name, 0o755)
    real = subprocess.check_output(["which", "docker"], text=True).strip()
    environment = lab.env | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DOCKER_HOST": "ssh://vm"}
    command = [real, "run", "--rm", "-i", "--network", "none", "busybox", "cat"]
    done = subprocess.run(
        command, env=environment, input=b"over ssh\n", capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"over ssh\n"), done.stderr
