"""The parts of the plan that give the container its own users (`operations/users.py`)."""

from collections.abc import Iterator

from labkit.kernel.namespaces import CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS, CLONE_NEWUTS
from labkit.runtime import operations as op
from labkit.runtime.spec import ContainerSpec, Sharing, UserNamespace
from labkit.runtime.step import Step


def host(spec: ContainerSpec) -> Iterator[Step]:
    """The step that makes the user namespace, and the namespaces that belong to it."""
    users = spec.user_namespace
    if users is None:
        return
    others = 0
    if not spec.network.host and spec.network.joins is None:
        others |= CLONE_NEWNET
    others |= CLONE_NEWUTS if spec.uts == Sharing() else 0
    others |= CLONE_NEWIPC if spec.ipc == Sharing() else 0
    yield Step(
        "namespace.user",
        "the container's root is an ordinary number on the host, and so is each of its users",
        op.MakeUserNamespace(users.uids, users.gids, others),
    )


def own(spec: ContainerSpec, flag: int) -> op.Operation:
    """The operation that gives the process its own namespace, in the power of its root."""
    return op.Unshare(flag) if spec.user_namespace is None else op.EnterOwned(flag)


def act_as_root(users: UserNamespace | None) -> Iterator[Step]:
    """The step before the first file is made: all files then belong to the container's root."""
    if users is not None:
        why = "from here on new files belong to the container's root, not to the host's"
        yield Step("namespace.user", why, op.ActAs(users.host_uid(0), users.host_gid(0)))


def map_layers(users: UserNamespace | None) -> Iterator[Step]:
    """The step before the layers are united: it maps their owners."""
    if users is not None:
        why = "files of 0 in layers and volumes belong to the container's root here"
        yield Step("mount.idmap", why, op.MapIds(users.data_root))


def tmpfs_options(users: UserNamespace | None, data: str) -> str:
    """Return tmpfs's options with the ids in them as on the host (tmpfs(5): uid, gid)."""
    if users is None:
        return data
    on_host = {"uid": users.host_uid, "gid": users.host_gid}
    words = []
    for word in data.split(","):
        name, _, number = word.partition("=")
        mapped = name in on_host and number.isdecimal()
        words.append(f"{name}={on_host[name](int(number))}" if mapped else word)
    return ",".join(words)


def enter(users: UserNamespace | None) -> Iterator[Step]:
    """The steps after the last one that needs power over the host."""
    if users is not None:
        why = "from here on this process is root inside and an unprivileged user on the host"
        enter = op.EnterUserNamespace(users.host_uid(0), users.host_gid(0))
        yield Step("namespace.user", why, enter)
        if users.mounts:
            why = "its root may mount anything; the mounts made so far are locked"
            yield Step("namespace.user.mount", why, op.Unshare(CLONE_NEWNS))
