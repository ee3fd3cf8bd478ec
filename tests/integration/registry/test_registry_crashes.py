"""The registry under kill -9 and under many clients at once: what it has, it has whole."""

import hashlib
import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests import leaks
from tests.lab import PROJECT
from tests.registries import (
    CONFIG,
    INDEX,
    LAYER,
    MANIFEST,
    LabkitRegistry,
    as_bytes,
    descriptor,
    digest_of,
    with_digest,
)

PUSHERS = 8


@pytest.fixture
def server():
    with tempfile.TemporaryDirectory(prefix=f"{leaks.RUN_NAME}-") as folder:
        made = LabkitRegistry(folder)
        yield made
        made.end()


def everything_is_whole(server) -> int:
    """Every tag of every repository can be pulled, bit for bit; how many tags there are."""
    count = 0
    for name in server.ask("GET", "/v2/_catalog").json["repositories"]:
        for tag in server.ask("GET", f"/v2/{name}/tags/list").json["tags"]:
            count += 1
            manifest = server.ask("GET", f"/v2/{name}/manifests/{tag}")
            assert digest_of(manifest.body) == manifest.headers["Docker-Content-Digest"]
            for blob in (manifest.json["config"], *manifest.json["layers"]):
                got = server.ask("GET", f"/v2/{name}/blobs/{blob['digest']}")
                assert digest_of(got.body) == blob["digest"]
    return count


def gc(server, *flags: str) -> str:
    command = [sys.executable, "-m", "labkit.cli", "registry", "gc", "--root", server.root, *flags]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_upload_goes_on_after_kill_9(server):
    data = random.Random(5).randbytes(8_000_000)
    location = server.start_upload("lab/big")
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=15) as client:
        client.sendall(f"PATCH {location} HTTP/1.1\r\nContent-Length: {len(data)}\r\n\r\n".encode())
        client.sendall(data[:5_000_000])
        deadline = time.monotonic() + 10
        while server.ask("GET", location).headers["Range"] != "0-4999999":
            assert time.monotonic() < deadline
        server.kill_and_start()
    arrived = int(server.ask("GET", location).headers["Range"].partition("-")[2]) + 1
    assert arrived == 5_000_000
    assert server.ask("GET", "/v2/_catalog").json == {"repositories": []}
    rest = f"{arrived}-{len(data) - 1}"
    answer = server.ask("PATCH", location, data[arrived:], Content_Range=rest)
    assert answer.status == 202
    answer = server.ask("PUT", with_digest(answer.location, digest_of(data)), b"")
    assert answer.status == 201
    assert digest_of(server.ask("GET", answer.location).body) == digest_of(data)


