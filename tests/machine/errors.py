"""The one error of this package."""

from labkit.errors import LabkitError


class MachineError(LabkitError):
    """The machine cannot be built or started; the message says what to install or change."""
