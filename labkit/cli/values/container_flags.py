"""The common flags of `run` and `create`, and the request that they become."""

import os
import sys

from labkit.cli.attached.streams import console_size
from labkit.cli.base.errors import BAD_FLAG, UsageError, bad_value
from labkit.cli.base.flags import Flag
from labkit.cli.values import limits
from labkit.cli.values.environment import environment, lines_of
from labkit.client import proxies
from labkit.client.api import container_path
from labkit.client.create import create_body
from labkit.errors import LabkitError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from labkit.client.api import Api

_OTHER_FLAGS = (
    Flag("add-host", "", "list", "Add a line to /etc/hosts (name:address, name:host-gateway)"),
    Flag("blkio-weight-device", "", "list", "The same on one disk (/dev/x:weight)"),
    Flag("cap-add", "", "list", "Give it a capability (NET_ADMIN, ALL)", word="capability"),
    Flag("cap-drop", "", "list", "Take a capability from it", word="capability"),
    Flag("cgroup-parent", "", "string", "Parent of its group, on the host", word="path"),
    Flag("cgroupns", "", "string", "Its cgroup namespace: host or private"),
    Flag("cidfile", "", "string", "Write the container's ID to this file", word="path"),
    Flag("device", "", "list", "Give it a device of the host (/dev/x[:/place][:rwm])"),
    Flag(
        "device-cgroup-rule", "", "list", "Let it use devices by number ('c 42:* rwm')", word="rule"
    ),
    Flag("device-read-bps", "", "list", "Most bytes per second read from a disk (/dev/x:5mb)"),
    Flag("device-read-iops", "", "list", "Most reads per second of a disk (/dev/x:100)"),
    Flag("device-write-bps", "", "list", "Most bytes per second written to a disk (/dev/x:5mb)"),
    Flag("device-write-iops", "", "list", "Most writes per second to a disk (/dev/x:100)"),
    Flag("dns", "", "list", "Use this name server", word="address"),
    Flag("dns-option", "", "list", "Option of the resolver, as in resolv.conf"),
    Flag("dns-search", "", "list", "Domain to search for short names"),
    Flag("domainname", "", "string", "Domain name, which follows the host name"),
    Flag("entrypoint", "", "string", "Replace the ENTRYPOINT of the image", initial=None),
    Flag("env", "e", "list", "Set an environment variable (NAME=value, or NAME to pass ours on)"),
    Flag("env-file", "", "list", "Read environment variables from a file", word="path"),
    Flag("expose", "", "list", "Expose a port or a range of ports (80, 8000-8010/tcp)"),
    Flag("group-add", "", "list", "Add its user to another group (name or GID)", word="group"),
    Flag("health-cmd", "", "string", "Command that checks its health", word="command"),
    Flag("health-interval", "", "duration", "Time between two checks (default 30s)"),
    Flag("health-retries", "", "int", "Failures in a row until it is unhealthy (default 3)"),
    Flag("health-start-interval", "", "duration", "Time between two checks in the start period"),
    Flag("health-start-period", "", "duration", "Time in which failures do not count yet"),
    Flag("health-timeout", "", "duration", "Longest time a check may take (default 30s)"),
    Flag("hostname", "h", "string", "Host name (default: the container's short ID)"),
    Flag("init", "", "bool", "Run an init as process 1 that forwards signals and reaps processes"),
    Flag("interactive", "i", "bool", "Pass our stdin on to the container"),
    Flag("ip", "", "string", "IPv4 address on the network", word="address"),
    Flag("ip6", "", "string", "IPv6 address on the network", word="address"),
    Flag("ipc", "", "string", "IPC: private, shareable, none, host or container:NAME", word="mode"),
    Flag("label", "l", "list", "Attach a label (name=value)"),
    Flag("label-file", "", "list", "Read labels from a file", word="path"),
    Flag("link", "", "list", "Give another container a name in this one (container:alias)"),
    Flag(
        "log-driver",
        "",
        "string",
        "Driver of its log: json-file, local, none, syslog, journald, fluentd, gelf",
    ),
    Flag("log-opt", "", "list", "Option of the log (max-size=10m, max-file=3)"),
    Flag("mac-address", "", "string", "Hardware address of its interface", word="address"),
    Flag("mount", "", "list", "Mount (type=bind|volume|tmpfs,source=…,target=…[,readonly])"),
    Flag("name", "", "string", "Name the container"),
    Flag("net", "", "string", "The same as --network", word="network"),
    Flag("network", "", "string", "bridge, none, host, container:NAME, or a network by name"),
    Flag("network-alias", "", "list", "Another name for it on the network", word="name"),
    Flag("no-healthcheck", "", "bool", "Do not check its health, even if the image has a check"),
    Flag("oom-score-adj", "", "int", "-1000 to 1000: how soon it is killed for lack of memory"),
    Flag("pid", "", "string", "Its PID namespace: host or container:NAME", word="mode"),
    Flag("platform", "", "string", "The platform of its image (linux/arm64)"),
    Flag("privileged", "", "bool", "Give it all of root's power and all devices of the host"),
    Flag("publish", "p", "list", "Publish a port ([[address:]host_port:]container_port[/udp])"),
    Flag("publish-all", "P", "bool", "Publish every exposed port, each on a free one"),
    Flag("pull", "", "string", "Pull the image: always, missing or never", initial="missing"),
    Flag("quiet", "q", "bool", "Show no progress of the pull"),
    Flag("read-only", "", "bool", "Mount the container's root file system read-only"),
    Flag("restart", "", "string", "Restart it: no, on-failure[:times], always, unless-stopped"),
    Flag("rm", "", "bool", "Remove the container when it ends"),
    Flag("runtime", "", "string", "The runtime: labkit, or its Docker name runc"),
    Flag("security-opt", "", "list", "no-new-privileges, seccomp=FILE.json, seccomp=unconfined"),
    Flag("shm-size", "", "bytes", "Size of /dev/shm (default 64m)"),
    Flag("stop-signal", "", "string", "Signal that asks it to end (default SIGTERM)"),
    Flag("stop-timeout", "", "int", "Seconds it has to end before it is killed", initial=None),
    Flag("sysctl", "", "list", "Set a kernel parameter of its namespaces (net.core.somaxconn=99)"),
    Flag("tmpfs", "", "list", "Mount a file system in memory (path[:options])"),
    Flag("tty", "t", "bool", "Give it a terminal"),
    Flag("ulimit", "", "list", "Limit each of its processes (nofile=1024:2048)"),
    Flag("user", "u", "string", "User name or UID (name|uid[:group|gid])"),
    Flag("userns", "", "string", "Its user namespace: host or private", word="mode"),
    Flag("uts", "", "string", "Its UTS namespace: host", word="mode"),
    Flag("volume", "v", "list", "Mount a volume or a path ([name:|/path:]/place[:ro])"),
    Flag("volumes-from", "", "list", "Mount the volumes of another container (name[:ro])"),
    Flag("without", "", "list", "Leave out a step of the start, to see what it does", word="step"),
    Flag("workdir", "w", "string", "Working directory inside the container"),
)
FLAGS = tuple(sorted((*_OTHER_FLAGS, *limits.FLAGS), key=lambda flag: flag.name))
NO_IMAGE = "No such image: "
OTHER_PLATFORM = "does not match the specified platform"
PULL_POLICIES = ("always", "missing", "never")
DISK_LIMITS = (
    *("blkio_weight_device", "device_read_bps", "device_read_iops"),
    *("device_write_bps", "device_write_iops"),
)
STRUCTURED = (
    "device",
    *DISK_LIMITS,
    *("health_cmd", "health_interval", "health_retries", "health_timeout"),
    *("health_start_interval", "health_start_period"),
    *("log_driver", "log_opt", "mount", "no_healthcheck", "restart", "tmpfs", "ulimit", "volume"),
)
"""The options whose values `labkit.cli.values.options` reads."""
NETWORK = (
    *("add_host", "dns", "dns_option", "dns_search", "expose", "ip", "ip6", "link", "mac_address"),
    *("network_alias", "publish"),
)
"""The options with details of the network, besides its name."""
MODES = {
    "pid": ("PID", ("", "host")),
    "uts": ("UTS", ("", "host")),
    "userns": ("USER", ("", "host", "private")),
    "cgroupns": ("cgroup", ("", "host", "private")),
}
"""The options that share a namespace, by the words for each kind; IPC has its own reader."""
SECURITY = ("cap_add", "cap_drop", "security_opt")
"""The options that `labkit.cli.values.security` reads."""
DEFAULT_NETWORK = "default"


