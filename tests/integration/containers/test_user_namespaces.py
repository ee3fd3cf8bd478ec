"""Containers with users of their own: seen from inside and from the host."""

import io
import os
import tarfile
import time
from pathlib import Path

import msgspec
import pytest

from labkit.containers.records.model import DeviceMapping
from labkit.errors import InvalidParameterError, StartError
from tests.containers import create, execute, shell

pytestmark = pytest.mark.root
FIRST = 100000


def started(engine, *command, **options):
    options.setdefault("userns_mode", "private")
    container_id = create(engine, *command, **options)
    engine.start(container_id)
    return container_id, engine.get(container_id).state.pid


def first_id(engine, container_id):
    return engine.get(container_id).id_ranges.uids[0][1]


def private(engine, script, **options):
    return shell(engine, script, userns_mode="private", **options)


def test_root_inside_is_nobody_in_particular_outside(engine):
    container_id, pid = started(engine, "sleep", "100")
    outside = first_id(engine, container_id)
    assert outside >= FIRST
    assert os.stat(f"/proc/{pid}").st_uid == outside
    assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", str(outside), "65536"]
    top = engine.top(container_id, "-eo pid,uid")
    assert [row[1] for row in top.rows] == [str(outside)]


def test_what_belongs_to_its_root(engine):
    script = """
        id -u; for f in / /bin/busybox /dev /dev/null /dev/shm /dev/mqueue /dev/pts/ptmx \
            /etc/hosts /proc/self/stat; do stat -c '%n %u %g' $f; done
        echo x > /etc/hosts && echo x > /new && mkdir -p /a/b && chown 33:33 /new && ls -ln /new
        hostname; ip link set lo down && echo mine
    """
    output, code = private(engine, script, cap_add=["NET_ADMIN"], hostname="h1")
    assert code == 0, output
    lines = output.splitlines()
    assert lines[0] == "0"
    assert all(line.split()[1:] == ["0", "0"] for line in lines[1:10]), output
    assert "33       33" in lines[10]
    assert lines[11:] == ["h1", "mine"]


@pytest.mark.parametrize("tty", [False, True])
def test_exec_is_in_the_same_users(engine, tty):
    container_id, _ = started(engine, "sleep", "100")
    script = "id -u; stat -L -c %u /proc/self/fd/1; cat /proc/self/uid_map"
    output, code = execute(engine, container_id, "sh", "-c", script, tty=tty)
    outside = str(first_id(engine, container_id))
    assert (output.split(), code) == (["0", "0", "0", outside, "65536"], 0)
    output, code = execute(engine, container_id, "id", "-u", user="1000", tty=tty)
    assert (output.strip(), code) == ("1000", 0)


@pytest.mark.parametrize("running", [True, False])
def test_its_files_from_outside_have_its_own_numbers(engine, running):
    script = "echo x > /mine; echo y > /theirs; chown 33:44 /theirs; rm /bin/sh; sleep 100"
    script = script if running else script.replace("sleep 100", "true")
    container_id, pid = started(engine, "sh", "-c", script)
    if running:
        while os.path.lexists(f"/proc/{pid}/root/bin/sh"):
            time.sleep(0.01)
        outside = first_id(engine, container_id)
        assert os.stat(f"/proc/{pid}/root/theirs").st_uid == outside + 33
    else:
        engine.wait(container_id, timeout_s=30)
    assert {"/mine", "/theirs", "/bin/sh"} <= changed(engine, container_id)
    members = archive_of(engine.files.export(container_id))
    assert (members["mine"].uid, members["theirs"].uid, members["theirs"].gid) == (0, 33, 44)
    assert "bin/sh" not in members
    _, chunks = engine.files.pack(container_id, "/theirs")
    assert archive_of(chunks)["theirs"].uid == 33
    engine.files.place(container_id, "/", [tar_of("placed", 12)])
    _, chunks = engine.files.pack(container_id, "/placed")
    assert archive_of(chunks)["placed"].uid == 12
    upper = Path(engine.paths.container_root(container_id), "upper")
    assert [os.stat(upper / name).st_uid for name in ("mine", "theirs", "placed")] == [0, 33, 12]


def archive_of(chunks):
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        return {member.name.removeprefix("./").lstrip("/"): member for member in tar.getmembers()}


def tar_of(name, uid):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        member = tarfile.TarInfo(name)
        member.uid = uid
        tar.addfile(member)
    return file.getvalue()


def test_a_volume_keeps_its_owners_for_all_containers(engine):
    assert private(engine, "echo 1 > /v/a; chown 5 /v/a; ls -n /v", binds=["vol:/v"])[1] == 0
    output, _ = shell(engine, "stat -c %u /v/a; echo 2 > /v/b", binds=["vol:/v"])
    assert output == "5\n"
    assert private(engine, "stat -c %u /v/a /v/b", binds=["vol:/v"])[0] == "5\n0\n"
    assert os.stat(Path(engine.volumes.find("vol").data, "a")).st_uid == 5


def test_a_folder_of_the_host_is_not_its_root_s(engine, tmp_path):
    """Else its root could write whatever the host's root can, and leave set-user-id files."""
    tmp_path.chmod(0o755)
    (tmp_path / "closed").mkdir(mode=0o755)
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    binds = [f"{tmp_path}:/b"]
    output, code = private(
        engine, "stat -c %u /b; echo x > /b/open/f; echo > /b/closed/f", binds=binds
    )
    assert output.startswith("65534\n")
    assert "Permission denied" in output
    assert code == 1
    assert os.stat(tmp_path / "open/f").st_uid >= FIRST


