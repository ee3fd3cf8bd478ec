"""The parts that a container's plan is made of: mounts, volumes, devices, networks, rights."""
