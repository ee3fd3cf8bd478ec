"""What a build is asked for beside its files: platforms, names, labels, secrets."""

import json
import os
import subprocess
import tempfile

import pytest

from tests.lab import running_lab

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def lab():
    with running_lab() as lab:
        yield lab


def build(lab, text, *flags, code=0, program="labkit"):
    """Build a Dockerfile that comes on stdin; what was printed."""
    if program == "docker":
        server = {"DOCKER_HOST": f"unix://{lab.socket}", "DOCKER_BUILDKIT": "0"}
        # The command now and then leaves the Dockerfile that it was given on stdin there.
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                ["docker", "build", *flags, "-"],
                env=os.environ | server | {"TMPDIR": folder},
                input=text,
                capture_output=True,
                text=True,
                check=False,
            )
    else:
        done = lab.cli("build", *flags, "-", input=text)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def inspected(lab, image):
    (found,) = json.loads(lab.cli("inspect", image, check=True).stdout)
    return found


CROSS = (
    "FROM --platform=$BUILDPLATFORM busybox AS b\nARG TARGETPLATFORM\nARG TARGETVARIANT\n"
    "RUN echo $TARGETPLATFORM $TARGETVARIANT > /for\nFROM scratch\nLABEL a=b\n"
    "COPY --from=b /for /\n"
)


@pytest.mark.parametrize("program", ["labkit", "docker"])
def test_an_image_for_another_machine(lab, program):
    for variant in ("v7", "v6"):
        flags = ("--platform", f"linux/arm/{variant}", "-t", "cross")
        build(lab, CROSS, *flags, program=program)
        found = inspected(lab, "cross")
        assert (found["Architecture"], found["Variant"]) == ("arm", variant)
    build(lab, CROSS, "-t", "cross")
    assert inspected(lab, "cross")["Architecture"] == inspected(lab, "busybox")["Architecture"]


def test_an_image_that_is_here_for_this_machine_alone(lab):
    shown = build(lab, "FROM busybox\n", "--platform", "linux/s390x", code=1)
    assert "linux/s390x was asked for" in shown


@pytest.mark.parametrize(
    ("flags", "code", "why"),
    [
        (["-t", "Upper"], 1, "must be lowercase"),
        (["-t", "a:b:c"], 1, "invalid reference format"),
        (["--label", "=x"], 1, "empty name"),
        (["--build-arg", "=x"], 125, '"=x" for "--build-arg"'),
        (["--secret", "id=s,env=LABKIT_NO_SUCH"], 1, "there is no variable LABKIT_NO_SUCH"),
        (["--platform", "linux/a/b/c"], 1, "platform specifier"),
    ],
)
def test_what_cannot_be_is_refused_before_the_build(lab, flags, code, why):
    shown = build(lab, "FROM busybox\n", *flags, code=code)
    assert why in shown
    assert "Step 1" not in shown


def test_security_options_are_refused(lab):
    flags = ("--security-opt", "seccomp=unconfined")
    shown = build(lab, "FROM busybox\n", *flags, code=1, program="docker")
    assert "does not support security options" in shown


def test_an_argument_that_no_arg_names_is_said(lab):
    shown = build(lab, "FROM busybox\n", "--build-arg", "B=1", "--build-arg", "A=2")
    assert "[Warning] One or more build-args [A B] were not consumed" in shown


@pytest.mark.parametrize("program", ["labkit", "docker"])
def test_a_quiet_build_that_fails_says_what_it_has_to_say(lab, program):
    text = "FROM busybox\nRUN echo what is wr''ong; exit {}\n"
    assert "what is wrong\n" in build(lab, text.format(5), "-q", code=5, program=program)
    assert "what is wrong" not in build(lab, text.format(0), "-q", program=program)


def test_limits_of_processes_and_memory_nodes(lab):
    text = "FROM busybox\nRUN ulimit -n; grep Mems_allowed_list /proc/self/status\n"
    shown = build(lab, text, "--ulimit", "nofile=99:100", "--cpuset-mems", "0")
    assert "\n99\nMems_allowed_list:\t0\n" in shown
    assert "NAME=SOFT" in build(lab, text, "--ulimit", "nofile", code=125)


# RUN --mount


def test_what_is_mounted_counts_for_the_cache_by_its_content(lab, tmp_path):
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox AS made\nCOPY b /b\n"
        "FROM busybox\n"
        "RUN --mount=type=bind,source=a,target=/a cp /a /from-context\n"
        "RUN --mount=from=made,target=/m cp /m/b /from-stage\n"
    )
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("1")
    words = ("build", "--explain-cache", "-t", "mounted", str(tmp_path))
    lab.cli(*words, check=True)
    os.utime(tmp_path / "a", (1, 1))
    assert lab.cli(*words, check=True).stdout.count("Cache hit") == 3
    (tmp_path / "b").write_text("2")
    shown = lab.cli(*words, check=True).stdout
    assert shown.count("Cache hit") == 1  # what is mounted of the context
    assert "Cache miss: the mounted files differ" in shown
    (tmp_path / "a").write_text("3")
    lab.cli(*words, check=True)
    files = ("cat", "/from-context", "/from-stage")
    shown = lab.cli("run", "--rm", "--network", "none", "mounted", *files, check=True).stdout
    assert shown == "32"


