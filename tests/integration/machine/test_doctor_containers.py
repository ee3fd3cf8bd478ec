"""The doctor tries containers: a command, a name, a page outside, a published port."""

import contextlib
import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from dnslib import QTYPE, RCODE, RR, A, DNSRecord

from labkit.doctor import checks_containers
from labkit.doctor.finding import LIMITED, OK, UNKNOWN, Finding, Situation
from labkit.kernel import power
from labkit.paths import Paths
from tests import dns
from tests.lab import PROJECT, Lab

pytestmark = pytest.mark.root

IN_ANOTHER_NETWORK = """
import json, sys
from labkit.doctor import checks_containers
from labkit.doctor.finding import Situation
from labkit.paths import Paths
situation = Situation(Paths.from_environment(), False, None, {})
found = checks_containers.check_containers(situation)
json.dump({one.name: [one.state, one.detail] for one in found}, sys.stdout)
"""


def check(lab: Lab) -> dict[str, Finding]:
    """The four findings about this lab's engine, by name."""
    paths = Paths(lab.root, lab.run)
    situation = Situation(paths, power.has_admin(), None, {})  # type: ignore[arg-type]  # no layout is read
    return {found.name: found for found in checks_containers.check_containers(situation)}


def states(found: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.state for name, finding in found.items()}


@contextlib.contextmanager
def page(address: str) -> Iterator[None]:
    """A web server at port 80 of this address."""
    server = http.server.ThreadingHTTPServer((address, 80), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def gateway(make_lab) -> Iterator[tuple[Lab, str]]:
    """A lab whose containers ask a name server at the gateway of their network; the address."""
    lab = make_lab()
    shown = lab.api("GET", "/networks/bridge")[1]["IPAM"]["Config"][0]["Gateway"]
    lab.stop_daemon()
    lab.start_daemon("--dns", shown)
    lab.cli("run", "--rm", "busybox", "true", check=True)  # the first one makes the bridge
    with dns.serving(shown, answering(shown)):
        yield lab, shown


def answering(address: str) -> Callable[[DNSRecord, str], DNSRecord]:
    """Answers with this address for `page.test`, else with NXDOMAIN."""

    def answer(query: DNSRecord, _: str) -> DNSRecord:
        reply = query.reply()
        if query.q.qname != "page.test.":
            reply.header.rcode = RCODE.NXDOMAIN
        elif query.q.qtype == QTYPE.A:
            reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(address), ttl=5))
        return reply

    return answer


@pytest.mark.host_power("host network")
def test_each_works_or_says_why(gateway, monkeypatch):
    lab, address = gateway
    monkeypatch.setenv("LABKIT_LINK_PREFIX", lab.link_prefix)
    monkeypatch.setattr(checks_containers, "TRIAL_S", 30)  # a loaded machine is slow
    monkeypatch.setattr(checks_containers, "OUTSIDE", "page.test")
    with page(address):
        found = check(lab)
    assert set(states(found).values()) == {OK}, found
    # This machine finds the name, and reads no page there.
    monkeypatch.setattr(checks_containers, "OUTSIDE", "localhost")
    found = check(lab)
    lookup = found["name lookup"]
    assert (lookup.state, lookup.detail.split(":")[0]) == (LIMITED, "nslookup in a container")
    assert "NXDOMAIN" in lookup.detail
    assert lookup.remedy
    # This machine does not find it either.
    monkeypatch.setattr(checks_containers, "OUTSIDE", "nowhere.test")
    assert check(lab)["name lookup"].state == UNKNOWN
    assert lab.api("GET", "/containers/json?all=1")[1] == []


def test_a_port_that_does_not_answer_is_named(lab):
    """From another network, where 127.0.0.1 is another address."""
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", IN_ANOTHER_NETWORK],
        env=lab.env,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = json.loads(done.stdout)
    assert found["test container"][0] == OK
    state, detail = found["published port"]
    assert (state, "does not answer" in detail) == (LIMITED, True)


def test_what_cannot_be_tried_is_not_known(make_lab):
    lab = make_lab()
    found = check(lab)
    assert states(found).pop("test container") == OK
    assert {one.state for one in list(found.values())[1:]} == {UNKNOWN}
    assert "start a container first" in found["published port"].detail
    lab.cli("rmi", "busybox", check=True)
    assert "no image busybox" in check(lab)["test container"].detail
    lab.stop_daemon()
    assert states(check(lab)) == {"test container": UNKNOWN}
    assert not lab.answers()
