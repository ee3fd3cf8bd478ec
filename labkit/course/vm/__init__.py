"""Chapter 1: a virtual machine and a container, started and measured in the same way."""
