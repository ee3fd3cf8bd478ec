"""Archives through every door of a labkitd that takes one."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from tests.fuzz import tar_maker
from tests.fuzz.runner import CASE_TIMEOUT_S, FindingError, resident_bytes
from tests.lab import Lab, UnixConnection, running_lab

SLACK_S = 10.0
WORDS_OF_DEFECTS = ("Traceback", "Error(", "labkitd: ")


class Archives:
    """A lab, and a container in it that does not run and one that does."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._log = Path(lab.folder, "labkitd.log")
        self._log_read = 0
        self._resting = lab.cli("create", "busybox", "true", check=True).stdout.strip()
        self._running = lab.cli("run", "-d", "busybox", "sleep", "1d", check=True).stdout.strip()
        self._doors = (
            self._import,
            self._load,
            self._load_layer,
            self._build,
            self._add,
            self._copy_in,
            self._copy_in_running,
        )

    def attack(self, random: Random) -> str:
        """See `runner.Target`."""
        door = random.choice(self._doors)
        status, answer = door(random)
        self._judge(door.__name__, status, answer)
        return (
            f"{door.__name__.strip('_')} {'taken' if self._is_good(status, answer) else 'refused'}"
        )

    def memory_bytes(self) -> int:
        """What labkitd holds in memory."""
        return resident_bytes(self._lab.daemon_pid())

    # Doors

    def _import(self, random: Random) -> tuple[int, str]:
        data = tar_maker.compressed(random, tar_maker.archive(random))
        answer = self._ask("POST", "/images/create?fromSrc=-&repo=fuzzed", data)
        self._forget("fuzzed")
        return answer

    def _load(self, random: Random) -> tuple[int, str]:
        first = tar_maker.plain_file("manifest.json", random.choice((b"[]", b"{}", b"[" * 1000)))
        archive = tar_maker.archive(random, random.choice((b"", first)))
        return self._ask("POST", "/images/load", tar_maker.compressed(random, archive))

    def _load_layer(self, random: Random) -> tuple[int, str]:
        layer = tar_maker.archive(random)
        diff_id = f"sha256:{hashlib.sha256(layer).hexdigest()}"
        config = {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
        described = [{"Config": "c.json", "RepoTags": ["fuzzed:1"], "Layers": ["layer.tar"]}]
        archive = (
            tar_maker.plain_file("c.json", json.dumps(config).encode())
            + tar_maker.plain_file("layer.tar", tar_maker.compressed(random, layer))
            + tar_maker.plain_file("manifest.json", json.dumps(described).encode())
            + bytes(1024)
        )
        answer = self._ask("POST", "/images/load", archive)
        self._forget("fuzzed:1")
        return answer

    def _build(self, random: Random) -> tuple[int, str]:
        dockerfile = tar_maker.plain_file("Dockerfile", b"FROM scratch\nCOPY . /into/\n")
        archive = tar_maker.archive(random, dockerfile)
        return self._build_with(tar_maker.compressed(random, archive))

    def _add(self, random: Random) -> tuple[int, str]:
        inner = tar_maker.compressed(random, tar_maker.archive(random))
        context = (
            tar_maker.plain_file("Dockerfile", b"FROM scratch\nADD inner.tar /into/\n")
            + tar_maker.plain_file("inner.tar", inner)
            + bytes(1024)
        )
        return self._build_with(context)

    def _build_with(self, context: bytes) -> tuple[int, str]:
        answer = self._ask("POST", "/build?t=fuzzed&nocache=1", context)
        self._forget("fuzzed")
        return answer

    def _copy_in(self, random: Random) -> tuple[int, str]:
        return self._put(random, self._resting)

    def _copy_in_running(self, random: Random) -> tuple[int, str]:
        return self._put(random, self._running)

    def _put(self, random: Random, container: str) -> tuple[int, str]:
        data = tar_maker.compressed(random, tar_maker.archive(random))
        options = random.choice(("", "&noOverwriteDirNonDir=1", "&copyUIDGID=1"))
        return self._ask("PUT", f"/containers/{container}/archive?path=/tmp{options}", data)

    # The daemon

    def _ask(self, method: str, path: str, body: bytes) -> tuple[int, str]:
        connection = UnixConnection(self._lab.socket, CASE_TIMEOUT_S + SLACK_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/x-tar"})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except TimeoutError:
            raise FindingError(f"{method} {path}: no answer") from None
        except (BrokenPipeError, ConnectionResetError) as error:
            # It refuses at the first bytes, and does not wait for all the others.
            if not self._lab.answers():
                raise FindingError(f"{method} {path}: {error}") from None
            return 400, "refused before all was sent"
        finally:
            connection.close()

    def _forget(self, name: str) -> None:
        self._ask("DELETE", f"/images/{name}?force=1", b"")

    def _is_good(self, status: int, answer: str) -> bool:
        return status < 400 and '"errorDetail"' not in answer

    def _judge(self, door: str, status: int, answer: str) -> None:
        if status >= 500 or any(word in answer for word in WORDS_OF_DEFECTS):
            raise FindingError(f"{door}: {status} {answer[-300:]}")
        with self._log.open("rb") as log:
            log.seek(self._log_read)
            said = log.read().decode(errors="replace")
            self._log_read = log.tell()
        if "Traceback" in said:
            raise FindingError(f"{door}: labkitd wrote {said[-2000:]}")


@contextmanager
def opened() -> Iterator[Archives]:
    """The target, with a lab of its own."""
    with running_lab() as lab:
        yield Archives(lab)
