"""cp, export and diff of containers that run, do not run, and try to trick the one who copies."""

import io
import os
import stat
import tarfile
import threading
import time
from contextlib import suppress

import pytest

from labkit.containers.trees.changes import ADDED, DELETED, MODIFIED
from labkit.errors import ForbiddenError, InvalidParameterError, NotFoundError
from tests.containers import create, exchanging, shell, wait_until

pytestmark = pytest.mark.root


def start(engine, script="sleep 1000", **options):
    container_id = create(engine, "sh", "-c", script, **options)
    engine.start(container_id)
    return container_id


def ended(engine, script, **options):
    container_id = start(engine, script, **options)
    engine.wait(container_id, timeout_s=60)
    return container_id


def read(chunks):
    """Names and contents of an archive."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        members = tar.getmembers()
        return {
            one.name: tar.extractfile(one).read() if one.isreg() else one.linkname or one.type
            for one in members
        }


def copy_out(engine, ref, path):
    return read(engine.files.pack(ref, path)[1])


def archive(*members):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type = kind
            if kind == tarfile.REGTYPE:
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
            else:
                member.linkname = content.decode()
                member.mode = 0o755
                tar.addfile(member)
    return [stream.getvalue()]


def file(name, content=b"new\n"):
    return (name, tarfile.REGTYPE, content)


@pytest.fixture(params=["running", "paused", "exited", "created"])
def container(request, engine):
    """The same files in each state of life."""
    if request.param == "created":
        container_id = create(engine, "true", binds=["files:/files"])
        content = [(f"files/{n}", kind, data) for n, kind, data in FILES]
        engine.files.place(container_id, "/", archive(*content))
        return container_id
    script = "cd /files; echo hi > f; mkdir -p d/e; echo x > d/e/g; ln -s d l; ln -s /files/f abs"
    if request.param == "exited":
        return ended(engine, script, binds=["files:/files"])
    container_id = start(engine, f"{script}; echo > ready; sleep 1000", binds=["files:/files"])
    data = engine.volumes.find("files").data
    while not os.path.exists(f"{data}/ready"):
        time.sleep(0.01)
    os.unlink(f"{data}/ready")
    if request.param == "paused":
        engine.pause(container_id)
    return container_id


FILES = (
    file("f", b"hi\n"),
    ("d", tarfile.DIRTYPE, b""),
    ("d/e", tarfile.DIRTYPE, b""),
    file("d/e/g", b"x\n"),
    ("l", tarfile.SYMTYPE, b"d"),
    ("abs", tarfile.SYMTYPE, b"/files/f"),
)


class TestCopyInEveryState:
    def test_out(self, engine, container):
        assert copy_out(engine, container, "/files/f") == {"f": b"hi\n"}
        whole = {"d": b"5", "d/e": b"5", "d/e/g": b"x\n"}
        assert copy_out(engine, container, "files/d") == whole
        assert copy_out(engine, container, "/files/l") == {"l": "d"}
        assert copy_out(engine, container, "/files/l/") == {"l": b"5", "l/e": b"5", "l/e/g": b"x\n"}
        assert set(copy_out(engine, container, "/files/d/.")) == {".", "./e", "./e/g"}
        assert copy_out(engine, container, "/files/l/e/../../f") == {"f": b"hi\n"}
        with pytest.raises(NotFoundError, match="Could not find the file /nosuch in container"):
            engine.files.pack(container, "/nosuch")
        with pytest.raises(InvalidParameterError, match="not a directory"):
            engine.files.pack(container, "/files/f/")

    def test_stat(self, engine, container):
        found = engine.files.stat(container, "/files/abs")
        assert (found.name, found.link_target) == ("abs", "/files/f")
        assert stat.S_ISLNK(found.mode)
        assert engine.files.stat(container, "/files/f").size_bytes == 3
        assert stat.S_ISDIR(engine.files.stat(container, "/").mode)

    def test_in(self, engine, container):
        engine.files.place(container, "/files/l", archive(file("a"), file("deep/er/b")))
        assert copy_out(engine, container, "/files/d/deep/er/b") == {"b": b"new\n"}
        # Not through a link at its end: the link is replaced.
        engine.files.place(container, "/files", archive(file("abs")))
        assert copy_out(engine, container, "/files/f") == {"f": b"hi\n"}
        assert copy_out(engine, container, "/files/abs") == {"abs": b"new\n"}
        for path, error in (("/nosuch", NotFoundError), ("/files/f", InvalidParameterError)):
            with pytest.raises(error):
                engine.files.place(container, path, archive(file("a")))
        with pytest.raises(InvalidParameterError, match="cannot overwrite directory"):
            engine.files.place(container, "/files", archive(file("d")), keep_kinds=True)
        assert copy_out(engine, container, "/files/d/e/g") == {"g": b"x\n"}

    def test_what_is_copied_into_the_root_is_in_the_container(self, engine, container):
        engine.files.place(container, "/", archive(file("put"), file("etc/put")))
        names = read(engine.files.export(container))
        assert names["put"] == names["etc/put"] == b"new\n"
        assert ("/etc/put", ADDED) in engine.files.changes(container)


class TestHostile:
    """Links lead nowhere but into the container, whenever they are exchanged."""

    LINKS = ("/../../..", "/proc/self/cwd", "/proc/self/root", "/proc/1/root/..", "../../../..")

    @pytest.mark.parametrize("runs", [True, False])
    def test_links_to_the_host(self, engine, folder, runs):
        os.mkdir(f"{folder}/host")
        with open(f"{folder}/host/secret", "w") as secret:
            secret.write("of the host")
        script = "; ".join(f"ln -s {link}{folder}/host /l{n}" for n, link in enumerate(self.LINKS))
        if runs:
            container_id = start(engine, f"{script}; touch /v/ready; sleep 1000", binds=["v1:/v"])
            while not os.path.exists(f"{engine.volumes.find('v1').data}/ready"):
                time.sleep(0.01)
        else:
            container_id = ended(engine, script)
        for number in range(len(self.LINKS)):
            for path in (f"/l{number}/secret", f"/l{number}/"):
                with pytest.raises((NotFoundError, InvalidParameterError, OSError)):
                    engine.files.pack(container_id, path)
            with pytest.raises((NotFoundError, InvalidParameterError, OSError)):
                engine.files.place(container_id, f"/l{number}", archive(file("evil")))
        assert os.listdir(f"{folder}/host") == ["secret"]

    def test_links_that_are_exchanged_while_we_copy(self, engine, folder):
        """CVE-2018-15664: looked at as a folder, opened as a link to the host's root."""
        os.mkdir(f"{folder}/host")
        with open(f"{folder}/host/secret", "w") as secret:
            secret.write("of the host")
        script = f"mkdir -p /a{folder}/host; echo inside > /a{folder}/host/secret; ln -s / /b"
        container_id = start(engine, f"{script}; touch /v/ready; sleep 1000", binds=["v1:/v"])
        wait_until(lambda: os.path.exists(f"{engine.volumes.find('v1').data}/ready"))
        inside = f"/proc/{engine.get(container_id).state.pid}/root"
        path, seen, rounds = f"/a{folder}/host", set(), 0
        with exchanging(f"{inside}/a", f"{inside}/b") as count:
            while rounds < 20 or not seen:
                before = count[0]
                # As long as it is the link, nothing of that name is in the container.
                with suppress(NotFoundError, InvalidParameterError, OSError):
                    seen.update(copy_out(engine, container_id, f"{path}/secret").values())
                    engine.files.place(container_id, path, archive(file("evil")))
                rounds += count[0] > before + 1
        assert seen == {b"inside\n"}
        assert os.listdir(f"{folder}/host") == ["secret"]

    def test_an_archive_that_climbs_and_one_that_jumps(self, engine, folder):
        container_id = ended(engine, "mkdir /into")
        with pytest.raises(InvalidParameterError, match=r"\.\."):
            engine.files.place(container_id, "/into", archive(file("../../evil")))
        jump = archive(("j", tarfile.SYMTYPE, folder.encode()), file("j/evil"))
        with pytest.raises(InvalidParameterError):
            engine.files.place(container_id, "/into", jump)
        with pytest.raises(InvalidParameterError, match="cannot be replaced"):
            engine.files.place(container_id, "/into", archive(file(".")))
        hard = archive(("h", tarfile.LNKTYPE, b"../../etc/passwd"))
        with pytest.raises(InvalidParameterError):
            engine.files.place(container_id, "/into", hard)
        assert sorted(os.listdir(folder)) == ["root", "run"]

    def test_devices_and_pipes_are_not_opened(self, engine):
        script = "mknod /disk b 1 0; mknod /tty c 5 0; mkfifo /pipe; touch /v/ready; sleep 1000"
        container_id = start(engine, script, binds=["v1:/v"])
        while not os.path.exists(f"{engine.volumes.find('v1').data}/ready"):
            time.sleep(0.01)
        assert copy_out(engine, container_id, "/disk") == {"disk": tarfile.BLKTYPE}
        assert copy_out(engine, container_id, "/pipe") == {"pipe": tarfile.FIFOTYPE}
        engine.files.place(container_id, "/", archive(file("disk"), file("pipe")))
        assert copy_out(engine, container_id, "/disk") == {"disk": b"new\n"}

    def test_nothing_is_loaded_from_the_container(self, engine):
        """CVE-2019-14271: a module or codec of the container's would be run as the host's root."""
        spy = b"open('/loaded', 'w').close()\n"
        paths = [f"usr/lib/python3.{minor}" for minor in (11, 12)]
        spies = [
            file(f"{path}/{name}.py", spy)
            for path in (*paths, "", os.getcwd().lstrip("/"))
            for name in ("pwd", "grp", "bz2", "lzma", "encodings/idna", "labkit/__init__")
        ]
        container_id = ended(engine, "true")
        engine.files.place(container_id, "/", archive(*spies))
        b"".join(engine.files.export(container_id))
        engine.files.place(container_id, "/", archive(file("ümläut")), as_user=True)
        with pytest.raises(NotFoundError):
            engine.files.stat(container_id, "/loaded")


