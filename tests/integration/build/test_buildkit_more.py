"""BuildKit's less common ways: SSH agents, archives of images, pushing, checks, several at once."""

import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile

import pytest

from tests import leaks, registries
from tests.buildkit import client_of
from tests.lab import running_lab

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def built():
    with running_lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def client(built):
    return client_of(built)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def agent(tmp_path):
    """The environment of a shell with an SSH agent that has a key."""
    if not (shutil.which("ssh-agent") and shutil.which("ssh-add")):
        pytest.skip("needs ssh-agent")
    with tempfile.TemporaryDirectory() as short:  # the path of a socket may have 108 bytes
        env = os.environ | {"SSH_AUTH_SOCK": f"{short}/agent"}
        process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", env["SSH_AUTH_SOCK"]], stdout=subprocess.DEVNULL
        )
        try:
            key = f"{tmp_path}/key"
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
            subprocess.run(["ssh-add", "-q", key], env=env, check=True)
            yield env
        finally:
            process.terminate()
            process.wait()


def test_a_command_asks_the_client_s_ssh_agent(client, folder, agent):
    """ssh-add, with its libraries in the context, lists the key that the agent has."""
    program = shutil.which("ssh-add")
    shown = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in (program, *re.findall(r"(/\S+) \(0x", shown)):
        shutil.copy(path, folder)
    (folder / "Dockerfile").write_text(
        "FROM busybox\nCOPY . /p\n"
        "RUN --mount=type=ssh /p/ld-linux* --library-path /p /p/ssh-add -l > /keys\n"
        "RUN --mount=type=ssh,id=other test ! -e /run/buildkit/ssh_agent.0\n"
        'RUN test ! -e /run/buildkit && test -z "$SSH_AUTH_SOCK"\n'
        'CMD ["cat", "/keys"]\n'
    )
    env = client.env | {"SSH_AUTH_SOCK": agent["SSH_AUTH_SOCK"]}
    client.build(folder, "--ssh", "default", "-t", "ssh", env=env)
    wanted = subprocess.check_output(["ssh-add", "-l"], env=agent, text=True)
    shown = client.docker("run", "--rm", "--network", "none", "ssh").stdout
    assert shown == wanted
    (folder / "Dockerfile").write_text("FROM busybox\nRUN --mount=type=ssh,required true\n")
    assert "unset ssh forward key default" in client.build(folder, code=1)


def test_an_image_as_an_archive_of_docker_s_and_of_oci_s_form(client, folder, tmp_path):
    (folder / "Dockerfile").write_text("FROM busybox\nRUN echo x > /f\nCMD cat /f\n")
    client.build(folder, "-o", f"type=oci,dest={tmp_path}/oci.tar")
    with tarfile.open(tmp_path / "oci.tar") as archive:
        assert {"oci-layout", "index.json"} <= set(archive.getnames())
    client.build(folder, "-o", f"type=docker,dest={tmp_path}/docker.tar", "-t", "arch:1")
    assert client.docker("image", "ls", "-q", "arch:1").stdout == "", "the name is in the archive"
    with running_lab() as other:
        elsewhere = client_of(other)
        elsewhere.docker("load", "-i", f"{tmp_path}/docker.tar")
        shown = elsewhere.docker("run", "--rm", "--network", "none", "arch:1").stdout
        assert shown == "x\n"


def test_pushing_after_the_build(client, folder):
    (folder / "Dockerfile").write_text("FROM busybox\nRUN echo pushed > /f\nCMD cat /f\n")
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as place:
        registry = registries.LabkitRegistry(place)
        try:
            name = f"{registry.address}/it:1"
            client.docker("buildx", "build", "--push", "-t", name, str(folder))
            client.docker("rmi", name)
            client.docker("pull", name)
            shown = client.docker("run", "--rm", "--network", "none", name).stdout
            assert shown == "pushed\n"
        finally:
            registry.end()


