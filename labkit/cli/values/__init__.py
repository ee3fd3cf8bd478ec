"""How the values of options are read: mounts, ports, variables, policies."""
