"""mini: a container engine in one file, on labkit.kernel alone."""

import hashlib
import json
import os
import shutil
import signal
import stat
import tarfile
from contextlib import suppress
from pathlib import Path

from labkit.course.capstone import given
from labkit.kernel import (
    capabilities,
    mounts,
    namespaces,
    overlay,
    processes,
    seccomp,
    seccomp_profile,
    trees,
    user_namespaces,
)
from labkit.kernel.network import links, loopback
from labkit.kernel.network.netlink import RouteSocket

OWN = sum(namespaces.FLAGS[name] for name in ("mnt", "pid", "uts", "ipc", "net"))
SAFE = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC


def run(box):
    """Start the command in a container, stay with it, and return its exit status."""
    if box.detach:
        if os.fork():
            return 0 if given.wait_until(given.record(box.name).exists, 10) else 125
        become_nobodys_child()
    os.makedirs(given.folder(box.name))  # an error if the name is taken
    lower = [unpack(box.image, digest) for digest in layers(box.image)] if box.image else []
    program = seccomp_profile.compile_filter(given.CAPABILITIES)
    users = make_users() if box.userns else None
    gate, opened = os.pipe()
    pid, _ = processes.clone(OWN)
    if pid == 0:
        os.close(opened)
        os._exit(be_first(box, gate, lower, program, users))
    try:
        limit(box)
        join(box.name, pid)
        lay_cable(box, pid)
        given.record(box.name).write_text(json.dumps([pid, processes.start_time(pid)]))
        os.write(opened, b"1")
        return stay_with(pid)
    finally:
        os.close(opened)  # without the byte the child gives up
        tidy(box, pid)


def stay_with(child):
    """Pass signals on, reap every process that ends, and return the child's exit status."""
    for number in given.SIGNALS:
        signal.signal(number, lambda received, _: os.kill(child, received))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def be_first(box, gate, lower, program, users):
    """Process 1: builds what the command sees, gives up its power, starts it, and reaps."""
    processes.close_all_but({0, 1, 2, gate} | ({users} if users else set()))
    if not os.read(gate, 1):
        return 125
    namespaces.unshare(namespaces.CLONE_NEWCGROUP)  # in its group by now: that is the root
    namespaces.set_hostname(box.name)
    plug_in(box)
    enter_root(box, lower, users)
    if users:
        user_namespaces.enter(users)
    restrict(program)
    processes.close_all_but({0, 1, 2})
    return stay_with(start(box.command))


def start(command):
    """Fork a process that becomes the command; its pid."""
    pid = os.fork()
    if pid == 0:
        processes.close_on_exec_from(3)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec keeps that
        try:
            os.execvpe(command[0], command, given.ENVIRONMENT)
        except OSError as error:
            os.write(2, f"mini: {command[0]}: {error.strerror}\n".encode())
            os._exit(127)
    return pid


def enter_root(box, lower, users):
    """Mount the container's files, and leave all others."""
    mounts.mount("", "/", "", mounts.MS_REC | mounts.MS_PRIVATE)
    if users:
        show_mapped(given.STATE if box.image else box.root, users)
        user_namespaces.act_as(given.FIRST_ID, given.FIRST_ID)  # to own what is made from here on
    root, upper, work = (f"{given.folder(box.name)}/{name}" for name in ("root", "upper", "work"))
    for path in (root, upper, work):
        os.mkdir(path)
    if box.image:
        mounts.mount("overlay", root, "overlay", 0, overlay.options(reversed(lower), upper, work))
    else:
        mounts.mount(box.root, root, "", mounts.MS_BIND)
    mount_proc_and_dev(root)
    os.chdir(root)
    mounts.pivot_root(".", ".")  # now the old root lies over the new one
    mounts.unmount(".", mounts.MNT_DETACH)
    os.chdir("/")


