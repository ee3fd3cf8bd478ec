"""Containers call each other by name."""

import contextlib
import os
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from tests import dns
from tests.lab import Lab

pytestmark = pytest.mark.root

SLEEP = ("busybox", "sleep", "1000")


@pytest.fixture
def names(networks: Lab) -> Lab:
    return networks


def network(lab: Lab, name: str, *options: str) -> str:
    """Make a network; its gateway's address, which is the host's."""
    lab.cli("network", "create", *options, name, check=True)
    return str(lab.api("GET", f"/networks/{name}")[1]["IPAM"]["Config"][0]["Gateway"])


def start(lab: Lab, name: str, *options: str, command: tuple[str, ...] = SLEEP) -> int:
    """Start a container; its process."""
    lab.cli("run", "-d", "--name", name, *options, *command, check=True)
    return pid_of(lab, name)


def pid_of(lab: Lab, name: str) -> int:
    return int(lab.api("GET", f"/containers/{name}/json")[1]["State"]["Pid"])


def address_of(lab: Lab, name: str, on: str) -> str:
    networks = lab.api("GET", f"/containers/{name}/json")[1]["NetworkSettings"]["Networks"]
    return str(networks[on]["IPAddress"])


def inside(lab: Lab, name: str, *command: str) -> str:
    return lab.cli("exec", name, *command, check=True).stdout


def test_names_on_a_network(names):
    lab = names
    network(lab, "blue")
    network(lab, "green")
    web = start(lab, "web", "--network", "blue", "--network-alias", "site", "--hostname", "www")
    start(lab, "db", "--network", "blue")
    green = start(lab, "far", "--network", "green")
    shown = lab.api("GET", "/containers/db/json")[1]
    address = shown["NetworkSettings"]["Networks"]["blue"]["IPAddress"]
    assert inside(lab, "web", "ping", "-c", "1", "db").startswith(f"PING db ({address})")
    assert f"Name:\tdb.blue\nAddress: {address}\n" in inside(lab, "web", "nslookup", "db.blue")
    own = address_of(lab, "web", "blue")
    for name in (
        "web",
        "site",
        "www",
        "SITE.Blue",
        lab.api("GET", "/containers/web/json")[1]["Id"][:12],
    ):
        assert dns.data(dns.ask(web, name)) == [own], name
    assert "name = db.blue\n" in inside(lab, "web", "nslookup", address)
    assert dns.ask(web, "db", "AAAA").header.rcode == RCODE.NOERROR
    # Of another network nothing is known, until the container is on it as well.
    assert dns.data(dns.ask(green, "db")) == []
    assert dns.data(dns.ask(web, "far")) == []
    lab.cli("network", "connect", "--alias", "middle", "green", "web", check=True)
    assert dns.data(dns.ask(web, "far")) == [address_of(lab, "far", "green")]
    assert dns.data(dns.ask(green, "middle")) == [address_of(lab, "web", "green")]
    assert dns.data(dns.ask(green, "site")) == []
    lab.cli("network", "disconnect", "green", "web", check=True)
    assert dns.data(dns.ask(green, "web")) == []
    assert dns.data(dns.ask(web, "db")) == [address]


def test_several_with_one_alias_are_answered_in_turn_and_renamed_and_gone(names):
    lab = names
    network(lab, "blue")
    asks = start(lab, "asks", "--network", "blue")
    for name in ("aa", "bb"):
        start(lab, name, "--network", "blue", "--network-alias", "svc")
    a, b = (address_of(lab, name, "blue") for name in ("aa", "bb"))
    assert [dns.data(dns.ask(asks, "svc")) for _ in range(3)] == [[a, b], [b, a], [a, b]]
    lab.cli("rename", "aa", "other", check=True)
    assert dns.data(dns.ask(asks, "other")) == [a]
    assert dns.data(dns.ask(asks, "aa")) == []
    lab.cli("rm", "-f", "bb", check=True)
    assert dns.data(dns.ask(asks, "svc")) == [a]


