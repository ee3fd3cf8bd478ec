"""The daemon's options, by Docker's names: in `daemon.json` and as flags of `labkit daemon`.

One table for the command, which offers the flags, and for the daemon, which reads the file.
Source: https://docs.docker.com/reference/cli/dockerd/
"""

from typing import NamedTuple

BOOL, INT, TEXT, LIST, MAP = "bool", "int", "string", "list", "map"


class Option(NamedTuple):
    """One option."""

    name: str
    """Its key in the file."""
    kind: str
    help: str
    flag: str = ""
    """The flag's name, if it differs: that of a list is singular."""
    short: str = ""

    @property
    def flag_name(self) -> str:
        """The flag's name, without the dashes."""
        return self.flag or self.name


OPTIONS = (
    Option("bip", TEXT, "Address of the default network's bridge (192.168.5.1/24)"),
    Option("cgroup-parent", TEXT, "Group above those of containers that name none"),
    Option("data-root", TEXT, "Folder of images, containers and volumes"),
    Option("debug", BOOL, "Log every request", short="D"),
    Option("default-address-pools", LIST, "Pool of subnets (base=10.9.0.0/16,size=24)",
           "default-address-pool"),
    Option("default-cgroupns-mode", TEXT, "Cgroup namespace of containers: private, host"),
    Option("default-ipc-mode", TEXT, "IPC of containers: private or shareable"),
    Option("default-runtime", TEXT, "The engine itself, by one of its names"),
    Option("default-shm-size", TEXT, "Size of containers' /dev/shm (64m)"),
    Option("default-ulimits", MAP, "Limit of each process of containers (nofile=1024:2048)",
           "default-ulimit"),
    Option("dns", LIST, "DNS server of containers"),
    Option("dns-opts", LIST, "Option of DNS, as in resolv.conf", "dns-opt"),
    Option("dns-search", LIST, "Domain in which containers search short names"),
    Option("features", MAP, "Features of Docker's; labkit has none to switch", "feature"),
    Option("fixed-cidr", TEXT, "Range of addresses on the default network"),
    Option("fixed-cidr-v6", TEXT, "Subnet of IPv6 of the default network"),
    Option("group", TEXT, "Group that may use the socket", short="G"),
    Option("host-gateway-ip", TEXT, "Meaning of host-gateway in --add-host"),
    Option("hosts", LIST, "Address to listen on: unix://PATH, tcp://HOST:PORT, fd://", "host", "H"),
    Option("http-proxy", TEXT, "Proxy for requests to registries"),
    Option("https-proxy", TEXT, "The same for HTTPS"),
    Option("icc", BOOL, "Whether containers on the default network reach each other"),
    Option("init", BOOL, "Run an init in containers"),
    Option("insecure-registries", LIST, "Registry that needs no certificate",
           "insecure-registry"),
    Option("ip", TEXT, "Host's address for published ports that name none"),
    Option("ipv6", BOOL, "Give the default network a subnet of IPv6"),
    Option("labels", LIST, "Label of the engine (name=value)", "label"),
    Option("log-driver", TEXT, "Log of containers' output: json-file, local, none"),
    Option("log-level", TEXT, "debug, info, warn, error, fatal", short="l"),
    Option("log-opts", MAP, "Option of containers' logs (max-size=10m)", "log-opt"),
    Option("max-concurrent-downloads", INT, "Layers that a pull downloads at once (3)"),
    Option("max-concurrent-uploads", INT, "Layers that a push sends at once (5)"),
    Option("mtu", INT, "Largest packet on the default network, in bytes"),
    Option("no-new-privileges", BOOL, "Let no program in containers gain power"),
    Option("no-proxy", TEXT, "Hosts to reach without the proxy"),
    Option("pidfile", TEXT, "File for the process id", short="p"),
    Option("registry-mirrors", LIST, "Address to try before the default registry",
           "registry-mirror"),
    Option("seccomp-profile", TEXT, "File with the default filter of system calls, or unconfined"),
    Option("storage-driver", TEXT, "Storage of a new data root: overlayfs, loop, copies",
           short="s"),
    Option("tls", BOOL, "Speak TLS; implied by --tlsverify"),
    Option("tlscacert", TEXT, "Certificate of the authority that signs clients' certificates"),
    Option("tlscert", TEXT, "The daemon's certificate"),
    Option("tlskey", TEXT, "The daemon's key"),
    Option("tlsverify", BOOL, "Accept only clients that have a certificate"),
    Option("userns-remap", TEXT, "Give containers their own users: ids of /etc/subuid, default"),
)  # fmt: skip
"""The options that labkit has."""

_ONE_BUILDER = "labkit has one store of images"
_OWN_TABLE = "labkit keeps its rules in one table of nftables, and needs them"
WITHOUT_EFFECT = {
    "allow-nondistributable-artifacts": "labkit pushes no layers that are stored elsewhere",
    "api-cors-header": "browsers are no clients of labkit",
    "authorization-plugins": "labkit has no plugins: a user of the socket may do everything",
    "bridge": "labkit makes the bridge of the default network itself",
    "builder": "the builder keeps images and caches, which `labkit builder prune` removes",
    "cdi-spec-dirs": "--device gives devices",
    "containerd": "labkit is its own runtime",
    "containerd-namespace": "labkit is its own runtime",
    "containerd-plugins-namespace": "labkit is its own runtime",
    "cpu-rt-period": "labkit gives no real-time CPU",
    "cpu-rt-runtime": "labkit gives no real-time CPU",
    "cri-containerd": "labkit is its own runtime",
    "default-gateway": "the gateway of the default network is its bridge: see bip",
    "default-gateway-v6": "the gateway of the default network is its bridge",
    "default-network-opts": "networks get their options when they are made",
    "exec-opts": "labkit makes its cgroups itself, as the driver cgroupfs does",
    "exec-root": "--run names the run folder",
    "experimental": "labkit has no experimental part",
    "init-path": "the init is tini-static",
    "ip-forward": "labkit turns on forwarding for its own links alone",
    "ip-forward-no-drop": "labkit does not change the machine's policy",
    "ip-masq": "a network's option enable_ip_masquerade decides it",
    "ip6tables": _OWN_TABLE,
    "iptables": _OWN_TABLE,
    "live-restore": "containers always outlive the daemon",
    "log-format": "the log is lines of text",
    "max-download-attempts": "an interrupted download is continued",
    "metrics-addr": "labkit has no metrics",
    "network-control-plane-mtu": "labkit has no swarm",
    "node-generic-resources": "labkit has no swarm",
    "oom-score-adjust": "the unit of the daemon sets it (OOMScoreAdjust=)",
    "raw-logs": "the log is plain text",
    "rootless": "labkit without root is rootless by itself",
    "runtimes": "labkit is its own runtime",
    "selinux-enabled": "labkit does not drive SELinux",
    "shutdown-timeout": "containers continue when the daemon ends",
    "storage-opts": _ONE_BUILDER,
    "swarm-default-advertise-addr": "labkit has no swarm",
    "userland-proxy": "the kernel passes packets on; no proxy is needed",
    "userland-proxy-path": "the kernel passes packets on; no proxy is needed",
    "validate": "it is only a flag",
}
"""Options of Docker's daemon that change nothing here, and the reason."""