def test_kill_9_at_any_moment_leaves_only_whole_images(server):
    acknowledged: set[str] = set()
    stopping = threading.Event()

    def push(number: int) -> None:
        count = 0
        while not stopping.is_set():
            tag = f"t{number}-{count}"
            try:
                server.push_image("lab/many", tag, tag.encode() * 1000)
            except (OSError, AssertionError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            acknowledged.add(tag)
            count += 1

    chance = random.Random(7)
    with ThreadPoolExecutor(4) as pool:
        for number in range(4):
            pool.submit(push, number)
        for _ in range(4):
            time.sleep(chance.uniform(0.1, 0.5))
            server.kill_and_start()
        deadline = time.monotonic() + 60
        while not acknowledged and time.monotonic() < deadline:
            time.sleep(0.02)
        stopping.set()
    assert acknowledged
    assert everything_is_whole(server) >= len(acknowledged)
    tags = server.ask("GET", "/v2/lab/many/tags/list").json["tags"]
    assert acknowledged <= set(tags)
    gc(server, "--older-than", "0s")
    assert everything_is_whole(server) == len(tags)
    assert os.listdir(f"{server.root}/repositories/lab+many/uploads") == []


def test_eight_pushers_at_once(server):
    """The same layer, the same repository, the same tag: and other ones."""
    layer = random.Random(1).randbytes(3_000_000)

    def push(number: int) -> None:
        for name in ("lab/shared", f"lab/own{number}"):
            config = as_bytes({"architecture": "amd64", "os": "linux", "author": str(number)})
            document = {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": descriptor(CONFIG, config),
                "layers": [descriptor(LAYER, layer)],
            }
            server.push_blob(name, config)
            server.push_blob(name, layer)
            server.push_manifest(name, f"by{number}", document, MANIFEST)
            server.push_manifest(name, "latest", document, MANIFEST)

    with ThreadPoolExecutor(PUSHERS) as pool:
        list(pool.map(push, range(PUSHERS)))
    tags = server.ask("GET", "/v2/lab/shared/tags/list").json["tags"]
    assert tags == sorted(["latest", *(f"by{number}" for number in range(PUSHERS))])
    assert everything_is_whole(server) == 1 + PUSHERS + 2 * PUSHERS
    blob = f"{server.root}/blobs/sha256/{hashlib.sha256(layer).hexdigest()}"
    assert os.stat(blob).st_nlink == 1 + 1 + PUSHERS


def test_gc_beside_pushers_takes_nothing_they_need(server):
    stopping = threading.Event()

    def sweep() -> None:
        while not stopping.is_set():
            gc(server, "--older-than", "30s", "--delete-untagged")

    sweeper = threading.Thread(target=sweep)
    sweeper.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            for number in range(40):
                pool.submit(server.push_image, f"lab/r{number % 5}", f"t{number}", b"%d" % number)
    finally:
        stopping.set()
        sweeper.join()
    assert everything_is_whole(server) == 40


def test_gc_frees_what_was_deleted(server):
    kept = server.push_image("lab/tool", "kept", b"kept")
    gone = server.push_image("lab/tool", "gone", b"gone" * 1000)
    server.push_image("lab/other", "v1", b"other" * 1000)
    server.start_upload("lab/tool")
    assert server.ask("DELETE", f"/v2/lab/tool/manifests/{gone}").status == 202
    other = server.ask("GET", "/v2/lab/other/manifests/v1").headers["Docker-Content-Digest"]
    assert server.ask("DELETE", f"/v2/lab/other/manifests/{other}").status == 202
    assert "Total reclaimed space: 0B" in gc(server)
    would = gc(server, "--dry-run", "--older-than", "0s")
    assert "would remove blob lab/tool" in would
    done = gc(server, "--older-than", "0s")
    assert done.count("removed upload lab/tool") == 1
    assert "removed repository lab/other" in done
    assert would.splitlines()[-1].split()[-1] == done.splitlines()[-1].split()[-1] != "0B"
    assert everything_is_whole(server) == 1
    manifest = server.ask("GET", "/v2/lab/tool/manifests/kept")
    needed = {kept, manifest.json["config"]["digest"], manifest.json["layers"][0]["digest"]}
    there = {f"sha256:{name}" for name in os.listdir(f"{server.root}/blobs/sha256")}
    assert there == needed - {kept}
    assert gc(server, "--older-than", "0s") == "Total reclaimed space: 0B\n"
    server.push_image("lab/other", "v2", b"other" * 1000)
    assert everything_is_whole(server) == 2


def test_gc_spares_the_blobs_of_an_index(server):
    layer = server.image_of("lab/tool", b"cached")["layers"][0]
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [layer]}
    server.push_manifest("lab/tool", "cache", document, INDEX)
    gc(server, "--older-than", "0s", "--delete-untagged")
    assert server.ask("GET", f"/v2/lab/tool/blobs/{layer['digest']}").body == b"layer of cached"


def test_gc_of_untagged_manifests(server):
    old = server.push_image("lab/tool", "latest", b"old")
    new = server.push_image("lab/tool", "latest", b"new")
    gc(server, "--older-than", "0s")
    assert server.ask("HEAD", f"/v2/lab/tool/manifests/{old}").status == 200
    about = server.ask("GET", f"/v2/lab/tool/manifests/{new}").body
    signature = server.push_image("lab/tool", "s", subject=descriptor(MANIFEST, about))
    assert server.ask("DELETE", "/v2/lab/tool/manifests/s").status == 202
    gc(server, "--older-than", "0s", "--delete-untagged")
    assert server.ask("HEAD", f"/v2/lab/tool/manifests/{old}").status == 404
    assert server.ask("HEAD", f"/v2/lab/tool/manifests/{signature}").status == 200
    assert everything_is_whole(server) == 1


def test_the_end_is_clean(server):
    server.push_image("lab/tool", "v1")
    assert server.end(signal.SIGINT) == 0
