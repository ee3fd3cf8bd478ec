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
    """The flag's name, if it is another: one of a list is named in the singular."""
    short: str = ""

    @property
    def flag_name(self) -> str:
        """The flag's name, without the dashes."""
        return self.flag or self.name


OPTIONS = (
    Option("bip", TEXT, "Address of the default network's bridge (192.168.5.1/24)"),
    Option("cgroup-parent", TEXT, "Group above those of containers that name none"),
    Option("data-root", TEXT, "Where images, containers and volumes are kept"),
    Option("debug", BOOL, "Log every request", short="D"),
    Option("default-address-pools", LIST, "Where subnets come from (base=10.9.0.0/16,size=24)",
           "default-address-pool"),
    Option("default-cgroupns-mode", TEXT, "The cgroup namespace of containers: private, host"),
    Option("default-ipc-mode", TEXT, "IPC of containers: private or shareable"),
    Option("default-runtime", TEXT, "The engine's own, by one of its names"),
    Option("default-shm-size", TEXT, "Size of containers' /dev/shm (64m)"),
    Option("default-ulimits", MAP, "Limit of each process of containers (nofile=1024:2048)",
           "default-ulimit"),
    Option("dns", LIST, "Server that containers ask for names"),
    Option("dns-opts", LIST, "Option for asking for names, as in resolv.conf", "dns-opt"),
    Option("dns-search", LIST, "Domain in which containers look for short names"),
    Option("features", MAP, "Features of Docker's; labkit has none to switch", "feature"),
    Option("fixed-cidr", TEXT, "Where addresses on the default network come from"),
    Option("fixed-cidr-v6", TEXT, "Subnet of IPv6 of the default network"),
    Option("group", TEXT, "Group that may use the socket", short="G"),
    Option("host-gateway-ip", TEXT, "What host-gateway stands for in --add-host"),
    Option("hosts", LIST, "Where to listen: unix://PATH, tcp://HOST:PORT, fd://", "host", "H"),
    Option("http-proxy", TEXT, "Proxy that registries are reached by"),
    Option("https-proxy", TEXT, "The same for HTTPS"),
    Option("icc", BOOL, "Whether containers on the default network reach each other"),
    Option("init", BOOL, "Run an init in containers"),
    Option("insecure-registries", LIST, "Registry that needs no certificate",
           "insecure-registry"),
    Option("ip", TEXT, "Host's address at which ports are published that name none"),
    Option("ipv6", BOOL, "Give the default network a subnet of IPv6"),
    Option("labels", LIST, "Label of the engine (name=value)", "label"),
    Option("log-driver", TEXT, "How containers' output is kept: json-file, local, none"),
    Option("log-level", TEXT, "debug, info, warn, error, fatal", short="l"),
    Option("log-opts", MAP, "Option of containers' logs (max-size=10m)", "log-opt"),
    Option("max-concurrent-downloads", INT, "Layers that a pull gets at once (3)"),
    Option("max-concurrent-uploads", INT, "Layers that a push sends at once (5)"),
    Option("mtu", INT, "Largest packet on the default network, in bytes"),
    Option("no-new-privileges", BOOL, "No program in containers gains power"),
    Option("no-proxy", TEXT, "Hosts that are reached without the proxy"),
    Option("pidfile", TEXT, "File for the process id", short="p"),
    Option("registry-mirrors", LIST, "Address asked before the default registry",
           "registry-mirror"),
    Option("seccomp-profile", TEXT, "File with the usual filter of system calls, or unconfined"),
    Option("storage-driver", TEXT, "How a new data root keeps layers: overlayfs, loop, copies",
           short="s"),
    Option("tls", BOOL, "Speak TLS; implied by --tlsverify"),
    Option("tlscacert", TEXT, "Certificate of the authority that signs clients' certificates"),
    Option("tlscert", TEXT, "The daemon's certificate"),
    Option("tlskey", TEXT, "The daemon's key"),
    Option("tlsverify", BOOL, "Speak TLS with clients alone that have a certificate"),
    Option("userns-remap", TEXT, "Map containers' users to these ids of /etc/subuid, or default"),
)  # fmt: skip
"""The options that labkit has."""

_ONE_BUILDER = "labkit has one way of keeping images"
_OWN_TABLE = "labkit keeps its rules in one table of nftables, and needs them"
WITHOUT_EFFECT = {
    "allow-nondistributable-artifacts": "labkit pushes no layers that lie elsewhere",
    "api-cors-header": "browsers are not clients of labkit",
    "authorization-plugins": "labkit has no plugins: a user of the socket may do everything",
    "bridge": "labkit makes the bridge of the default network itself",
    "builder": "the builder keeps images and caches, which `labkit builder prune` removes",
    "cdi-spec-dirs": "devices are given by --device",
    "containerd": "labkit is its own runtime",
    "containerd-namespace": "labkit is its own runtime",
    "containerd-plugins-namespace": "labkit is its own runtime",
    "cpu-rt-period": "labkit gives no real-time CPU",
    "cpu-rt-runtime": "labkit gives no real-time CPU",
    "cri-containerd": "labkit is its own runtime",
    "default-gateway": "the gateway of the default network is its bridge: see bip",
    "default-gateway-v6": "the gateway of the default network is its bridge",
    "default-network-opts": "networks are given options when they are made",
    "exec-opts": "labkit makes its groups itself, as the driver cgroupfs does",
    "exec-root": "the run folder is named by --run",
    "experimental": "labkit has no experimental part",
    "init-path": "the init is tini-static",
    "ip-forward": "labkit turns on forwarding for its own links alone",
    "ip-forward-no-drop": "labkit leaves the machine's own policy alone",
    "ip-masq": "a network's option enable_ip_masquerade says it",
    "ip6tables": _OWN_TABLE,
    "iptables": _OWN_TABLE,
    "live-restore": "containers always outlive the daemon",
    "log-format": "the log is lines of text",
    "max-download-attempts": "a download goes on where it broke off",
    "metrics-addr": "labkit has no metrics",
    "network-control-plane-mtu": "labkit has no swarm",
    "node-generic-resources": "labkit has no swarm",
    "oom-score-adjust": "the unit of the daemon says it (OOMScoreAdjust=)",
    "raw-logs": "the log is plain text",
    "rootless": "labkit without root is rootless by itself",
    "runtimes": "labkit is its own runtime",
    "selinux-enabled": "labkit does not drive SELinux",
    "shutdown-timeout": "containers go on when the daemon ends",
    "storage-opts": _ONE_BUILDER,
    "swarm-default-advertise-addr": "labkit has no swarm",
    "userland-proxy": "the kernel passes packets on; no proxy is needed",
    "userland-proxy-path": "the kernel passes packets on; no proxy is needed",
    "validate": "it is a flag alone",
}
"""The other options of Docker's daemon, and why each changes nothing here."""
