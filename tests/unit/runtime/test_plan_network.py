"""The steps that connect a container, as data."""

import dataclasses

from labkit.kernel import namespaces
from labkit.runtime import operations as op
from labkit.runtime import plan, plan_network
from labkit.runtime.spec import ContainerSpec, Interface, Network

ETH0 = Interface(
    name="eth0",
    host_name="labkitv1",
    bridge="labkit0",
    mac="02:00:00:00:00:01",
    mtu=1500,
    addresses=(("10.208.0.2", 20), ("fd00::2", 64)),
    gateways=("10.208.0.1", "fd00::1"),
)


def every(network: Network) -> list[op.Operation]:
    parts = (plan_network.host, plan_network.namespace, plan_network.interfaces)
    return [step.operation for part in parts for step in part(network)]


def test_none_has_a_loopback_interface_and_nothing_else():
    assert [type(operation) for operation in every(Network())] == [op.Unshare, op.BringUpLoopback]


def test_host_has_no_step_at_all():
    assert every(Network(host=True)) == []


def test_another_containers_network_is_joined_as_it_is():
    assert every(Network(joins=(77, 1234))) == [op.JoinNamespace(namespaces.CLONE_NEWNET, 77, 1234)]


def test_a_cable_is_laid_by_who_has_kept_a_way_to_the_host():
    network = Network(interfaces=(ETH0,), ports=(("tcp", "0.0.0.0", 8080),))
    operations = every(network)
    assert operations[0] == op.HoldPort("tcp", "0.0.0.0", 8080)
    assert [type(operation) for operation in operations[1:4]] == [
        op.KeepHostLinks,
        op.Unshare,
        op.BringUpLoopback,
    ]
    assert operations[4:] == [
        op.LayCable("labkitv1", "labkit0", "eth0", "02:00:00:00:00:01", 1500),
        op.SwitchOn("eth0"),
        op.AddAddress("eth0", "10.208.0.2", 20),
        op.AddAddress("eth0", "fd00::2", 64),
        op.AddDefaultRoute("eth0", "10.208.0.1"),
        op.AddDefaultRoute("eth0", "fd00::1"),
    ]
    assert op.decode(op.encode(operations)) == operations


def test_without_the_namespace_nothing_is_done_to_the_hosts_network():
    spec = ContainerSpec("c0ffee", ("true",), "c0ffee", ("/l",), "/u", "/w", "/m")
    spec = dataclasses.replace(spec, network=Network(interfaces=(ETH0,)))
    steps = [step.name for _, step in plan.compute(spec, ["namespace.network"]).steps()]
    assert not [name for name in steps if name.startswith(("network", "namespace.network"))]
    assert "network.route" in [step.name for _, step in plan.compute(spec).steps()]


def test_who_asks_labkit_for_names_has_sockets_for_it_after_the_cables():
    operations = every(Network(interfaces=(ETH0,), name_server="127.0.0.11"))
    assert operations[-1] == op.ListenForNames("127.0.0.11")
    assert op.decode(op.encode(operations)) == operations
