"""Builds through the command, Docker's own clients, and the API: cache, contexts, RUN's mounts."""

import http.server
import io
import json
import os
import subprocess
import tarfile
import threading

import docker
import pytest

from tests.lab import running_lab

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def built():
    with running_lab() as lab:
        yield lab


def build(lab, text, *flags, code=0, **files):
    """Build a Dockerfile that comes on stdin; what was printed."""
    done = lab.cli("build", *flags, "-", input=text, **files)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def write(folder, **files):
    for name, content in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return str(folder)


def run(lab, image, *words):
    done = lab.cli("run", "--rm", "--network", "none", image, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


# The cache


def test_a_second_build_is_cached_and_a_change_misses_from_there_on(built, tmp_path):
    folder = write(
        tmp_path,
        Dockerfile="FROM busybox\nRUN echo first\nCOPY src /src\nRUN echo last\n",
        src__a="1",
        src__b="2",
    )
    first = built.cli("build", "-q", folder, check=True).stdout
    assert built.cli("build", "-q", folder, check=True).stdout == first
    os.utime(tmp_path / "src/a", (1, 1))  # a time is no content
    assert built.cli("build", "-q", folder, check=True).stdout == first
    write(tmp_path, src__a="changed", src__new="3")
    (tmp_path / "src/b").unlink()
    shown = built.cli("build", "--explain-cache", folder, check=True).stdout
    assert shown.count("Cache hit") == 1
    assert "Cache miss: a has changed, new is new, b is gone" in shown
    assert "Cache miss: a step before it missed" in shown


def test_a_mode_is_content(built, tmp_path):
    folder = write(tmp_path, Dockerfile="FROM busybox\nCOPY tool /t/tool\n", tool="x")
    (tmp_path / "tool").chmod(0o644)
    built.cli("build", folder, check=True)
    (tmp_path / "tool").chmod(0o755)
    shown = built.cli("build", "--explain-cache", folder, check=True).stdout
    assert "Cache miss: the mode of tool was 0644, is 0755" in shown


def test_arguments_miss_where_they_are_used(built):
    text = "FROM busybox\nRUN echo before\nARG A=1\nENV B=2\nRUN echo $A\n"
    build(built, text)
    shown = build(built, text, "--build-arg", "A=3", "--explain-cache")
    assert shown.count("Cache hit") == 3
    assert "Cache miss: the build argument A was '1' and is '3'" in shown


def test_no_cache_and_a_changed_instruction(built):
    text = "FROM busybox\nRUN echo one\n"
    build(built, text)
    assert "Using cache" not in build(built, text, "--no-cache")
    shown = build(built, "FROM busybox\nRUN echo two\n", "--explain-cache")
    assert "the instruction is new here" in shown


def test_cache_from_another_image(built):
    text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid > /when\nENV A=1\n"
    build(built, text, "-t", "cached:1")
    kept = subprocess.run(
        built.argv("save", "cached:1"), env=built.env, capture_output=True, check=True
    ).stdout
    with running_lab() as other:
        subprocess.run(
            other.argv("load"), env=other.env, input=kept, check=True, capture_output=True
        )
        assert "Using cache" not in build(other, text)
    with running_lab() as other:
        subprocess.run(
            other.argv("load"), env=other.env, input=kept, check=True, capture_output=True
        )
        shown = build(other, text, "--cache-from", "cached:1", "-t", "again:1")
        assert shown.count("Using cache") == 2
        assert run(other, "again:1", "cat", "/when") == run(other, "cached:1", "cat", "/when")


# Stages


def test_what_the_target_does_not_need_is_not_built(built):
    text = (
        "FROM busybox AS needed\nRUN echo 1 > /f\nFROM busybox AS unneeded\nRUN exit 9\n"
        "FROM scratch\nCOPY --from=needed /f /\n"
    )
    assert "exit 9" not in build(built, text)
    assert "exit 9" in build(built, text, "--target", "unneeded", code=9)
    assert 'target stage "nope" could not be found' in build(
        built, text, "--target", "nope", code=1
    )


def test_independent_stages_run_side_by_side(built):
    """Each of the two waits for the other, through a folder they share."""
    mount = "--mount=type=cache,target=/meet"
    wait = "for i in $(seq 100); do [ -e /meet/{} ] && exit 0; sleep 0.1; done; exit 1"
    text = (
        f"FROM busybox AS a\nRUN {mount} touch /meet/a; {wait.format('b')}\n"
        f"FROM busybox AS b\nRUN {mount} touch /meet/b; {wait.format('a')}\n"
        "FROM busybox\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n"
    )
    build(built, text)


# Forms that only BuildKit knows


def test_mounts_of_run(built, tmp_path):
    (tmp_path / "secret").write_text("hidden")
    folder = write(
        tmp_path,
        Dockerfile=(
            "FROM busybox\n"
            "RUN --mount=type=secret,id=s cp /run/secrets/s /seen && ls -l /run/secrets/s > /mode\n"
            "RUN --mount=type=tmpfs,target=/t touch /t/x\n"
            "RUN --mount=type=bind,source=d,target=/ctx cat /ctx/f > /bound && ! touch /ctx/g\n"
            "RUN --mount=type=cache,target=/c echo x >> /c/kept\n"
            "RUN --mount=type=cache,target=/c wc -l < /c/kept > /count\n"
            "RUN --network=none ip -o link > /links\n"
        ),
        d__f="from the context",
    )
    secret = f"id=s,src={tmp_path}/secret"
    built.cli("build", "-t", "mounts", "--secret", secret, folder, check=True)
    assert run(built, "mounts", "cat", "/seen", "/bound") == "hiddenfrom the context"
    assert run(built, "mounts", "cat", "/mode").startswith("-r--------")
    assert run(built, "mounts", "cat", "/count").strip() == "1"
    left = set(run(built, "mounts", "ls", "/").split())
    assert not left & {"t", "ctx", "c", "run"}, "mount points are no part of the image"
    assert "hidden" not in built.cli("history", "--no-trunc", "mounts").stdout


def test_a_required_secret_is_asked_for(built):
    text = "FROM busybox\nRUN --mount=type=secret,id=s,required true\n"
    assert "secret s is required: give it with --secret id=s" in build(built, text, code=1)


def test_a_heredocs_file_is_as_old_as_its_layer(built):
    build(built, "FROM busybox\nRUN touch /before\nCOPY <<a /f\nx\na\n", "-t", "old")
    assert run(built, "old", "find", "/f", "-newer", "/etc/passwd") == "/f\n"


def test_heredocs(built):
    text = (
        "FROM busybox\nENV A=1\n"
        "RUN <<EOF\necho one > /a\necho $A >> /a\nEOF\n"
        "RUN cat > /b <<'EOF'\n$A\nEOF\n"
        "RUN <<EOF\n#!/bin/cat\nline\nEOF\n"
        'COPY <<X <<"Y" /c/\nis $A "quoted"\nX\nis $A\nY\n'
    )
    shown = build(built, text, "-t", "heredocs")
    assert "#!/bin/cat\nline" in shown
    assert run(built, "heredocs", "cat", "/a", "/b") == "one\n1\n$A\n"
    assert run(built, "heredocs", "cat", "/c/X", "/c/Y") == 'is 1 "quoted"\nis $A\n'


def test_chmod_exclude_and_link(built, tmp_path):
    folder = write(
        tmp_path,
        Dockerfile=(
            "FROM busybox\nRUN mkdir /real && ln -s /real /l\n"
            "COPY --chmod=0640 --exclude=*.md d /c/\nCOPY --link d/f /l/\n"
        ),
        d__f="1",
        d__g="2",
        d__x_md="",
    )
    (tmp_path / "d/a.md").write_text("")
    built.cli("build", "-t", "flags", folder, check=True)
    assert run(built, "flags", "ls", "/c").split() == ["f", "g", "x_md"]
    assert run(built, "flags", "stat", "-c", "%a", "/c/f").strip() == "640"
    assert run(built, "flags", "stat", "-c", "%F", "/l").strip() == "directory"


# ADD of URLs


class Files(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        self.send_response(404 if self.path == "/nothing" else 200)
        if self.path == "/named/":
            self.send_header("Content-Disposition", 'attachment; filename="name.txt"')
        self.send_header("Last-Modified", "Tue, 01 Mar 2022 00:00:00 GMT")
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


@pytest.fixture
def site():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_add_of_a_url(built, site):
    digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    flag = f"--checksum=sha256:{digest}"
    build(built, f"FROM busybox\nADD {flag} {site}/d/file.txt /got/\n", "-t", "url")
    shown = run(built, "url", "stat", "-c", "%a %Y %s", "/got/file.txt")
    assert shown.split() == ["600", "1646092800", "5"]


def test_add_of_a_url_without_a_files_name(built, site):
    build(built, f"FROM busybox\nADD {site}/ /a\nADD {site}/named/ /b/\n", "-t", "url")
    assert run(built, "url", "cat", "/a", "/b/name.txt") == "hellohello"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("ADD --checksum=sha256:" + "0" * 64 + " {}/d/file.txt /", "digest mismatch"),
        ("ADD {}/nothing /", "404"),
        ("ADD {}/ /", "cannot determine filename"),
        ("ADD {}/loop /", "cannot fetch"),
        ("ADD http://127.0.0.1:1/x /", "http://127.0.0.1:1/x: Connection refused"),
    ],
)
def test_add_of_a_url_that_goes_wrong(built, site, line, why):
    assert why in build(built, f"FROM busybox\n{line.format(site)}\n", code=1)


