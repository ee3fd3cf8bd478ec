"""Links as their users see them, ports that come with a later network, and who is on none."""

import pytest

from tests.servers import create, fetch, inside, start

pytestmark = pytest.mark.root


def test_what_a_container_is_told_of_those_it_is_linked_to(networks):
    lab = networks
    address = start(lab, "db", "--expose", "80", "-e", "MODE=fast")
    words = ("--link", "db:my-db", "busybox", "env")
    told = lab.cli("run", "--rm", "--name", "web", *words, check=True).stdout.splitlines()
    assert {
        "MY_DB_NAME=/web/my-db", f"MY_DB_PORT=tcp://{address}:80", "MY_DB_ENV_MODE=fast",
        f"MY_DB_PORT_80_TCP_ADDR={address}", "MY_DB_PORT_80_TCP_PROTO=tcp",
    } <= set(told)  # fmt: skip
    assert not any(line.startswith("MY_DB_ENV_PATH") for line in told)


def test_a_link_can_be_removed(networks):
    lab = networks
    start(lab, "db")
    start(lab, "web", "--link", "db:store")
    assert "store" in inside(lab, "web", "cat /etc/hosts")
    assert lab.api("DELETE", "/containers/web/store?link=1")[0] == 204
    assert "store" not in inside(lab, "web", "cat /etc/hosts")
    assert lab.api("GET", "/containers/db/json")[0] == 200
    assert lab.api("DELETE", "/containers/web/store?link=1")[0] == 404


def test_ports_are_published_when_the_first_network_that_leads_outside_comes(networks):
    lab = networks
    create(lab, "inner", Internal=True)
    create(lab, "outer")
    start(lab, "web", "--network", "inner", "-p", "127.0.0.1:0:80")
    assert lab.cli("port", "web").stdout == ""
    lab.cli("network", "connect", "outer", "web", check=True)
    port = int(lab.cli("port", "web", "80").stdout.rpartition(":")[2])
    assert fetch("127.0.0.1", port) == "web"
    lab.kill_daemon()
    lab.start_daemon()
    assert fetch("127.0.0.1", port) == "web"
    create(lab, "more")
    lab.cli("network", "connect", "more", "web", check=True)
    assert int(lab.cli("port", "web", "80").stdout.rpartition(":")[2]) == port
    lab.cli("rm", "-f", "web", check=True)
    with pytest.raises(ConnectionRefusedError):
        fetch("127.0.0.1", port)


def test_a_port_that_is_taken_stops_the_connect(networks):
    lab = networks
    create(lab, "inner", Internal=True)
    create(lab, "outer")
    start(lab, "first", "-p", "127.0.0.1:0:80")
    port = lab.cli("port", "first", "80").stdout.strip().rpartition(":")[2]
    start(lab, "second", "--network", "inner", "-p", f"127.0.0.1:{port}:80")
    refused = lab.cli("network", "connect", "outer", "second")
    assert refused.returncode == 1
    assert "port is already allocated" in refused.stderr
    assert list(lab.api("GET", "/containers/second/json")[1]["NetworkSettings"]["Networks"]) == [
        "inner"
    ]


def test_who_is_not_on_a_network_cannot_be_taken_off(networks):
    lab = networks
    create(lab, "blue")
    start(lab, "web")
    for force in (False, True):
        body = {"Container": "web", "Force": force}
        assert lab.api("POST", "/networks/blue/disconnect", body)[0] == 403
    lab.cli("create", "--name", "old", "--network", "blue", "busybox", check=True)
    lab.cli("network", "rm", "blue", check=True)
    body = {"Container": "old"}
    assert lab.api("POST", "/networks/blue/disconnect", body)[0] == 404
    assert lab.api("POST", "/networks/blue/disconnect", {**body, "Force": True})[0] == 200
    assert lab.api("POST", "/networks/blue/disconnect", {**body, "Force": True})[0] == 404
