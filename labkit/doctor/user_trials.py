"""The trials of a user without root: `python -m labkit.doctor.user_trials DATA_ROOT [TRIAL...]`.

They run as root of a user namespace, like this user's labkitd (`labkit.rootless`).
"""

import json
import os
import subprocess
import sys

from labkit.errors import LabkitError
from labkit.kernel import namespaces
from labkit.rootless import ids
from labkit.snapshots.trials import in_child

IDS, USER_NAMESPACE = "ids", "namespace.user"


def main() -> None:
    """Print the results; without a user namespace, only the reason."""
    results = {IDS: in_child(_ids, ""), USER_NAMESPACE: in_child(_become_root, "")}
    if not results[USER_NAMESPACE]:
        command = [sys.executable, "-P", "-m", "labkit.doctor.trials", *sys.argv[1:]]
        done = subprocess.run(
            command,
            preexec_fn=lambda: _become_root(""),
            stdout=subprocess.PIPE,
            check=True,
        )
        results |= json.loads(done.stdout)
    json.dump(results, sys.stdout)


def _become_root(_: str) -> None:
    """Become root of a user namespace without other users, which needs no other program."""
    lines = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    namespaces.unshare(namespaces.CLONE_NEWUSER | namespaces.CLONE_NEWNS)
    for name, line in lines.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def _ids(_: str) -> None:
    """Give a process in a user namespace the ids that labkitd would get."""
    told, tell = os.pipe()
    wait, release = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(release)
        try:
            namespaces.unshare(namespaces.CLONE_NEWUSER)
            os.write(tell, b"1")
            os.read(wait, 1)
        finally:
            os._exit(0)
    os.close(tell)
    try:
        if os.read(told, 1):
            ids.give(pid, ids.find())
    except LabkitError as error:
        raise OSError(str(error)) from None
    finally:
        os.close(release)
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