def test_a_cache_that_begins_with_files(lab):
    mount = "--mount=type=cache,id=filled,target=/c,from=made,source=/d"
    text = (
        "FROM busybox AS made\nRUN mkdir /d && echo first > /d/f\n"
        f"FROM busybox\nRUN {mount} cat /c/f && echo second > /c/f\nRUN {mount} cat /c/f #\n"
    )
    shown = build(lab, text).splitlines()
    assert shown.index("first") < shown.index("second")


def test_a_cache_that_could_not_be_filled_is_none(lab):
    text = "FROM busybox AS made\nRUN mkdir /d && echo first > /d/f\nFROM busybox\nRUN {}\n"
    mount = "--mount=type=cache,id=tried,target=/c,from=made,source={}"
    build(lab, text.format(f"{mount.format('/nosuch')} true"), code=1)
    assert "first" in build(lab, text.format(f"{mount.format('/d')} cat /c/f"))


def test_a_private_cache_that_is_in_use_has_a_like(lab):
    """Each of two stages waits for the other, so one of them has the cache, and one its like."""
    wait = "for i in $(seq 100); do [ -e /meet/{} ] && break; sleep 0.1; done"
    mounts = (
        "--mount=type=cache,target=/meet "
        "--mount=type=cache,target=/p,sharing=private,mode=0710,uid=5"
    )
    stage = "FROM busybox AS {0}\nRUN {1} touch /meet/{0}; {2}; stat -c %a:%u /p > /seen\n"
    text = (
        stage.format("a", mounts, wait.format("b"))
        + stage.format("b", mounts, wait.format("a"))
        + "FROM busybox\nCOPY --from=a /seen /a\nCOPY --from=b /seen /b\nRUN cat /a /b\n"
    )
    assert build(lab, text).splitlines().count("710:5") == 2


@pytest.mark.parametrize(
    ("mount", "why"),
    [
        ("type=cache,target=/c,source=d", "source says where in from"),
        ("type=ssh,required", "unset ssh forward key default"),
        ("type=bind,target=/x,rw=maybe", "invalid value for readwrite: maybe"),
    ],
)
def test_mounts_that_are_refused(lab, mount, why):
    assert why in build(lab, f"FROM busybox\nRUN --mount={mount} true\n", code=1)


def test_a_volume_without_a_slash_is_below_the_root(lab):
    build(lab, "FROM busybox\nVOLUME rel\n", "-t", "relative")
    words = ("run", "--rm", "--network", "none", "relative", "grep", "-c", " /rel ", "/proc/mounts")
    assert lab.cli(*words, check=True).stdout == "1\n"


# Stages


@pytest.mark.parametrize(
    "line", ["COPY --from=this /etc/passwd /p", "RUN --mount=from=this,target=/x true"]
)
def test_a_circle_of_stages_is_refused_with_its_place(lab, line):
    shown = build(lab, f"FROM busybox AS this\n{line}\nFROM busybox AS later\n", code=1)
    assert "circular dependency detected on stage: this" in shown
    assert f"Dockerfile:2: {line}" in shown


def test_a_stage_copies_from_a_later_one(lab):
    text = (
        "FROM busybox AS early\nCOPY --from=later /f /g\nFROM busybox AS later\nRUN echo x > /f\n"
    )
    build(lab, f"{text}FROM early\n", "-t", "early")
    assert lab.cli("run", "--rm", "--network", "none", "early", "cat", "/g").stdout == "x\n"


def test_a_trigger_of_an_image_copies_from_a_stage(lab):
    build(lab, "FROM busybox\nONBUILD COPY --from=made /f /g\n", "-t", "triggering")
    text = "FROM busybox AS made\nRUN sleep 0.5; echo x > /f\nFROM triggering\n"
    build(lab, text, "-t", "triggered")
    assert lab.cli("run", "--rm", "--network", "none", "triggered", "cat", "/g").stdout == "x\n"


def test_a_trigger_keeps_its_heredocs(lab):
    text = (
        "FROM busybox\nONBUILD RUN <<A\necho $HOME > /r\nA\n"
        "ONBUILD COPY <<'A' <<B /c/\n$HOME\nA\nb\nB\nENV LAST=1\n"
    )
    build(lab, text, "-t", "keeping")
    assert inspected(lab, "keeping")["Config"]["Env"][-1] == "LAST=1"
    build(lab, "FROM keeping\n", "-t", "kept")
    files = ("cat", "/r", "/c/A", "/c/B")
    shown = lab.cli("run", "--rm", "--network", "none", "kept", *files, check=True).stdout
    assert shown == "/root\n$HOME\nb\n"


# COPY --chmod


def test_a_mode_in_letters(lab, tmp_path):
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nARG MODE=u=rwX,go=rX\nCOPY --chmod=$MODE d /d\nCOPY --chmod=+x d/f /f\n"
    )
    (tmp_path / "d").mkdir(0o700)
    (tmp_path / "d/f").write_text("")
    (tmp_path / "d/f").chmod(0o600)
    lab.cli("build", "-t", "letters", str(tmp_path), check=True)
    words = ("stat", "-c", "%a", "/d", "/d/f", "/f")
    shown = lab.cli("run", "--rm", "--network", "none", "letters", *words, check=True).stdout
    assert shown.split() == ["755", "644", "711"]
