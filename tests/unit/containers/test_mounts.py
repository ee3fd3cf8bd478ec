"""What people write for mounts, and what it means: plain data, no root."""

import pytest

from labkit.containers import ContainerConfig, HostConfig
from labkit.containers.given import mounting
from labkit.containers.given.mounts import mount_points
from labkit.containers.given.tmpfs import DEFAULT_FLAGS, tmpfs_flags_and_data
from labkit.containers.records.mount_model import (
    BindOptions,
    DriverConfig,
    Mount,
    TmpfsOptions,
    VolumeOptions,
)
from labkit.errors import InvalidParameterError
from labkit.kernel.mounts import MS_NOEXEC, MS_RDONLY
from labkit.runtime.spec import BindMount, TmpfsMount


def points(*binds, volumes=(), mounts=None, tmpfs=None, volumes_from=(), others=None):
    config = ContainerConfig(volumes={path: {} for path in volumes} or None)
    host = HostConfig(
        binds=list(binds), mounts=mounts, tmpfs=tmpfs, volumes_from=list(volumes_from)
    )
    return mount_points(config, host, (others or {}).__getitem__)


def test_what_another_container_has():
    others = {"web": points("data:/data", "/srv:/host:ro", tmpfs={"/t": ""})}
    found = points("/tmp:/host", volumes_from=["web:ro"], others=others)
    assert [(point.destination, point.name, point.source, point.read_only) for point in found] == [
        ("/data", "data", "", True),
        ("/host", "", "/tmp", False),
    ]
    assert not points(volumes_from=["web"], others=others)[0].read_only
    with pytest.raises(InvalidParameterError, match="invalid mode: nonsense"):
        points(volumes_from=["web:nonsense"], others=others)


def one(*args, **kw):
    (found,) = points(*args, **kw)
    return found


@pytest.mark.parametrize(
    ("text", "kind", "name", "source", "destination", "read_only"),
    [
        ("data:/data", "volume", "data", "", "/data", False),
        ("data:/data:ro", "volume", "data", "", "/data", True),
        ("data:/data:nocopy,rw", "volume", "data", "", "/data", False),
        ("/srv:/data", "bind", "", "/srv", "/data", False),
        ("/srv/../a/:/data/./b/:ro,rprivate", "bind", "", "/a", "/data/b", True),
        ("/anon", "volume", "", "", "/anon", False),
        ("//srv:///data", "bind", "", "//srv", "/data", False),
    ],
)
def test_the_short_form(text, kind, name, source, destination, read_only):
    found = one(text)
    assert (found.type, found.name, found.source) == (kind, name, source)
    assert (found.destination, found.read_only) == (destination, read_only)
    assert found.anonymous == (kind == "volume" and not name)
    assert found.copies_up == ("nocopy" not in text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "invalid volume specification: ''"),
        ("a:/b:ro:x", "invalid volume specification: 'a:/b:ro:x'"),
        ("/b:ro", "invalid volume specification: '/b:ro'"),
        (":/b", "invalid volume specification: ':/b'"),
        ("aa:/b:rox", "invalid mode: rox"),
        ("aa:/b:ro,rw", "invalid mode: ro,rw"),
        ("aa:b", "mount path must be absolute"),
        ("relative", "mount path must be absolute"),
        ("/tmp:/", "destination can't be '/'"),
        ("/tmp:/a/..", "destination can't be '/'"),
        ("/tmp:/proc", "inside /proc"),
        ("aa:/proc/sys/kernel", "inside /proc"),
        ("aa:/x/../proc/1", "inside /proc"),
        ("a:/b", "volume name is too short"),
        ("../x:/b", "includes invalid characters for a local volume name"),
        ("x/y:/b", "includes invalid characters"),
        (".hidden:/b", "includes invalid characters"),
        ("xx:/b:rshared", "invalid mode: rshared"),
        ("/a:/b:nocopy", "invalid mode: nocopy"),
        ("/a:/b\0c", "NUL"),
    ],
)
def test_what_the_short_form_cannot_say(text, message):
    with pytest.raises(InvalidParameterError) as error:
        points(text)
    assert message in str(error.value)


