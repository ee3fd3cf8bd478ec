"""`labkit info`: facts about the engine."""

import sys

from labkit import __version__
from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS]",
    (Flag("format", "f", "string", "Show a template ({{.Driver}}), or json"),),
    at_most=0,
)
GIB = 1 << 30
LIMITS = {
    "CPUShares": "cpu shares",
    "CpuCfsQuota": "cpus",
    "CPUSet": "cpuset",
    "MemoryLimit": "memory",
    "SwapLimit": "swap",
    "PidsLimit": "pids",
}
"""The limits that the kernel supports: the fields of `/info`, and labkit's words."""


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print a list of facts, in Docker's words and order; warnings go to stderr."""
    info = context.api().get("/info")
    if options["format"]:
        from labkit.cli.show.template import fill  # noqa: PLC0415 only with a template

        print(fill("{{json .}}" if options["format"] == "json" else options["format"], info))
        return 0
    sys.stdout.write(f"""Client:
 Version: {__version__}

Server:
 Containers: {info["Containers"]}
  Running: {info["ContainersRunning"]}
  Paused: {info["ContainersPaused"]}
  Stopped: {info["ContainersStopped"]}
 Images: {info["Images"]}
 Server Version: {info["ServerVersion"]}
 Storage Driver: {info["Driver"]}
{_pairs(info["DriverStatus"])} Logging Driver: {info["LoggingDriver"]}
 Cgroup Driver: {info["CgroupDriver"]}
 Cgroup Version: {info["CgroupVersion"]}
 Limits: {", ".join(LIMITS[name] for name in LIMITS if info.get(name)) or "none"}
 Networks: {", ".join(info["Plugins"]["Network"])}
 Security Options: {", ".join(info["SecurityOptions"])}
 Kernel Version: {info["KernelVersion"]}
 Operating System: {info["OperatingSystem"]}
 Architecture: {info["Architecture"]}
 CPUs: {info["NCPU"]}
 Total Memory: {info["MemTotal"] / GIB:.3f}GiB
 Name: {info["Name"]}
 Docker Root Dir: {info["DockerRootDir"]}
 Socket: {context.paths.socket}
""")
    sys.stdout.flush()
    sys.stderr.writelines(f"WARNING: {warning}\n" for warning in info.get("Warnings") or [])
    return 0


def _pairs(rows: "list[list[str]]") -> str:
    return "".join(f"  {name}: {value}\n" for name, value in rows)
