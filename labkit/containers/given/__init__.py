"""What a container is given: mounts, volumes, devices, networks, rights; its plan is made of it."""
