"""The readers of option values: mounts, ports, variables, policies."""
