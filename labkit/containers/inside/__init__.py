"""Access to a running container: exec, attach, logs, files, statistics (chapter 7)."""
