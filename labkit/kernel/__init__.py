"""Thin, flat wrappers of the Linux system calls labkit uses; no policy, every failure an OSError."""