def request_body(
    options: "dict[str, Any]", arguments: list[str], attach: "list[str]"
) -> dict[str, object]:
    """Return the request for these options, and for IMAGE [COMMAND]; UsageError."""
    image, *command = arguments
    if options["pull"] not in PULL_POLICIES:
        raise bad_value(options["pull"], "--pull", "it must be always, missing or never")
    if options["restart"] not in ("", "no") and options["rm"]:
        raise UsageError("Conflicting options: --restart and --rm", BAD_FLAG)
    for name, (called, words) in MODES.items():
        if options[name] not in words and not options[name].startswith("container:"):
            raise UsageError(f"--{name}: invalid {called} mode", BAD_FLAG)
    entrypoint = options["entrypoint"]
    return create_body(
        image,
        command or None,
        attach=attach,
        auto_remove=options["rm"],
        console_size=console_size() if options["tty"] else None,
        cgroup_parent=options["cgroup_parent"],
        cgroupns=options["cgroupns"],
        device_cgroup_rules=options["device_cgroup_rule"],
        domainname=options["domainname"],
        # An empty one, `--entrypoint ""`, removes the image's.
        entrypoint=None if entrypoint is None else [entrypoint],
        environment=environment(options) or None,
        group_add=options["group_add"],
        hostname=options["hostname"],
        init=options["init"] or None,
        ipc_mode=options["ipc"],
        labels=lines_of(options["label_file"]) + options["label"] or None,
        oom_score_adj=options["oom_score_adj"],
        network_mode=options["network"] or options["net"] or DEFAULT_NETWORK,
        pid_mode=options["pid"],
        privileged=options["privileged"],
        read_only=options["read_only"],
        runtime=options["runtime"],
        shm_size=options["shm_size"],
        stdin_once=options["interactive"] and "stdin" in attach,
        stdin_open=options["interactive"],
        stop_signal=options["stop_signal"],
        stop_timeout=options["stop_timeout"],
        sysctls=dict(text.partition("=")[::2] for text in options["sysctl"]),
        publish_all_ports=options["publish_all"],
        tty=options["tty"],
        user=options["user"],
        userns_mode=options["userns"],
        uts_mode=options["uts"],
        volumes_from=options["volumes_from"],
        without=options["without"],
        working_dir=options["workdir"],
        **limits.asked(options),
        **_structured(options),
        **_security(options),
        **_network(options),
    )


