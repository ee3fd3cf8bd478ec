"""labkitd on the hosts that people have: a PATH without sbin, a VPN, few descriptors."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from labkit.networks.claims import file_path
from tests.lab import PROJECT, Lab

pytestmark = pytest.mark.root

VPNS = {
    "all of 10/8": ["10.0.0.0/8"],
    "OpenVPN's two halves": ["0.0.0.0/1", "128.0.0.0/1"],
    "every private range": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"],
}
END = """
kill "$(cut -d ' ' -f 1 "$LABKIT_RUN/labkitd.pid")"
while [ -e "$LABKIT_RUN/labkitd.pid" ]; do sleep 0.05; done
"""
SCRIPT = f"""
set -e
ip link set lo up
ip link add vpn type bridge
ip address add 198.18.0.1/30 dev vpn
ip link set vpn up
for route in $ROUTES; do ip route add "$route" dev vpn; done
labkit() {{ "$PYTHON" -m labkit.cli "$@"; }}
labkit network create web > /dev/null
labkit run -d --name server --network web -p 8099:80 busybox httpd -f -p 80 > /dev/null
labkit run --rm --network web busybox ping -c 1 -W 5 server > /dev/null && echo pinged
labkit run --rm busybox ip route | head -n 1
labkit info --format '{{{{json .Warnings}}}}'
labkit network inspect web --format '{{{{(index .IPAM.Config 0).Subnet}}}}'
labkit rm -f server > /dev/null
labkit network rm web > /dev/null
{END}
"""


def in_network_of_its_own(lab: Lab, script: str, **variables: str) -> list[str]:
    """A script's output in a new network namespace, where the first command starts labkitd."""
    done = subprocess.run(
        ["unshare", "--net", "--mount", "bash", "-c", script],
        env=lab.env | variables | {"PYTHON": sys.executable},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("vpn", VPNS)
def test_a_vpn_leaves_room_for_a_network(make_lab, vpn: str) -> None:
    lab = make_lab()
    lab.stop_daemon()
    routes = VPNS[vpn]
    pinged, route, warnings, subnet = in_network_of_its_own(lab, SCRIPT, ROUTES=" ".join(routes))
    assert pinged == "pinged"
    assert route.startswith("default via ")
    hidden = [warning for warning in json.loads(warnings) if "hides the least" in warning]
    assert bool(hidden) == (routes != ["10.0.0.0/8"])
    assert subnet.startswith("172.24." if routes == ["10.0.0.0/8"] else "10.208.")


def test_programs_are_found_without_sbin_in_the_path(make_lab) -> None:
    lab = make_lab()
    lab.stop_daemon()
    lab.env = lab.env | {"PATH": "/usr/local/bin:/usr/bin:/bin"}
    lab.start_daemon()
    assert lab.cli("run", "--rm", "-p", "8098:80", "busybox", "true").returncode == 0


WITHOUT_NFT = f"""
set -e
mount -t tmpfs tmpfs /mnt
cp -a /usr/sbin/. /mnt/
rm /mnt/nft
mount --bind /mnt /usr/sbin
{{ ! command -v nft; }} > /dev/null
labkit() {{ "$PYTHON" -m labkit.cli "$@"; }}
labkit run --rm --network none busybox echo none
labkit run --rm --network host busybox echo host
labkit run --rm busybox true || echo "refused: $?"
labkit network create web || echo "refused: $?"
labkit network ls -q --filter name=web
printf 'FROM busybox\nRUN echo hi > /x\n' | labkit build -q --network none - > /dev/null
labkit info --format '{{{{json .Warnings}}}}'
{END}
"""


def test_without_nft_all_but_bridges_works(make_lab) -> None:
    lab = make_lab()
    lab.stop_daemon()
    done = subprocess.run(
        ["unshare", "--mount", "--net", "bash", "-c", WITHOUT_NFT],
        env=lab.env | {"PYTHON": sys.executable},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *said, warnings = done.stdout.splitlines()
    assert said == ["none", "host", "refused: 125", "refused: 1"], done.stdout + done.stderr
    why = "bridge networks need the program nft: install the package nftables"
    assert done.stderr.count(why) == 2
    assert json.loads(warnings) == [why]


WITHOUT_IPV6 = f"""
set -e
ip link set lo up
for links in all default; do echo 1 > /proc/sys/net/ipv6/conf/$links/disable_ipv6; done
labkit() {{ "$PYTHON" -m labkit.cli "$@"; }}
labkit run -d --name server -p 8096:80 busybox httpd -f -p 80 > /dev/null
labkit exec server true && echo executed
printf 'FROM busybox\nRUN echo hi > /x\n' | labkit build -q - > /dev/null && echo built
labkit network create --ipv6 six > /dev/null
labkit run -d --name near --network six busybox sleep 1000 > /dev/null
labkit run --rm --network six busybox ping -6 -c 1 -W 5 near > /dev/null && echo pinged
labkit rm -f server near > /dev/null
labkit network rm six > /dev/null
mount -t tmpfs tmpfs /proc/sys/net/ipv6
labkit run --rm busybox echo without
labkit network create --ipv6 six 2>&1 || labkit network ls -q --filter name=six
{END}
"""


def test_a_host_without_ipv6(make_lab) -> None:
    """Switched off by sysctl, or at boot: then there is nothing of it below /proc/sys."""
    lab = make_lab()
    lab.stop_daemon()
    *works, refused = in_network_of_its_own(lab, WITHOUT_IPV6)
    assert works == ["executed", "built", "pinged", "without"]
    assert "network six has IPv6" in refused


LOCAL_RESOLVER = f"""
set -e
ip link set lo up
echo "nameserver 127.0.0.53" > "$FOLDER/resolv.conf"
mount --bind "$FOLDER/resolv.conf" "$(realpath /etc/resolv.conf)"
[ ! -d /run/systemd/resolve ] || mount -t tmpfs tmpfs /run/systemd/resolve
mkfifo "$FOLDER/serves" "$FOLDER/ends"
"$PYTHON" -c "import sys; from tests import dns
with dns.serving('127.0.0.53'):
    open(sys.argv[1], 'w').close()
    sys.stdin.read()" "$FOLDER/serves" < "$FOLDER/ends" &
exec 3> "$FOLDER/ends"
: < "$FOLDER/serves"
labkit() {{ "$PYTHON" -m labkit.cli "$@"; }}
labkit network create web > /dev/null
find='nslookup far.test | grep -q 192.0.2.7 && echo found'
labkit run --rm busybox sh -c "$find"
labkit run --rm --network web busybox sh -c "$find"
printf 'FROM busybox\nRUN '"$find"'\n' | labkit build -q - > /dev/null && echo built
labkit run -d --name near busybox sleep 1000 > /dev/null
labkit exec near sh -c "$find"
labkit run --rm busybox nslookup near > /dev/null || echo "no names of others"
labkit run --rm --dns 192.0.2.1 busybox cat /etc/resolv.conf
labkit rm -f near > /dev/null
labkit network rm web > /dev/null
{END}
"""


def test_a_resolver_at_the_hosts_loopback_answers_containers_too(make_lab) -> None:
    """dnsmasq or systemd's stub: a container has another loopback, so labkit asks for it."""
    lab = make_lab()
    lab.stop_daemon()
    found = in_network_of_its_own(lab, LOCAL_RESOLVER, FOLDER=lab.folder)
    assert found == [
        "found",
        "found",
        "built",
        "found",
        "no names of others",
        "nameserver 192.0.2.1",
    ]


def test_the_file_of_subnets_goes_with_the_last_daemon(make_lab) -> None:
    lab = make_lab()
    assert lab.cli("run", "--rm", "busybox", "true").returncode == 0
    assert Path(file_path()).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "before", ["umask 077", "unset HOME", "ulimit -n 64", "unset HOME LANG; umask 0"]
)
def test_odd_surroundings_change_nothing(make_lab, before: str) -> None:
    lab = make_lab()
    lab.stop_daemon()
    script = f"""
        set -e
        {before}
        labkit() {{ "$PYTHON" -m labkit.cli "$@"; }}
        labkit run -d --name server -p 8097:80 busybox httpd -f -p 80 > /dev/null
        labkit exec server true && echo executed
        printf 'FROM busybox\\nRUN echo hi > /x\\n' | labkit build -q - > /dev/null && echo built
        labkit run --rm busybox sh -c 'stat -c %a /; echo hi'
        labkit rm -f server > /dev/null
        {END}
    """
    done = subprocess.run(
        ["bash", "-c", script],
        env=lab.env | {"PYTHON": sys.executable},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout.split() == ["executed", "built", "755", "hi"], done.stdout + done.stderr