def test_a_folder_made_for_it_is_its_root_s(engine, tmp_path):
    output, code = private(engine, "stat -c %u /b; echo > /b/x", binds=[f"{tmp_path}/new/b:/b"])
    assert (output, code) == ("0\n", 0)
    assert os.stat(tmp_path / "new").st_uid >= FIRST
    output, code = shell(
        engine,
        "stat -c %u /c",
        binds=[f"{tmp_path}/c:/c"],
        userns_mode="private",
        without=["namespace.user"],
    )
    assert (output, os.stat(tmp_path / "c").st_uid) == ("0\n", 0)


def test_owners_that_are_asked_for(engine):
    output, _ = private(engine, "stat -c %u:%g /t", tmpfs={"/t": "uid=5,gid=6"})
    assert output == "5:6\n"
    container_id = create(engine, "true", userns_mode="private", user="70000")
    with pytest.raises(StartError, match="has no such user or group"):
        engine.start(container_id)


def test_shares_network_and_ipc_with_another(engine):
    donor, theirs = started(engine, "sleep", "100", ipc_mode="shareable")
    for kind in ("net", "ipc", "uts", "user"):
        assert os.readlink(f"/proc/{theirs}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
    mode = f"container:{donor}"
    output, code = private(engine, "echo x > /dev/shm/x", network_mode=mode, ipc_mode=mode)
    assert (output, code) == ("", 0)
    assert execute(engine, donor, "cat", "/dev/shm/x") == ("x\n", 0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"privileged": True}, "privileged mode is incompatible with user namespaces"),
        ({"network_mode": "host"}, "cannot share the host's network namespace when user"),
        ({"pid_mode": "host"}, "cannot share the host PID namespace when user namespaces"),
    ],
)
def test_what_needs_the_host_s_users(engine, options, words):
    with pytest.raises(InvalidParameterError, match=words):
        create(engine, "true", userns_mode="private", **options)


def test_without_it_root_is_the_host_s(engine):
    container_id, pid = started(engine, "sleep", "100", without=["namespace.user"])
    assert os.stat(f"/proc/{pid}").st_uid == 0
    assert execute(engine, container_id, "id", "-u") == ("0\n", 0)


def test_power_goes_with_the_user(engine):
    """The start keeps its power across setfsuid(2); the container must not have that left."""
    script = "su -s /bin/sh nobody -c 'grep -E Cap.*[1-9a-f]$ /proc/self/status'; id -u"
    output, _ = private(engine, script)
    assert "CapEff" not in output
    assert "CapPrm" not in output
    device = {"PathOnHost": "/dev/zero", "PathInContainer": "/dev/z", "CgroupPermissions": "r"}
    fields = msgspec.convert([device], list[DeviceMapping])
    output, _ = private(engine, "stat -c %u /dev/z; head -c 4 /dev/z | wc -c", devices=fields)
    assert output == "0\n4\n"


def test_its_root_may_mount_with_the_capability_for_it(engine):
    script = """
        mkdir /m && mount -t tmpfs x /m && touch /m/x && ls /m
        umount /proc/kcore || umount /proc; mount -o remount,rw /proc/sys; echo 3 > /v/x
        echo made > /made; sleep 100
    """
    container_id, _ = started(
        engine, "sh", "-c", script, cap_add=["SYS_ADMIN"], binds=["vol:/v:ro"]
    )
    while not list(engine.logs(container_id)) or "/made" not in changed(engine, container_id):
        time.sleep(0.01)
    said = b"".join(line.text for line in engine.logs(container_id)).decode()
    assert said.startswith("x\n")
    assert said.count("umount") == 2
    assert "Read-only file system" in said
    members = archive_of(engine.files.export(container_id))
    assert "made" in members
    assert not {"m/x", "proc/1", "dev/null"} & members.keys()
    _, chunks = engine.files.pack(container_id, "/")
    members = archive_of(chunks)
    assert {"made", "m/x"} <= members.keys()
    assert not [name for name in members if name.startswith(("proc/", "sys/", "dev/"))]
    engine.files.place(container_id, "/m", [tar_of("placed", 12)])
    assert execute(engine, container_id, "stat", "-c", "%u", "/m/placed") == ("12\n", 0)
    assert "mounting" in private(engine, "mkdir /m; mount -t tmpfs x /m 2>&1 || echo mounting")[0]


def changed(engine, container_id):
    return {path for path, _ in engine.files.changes(container_id)}


def test_explained(engine):
    container_id, _ = started(engine, "sleep", "100")
    outside = first_id(engine, container_id)
    calls = {row["Step"]: row["Call"] for row in engine.steps(container_id)}
    rows = [row for row in engine.steps(container_id) if row["Step"] == "namespace.user"]
    assert [row["Phase"] for row in rows] == ["host", "child", "child"]
    assert f'write("uid_map", "0 {outside} 65536")' in rows[0]["Call"]
    assert "MOUNT_ATTR_IDMAP" in calls["mount.idmap"]
    assert all(row["DurationNs"] for row in rows)


def test_a_daemon_that_maps_all(open_engine):
    engine = open_engine("default")
    assert shell(engine, "cat /proc/self/uid_map")[0].split()[1] != "0"
    assert shell(engine, "cat /proc/self/uid_map", userns_mode="host")[0].split()[1] == "0"
    assert shell(engine, "id -u", userns_mode="host", privileged=True) == ("0\n", 0)


def test_many_options_at_once(engine):
    output, _ = private(
        engine,
        "id -u; touch /t/x && ls -n /t | tail -1; touch /x",
        readonly_rootfs=True,
        tmpfs={"/t": "size=1m"},
        pids_limit=5,
        user="33:33",
        init=True,
        tty=True,
    )
    assert output.startswith("33\r\n"), output
    assert "Read-only file system" in output
