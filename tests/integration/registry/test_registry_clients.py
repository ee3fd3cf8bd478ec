"""Other people's programs at labkit's registry: skopeo, podman and docker; logins, tokens, TLS."""

import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import leaks
from tests.lab import PROJECT, template_root
from tests.registries import LabkitRegistry

pytestmark = pytest.mark.root

USER, PASSWORD = "lab", "open: sesame"
SETUPS = {
    "open": (),
    "password": ("--auth",),
    "token": ("--auth", "--token"),
    "tls": ("--tls-self-signed",),
    "token over tls": ("--auth", "--token", "--tls-self-signed"),
}
TIMEOUT_S = 60


def run(*command: str, **options: object) -> subprocess.CompletedProcess[str]:
    given = {"stdin": subprocess.DEVNULL} if "input" not in options else {}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **given | options
    )


def succeed(*command: str, **options: object) -> str:
    done = run(*command, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Setup:
    """A registry of one of the setups, and the flags with which containers' programs reach it."""

    def __init__(self, name: str, folder: str) -> None:
        self.folder = folder
        self.needs_login = "--auth" in SETUPS[name]
        flags = list(SETUPS[name])
        if self.needs_login:
            passwords = f"{folder}/htpasswd"
            set_password(passwords, PASSWORD)
            flags.insert(1, passwords)
        self.server = LabkitRegistry(folder, *flags)
        self.address = self.server.address
        self.auth_file = f"{folder}/auth.json"
        self.tls_flags = {side: [f"--{side}tls-verify=false"] for side in ("", "src-", "dest-")}
        if "--tls-self-signed" in flags:
            certificates = f"{folder}/certificates"
            os.mkdir(certificates)
            Path(certificates, "ca.crt").symlink_to(f"{self.server.root}/tls/cert.pem")
            self.tls_flags = {s: [f"--{s}cert-dir={certificates}"] for s in ("", "src-", "dest-")}

    def login(self, *program: str) -> subprocess.CompletedProcess[str]:
        """Log in by a program's `login`, with the right password."""
        flags = ["--authfile", self.auth_file, *self.tls_flags[""]]
        words = [*program, "login", *flags, "-u", USER, "--password-stdin", self.address]
        return run(*words, input=PASSWORD)


def set_password(path: str, password: str) -> None:
    command = ["-m", "labkit.cli", "registry", "passwd", "--password-stdin", path, USER]
    succeed(sys.executable, *command, input=f"{password}\n", cwd=PROJECT)


@pytest.fixture(scope="module", params=SETUPS)
def setup(request):
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as folder:
        made = Setup(request.param, folder)
        yield made
        assert made.server.end() == 0


@pytest.fixture(scope="module")
def podman(tmp_path_factory):
    """The words that start podman with a place of its own."""
    if not shutil.which("podman"):
        pytest.skip("needs podman")
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as folder:
        config = Path(folder, "containers.conf")
        config.write_text(
            '[containers]\ndefault_ulimits = []\n[engine]\ncgroup_manager="cgroupfs"\n'
        )
        words = ["env", f"CONTAINERS_CONF={config}", "podman", "--storage-driver", "vfs"]
        words += ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
        yield words
        run(*words, "system", "reset", "-f")


def source() -> str:
    return f"oci:{template_root()}/images:busybox:latest"


def test_skopeo(setup):
    image = f"docker://{setup.address}/lab/skopeo:v1"
    auth = ["--authfile", setup.auth_file]
    push = ["skopeo", "copy", *auth, *setup.tls_flags["dest-"], source(), image]
    if setup.needs_login:
        refused = run(*push)
        assert refused.returncode != 0
        assert "required" in refused.stderr or "denied" in refused.stderr
        assert setup.login("skopeo").returncode == 0
    succeed(*push)
    back = f"oci:{setup.folder}/back:v1"
    succeed("skopeo", "copy", *auth, *setup.tls_flags["src-"], image, back)
    assert succeed("skopeo", "inspect", "--raw", back) == succeed(
        "skopeo", "inspect", "--raw", source()
    )
    seen = json.loads(succeed("skopeo", "inspect", *auth, *setup.tls_flags[""], image))
    assert seen["RepoTags"] == ["v1"]
    succeed("skopeo", "delete", *auth, *setup.tls_flags[""], image)
    assert run("skopeo", "inspect", *auth, *setup.tls_flags[""], image).returncode != 0


def test_podman(setup, podman):
    if setup.needs_login:
        assert setup.login(*podman).returncode == 0
    auth = ["--authfile", setup.auth_file] if setup.needs_login else []
    flags = [*auth, *setup.tls_flags[""]]
    image = f"{setup.address}/lab/podman:v1"
    loaded = succeed(*podman, "pull", "-q", source()).strip()
    succeed(*podman, "push", "-q", *flags, loaded, image)
    succeed(*podman, "rmi", "-f", loaded)
    assert succeed(*podman, "pull", "-q", *flags, image).strip() == loaded
    words = [*auth, "--tls-verify=false", "--format", "{{.Name}}", f"{setup.address}/podm"]
    assert succeed(*podman, "search", *words).split() == [f"{setup.address}/lab/podman"]


def test_docker(setup, oracle):
    image = f"{setup.address}/lab/docker:v1"
    before = oracle.docker("inspect", "-f", "{{.Id}}", "busybox").stdout
    assert oracle.docker("tag", "busybox", image).returncode == 0
    if setup.needs_login:
        refused = oracle.docker("push", image)
        assert refused.returncode != 0
        login = ("login", "-u", USER, "--password-stdin", setup.address)
        wrong = oracle.docker(*login, input=b"wrong")
        assert wrong.returncode == 1
        # At an address of this machine 26.1 tries it without TLS at last, and tells of that.
        told = (b"nauthorized", b"login attempt to http://")
        assert any(words in wrong.stderr for words in told), wrong.stderr
        done = oracle.docker(*login, input=PASSWORD.encode())
        assert done.returncode == 0, done.stderr
    pushed = oracle.docker("push", image)
    assert pushed.returncode == 0, pushed.stderr
    found = oracle.docker("search", "--format", "{{.Name}}", f"{setup.address}/ocke")
    assert found.stdout.decode().split() == ["lab/docker"], found.stderr
    assert oracle.docker("rmi", image).returncode == 0
    pulled = oracle.docker("pull", image)
    assert pulled.returncode == 0, pulled.stderr
    assert oracle.docker("inspect", "-f", "{{.Id}}", image).stdout == before
    assert oracle.docker("rmi", image).returncode == 0


def test_a_wrong_password_is_refused(setup):
    if not setup.needs_login:
        return
    words = ["skopeo", "login", "--authfile", f"{setup.folder}/none.json", *setup.tls_flags[""]]
    refused = run(*words, "-u", USER, "--password-stdin", setup.address, input="guess")
    assert refused.returncode != 0
    assert "invalid username/password" in refused.stderr or "unauthorized" in refused.stderr


def test_plain_http_to_tls_is_told_so(setup):
    if setup.server.scheme != "https":
        return
    answer = setup.server.ask("GET", "/v2/")
    assert answer.status == 400
    assert "HTTPS server" in answer.json["errors"][0]["message"]


def test_the_certificate_is_good_for_this_address(setup):
    if setup.server.scheme != "https":
        return
    context = ssl.create_default_context(cafile=f"{setup.server.root}/tls/cert.pem")
    connection = http.client.HTTPSConnection(setup.address, context=context, timeout=TIMEOUT_S)
    for _ in range(3):
        connection.request("GET", "/v2/")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == (401 if setup.needs_login else 200)
    connection.close()
