"""The part of the plan that makes the container's root file system.

overlayfs unites the layers of the image and the writable layer.  The union becomes the root, and
the file systems that a program expects (/proc, /dev, /sys and the files labkit writes) are mounted
inside.  At the end the host's files are detached, and some of the kernel's files are hidden or made
read-only.
"""

from collections.abc import Iterator

from labkit.kernel import overlay
from labkit.kernel.mounts import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_STRICTATIME,
)
from labkit.runtime import operations as op
from labkit.runtime import plan_users
from labkit.runtime.spec import (
    TTY,
    BindMount,
    ContainerSpec,
    Device,
    ImageMount,
    Sharing,
    TmpfsMount,
    UserNamespace,
)
from labkit.runtime.step import Step

SHM = "/dev/shm"  # noqa: S108 the mount point programs expect, not a file of ours
MARK = "/.dockerenv"
DEFAULT_STORAGE = "overlayfs"
_SAFE = MS_NOSUID | MS_NODEV | MS_NOEXEC

_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_DEVICE_LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("/proc/kcore", "/dev/core"),
    ("pts/ptmx", "/dev/ptmx"),
)


def steps(spec: ContainerSpec) -> Iterator[Step]:
    """Return every step from the private mount table to the last covered path."""
    yield from _root(spec)
    yield from _of_others(spec)
    yield from _kernels_own(spec)
    if spec.limited:
        yield from _open_devices(spec)
    yield from _pivot(spec)
    yield from _kernel_file_systems(spec)
    yield from _devices(spec)
    if not spec.privileged:
        why = "the cover for masked paths, taken while /dev is labkit's own"
        yield Step("masked_paths", why, op.HoldNull())
    if not (spec.tty or spec.open_stdin):
        yield Step("stdio.null", "stdin is empty, and no file of the host's", op.OpenNull())
    if spec.tty:
        why = "a terminal of the container's own, whose name is true inside"
        yield Step("terminal", why, op.OpenTerminal(*spec.console_size))
        if spec.pid.joins is None:
            yield control_terminal()
        yield Step("terminal", "old programs look for it here", op.BindConsole())
    for mount in spec.mounts:
        if not isinstance(mount, TmpfsMount):
            yield Step(mount.name, mount.why, op.AttachTree(mount.target))
        else:
            data = plan_users.tmpfs_options(spec.user_namespace, mount.data)
            tmpfs = op.MountTmpfs(mount.target, mount.flags, data)
            yield Step(mount.name, mount.why, tmpfs)
    why = "an empty file by which programs know that they are in a container, as with Docker"
    yield Step("mark", why, op.MakeMark(MARK))
    yield from _protection(spec)


def _of_others(spec: ContainerSpec) -> Iterator[Step]:
    """Take the files of the host and of other containers while paths can name them."""
    for mount in spec.mounts:
        if isinstance(mount, BindMount) and not mount.propagation:
            why = f"{mount.why}: taken while the host can still be named"
            yield Step(mount.name, why, _opened(mount))
    if spec.ipc.host:
        yield Step("mount.shm", "the host's: taken while it can be named", op.OpenTree(SHM, SHM))
    elif spec.ipc.joins is not None:
        why = "POSIX shared memory of the container whose IPC namespace it shares"
        yield Step("mount.shm", why, op.BorrowSharedMemory(*spec.ipc.joins, SHM))


def _opened(mount: BindMount) -> op.OpenTree:
    return op.OpenTree(
        *(mount.source, mount.target, mount.read_only, mount.subpath, mount.recursive),
        *(mount.read_only_recursive, mount.propagation),
    )


def control_terminal() -> Step:
    """The step that gives the process its terminal's signals."""
    return Step("terminal", "ctrl-c there becomes a signal", op.ControlTerminal())