def _structured(options: "dict[str, Any]") -> "dict[str, Any]":
    if not any(options[name] for name in STRUCTURED):
        return {}
    from labkit.cli.values import options as read  # noqa: PLC0415 only if one is given

    return {
        **{name: [read.disk_limit(name, text) for text in options[name]] for name in DISK_LIMITS},
        "devices": [read.device(text) for text in options["device"]],
        "healthcheck": read.healthcheck(options),
        "log_config": read.log_config(options["log_driver"], options["log_opt"]),
        "mounts": [read.mount(text) for text in options["mount"]],
        "restart_policy": read.restart_policy(options["restart"]),
        "tmpfs": dict(text.partition(":")[::2] for text in options["tmpfs"]),
        "ulimits": [read.ulimit(text) for text in options["ulimit"]],
        "volumes": [read.volume(text) for text in options["volume"]],
    }


def _security(options: "dict[str, Any]") -> "dict[str, Any]":
    if not any(options[name] for name in SECURITY):
        return {}
    from labkit.cli.values import security as read  # noqa: PLC0415 as above

    return read.capabilities(options) | read.security(options["security_opt"])


def _network(options: "dict[str, Any]") -> "dict[str, Any]":
    if not any(options[name] for name in NETWORK):
        return {}
    from labkit.cli.values.networks import endpoints, port_bindings  # noqa: PLC0415 as above

    network = options["network"] or options["net"] or DEFAULT_NETWORK
    return {
        "dns": options["dns"],
        "dns_opt": options["dns_option"],
        "dns_search": options["dns_search"],
        "exposed_ports": options["expose"],
        "extra_hosts": options["add_host"],
        "links": options["link"] if network in ("default", "bridge") else None,
        "mac_address": options["mac_address"],
        "networking_config": endpoints(network, options),
        "ports": port_bindings(options["publish"]),
    }


def create(api: "Api", body: dict[str, object], options: "dict[str, Any]") -> str:
    """Create the container and print the engine's warnings; return the container's id.

    The image is pulled by the policy of `--pull`.  NotFoundError if no registry has it;
    LabkitError if the file for the id exists already or cannot be written.
    """
    path = options["cidfile"]
    if path and os.path.exists(path):
        raise LabkitError(
            f"container ID file found, make sure the other container isn't running or delete {path}"
        )
    if options["pull"] == "always":
        _pull(api, str(body["Image"]), options)
    query = {"name": options["name"] or None, "platform": options["platform"] or None}
    words: list[str] = body.get("Env") or []  # type: ignore[assignment]  # the body is any JSON
    if words := proxies.with_variables(words, api.socket_path):
        body = body | {"Env": words}
    try:
        created = api.post("/containers/create", body, **query)
    except NotFoundError as error:
        is_missing = str(error).startswith(NO_IMAGE) or OTHER_PLATFORM in str(error)
        if not is_missing or options["pull"] == "never":
            raise
        sys.stderr.write(f"Unable to find image '{str(error).removeprefix(NO_IMAGE)}' locally\n")
        _pull(api, str(body["Image"]), options)
        created = api.post("/containers/create", body, **query)
    for warning in created.get("Warnings") or []:
        sys.stderr.write(f"WARNING: {warning}\n")
    container_id = str(created["Id"])
    if path:
        _write_id(api, path, container_id)
    return container_id


def _pull(api: "Api", image: str, options: "dict[str, Any]") -> None:
    from labkit.cli.show import transfers  # noqa: PLC0415 rarely needed
    from labkit.client.transfers import pull_events  # noqa: PLC0415

    events = pull_events(api, image, platform=options["platform"])
    if options["quiet"]:
        transfers.drain(events)
    else:
        transfers.show(events, sys.stderr)


def _write_id(api: "Api", path: str, container_id: str) -> None:
    try:
        with open(path, "x", encoding="ascii") as file:
            file.write(container_id)
    except OSError as error:
        api.delete(container_path(container_id))
        raise LabkitError(f"cannot write the container's ID to {path}: {error.strerror}") from error
