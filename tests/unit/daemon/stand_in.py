"""A tiny engine that remembers what it was asked, for tests of what stands in front of it."""

import os
import tempfile
import threading
from types import SimpleNamespace

from labkit.containers import Container, ContainerConfig, HostConfig, State
from labkit.containers.life.watch import CONDITIONS
from labkit.containers.records.events import Events
from labkit.errors import (
    ConflictError,
    InvalidParameterError,
    NotFoundError,
    NotModifiedError,
    StartError,
)
from labkit.images import Image
from labkit.images.models import Descriptor, ImageConfig, Manifest, RootFs, RuntimeConfig
from labkit.images.removal import ImageUser
from labkit.networks import Networks

IMAGE_ID = "sha256:" + "1" * 64
CREATED = "2024-05-01T12:00:00.123456789Z"


def image(*tags: str, labels: dict[str, str] | None = None) -> Image:
    return Image(
        id=IMAGE_ID,
        digest="sha256:" + "2" * 64,
        names=list(tags),
        size_bytes=1234,
        document=ImageConfig(
            architecture="amd64",
            os="linux",
            rootfs=RootFs("layers", ["sha256:" + "3" * 64]),
            created=CREATED,
            config=RuntimeConfig(cmd=["sh"], labels=labels),
        ),
        manifest=Manifest(2, Descriptor("", IMAGE_ID, 1), []),
        layer_directories=lambda: ["/layers/top", "/layers/base"],
    )


def container(number: int, name: str, status: str = "created", **config: object) -> Container:
    return Container(
        id=f"{number:x}" * 64,
        name=name,
        created=CREATED,
        image_id=IMAGE_ID,
        config=ContainerConfig(image="busybox", **config),  # type: ignore[arg-type]
        host_config=HostConfig(network_mode="none"),
        state=State(status=status, pid=77 if status == "running" else 0, started_at=CREATED),
        command=["sh", "-c", "echo hi"],
    )


class Images:
    """The images of the stand-in."""

    def __init__(self) -> None:
        self.all = [image("busybox:latest", "someone/tool:1.0", labels={"a": "b"}), image()]
        self.imported: list[tuple[bytes, str, tuple[str, ...], str]] = []

    def list(self) -> list[Image]:
        return self.all

    def resolve(self, reference: str) -> Image:
        if reference in ("busybox", "busybox:latest", "someone/tool:1.0", IMAGE_ID):
            return self.all[0]
        raise NotFoundError(f"No such image: {reference}:latest")

    def import_tar(self, stream, reference, changes, message, architecture) -> Image:
        self.imported.append((stream.read(), reference, tuple(changes), message))
        return self.all[0]

    def remove(self, reference, *, force, prune, users):
        self.resolve(reference)
        if users.get(IMAGE_ID) and not force:
            raise ConflictError("conflict: unable to remove, in use")
        return [{"Untagged": reference}]


class Watch:
    """A container of the stand-in, looked out for."""

    has_failed = False

    def __init__(self, engine: "StandIn", known: Container, condition: str) -> None:
        if condition not in CONDITIONS:
            raise InvalidParameterError(f'invalid condition: "{condition}"')
        self.engine, self.known, self.condition = engine, known, condition

    def holds(self) -> bool:
        gone = self.known not in self.engine.containers
        return gone or (self.condition == "not-running" and self.known.state.status != "running")

    def wait(self, timeout_s: float) -> State:
        with self.engine.changed:
            self.engine.calls.append(("wait", self.condition))
            if not self.engine.changed.wait_for(self.holds, timeout_s):
                raise TimeoutError
        return self.known.state


class StandIn:
    """An engine without a kernel."""

    def __init__(self, *containers: Container) -> None:
        self.containers = list(containers)
        self.images = Images()
        self.calls: list[tuple[object, ...]] = []
        self.folder = tempfile.mkdtemp(prefix="labkit-unit-")
        self.paths = SimpleNamespace(root=self.folder, container_root=lambda key: f"/root/{key}")
        self.layout = SimpleNamespace(version="hybrid", controllers=("cpu", "memory", "pids"))
        self.warnings = ["a warning"]
        self.userns_remap = ""
        self.events = Events()
        self.log_path = lambda key: f"{self.folder}/{key[:4]}.log"
        self.changed = threading.Condition()
        # It needs no kernel either, as long as nobody joins one.
        self.networks = Networks(self.folder, self.folder, "lkunit", lambda: CREATED)

    def create(self, config, host_config, *, name="", without=(), endpoints=None):
        self.images.resolve(config.image)
        made = container(len(self.containers) + 1, name or "brave_turing")
        made.config, made.host_config, made.without = config, host_config, list(without)
        self.containers.insert(0, made)
        return made, ["a warning of the engine"]

    def list(self):
        return self.containers

    def get(self, ref):
        for known in self.containers:
            if ref == known.name or known.id.startswith(ref):
                return known
        raise NotFoundError(f"No such container: {ref}")

    def start(self, ref):
        known = self.get(ref)
        if known.name == "nosuch":
            raise StartError("exec: no such file", exit_code=127, step="exec")
        if known.name == "broken":
            raise StartError("mount failed", step="mount.root")
        if known.state.status == "running":
            raise NotModifiedError("already running")
        known.state = State(status="running", pid=78)

    def stop(self, ref, timeout_s, signal_number):
        self.calls.append(("stop", self.get(ref).name, timeout_s, signal_number))

    def kill(self, ref, signal_number):
        self.calls.append(("kill", self.get(ref).name, signal_number))

    def remove(self, ref, *, force, volumes=False):
        known = self.get(ref)
        self.calls.append(("remove", known.name, force))
        self.containers.remove(known)

    def end(self, ref, exit_code, *, remove=False):
        """The container ends, as its shim would tell."""
        known = self.get(ref)
        with self.changed:
            known.state = State(status="exited", exit_code=exit_code, finished_at=CREATED)
            if remove:
                self.containers.remove(known)
            self.changed.notify_all()

    def watch(self, ref, condition):
        return Watch(self, self.get(ref), condition)

    def image_users(self):
        return {known.image_id: ImageUser(known.id, False) for known in self.containers}

    def exec_ids(self, ref):
        return []

    def attach(self, ref, fd, *, stdin, stdout, stderr, detach_keys, announce, replay):
        announce()
        self.calls.append(("attach", self.get(ref).name, stdin, stdout, stderr, detach_keys))
        os.write(fd, b"from the shim")

    def steps(self, ref):
        self.get(ref)
        return [{"Step": "exec"}]
