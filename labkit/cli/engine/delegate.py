"""`labkit delegate`: give cgroups to a user, so that labkit can limit without root."""

from labkit.cgroups import delegation, given
from labkit.cli.base.command import Command, Context
from labkit.cli.base.flags import Flag
from labkit.errors import LabkitError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] USER",
    (Flag("undo", "", "bool", "Take the groups back"),),
    at_least=1,
    at_most=1,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Print the changes in each hierarchy."""
    uid = delegation.find_uid(arguments[0])
    name = given.user_name(uid)
    act = delegation.take_back if options["undo"] else delegation.delegate
    try:
        done = act(uid)
    except OSError as error:
        raise LabkitError(f"the kernel refused: {error}") from None
    for line in done:
        print(line)
    if options["undo"]:
        if not done:
            print(f"{name} owns no cgroups")
    elif done:
        print(
            f"{name} can limit containers now: restart labkitd of {name}, if one runs, "
            "for it reads the groups at its start\n"
            "A restart of the machine takes the groups back; to give them at each start, write to "
            f"/etc/cron.d/labkit:\n@reboot root labkit delegate {name}"
        )
    else:
        raise LabkitError("this machine has no cgroup controllers for an ordinary user")
    return 0