def test_mounts_of_each_type(tmp_path):
    bind, volume, tmpfs = points(
        mounts=[
            Mount("bind", str(tmp_path), "/1", read_only=True),
            Mount("volume", "vol", "/2", volume_options=VolumeOptions(True, {"a": "b"})),
            Mount("tmpfs", "", "/3", tmpfs_options=TmpfsOptions(1024, 0o1777, [["exec"]])),
        ]
    )
    assert (bind.source, bind.read_only, bind.makes_source) == (str(tmp_path), True, False)
    assert (volume.name, volume.copies_up, volume.labels) == ("vol", False, {"a": "b"})
    assert tmpfs.options == "size=1024,mode=1777,exec"
    assert one(mounts=[Mount("volume", "", "/x")]).anonymous
    made = Mount("bind", "/no/such/place", "/x", bind_options=BindOptions(create_mountpoint=True))
    assert one(mounts=[made]).makes_source


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        (Mount("nosuch", "a", "/b"), 'type "nosuch": mount type unknown'),
        (Mount("bind", "/a", ""), "field Target must not be empty"),
        (Mount("bind", "", "/a"), "field Source must not be empty"),
        (Mount("bind", "a", "/a"), "mount path must be absolute"),
        (Mount("bind", "/no/such", "/a"), "bind source path does not exist: /no/such"),
        (Mount("tmpfs", "x", "/a"), "field Source must not be specified"),
        (Mount("bind", "/", "/a", volume_options=VolumeOptions()), "VolumeOptions must not be"),
        (Mount("bind", "/", "/a", bind_options=BindOptions("odd")), "invalid propagation mode"),
        (Mount("volume", "aa", "/proc/x"), "inside /proc"),
        (
            Mount("volume", "aa", "/a", volume_options=VolumeOptions(subpath="x/../y")),
            "subpath must be a relative path",
        ),
        (
            Mount("volume", "aa", "/a", volume_options=VolumeOptions(False, {}, DriverConfig("x"))),
            'plugin "x" not found',
        ),
        (Mount("tmpfs", "", "/a", tmpfs_options=TmpfsOptions(options=[["x"]])), "tmpfs option"),
        (Mount("tmpfs", "", "/a", tmpfs_options=TmpfsOptions(-1)), "out of range"),
    ],
)
def test_what_a_mount_cannot_be(mount, message):
    with pytest.raises(InvalidParameterError) as error:
        points(mounts=[mount])
    assert message in str(error.value)


def test_one_place_one_mount():
    with pytest.raises(InvalidParameterError, match="Duplicate mount point: /a"):
        points("aa:/a", "/b:/a/")
    with pytest.raises(InvalidParameterError, match="Duplicate mount point: /a"):
        points("aa:/a", tmpfs={"/a": ""})


def test_an_anonymous_volume_yields_to_what_is_asked_for():
    assert one("/host:/a", volumes=["/a"]).type == "bind"
    assert [point.destination for point in points("/h:/a", volumes=["/a", "/b"])] == ["/a", "/b"]


def test_upper_folders_come_first():
    found = points("aa:/a/b/c", "/x:/a", volumes=["/a/b"])
    assert [point.destination for point in found] == ["/a", "/a/b", "/a/b/c"]


def test_the_users_mounts_go_between_labkits_own():
    own = [BindMount("mount.hosts", "", "/c/hosts", "/etc/hosts")]
    order = mounting.in_order(own, points("aa:/etc"), list)
    assert [mount.target for mount in order] == ["/etc", "/etc/hosts"]
    (only,) = mounting.in_order(own, points("/mine:/etc/hosts:ro"), list)
    assert only == BindMount("mount.bind", only.why, "/mine", "/etc/hosts", read_only=True)


def test_tmpfs_options():
    assert tmpfs_flags_and_data("") == (DEFAULT_FLAGS, "")
    assert tmpfs_flags_and_data("exec,ro,size=1m,mode=700") == (
        DEFAULT_FLAGS & ~MS_NOEXEC | MS_RDONLY,
        "size=1m,mode=700",
    )
    for bad in ("nosuch", "size", "size=", "mode=1,evil=2"):
        with pytest.raises(InvalidParameterError, match="invalid tmpfs option"):
            tmpfs_flags_and_data(bad)
    (mount,) = mounting.in_order([], points(tmpfs={"/t": "size=1m"}), list)
    assert mount == TmpfsMount("mount.tmpfs", mount.why, "/t", DEFAULT_FLAGS, "size=1m")
