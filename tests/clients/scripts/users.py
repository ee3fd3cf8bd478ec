"""What users write with the clients: each test is a script from beginning to end."""

import asyncio
import io
import json
import subprocess
import sys
import tarfile
import time
import urllib.request
from pathlib import Path

import aiodocker
import docker
import pytest
import python_on_whales
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import wait_for_logs

SERVE = """
from http import server
print("ready", flush=True)
server.test(server.SimpleHTTPRequestHandler, port=80)
"""
PYTHON = "python:3.13-alpine"


def test_docker_py_runs_reads_writes_and_cleans_up():
    client = docker.from_env()
    assert client.containers.run("alpine", ["echo", "hello"], remove=True) == b"hello\n"
    volume = client.volumes.create("script-data")
    client.containers.run(
        "alpine", ["sh", "-c", "echo kept > /data/file"], remove=True,
        volumes={volume.name: {"bind": "/data", "mode": "rw"}},
    )  # fmt: skip
    box = client.containers.run(
        "alpine", ["sleep", "300"], detach=True, labels={"of": "script"}, mem_limit="64m",
        volumes={volume.name: {"bind": "/data", "mode": "ro"}}, environment={"A": "1"},
    )  # fmt: skip
    try:
        assert client.containers.list(filters={"label": "of=script"}) == [box]
        code, output = box.exec_run(
            ["sh", "-c", "cat /data/file; echo $A; echo no >&2"], demux=True
        )
        assert (code, output) == (0, (b"kept\n1\n", b"no\n"))
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            member = tarfile.TarInfo("put")
            member.size = 3
            archive.addfile(member, io.BytesIO(b"put"))
        assert box.put_archive("/tmp", stream.getvalue())
        pieces, facts = box.get_archive("/tmp/put")
        assert facts["size"] == 3
        assert b"put" in b"".join(pieces)
        image = box.commit("script-image", "1")
        assert client.containers.run(image, ["cat", "/tmp/put"], remove=True) == b"put"
        client.images.remove("script-image:1")
        assert box.stats(stream=False)["memory_stats"]["limit"] == 64 << 20
        with pytest.raises(docker.errors.NotFound):
            client.containers.get("nosuch")
    finally:
        box.remove(force=True)
        volume.remove()


def test_docker_py_builds_follows_and_waits():
    client = docker.from_env()
    dockerfile = (
        b"FROM alpine\nARG WHO\nRUN echo $WHO > /who\nCMD for n in 1 2 3; do cat /who; done"
    )
    image, log = client.images.build(
        fileobj=io.BytesIO(dockerfile), tag="script-built", buildargs={"WHO": "me"}, rm=True
    )
    assert any("Successfully" in str(line) for line in log)
    box = client.containers.create(image)
    began = time.time() - 1
    box.start()
    assert box.wait()["StatusCode"] == 0
    assert list(box.logs(stream=True)) and box.logs() == b"me\n" * 3
    events = client.events(since=began, until=time.time() + 1, decode=True)
    assert {"start", "die"} <= {event["Action"] for event in events}
    box.remove()
    client.images.remove("script-built")


def test_aiodocker_attaches_and_talks():
    async def script() -> None:
        async with aiodocker.Docker() as client:
            config = {"Image": "alpine", "Cmd": ["cat"], "OpenStdin": True, "StdinOnce": True}
            box = await client.containers.create(config)
            try:
                stream = box.attach(stdin=True, stdout=True, stderr=True)
                async with stream:
                    await box.start()
                    await stream.write_in(b"hello\n")
                    message = await asyncio.wait_for(stream.read_out(), 30)
                    assert message is not None
                    assert message.data == b"hello\n"
                await asyncio.wait_for(box.wait(), 30)
            finally:
                await box.delete(force=True)

    asyncio.run(script())


def test_python_on_whales_uses_the_command():
    whales = python_on_whales.docker
    assert whales.run("alpine", ["echo", "hi"], remove=True) == "hi"
    with whales.run("alpine", ["sleep", "300"], detach=True, name="script-whale") as box:
        assert whales.container.inspect("script-whale").state.running
        assert box.execute(["sh", "-c", "echo in"]) == "in"
        whales.copy(str(Path(__file__)), (box, "/script"))
        assert "python_on_whales" in box.execute(["cat", "/script"])
        network = whales.network.create("script-net")
        whales.network.connect(network, box)
        assert "script-net" in box.network_settings.networks
        whales.network.disconnect(network, box)
        network.remove()
    assert not whales.container.exists("script-whale")


def test_testcontainers_waits_for_a_server_and_asks_it():
    with (
        DockerContainer(PYTHON).with_command(["python3", "-c", SERVE]).with_exposed_ports(80) as box
    ):
        wait_for_logs(box, "ready", timeout=60)
        url = f"http://{box.get_container_host_ip()}:{box.get_exposed_port(80)}/"
        with urllib.request.urlopen(url, timeout=30) as page:
            assert page.status == 200


PLAYBOOK = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {"community.docker.docker_network": {"name": "script-ansible"}},
            {"community.docker.docker_volume": {"name": "script-ansible"}},
            {
                "community.docker.docker_container": {
                    "name": "script-ansible",
                    "image": "alpine",
                    "command": ["sleep", "300"],
                    "networks": [{"name": "script-ansible", "aliases": ["box"]}],
                    "volumes": ["script-ansible:/data"],
                    "env": {"A": "1"},
                    "published_ports": ["127.0.0.1::80"],
                    "restart_policy": "unless-stopped",
                }
            },
        ],
    }
]
GONE = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {f"community.docker.docker_{kind}": {"name": "script-ansible", "state": "absent"}}
            for kind in ("container", "network", "volume")
        ],
    }
]


def play(folder: Path, content: object) -> str:
    """Run a playbook; return its recap."""
    path = folder / "play.yml"
    path.write_text(json.dumps(content))
    program = str(Path(sys.executable).parent / "ansible-playbook")
    words = [
        "-i",
        "localhost,",
        "-c",
        "local",
        "-e",
        f"ansible_python_interpreter={sys.executable}",
    ]
    done = subprocess.run(
        [program, *words, str(path)], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_ansible_makes_changes_once(tmp_path):
    assert "changed=3" in play(tmp_path, PLAYBOOK)
    assert "changed=0" in play(tmp_path, PLAYBOOK)
    assert "changed=3" in play(tmp_path, GONE)
