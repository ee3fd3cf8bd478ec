"""The daemon's log (labkit.http.log)."""

from labkit.http.log import Log

LOG = Log("labkitd")
line = LOG.line
