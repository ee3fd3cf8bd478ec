"""docker-compose, as Debian has it: two services up, one restarted, their logs, and down."""

import json
import os
import shutil
import subprocess

import pytest

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not shutil.which("docker-compose"), reason="needs docker-compose"),
]

PROJECT = """
version: "2.4"
services:
  web:
    image: busybox
    network_mode: none
    restart: always
    command: sh -c 'echo web-up; trap "exit 0" TERM; while :; do sleep 0.1; done'
  job:
    image: busybox
    network_mode: none
    volumes: ["data:/data"]
    command: sh -c 'cat /data/seen; echo job-was-here > /data/seen; sleep 0.5; echo job-done'
volumes:
  data:
"""

SERVICES = """
version: "2.4"
services:
  web:
    image: busybox
    networks: {back: {aliases: [site]}}
    command: sleep 1000
  asks:
    image: busybox
    networks: [back]
    links: ["web:shop"]
    command: sleep 1000
networks:
  back:
"""


@pytest.fixture
def compose(lab, tmp_path):
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    env = os.environ | {"DOCKER_HOST": f"unix://{lab.socket}", "COMPOSE_PROJECT_NAME": "pair"}

    def call(*arguments: str) -> str:
        ended = subprocess.run(
            ["docker-compose", "--no-ansi", *arguments],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return call


def states(lab):
    listed = lab.api("GET", "/containers/json?all=1")[1]
    return {container["Names"][0].split("_")[1]: container["State"] for container in listed}


def test_two_services(compose, lab):
    compose("up", "-d")
    assert states(lab)["web"] == "running"
    shown = compose("exec", "-T", "web", "echo", "hello from web")
    assert shown == "hello from web\n"
    compose("restart", "-t", "2", "web")
    # In the foreground, until the job has ended: the logs of both, as they come.
    attached = compose("up", "--abort-on-container-exit")
    assert "job-was-here" in attached  # from the volume, written by the run before
    assert "job-done" in attached
    assert attached.count("web-up") == 2
    assert states(lab) == {"web": "exited", "job": "exited"}
    compose("start", "web")
    assert compose("logs", "web").count("web-up") == 3
    pids = json.dumps(lab.api("GET", "/containers/pair_web_1/top")[1])
    assert "sh -c echo web-up" in pids
    compose("down", "-v", "-t", "2")
    assert states(lab) == {}
    assert not lab.api("GET", "/volumes")[1]["Volumes"]


def test_services_call_each_other_by_name(compose, lab, tmp_path):
    (tmp_path / "docker-compose.yml").write_text(SERVICES)
    compose("up", "-d", "-t", "0", "--scale", "web=2")
    asked = {
        name: compose("exec", "-T", "asks", "nslookup", name).split("answer:\n")[1]
        for name in ("web", "site", "shop", "pair_web_1")
    }
    assert asked["web"].count("Address: ") == asked["site"].count("Address: ") == 2
    assert asked["shop"].count("Address: ") == asked["pair_web_1"].count("Address: ") == 1
    # In turn: one asks twice, and is answered with each of the two first.
    first, second = (
        compose("exec", "-T", "asks", "ping", "-c", "1", "web").split(")")[0] for _ in range(2)
    )
    assert first != second
    compose("down", "-t", "0")
    assert states(lab) == {}
