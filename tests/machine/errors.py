"""The one error of this package."""


class MachineError(Exception):
    """The machine cannot be built or started; the message says what to install or change."""