# Contexts, and the command


def test_a_tar_on_stdin_and_a_dockerfile_elsewhere(built, tmp_path):
    folder = write(tmp_path, sub__My="FROM busybox\nCOPY a /\n", a="x")
    packed = subprocess.run(["tar", "-C", folder, "-cz", "."], capture_output=True, check=True)
    done = subprocess.run(
        built.argv("build", "-q", "-f", "sub/My", "-"),
        env=built.env,
        input=packed.stdout,
        capture_output=True,
        check=False,
    )
    assert done.stdout.startswith(b"sha256:"), done.stderr
    built.cli("build", "-f", f"{folder}/sub/My", folder, check=True)
    outside = tmp_path.parent / "Outside"
    outside.write_text("FROM busybox\nCOPY a /b\n")
    built.cli("build", "-f", str(outside), folder, check=True)
    built.cli("build", "-f", "-", folder, input="FROM busybox\nCOPY a /c\n", check=True)


def test_a_dockerfile_at_a_url(built, site):
    done = built.cli("build", f"{site}/d/file.txt")
    assert "archive" in done.stderr or "dockerfile" in done.stderr.lower()


def test_iidfile_labels_and_tags(built, tmp_path):
    iid = str(tmp_path / "iid")
    shown = build(
        built, "FROM busybox\n", "--label", "a=b c'd", "-t", "l:1", "-t", "l:2", "--iidfile", iid
    )
    assert shown.endswith("Successfully tagged l:1\nSuccessfully tagged l:2\n")
    (image,) = json.loads(built.cli("inspect", "l:2", check=True).stdout)
    assert image["Config"]["Labels"]["a"] == "b c'd"
    assert (tmp_path / "iid").read_text() == image["Id"]


