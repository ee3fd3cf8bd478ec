"""The engine's JSON: `docker version` and `docker info`, with true values only."""

import os
import platform
import threading
import time
from functools import cache

import labkit
from labkit import API_VERSION, snapshots
from labkit.containers import Engine
from labkit.containers.given import log_options
from labkit.containers.records.model import RUNTIMES
from labkit.daemon import registry_settings, settings
from labkit.daemon.responses import MINIMUM_API_VERSION
from labkit.daemon.shapes.containers import JsonObject
from labkit.dialect.moments import timestamp
from labkit.dialect.references import DEFAULT_DOMAIN
from labkit.kernel import power
from labkit.registry.client.endpoints import DEFAULT_INDEX
from labkit.snapshots.root import status as storage_status

GO_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def version() -> JsonObject:
    """The answer of `GET /version`."""
    uname = os.uname()
    architecture = GO_ARCHITECTURES.get(uname.machine, uname.machine)
    facts = {
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MINIMUM_API_VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "Os": "linux",
        "Arch": architecture,
        "KernelVersion": uname.release,
        "BuildTime": "",
    }
    details = facts | {"Experimental": "false", "PythonVersion": platform.python_version()}
    engine = {"Name": "Engine", "Version": labkit.__version__, "Details": details}
    return facts | {
        "Platform": {"Name": "labkit"},
        "Version": labkit.__version__,
        "Components": [engine],
    }


def info(engine: Engine) -> JsonObject:
    """The answer of `GET /info`."""
    uname = os.uname()
    states = [container.state.status for container in engine.list()]
    controllers = set(engine.layout.controllers)
    said = settings.current(engine.paths.root)
    return {
        "ID": settings.engine_id(engine.paths.root),
        "Containers": len(states),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
        "Images": len(engine.images.list()),
        "Driver": snapshots.of(engine.paths.root).name,
        "DriverStatus": [
            ["Backing Filesystem", _file_system(engine.paths.root)],
            *storage_status(engine.paths.root),
        ],
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "ipvlan", "macvlan", "null"],
            "Authorization": None,
            "Log": list(log_options.DRIVERS),
        },
        "MemoryLimit": "memory" in controllers,
        "SwapLimit": "memory" in controllers,
        "CpuCfsPeriod": "cpu" in controllers,
        "CpuCfsQuota": "cpu" in controllers,
        "CPUShares": "cpu" in controllers,
        "CPUSet": "cpuset" in controllers,
        "PidsLimit": "pids" in controllers,
        "OomKillDisable": engine.layout.version != "v2" and "memory" in controllers,
        "IPv4Forwarding": _reads_one("/proc/sys/net/ipv4/ip_forward"),
        "BridgeNfIptables": _reads_one("/proc/sys/net/bridge/bridge-nf-call-iptables"),
        "BridgeNfIp6tables": _reads_one("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
        "Debug": said.debug,
        "NFd": len(os.listdir("/proc/self/fd")),
        "NGoroutines": threading.active_count(),
        "SystemTime": timestamp(time.time_ns()),
        "LoggingDriver": said.log_driver or log_options.JSON_FILE,
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": "2" if engine.layout.version == "v2" else "1",
        "NEventsListener": 0,
        "KernelVersion": uname.release,
        "OperatingSystem": _os_release().get("PRETTY_NAME", "Linux"),
        "OSVersion": _os_release().get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": uname.machine,
        "IndexServerAddress": f"{DEFAULT_INDEX}/v1/",
        "RegistryConfig": _registry_config(engine),
        "NCPU": len(os.sched_getaffinity(0)),
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "GenericResources": None,
        "DockerRootDir": engine.paths.root,
        "HttpProxy": _without_password(said.proxies.http_proxy),
        "HttpsProxy": _without_password(said.proxies.https_proxy),
        "NoProxy": said.proxies.no_proxy,
        "Name": uname.nodename,
        "Labels": said.labels,
        "ExperimentalBuild": False,
        "ServerVersion": labkit.__version__,
        "Runtimes": {name: {"path": "labkit.runtime"} for name in RUNTIMES},
        "DefaultRuntime": said.default_runtime or RUNTIMES[0],
        # The engine has no such parts, and clients ask for their versions.
        **{f"{part}Commit": {"ID": "", "Expected": ""} for part in ("Containerd", "Init", "Runc")},
        "CDISpecDirs": [],
        "Swarm": {
            "LocalNodeState": "inactive",
            "NodeID": "",
            "NodeAddr": "",
            "ControlAvailable": False,
            "Error": "",
            "RemoteManagers": None,
        },
        "LiveRestoreEnabled": True,
        "Isolation": "",
        "InitBinary": "tini-static",
        "SecurityOptions": [
            "name=seccomp,profile=builtin",
            *(["name=userns"] if engine.userns_remap else []),
            *(["name=rootless"] if power.IS_LIMITED else []),
            "name=cgroupns",
        ],
        "Warnings": [*engine.warnings, *engine.networks.present_warnings],
    }


def _without_password(url: str) -> str:
    """A proxy's address without its password: `http://xxxxx:xxxxx@proxy:3128`, as Docker does."""
    scheme, slashes, rest = url.partition("://")
    user, at, place = rest.rpartition("@")
    return f"{scheme}{slashes}xxxxx:xxxxx@{place}" if at and user else url


def _reads_one(path: str) -> bool:
    """Whether a kernel setting is on; False if its module is not loaded."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() == "1"
    except FileNotFoundError:
        return False


@cache
def _os_release() -> dict[str, str]:
    """The distribution's own description (os-release(5))."""
    return platform.freedesktop_os_release()


def _file_system(path: str) -> str:
    """The type of the file system that holds `path` (proc_pid_mountinfo(5))."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            mount, _, source = line.partition(" - ")
            if mount.split()[2] == number:
                return source.split()[0]
    return "unknown"


def _registry_config(engine: Engine) -> JsonObject:
    settings = registry_settings.read(engine.paths.root)
    networks = [name for name in settings.insecure_registries if "/" in name]
    hosts = [name for name in settings.insecure_registries if "/" not in name]
    mirrors = settings.registry_mirrors
    configs = {
        name: {"Name": name, "Mirrors": [], "Secure": False, "Official": False} for name in hosts
    }
    configs[DEFAULT_DOMAIN] = {
        "Name": DEFAULT_DOMAIN,
        "Mirrors": mirrors,
        "Secure": True,
        "Official": True,
    }
    return {
        "InsecureRegistryCIDRs": ["127.0.0.0/8", *networks],
        "IndexConfigs": configs,
        "Mirrors": mirrors,
    }
