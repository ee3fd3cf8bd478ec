"""An administrator's defaults for options that a container leaves out (`daemon.json`)."""

from typing import NamedTuple

from labkit.containers.given import security, ulimits
from labkit.containers.records.model import RUNTIMES, HostConfig, LogConfig, Ulimit
from labkit.errors import InvalidParameterError
from labkit.networks.addresses import parse_address

_CGROUPNS = ("", "private", "host")
_IPC = ("", "private", "shareable")


class Defaults(NamedTuple):
    """An empty field means labkit's own default."""

    cgroup_parent: str = ""
    cgroupns_mode: str = ""
    ipc_mode: str = ""
    runtime: str = ""
    shm_bytes: int = 0
    ulimits: list[Ulimit] = []  # noqa: RUF012 it is never changed
    dns: list[str] = []  # noqa: RUF012 the same
    dns_options: list[str] = []  # noqa: RUF012 the same
    dns_search: list[str] = []  # noqa: RUF012 the same
    host_gateway: str = ""
    """The address that `host-gateway` stands for in `--add-host`."""
    init: bool = False
    log: LogConfig = LogConfig("json-file")
    no_new_privileges: bool = False
    seccomp: str = ""
    """`unconfined`, or the text of a profile."""

    def checked(self) -> "Defaults":
        """Return itself; InvalidParameterError for a default that no container may have."""
        for value, known in ((self.cgroupns_mode, _CGROUPNS), (self.ipc_mode, _IPC)):
            if value not in known:
                raise InvalidParameterError(f"invalid default mode: {value}")
        if self.runtime not in ("", *RUNTIMES):
            raise InvalidParameterError(
                f"specified default runtime '{self.runtime}' does not exist"
            )
        for address in (*self.dns, *filter(None, [self.host_gateway])):
            parse_address(address, may_have_zone=True)
        ulimits.check(HostConfig(ulimits=self.ulimits))
        if self.seccomp:
            security.check(HostConfig(security_opt=[f"seccomp={self.seccomp}"]))
        return self

    def apply(self, host: HostConfig) -> None:
        """Fill in the options that a new container leaves out."""
        host.cgroup_parent = host.cgroup_parent or self.cgroup_parent
        host.cgroupns_mode = host.cgroupns_mode or self.cgroupns_mode
        host.ipc_mode = host.ipc_mode or self.ipc_mode
        host.shm_size = host.shm_size or self.shm_bytes
        host.dns = host.dns or self.dns or host.dns
        host.dns_options = host.dns_options or self.dns_options or host.dns_options
        host.dns_search = host.dns_search or self.dns_search or host.dns_search
        asked = {ulimit.name for ulimit in host.ulimits or ()}
        if more := [ulimit for ulimit in self.ulimits if ulimit.name not in asked]:
            host.ulimits = [*(host.ulimits or ()), *more]
        if host.init is None and self.init:
            host.init = True
        if host.log_config.type in ("", self.log.type):
            # The default driver's options are not for another driver (Docker's rule).
            host.log_config = LogConfig(
                self.log.type, {**self.log.config, **(host.log_config.config or {})}
            )
        self._secure(host)

    def _secure(self, host: HostConfig) -> None:
        options = host.security_opt or []
        more = []
        if self.no_new_privileges and not any(o.startswith("no-new-privileges") for o in options):
            more.append("no-new-privileges")
        if (
            self.seccomp
            and not host.privileged
            and not any(o.startswith("seccomp") for o in options)
        ):
            more.append(f"seccomp={self.seccomp}")
        if more:
            host.security_opt = [*options, *more]