class TestReadOnly:
    @pytest.mark.parametrize("script", ["sleep 1000", "true"])
    def test_what_may_not_be_written(self, engine, script):
        container_id = create(
            engine,
            *("sh", "-c", script),
            readonly_rootfs=True,
            binds=["v1:/rw", "v2:/ro:ro"],
        )
        engine.start(container_id)
        if script == "true":
            engine.wait(container_id, timeout_s=30)
        engine.files.place(container_id, "/rw", archive(file("f")))
        assert os.listdir(engine.volumes.find("v1").data) == ["f"]
        for path in ("/", "/ro", "/etc"):
            with pytest.raises(ForbiddenError, match="read-only"):
                engine.files.place(container_id, path, archive(file("f")))
        assert os.listdir(engine.volumes.find("v2").data) == []


def test_the_containers_user_can_be_the_owner(engine):
    container_id = ended(engine, "true", user="1234:77")
    engine.files.place(container_id, "/", archive(file("kept")))
    engine.files.place(container_id, "/", archive(file("given")), as_user=True)
    raw = b"".join(engine.files.export(container_id))
    with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
        assert (tar.getmember("kept").uid, tar.getmember("kept").gid) == (0, 0)
        assert (tar.getmember("given").uid, tar.getmember("given").gid) == (1234, 77)


