"""`labkit doctor` sends a packet as a container would, and names the chain that drops it."""

import json
import subprocess
import sys

import pytest

from tests import firewalls, hosts
from tests.firewalls import wait_until
from tests.hosts import Host
from tests.integration.networks.test_host_routing import host, lab_on, sleeper
from tests.lab import PROJECT, Lab

__all__ = ["host", "lab_on"]
pytestmark = pytest.mark.root

_SHOW = """
import json, sys
from labkit.doctor import examination
from labkit.paths import Paths
found = examination._run(Paths.from_environment(), ("Network",), ("nat", "outward"))
shown = [[one.name, one.state, one.detail] for one in found]
json.dump(shown, sys.stdout)
"""


def findings(host: Host, lab: Lab) -> dict[str, tuple[str, str]]:
    """What the doctor says of networks on this host: by name, the state and the detail."""
    done = subprocess.run(
        [*host.enter(), sys.executable, "-c", _SHOW],
        env=lab.env,
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {name: (state, detail) for name, state, detail in json.loads(done.stdout)}


def try_outward(host: Host, lab: Lab) -> dict[str, str]:
    """The one trial with a packet."""
    command = [sys.executable, "-P", "-m", "labkit.doctor.trials", lab.root, "outward"]
    done = subprocess.run(
        [*host.enter(), *command], env=lab.env, capture_output=True, text=True, check=True
    )
    result: dict[str, str] = json.loads(done.stdout)
    return result


def links(host: Host) -> list[str]:
    return sorted(line.split()[0] for line in host.run("ip", "-br", "link").splitlines())


def test_a_packet_is_tried_and_what_drops_it_is_named(host, lab_on):
    host.run("ip", "route", "add", "default", "via", host.lans[0].address)
    assert findings(host, lab_on)["packets of containers"][0] == "unknown"
    sleeper(lab_on, "web")
    before = links(host)
    assert findings(host, lab_on)["packets of containers"][0] == "ok"
    assert links(host) == before
    # The kernel may switch a bridge on again only a second after it lost its last cable.
    for _ in range(3):
        assert try_outward(host, lab_on) == {"outward": ""}
    firewalls.iptables(host, "nft", "-P FORWARD DROP").start()
    wait_until(lambda: lab_on.link_prefix in host.run("iptables-nft-save"), "it is not let through")
    found = findings(host, lab_on)
    assert found["packets of containers"][0] == "ok"
    assert found["other firewalls"][0] == "ok"
    assert "FORWARD" in found["other firewalls"][1]
    lab_on.kill_daemon()  # no one asks to be let through another
    firewalls.nft(host, "chain fw { type filter hook forward priority 5; policy drop; }").start()
    state, detail = findings(host, lab_on)["packets of containers"]
    assert state == "limited"
    assert "chain fw (nft table inet filter)" in detail
    assert "FORWARD" not in detail
    hosts.undo(host, lab_on)
