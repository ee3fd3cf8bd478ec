"""Containers with a brick left out on purpose."""

import os

import pytest

from tests.containers import shell

pytestmark = pytest.mark.root


@pytest.mark.parametrize(
    ("step", "script", "expected"),
    [
        ("namespace.pid", "test $$ != 1", 0),
        ("namespace.uts", "hostname", 0),
        ("pivot_root", "test -e /proc/1/root/usr/bin/python3 -o -e /usr/bin/env", 0),
        ("seccomp", "grep -q 'Seccomp:.0' /proc/self/status", 0),
        ("masked_paths", "head -c1 /proc/interrupts | grep .", 0),
        ("readonly_paths", "test -w /proc/sys/kernel/domainname", 0),
        ("namespace.network.loopback", "ping -c1 -W1 127.0.0.1", 1),
        ("mount.proc", "ls /proc | grep .", 1),
        ("cgroup", "true", 0),
        ("capabilities", "grep -q CapEff:.00000000a8 /proc/self/status", 1),
        ("namespace.network", "ls /sys/class/net | grep -v '^lo$'", 0),
    ],
)
def test_without_a_brick(engine, step, script, expected):
    _, code = shell(engine, f"({script}) >/dev/null 2>&1", without=[step], hostname="inside")
    assert code == expected


def test_without_uts_does_not_rename_the_host(engine):
    before = os.uname().nodename
    shell(engine, "true", without=["namespace.uts"], hostname="renamed")
    assert os.uname().nodename == before