def mount_proc_and_dev(root):
    """A /proc of the new PID namespace, partly covered, and the few devices of a container."""
    proc, dev = f"{root}/proc", f"{root}/dev"
    os.makedirs(proc, exist_ok=True)
    os.makedirs(dev, exist_ok=True)
    mounts.mount("proc", proc, "proc", SAFE)
    mounts.mount("tmpfs", dev, "tmpfs", mounts.MS_NOSUID, "mode=755,size=64k")
    for name in given.DEVICES:
        Path(f"{dev}/{name}").touch()
        mounts.mount(f"/dev/{name}", f"{dev}/{name}", "", mounts.MS_BIND)
    for name in given.MASKED:
        mounts.mount("/dev/null", f"{proc}/{name}", "", mounts.MS_BIND)
    for path in (f"{proc}/{name}" for name in given.READ_ONLY):
        mounts.mount(path, path, "", mounts.MS_BIND)
        mounts.mount("", path, "", SAFE | mounts.MS_BIND | mounts.MS_REMOUNT | mounts.MS_RDONLY)


def restrict(program):
    """Give up every power that a container has no use for; there is no way back."""
    kept = capabilities.mask(given.CAPABILITIES)
    capabilities.drop_from_bounding_set(kept, capabilities.last_capability())
    capabilities.set_capabilities(kept)
    processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)
    seccomp.load(program)


def layers(image):
    """The digests of the layers of the layout's first image, the lowest first."""
    index = json.loads(Path(image, "index.json").read_text())
    manifest = json.loads(given.blob(image, index["manifests"][0]["digest"]).read_text())
    return [layer["digest"] for layer in manifest["layers"]]


def unpack(image, digest):
    """Unpack a layer, once, in the form that overlayfs reads; the folder."""
    target = f"{given.STATE}/layers/{digest.replace(':', '-')}"
    if os.path.isdir(target):
        return target
    os.makedirs(f"{target}.new")
    with tarfile.open(given.blob(image, digest)) as archive:
        archive.extraction_filter = lambda member, path: member
        for member in archive:
            above, name = os.path.split(f"{target}.new/{member.name}")
            if name == ".wh..wh..opq":
                os.setxattr(above, overlay.OPAQUE, b"y")
            elif name.startswith(".wh."):
                os.mknod(f"{above}/{name.removeprefix('.wh.')}", stat.S_IFCHR, 0)
            else:
                archive.extract(member, f"{target}.new", numeric_owner=True)
    os.rename(f"{target}.new", target)
    return target


def groups():
    """(controller, where its hierarchy is mounted, whether that is version 2) for each limit."""
    table = mounts.parse_mountinfo(Path("/proc/self/mountinfo").read_text())
    for name in given.FILES:
        v1 = [m.target for m in table if m.kind == "cgroup" and name in m.super_options]
        v2 = [m.target for m in table if m.kind == "cgroup2"]
        yield name, (v1 or v2)[0], not v1


def limit(box):
    """Make the container's groups, and write its limits into their files."""
    for controller, top, is_v2 in groups():
        above, own = f"{top}/{given.GROUP}", f"{top}/{given.GROUP}/{box.name}"
        os.makedirs(own, exist_ok=True)
        for path in (top, above) if is_v2 else ():
            Path(path, "cgroup.subtree_control").write_text(f"+{controller}")
        if value := box.limits[controller]:
            value = value * 100 // 1024 if controller == "cpu" and is_v2 else value
            Path(own, given.FILES[controller][is_v2]).write_text(str(value))


def join(name, pid):
    """Put a process into a container's groups."""
    for _, top, _ in groups():
        Path(top, given.GROUP, name, "cgroup.procs").write_text(str(pid))


def plug_in(box):
    """Inside: switch the network on."""
    loopback.bring_up()
    if box.address:
        with RouteSocket() as route:
            links.switch_on(route, "eth0")
            links.add_address(route, "eth0", box.address, 24)
            links.add_default_route(route, "eth0", given.GATEWAY)