def test_names_outlive_the_daemon(make_lab):
    lab = make_lab()
    network(lab, "blue")
    asks = start(lab, "asks", "--network", "blue")
    late = start(lab, "late")
    lab.cli("network", "connect", "blue", "late", check=True)
    start(lab, "web", "--network", "blue")
    web = address_of(lab, "web", "blue")
    assert dns.data(dns.ask(asks, "web")) == [web]
    for _ in range(2):
        lab.kill_daemon()
        with dns.connected(asks, socket.SOCK_DGRAM) as udp:
            # Nobody answers now; the question waits in the socket.
            udp.send(DNSRecord.question("web").pack())
            lab.start_daemon()
            assert dns.data(DNSRecord.parse(udp.recv(512))) == [web]
        assert dns.data(dns.ask(late, "asks")) == [address_of(lab, "asks", "blue")]
        assert dns.data(dns.ask(asks, "late", tcp=True)) == [address_of(lab, "late", "blue")]


def test_a_running_container_that_comes_to_a_network_asks_there(names):
    lab = names
    network(lab, "blue")
    start(lab, "web", "--network", "blue")
    late = start(lab, "late", "--dns-search", "example.test")
    assert "127.0.0.11" not in inside(lab, "late", "cat", "/etc/resolv.conf")
    with pytest.raises(ConnectionRefusedError):
        dns.ask(late, "web")
    lab.cli("network", "connect", "blue", "late", check=True)
    assert inside(lab, "late", "cat", "/etc/resolv.conf") == (
        "nameserver 127.0.0.11\nsearch example.test\noptions ndots:0\n"
    )
    web = address_of(lab, "web", "blue")
    assert inside(lab, "late", "ping", "-c", "1", "web").startswith(f"PING web ({web})")
    assert address_of(lab, "late", "blue") in inside(lab, "web", "nslookup", "late")


@pytest.mark.host_power("host network")
def test_other_names_are_asked_for_elsewhere(names):
    lab = names
    gateway, second = network(lab, "blue"), network(lab, "green")

    def answer(query: DNSRecord, protocol: str) -> DNSRecord | None:
        name = str(query.q.qname)
        if name.startswith("silent"):
            return None
        reply = dns.ours(query)
        if name.startswith("unhelpful"):
            reply.header.rcode = RCODE.SERVFAIL
        if name.startswith("many"):
            for n in range(100):
                reply.add_answer(RR(name, QTYPE.A, rdata=A(f"192.0.3.{n}"), ttl=5))
            return reply.truncate() if protocol == "udp" else reply
        return reply

    asks = start(lab, "asks", "--network", "blue", "--dns", gateway, "--dns", second)
    with dns.serving(gateway, answer) as server, dns.serving(second) as other:
        assert "192.0.2.7" in inside(lab, "asks", "nslookup", "www.example.test")
        assert dns.ask(asks, "nosuch").header.rcode == RCODE.NXDOMAIN
        assert dns.data(dns.ask(asks, "www.test", tcp=True)) == ["192.0.2.7"]
        assert ("www.test.", "tcp") in server.asked
        assert other.asked == []
        cut = dns.ask(asks, "many.test")
        assert (cut.header.tc, cut.rr) == (1, [])
        assert len(dns.data(dns.ask(asks, "many.test", tcp=True))) == 101
        # The second server is asked when the first is silent, knows nothing, or is not there.
        for name in ("silent.test", "unhelpful.test"):
            assert dns.data(dns.ask(asks, name)) == ["192.0.2.7"]
            assert (f"{name}.", "udp") in other.asked
        own = address_of(lab, "asks", "blue")
        assert dns.data(dns.ask(asks, "asks")) == [own]
        assert not any(name.startswith("asks.") for name, _ in server.asked + other.asked)
        server.close()
        assert dns.data(dns.ask(asks, "gone.test")) == ["192.0.2.7"]
        assert dns.data(dns.ask(asks, "gone.test", tcp=True)) == ["192.0.2.7"]
    assert dns.ask(asks, "nobody.test").header.rcode == RCODE.SERVFAIL
    assert dns.ask(asks, "nobody.test", tcp=True).header.rcode == RCODE.SERVFAIL


@pytest.mark.host_power("host network")
def test_an_internal_network_is_not_left_for_a_name(names):
    lab = names
    gateway = network(lab, "blue")
    network(lab, "closed", "--internal")
    asks = start(lab, "asks", "--network", "closed", "--dns", gateway)
    with dns.serving(gateway) as server:
        assert dns.ask(asks, "www.test").header.rcode == RCODE.SERVFAIL
        assert dns.data(dns.ask(asks, "asks")) == [address_of(lab, "asks", "closed")]
        assert server.asked == []
        lab.cli("network", "connect", "blue", "asks", check=True)
        assert dns.data(dns.ask(asks, "www.test")) == ["192.0.2.7"]


