"""`--sysctl` sets parameters of a container's namespaces, never the machine's."""

import pytest

from labkit.containers.given import sysctls
from labkit.containers.records.model import HostConfig
from labkit.errors import InvalidParameterError


@pytest.mark.parametrize(
    "name",
    [
        "kernel.core_pattern",
        "net/../kernel/core_pattern",
        "net.//.kernel.core_pattern",
        "net/ipv4/../../kernel/core_pattern",
        "fs.mqueue.//.file-max",
        "net/./ipv4/ip_forward",
        "net..ipv4.ip_forward",
        "net.",
        "/net/ipv4/ip_forward",
    ],
)
def test_no_name_leads_to_a_parameter_of_the_machine(name):
    with pytest.raises(InvalidParameterError, match="sysctl"):
        sysctls.check(HostConfig(sysctls={name: "1"}))


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.1/forwarding", "/proc/sys/net/ipv4/conf/eth0.1/forwarding"),
        ("net.ipv4.conf.eth0/1.forwarding", "/proc/sys/net/ipv4/conf/eth0.1/forwarding"),
        ("fs.mqueue.msg_max", "/proc/sys/fs/mqueue/msg_max"),
    ],
)
def test_a_parameter_of_a_namespace_has_its_file(name, path):
    host = HostConfig(sysctls={name: "1"})
    sysctls.check(host)
    assert path in [found for _, found, _ in sysctls.of(host)]