def test_a_slow_sender_and_a_slow_reader_hold_up_nobody(engine):
    container_id = ended(engine, "true")
    go_on = threading.Event()

    def slow():
        yield archive(file("slow"))[0][:512]
        assert go_on.wait(30)
        yield archive(file("slow"))[0][512:]

    sender = threading.Thread(target=engine.files.place, args=(container_id, "/", slow()))
    sender.start()
    export = engine.files.export(container_id)
    next(export)
    engine.start(container_id)
    engine.wait(container_id, timeout_s=30)
    go_on.set()
    sender.join(30)
    export.close()
    assert copy_out(engine, container_id, "/slow") == {"slow": b"new\n"}


class TestExport:
    def test_the_root_and_nothing_mounted_in_it(self, engine):
        script = "echo in > /v/f; echo in > /t/f; echo out > /f; touch /v/ready; sleep 1000"
        container_id = start(engine, script, binds=["v1:/v"], tmpfs={"/t": ""})
        while not os.path.exists(f"{engine.volumes.find('v1').data}/ready"):
            time.sleep(0.01)
        running = read(engine.files.export(container_id))
        engine.stop(container_id, 0)
        stopped = read(engine.files.export(container_id))
        assert running == stopped
        assert running["f"] == b"out\n"
        assert {"v", "t", "proc", "dev", "bin/busybox"} <= set(running)
        assert not {"v/f", "t/f", "", "."} & set(running)
        assert not any(name.startswith(("proc/", "sys/", "dev/")) for name in running)

    def test_of_a_paused_container_it_is_one_moment(self, engine):
        script = "n=0; while :; do n=$((n+1)); echo $n > /a; echo $n > /b; done"
        container_id = start(engine, script)
        wait_until(lambda: os.path.exists(f"{engine.paths.container_root(container_id)}/upper/b"))
        engine.pause(container_id)
        first = b"".join(engine.files.export(container_id))
        assert b"".join(engine.files.export(container_id)) == first
        engine.unpause(container_id)
        wait_until(lambda: b"".join(engine.files.export(container_id)) != first)

    def test_it_can_be_imported_again(self, engine):
        container_id = ended(engine, "echo mine > /etc/mine; rm /bin/vi; chmod 4755 /bin/busybox")
        raw = io.BytesIO(b"".join(engine.files.export(container_id)))
        engine.images.import_tar(raw, "again")
        (tree,) = engine.images.resolve("again").layer_directories()
        assert os.stat(f"{tree}/bin/busybox").st_mode & 0o7777 == 0o4755
        assert os.path.exists(f"{tree}/etc/mine")
        assert not os.path.lexists(f"{tree}/bin/vi")