def test_who_floods_harms_nobody_else(names):
    lab = names
    gateway = network(lab, "blue")
    noisy = start(lab, "noisy", "--network", "blue", "--dns", gateway)
    calm = start(lab, "calm", "--network", "blue")
    garbage = [b"", b"\0" * 11, b"\xff" * 500, b"\x12\x34\x01\x00\x00\x01" + b"\xc0\x0c" * 300]
    query = DNSRecord.question("silent.test").pack()
    with dns.serving(gateway, lambda *_: None), contextlib.ExitStack() as open_sockets:
        slow = [
            open_sockets.enter_context(dns.connected(noisy, socket.SOCK_STREAM)) for _ in range(20)
        ]
        for connection in slow:
            connection.send(b"\x01")
        huge = dns.connected(noisy, socket.SOCK_STREAM)
        with huge:
            huge.sendall(b"\xff\xff" + bytes(1000))
        udp = open_sockets.enter_context(dns.connected(noisy, socket.SOCK_DGRAM))
        for number in range(3000):
            udp.send(garbage[number % 4])
            udp.send(query)
            if number % 500 == 0:
                assert dns.data(dns.ask(calm, "noisy")) == [address_of(lab, "noisy", "blue")]
                assert len(dns.data(dns.ask(calm, "noisy", tcp=True))) == 1
        assert lab.api("GET", "/_ping")[0] == 200
    # And once it is quiet, it is answered as everybody is.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError), dns.connected(noisy, socket.SOCK_DGRAM) as again:
            again.settimeout(1)
            again.send(DNSRecord.question("calm").pack())
            assert len(dns.data(DNSRecord.parse(again.recv(512)))) == 1
            break
    else:
        pytest.fail("not answered any more")


def test_several_questions_on_one_connection(names):
    lab = names
    network(lab, "blue")
    asks = start(lab, "asks", "--network", "blue")
    wire = DNSRecord.question("asks").pack()
    framed = struct.pack(">H", len(wire)) + wire
    with dns.connected(asks, socket.SOCK_STREAM) as tcp:
        tcp.sendall(framed * 3 + framed[:5])
        file = tcp.makefile("rb")
        for _ in range(3):
            reply = DNSRecord.parse(file.read(struct.unpack(">H", file.read(2))[0]))
            assert dns.data(reply) == [address_of(lab, "asks", "blue")]
        tcp.sendall(framed[5:])
        assert file.read(2)


def test_links(names):
    lab = names
    network(lab, "blue")
    start(lab, "db", "--network", "blue")
    web = start(lab, "web", "--network", "blue", "--link", "db:store")
    asks = start(lab, "asks", "--network", "blue")
    assert dns.data(dns.ask(web, "store")) == [address_of(lab, "db", "blue")]
    assert dns.data(dns.ask(asks, "store")) == []
    lab.cli("network", "disconnect", "blue", "asks", check=True)
    lab.cli("network", "connect", "--link", "db:shelf", "blue", "asks", check=True)
    assert dns.data(dns.ask(asks, "shelf")) == [address_of(lab, "db", "blue")]
    refused = lab.cli("run", "--rm", "--link", "old:store", *SLEEP)
    assert refused.returncode == 125
    assert "No such container: old" in refused.stderr
    # On the default network there are no names: a link is a line in a file.
    start(lab, "old")
    start(lab, "new", "--link", "old:store")
    before = address_of(lab, "old", "bridge")
    assert inside(lab, "new", "ping", "-c", "1", "store").startswith(f"PING store ({before})")
    lab.cli("stop", "-t", "0", "old", check=True)
    start(lab, "takes-its-address")
    lab.cli("start", "old", check=True)
    after = address_of(lab, "old", "bridge")
    assert after != before
    hostname = lab.api("GET", "/containers/old/json")[1]["Config"]["Hostname"]
    assert f"\n{after}\tstore {hostname} old\n" in inside(lab, "new", "cat", "/etc/hosts")
    lab.cli("stop", "-t", "0", "old", check=True)
    refused = lab.cli("run", "--rm", "--link", "old:store", "busybox", "true")
    assert refused.returncode == 125
    assert "Cannot link to a non running container: /old AS" in refused.stderr
    # What a failed start had taken is free again.
    assert lab.cli("run", "--rm", "busybox", "true").returncode == 0


