"""Into a running container and out of it: exec, attach, logs, files, figures (chapter 7)."""
