"""The flag of the commands that take one of an image's platforms."""

from labkit.cli.base.flags import Flag

PLATFORM = Flag("platform", "", "string", "Only the image for this machine (linux/amd64)")