class TestChanges:
    def test_as_docker_tells_them(self, engine):
        script = (
            "mkdir /new; echo > /new/f; rm /bin/vi; echo >> /etc/passwd; chmod 711 /root; "
            "rm -r /var; mkdir /var; echo > /var/mine; cat /etc/group; touch /etc/gone; "
            "rm /etc/gone; ln -s x /lnk"
        )
        found = engine.files.changes(ended(engine, script))
        wanted = {
            ("/new", ADDED),
            ("/new/f", ADDED),
            ("/bin", MODIFIED),
            ("/bin/vi", DELETED),
            ("/etc", MODIFIED),
            ("/etc/passwd", MODIFIED),
            ("/root", MODIFIED),
            ("/var", MODIFIED),
            ("/var/mine", ADDED),
            ("/var/spool", DELETED),
            ("/var/www", DELETED),
            ("/lnk", ADDED),
        }
        assert wanted - set(found) == set()
        assert {path for path, _ in found} <= {path for path, _ in wanted}
        assert found == sorted(found)

    def test_a_container_that_did_nothing_changed_nothing(self, engine):
        container_id = create(engine, "true")
        assert engine.files.changes(container_id) == []
        engine.start(container_id)
        engine.wait(container_id, timeout_s=30)
        assert engine.files.changes(container_id) == []

    def test_while_it_runs(self, engine):
        container_id = start(engine, "echo > /f; touch /v/ready; sleep 1000", binds=["v1:/v"])
        while not os.path.exists(f"{engine.volumes.find('v1').data}/ready"):
            time.sleep(0.01)
        assert ("/f", ADDED) in engine.files.changes(container_id)
        assert shell(engine, "true")[1] == 0