def test_limits_reach_run(built):
    folder = "/sys/fs/cgroup"
    text = (
        f"FROM busybox\nRUN cat {folder}/memory/memory.limit_in_bytes "
        f"{folder}/memory.max 2>/dev/null | head -1\n"
    )
    assert "67108864" in build(built, text, "-m", "64m", "--no-cache")


def test_progress_tty_has_a_line_for_each_step(built):
    shown = build(built, "FROM busybox\nRUN echo words\n", "--progress", "tty", "--no-cache")
    assert "[1/2] FROM busybox" in shown
    assert "[2/2] RUN echo words" in shown


def test_a_failure_has_the_commands_exit_code_and_place(built):
    shown = build(built, "FROM busybox\n\nRUN echo out; exit 5\n", code=5)
    assert "The command '/bin/sh -c echo out; exit 5' returned a non-zero code: 5" in shown
    assert "Dockerfile:3" in shown
    assert built.api("GET", "/containers/json?all=1")[1] == []


def test_prune(built):
    text = "FROM busybox\nRUN --mount=type=cache,target=/p head -c 1000 /dev/zero >/p/f\n"
    built.api("POST", "/build/prune")  # what other tests have left
    build(built, text)
    status, answer = built.api("POST", "/build/prune")
    assert status == 200
    assert answer["SpaceReclaimed"] == 1000
    build(built, text, "--no-cache")
    summary = built.cli("system", "df", check=True).stdout.splitlines()[-1]
    assert summary.split() == ["Build", "Cache", "1", "0", "1kB", "1kB", "(100%)"]
    shown = built.cli("system", "df", "-v", check=True).stdout
    heading, row = shown.partition("Build cache usage: 1kB\n\n")[2].splitlines()
    assert heading.split() == ["CACHE", "ID", "CACHE", "TYPE", "SIZE", "LAST", "USED"]
    assert row.split()[1:3] == ["exec.cachemount", "1kB"]
    pruned = built.cli("system", "prune", "-f", check=True).stdout
    assert f"Deleted Caches:\n{row.split()[0]}" in pruned
    assert built.api("GET", "/system/df")[1]["BuildCache"] == []


# Docker's own clients