def lay_cable(box, pid):
    """Outside: lay a cable from the bridge, made if it is missing, into a process's network."""
    if not box.address:
        return
    mac = "02:42:" + bytes(map(int, box.address.split("."))).hex(":")
    with RouteSocket() as route, open(f"/proc/{pid}/ns/net") as inside:
        with suppress(FileExistsError):
            links.make_bridge(route, given.BRIDGE, "02:42:00:00:00:01", 1500, 0)
        links.add_address(route, given.BRIDGE, given.GATEWAY, 24)
        veth = links.Veth(f"mini-{pid}", given.BRIDGE, "eth0", mac, 1500)
        links.make_veth(route, veth, inside.fileno())


def tidy(box, pid):
    """Remove all that a container had, once it has ended."""
    for _, top, _ in groups():
        for path in (f"{top}/{given.GROUP}/{box.name}", f"{top}/{given.GROUP}"):
            given.remove_group(path)
    if box.address:
        with RouteSocket() as route:
            with suppress(OSError):  # the kernel takes it away with its namespace
                links.delete(route, f"mini-{pid}")
            if not any(link.name.startswith("mini-") for link in links.every_link(route)):
                links.delete(route, given.BRIDGE)
    given.remove_folder(given.folder(box.name))


def become_nobodys_child():
    """Leave the session of the starter, and hold none of its files."""
    os.setsid()
    for fd in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), fd)
    processes.close_all_but({0, 1, 2})


def execute(box):
    """Start a command in a running container; its exit status."""
    pid, started = json.loads(given.record(box.name).read_text())
    program = seccomp_profile.compile_filter(given.CAPABILITIES)
    door = processes.open_pidfd(pid, started)
    has_users = os.stat(f"/proc/{pid}/ns/user") != os.stat("/proc/self/ns/user")
    join(box.name, os.getpid())
    namespaces.setns(door, OWN | namespaces.CLONE_NEWCGROUP)
    if has_users:
        user_namespaces.enter(door)
    restrict(program)
    return stay_with(start(box.command))


def ps(box):
    """Print the name and the first process of each running container."""
    for path in Path(given.STATE, "boxes").glob("*/record.json"):
        pid, started = json.loads(path.read_text())
        if processes.start_time(pid) == started:
            print(path.parent.name, pid)
    return 0


def stop(box):
    """Ask a container to end, then end it."""
    pid, started = json.loads(given.record(box.name).read_text())
    for number, patience_s in ((signal.SIGTERM, box.grace), (signal.SIGKILL, 10)):
        processes.send_signal(pid, started, number)
        if given.wait_until(lambda: not given.folder(box.name).exists(), patience_s):
            return 0
    return 1


def pull(box):
    """Bring an image from a registry into an OCI layout; a blob that was changed is refused."""
    unfinished = f"{box.folder}.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    os.makedirs(f"{unfinished}/blobs/sha256")
    manifest = given.fetch(f"{box.repository}/manifests/{box.tag}")
    parts = json.loads(manifest)
    for digest in [part["digest"] for part in (parts["config"], *parts["layers"])]:
        found = keep(unfinished, given.fetch(f"{box.repository}/blobs/{digest}"))
        if found != digest:
            raise SystemExit(f"mini: {digest} was asked for, and {found} came")
    given.write_index(unfinished, keep(unfinished, manifest), len(manifest))
    os.rename(unfinished, box.folder)
    return 0


def keep(image, content):
    """Write a blob under the name that its content gives it; its digest."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    given.blob(image, digest).write_bytes(content)
    return digest


def make_users():
    """A user namespace whose root is an ordinary user of the host; its open file."""
    ids = [(0, given.FIRST_ID, given.IDS)]
    return user_namespaces.make(ids, ids)[namespaces.CLONE_NEWUSER]


def show_mapped(path, users):
    """Show the files at `path` with the owners that the user namespace makes of them."""
    place = os.open(path, os.O_PATH)
    tree = trees.clone_tree(place)
    trees.map_ids(tree, users)
    trees.attach(tree, place)


if __name__ == "__main__":
    given.command_line(run, execute=execute, ps=ps, stop=stop, pull=pull)
