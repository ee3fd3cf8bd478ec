"""The Docker API of a real daemon, byte by byte."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api import (
    TIMEOUT_S,
    Raw,
    attach,
    create,
    create_body,
    frames,
    joined,
    run,
)
from tests.containers import wait_until

pytestmark = pytest.mark.root


class TestLifecycle:
    def test_create_start_wait_inspect_remove(self, lab):
        container_id = create(lab, "sh", "-c", "echo out; echo err >&2; exit 7", name="life")
        _, created = lab.api("GET", "/containers/life/json")
        assert created["State"]["Status"] == "created"
        assert lab.api("POST", "/containers/life/start")[0] == 204
        status, ended = lab.api("POST", "/containers/life/wait")
        assert (status, ended) == (200, {"StatusCode": 7})
        _, shown = lab.api("GET", f"/containers/{container_id[:12]}/json")
        assert shown["Name"] == "/life"
        assert shown["State"]["Status"] == "exited"
        assert shown["State"]["ExitCode"] == 7
        assert shown["State"]["FinishedAt"] > shown["State"]["StartedAt"] > created["Created"]
        assert os.path.exists(shown["LogPath"])
        assert os.path.isdir(shown["GraphDriver"]["Data"]["UpperDir"])
        assert all(map(os.path.isdir, shown["GraphDriver"]["Data"]["LowerDir"].split(":")))
        assert lab.api("DELETE", "/containers/life")[0] == 204
        assert lab.api("GET", "/containers/life/json")[0] == 404

    def test_the_list(self, lab):
        running = run(lab, "sleep", "100", name="up", Labels={"a": "b"})
        create(lab, "true", name="new")
        _, listed = lab.api("GET", "/containers/json")
        assert [entry["Id"] for entry in listed] == [running]
        assert listed[0]["Status"].startswith("Up ")
        assert listed[0]["Command"] == "sleep 100"
        _, listed = lab.api("GET", "/containers/json?all=1")
        assert [entry["Names"] for entry in listed] == [["/new"], ["/up"]]
        _, info = lab.api("GET", "/info")
        assert (info["Containers"], info["ContainersRunning"]) == (2, 1)

    def test_states_that_do_not_fit(self, lab):
        run(lab, "sleep", "100", name="busy")
        assert lab.api("POST", "/containers/busy/start")[0] == 304
        assert lab.api("DELETE", "/containers/busy")[0] == 409
        status, answer = lab.api("POST", "/containers/create?name=busy", create_body("true"))
        assert status == 409
        assert "is already in use" in answer["message"]
        assert lab.api("POST", "/containers/busy/kill?signal=KILL")[0] == 204
        assert lab.api("POST", "/containers/busy/wait")[1] == {"StatusCode": 137}
        assert lab.api("POST", "/containers/busy/kill")[0] == 409
        assert lab.api("POST", "/containers/busy/stop")[0] == 304

    def test_stop_is_a_signal_and_then_the_end(self, lab):
        script = "trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done"
        run(lab, "sh", "-c", script, name="polite")
        with Raw(lab, b"GET /containers/polite/logs?stdout=1&follow=1 HTTP/1.1\r\n\r\n") as log:
            log.head()
            assert log.socket.recv(1)  # the trap is set
        assert lab.api("POST", "/containers/polite/stop?t=10")[0] == 204
        assert lab.api("GET", "/containers/polite/json")[1]["State"]["ExitCode"] == 3
        run(lab, "sleep", "100", name="deaf")
        begin = time.monotonic()
        assert lab.api("POST", "/containers/deaf/stop?t=1")[0] == 204
        assert 0.9 < time.monotonic() - begin < 9  # without ?t= it would be ten
        assert lab.api("GET", "/containers/deaf/json")[1]["State"]["ExitCode"] == 137

    def test_a_command_that_is_not_there(self, lab):
        container_id = create(lab, "nosuch")
        status, answer = lab.api("POST", f"/containers/{container_id}/start")
        assert status == 400
        extras = answer["labkit"]
        assert (extras["exit_code"], extras["step"]) == (127, "exec")
        assert extras["steps"][-1]["Error"]
        assert "executable file not found" in answer["message"]

    def test_limits_out_of_range(self, lab):
        status, answer = lab.api("POST", "/containers/create", create_body("true", Memory=1))
        assert (status, answer) == (400, {"message": "Minimum memory limit allowed is 6MB"})
        assert lab.api("GET", "/containers/json?all=1")[1] == []

    def test_steps_and_ablations(self, lab):
        _, answer = lab.api(
            "POST",
            "/containers/create?name=bare",
            create_body("true") | {"Labkit": {"Without": ["seccomp"]}},
        )
        assert "seccomp" in answer["Warnings"][0]
        assert lab.api("GET", "/containers/bare/steps") == (200, [])
        lab.api("POST", "/containers/bare/start")
        lab.api("POST", "/containers/bare/wait")
        names = [step["Step"] for step in lab.api("GET", "/containers/bare/steps")[1]]
        assert "exec" in names
        assert "seccomp" not in names
        _, shown = lab.api("GET", "/containers/bare/json")
        assert shown["Labkit"] == {"Without": ["seccomp"]}

    def test_many_clients_at_once(self, lab):
        def live(number: int) -> int:
            container_id = run(lab, "sh", "-c", f"exit {number}")
            _, ended = lab.api("POST", f"/containers/{container_id}/wait")
            assert lab.api("DELETE", f"/containers/{container_id}")[0] == 204
            return ended["StatusCode"]

        with ThreadPoolExecutor(8) as clients:
            assert list(clients.map(live, range(24))) == list(range(24))
        assert lab.api("GET", "/containers/json?all=1")[1] == []


class TestWait:
    @pytest.mark.parametrize("condition", ["next-exit", "removed"])
    def test_is_armed_when_its_head_arrives(self, lab, condition):
        """As `docker run --rm` does it: wait, start a container that ends at once, get its code."""
        for _ in range(10):
            container_id = create(lab, "sh", "-c", "exit 5")
            path = f"/containers/{container_id}/wait?condition={condition}"
            with Raw(lab, f"POST {path} HTTP/1.0\r\n\r\n".encode()) as waiting:
                waiting.head()
                assert lab.api("POST", f"/containers/{container_id}/start")[0] == 204
                if condition == "removed":
                    lab.api("POST", f"/containers/{container_id}/wait")
                    assert lab.api("DELETE", f"/containers/{container_id}")[0] == 204
                assert json.loads(waiting.rest()) == {"StatusCode": 5}

    def test_a_failed_start_of_a_container_that_removes_itself(self, lab):
        body = create_body("nosuch", AutoRemove=True)
        container_id = lab.api("POST", "/containers/create", body)[1]["Id"]
        request = f"POST /containers/{container_id}/wait?condition=removed HTTP/1.0\r\n\r\n"
        with Raw(lab, request.encode()) as waiting:
            waiting.head()
            assert lab.api("POST", f"/containers/{container_id}/start")[0] == 400
            assert json.loads(waiting.rest()) == {"StatusCode": 127}

    def test_clients_that_go_away_leave_no_thread(self, lab):
        container_id = run(lab, "sleep", "100")

        def threads() -> int:
            return len(os.listdir(f"/proc/{lab.daemon_pid()}/task"))

        before = threads()
        for path in (f"{container_id}/wait", f"{container_id}/logs?stdout=1&follow=1"):
            method = "POST" if path.endswith("wait") else "GET"
            for _ in range(5):
                with Raw(lab, f"{method} /containers/{path} HTTP/1.1\r\n\r\n".encode()) as client:
                    client.head()
        deadline = time.monotonic() + TIMEOUT_S
        while threads() > before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert threads() <= before


class TestStreams:
    def test_attached_before_the_start_nothing_is_missed(self, lab):
        container_id = create(lab, "sh", "-c", "echo out; echo err >&2")
        with attach(lab, container_id, "stdout=1&stderr=1") as client:
            head = client.head()
            assert head.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
            assert b"Content-Type: application/vnd.docker.multiplexed-stream\r\n" in head
            lab.api("POST", f"/containers/{container_id}/start")
            assert sorted(frames(client.rest())) == [(1, b"out\n"), (2, b"err\n")]

    def test_input_that_came_with_the_head_reaches_the_container(self, lab):
        container_id = create(lab, "cat", OpenStdin=True, StdinOnce=True)
        with attach(lab, container_id, "stdin=1&stdout=1", b"with the head\n") as client:
            client.head()
            client.socket.sendall(b"after the head\n")
            lab.api("POST", f"/containers/{container_id}/start")
            client.socket.sendall(b"after the start\n")
            client.socket.shutdown(socket.SHUT_WR)
            text = b"with the head\nafter the head\nafter the start\n"
            assert joined(client.rest()) == {1: text}

    def test_output_goes_on_after_the_half_close(self, lab):
        script = "cat; sleep 0.2; echo later"
        container_id = create(lab, "sh", "-c", script, OpenStdin=True, StdinOnce=True)
        with attach(lab, container_id, "stdin=1&stdout=1") as client:
            client.head()
            lab.api("POST", f"/containers/{container_id}/start")
            client.socket.sendall(b"first\n")
            client.socket.shutdown(socket.SHUT_WR)
            assert joined(client.rest()) == {1: b"first\nlater\n"}

    def test_two_clients_of_one_container_and_one_that_leaves(self, lab):
        container_id = run(lab, "sh", "-c", "read x; echo got $x", OpenStdin=True)
        with (
            attach(lab, container_id, "stdout=1") as one,
            attach(lab, container_id, "stdin=1&stdout=1") as two,
        ):
            for client in (one, two):
                client.head()
            with attach(lab, container_id, "stdout=1") as gone:
                gone.head()
            two.socket.sendall(b"it\n")
            assert joined(one.rest()) == joined(two.rest()) == {1: b"got it\n"}

    def test_an_attached_client_survives_the_daemon(self, make_lab):
        lab = make_lab()
        container_id = run(lab, "sh", "-c", "read x; echo got $x", OpenStdin=True)
        with attach(lab, container_id, "stdin=1&stdout=1") as client:
            client.head()
            lab.stop_daemon()
            client.socket.sendall(b"it\n")
            assert joined(client.rest()) == {1: b"got it\n"}

    def test_a_large_output_arrives_whole_and_in_the_log(self, lab):
        container_id = create(lab, "sh", "-c", "seq 1 20000")
        expected = "".join(f"{number}\n" for number in range(1, 20001)).encode()
        with attach(lab, container_id, "stdout=1&stderr=1") as client:
            client.head()
            lab.api("POST", f"/containers/{container_id}/start")
            assert joined(client.rest()) == {1: expected}
        path = f"/containers/{container_id}/logs?stdout=1&stderr=1"
        with Raw(lab, f"GET {path} HTTP/1.0\r\n\r\n".encode()) as client:
            client.head()
            assert joined(client.rest()) == {1: expected}

    def test_logs_are_followed_to_the_end(self, lab):
        script = "echo one; sleep 0.3; echo two >&2"
        container_id = run(lab, "sh", "-c", script)
        path = f"/containers/{container_id}/logs?stdout=1&stderr=1&follow=1"
        with Raw(lab, f"GET {path} HTTP/1.0\r\n\r\n".encode()) as client:
            client.head()
            assert frames(client.rest()) == [(1, b"one\n"), (2, b"two\n")]


def import_request(archive: bytes, chunk_bytes: int) -> Iterator[bytes]:
    yield b"POST /images/create?fromSrc=-&repo=mine&tag=1 HTTP/1.1\r\n"
    yield b"Transfer-Encoding: chunked\r\n\r\n"
    for start in range(0, len(archive), chunk_bytes):
        part = archive[start : start + chunk_bytes]
        yield b"%x\r\n%b\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


class TestImages:
    def test_import_in_odd_chunks_and_run(self, lab, archive):
        with Raw(lab, b"".join(import_request(archive, 77_777))) as client:
            assert b" 200 OK" in client.head()
        _, listed = lab.api("GET", "/images/json?filters=%7B%22reference%22%3A%5B%22mine%22%5D%7D")
        assert listed[0]["RepoTags"] == ["mine:1"]
        body = create_body("sh", "-c", "exit 4") | {"Image": "mine:1"}
        container_id = lab.api("POST", "/containers/create", body)[1]["Id"]
        assert lab.api("DELETE", "/images/mine:1")[0] == 409
        lab.api("POST", f"/containers/{container_id}/start")
        assert lab.api("POST", f"/containers/{container_id}/wait")[1] == {"StatusCode": 4}
        lab.api("DELETE", f"/containers/{container_id}")
        status, report = lab.api("DELETE", "/images/mine:1")
        assert status == 200
        assert [next(iter(entry)) for entry in report] == ["Untagged", "Deleted", "Deleted"]

    @pytest.mark.parametrize("part", [0.0, 0.5, 0.99])
    def test_an_import_that_is_cut_off_leaves_no_image(self, lab, archive, part):
        request = b"".join(import_request(archive, 32_768))
        with Raw(lab, request[: 100 + int(part * len(request))]):
            pass
        with Raw(lab, request[: 100 + int(part * len(request))]) as client:
            client.socket.shutdown(socket.SHUT_WR)
            assert b" 400 " in client.head()
        _, listed = lab.api("GET", "/images/json")
        assert [image["RepoTags"] for image in listed] == [["busybox:latest"]]
        # The first of them has gone without waiting for an answer: it may not be dealt with yet.
        wait_until(lambda: os.listdir(f"{lab.root}/staging") == [], TIMEOUT_S)

    def test_what_is_no_archive_is_refused(self, lab):
        with Raw(lab, b"".join(import_request(b"x" * 5000, 1000))) as client:
            assert b" 400 " in client.head()


class TestBadClients:
    def test_they_harm_no_other(self, lab):
        """Twenty that are slow, twenty that talk nonsense, while containers run to their ends."""
        slow = [Raw(lab, b"POST /containers/create HTTP/1.1\r\nContent-") for _ in range(20)]
        stop = threading.Event()

        def talk_nonsense() -> int:
            count = 0
            while not stop.is_set():
                with Raw(lab, os.urandom(300) + b"\r\n\r\n") as client:
                    client.rest()
                count += 1
                time.sleep(0.01)
            return count

        with ThreadPoolExecutor(2) as clients:
            talking = [clients.submit(talk_nonsense) for _ in range(2)]
            for _ in range(5):
                container_id = run(lab, "true")
                assert lab.api("POST", f"/containers/{container_id}/wait")[1] == {"StatusCode": 0}
            stop.set()
            assert all(future.result() > 0 for future in talking)
        for client in slow:
            client.socket.close()
        assert lab.answers()
