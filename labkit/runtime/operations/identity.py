"""Operations on the user and the capabilities of the container's process."""

import errno
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple

from labkit.dialect.numbers import whole
from labkit.kernel import capabilities, processes, seccomp, user_namespaces
from labkit.runtime.operations.context import Context

APPARMOR_ON_EXEC = ("/proc/thread-self/attr/apparmor/exec", "/proc/thread-self/attr/exec")
LARGEST_ID = 2**31 - 1
MOST_BYTES = 16 * 1024 * 1024
"""The most that is read of a passwd or group file: the container may write anything into it."""


class JoinSessionKeyring(NamedTuple):
    """Leave the host's session keyring for the container's: no namespace separates keys."""

    name: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'keyctl(KEYCTL_JOIN_SESSION_KEYRING, "{self.name}")'

    def execute(self, context: Context) -> None:
        """Join the keyring; a kernel without keys (ENOSYS) or a full quota (EDQUOT) is no error."""
        try:
            processes.join_session_keyring(self.name)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EDQUOT):
                raise


class LookUpUser(NamedTuple):
    """Turn `user[:group]`, names or numbers, into numbers by the container's own /etc files.

    It runs inside the new root, where no link can lead the look-up to the host's files.
    """

    user: str
    more: Sequence[str] = ()
    """Further groups, names or numbers."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return 'read("/etc/passwd"); read("/etc/group")'

    def execute(self, context: Context) -> None:
        """Set the context's uid, gid and groups, and HOME unless the environment has it."""
        user, _, group = self.user.partition(":")
        name, context.uid, context.gid, home = _find_user(user or "0")
        if group:
            context.gid = _find_group(group)
            context.groups = [context.gid]
        else:
            others = [
                _number(fields[2])
                for fields in _records("/etc/group", 4)
                if name and name in fields[3].split(",")
            ]
            # The group is among the others too: else a set-group-id program could drop it
            # (CVE-2022-36109).
            context.groups = list(dict.fromkeys((context.gid, *others)))
        for name in self.more:
            if (gid := _find_group(name)) not in context.groups:
                context.groups.append(gid)
        context.environment.setdefault("HOME", home)


def _find_user(wanted: str) -> tuple[str, int, int, str]:
    for fields in _records("/etc/passwd", 7):
        if wanted in (fields[0], fields[2]):
            return fields[0], _number(fields[2]), _number(fields[3]), fields[5] or "/"
    if wanted.removeprefix("-").isdecimal():
        return "", _number(wanted), 0, "/"
    raise OSError(errno.ENOENT, f"unable to find user {wanted}: no matching entries in passwd file")


def _find_group(wanted: str) -> int:
    for fields in _records("/etc/group", 4):
        if wanted in (fields[0], fields[2]):
            return _number(fields[2])
    if wanted.removeprefix("-").isdecimal():
        return _number(wanted)
    raise OSError(errno.ENOENT, f"unable to find group {wanted}: no matching entries in group file")


def _number(text: str) -> int:
    """Parse a user's or group's number, up to the largest that Docker accepts."""
    number = whole(text, 0, LARGEST_ID)
    if number is None:
        raise OSError(errno.ERANGE, f"uids and gids must be in range 0-{LARGEST_ID}: {text[:40]}")
    return number


def _records(path: str, field_count: int) -> list[list[str]]:
    """Return the lines of a passwd(5) or group(5) file with enough fields and a numeric id."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return []
    try:
        text = os.read(fd, min(os.fstat(fd).st_size, MOST_BYTES)).decode("utf-8", "surrogateescape")
    finally:
        os.close(fd)
    # Ordinary lines only are split: of 16 million empty ones, each list would take 60 bytes.
    lines = (line.split(":") for line in text.split("\n") if line.count(":") >= field_count - 1)
    return [fields for fields in lines if fields[2].isdecimal()]


class ConfineByAppArmor(NamedTuple):
    """Have AppArmor confine this process by a profile from its next exec on (apparmor(7))."""

    profile: str

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f'write("{APPARMOR_ON_EXEC[0]}", "exec {self.profile}")'

    def execute(self, context: Context) -> None:
        """Write the profile's name; ENOENT if it is not loaded.  Forked processes inherit it.

        Kernels before Linux 5.8 have one folder for all security modules.
        """
        path = next(filter(os.path.exists, APPARMOR_ON_EXEC), APPARMOR_ON_EXEC[0])
        with open(path, "w") as file:
            file.write(f"exec {self.profile}")


class ForbidNewPrivileges(NamedTuple):
    """Let no later exec gain power: setuid bits and capabilities of files have no effect."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "prctl(PR_SET_NO_NEW_PRIVS, 1)"

    def execute(self, context: Context) -> None:
        """Set the bit; children inherit it, and no call clears it."""
        processes.prctl(processes.PR_SET_NO_NEW_PRIVS, 1)


class LimitCapabilities(NamedTuple):
    """Drop every other capability from the bounding set: no later exec can gain one."""

    keep_mask: int
    last: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f"prctl(PR_CAPBSET_DROP, …) for all but 0x{self.keep_mask:x}"

    def execute(self, context: Context) -> None:
        """Drop them one by one, for the kernel has no call for all."""
        capabilities.drop_from_bounding_set(self.keep_mask, self.last)


class SwitchUser(NamedTuple):
    """Become the container's user; the kernel then drops the capabilities, unless it is root."""

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return "setgroups(…); setresgid(…); setresuid(…)"

    def execute(self, context: Context) -> None:
        """Set the groups first: a user other than root cannot set them."""
        for fd in (0, 1, 2):
            # The user may then open /dev/stdout again, as many programs do to log; no real file.
            if stat.S_ISFIFO(os.fstat(fd).st_mode) or os.isatty(fd):
                os.fchown(fd, context.uid, -1)
        try:
            os.setgroups(context.groups)
        except PermissionError:
            # Outside, the engine's user still has its groups; none of them has a number inside.
            if user_namespaces.may_set_groups():
                raise
        os.setresgid(context.gid, context.gid, context.gid)
        os.setresuid(context.uid, context.uid, context.uid)


class SetCapabilities(NamedTuple):
    """Drop the effective and permitted capabilities, except these."""

    keep_mask: int

    def call(self) -> str:
        """The call as a C programmer would write it."""
        return f"capset(permitted = effective = 0x{self.keep_mask:x}, inheritable = 0)"

    def execute(self, context: Context) -> None:
        """Set the capabilities; a user other than root has none, as in Docker.

        A capability that labkitd itself lacks cannot be kept, so it is not requested.
        """
        has = capabilities.permitted() if context.uid == 0 else 0
        capabilities.set_capabilities(self.keep_mask & has)


class LoadSeccomp(NamedTuple):
    """Filter every later system call by a BPF program."""

    program: bytes

    def call(self) -> str:
        """The call as a C programmer would write it."""
        count = len(self.program) // seccomp.INSTRUCTION_SIZE
        return f"seccomp(SECCOMP_SET_MODE_FILTER, 0, {{{count} instructions}})"

    def execute(self, context: Context) -> None:
        """Load the filter; that needs CAP_SYS_ADMIN, so it runs before that is dropped."""
        seccomp.load(self.program)
