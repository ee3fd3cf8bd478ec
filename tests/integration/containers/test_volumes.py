"""Volumes, bind mounts and tmpfs in real containers, and images that want to lead them astray."""

import contextlib
import io
import os
import subprocess
import tarfile

import pytest

from labkit.containers import ContainerConfig, Engine, HostConfig
from labkit.containers.records.mount_model import Mount
from labkit.errors import ConflictError, InvalidParameterError, NotFoundError, StartError
from tests.containers import create, run, shell

pytestmark = pytest.mark.root


def names(engine):
    return [volume.name for volume in engine.volumes.list()]


def import_image(engine, reference, *members, changes=()):
    """Busybox with these members on top: (name, what a link points to) or (name, content)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        tar.add("/bin/busybox", "bin/busybox")
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    stream.seek(0)
    engine.images.import_tar(stream, reference, changes)


def member(name, kind=tarfile.REGTYPE, content=b"", **fields):
    made = tarfile.TarInfo(name)
    made.type, made.mode = kind, 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(made, field, value)
    return made, content


def link(name, points_to):
    return member(name, tarfile.SYMTYPE, linkname=points_to)


def run_of(engine, image, script, **options):
    config = ContainerConfig(image=image, cmd=["/bin/busybox", "sh", "-c", script])
    container, _ = engine.create(config, HostConfig(**options))
    engine.start(container.id)
    state = engine.wait(container.id, timeout_s=60)
    output = b"".join(line.text for line in engine.logs(container.id)).decode()
    return output, state.exit_code


class TestVolumes:
    def test_they_outlive_containers(self, engine):
        assert shell(engine, "echo kept > /data/f", binds=["data:/data"])[1] == 0
        assert shell(engine, "cat /other/f", binds=["data:/other:ro"]) == ("kept\n", 0)
        assert names(engine) == ["data"]

    def test_read_only_holds(self, engine):
        output, _ = shell(
            engine, "echo x > /data/f; mount -o remount,rw /data", binds=["d1:/data:ro"]
        )
        assert "Read-only file system" in output
        assert os.listdir(engine.volumes.find("d1").data) == []

    def test_in_use_until_the_container_is_gone(self, engine):
        container_id = create(engine, "true", binds=["data:/data"])
        with pytest.raises(ConflictError, match=container_id):
            engine.volumes.remove("data")
        engine.remove(container_id, volumes=True)
        assert names(engine) == ["data"]
        engine.volumes.remove("data")

    def test_who_removes_the_anonymous_ones(self, engine):
        kept = create(engine, "true", volumes={"/anon": {}})
        (name,) = names(engine)
        engine.remove(kept)
        assert names(engine) == [name]
        gone = create(engine, "true", volumes={"/anon": {}}, binds=["/other"])
        assert len(names(engine)) == 3
        engine.remove(gone, volumes=True)
        assert names(engine) == [name]
        run(engine, "true", volumes={"/anon": {}}, auto_remove=False)
        assert len(names(engine)) == 2
        auto = create(engine, "true", volumes={"/anon": {}}, auto_remove=True)
        watch = engine.watch(auto, "removed")
        engine.start(auto)
        watch.wait(20)
        assert len(names(engine)) == 2

    def test_a_container_that_is_not_made_leaves_none(self, engine):
        create(engine, "true", name="taken")
        with pytest.raises(ConflictError):
            create(engine, "true", name="taken", volumes={"/anon": {}})
        with pytest.raises(InvalidParameterError, match="pivot_root and mounts"):
            create(engine, "true", without=["pivot_root"], binds=["data:/data"])
        assert names(engine) == []

    def test_a_new_daemon_knows_who_uses_what(self, open_engine):
        first = open_engine()
        container_id = create(first, "true", binds=["data:/data"], volumes={"/anon": {}})
        first.close()
        second = open_engine()
        with pytest.raises(ConflictError, match=container_id):
            second.volumes.remove("data")
        second.remove(container_id, volumes=True)
        assert names(second) == ["data"]

    def test_two_containers_share_one(self, engine):
        reader = create(
            engine, "sh", "-c", "until [ -s /d/f ]; do sleep 0.05; done; cat /d/f", binds=["v1:/d"]
        )
        engine.start(reader)
        shell(engine, "echo hello > /d/f", binds=["v1:/d"])
        assert engine.wait(reader, timeout_s=20).exit_code == 0
        assert b"".join(line.text for line in engine.logs(reader)) == b"hello\n"

    def test_a_new_one_begins_as_the_image(self, engine):
        members = (
            member("srv", tarfile.DIRTYPE, uid=7, gid=8, mode=0o2750),
            member("srv/f", content=b"from the image\n", uid=5, mode=0o4755),
            member("srv/sub", tarfile.DIRTYPE),
            link("srv/out", "/etc/shadow"),
            member("srv/hard", tarfile.LNKTYPE, linkname="srv/f"),
            member("srv/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
            link("alias", "/srv"),
        )
        import_image(engine, "full", *members)
        import_image(engine, "with-volume", *members, changes=["VOLUME /srv"])
        script = "stat -c '%n %u %g %a %F %h' . f sub out null; cat hard"
        whole = (
            ". 7 8 2750 directory 3\nf 5 0 4755 regular file 2\nsub 0 0 755 directory 2\n"
            "out 0 0 777 symbolic link 1\nnull 0 0 644 character special file 1\nfrom the image\n"
        )
        assert run_of(engine, "with-volume", f"cd /srv; {script}") == (whole, 0)
        assert run_of(engine, "full", f"cd /srv; {script}", binds=["named:/srv"]) == (whole, 0)
        assert run_of(engine, "full", f"cd /v; {script}", binds=["named:/v"]) == (whole, 0)
        assert run_of(engine, "full", f"cd /srv; {script}", binds=["other:/alias"]) == (whole, 0)
        assert run_of(engine, "full", "ls /srv", binds=["fresh:/srv:nocopy"]) == ("", 0)

    def test_only_a_new_one_does(self, engine):
        import_image(engine, "full", member("srv", tarfile.DIRTYPE), member("srv/f"))
        assert run_of(engine, "full", "rm /srv/f", binds=["v1:/srv"]) == ("", 0)
        # The container before is still there, so the volume is not new, though it is empty.
        assert run_of(engine, "full", "ls /srv", binds=["v1:/srv"]) == ("", 0)
        # And what it has is never mixed with what an image has.
        shell(engine, "echo > /v/mine", binds=["v2:/v"])
        assert run_of(engine, "full", "ls /srv", binds=["v2:/srv"]) == ("mine\n", 0)

    def test_the_image_cannot_lead_the_copy_out(self, engine, folder):
        """CVE-2022-23648: a new volume is filled from where the image says it lies."""
        with open(f"{folder}/secret", "w") as file:
            file.write("of the host")
        import_image(
            engine,
            "liar",
            link("a", folder),
            link("b", "/../../.." + folder),
            link("c", "/proc/1/root"),
        )
        for name in "abc":
            create_of = ContainerConfig(image="liar", cmd=["/bin/sh"])
            engine.create(create_of, HostConfig(binds=[f"vol-{name}:/{name}"]))
            assert os.listdir(engine.volumes.find(f"vol-{name}").data) == []


class TestBinds:
    def test_a_folder_and_a_file_of_the_host(self, engine, folder):
        os.mkdir(f"{folder}/src")
        with open(f"{folder}/src/f", "w") as file:
            file.write("host\n")
        script = "cat /dir/f /file; echo back > /dir/g; echo no > /file"
        output, _ = shell(
            engine,
            script,
            binds=[
                f"{folder}/src:/dir",
                f"{folder}/src/f:/deep/er/../file:ro",
                f"{folder}/src/f:/file:ro",
            ],
        )
        assert "host\nhost\n" in output
        assert "Read-only" in output
        assert sorted(os.listdir(f"{folder}/src")) == ["f", "g"]

    def test_a_missing_source(self, engine, folder):
        assert shell(engine, "ls -A /d", binds=[f"{folder}/new/dir:/d"]) == ("", 0)
        assert os.path.isdir(f"{folder}/new/dir")
        with pytest.raises(InvalidParameterError, match="bind source path does not exist"):
            create(engine, "true", mounts=[Mount("bind", f"{folder}/not/there", "/d")])
        os.mkdir(f"{folder}/vanishes")
        container_id = create(engine, "true", mounts=[Mount("bind", f"{folder}/vanishes", "/d")])
        os.rmdir(f"{folder}/vanishes")
        with pytest.raises(StartError, match="bind source path does not exist"):
            engine.start(container_id)

    def test_a_source_behind_a_link_of_the_host(self, engine, folder):
        os.mkdir(f"{folder}/real")
        with open(f"{folder}/real/f", "w") as file:
            file.write("found\n")
        os.symlink(f"{folder}/real", f"{folder}/alias")
        assert shell(engine, "cat /d/f", binds=[f"{folder}/alias:/d"]) == ("found\n", 0)

    def test_what_is_mounted_below_comes_along_and_keeps_its_restrictions(self, engine, folder):
        os.makedirs(f"{folder}/src/below")
        below = f"{folder}/src/below"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "nosuid,nodev,noexec", "tmpfs", below], check=True
        )
        try:
            script = "grep ' /d' /proc/self/mountinfo | cut -d' ' -f5,6; echo x > /d/below/f"
            output, _ = shell(engine, script, binds=[f"{folder}/src:/d:ro"])
        finally:
            subprocess.run(["umount", below], check=True)
        assert "/d/below ro,nosuid,nodev,noexec" in output
        assert "Read-only file system" in output

    def test_nothing_mounted_later_goes_through(self, engine, folder):
        os.makedirs(f"{folder}/src/late")
        container_id = create(
            engine, "sh", "-c", "read x; ls -A /d/late", binds=[f"{folder}/src:/d"], open_stdin=True
        )
        engine.start(container_id)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", f"{folder}/src/late"], check=True)
        try:
            pid = engine.get(container_id).state.pid
            with open(f"/proc/{pid}/mountinfo") as file:
                assert "/d/late" not in file.read()
        finally:
            subprocess.run(["umount", f"{folder}/src/late"], check=True)

    def test_a_file_of_the_users_in_place_of_labkits(self, engine, folder):
        with open(f"{folder}/hosts", "w") as file:
            file.write("mine\n")
        binds = [f"{folder}/hosts:/etc/hosts:ro"]
        assert shell(engine, "cat /etc/hosts", binds=binds) == ("mine\n", 0)

    def test_nested_ones_in_any_order(self, engine, folder):
        os.mkdir(f"{folder}/outer")
        binds = ["inner:/a/b", f"{folder}/outer:/a"]
        assert shell(engine, "echo 1 > /a/x; echo 2 > /a/b/y", binds=binds)[1] == 0
        assert sorted(os.listdir(f"{folder}/outer")) == ["b", "x"]
        assert os.listdir(f"{folder}/outer/b") == []
        assert os.listdir(engine.volumes.find("inner").data) == ["y"]


class TestTmpfs:
    def test_it_is_in_memory_and_as_asked(self, engine):
        script = "grep -E ' /(t|u) ' /proc/self/mountinfo; df -k /t | tail -1; stat -c %a /t /u"
        output, code = shell(
            engine,
            script,
            tmpfs={"/t": "size=1m,exec,mode=1777"},
            mounts=[Mount("tmpfs", "", "/u", read_only=True)],
        )
        assert code == 0
        assert " /t rw,nosuid,nodev,relatime " in output
        assert " /u ro,nosuid,nodev,noexec" in output
        assert "1024" in output
        assert output.endswith("1777\n755\n")

    def test_it_has_the_mode_of_what_it_covers(self, engine):
        import_image(engine, "sticky", member("t", tarfile.DIRTYPE, mode=0o1733))
        assert run_of(engine, "sticky", "stat -c %a /t", tmpfs={"/t": ""}) == ("1733\n", 0)

    def test_left_out_on_purpose(self, engine):
        options = {"tmpfs": {"/t": ""}, "binds": ["v1:/v"], "without": ["mount.volume"]}
        output, _ = shell(engine, "grep -c -E ' /(t|v) ' /proc/self/mountinfo", **options)
        assert output == "1\n"

    def test_with_a_read_only_root(self, engine):
        script = "echo 1 > /t/x && echo 2 > /v/x && ! echo 3 > /x"
        options = {"tmpfs": {"/t": ""}, "binds": ["v1:/v"], "readonly_rootfs": True}
        assert shell(engine, script, **options)[1] == 0


class TestHostileImages:
    """The place of a mount is below a link; the link may not lead the mount out."""

    @pytest.mark.parametrize(
        "points_to", ["/../../../..", "/proc/self/cwd", "/proc/self/root/proc/1/cwd", "../../.."]
    )
    def test_a_link_to_the_host(self, engine, folder, points_to):
        os.mkdir(f"{folder}/host")
        import_image(engine, "liar", link("evil", f"{points_to}{folder}/host"))
        config = ContainerConfig(image="liar", cmd=["/bin/sh"])
        for target in ("/evil", "/evil/deeper"):
            container, _ = engine.create(config, HostConfig(binds=[f"v1:{target}"]))
            # It either goes to a place of that name inside, or the start is refused.
            try:
                engine.start(container.id)
            except StartError as error:
                assert error.step == "mount.volume"
            else:
                engine.wait(container.id, timeout_s=20)
        assert os.listdir(f"{folder}/host") == []
        with open("/proc/self/mountinfo") as file:
            assert f"{folder}/host" not in file.read()

    @pytest.mark.parametrize("name", ["dev", "proc", "sys", "etc"])
    def test_a_link_in_place_of_proc_or_dev(self, engine, folder, name):
        os.mkdir(f"{folder}/host")
        import_image(engine, "liar", link(name, f"/../..{folder}/host/new"))
        config = ContainerConfig(image="liar", cmd=["/bin/sh"])
        container, _ = engine.create(config, HostConfig())
        with contextlib.suppress(StartError):
            engine.start(container.id)
            engine.wait(container.id, timeout_s=20)
        assert os.listdir(f"{folder}/host") == []

    @pytest.mark.parametrize("target", ["/evil", "/evil/sys/x", "/evil/new"])
    def test_a_link_to_proc(self, engine, target):
        import_image(engine, "liar", link("evil", "proc"))
        config = ContainerConfig(image="liar", cmd=["/bin/sh"])
        container, _ = engine.create(config, HostConfig(binds=[f"v1:{target}"]))
        with pytest.raises(StartError):
            engine.start(container.id)

    def test_a_link_to_the_root(self, engine):
        import_image(engine, "liar", link("evil", "/"))
        config = ContainerConfig(image="liar", cmd=["/bin/sh"])
        for options in ({"binds": ["v1:/evil"]}, {"tmpfs": {"/evil": ""}}):
            container, _ = engine.create(config, HostConfig(**options))
            with pytest.raises(StartError, match="container's root"):
                engine.start(container.id)

    def test_a_link_in_a_volume(self, engine, folder):
        shell(engine, f"ln -s /../..{folder} /v/out; ln -s /etc /v/etc", binds=["v1:/v"])
        output, code = shell(engine, "ls /etc/x", binds=["v1:/v", "v2:/v/etc/x"])
        assert (output, code) == ("", 0)
        before = sorted(os.listdir(folder))
        shell(engine, "true", binds=["v1:/v", "v2:/v/out/x"])
        assert sorted(os.listdir(folder)) == before
        assert sorted(os.listdir(engine.volumes.find("v1").data)) == ["etc", "out"]

    def test_a_link_to_nothing_is_followed_inside(self, engine):
        import_image(engine, "liar", link("a", "/not/there"), link("b", "relative"))
        output, code = run_of(
            engine,
            "liar",
            "grep -c -E ' /(not/there|relative) ' /proc/self/mountinfo",
            binds=["v1:/a", "v2:/b"],
        )
        assert (output, code) == ("2\n", 0)


def test_volumes_are_found_by_no_other_name(engine):
    assert isinstance(engine, Engine)
    for name in ("nosuch", "../containers", "", "."):
        with pytest.raises(NotFoundError, match="no such volume"):
            engine.volumes.find(name)
