"""Commands whose caller has closed their standard streams, and the ports of `ps`."""

import subprocess
import sys

import pytest

from labkit.cli.show.ports import displayed
from labkit.cli.show.template import Template


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_no_defect(closed):
    command = f"{sys.executable} -m labkit.cli --help {closed}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def port(inside: int, outside: int = 0, address: str = "", kind: str = "tcp") -> dict[str, object]:
    given = {"IP": address, "PublicPort": outside} if outside else {}
    return {"PrivatePort": inside, "Type": kind, **given}


@pytest.mark.parametrize(
    ("ports", "shown"),
    [([], ""), ([port(80)], "80/tcp"),
     ([port(80), port(81), port(83), port(82, kind="udp")], "80-81/tcp, 83/tcp, 82/udp"),
     ([port(n, n, "0.0.0.0") for n in (82, 80, 81)], "0.0.0.0:80-82->80-82/tcp"),
     ([port(80, 80, a) for a in ("0.0.0.0", "::")] + [port(81, 81, "::")],
      "0.0.0.0:80->80/tcp, [::]:80-81->80-81/tcp"),
     ([port(80, 8080, "127.0.0.1"), port(81, 8081, "127.0.0.1"), port(90)],
      "90/tcp, 127.0.0.1:8080->80/tcp, 127.0.0.1:8081->81/tcp")],
)  # fmt: skip
def test_ports_in_a_row_are_one_range(ports, shown):
    assert displayed(ports) == shown


def test_what_a_map_lacks_is_no_value():
    event = {"Actor": {"Attributes": {"name": "x"}}}
    template = Template("{{.Actor.Attributes.nope}} {{.Actor.Attributes.name}}")
    assert template.fill(event) == "<no value> x"