def test_what_is_said_of_names_is_in_the_files(names):
    lab = names
    network(lab, "blue")
    default = lab.api("GET", "/networks/bridge")[1]["IPAM"]["Config"][0]["Gateway"]
    options = ("--dns-search", "a.test", "--dns-search", "b.test", "--dns-option", "ndots:3")
    more = ("--add-host", "me:host-gateway", "--add-host", "x:192.0.2.1")
    command = ("busybox", "cat", "/etc/resolv.conf", "/etc/hosts")
    shown = lab.cli("run", "--rm", "--network", "blue", *options, *more, *command).stdout
    assert shown.startswith("nameserver 127.0.0.11\nsearch a.test b.test\noptions ndots:3\n")
    assert f"\n{default}\tme\n192.0.2.1\tx\n" in shown
    refused = lab.cli("run", "--rm", "--dns", "dns.test", *command)
    assert refused.returncode == 125
    assert "invalid IP address: dns.test" in refused.stderr
    shown = lab.cli("run", "--rm", "--dns", "192.0.2.53", *options, *command).stdout
    assert shown.startswith("nameserver 192.0.2.53\nsearch a.test b.test\noptions ndots:3\n")


PRIVATE = pytest.param(("--userns", "private"), marks=pytest.mark.host_power("users"))


@pytest.mark.parametrize("options", [(), PRIVATE, ("-t",)])
def test_the_sockets_are_a_step_of_the_plan_and_never_the_containers(names, options):
    lab = names
    network(lab, "blue")
    script = "ls /proc/self/fd | wc -l; ls -l /proc/1/fd | grep -c socket; nslookup me"
    run = ("run", "--rm", "--name", "me", "--network", "blue", *options)
    shown = lab.cli(*run, "busybox", "sh", "-c", script)
    assert shown.stdout.split()[:2] == ["4", "0"], shown
    assert "Name:\tme" in shown.stdout
    explained = lab.cli("run", "--explain", "--network", "blue", "busybox", "true")
    assert 'bind(socket(udp), "127.0.0.11", 0)' in explained.stdout + explained.stderr
    without = lab.cli(*run, "--without", "network.names", "busybox", "nslookup", "me")
    assert without.returncode != 0
    on_default = lab.cli("run", "--explain", "busybox", "true")
    assert "network.route" in on_default.stdout + on_default.stderr
    assert "network.names" not in on_default.stdout + on_default.stderr


def test_a_server_of_names_in_a_container_listens_everywhere(names):
    lab = names
    network(lab, "blue")
    server = ("busybox", "nc", "-ll", "-p", "53", "-e", "echo", "mine")
    for name, options in (("server", ("--network", "blue")), ("late", ())):
        pid = start(lab, name, *options, command=server)
        inside(lab, name, "sh", "-c", "until nc -w 1 127.0.0.1 53 < /dev/null; do :; done")
        if name == "late":
            lab.cli("network", "connect", "blue", name, check=True)
        assert dns.data(dns.ask(pid, "server")) == [address_of(lab, "server", "blue")]
        assert dns.data(dns.ask(pid, name, tcp=True)) == [address_of(lab, name, "blue")]
        assert inside(lab, name, "nc", "-w", "1", "127.0.0.1", "53") == "mine\n"


def test_no_socket_stays_open_in_the_daemon(names):
    lab = names
    network(lab, "blue")
    start(lab, "web", "--network", "blue")
    assert inside(lab, "web", "nslookup", "web")

    def sockets() -> int:
        found = 0
        for fd in Path(f"/proc/{lab.daemon_pid()}/fd").iterdir():
            with suppress(FileNotFoundError):  # it has just been closed
                found += os.readlink(fd).startswith("socket:")
        return found

    def settled() -> int:
        """How many there are when no request is being answered any more."""
        seen = [sockets()]
        while len(seen) < 10 or len(set(seen[-10:])) > 1:
            time.sleep(0.02)
            seen.append(sockets())
        return seen[-1]

    before = settled()
    for _ in range(3):
        inside(lab, "web", "true")
        lab.cli("run", "--rm", "--network", "blue", "busybox", "nslookup", "web", check=True)
    assert settled() == before
    lab.cli("rm", "-f", "web", check=True)
    assert settled() == before - 3  # two for names, and the way to its shim