def test_attestations_are_left_out_and_said(client, folder):
    (folder / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    assert "attestations" not in client.build(folder)
    said = client.build(folder, "--sbom=true", code=None)
    assert "labkit makes no attestations: sbom left out" in said


def test_several_results_of_one_build(client, folder, tmp_path):
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY f /f\n")
    (folder / "f").write_text("x")
    said = client.build(
        folder,
        *("-o", f"type=local,dest={tmp_path}/a", "-o", f"type=tar,dest={tmp_path}/b.tar"),
        *("-o", "type=image,name=several:1"),
        code=None,
    )
    if "multiple outputs" in said:  # a client that knows one alone
        return
    assert (tmp_path / "a" / "f").read_text() == "x"
    with tarfile.open(tmp_path / "b.tar") as archive:
        assert "f" in archive.getnames()
    client.docker("image", "inspect", "several:1")


def test_builds_from_python_on_docker_py_keep_the_classic_way(built, folder):
    import docker  # noqa: PLC0415

    (folder / "Dockerfile").write_text("FROM busybox\nRUN echo py\n")
    api = docker.DockerClient(base_url=f"unix://{built.socket}")
    _, log = api.images.build(path=str(folder), nocache=True)
    assert any(line.get("stream") == "py\n" for line in log)
    api.close()


def test_bake_shows_what_it_would_do_without_a_daemon(client, folder):
    (folder / "docker-bake.json").write_text(json.dumps({"target": {"a": {"tags": ["x"]}}}))
    shown = client.docker("buildx", "bake", "--print", "a", cwd=folder).stdout
    assert '"x"' in shown


def test_cache_from_an_image_that_another_engine_made(client, folder):
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /when\nENV A=1\nCMD cat /when\n"
    (folder / "Dockerfile").write_text(text)
    client.build(folder, "-t", "cached:1")
    kept = folder / "kept.tar"
    client.docker("save", "-o", str(kept), "cached:1")
    with running_lab() as other:
        elsewhere = client_of(other)
        elsewhere.docker("load", "-i", str(kept))
        kept.unlink()
        elsewhere.build(folder, "--cache-from", "cached:1", "--cache-from", "not/here", "-t", "it")
        shown = [
            each.docker("run", "--rm", "--network", "none", name).stdout
            for each, name in ((client, "cached:1"), (elsewhere, "it"))
        ]
        assert shown[0] == shown[1]


def test_build_arguments_that_nothing_takes_are_said(client, folder):
    (folder / "Dockerfile").write_text("FROM busybox\nRUN true\n")
    client.build(folder, "--build-arg", "NOPE=1")


def test_pruning_by_docker_s_api_forgets_contexts(client, built, folder):
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (folder / "f").write_text("x" * 5000)
    client.build(folder)
    _, pruned = built.api("POST", "/build/prune")
    assert any("local source for context" in name for name in pruned["CachesDeleted"])
    assert pruned["SpaceReclaimed"] >= 5000


STYLE = "{0}FROM busybox as one\nCMD true\n"


def test_broken_rules_are_warnings_with_their_lines(client, tmp_path):
    (tmp_path / "Dockerfile").write_text(STYLE.format(""))
    shown = client.build(tmp_path)
    assert "2 warnings found" in shown
    assert "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)" in shown
    assert "JSONArgsRecommended" in shown


def test_broken_rules_can_be_errors_and_be_left_out(client, tmp_path):
    (tmp_path / "Dockerfile").write_text(STYLE.format("# check=error=true\n"))
    shown = client.build(tmp_path, code=1)
    assert "lint violation found for rules: FromAsCasing, JSONArgsRecommended" in shown
    rules = "skip=FromAsCasing,JSONArgsRecommended"
    for line, flags in (
        (f"# check={rules};error=true\n", []),
        ("# check=error=true\n", ["--build-arg", f"BUILDKIT_DOCKERFILE_CHECK={rules}"]),
    ):
        (tmp_path / "Dockerfile").write_text(STYLE.format(line))
        assert "warning" not in client.build(tmp_path, *flags)


BAKE = """
target "base" {
  dockerfile-inline = "FROM busybox\\nRUN echo from-base > /base\\n"
}
target "app" {
  contexts = { start = "target:base" }
  dockerfile-inline = <<EOF
FROM start AS a
FROM busybox
COPY --from=a /base /x
COPY --from=start /base /y
EOF
  tags = ["bake-app:1"]
}
target "broken" {
  contexts = { start = "target:fails" }
  dockerfile-inline = "FROM start\\n"
}
target "fails" {
  dockerfile-inline = "FROM busybox\\nRUN false\\n"
}
"""


def test_bake_begins_with_the_result_of_another_target(client, tmp_path):
    (tmp_path / "docker-bake.hcl").write_text(BAKE)
    client.docker("buildx", "bake", "app", cwd=tmp_path)
    words = ("run", "--rm", "--network", "none", "bake-app:1", "cat", "/x", "/y")
    assert client.docker(*words).stdout == "from-base\n" * 2
    shown = client.docker("buildx", "bake", "broken", cwd=tmp_path, code=1).stdout
    assert "exit code: 1" in shown
