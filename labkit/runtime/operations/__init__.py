"""The operations of a plan: each is data, names the call it makes, and can be executed.

    >>> Mount("proc", "/proc", "proc", MS_NOSUID).call()
    'mount("proc", "/proc", "proc", MS_NOSUID, "")'

An operation is a `NamedTuple` of plain values: it is compared and printed like any value, and sent
to the spawner as its name and its fields (`encode`, `decode`).  `execute` makes the calls in the
process that runs it; a failure is the `OSError` of the call that failed.
"""

from collections.abc import Sequence
from typing import Protocol, cast

from labkit.kernel import messages
from labkit.runtime.operations.cgroup import (
    AttachDeviceFilter,
    EnterCgroup,
    MakeCgroup,
    WriteCgroupFile,
)
from labkit.runtime.operations.context import Context
from labkit.runtime.operations.filesystem import (
    CopyTree,
    DetachOldRoot,
    EnterDirectory,
    HidePath,
    HoldNull,
    MakeDevice,
    MakeMark,
    MakePathReadOnly,
    MakeRoom,
    MakeSymlink,
    Mount,
    PivotRoot,
)
from labkit.runtime.operations.identity import (
    ConfineByAppArmor,
    ForbidNewPrivileges,
    JoinSessionKeyring,
    LimitCapabilities,
    LoadSeccomp,
    LookUpUser,
    SetCapabilities,
    SwitchUser,
)
from labkit.runtime.operations.inside import (
    AttachFileSystem,
    AttachTree,
    BorrowProc,
    BorrowSharedMemory,
    MountTmpfs,
    NewFileSystem,
    OpenImage,
    OpenTree,
)
from labkit.runtime.operations.network import (
    AddAddress,
    AddDefaultRoute,
    HoldPort,
    KeepHostLinks,
    LayCable,
    ListenForNames,
    RelayPort,
    RemoveLink,
    ShareLink,
    SwitchOn,
)
from labkit.runtime.operations.process import (
    BringUpLoopback,
    Clone,
    CloseDescriptors,
    CloseDescriptorsOnExec,
    DieWithShim,
    EnterPidNamespace,
    Exec,
    JoinNamespace,
    JoinNamespaces,
    SetDomainname,
    SetHostname,
    SetOomScore,
    SetResourceLimit,
    Shield,
    Unshare,
    WriteSysctl,
)
from labkit.runtime.operations.stdio import (
    BindConsole,
    ConnectStdio,
    ControlTerminal,
    OpenNull,
    OpenTerminal,
)
from labkit.runtime.operations.users import (
    ActAs,
    EnterOwned,
    EnterUserNamespace,
    MakeUserNamespace,
    MapIds,
)

__all__ = [
    "KINDS",
    "ActAs",
    "AddAddress",
    "AddDefaultRoute",
    "AttachDeviceFilter",
    "AttachFileSystem",
    "AttachTree",
    "BindConsole",
    "BorrowProc",
    "BorrowSharedMemory",
    "BringUpLoopback",
    "Clone",
    "CloseDescriptors",
    "CloseDescriptorsOnExec",
    "ConfineByAppArmor",
    "ConnectStdio",
    "Context",
    "ControlTerminal",
    "CopyTree",
    "DetachOldRoot",
    "DieWithShim",
    "EnterCgroup",
    "EnterDirectory",
    "EnterOwned",
    "EnterPidNamespace",
    "EnterUserNamespace",
    "Exec",
    "ForbidNewPrivileges",
    "HidePath",
    "HoldNull",
    "HoldPort",
    "JoinNamespace",
    "JoinNamespaces",
    "JoinSessionKeyring",
    "KeepHostLinks",
    "LayCable",
    "LimitCapabilities",
    "ListenForNames",
    "LoadSeccomp",
    "LookUpUser",
    "MakeCgroup",
    "MakeDevice",
    "MakeMark",
    "MakePathReadOnly",
    "MakeRoom",
    "MakeSymlink",
    "MakeUserNamespace",
    "MapIds",
    "Mount",
    "MountTmpfs",
    "NewFileSystem",
    "OpenImage",
    "OpenNull",
    "OpenTerminal",
    "OpenTree",
    "Operation",
    "PivotRoot",
    "RelayPort",
    "RemoveLink",
    "SetCapabilities",
    "SetDomainname",
    "SetHostname",
    "SetOomScore",
    "SetResourceLimit",
    "ShareLink",
    "Shield",
    "SwitchOn",
    "SwitchUser",
    "Unshare",
    "WriteCgroupFile",
    "WriteSysctl",
    "decode",
    "encode",
]


class Operation(Protocol):
    """One step of starting a container."""

    def call(self) -> str:
        """Return the system call with its arguments, in the notation of C."""
        ...

    def execute(self, context: Context) -> None:
        """Make the call in this process; OSError if the kernel refuses it."""
        ...


KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        MakeCgroup,
        WriteCgroupFile,
        AttachDeviceFilter,
        EnterCgroup,
        Clone,
        Unshare,
        ConnectStdio,
        OpenNull,
        OpenTerminal,
        ControlTerminal,
        BindConsole,
        JoinNamespaces,
        EnterPidNamespace,
        Shield,
        DieWithShim,
        SetHostname,
        SetDomainname,
        WriteSysctl,
        SetOomScore,
        SetResourceLimit,
        BringUpLoopback,
        HoldPort,
        KeepHostLinks,
        LayCable,
        ShareLink,
        SwitchOn,
        AddAddress,
        AddDefaultRoute,
        ListenForNames,
        RelayPort,
        JoinNamespace,
        BorrowProc,
        AttachFileSystem,
        BorrowSharedMemory,
        MakeUserNamespace,
        ActAs,
        EnterOwned,
        MapIds,
        EnterUserNamespace,
        CloseDescriptors,
        CloseDescriptorsOnExec,
        Exec,
        Mount,
        CopyTree,
        OpenTree,
        OpenImage,
        AttachTree,
        MountTmpfs,
        NewFileSystem,
        MakeRoom,
        MakeDevice,
        MakeSymlink,
        MakeMark,
        MakePathReadOnly,
        HidePath,
        HoldNull,
        PivotRoot,
        DetachOldRoot,
        EnterDirectory,
        ConfineByAppArmor,
        JoinSessionKeyring,
        LookUpUser,
        ForbidNewPrivileges,
        LimitCapabilities,
        SwitchUser,
        SetCapabilities,
        LoadSeccomp,
    )
}


def encode(operations: Sequence[Operation]) -> list[tuple[object, ...]]:
    """Return the operations as plain tuples: the kind's name, then its fields.

    Last fields with their default are left out: a shim of an earlier release may not know them.
    """
    return [
        (type(operation).__name__, *messages.plain(cast("tuple[object, ...]", operation)))
        for operation in operations
    ]


def decode(encoded: Sequence[Sequence[object]]) -> list[Operation]:
    """Return the operations that `encode` has made plain."""
    return [KINDS[cast(str, name)](*fields) for name, *fields in encoded]