def _root(spec: ContainerSpec) -> Iterator[Step]:
    for mount in spec.mounts:
        if isinstance(mount, BindMount) and mount.propagation:
            why = f"{mount.why}: taken while it is a peer of the host's: mounts spread among peers"
            yield Step(mount.name, why, _opened(mount))
    yield Step(
        "mount.private",
        "mounts made here must not appear on the host",
        op.Mount("", "/", "", MS_REC | MS_PRIVATE),
    )
    yield from plan_users.map_layers(spec.user_namespace)
    for mount in spec.mounts:
        if isinstance(mount, ImageMount):
            options = overlay.lower_options(mount.layers, limited=spec.limited)
            opened = op.OpenImage(
                *(mount.layers, spec.root_mount, mount.target, options, mount.subpath)
            )
            yield Step(mount.name, mount.why, opened)
    if spec.copied_root:
        why = "the container's own copy of the image's files (storage driver copies)"
        yield Step("mount.root", why, op.Mount(spec.copied_root, spec.root_mount, "", MS_BIND))
        return
    options = overlay.options(spec.layers, spec.upper, spec.work, limited=spec.limited)
    why = "the image's read-only layers and one writable layer, united; changes are copied up"
    if spec.limited:
        why += "; in a user namespace overlayfs keeps its marks in attributes of users"
    if spec.storage != DEFAULT_STORAGE:
        why += f"; they lie in one file, behind a loop device (storage driver {spec.storage})"
    union = op.Mount("overlay", spec.root_mount, "overlay", 0, options)
    yield Step("mount.root", why, union)


def copy(spec: ContainerSpec) -> Iterator[Step]:
    """The host's step that copies the image's files, if no overlay can unite layers."""
    if spec.copied_root:
        why = "no overlay works in the data root: the container gets a whole copy, made once"
        yield Step("storage.copy", why, op.CopyTree(spec.layers[0], spec.copied_root))


def _open_devices(spec: ContainerSpec) -> Iterator[Step]:
    given = {device.path for device in spec.devices}
    why = "in a user namespace no device files can be made: the host's are shown"
    for name, _, _ in _DEVICES:
        if (path := f"/dev/{name}") not in given:
            yield Step("device", why, op.OpenTree(path, path))
    for device in spec.devices:
        yield Step("device", why, op.OpenTree(device.source, device.path))


def _pivot(spec: ContainerSpec) -> Iterator[Step]:
    yield Step(
        "pivot_root",
        "the union becomes the root of every path",
        op.PivotRoot(spec.root_mount),
    )
    # Without delay: until then the host's root is stacked on the container's, and /.. leads there.
    yield Step(
        "pivot_root.detach",
        "the host's root leaves this mount namespace: nothing inside can name it any more",
        op.DetachOldRoot(),
    )


def _kernels_own(spec: ContainerSpec) -> Iterator[Step]:
    if spec.pid.joins is not None:
        why = "a /proc shows the PID namespace of its mounter: this one is the other container's"
        yield Step("mount.proc", why, op.BorrowProc(*spec.pid.joins))
    elif spec.limited and spec.pid.host:
        why = "a new one needs power over the processes it shows, so it is the host's own"
        yield Step("mount.proc", why, op.OpenTree("/proc", "/proc"))
    else:
        why = "made while a whole one can be seen: without power over the host it is a condition"
        yield Step("mount.proc", why, op.NewFileSystem("proc", "/proc", _SAFE))
    why = "made in the same place; its network devices are those of this network namespace"
    yield Step("mount.sys", why, op.NewFileSystem("sysfs", "/sys", _SAFE | _read_only(spec)))


def _kernel_file_systems(spec: ContainerSpec) -> Iterator[Step]:
    why = "ps and top read it; it shows the processes of this PID namespace"
    yield Step("mount.proc", why, op.AttachFileSystem("/proc"))
    why = "the kernel's devices and settings, to read"
    yield Step("mount.sys", why, op.AttachFileSystem("/sys"))
    if spec.cgroup_mounts:
        yield from _cgroup_file_systems(spec)


