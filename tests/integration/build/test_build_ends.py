"""A build that is cut off, by its client or with its daemon, leaves nothing behind."""

import contextlib
import http.server
import os
import signal
import subprocess
import threading
import time

import pytest

from tests.lab import Lab, running_lab

pytestmark = pytest.mark.root

TEXT = "FROM busybox\nRUN echo kept > /kept\nRUN echo begun; sleep 60\n"


@pytest.fixture
def lab():
    with running_lab() as one:
        yield one


def begin(lab: Lab, text: str = TEXT) -> "subprocess.Popen[str]":
    """A build that is in the middle of its RUN when this returns."""
    build = subprocess.Popen(
        lab.argv("build", "--progress", "plain", "-t", "never:1", "-"),
        env=lab.env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    build.stdin.write(text)
    build.stdin.close()
    for line in build.stdout:
        if line == "begun\n":
            return build
    raise AssertionError(f"the build ended: {build.wait()}")


def containers(lab: Lab) -> object:
    return lab.api("GET", "/containers/json?all=1")[1]


def until(condition, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def images(lab: Lab) -> list[str]:
    return lab.cli("images", "-aq", check=True).stdout.split()


def test_ctrl_c_ends_the_build_and_its_container(lab):
    build = begin(lab)
    assert containers(lab)
    build.send_signal(signal.SIGINT)
    assert build.wait(10) == 130
    until(lambda: containers(lab) == [])
    until(lambda: os.listdir(f"{lab.root}/build/rooms") == [])
    assert len(images(lab)) == 2, "the base, and the step that was finished"
    assert lab.api("GET", "/images/never:1/json")[0] == 404


class Drip(http.server.BaseHTTPRequestHandler):
    """Gives a byte now and then, without end."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(b"x")
                time.sleep(0.05)

    def log_message(self, *_):
        self.server.asked.set()


def test_ctrl_c_ends_a_download(lab):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Drip) as server:
        server.daemon_threads, server.asked = True, threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        build = subprocess.Popen(
            lab.argv("build", "-"),
            env=lab.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        build.stdin.write(f"FROM busybox\nADD http://127.0.0.1:{server.server_port}/x /x\n")
        build.stdin.close()
        assert server.asked.wait(10)
        build.send_signal(signal.SIGINT)
        assert build.wait(10) == 130
        until(lambda: os.listdir(f"{lab.root}/build/rooms") == [])
        server.shutdown()


def test_a_stage_that_fails_ends_the_others(lab):
    text = (
        "FROM busybox AS slow\nRUN sleep 60\nFROM busybox AS quick\nRUN sleep 0.5; exit 4\n"
        "FROM busybox\nCOPY --from=slow /etc/passwd /a\nCOPY --from=quick /etc/passwd /b\n"
    )
    before = time.monotonic()
    done = lab.cli("build", "-", input=text)
    assert done.returncode == 4, done.stdout + done.stderr
    assert time.monotonic() - before < 20
    assert containers(lab) == []


def test_kill_9_of_the_daemon_leaves_nothing_half_visible(lab):
    build = begin(lab)
    lab.kill_daemon()
    assert build.wait(10) == 1
    lab.start_daemon()
    assert containers(lab) == []
    assert os.listdir(f"{lab.root}/build/rooms") == []
    assert os.listdir(f"{lab.root}/staging") == []
    assert len(images(lab)) == 2
    quick = lab.cli("build", "-", input=TEXT.replace("sleep 60", "true"), check=True).stdout
    assert quick.count("Using cache") == 1, "what was finished before is used again"


def test_a_daemon_that_is_asked_to_end_does_not_wait_for_a_build(lab):
    build = begin(lab)
    started = time.monotonic()
    lab.stop_daemon()
    assert time.monotonic() - started < 30, "RUN sleeps for a minute"
    assert build.wait(20) != 0
    lab.start_daemon()
    until(lambda: containers(lab) == [])
    assert lab.cli("image", "inspect", "never:1").returncode != 0
