"""The parts an engine is made of, which the functions of this package work on."""

import contextlib
import os
import time
from collections.abc import Callable

from labkit import cgroups, ownership, snapshots
from labkit.containers.given.defaults import Defaults as ContainerDefaults
from labkit.containers.given.volumes import Volumes
from labkit.containers.life.monitor import Monitor
from labkit.containers.records import id_ranges
from labkit.containers.records.entry import Entry
from labkit.containers.records.events import Events
from labkit.containers.records.lookup import Lookup
from labkit.containers.records.records import Records
from labkit.containers.records.remover import Remover
from labkit.dialect.moments import timestamp
from labkit.errors import NO_SPACE, NotFoundError
from labkit.images import ImageStore
from labkit.kernel import reserve
from labkit.networks import Network, Networks
from labkit.networks.defaults import Defaults
from labkit.networks.names.server import NameServer
from labkit.paths import Paths
from labkit.runtime.exit_status import ExitStatus
from labkit.runtime.launch import Spawner

OnEnd = Callable[[Entry, ExitStatus | None], None]
"""Called when a container has ended: with its exit status, or None when its shim is gone."""


class Parts:
    """One of each: the images, the cgroups, the records, and those who start and watch."""

    def __init__(
        self,
        paths: Paths,
        on_end: OnEnd,
        userns_remap: str,
        addresses: Defaults,
        defaults: ContainerDefaults,
    ) -> None:
        os.makedirs(paths.root, 0o700, exist_ok=True)
        os.makedirs(f"{paths.run}/containers", 0o755, exist_ok=True)
        # A plan's paths are used from inside another root, where a link would lead elsewhere.
        self.paths = Paths(os.path.realpath(paths.root), os.path.realpath(paths.run))
        self.on_end = on_end
        self.defaults = defaults
        self.userns_remap = userns_remap
        """Whose ids containers have that ask for none: `default`, user[:group]; else empty."""
        if userns_remap:
            id_ranges.find(userns_remap)  # says now what is wrong
        self.on_running: Callable[[Entry], None] = lambda entry: None
        """Called when a container has been started, or found running; its lock is held."""
        reserve.use(self.paths.root)
        full = [] if reserve.fill() else [f"{self.paths.root}: {NO_SPACE}"]
        self.images = ImageStore(self.paths.root)
        self.snapshots = snapshots.of(self.paths.root)
        self.layout = cgroups.detect(ownership.cgroup_parent(self.paths.root))
        self.warnings = [*full, *self.layout.prepare()]
        self.remover = Remover(self.paths.root)
        self.records = Records(self.paths, self.remover, self.snapshots)
        self.volumes = Volumes(self.paths.root, self.remover, self._publish_volume)
        self.networks = Networks(
            self.paths.root,
            self.paths.run,
            ownership.link_prefix(self.paths.root),
            lambda: timestamp(time.time_ns()),
            on_change=self.publish_network,
            defaults=addresses,
        )
        self.warnings += [*self.volumes.warnings, *self.networks.warnings, *self.images.warnings]
        self.name_server = NameServer(self.networks.names)
        self.lookup = Lookup()
        self.spawner = Spawner()
        self.monitor = Monitor()
        self.events = Events()

    def _publish_volume(self, action: str, name: str) -> None:
        self.events.publish("volume", action, name, {"driver": "local"})

    def publish_network(self, action: str, network: Network, **more: str) -> None:
        """Tell whoever listens what happens to a network."""
        attributes = {"name": network.name, "type": network.driver, **more}
        self.events.publish("network", action, network.id, attributes)

    def publish_networks(self, action: str, entry: Entry) -> None:
        """Tell that a container that starts or ends is put on its networks, or taken off."""
        container = entry.container
        for name in container.networks:
            with contextlib.suppress(NotFoundError):  # removed while the container ran
                self.publish_network(action, self.networks.find(name), container=container.id)

    def publish_mounts(self, action: str, entry: Entry) -> None:
        """Tell that a container that starts or ends mounts its volumes, or unmounts them."""
        container = entry.container
        for point in container.mount_points:
            if point.type == "volume":
                attributes = {"container": container.id, "driver": "local"}
                if action == "mount":
                    attributes |= {
                        "destination": point.destination,
                        "propagation": "",
                        "read/write": str(not point.read_only).lower(),
                    }
                self.events.publish("volume", action, point.name, attributes)

    def publish(self, action: str, entry: Entry, **attributes: str) -> None:
        """Tell whoever listens what happens to a container."""
        container = entry.container
        known = {"image": container.config.image, "name": container.name}
        everything = {**(container.config.labels or {}), **known, **attributes}
        self.events.publish("container", action, container.id, everything)