def _cgroup_file_systems(spec: ContainerSpec) -> Iterator[Step]:
    name, base = "mount.cgroup", "/sys/fs/cgroup"
    why = "the container can read its own limits"
    if any(mount.name for mount in spec.cgroup_mounts):
        yield Step(name, why, op.Mount("tmpfs", base, "tmpfs", _SAFE, "mode=755"))
    for mount in spec.cgroup_mounts:
        target = f"{base}/{mount.name}".rstrip("/")
        flags = _SAFE | _read_only(spec) | MS_RELATIME
        yield Step(name, why, op.Mount("cgroup", target, mount.kind, flags, mount.options))
    if any(mount.name for mount in spec.cgroup_mounts):
        flags = _SAFE | _read_only(spec) | MS_REMOUNT
        yield Step(name, why, op.Mount("tmpfs", base, "tmpfs", flags, "mode=755"))


def _read_only(spec: ContainerSpec) -> int:
    """Return the flag for kernel file systems that only a privileged container may write to."""
    return 0 if spec.privileged else MS_RDONLY


def _devices(spec: ContainerSpec) -> Iterator[Step]:
    yield Step(
        "mount.dev",
        "its own /dev, with the few devices that every program expects",
        op.Mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"),
    )
    given = {device.path for device in spec.devices}
    users = spec.user_namespace
    tty = f",gid={TTY if users is None else users.host_gid(TTY)}" if spec.has_tty_group else ""
    for name, major, minor in _DEVICES:
        if (path := f"/dev/{name}") not in given:
            made = op.MakeDevice(path, major, minor)
            yield Step("device", path, op.AttachTree(path) if spec.limited else made)
    for points_to, path in _DEVICE_LINKS:
        yield Step("device", f"{path} as every Linux has it", op.MakeSymlink(points_to, path))
    for device in spec.devices:
        why = "a device of the host's that it was given"
        yield Step("device", why, op.MakeRoom(device.path))
        made = _given_device(device, spec.user_namespace)
        yield Step("device", why, op.AttachTree(device.path) if spec.limited else made)
    yield Step(
        "mount.devpts",
        "its own terminals",
        op.Mount(
            "devpts",
            "/dev/pts",
            "devpts",
            MS_NOSUID | MS_NOEXEC,
            f"newinstance,ptmxmode=0666,mode=0620{tty}",
        ),
    )
    if spec.ipc != Sharing():
        yield Step("mount.shm", "POSIX shared memory, shared", op.AttachTree(SHM))
    elif spec.has_shm:
        own = op.Mount("shm", SHM, "tmpfs", _SAFE, f"mode=1777,size={spec.shm_bytes}")
        yield Step("mount.shm", "POSIX shared memory", own)
    yield Step(
        "mount.mqueue",
        "POSIX message queues of this IPC namespace",
        op.Mount("mqueue", "/dev/mqueue", "mqueue", _SAFE),
    )


def _given_device(device: Device, users: UserNamespace | None) -> op.MakeDevice:
    numbers = (device.major, device.minor)
    owner = (device.uid, device.gid)
    if users is not None:
        owner = (users.host_uid(device.uid), users.host_gid(device.gid))
    return op.MakeDevice(device.path, *numbers, device.kind, device.mode, *owner)


def _protection(spec: ContainerSpec) -> Iterator[Step]:
    for path in spec.masked_paths:
        yield Step(
            "masked_paths", "it tells about the host, or lets it be harmed", op.HidePath(path)
        )
    for path in spec.readonly_paths:
        yield Step(
            "readonly_paths",
            "writing here would change the whole kernel",
            op.MakePathReadOnly(path),
        )
    if spec.read_only_root:
        yield Step(
            "readonly_root",
            "--read-only: even the writable layer may not be written",
            op.Mount("", "/", "", MS_REMOUNT | MS_BIND | MS_RDONLY),
        )
