"""`labkit course [reset CHAPTER]`: a learner's own folder with the course's pages."""

from labkit.cli.base.command import Command, Context
from labkit.cli.base.errors import UsageError
from labkit.cli.base.flags import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMAND = Command(
    "[OPTIONS] [reset CHAPTER]",
    (Flag("folder", "", "string", "Its path (default ~/labkit-course)", word="FOLDER"),),
    at_most=2,
)


def execute(context: Context, options: "dict[str, Any]", arguments: list[str]) -> int:
    """Make the folder, or bring it up to date; print the changes, and its path."""
    from labkit.course.handout import work_folder  # noqa: PLC0415 only this verb needs it
    from labkit.course.start.handed_out import bring_up_to_date  # noqa: PLC0415

    if arguments and (arguments[0] != "reset" or len(arguments) != 2):
        raise UsageError("'labkit course' takes nothing, or: reset CHAPTER (such as: reset 09)")
    folder = options["folder"] or work_folder.usual()
    lines = work_folder.reset(folder, arguments[1]) if arguments else work_folder.update(folder)
    bring_up_to_date(folder)
    for line in lines:
        print(line)
    print(folder)
    return 0
