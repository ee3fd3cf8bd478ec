"""docker build, buildx, bake and compose of today, with their defaults: BuildKit's protocol."""

import hashlib
import json
import re
import tarfile
import time

import pytest

from tests.buildkit import client_of
from tests.lab import running_lab

pytestmark = pytest.mark.root

DOCKERFILE = """\
FROM busybox AS base
ARG WHO=nobody
RUN echo "hello $WHO" > /greeting; echo printed
FROM base
COPY f /f
WORKDIR /work
CMD ["cat", "/greeting", "/f"]
"""


@pytest.fixture(scope="module")
def built():
    with running_lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def client(built):
    return client_of(built)


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "project", Dockerfile=DOCKERFILE, f="a file\n")


def write(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def output_of(client, image):
    return client.docker("run", "--rm", "--network", "none", image).stdout


# What people type


def test_docker_build_makes_an_image_and_is_cached_the_second_time(client, folder):
    first = client.build(folder, "-t", "it:1", "-t", "it:2", "--build-arg", "WHO=world")
    for line in (
        r"building with \"default\" instance using docker driver",
        r"\[internal\] load build definition from Dockerfile",
        r"transferring dockerfile: \d+B",
        r"\[internal\] load metadata for docker.io/library/busybox:latest",
        r"\[base 1/2\] FROM docker.io/library/busybox:latest",
        r"\[base 2/2\] RUN echo \"hello world\" > /greeting; echo printed",
        r"\d+\.\d+ printed",
        r"\[stage-1 1/2\] COPY f /f",
        r"\[stage-1 2/2\] WORKDIR /work",
        r"naming to docker.io/library/it:2",
    ):
        assert re.search(line, first), first
    assert output_of(client, "it:2") == "hello world\na file\n"
    again = client.build(folder, "-t", "it:1", "--build-arg", "WHO=world")
    assert again.count("CACHED") == 3
    (folder / "f").write_text("changed\n")
    changed = client.build(folder, "-t", "it:1", "--build-arg", "WHO=world")
    assert changed.count("CACHED") == 1
    assert output_of(client, "it:1") == "hello world\nchanged\n"


def test_quiet_and_the_files_about_the_result(client, folder, tmp_path):
    said = client.build(
        folder, "-q", "--iidfile", f"{tmp_path}/id", "--metadata-file", f"{tmp_path}/m", "-t", "m"
    )
    image_id = client.docker("image", "inspect", "-f", "{{.Id}}", "m").stdout.strip()
    assert said.strip() == (tmp_path / "id").read_text() == image_id
    assert json.loads((tmp_path / "m").read_text())["image.name"] == "docker.io/library/m:latest"


def test_the_names_are_told_as_people_write_them(built, client, folder):
    since = f"{time.time():.6f}"
    client.build(folder, "-t", "told", "--label", "who=me")
    events = built.api("GET", f"/events?since={since}&until={time.time():.6f}")[1]
    lines = [events] if isinstance(events, dict) else map(json.loads, events.splitlines())
    named = [each["Actor"]["Attributes"] for each in lines if each["Action"] == "tag"]
    assert [(each["name"], each["who"]) for each in named] == [("told:latest", "me")]


def test_bake_builds_several_targets(client, folder):
    bake = 'group "default" { targets = ["a", "b"] }\n'
    bake += "".join(
        f'target "{name}" {{\n args = {{ WHO = "{name}" }}\n tags = ["baked:{name}"]\n}}\n'
        for name in "ab"
    )
    (folder / "docker-bake.hcl").write_text(bake)
    client.docker("buildx", "bake", cwd=folder)
    assert output_of(client, "baked:a").startswith("hello a\n")
    assert output_of(client, "baked:b").startswith("hello b\n")


def test_compose_builds_and_starts(client, folder):
    services = {
        name: {
            "build": {"context": ".", "args": {"WHO": name}},
            "network_mode": "none",
            "image": f"composed:{name}",
        }
        for name in ("one", "two")
    }
    (folder / "compose.yaml").write_text(json.dumps({"services": services}))
    client.run([client.compose, "build"], cwd=folder)
    assert output_of(client, "composed:two").startswith("hello two\n")
    (folder / "f").write_text("composed\n")
    up = client.run([client.compose, "up", "--build"], cwd=folder)
    assert re.search(r"one-1 +\| hello one", up.stdout), up.stdout
    assert re.search(r"two-1 +\| composed", up.stdout), up.stdout
    client.run([client.compose, "down"], cwd=folder)


def test_the_classic_way_stays(client, folder):
    env = client.env | {"DOCKER_BUILDKIT": "0"}
    said = client.build(folder, "-t", "classic", env=env)
    assert "Step 1/7 : FROM busybox AS base" in said
    assert "Successfully tagged classic:latest" in said


def test_what_buildx_asks_the_daemon(client, folder):
    listed = client.docker("buildx", "ls").stdout
    assert re.search(r"default\s.*running\s+v\d", listed), listed
    client.build(folder)
    assert "local source for context" in client.docker("buildx", "du").stdout
    assert "local source for context" in client.docker("buildx", "prune", "-f").stdout
    assert "local source for context" not in client.docker("buildx", "du").stdout


# Options


def test_options_reach_the_build(client, tmp_path):
    folder = write(
        tmp_path / "p",
        Dockerfile=(
            "FROM busybox AS one\n"
            "RUN grep -q 10.1.2.3 /etc/hosts && ulimit -n > /n && df -m /dev/shm > /shm\n"
            "FROM one AS two\nRUN false\n"
        ),
    )
    client.build(
        folder,
        *("--target", "one", "--label", "a=b c", "--add-host", "there:10.1.2.3"),
        *("--ulimit", "nofile=123:456", "--shm-size", "32m", "--network", "none", "-t", "opt"),
    )
    label = client.docker("image", "inspect", "-f", '{{index .Config.Labels "a"}}', "opt")
    assert label.stdout.strip() == "b c"
    shown = client.docker("run", "--rm", "--network", "none", "opt", "cat", "/n", "/shm").stdout
    assert shown.startswith("123\n") and " 32 " in shown


def test_no_cache_for_all_or_for_one_stage(client, tmp_path):
    folder = write(
        tmp_path / "p",
        Dockerfile="FROM busybox AS one\nRUN echo 1\nFROM busybox AS two\nRUN echo 2\n"
        "FROM busybox\nCOPY --from=one /etc/passwd /a\nCOPY --from=two /etc/passwd /b\n",
    )
    client.build(folder)
    assert client.build(folder).count("CACHED") == 4
    assert client.build(folder, "--no-cache").count("CACHED") == 0
    filtered = client.build(folder, "--no-cache-filter", "two")
    assert filtered.count("CACHED") == 3


def test_a_secret_is_shown_and_kept_nowhere(client, built, tmp_path):
    folder = write(
        tmp_path / "p",
        Dockerfile="FROM busybox\nRUN --mount=type=secret,id=s sha256sum /run/secrets/s > /sum\n"
        "RUN --mount=type=secret,id=none test ! -e /run/secrets/none\n",
    )
    (tmp_path / "secret").write_text("hidden-value")
    said = client.build(folder, "--secret", f"id=s,src={tmp_path}/secret", "-t", "s")
    env = client.env | {"S": "hidden-value"}
    client.build(folder, "--no-cache", "--secret", "id=s,env=S", env=env)
    assert "hidden-value" not in said
    assert "hidden-value" not in client.docker("history", "--no-trunc", "s").stdout
    shown = client.docker("run", "--rm", "--network", "none", "s", "cat", "/sum").stdout
    assert shown.startswith(hashlib.sha256(b"hidden-value").hexdigest())


def test_results_as_a_folder_and_as_archives(client, folder, tmp_path):
    (folder / "Dockerfile").write_text(
        "FROM busybox AS made\nRUN mkdir -p /t/o && cd /t/o && echo x > f && ln f hard && "
        "ln -s f soft && chmod 4755 f && chmod 750 . && chown 12:34 .\n"
        "FROM scratch\nCOPY --from=made /t /\n"
    )
    client.build(folder, "-o", f"{tmp_path}/out")
    out = tmp_path / "out" / "o"
    assert (out / "f").read_text() == "x\n"
    assert (out / "f").stat().st_mode & 0o7777 == 0o4755
    assert out.stat().st_mode & 0o7777 == 0o750
    assert (out / "soft").readlink().name == "f"
    assert (out / "hard").stat().st_ino == (out / "f").stat().st_ino
    client.build(folder, "-o", f"type=tar,dest={tmp_path}/out.tar")
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert archive.getmember("o").uid == 12
        assert archive.extractfile("o/f").read() == b"x\n"


def test_other_contexts(client, folder, tmp_path):
    other = write(tmp_path / "other", inside="from elsewhere\n")
    (folder / "Dockerfile").write_text(
        "FROM base\nCOPY --from=other inside /a\nCOPY --from=image /etc/passwd /b\nCOPY f /f\n"
        'CMD ["cat", "/a"]\n'
    )
    client.build(
        folder,
        *("--build-context", f"other={other}", "--build-context", "image=docker-image://busybox"),
        *("--build-context", "base=docker-image://busybox", "-t", "contexts"),
    )
    assert output_of(client, "contexts") == "from elsewhere\n"


def test_a_dockerfile_and_a_context_on_standard_input(client, folder, tmp_path):
    text = "FROM busybox\nCOPY f /f\nCMD cat /f\n"
    client.build(folder, "-f", "-", "-t", "stdin:1", input=text)
    assert output_of(client, "stdin:1") == "a file\n"
    client.docker("build", "-t", "stdin:2", "-", input="FROM busybox\nCMD echo alone\n")
    assert output_of(client, "stdin:2") == "alone\n"
    packed = tmp_path / "context.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, ".")
    with packed.open("rb") as file:
        client.docker("build", "-t", "stdin:3", "-", stdin=file)
    assert output_of(client, "stdin:3") == "hello nobody\na file\n"


def test_ignored_files_are_not_sent(client, folder):
    for name in ("big", "kept", "other"):
        (folder / name).write_text("x" * 100_000)
    (folder / ".dockerignore").write_text("*\n!kept\n")
    (folder / "Dockerfile").write_text("FROM busybox\nCOPY . /c\nCMD ls /c\n")
    said = client.build(folder, "-t", "ignored")
    assert output_of(client, "ignored") == "kept\n"
    assert re.search(r"transferring context: 100\.0+kB", said), said
    (folder / "Dockerfile.dockerignore").write_text("kept\n")
    client.build(folder, "-t", "ignored")
    assert "kept" not in output_of(client, "ignored")


def test_an_unchanged_file_is_not_sent_again(client, folder):
    for number in range(20):
        (folder / f"n{number}").write_text("x" * 10_000)
    (folder / "Dockerfile").write_text("FROM busybox\nCOPY . /c\n")

    def sent():
        found = re.findall(r"transferring context: ([\d.]+)(k?)B", client.build(folder))
        return max((float(number) * (1000 if kilo else 1) for number, kilo in found), default=0)

    assert sent() >= 200_000
    assert sent() < 20_000
    (folder / "n3").write_text("y" * 10_000)
    assert 10_000 <= sent() < 20_000


# What goes wrong


def test_errors_show_the_lines_of_the_dockerfile(client, tmp_path):
    folder = write(tmp_path / "p", Dockerfile="FROM busybox\n\nRUN echo a && \\\n  exit 7\n")
    said = client.build(folder, code=1)
    assert "   3 | >>> RUN echo a && \\\n   4 | >>>   exit 7\n" in said
    assert (
        'failed to solve: process "/bin/sh -c echo a &&   exit 7" did not complete '
        "successfully: exit code: 7" in said.splitlines()[-1]
    )
    for text, wanted in {
        "FROM busybox\nCOPY missing /x\n": r'>>> COPY missing /x[^$]*"/missing": not found',
        "FROM busybox\nFOO bar\n": r">>> FOO bar[^$]*error on line 2: unknown instruction: FOO",
        "FROM busybox AS a\nFROM b/c:1@x\n": "invalid reference format",
        "# syntax=example.org/own:1\nFROM busybox\n": "frontend example.org/own:1 cannot be run",
    }.items():
        write(folder, Dockerfile=text)
        assert re.search(wanted, client.build(folder, code=1)), wanted


def test_docker_s_own_frontends_are_labkit_s(client, folder):
    text = (folder / "Dockerfile").read_text()
    (folder / "Dockerfile").write_text(f"# syntax=docker/dockerfile:1\n{text}")
    client.build(folder)
    client.build(folder, "--build-arg", "BUILDKIT_SYNTAX=docker/dockerfile:1.7")