def test_docker_py(built):
    client = docker.DockerClient(base_url=f"unix://{built.socket}")
    image, log = client.images.build(
        fileobj=io.BytesIO(b"FROM busybox\nARG A\nRUN echo $A\nLABEL x=y\n"),
        tag="py:1",
        buildargs={"A": "given"},
        rm=True,
    )
    assert "py:1" in image.tags
    assert any("given" in entry.get("stream", "") for entry in log)
    with pytest.raises(docker.errors.BuildError, match="non-zero code: 3"):
        client.images.build(fileobj=io.BytesIO(b"FROM busybox\nRUN exit 3\n"))
    client.close()


@pytest.mark.parametrize("program", ["docker", "/usr/bin/docker"])
def test_dockers_command(built, tmp_path, program):
    """The classic builder is what the command speaks, asked for it or not."""
    folder = write(tmp_path, Dockerfile="FROM busybox\nCOPY a /\nRUN cat /a\n", a="content\n")
    env = built.env | {
        "DOCKER_HOST": f"unix://{built.socket}",
        "DOCKER_BUILDKIT": "0",
        "DOCKER_CONFIG": str(tmp_path / "config"),
    }
    done = subprocess.run(
        [program, "build", "--no-cache", "-t", "cli:1", folder],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "content\n" in done.stdout
    assert done.stdout.endswith("Successfully tagged cli:1\n")


# What is hostile


def tar_of(*members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, kind, link in members:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            data = (
                b"FROM busybox\nCOPY . /x\n"
                if name == "Dockerfile" and kind == tarfile.REGTYPE
                else b""
            )
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


DOCKERFILE = ("Dockerfile", tarfile.REGTYPE, "")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (tar_of(DOCKERFILE, ("../../etc/evil", tarfile.REGTYPE, "")), "leads out of the image"),
        (tar_of(DOCKERFILE, ("dev", tarfile.CHRTYPE, "")), "is a device"),
        (tar_of(DOCKERFILE, ("h", tarfile.LNKTYPE, "/etc/passwd")), "which is not there"),
        (
            tar_of(DOCKERFILE, ("l", tarfile.SYMTYPE, "/etc"), ("l/evil", tarfile.REGTYPE, "")),
            "is below 'l', which is not a folder",
        ),
        (tar_of(("Dockerfile", tarfile.SYMTYPE, "/etc/passwd")), "Cannot locate specified"),
        (tar_of(("Dockerfile", tarfile.SYMTYPE, "Dockerfile")), "too many symbolic links"),
        (tar_of(DOCKERFILE)[:520], "'Dockerfile' ends 15 bytes too early"),
        (b"\x1f\x8b\x08" + b"junk" * 500, "damaged"),
        (b"no archive at all" * 100, "refused"),
        (b"", "the archive is empty"),
        (tar_of((".", tarfile.DIRTYPE, "")), "Cannot locate specified Dockerfile: Dockerfile"),
    ],
)
def test_a_hostile_context_is_refused(built, data, why):
    from tests.lab import UnixConnection  # noqa: PLC0415

    connection = UnixConnection(built.socket, 30)
    connection.request("POST", "/build", data, {"Content-Type": "application/x-tar"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 400, text
    assert why in text
    assert os.listdir(f"{built.root}/build/rooms") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("FROM busybox\nCOPY --from=busybox ../../../etc/nothing /\n", "file does not exist"),
        ("FROM busybox\nRUN --mount=type=bind,from=busybox,source=/etc/none,target=/x true\n", ""),
        ("FROM busybox\nRUN --mount=type=cache,target=/proc/x true\n", "inside /proc"),
        ("FROM busybox\nRUN --mount=type=evil,target=/x true\n", "type evil is not known"),
        ("FROM busybox\nRUN --network=container:x true\n", "it must be one of"),
        ("FROM busybox\nADD file:///etc/passwd /\n", "file does not exist"),
        ("FROM busybox\nRUN rm -rf /tmp && ln -s /../../.. /tmp\nCOPY <<a /tmp/evil\nx\na\n", None),
        ("FROM --platform=linux/s390x busybox\n", "was asked for"),
        ("FROM busybox\nCOPY --chmod=99999 <<a /x\na\n", "invalid chmod"),
    ],
)
def test_a_hostile_dockerfile_stays_inside(built, text, why):
    """`why` is None for what is no mistake, and yet must lead nowhere."""
    shown = build(built, text, code=0 if why is None else 1)
    assert (why or "") in shown
    assert not os.path.exists("/evil")
